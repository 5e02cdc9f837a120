/*
 * Locals that let go of what they own when they leave scope. Hand-over is
 * explicit: ayrei_take_fd(), ayrei_take_pointer().
 */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "sys/file.h"

#define ayrei_auto_fd   __attribute__((cleanup(ayrei_cleanup_fd)))
#define ayrei_auto_free __attribute__((cleanup(ayrei_cleanup_free)))

static inline void ayrei_cleanup_fd(int *fd)
{
	ayrei_file_close(*fd);
}

/* errno survives, as it does in every destructor of ayre's. */
static inline void ayrei_cleanup_free(void *pointer)
{
	int saved = errno;

	free(*(void **)pointer);
	errno = saved;
}

static inline int ayrei_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* For pointers of any type: the local forgets what it pointed to. */
#define ayrei_take_pointer(variable) \
	({ \
		__typeof__(variable) ayrei_taken = (variable); \
		(variable) = NULL; \
		ayrei_taken; \
	})
