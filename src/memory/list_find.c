/*
 * Finding the segments of the machine.
 *
 * First what has a name, mapped or not: the kernel's System V table and /dev/shm, or the one
 * segment that was asked for. Then every process: a shared map of something known is a use of
 * it, and any other shared map of a file is a segment that is met for the first time.
 *
 * Invariant: the list is a caller's only when all of this succeeded; whatever a step fails of,
 * but for processes and files that vanish or are not for this user, ends the search.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "memory/list.h"
#include "memory/name.h"
#include "sys/directory.h"
#include "sys/process.h"
#include "sys/sysv.h"

#define ALL_BACKINGS \
	(1u << AYRE_BACKING_SYSV | 1u << AYRE_BACKING_SHM | 1u << AYRE_BACKING_FILE | \
	 1u << AYRE_BACKING_MEMFD)

/* --- System V --- */

static int add_sysv(struct ayrei_list_search *search, const struct ayrei_sysv_status *status)
{
	struct ayrei_list_identity identity = {.sysv = true, .inode = (uint64_t)status->id};
	struct ayrei_list_record *record =
		ayrei_list_add(search->list, AYRE_BACKING_SYSV, &identity);
	struct ayre_segment_entry *entry;
	char key[16];

	if (!record)
		return -ENOMEM;
	entry = &record->entry;
	entry->removed = status->removed;
	entry->size_bytes = status->size_bytes;
	entry->resident_bytes = status->resident_bytes;
	entry->mode = status->mode;
	entry->uid = status->uid;
	entry->gid = status->gid;
	entry->key = (uint32_t)status->key;
	entry->id = status->id;
	entry->attached_count = status->attached_count;
	entry->changed_ns = status->changed_ns;
	record->known = true;
	snprintf(key, sizeof(key), "%08x", (unsigned int)status->key);
	return ayrei_list_set_name(record, "sysv:0x", key, strlen(key));
}

static int find_sysv(struct ayrei_list_search *search)
{
	struct ayrei_sysv_status *table;
	ssize_t count = ayrei_sysv_table(&table);
	int result = 0;

	/* A kernel without System V, or a /proc that shows processes only. */
	if (count == -ENOENT)
		return 0;
	if (count < 0)
		return ayrei_fail(search->error, (int)count, "read", "/proc/sysvipc/shm", NULL);
	for (ssize_t i = 0; result == 0 && i < count; i++)
		result = add_sysv(search, &table[i]);
	free(table);
	return result < 0 ? ayrei_fail(search->error, result, "list", "System V", NULL) : 0;
}

static int find_sysv_named(struct ayrei_list_search *search, const struct ayrei_segment_name *name)
{
	struct ayrei_sysv_status status;
	int result, id = ayrei_sysv_find(name->key);

	if (id < 0)
		return ayrei_fail(search->error, id, "shmget", name->given, NULL);
	result = ayrei_sysv_look_up(id, &status);
	/* Removed since. */
	if (result == -EIDRM)
		result = -ENOENT;
	if (result == 0)
		result = add_sysv(search, &status);
	if (result == 0)
		result = ayrei_look_tag_sysv(search->list->records[0]);
	return result < 0 ? ayrei_fail(search->error, result, "shmctl", name->given, NULL) : 0;
}

/* --- files --- */

static int name_file(struct ayrei_list_record *record, const char *path)
{
	size_t length = strlen(path), directory = strlen(AYREI_LIST_SHM);

	switch (record->entry.backing) {
	case AYRE_BACKING_SHM:
		return ayrei_list_set_name(record, "shm:", path + directory, length - directory);
	case AYRE_BACKING_MEMFD:
		/* It never was in a directory, so it is not removed either. */
		record->entry.removed = false;
		return ayrei_list_set_name(record, "", path + 1, length - 1 - strlen(" (deleted)"));
	default:
		return ayrei_list_set_name(record, "file:", path, length);
	}
}

static int add_file(struct ayrei_list_search *search, enum ayre_backing backing, const char *path,
                    int fd, const struct stat *status)
{
	struct ayrei_list_identity identity = {.device = status->st_dev, .inode = status->st_ino};
	struct ayrei_list_record *record;
	int result;

	/* Two names (link(2)) for one segment: it goes by the first. */
	if (ayrei_list_find(search->list, &identity, NULL))
		return 0;
	record = ayrei_list_add(search->list, backing, &identity);
	if (!record)
		return -ENOMEM;
	ayrei_list_set_status(record, status);
	record->vague = ayrei_process_device_is_vague(fd);
	result = name_file(record, path);
	return result < 0 ? result : ayrei_look_tag(record, fd, status, &search->own);
}

