/*
 * Segments that have a descriptor: POSIX shared memory, mapped files, memfd.
 *
 * Invariant: a name appears when the segment behind it is complete. It is made without a name
 * (O_TMPFILE), allocated, initialised, and then linked; the kernel lets one link win:
 *
 *    A: open unnamed, allocate, initialise   link "x": done
 *    B:   open unnamed, allocate, initialise           link "x": EEXIST, drop it, open A's
 *    C:                              open "x": ENOENT    open "x": A's, whole
 *
 * A creator that dies leaves an unnamed file, which the kernel frees.
 *
 * Beside the name there can be ".NAME.ayre-creating", locked by a creator: always where the
 * file system has no unnamed files, because it then is the file that will be renamed; and where
 * creating is work, so that of a hundred creators only one allocates much or runs the caller's
 * initialiser. A dead creator's is taken over by the next one, since the kernel let its lock go.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "memory/handle.h"
#include "memory/place.h"
#include "sys/map.h"

/* From this size on, one allocates while the others wait. Below, waiting costs more. */
#define LARGE_BYTES (1u << 20)

static int fail(const struct ayrei_segment_request *request, int code, const char *step)
{
	return ayrei_fail(request->error, code, step, request->label, NULL);
}

/* A descriptor that was opened by name, by somebody who may have made anything of it. */
static int accept_fd(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	struct ayrei_segment_header copy = {0};
	struct stat status;
	ssize_t got;
	int result = ayrei_file_status(segment->fd, &status);

	if (result < 0)
		return fail(request, result, "status");
	if (S_ISDIR(status.st_mode))
		return fail(request, -EISDIR, "open");
	if (!S_ISREG(status.st_mode))
		return ayrei_fail(request->error, -ENODEV, "open", request->label,
		                  "not a regular file, so it cannot be a segment");
	got = ayrei_file_read_at(segment->fd, &copy, sizeof(copy), 0);
	if (got < 0)
		return fail(request, (int)got, "read");
	if ((size_t)got < sizeof(copy))
		memset((char *)&copy + got, 0, sizeof(copy) - (size_t)got);
	result = ayrei_segment_accept(request, segment, &copy, (uint64_t)status.st_size);
	if (result < 0)
		return result;
	result = ayrei_file_in_memory(segment->fd);
	if (result < 0)
		return fail(request, result, "status");
	segment->in_memory = result;
	return ayrei_view_map(request, segment, !segment->read_only);
}

/* Whose it is explains why it is not ours. */
static int explain_denied(const struct ayrei_segment_request *request, int code)
{
	struct stat status;

	if (ayrei_path_status(request->name.path, true, &status) < 0)
		return fail(request, code, "open");
	return ayrei_fail(request->error, code, "open", request->label,
	                  "it belongs to user %u and has mode %04o", status.st_uid,
	                  status.st_mode & 0777);
}

static int open_existing(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	int flags = segment->read_only ? O_RDONLY : O_RDWR;
	int fd;

	/* As shm_open(3): /dev/shm is everybody's, and a link there may be a trap. */
	if (segment->backing == AYRE_BACKING_SHM)
		flags |= O_NOFOLLOW;
	fd = ayrei_file_open(request->name.path, flags, 0);
	if (fd < 0)
		return fd == -EACCES ? explain_denied(request, fd) : fail(request, fd, "open");
	segment->fd = fd;
	return accept_fd(request, segment);
}

static int explain_no_space(const struct ayrei_segment_request *request, int fd, int code)
{
	uint64_t room = ayrei_file_room(fd);

	return ayrei_fail(request->error, code, "allocate", request->label,
	                  "%" PRIu64 " bytes asked for, %" PRIu64 " are free%s",
	                  ayrei_segment_total(request), room,
	                  request->name.backing == AYRE_BACKING_SHM ? " in /dev/shm" : "");
}

/* The creator initialises through a writable map, and then is a reader like others. */
static int become_reader(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	ayrei_view_unmap(segment);
	return ayrei_view_map(request, segment, false);
}

/* File systems without permission bits say so; who asked for none of them gets theirs. */
static int set_mode(const struct ayrei_segment_request *request, const struct ayre_segment *segment,
                    uint32_t mode)
{
	int result = ayrei_file_set_mode(segment->fd, mode);

	if (result < 0 && !(result == -EPERM && request->mode_is_default))
		return fail(request, result, "mode");
	return 0;
}

