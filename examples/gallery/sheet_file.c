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

static int open_beside(const char *path, char **ret_beside)
{
	int fd;

	if (asprintf(ret_beside, "%s.XXXXXX", path) == -1) {
		*ret_beside = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(*ret_beside, O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

int sheet_file_try(const char *path)
{
	struct stat status;
	char *beside;
	int fd;

	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EEXIST;
	fd = open_beside(path, &beside);
	if (fd >= 0) {
		close(fd);
		unlink(beside);
	}
	free(beside);
	return fd < 0 ? fd : 0;
}

int sheet_file_write(cairo_surface_t *surface, const char *path, bool (*should_stop)(void *),
                     void *context)
{
	struct writing writing = {.should_stop = should_stop, .context = context};
	char *beside;
	int result;

	writing.fd = open_beside(path, &beside);
	if (writing.fd < 0) {
		free(beside);
		return writing.fd;
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