static int find_posix_file(struct ayrei_list_search *search, const char *name)
{
	char path[sizeof(AYREI_LIST_SHM) + NAME_MAX];
	struct stat status;
	ayrei_auto_fd int fd = -1;

	snprintf(path, sizeof(path), "%s%s", AYREI_LIST_SHM, name);
	fd = ayrei_look(path, false, &status);
	/* Removed since. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (!S_ISREG(status.st_mode))
		return 0;
	return add_file(search, AYRE_BACKING_SHM, path, fd, &status);
}

static int find_posix(struct ayrei_list_search *search)
{
	const struct dirent *entry;
	DIR *directory;
	int result = ayrei_directory_open(AT_FDCWD, AYREI_LIST_SHM, &directory);

	/* No directory, no segments. */
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return ayrei_fail(search->error, result, "open", AYREI_LIST_SHM, NULL);
	while ((result = ayrei_directory_next(directory, &entry)) > 0) {
		result = find_posix_file(search, entry->d_name);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result < 0 ? ayrei_fail(search->error, result, "read", AYREI_LIST_SHM, NULL) : 0;
}

static int find_file_named(struct ayrei_list_search *search, const struct ayrei_segment_name *name)
{
	bool is_file = name->backing == AYRE_BACKING_FILE;
	struct stat status;
	ayrei_auto_fd int fd = ayrei_look(name->path, is_file, &status);
	char path[PATH_MAX];
	int result;

	if (fd < 0)
		return ayrei_fail(search->error, fd, "open", name->given, NULL);
	if (S_ISDIR(status.st_mode))
		return ayrei_fail(search->error, -EISDIR, "open", name->given, NULL);
	if (S_ISLNK(status.st_mode))
		return ayrei_fail(search->error, -ELOOP, "open", name->given, NULL);
	if (!S_ISREG(status.st_mode))
		return ayrei_fail(search->error, -ENODEV, "open", name->given,
		                  "not a regular file, so it cannot be a segment");
	/* As maps call it, and so a list of everything: absolute, without links. */
	if (!is_file || ayrei_file_path(fd, path, sizeof(path)) < 0)
		strcpy(path, name->path);
	/* By way of /proc/PID/fd: an anonymous segment. */
	if (strncmp(path, AYREI_LIST_MEMFD, strlen(AYREI_LIST_MEMFD)) == 0)
		result = add_file(search, AYRE_BACKING_MEMFD, path, fd, &status);
	else
		result = add_file(search, name->backing, path, fd, &status);
	return result < 0 ? ayrei_fail(search->error, result, "list", name->given, NULL) : 0;
}

/* --- all of it --- */

static int find_named(struct ayrei_list_search *search, const char *text)
{
	struct ayrei_segment_name name;
	int result = ayrei_segment_name_parse(text, &name, search->error);

	if (result < 0)
		return result;
	search->one_only = true;
	if (name.backing == AYRE_BACKING_SYSV)
		return find_sysv_named(search, &name);
	return find_file_named(search, &name);
}

static bool wants(const struct ayrei_list_search *search, enum ayre_backing backing)
{
	return search->backings & 1u << backing;
}

static int find_all(struct ayrei_list_search *search)
{
	int result = 0;

	if (wants(search, AYRE_BACKING_SYSV))
		result = find_sysv(search);
	if (result == 0 && wants(search, AYRE_BACKING_SHM))
		result = find_posix(search);
	return result;
}

static int find_users(struct ayrei_list_search *search)
{
	pid_t pid;

	while ((pid = ayrei_processes_next(search->processes)) > 0) {
		int result = ayrei_list_look_into(search, pid);

		if (result < 0)
			return ayrei_fail(search->error, result, "maps", "/proc", "process %d",
			                  (int)pid);
	}
	return pid < 0 ? ayrei_fail(search->error, pid, "read", "/proc", NULL) : 0;
}

static int find(struct ayrei_list_search *search, const char *name)
{
	int result = ayrei_own_files_read(&search->own, search->processes);

	if (result < 0)
		return ayrei_fail(search->error, result, "descriptors", "/proc", NULL);
	result = name ? find_named(search, name) : find_all(search);
	if (result == 0)
		result = find_users(search);
	if (result == 0)
		ayrei_list_finish(search->list);
	return result;
}

static int copy_options(const struct ayre_segment_list_options *given,
                        struct ayre_segment_list_options *copy)
{
	int result = ayrei_options_copy(copy, sizeof(*copy), given);

	return result == 0 && copy->backings & ~ALL_BACKINGS ? -EINVAL : result;
}

int ayre_segment_list_new(const struct ayre_segment_list_options *options,
                          struct ayre_segment_list **ret_list, struct ayre_error *error)
{
	struct ayre_segment_list_options wanted;
	struct ayrei_list_search search = {.error = error};
	int result = copy_options(options, &wanted);

	if (result < 0)
		return ayrei_fail(error, result, "options", "segments",
		                  "the size field is not set, or a backing is unknown");
	search.backings = wanted.backings ? wanted.backings : ALL_BACKINGS;
	search.list = calloc(1, sizeof(*search.list));
	if (!search.list)
		return ayrei_fail(error, -ENOMEM, "list", "segments", NULL);
	result = ayrei_processes_open(&search.processes);
	if (result < 0)
		ayrei_fail(error, result, "open", "/proc", NULL);
	else
		result = find(&search, wanted.name);
	ayrei_processes_close(search.processes);
	free(search.own.files);
	if (result < 0) {
		ayre_segment_list_free(search.list);
		return result;
	}
	*ret_list = search.list;
	return 0;
}
