/*
 * Files and descriptors: thin verbs over the system calls.
 *
 * Invariant: errno stays in here. What leaves is zero or more, or a negative
 * errno; and no descriptor ever outlives an exec.
 */
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "sys/result.h"
#include "sys/system.h"

int ayrei_file_open(const char *path, int flags, mode_t mode)
{
	return AYREI_RESULT(open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode));
}

int ayrei_file_open_blocking(const char *path, int flags, mode_t mode)
{
	return AYREI_RESULT(open(path, flags | O_CLOEXEC | O_NOCTTY, mode));
}

int ayrei_file_close(int fd)
{
	int saved = errno;

	/* Not retried: Linux has let the descriptor go, whatever close(2) says. */
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int ayrei_file_is_readable(int fd)
{
	int flags = AYREI_RESULT(fcntl(fd, F_GETFL));

	if (flags < 0)
		return flags;
	return (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH);
}

int ayrei_file_duplicate(int fd)
{
	return AYREI_RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int ayrei_file_duplicate_above(int fd, int least)
{
	return AYREI_RESULT(fcntl(fd, F_DUPFD_CLOEXEC, least));
}

const char *ayrei_self_path(int fd, char path[AYREI_SELF_BYTES])
{
	snprintf(path, AYREI_SELF_BYTES, "/proc/self/fd/%d", fd);
	return path;
}

int ayrei_file_open_unnamed(const char *directory)
{
	int fd = AYREI_RESULT(open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));

	/* A kernel or file system that knows no O_TMPFILE sees O_DIRECTORY | O_RDWR. */
	return fd == -EISDIR ? -EOPNOTSUPP : fd;
}

int ayrei_file_link_unnamed(int fd, const char *path)
{
	char self[AYREI_SELF_BYTES];
	int result;

	/* By way of /proc, because AT_EMPTY_PATH asks for a privilege before Linux 6.10. */
	ayrei_self_path(fd, self);
	result = AYREI_RESULT(linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
	/* No /proc here. */
	if (result == -ENOENT)
		result = AYREI_RESULT(linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH));
	return result;
}

int ayrei_file_rename_new(const char *from, const char *to)
{
	int result = AYREI_RESULT(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));

	if (result != -EINVAL)
		return result;
	/* NFS and others cannot; those can link. */
	result = AYREI_RESULT(linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
	/* It has its new name; an old one that will not go is no failure of that. */
	if (result == 0)
		(void)!ayrei_file_unlink(from);
	return result;
}

int ayrei_file_rename(const char *from, const char *to)
{
	return AYREI_RESULT(renameat2(AT_FDCWD, from, AT_FDCWD, to, 0));
}

int ayrei_file_exchange(const char *one, const char *other)
{
	return AYREI_RESULT(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

int ayrei_file_unlink(const char *path)
{
	return AYREI_RESULT(unlink(path));
}

int ayrei_file_status(int fd, struct stat *ret_status)
{
	return AYREI_RESULT(fstat(fd, ret_status));
}

int ayrei_path_status(const char *path, bool follow_link, struct stat *ret_status)
{
	return AYREI_RESULT(
		fstatat(AT_FDCWD, path, ret_status, follow_link ? 0 : AT_SYMLINK_NOFOLLOW));
}

int ayrei_file_is_named(int fd, const char *path, bool follow_link)
{
	struct stat named, status;
	int result = ayrei_path_status(path, follow_link, &named);

	if (result == 0)
		result = ayrei_file_status(fd, &status);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	return named.st_ino == status.st_ino && named.st_dev == status.st_dev;
}

int ayrei_path_access(const char *path, int how)
{
	return AYREI_RESULT(faccessat(AT_FDCWD, path, how, AT_EACCESS));
}

/* As unlink(2) and rmdir(2) have it, but for capabilities of who is not root. */
int ayrei_path_may_remove(const char *directory, const char *path)
{
	struct stat parent, status;
	uint32_t user = ayrei_user();
	int result = ayrei_path_access(directory, W_OK | X_OK);

	if (result == 0)
		result = ayrei_path_status(directory, true, &parent);
	if (result == 0)
		result = ayrei_path_status(path, false, &status);
	if (result < 0)
		return result;
	return parent.st_mode & S_ISVTX && user != 0 && user != parent.st_uid &&
	                       user != status.st_uid
	               ? -EPERM
	               : 0;
}

int ayrei_path_set_mode(const char *path, mode_t mode)
{
	return AYREI_RESULT(chmod(path, mode));
}

int ayrei_path_set_owner(const char *path, uid_t user, gid_t group)
{
	return AYREI_RESULT(lchown(path, user, group));
}

int ayrei_file_set_mode(int fd, mode_t mode)
{
	return AYREI_RESULT(fchmod(fd, mode));
}

int ayrei_file_set_group(int fd, gid_t gid)
{
	return AYREI_RESULT(fchown(fd, (uid_t)-1, gid));
}

int ayrei_file_truncate(int fd, uint64_t size_bytes)
{
	return AYREI_RESULT(ftruncate(fd, (off_t)size_bytes));
}

/*
 * The kernel's own tmpfs, on which memory files are, has no limit, and others may have none: they go on
 * until the machine is out of memory, and somebody is killed. To ask how much there is takes longer than
 * to allocate a little, and of a little it is not the first that does harm.
 */
#define ASK_BYTES ((uint64_t)16 << 20)

static uint64_t limit_room(int fd)
{
	struct statvfs status;

	/* A tmpfs without a limit counts no blocks. */
	if (AYREI_RETRY(fstatvfs(fd, &status)) == -1 || status.f_blocks == 0)
		return UINT64_MAX;
	return (uint64_t)status.f_bfree * status.f_frsize;
}

static uint64_t memory_room(int fd)
{
	return ayrei_file_in_memory(fd) == 1 ? ayrei_memory_available() : UINT64_MAX;
}

uint64_t ayrei_file_room(int fd)
{
	uint64_t room = limit_room(fd);

	return room == UINT64_MAX ? memory_room(fd) : room;
}

/*
 * Before trying: ext4 and others allocate what there is and then fail, which for a moment takes
 * the last block from everybody else. What can never fit is refused without that.
 */
int ayrei_file_may_fit(int fd, uint64_t size_bytes)
{
	struct stat status;
	uint64_t room, more;

	if (fstat(fd, &status) == -1 || size_bytes <= (uint64_t)status.st_blocks * 512)
		return 0;
	more = size_bytes - (uint64_t)status.st_blocks * 512;
	room = limit_room(fd);
	if (room != UINT64_MAX)
		return more > room ? -ENOSPC : 0;
	return more >= ASK_BYTES && more > memory_room(fd) ? -ENOMEM : 0;
}

/*
 * In parts. A signal makes tmpfs give up and undo the whole call, so under a fast timer one large
 * call would be begun for ever.
 */
#define ALLOCATE_BYTES ((uint64_t)4 << 20)

static int allocate_parts(int fd, int mode, uint64_t size_bytes)
{
	int result = 0;

	for (uint64_t done = 0; result == 0 && done < size_bytes; done += ALLOCATE_BYTES) {
		uint64_t rest = size_bytes - done;

		result = AYREI_RESULT(
			fallocate(fd, mode, (off_t)done,
		                  (off_t)(rest < ALLOCATE_BYTES ? rest : ALLOCATE_BYTES)));
	}
	return result;
}

/*
 * The lock of those who make a file larger: on one byte that no file has, so that it is in nobody's
 * way. Shared while growing; alone while giving back.
 */
static int lock_growth(int fd, short type, int command)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = INT64_MAX - 1,
		.l_len = 1,
	};

	return AYREI_RESULT(fcntl(fd, command, &lock));
}

/*
 * What lies behind the end and was allocated in vain. Only if nobody else is growing the file:
 * it could be theirs, about to be counted in.
 */
static void give_back(int fd, uint64_t size_bytes)
{
	struct stat status;
	off_t end;

	if (lock_growth(fd, F_WRLCK, F_OFD_SETLK) < 0 || fstat(fd, &status) == -1)
		return;
	/* Whole pages: the last one belongs to the file. tmpfs wants the one, ext4 the other. */
	end = (status.st_size + status.st_blksize - 1) / status.st_blksize * status.st_blksize;
	if ((uint64_t)end < size_bytes)
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end,
		                 (off_t)size_bytes - end);
	(void)!ftruncate(fd, status.st_size);
}

