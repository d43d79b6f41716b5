/* base/pages.h - address space that costs nothing until it is touched. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GODWIT_BASE_PAGES_H
#define GODWIT_BASE_PAGES_H

#include <stddef.h>

/* Zeroed, page by page (no huge ones).  NULL: out of memory. */
void *pages_map(size_t size);
/* Zeroed again, and free until it is touched.  Whole pages. */
void pages_give_back(void *at, size_t size);
void pages_unmap(void *at, size_t size);

#endif