/* Makes a file that nobody uses yet into the segment that was asked for. */
static int build(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                 uint32_t mode)
{
	int result = set_mode(request, segment, mode);

	if (result < 0)
		return result;
	ayrei_segment_adopt_new(request, segment);
	/*
	 * Huge pages come from the first touch, not from fallocate(2), which would fill the file
	 * with small ones. So these are sized, and then paid for by touching all of them.
	 */
	if (segment->want_huge) {
		result = ayrei_file_may_fit(segment->fd, ayrei_segment_total(request));
		if (result == 0)
			result = ayrei_file_truncate(segment->fd, ayrei_segment_total(request));
		segment->populate = true;
	} else {
		result = ayrei_file_allocate_private(segment->fd, ayrei_segment_total(request));
	}
	if (result == -ENOSPC || result == -ENOMEM)
		return explain_no_space(request, segment->fd, result);
	if (result < 0)
		return fail(request, result, "allocate");
	result = ayrei_file_in_memory(segment->fd);
	if (result < 0)
		return fail(request, result, "status");
	segment->in_memory = result;
	if (segment->want_huge && !segment->in_memory)
		return ayrei_fail(request->error, -EOPNOTSUPP, "huge", request->label,
		                  "huge pages are for segments in memory, not on a disk");
	result = ayrei_view_map(request, segment, true);
	if (result == 0)
		result = ayrei_segment_initialize(request, segment);
	if (result == 0 && segment->read_only)
		result = become_reader(request, segment);
	return result;
}

/*
 * Its bytes before its name, on the disk as in memory: the name reaches the disk with anybody's
 * fsync, and after a power cut it must not lead to a segment that looks initialised and is not.
 * A segment of zeros is what it is without that.
 */
static int settle(const struct ayrei_segment_request *request, const struct ayre_segment *segment)
{
	int result = 0;

	if (!segment->in_memory && (request->options.tag || request->options.initialize))
		result = ayrei_file_sync(segment->fd);
	return result < 0 ? fail(request, result, "sync") : 0;
}

static int create_unnamed(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                          const struct ayrei_place *place)
{
	int fd = ayrei_file_open_unnamed(place->directory);
	int result;

	if (fd < 0)
		return fail(request, fd, "create");
	segment->fd = fd;
	result = build(request, segment, request->options.mode);
	if (result == 0)
		result = settle(request, segment);
	if (result < 0)
		return result;
	result = ayrei_file_link_unnamed(segment->fd, request->name.path);
	return result < 0 ? fail(request, result, "link") : 1;
}

/* Where there are no unnamed files: the locked file itself becomes the segment. */
static int create_renamed(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                          const struct ayrei_place *place)
{
	struct stat status;
	int result;

	if (!place->creating[0])
		return fail(request, -ENAMETOOLONG, "create");
	segment->fd = ayrei_place_lock_empty(place);
	if (segment->fd < 0)
		return fail(request, segment->fd, "create");
	/* Whoever held the lock before us may have finished. */
	result = ayrei_path_status(request->name.path, false, &status);
	if (result == 0)
		result = fail(request, -EEXIST, "create");
	else if (result != -ENOENT)
		fail(request, result, "status");
	else
		result = 0;
	if (result == 0)
		result = build(request, segment, request->options.mode);
	if (result == 0)
		result = settle(request, segment);
	if (result == 0) {
		result = ayrei_file_rename_new(place->creating, request->name.path);
		if (result < 0)
			fail(request, result, "rename");
	}
	if (result < 0)
		ayrei_file_unlink(place->creating);
	ayrei_file_unlock(segment->fd);
	/* Whoever waited for a lock that our mode denied them has changed it. */
	if (result == 0 && (request->options.mode & 0600) != 0600) {
		result = set_mode(request, segment, request->options.mode);
		/* Nobody has been promised anything yet. */
		if (result < 0)
			ayrei_file_unlink(request->name.path);
	}
	return result < 0 ? result : 1;
}

static int create(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                  const struct ayrei_place *place)
{
	int lock = -1, result;

	bool costly = ayrei_segment_total(request) >= LARGE_BYTES || request->options.initialize;

	if (costly && place->creating[0]) {
		struct stat status;

		/* To do the work once, not for correctness: without it the link still decides. */
		lock = ayrei_place_lock(place);
		if (lock >= 0 && ayrei_path_status(request->name.path, false, &status) == 0) {
			ayrei_place_unlock(place, lock);
			return fail(request, -EEXIST, "create");
		}
	}
	result = create_unnamed(request, segment, place);
	if (lock >= 0)
		ayrei_place_unlock(place, lock);
	return result;
}

/* Back to an empty handle, for another attempt. */
static void reset(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	ayrei_view_unmap(segment);
	segment->fd = ayrei_file_close(segment->fd);
	segment->header_bytes = 0;
	segment->size_bytes = 0;
	segment->created_ns = -1;
	segment->tag[0] = '\0';
	segment->populate = ayrei_segment_wants(request, AYRE_SEGMENT_POPULATE);
}