int ayrei_file_allocate(int fd, uint64_t size_bytes)
{
	uint64_t last = size_bytes ? size_bytes - 1 : 0;
	int locked, result = ayrei_file_may_fit(fd, size_bytes);

	if (result < 0)
		return result;
	/* A file system without locks: then nobody gives back, either. */
	locked = lock_growth(fd, F_RDLCK, F_OFD_SETLKW);
	/* Space first, size second, so that a failure half-way leaves the size as it was. */
	result = allocate_parts(fd, FALLOC_FL_KEEP_SIZE, size_bytes);
	if (result == 0)
		result = AYREI_RESULT(fallocate(fd, 0, (off_t)last, 1));
	else if (locked == 0)
		give_back(fd, size_bytes);
	if (locked == 0)
		lock_growth(fd, F_UNLCK, F_OFD_SETLK);
	return result;
}

int ayrei_file_clear(int fd, uint64_t size_bytes)
{
	return AYREI_RESULT(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size_bytes));
}

int ayrei_file_clear_part(int fd, uint64_t most_bytes)
{
	off_t begin = lseek(fd, 0, SEEK_DATA);

	if (begin == -1)
		return errno == ENXIO ? 0 : -errno;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin,
	                 (off_t)most_bytes) == -1
	               ? -errno
	               : 1;
}

int ayrei_file_write_zeros(int fd, uint64_t length, uint64_t offset)
{
	static const char zeros[64 * 1024];
	int result = 0;

	while (result == 0 && length > 0) {
		/* To the next multiple of it: the kernel's cache likes that. */
		size_t part = sizeof(zeros) - offset % sizeof(zeros);

		if (part > length)
			part = length;
		result = ayrei_file_write_at(fd, zeros, part, offset);
		offset += part;
		length -= part;
	}
	return result;
}

