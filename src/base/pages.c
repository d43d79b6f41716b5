/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pages.h"

#include <sys/mman.h>

void *pages_map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	(void)madvise(at, size, MADV_NOHUGEPAGE);
	return at;
}

void pages_give_back(void *at, size_t size)
{
	(void)madvise(at, size, MADV_DONTNEED);
}

void pages_unmap(void *at, size_t size)
{
	munmap(at, size);
}
