/*
 * The place where a file segment is created, and the file ".NAME.ayre-creating" that a creator
 * locks there.
 *
 * Invariant: only who holds the lock removes the file, and the lock counts only while the file
 * has its name. So all who create one name meet at one file, and what a dead creator has left is
 * known by its lock, which the kernel let go.
 */
#include "memory/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sys/file.h"
#include "sys/system.h"

void ayrei_place_find(const char *path, struct ayrei_place *ret_place)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	int length = (int)(base - path);
	int total = snprintf(ret_place->creating, sizeof(ret_place->creating),
	                     "%.*s.%s.ayre-creating", length, path, base);

	if ((size_t)total >= sizeof(ret_place->creating) || total - length > NAME_MAX)
		ret_place->creating[0] = '\0';
	snprintf(ret_place->directory, sizeof(ret_place->directory), "%.*s", length ? length : 1,
	         length ? path : ".");
}

/*
 * A creator can have left it with the mode of a segment that denies its own owner. If that creator
 * lives, it sets its mode again when it is done.
 */
static int open_creating(const struct ayrei_place *place, int flags)
{
	struct stat status;
	int fd = ayrei_file_open(place->creating, O_RDWR | O_NOFOLLOW | flags, 0600);

	if (fd != -EACCES || ayrei_path_status(place->creating, false, &status) < 0 ||
	    status.st_uid != ayrei_user() || !S_ISREG(status.st_mode) ||
	    ayrei_path_set_mode(place->creating, 0600) < 0)
		return fd;
	return ayrei_file_open(place->creating, O_RDWR | O_NOFOLLOW | flags, 0600);
}

/*
 * Opens ".NAME.ayre-creating" and locks it. -EACCES: it is another user's. The lock counts only
 * while the file has its name: -ESTALE.
 */
static int lock_once(const struct ayrei_place *place, int flags, int (*lock)(int fd))
{
	struct stat status;
	int fd = open_creating(place, flags);
	int result;

	if (fd < 0)
		return fd;
	result = ayrei_file_status(fd, &status);
	if (result == 0 && (status.st_uid != ayrei_user() || !S_ISREG(status.st_mode)))
		result = -EACCES;
	if (result == 0)
		result = lock(fd);
	if (result == 0)
		/* The holder before us may have removed it. */
		result = ayrei_file_is_named(fd, place->creating, false);
	if (result == 1)
		return fd;
	ayrei_file_close(fd);
	return result == 0 ? -ESTALE : result;
}

int ayrei_place_lock(const struct ayrei_place *place)
{
	int result;

	do
		result = lock_once(place, O_CREAT, ayrei_file_lock);
	while (result == -ESTALE);
	return result;
}

/* Explicitly: a child that was forked meanwhile shares the lock until it execs. */
void ayrei_place_unlock(const struct ayrei_place *place, int lock)
{
	ayrei_file_unlink(place->creating);
	ayrei_file_unlock(lock);
	ayrei_file_close(lock);
}

/*
 * An empty one. What a dead creator had begun is not cut short but left to whoever may have it: where
 * renaming is linking and unlinking, its file can be a segment already.
 */
int ayrei_place_lock_empty(const struct ayrei_place *place)
{
	for (;;) {
		struct stat status;
		int lock = ayrei_place_lock(place);
		int result = lock < 0 ? lock : ayrei_file_status(lock, &status);

		if (result == 0 && status.st_size == 0)
			return lock;
		if (result < 0) {
			ayrei_file_close(lock);
			return result;
		}
		ayrei_place_unlock(place, lock);
	}
}

/* What a creator has left that died after its last step. A living one's stays. */
void ayrei_place_clean(const char *path)
{
	struct ayrei_place place;
	int lock;

	ayrei_place_find(path, &place);
	if (!place.creating[0])
		return;
	lock = lock_once(&place, 0, ayrei_file_try_lock);
	if (lock >= 0)
		ayrei_place_unlock(&place, lock);
}
