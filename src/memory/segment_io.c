/*
 * Copying into and out of a segment, and bringing it to the disk.
 *
 * Invariant: nothing in this file touches a page that another process could have cut away.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "memory/guard_range.h"
#include "memory/handle.h"
#include "sys/map.h"

static bool is_inside(const struct ayre_segment *segment, uint64_t offset, uint64_t length)
{
	return offset <= segment->size_bytes && length <= segment->size_bytes - offset;
}

int ayre_segment_read(const struct ayre_segment *segment, uint64_t offset, void *buffer,
                      size_t length)
{
	ssize_t got;

	if (!is_inside(segment, offset, length))
		return -ERANGE;
	if (segment->cannot_fail) {
		if (length)
			memcpy(buffer, segment->base + segment->header_bytes + offset, length);
		return 0;
	}
	got = ayrei_file_read_at(segment->fd, buffer, length, segment->header_bytes + offset);
	if (got < 0)
		return (int)got;
	return (size_t)got == length ? 0 : -ESTALE;
}

int ayre_segment_write(struct ayre_segment *segment, uint64_t offset, const void *buffer,
                       size_t length)
{
	struct stat status;
	int result;

	if (segment->read_only)
		return -EACCES;
	if (!is_inside(segment, offset, length))
		return -ERANGE;
	if (segment->cannot_fail) {
		if (length)
			memcpy(segment->base + segment->header_bytes + offset, buffer, length);
		return 0;
	}
	/* A write beyond the end would make a file that was cut look whole, full of zeros. */
	result = ayrei_file_status(segment->fd, &status);
	if (result < 0)
		return result;
	if ((uint64_t)status.st_size < ayrei_segment_extent(segment))
		return -ESTALE;
	return ayrei_file_write_at(segment->fd, buffer, length, segment->header_bytes + offset);
}

int ayre_segment_check(const struct ayre_segment *segment)
{
	struct stat status;
	int result;

	if (segment->cannot_fail)
		return 0;
	if (ayrei_guard_lost(segment->guard))
		return -ESTALE;
	result = ayrei_file_status(segment->fd, &status);
	if (result < 0)
		return result;
	return (uint64_t)status.st_size < ayrei_segment_extent(segment) ? -ESTALE : 0;
}

/*
 * The directory entry, without which the bytes cannot be found after a crash. A name under
 * which the file was opened is enough; a file without one has nothing to lose.
 */
static int sync_name(const struct ayre_segment *segment)
{
	char path[PATH_MAX], *slash;
	struct stat status;
	ayrei_auto_fd int directory = -1;
	int result = ayrei_file_status(segment->fd, &status);

	if (result < 0 || status.st_nlink == 0)
		return result;
	result = ayrei_file_path(segment->fd, path, sizeof(path));
	if (result < 0)
		return result;
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	slash[slash == path] = '\0';
	directory = ayrei_file_open(path, O_RDONLY | O_DIRECTORY, 0);
	/* Not ours to read, or moved meanwhile: then all of the file system. */
	if (directory < 0)
		return ayrei_file_sync_all(segment->fd);
	return ayrei_file_sync(directory);
}

/* With the name goes what makes it a segment of its type. */
static int sync_header(const struct ayre_segment *segment)
{
	if (!segment->header_bytes || !segment->base)
		return 0;
	return ayrei_map_sync(segment->base, segment->header_bytes, AYREI_MAP_SYNC_WAIT);
}

static int sync_bytes(const struct ayre_segment *segment, uint64_t offset, uint64_t length,
                      enum ayre_sync how)
{
	size_t page = ayrei_page_bytes();
	size_t begin = segment->header_bytes + (size_t)offset;
	size_t aligned = begin - begin % page;

	/*
	 * A read-only map is a private one to the kernel: msync(2) passes over it and says that all
	 * is well. The file as a whole has what others stored.
	 */
	if (!segment->base || (segment->read_only && how != AYRE_SYNC_ASYNC))
		return ayrei_file_sync(segment->fd);
	return ayrei_map_sync(segment->base + aligned, begin + (size_t)length - aligned,
	                      how == AYRE_SYNC_INVALIDATE ? AYREI_MAP_SYNC_INVALIDATE
	                      : how == AYRE_SYNC_ASYNC    ? AYREI_MAP_SYNC_ASYNC
	                                                  : AYREI_MAP_SYNC_WAIT);
}

/* Failures that say nothing about the bytes: a locked page, no memory for the call. */
static bool is_passing(int result)
{
	return result == -EBUSY || result == -ENOMEM;
}

int ayre_segment_sync(struct ayre_segment *segment, uint64_t offset, uint64_t length,
                      enum ayre_sync how)
{
	int result;

	if (how != AYRE_SYNC_WAIT && how != AYRE_SYNC_ASYNC && how != AYRE_SYNC_INVALIDATE)
		return -EINVAL;
	if (!is_inside(segment, offset, length))
		return -ERANGE;
	if (length == 0)
		length = segment->size_bytes - offset;
	if (segment->in_memory)
		return 1;
	if (segment->sync_error)
		return segment->sync_error;
	result = sync_bytes(segment, offset, length, how);
	if (result == 0 && how != AYRE_SYNC_ASYNC && !segment->name_synced) {
		result = sync_header(segment);
		if (result == 0)
			result = sync_name(segment);
		segment->name_synced = result == 0;
	}
	if (result < 0 && !is_passing(result))
		segment->sync_error = result;
	return result;
}
