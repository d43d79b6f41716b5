/* SPDX-License-Identifier: Apache-2.0 */
#include "core/names.h"

void names_changed(struct network *w, struct node *n, gw_time now)
{
	(void)w;
	(void)n;
	(void)now;
}

void names_dropped(struct network *w, struct node *n)
{
	(void)w;
	(void)n;
}
