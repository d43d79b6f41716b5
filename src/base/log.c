/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

/* The one process-wide setting: what people want to read on stderr. */
static enum log_level threshold = LOG_WARN;

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	if (level > threshold)
		return;
	fputs("godwit: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
