/*
 * The maps of the processes: who uses which segment, and the segments that only maps tell of.
 *
 * Invariant: what a process maps is told by device and inode, never by its path. The same path
 * means another file in another mount namespace, and the path of a removed file may be a
 * new file's by now. A path is asked what is behind it, and believed if that has the map's
 * inode.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "memory/list.h"
#include "sys/directory.h"
#include "sys/process.h"

/* What the kernel puts behind the path of what is in no directory. */
#define DELETED " (deleted)"

static const char *after(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Its length without the kernel's remark; *ret_deleted: there was one. */
static size_t plain_length(const char *path, bool *ret_deleted)
{
	size_t length = strlen(path), remark = strlen(DELETED);

	*ret_deleted = length > remark && strcmp(path + length - remark, DELETED) == 0;
	return *ret_deleted ? length - remark : length;
}

/* What a map's name says that it is; 0: no segment. */
static enum ayre_backing backing_of(const char *path)
{
	const char *name = after(path, AYREI_LIST_SHM);
	bool deleted;

	plain_length(path, &deleted);
	if (path[0] != '/' || after(path, "/proc/") || after(path, "/sys/"))
		return 0;
	if (name)
		return strchr(name, '/') ? AYRE_BACKING_FILE : AYRE_BACKING_SHM;
	if (!deleted)
		return AYRE_BACKING_FILE;
	if (after(path, "/SYSV"))
		return AYRE_BACKING_SYSV;
	if (after(path, AYREI_LIST_MEMFD))
		return AYRE_BACKING_MEMFD;
	/* The kernel's own memory: "/dev/zero", "/anon_hugepage", "/[aio]", "/i915" and others. */
	return after(path, "/dev/") || !strchr(path + 1, '/') ? 0 : AYRE_BACKING_FILE;
}

/* --- met in the maps of a process --- */

static int set_file_name(struct ayrei_list_record *record, const char *path, size_t length)
{
	size_t directory = strlen(AYREI_LIST_SHM);

	if (record->entry.backing == AYRE_BACKING_SHM)
		return ayrei_list_set_name(record, "shm:", path + directory, length - directory);
	return ayrei_list_set_name(record, "file:", path, length);
}

static bool is_behind(const struct ayrei_process_map *map, int fd, const struct stat *status)
{
	return status->st_ino == map->inode &&
	       (status->st_dev == map->device || ayrei_process_device_is_vague(fd));
}

/* 0: the segment is what is at this path. -ENOENT: it is not. */
static int try_path(struct ayrei_list_search *search, struct ayrei_list_record *record,
                    const struct ayrei_process_map *map, const char *path)
{
	struct stat status;
	ayrei_auto_fd int fd = ayrei_look(path, false, &status);
	int result;

	if (fd < 0)
		return fd == -ENOTDIR ? -ENOENT : fd;
	if (!is_behind(map, fd, &status))
		return -ENOENT;
	ayrei_list_set_status(record, &status);
	record->entry.removed = false;
	record->ignored = !S_ISREG(status.st_mode);
	result = ayrei_look_tag(record, fd, &status, &search->own);
	return result < 0 ? result : set_file_name(record, path, strlen(path));
}

/*
 * Whoever made a file with O_TMPFILE sees it as "#INODE (deleted)", also when it has got a name
 * since, as ayre's segments do (link(2)). The name is in the same directory, if anywhere.
 */
static int try_directory(struct ayrei_list_search *search, struct ayrei_list_record *record,
                         const struct ayrei_process_map *map)
{
	int length = (int)(strrchr(map->path, '/') + 1 - map->path);
	char path[PATH_MAX], unnamed[48];
	const struct dirent *entry;
	DIR *directory;
	int result, found = -ENOENT;

	snprintf(unnamed, sizeof(unnamed), "#%" PRIu64 DELETED, map->inode);
	if (strcmp(map->path + length, unnamed) != 0 || length >= PATH_MAX)
		return -ENOENT;
	snprintf(path, sizeof(path), "%.*s", length, map->path);
	result = ayrei_directory_open(AT_FDCWD, path, &directory);
	if (result < 0)
		return result;
	while (found == -ENOENT && (result = ayrei_directory_next(directory, &entry)) > 0) {
		if (entry->d_ino != map->inode ||
		    snprintf(path + length, sizeof(path) - (size_t)length, "%s", entry->d_name) >=
		            PATH_MAX - length)
			continue;
		found = try_path(search, record, map, path);
	}
	ayrei_directory_close(directory);
	return result < 0 ? result : found;
}

/* No path of ours leads to it: it was removed, or is in another mount namespace. */
static int meet_unreachable(struct ayrei_list_record *record, const char *path, int why)
{
	bool deleted;
	size_t length = plain_length(path, &deleted);

	/* Who may not look cannot tell. */
	record->entry.removed = deleted || why == -ENOENT;
	/* Devices, "/dmabuf:" and the like are no files. */
	if (!deleted)
		record->ignored = record->entry.backing == AYRE_BACKING_FILE &&
		                  (!strchr(path + 1, '/') ||
		                   (after(path, "/dev/") && !after(path, AYREI_LIST_SHM)));
	return set_file_name(record, path, length);
}

static int meet_file(struct ayrei_list_search *search, struct ayrei_list_record *record,
                     const struct ayrei_process_map *map)
{
	int result = try_path(search, record, map, map->path);

	if (result == -ENOENT)
		result = try_directory(search, record, map);
	if (result == 0 || ayrei_look_fell_short(result))
		return result;
	return meet_unreachable(record, map->path, result);
}

/* What has no name by the path of one process may have one by another's: link(2). */
static int reconsider(struct ayrei_list_search *search, struct ayrei_list_record *record,
                      const struct ayrei_process_map *map)
{
	bool deleted;
	int result;

	plain_length(map->path, &deleted);
	if (deleted || ayrei_list_is_at(record, map->path))
		return 0;
	result = try_path(search, record, map, map->path);
	return ayrei_look_fell_short(result) ? result : 0;
}

static int meet(struct ayrei_list_search *search, const struct ayrei_process_map *map,
                enum ayre_backing backing, const struct ayrei_list_identity *identity,
                struct ayrei_list_record **ret_record)
{
	struct ayrei_list_record *record = ayrei_list_add(search->list, backing, identity);
	bool deleted;

	if (!record)
		return -ENOMEM;
	record->entry.device = map->device;
	record->entry.inode = map->inode;
	*ret_record = record;
	if (backing == AYRE_BACKING_MEMFD)
		return ayrei_list_set_name(record, "", map->path + 1,
		                           plain_length(map->path, &deleted) - 1);
	return meet_file(search, record, map);
}

/* What has no path is looked at through one of its users. */
static void study(struct ayrei_list_search *search, struct ayrei_list_record *record,
                  const struct ayrei_process_map *map)
{
	uint64_t reach = map->offset + (map->end - map->begin);
	struct stat status;
	int result = -EACCES;

	/* The least that can be said, if nothing else can. */
	if (reach > record->entry.size_bytes)
		record->entry.size_bytes = reach;
	if (!search->no_map_files)
		result = ayrei_process_map_status(search->processes, search->pid, map, &status);
	if (result == 0 && status.st_ino == map->inode) {
		ayrei_list_set_status(record, &status);
		record->ignored = !S_ISREG(status.st_mode);
		return;
	}
	search->no_map_files = search->no_map_files || result == -EACCES;
	search->puzzled = true;
}

static int try_descriptor(int fd, const struct stat *status, void *context)
{
	struct ayrei_list_search *search = context;
	struct ayrei_list_identity identity = {.device = status->st_dev, .inode = status->st_ino};
	struct ayrei_list_record *record = ayrei_list_find(search->list, &identity, NULL);

	(void)fd;
	if (record && !record->known && S_ISREG(status->st_mode))
		ayrei_list_set_status(record, status);
	return 0;
}

/* --- the users --- */

static int identify(struct ayrei_list_search *search)
{
	struct ayrei_process_identity identity;
	int result;

	if (search->user.pid)
		return 0;
	result = ayrei_process_identity(search->processes, search->pid, &identity);
	if (result < 0)
		return result;
	search->user = (struct ayre_segment_user){
		.pid = search->pid,
		.uid = identity.uid,
		.started_ns = identity.started_ns,
	};
	memcpy(search->user.command, identity.command, sizeof(search->user.command));
	return 0;
}

static bool shares_ipc(struct ayrei_list_search *search)
{
	if (search->shares_ipc < 0)
		search->shares_ipc = ayrei_process_shares_ipc(search->processes, search->pid) == 1;
	return search->shares_ipc;
}

static int add_use(struct ayrei_list_search *search, struct ayrei_list_record *record,
                   const struct ayrei_process_map *map)
{
	struct ayre_segment_entry *entry = &record->entry;
	struct ayre_segment_user *user;

	/* The table has forgotten the key of a removed segment, its maps have not. */
	if (record->identity.sysv && entry->removed && entry->user_count == 0) {
		const char *key = map->path + strlen("/SYSV");
		int result = ayrei_list_set_name(record, "sysv:0x", key, strcspn(key, " "));

		if (result < 0)
			return result;
	}
	user = ayrei_list_user(record, &search->user);
	if (!user)
		return -ENOMEM;
	user->mapped_bytes += map->end - map->begin;
	user->writable = user->writable || map->writable;
	if (!record->identity.sysv)
		entry->attached_count++;
	return 0;
}

static int visit_map(const struct ayrei_process_map *map, void *context)
{
	struct ayrei_list_search *search = context;
	enum ayre_backing backing = backing_of(map->path);
	struct ayrei_list_identity identity = {
		.sysv = backing == AYRE_BACKING_SYSV,
		.device = map->device,
		.inode = map->inode,
	};
	struct ayrei_list_record *record = ayrei_list_find(search->list, &identity, map->path);
	int result;

	if (!record && (search->one_only || identity.sysv || !(search->backings & 1u << backing)))
		return 0;
	if ((record && record->ignored) || (identity.sysv && !shares_ipc(search)))
		return 0;
	result = identify(search);
	if (result == 0 && !record)
		result = meet(search, map, backing, &identity, &record);
	else if (result == 0 && record->entry.removed && !identity.sysv)
		result = reconsider(search, record, map);
	if (result < 0)
		return result;
	if (!record->known && !record->ignored)
		study(search, record, map);
	return record->ignored ? 0 : add_use(search, record, map);
}

int ayrei_list_look_into(struct ayrei_list_search *search, pid_t pid)
{
	int result;

	search->pid = pid;
	search->user.pid = 0;
	search->user.mapped_bytes = 0;
	search->shares_ipc = -1;
	search->puzzled = false;
	result = ayrei_process_shared_maps(search->processes, pid, visit_map, search);
	if (result == -EACCES) {
		search->list->unseen++;
		return 0;
	}
	if (result == 0 && search->puzzled) {
		result = ayrei_process_files(search->processes, pid, try_descriptor, search);
		if (result == -EACCES)
			return 0;
	}
	/* Gone meanwhile. */
	return result == -ESRCH ? 0 : result;
}
