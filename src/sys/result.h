/*
 * From errno to results, for src/sys alone.
 */
#pragma once

#include <errno.h>

/* EINTR is a signal's business, never a caller's. */
#define AYREI_RETRY(call) \
	({ \
		__typeof__(call) ayrei_retried; \
		do \
			ayrei_retried = (call); \
		while (ayrei_retried == -1 && errno == EINTR); \
		ayrei_retried; \
	})

/* Zero or more, or a negative errno. */
#define AYREI_RESULT(call) \
	({ \
		__typeof__(call) ayrei_result = AYREI_RETRY(call); \
		ayrei_result == -1 ? -errno : ayrei_result; \
	})