static int try_create(const struct ayrei_segment_request *request, struct ayre_segment *segment)
{
	struct ayrei_place place;
	struct stat status;
	int result;

	ayrei_place_find(request->name.path, &place);
	result = create(request, segment, &place);
	if (result == -EOPNOTSUPP && segment->fd < 0)
		result = create_renamed(request, segment, &place);
	if (result == -ENOENT && ayrei_path_status(place.directory, true, &status) == -ENOENT)
		return ayrei_fail(request->error, result, "create", request->label,
		                  "there is no directory %s", place.directory);
	/* A name that is there by now is there, also where there is no room for a second one. */
	if (result == -ENOSPC && ayrei_path_status(request->name.path, false, &status) == 0)
		result = fail(request, -EEXIST, "create");
	if (result < 0)
		reset(request, segment);
	return result;
}

/* Opening says it is missing, creating says it is there: a link can be both for ever. */
static bool leads_nowhere(const char *path)
{
	struct stat status;

	return ayrei_path_status(path, false, &status) == 0 && S_ISLNK(status.st_mode) &&
	       ayrei_path_status(path, true, &status) == -ENOENT;
}

int ayrei_segment_open_file(const struct ayrei_segment_request *request,
                            struct ayre_segment *segment)
{
	bool exclusive = ayrei_segment_wants(request, AYRE_SEGMENT_EXCLUSIVE);
	int result;

	/*
	 * Each round is lost only to another process's success: to one that created or removed
	 * the name in between.
	 */
	for (;;) {
		if (!exclusive) {
			result = open_existing(request, segment);
			if (result != -ENOENT || !ayrei_segment_wants(request, AYRE_SEGMENT_CREATE))
				return result;
		}
		result = try_create(request, segment);
		if (result != -EEXIST || exclusive)
			return result;
		if (leads_nowhere(request->name.path))
			return ayrei_fail(request->error, -ELOOP, "create", request->label,
			                  "it is a symbolic link that leads nowhere");
	}
}

int ayrei_segment_open_memory(const struct ayrei_segment_request *request,
                              struct ayre_segment *segment)
{
	int fd = ayrei_memory_file("ayre");
	int result;

	if (fd < 0)
		return fail(request, fd, "memfd");
	segment->fd = fd;
	segment->cannot_fail = true;
	result = build(request, segment, request->options.mode);
	if (result < 0)
		return result;
	result = ayrei_memory_file_seal(fd, ayrei_segment_wants(request, AYRE_SEGMENT_SOLE_WRITER),
	                                true);
	return result < 0 ? fail(request, result, "seal") : 1;
}

/* 1 or 0. Only /proc can tell a memfd from an unlinked file of a tmpfs. */
static int is_memory_file(int fd)
{
	static const char prefix[] = "/memfd:";
	char path[PATH_MAX];
	int result = ayrei_file_path(fd, path, sizeof(path));

	/* Too long for a path is too long for a memfd. */
	if (result == -ENAMETOOLONG)
		return 0;
	return result < 0 ? result : strncmp(path, prefix, sizeof(prefix) - 1) == 0;
}

int ayrei_segment_adopt_fd(const struct ayrei_segment_request *request,
                           struct ayre_segment *segment, int fd)
{
	int seals, is_memory, own = ayrei_file_duplicate(fd);

	if (own < 0)
		return fail(request, own, "duplicate");
	segment->fd = own;
	seals = ayrei_memory_file_seals(own);
	if (seals < 0)
		return fail(request, seals, "seals");
	is_memory = is_memory_file(own);
	if (is_memory < 0)
		return fail(request, is_memory, "readlink");
	if (is_memory) {
		segment->backing = AYRE_BACKING_MEMFD;
		if (!(seals & AYREI_SEALED_SHRINK))
			return ayrei_fail(request->error, -EPERM, "seals", request->label,
			                  "it is not sealed against shrinking, so its sender could "
			                  "cut it away");
		segment->cannot_fail = true;
	}
	if ((seals & AYREI_SEALED_WRITE) && !segment->read_only)
		return ayrei_fail(request->error, -EPERM, "seals", request->label,
		                  "it is sealed against writing: open it READ_ONLY");
	return accept_fd(request, segment);
}

int ayrei_segment_remove_file(const struct ayrei_segment_name *name, struct ayre_error *error)
{
	struct stat status;
	int result = ayrei_path_status(name->path, false, &status);

	/* Not even begun to have a name, but its creator may have died. */
	if (result == -ENOENT)
		ayrei_place_clean(name->path);
	if (result < 0)
		return ayrei_fail(error, result, "status", name->given, NULL);
	if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
		return ayrei_fail(error, -EINVAL, "remove", name->given,
		                  "not a regular file, so not a segment");
	result = ayrei_file_unlink(name->path);
	if (result < 0)
		return ayrei_fail(error, result, "unlink", name->given, NULL);
	ayrei_place_clean(name->path);
	return 0;
}
