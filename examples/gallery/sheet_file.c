/*
 * A drawing becomes a file.
 *
 * Invariant: under the name is what was there before, or all of the drawing; a half of it has
 * another name beside it, and is removed whatever goes wrong.
 */
#include "sheet_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct writing {
	int fd, failure;
	bool (*should_stop)(void *);
	void *context;
};

static cairo_status_t write_part(void *closure, const unsigned char *bytes, unsigned int length)
{
	struct writing *writing = closure;

	while (length > 0) {
		ssize_t written = write(writing->fd, bytes, length);

		if (written == -1 && errno == EINTR)
			continue;
		if (written == -1)
			writing->failure = -errno;
		else if (writing->should_stop(writing->context))
			writing->failure = -EINTR;
		if (writing->failure)
			return CAIRO_STATUS_WRITE_ERROR;
		bytes += written;
		length -= (unsigned int)written;
	}
	return CAIRO_STATUS_SUCCESS;
}

static int write_all(cairo_surface_t *surface, struct writing *writing)
{
	cairo_status_t status = cairo_surface_write_to_png_stream(surface, write_part, writing);
	mode_t mask = umask(0);

	umask(mask);
	if (writing->failure)
		return writing->failure;
	if (status != CAIRO_STATUS_SUCCESS)
		return -ENOMEM;
	return fchmod(writing->fd, 0666 & ~mask) == -1 ? -errno : 0;
}

int sheet_file_write(cairo_surface_t *surface, const char *path, bool (*should_stop)(void *),
                     void *context)
{
	struct writing writing = {.should_stop = should_stop, .context = context};
	char *beside = NULL;
	int result;

	if (asprintf(&beside, "%s.XXXXXX", path) == -1)
		return -ENOMEM;
	writing.fd = mkostemp(beside, O_CLOEXEC);
	if (writing.fd == -1) {
		result = -errno;
		free(beside);
		return result;
	}
	result = write_all(surface, &writing);
	if (close(writing.fd) == -1 && result == 0)
		result = -errno;
	if (result == 0 && rename(beside, path) == -1)
		result = -errno;
	if (result < 0)
		unlink(beside);
	free(beside);
	return result;
}
