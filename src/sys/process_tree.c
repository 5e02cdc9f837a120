/*
 * The tree of processes.
 */
#include "sys/process_tree.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/process.h"
#include "sys/result.h"

#define FIRST_ROOM 256

int ayrei_process_relative(pid_t pid, struct ayrei_relative *ret_relative)
{
	char path[64], text[1024], state;
	const char *rest;
	ssize_t length;
	int parent, group, fd;
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = ayrei_file_open(path, O_RDONLY, 0);
	if (fd < 0)
		return fd == -ENOENT ? -ESRCH : fd;
	length = ayrei_file_read(fd, text, sizeof(text) - 1);
	ayrei_file_close(fd);
	if (length < 0)
		return (int)length;
	text[length] = '\0';
	/* The name before it may hold anything, also parentheses. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1,
	                    " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
	                    "%*d %" SCNu64,
	                    &state, &parent, &group, &start) != 4)
		return -ESRCH;
	*ret_relative = (struct ayrei_relative){
		.pid = pid,
		.parent = parent,
		.group = group,
		.ended = state == 'Z' || state == 'X',
		.start_ticks = start,
	};
	return 0;
}

static int append(struct ayrei_relative **all, size_t *room, size_t count,
                  const struct ayrei_relative *one)
{
	struct ayrei_relative *larger = *all;

	if (count == *room) {
		*room = *room ? 2 * *room : FIRST_ROOM;
		larger = reallocarray(*all, *room, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		*all = larger;
	}
	larger[count] = *one;
	return 0;
}

/* Another namespace's has other numbers. */
static bool is_own_proc(void)
{
	char self[32];
	ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

	if (length < 0)
		return false;
	self[length] = '\0';
	return atoi(self) == getpid();
}

ssize_t ayrei_process_tree(struct ayrei_relative **ret_all)
{
	struct ayrei_processes *processes;
	struct ayrei_relative *all = NULL, one;
	size_t room = 0, count = 0;
	int result;
	pid_t pid;

	if (!is_own_proc())
		return -EXDEV;
	result = ayrei_processes_open(&processes);
	if (result < 0)
		return result;
	while (result == 0 && (pid = ayrei_processes_next(processes)) > 0) {
		if (ayrei_process_relative(pid, &one) < 0)
			continue;
		result = append(&all, &room, count, &one);
		if (result == 0)
			count++;
	}
	ayrei_processes_close(processes);
	if (result < 0) {
		free(all);
		return result;
	}
	*ret_all = all;
	return (ssize_t)count;
}
