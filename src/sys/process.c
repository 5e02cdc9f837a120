/*
 * The processes of the machine, through /proc.
 *
 * Invariant: a process may vanish between any two calls, and that is told from every other
 * failure (-ESRCH). A file of /proc, once open, never answers for another process that has got
 * the same number since.
 */
#include "sys/process.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "sys/directory.h"
#include "sys/file.h"
#include "sys/process_maps.h"
#include "sys/result.h"

struct ayrei_processes {
	DIR *directory;
	int fd; /* of the directory */
	bool knows_ipc;
	struct stat ipc;   /* our IPC namespace */
	int64_t booted_ns; /* CLOCK_REALTIME */
	int64_t tick_ns;
	struct ayrei_maps_reader reader;
};

/* One meaning for each way that /proc has to say the same. */
static int judge(int result)
{
	if (result == -ENOENT)
		return -ESRCH;
	return result == -EPERM ? -EACCES : result;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int ayrei_processes_open(struct ayrei_processes **ret_processes)
{
	struct ayrei_processes *processes = calloc(1, sizeof(*processes));
	int result;

	if (!processes)
		return -ENOMEM;
	result = ayrei_directory_open(AT_FDCWD, "/proc", &processes->directory);
	if (result < 0) {
		free(processes);
		return result;
	}
	processes->fd = dirfd(processes->directory);
	/* A kernel without IPC namespaces has no such file, and one namespace for all. */
	processes->knows_ipc = fstatat(processes->fd, "self/ns/ipc", &processes->ipc, 0) == 0;
	processes->booted_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
	processes->tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	*ret_processes = processes;
	return 0;
}

void ayrei_processes_close(struct ayrei_processes *processes)
{
	int saved = errno;

	if (processes)
		ayrei_directory_close(processes->directory);
	free(processes);
	errno = saved;
}

pid_t ayrei_processes_next(struct ayrei_processes *processes)
{
	const struct dirent *entry;
	int result;

	while ((result = ayrei_directory_next(processes->directory, &entry)) > 0)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			return atoi(entry->d_name);
	return result;
}

static int open_file(struct ayrei_processes *processes, pid_t pid, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	return judge(AYREI_RESULT(openat(processes->fd, path, O_RDONLY | O_CLOEXEC)));
}

int ayrei_process_shared_maps(struct ayrei_processes *processes, pid_t pid,
                              int (*visit)(const struct ayrei_process_map *map, void *context),
                              void *context)
{
	int fd = open_file(processes, pid, "maps");
	int result;

	if (fd < 0)
		return fd;
	result = judge(ayrei_maps_visit(&processes->reader, fd, visit, context));
	ayrei_file_close(fd);
	return result;
}

int ayrei_process_map_status(struct ayrei_processes *processes, pid_t pid,
                             const struct ayrei_process_map *map, struct stat *ret_status)
{
	char path[80];

	snprintf(path, sizeof(path), "%d/map_files/%llx-%llx", pid, (unsigned long long)map->begin,
	         (unsigned long long)map->end);
	return judge(AYREI_RESULT(fstatat(processes->fd, path, ret_status, 0)));
}

int ayrei_process_files(struct ayrei_processes *processes, pid_t pid,
                        int (*visit)(int fd, const struct stat *status, void *context),
                        void *context)
{
	char path[32] = "thread-self/fd";
	const struct dirent *entry;
	DIR *directory;
	int result;

	if (pid)
		snprintf(path, sizeof(path), "%d/fd", pid);
	result = judge(ayrei_directory_open(processes->fd, path, &directory));
	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) > 0) {
		struct stat status;

		/* Closed since, or of a kind that has no status. */
		if (fstatat(dirfd(directory), entry->d_name, &status, 0) == -1)
			continue;
		result = visit(atoi(entry->d_name), &status, context);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return judge(result);
}

/* "pid (command) state ...": field 22 is the start; a command may hold spaces and brackets. */
static int parse_stat(char *text, struct ayrei_process_identity *identity, uint64_t *ret_ticks)
{
	char *begin = strchr(text, '('), *end = strrchr(text, ')');
	size_t length;

	if (!begin || !end || end < begin)
		return -EPROTO;
	length = (size_t)(end - begin - 1);
	if (length >= sizeof(identity->command))
		length = sizeof(identity->command) - 1;
	memset(identity->command, 0, sizeof(identity->command));
	memcpy(identity->command, begin + 1, length);
	for (int field = 2; field < 22; field++) {
		end = strchr(end + 1, ' ');
		if (!end)
			return -EPROTO;
	}
	*ret_ticks = strtoull(end + 1, NULL, 10);
	return 0;
}

int ayrei_process_identity(struct ayrei_processes *processes, pid_t pid,
                           struct ayrei_process_identity *ret_identity)
{
	struct ayrei_process_identity identity;
	struct stat status;
	char path[16], text[1024];
	uint64_t ticks;
	ssize_t got;
	int result, fd = open_file(processes, pid, "stat");

	if (fd < 0)
		return fd;
	got = ayrei_file_read(fd, text, sizeof(text) - 1);
	ayrei_file_close(fd);
	if (got < 0)
		return judge((int)got);
	text[got] = '\0';
	result = parse_stat(text, &identity, &ticks);
	if (result < 0)
		return result;
	/* The directory belongs to the effective user, whatever the process hides (proc(5)). */
	snprintf(path, sizeof(path), "%d", pid);
	result = AYREI_RESULT(fstatat(processes->fd, path, &status, 0));
	if (result < 0)
		return judge(result);
	identity.uid = status.st_uid;
	identity.started_ns = processes->booted_ns + (int64_t)ticks * processes->tick_ns;
	*ret_identity = identity;
	return 0;
}

int ayrei_process_shares_ipc(struct ayrei_processes *processes, pid_t pid)
{
	struct stat status;
	char path[32];
	int result;

	if (!processes->knows_ipc)
		return 1;
	snprintf(path, sizeof(path), "%d/ns/ipc", pid);
	result = AYREI_RESULT(fstatat(processes->fd, path, &status, 0));
	if (result < 0)
		return judge(result);
	return status.st_ino == processes->ipc.st_ino && status.st_dev == processes->ipc.st_dev;
}

bool ayrei_process_device_is_vague(int fd)
{
	struct statfs status;

	if (AYREI_RETRY(fstatfs(fd, &status)) == -1)
		return false;
	/* f_type is a signed word whose width differs between architectures. */
	return (uint32_t)status.f_type == BTRFS_SUPER_MAGIC ||
	       (uint32_t)status.f_type == OVERLAYFS_SUPER_MAGIC;
}
