/*
 * The look at one segment: what stat(2) says of it, and its tag.
 *
 * Invariant: looking changes nothing. A path from another process's maps is first taken without
 * opening what is there (O_PATH), and opened only once it has proved to be a regular file, so
 * that nobody can make a device of it in between; a file that this process has open already
 * is never opened and closed again, which would end the process's own locks on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "memory/header.h"
#include "memory/list.h"
#include "sys/process.h"
#include "sys/sysv.h"

/* --- what this process has open --- */

struct ayrei_own_file {
	uint64_t inode;
	uint64_t device;
	int fd;
};

static int note_own_file(int fd, const struct stat *status, void *context)
{
	struct ayrei_own_files *own = context;

	if (!S_ISREG(status->st_mode))
		return 0;
	if (own->count == own->room) {
		size_t room = own->room ? 2 * own->room : 32;
		struct ayrei_own_file *files = reallocarray(own->files, room, sizeof(*files));

		if (!files)
			return -ENOMEM;
		own->files = files;
		own->room = room;
	}
	own->files[own->count++] = (struct ayrei_own_file){
		.inode = status->st_ino,
		.device = status->st_dev,
		.fd = fd,
	};
	return 0;
}

static int compare_own_files(const void *left, const void *right)
{
	const struct ayrei_own_file *a = left, *b = right;

	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return a->device < b->device ? -1 : a->device > b->device;
}

int ayrei_own_files_read(struct ayrei_own_files *own, struct ayrei_processes *processes)
{
	int result = ayrei_process_files(processes, 0, note_own_file, own);

	if (result == 0 && own->count)
		qsort(own->files, own->count, sizeof(*own->files), compare_own_files);
	return result;
}

/* One of the descriptors; -1: none. */
static int find_own_file(const struct ayrei_own_files *own, const struct stat *status)
{
	struct ayrei_own_file key = {.inode = status->st_ino, .device = status->st_dev};
	const struct ayrei_own_file *found =
		own->count ? bsearch(&key, own->files, own->count, sizeof(key), compare_own_files)
			   : NULL;

	return found ? found->fd : -1;
}

/* --- the look --- */

bool ayrei_look_fell_short(int result)
{
	return result == -ENOMEM || result == -EMFILE || result == -ENFILE;
}

int ayrei_look(const char *path, bool follow_link, struct stat *ret_status)
{
	int fd = ayrei_file_open(path, O_PATH | (follow_link ? 0 : O_NOFOLLOW), 0);
	int result;

	if (fd < 0)
		return fd;
	result = ayrei_file_status(fd, ret_status);
	if (result < 0) {
		ayrei_file_close(fd);
		return result;
	}
	return fd;
}

/* --- the tag --- */

static bool is_still(int fd, const struct stat *status)
{
	struct stat now;

	return ayrei_file_status(fd, &now) == 0 && now.st_ino == status->st_ino &&
	       now.st_dev == status->st_dev;
}

/* Through a descriptor that another thread may close, and have again for another file. */
static ssize_t read_borrowed(int fd, const struct stat *status, struct ayrei_segment_header *header)
{
	ssize_t got;

	if (!is_still(fd, status))
		return 0;
	got = ayrei_file_read_at(fd, header, sizeof(*header), 0);
	return is_still(fd, status) ? got : 0;
}

/* From O_PATH to a descriptor that reads, of the very same file. */
static ssize_t read_opened(int path_fd, struct ayrei_segment_header *header)
{
	char self[40];
	ayrei_auto_fd int fd = -1;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
	/* Only a file's owner may leave its time of access alone. */
	fd = ayrei_file_open(self, O_RDONLY | O_NOATIME, 0);
	if (fd == -EPERM)
		fd = ayrei_file_open(self, O_RDONLY, 0);
	return fd < 0 ? fd : ayrei_file_read_at(fd, header, sizeof(*header), 0);
}

static int set_tag(struct ayrei_list_record *record, const struct ayrei_segment_header *copy)
{
	const char *problem;

	if (ayrei_segment_header_check(copy, record->entry.size_bytes, &problem) != 1)
		return 0;
	free((char *)record->entry.tag);
	record->entry.tag = strdup(copy->tag);
	return record->entry.tag ? 0 : -ENOMEM;
}

int ayrei_look_tag(struct ayrei_list_record *record, int fd, const struct stat *status,
                   const struct ayrei_own_files *own)
{
	struct ayrei_segment_header copy;
	ssize_t got;
	int own_fd;

	if (!S_ISREG(status->st_mode) || (uint64_t)status->st_size < sizeof(copy))
		return 0;
	own_fd = find_own_file(own, status);
	got = own_fd >= 0 ? read_borrowed(own_fd, status, &copy) : read_opened(fd, &copy);
	if (got == (ssize_t)sizeof(copy))
		return set_tag(record, &copy);
	/* A file that is not for this user has no tag for this user. */
	return ayrei_look_fell_short((int)got) ? (int)got : 0;
}

/* With kernel.shm_rmid_forced, a segment goes with its last user, which we would be. */
static bool goes_with_its_last_user(void)
{
	char forced = '0';
	ayrei_auto_fd int fd = ayrei_file_open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY, 0);

	return fd >= 0 && ayrei_file_read(fd, &forced, 1) == 1 && forced != '0';
}

int ayrei_look_tag_sysv(struct ayrei_list_record *record)
{
	struct ayrei_segment_header copy;
	void *address;

	if (record->entry.size_bytes < sizeof(copy) || goes_with_its_last_user())
		return 0;
	if (ayrei_sysv_attach((int)record->entry.id, false, &address) < 0)
		return 0;
	memcpy(&copy, address, sizeof(copy));
	ayrei_sysv_detach(address);
	return set_tag(record, &copy);
}