int ayrei_file_clear_behind(int fd, uint64_t offset)
{
	struct stat status;
	int result = ayrei_file_status(fd, &status);

	if (result < 0 || (uint64_t)status.st_size <= offset)
		return result;
	result = AYREI_RESULT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                                (off_t)offset, status.st_size - (off_t)offset));
	return result == -EOPNOTSUPP
	               ? ayrei_file_write_zeros(fd, (uint64_t)status.st_size - offset, offset)
	               : result;
}

int ayrei_file_allocate_private(int fd, uint64_t size_bytes)
{
	int result = ayrei_file_may_fit(fd, size_bytes);

	if (result == 0)
		result = allocate_parts(fd, 0, size_bytes);
	return result == -EOPNOTSUPP ? ayrei_file_write_zeros(fd, size_bytes, 0) : result;
}

ssize_t ayrei_file_read_at(int fd, void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t part = AYREI_RESULT(
			pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done)));

		if (part < 0)
			return part;
		if (part == 0)
			break;
		done += (size_t)part;
	}
	return (ssize_t)done;
}

int ayrei_file_write_at(int fd, const void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t part = AYREI_RESULT(pwrite(fd, (const char *)buffer + done, length - done,
		                                   (off_t)(offset + done)));

		if (part < 0)
			return (int)part;
		done += (size_t)part;
	}
	return 0;
}

ssize_t ayrei_file_read(int fd, void *buffer, size_t length)
{
	return AYREI_RESULT(read(fd, buffer, length));
}

int64_t ayrei_file_position(int fd)
{
	return AYREI_RESULT(lseek(fd, 0, SEEK_CUR));
}

int ayrei_file_sync(int fd)
{
	return AYREI_RESULT(fsync(fd));
}

int ayrei_file_sync_bytes(int fd)
{
	return AYREI_RESULT(fdatasync(fd));
}

void ayrei_file_begin_sync(int fd, uint64_t offset, uint64_t length)
{
	(void)!sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

int ayrei_file_sync_all(int fd)
{
	return AYREI_RESULT(syncfs(fd));
}

int ayrei_file_in_memory(int fd)
{
	struct statfs status;
	int result = AYREI_RESULT(fstatfs(fd, &status));

	if (result < 0)
		return result;
	/* f_type is a signed word whose width differs between architectures. */
	switch ((uint32_t)status.f_type) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case HUGETLBFS_MAGIC:
		return 1;
	default:
		return 0;
	}
}

int ayrei_link_make(const char *target, const char *path)
{
	return AYREI_RESULT(symlink(target, path));
}

int ayrei_link_read(const char *path, char *target, size_t target_bytes)
{
	ssize_t length = AYREI_RESULT(readlink(path, target, target_bytes));

	if (length < 0)
		return (int)length;
	if ((size_t)length == target_bytes)
		return -ENAMETOOLONG;
	target[length] = '\0';
	return 0;
}

int ayrei_file_path(int fd, char *path, size_t path_bytes)
{
	char self[AYREI_SELF_BYTES];

	return ayrei_link_read(ayrei_self_path(fd, self), path, path_bytes);
}

/* Of the open file description (flock), so that it is the process's death that ends it. */
int ayrei_file_lock(int fd)
{
	return AYREI_RESULT(flock(fd, LOCK_EX));
}

int ayrei_file_try_lock(int fd)
{
	return AYREI_RESULT(flock(fd, LOCK_EX | LOCK_NB));
}

int ayrei_file_unlock(int fd)
{
	return AYREI_RESULT(flock(fd, LOCK_UN));
}

/* A lock of the open file description on the first byte. Readers cannot take it: F_WRLCK wants O_RDWR. */
static struct flock ownership(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
}

int ayrei_file_try_own(int fd)
{
	struct flock lock = ownership(F_WRLCK);
	int result = AYREI_RESULT(fcntl(fd, F_OFD_SETLK, &lock));

	return result == -EACCES || result == -EAGAIN ? -EWOULDBLOCK : result;
}

int ayrei_file_await_unowned(int fd)
{
	/* Waits for write locks only, whoever else reads. */
	struct flock lock = ownership(F_RDLCK);
	int result = AYREI_RESULT(fcntl(fd, F_OFD_SETLKW, &lock));

	lock = ownership(F_UNLCK);
	return result < 0 ? result : AYREI_RESULT(fcntl(fd, F_OFD_SETLK, &lock));
}

int ayrei_file_disown(int fd)
{
	struct flock lock = ownership(F_UNLCK);

	return AYREI_RESULT(fcntl(fd, F_OFD_SETLK, &lock));
}

int ayrei_file_is_owned(int fd)
{
	/* What a read lock would meet is a write lock; other readers' locks do not matter. */
	struct flock lock = ownership(F_RDLCK);
	int result = AYREI_RESULT(fcntl(fd, F_OFD_GETLK, &lock));

	return result < 0 ? result : lock.l_type == F_WRLCK;
}
