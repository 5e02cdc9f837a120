/*
 * What one process is doing, through /proc.
 *
 * Invariant: nothing here touches the process. Its files of /proc are kept open, for opening
 * costs more than reading; of its pipes no end is held beyond a call, and no writing end ever
 * opened, so whoever waits for the end of a stream is not kept waiting.
 */
#include "sys/activity.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/activity_call.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/result.h"

enum { STAT, SCHEDSTAT, IO, SYSCALL, FILES };

static const char *const file_names[FILES] = {"stat", "schedstat", "io", "syscall"};

/* One meaning for each way that /proc has to say the same. */
static int judge(int result)
{
	if (result == -ENOENT)
		return -ESRCH;
	return result == -EPERM ? -EACCES : result;
}

int ayrei_activity_open(pid_t pid, struct ayrei_activity *ret_activity)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = AYREI_RESULT(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd < 0)
		return judge(fd);
	*ret_activity = (struct ayrei_activity){pid, fd, {-1, -1, -1, -1}};
	return 0;
}

void ayrei_activity_close(struct ayrei_activity *activity)
{
	if (activity->directory < 0)
		return;
	activity->directory = ayrei_file_close(activity->directory);
	for (int i = 0; i < FILES; i++)
		activity->files[i] = ayrei_file_close(activity->files[i]);
}

/* The whole of a short file of /proc, with a NUL behind it. */
static int read_kept(struct ayrei_activity *activity, int which, char *text, size_t text_bytes)
{
	int *fd = &activity->files[which];
	ssize_t got;

	if (*fd < 0) {
		*fd = AYREI_RESULT(
			openat(activity->directory, file_names[which], O_RDONLY | O_CLOEXEC));
		if (*fd < 0)
			return *fd;
	}
	got = AYREI_RESULT(pread(*fd, text, text_bytes - 1, 0));
	if (got < 0)
		return (int)got;
	text[got] = '\0';
	return 0;
}

/* From stat, which counts all threads, but in ticks. */
struct ticks {
	int64_t own;
	int64_t children; /* that it has waited for */
};

/* "pid (command) state ...": a command may hold spaces and brackets. Fields as in proc(5). */
static int parse_stat(const char *text, char *ret_state, struct ticks *ret_ticks)
{
	const char *at = strrchr(text, ')');
	long fields[18];

	if (!at || at[1] != ' ' || !at[2])
		return -EPROTO;
	*ret_state = at[2];
	at += 3;
	for (int field = 4; field <= 17; field++) {
		char *end;

		fields[field] = strtol(at, &end, 10);
		if (end == at)
			return -EPROTO;
		at = end;
	}
	/* User and system. */
	*ret_ticks = (struct ticks){fields[14] + fields[15], fields[16] + fields[17]};
	return 0;
}

/*
 * schedstat is of the first thread alone, but in nanoseconds. So the larger is nearer, and the only
 * one where a kernel has no schedstat.
 */
static void read_times(struct ayrei_activity *activity, const struct ticks *ticks,
                       struct ayrei_activity_look *look)
{
	int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	char text[96], *end;
	long ran_ns;

	look->cpu_ns = ticks->own * tick_ns;
	if (read_kept(activity, SCHEDSTAT, text, sizeof(text)) == 0) {
		ran_ns = strtol(text, &end, 10);
		look->delay_ns = strtol(end, NULL, 10);
		if (ran_ns > look->cpu_ns)
			look->cpu_ns = ran_ns;
	}
	look->cpu_ns += ticks->children * tick_ns;
}

/* "rchar: 1\nwchar: 2\n..." */
static void read_bytes(struct ayrei_activity *activity, struct ayrei_activity_look *look)
{
	char text[256], *end;

	look->read_bytes = look->written_bytes = -1;
	if (read_kept(activity, IO, text, sizeof(text)) < 0 || strncmp(text, "rchar: ", 7) != 0)
		return;
	look->read_bytes = strtol(text + 7, &end, 10);
	if (strncmp(end, "\nwchar: ", 8) == 0)
		look->written_bytes = strtol(end + 8, NULL, 10);
}

/* "running", "-1 stack code", or "number 0x.. (six arguments) stack code". */
static void read_call(struct ayrei_activity *activity, struct ayrei_activity_look *look)
{
	char text[256], *end;
	long number;

	look->blocked = AYREI_BLOCKED_HIDDEN;
	if (read_kept(activity, SYSCALL, text, sizeof(text)) < 0)
		return;
	look->blocked = AYREI_BLOCKED_NOT;
	number = strtol(text, &end, 10);
	if (end == text)
		return;
	look->blocked = ayrei_activity_call(number);
	look->fd = (int)strtol(end, NULL, 16);
}

/*
 * A disk makes it wait uninterruptibly, but so does, for moments, a neighbour that is copying into or
 * out of the very same pipe.
 */
static void read_block(struct ayrei_activity *activity, struct ayrei_activity_look *look)
{
	look->blocked = AYREI_BLOCKED_ELSE;
	if (look->state != 'S' && look->state != 'D')
		return;
	read_call(activity, look);
	if (look->state == 'D' && look->blocked != AYREI_BLOCKED_NOT &&
	    look->blocked != AYREI_BLOCKED_READ && look->blocked != AYREI_BLOCKED_WRITE)
		look->blocked = AYREI_BLOCKED_ELSE;
}

int ayrei_activity_look(struct ayrei_activity *activity, struct ayrei_activity_look *ret_look)
{
	struct ayrei_activity_look look = {.fd = -1};
	struct ticks ticks = {0};
	char text[1024];
	int result = read_kept(activity, STAT, text, sizeof(text));

	if (result == 0)
		result = parse_stat(text, &look.state, &ticks);
	if (result < 0)
		return judge(result);
	if (look.state == 'Z' || look.state == 'X')
		return -ESRCH;
	read_times(activity, &ticks, &look);
	read_bytes(activity, &look);
	if (look.state != 'R')
		read_block(activity, &look);
	*ret_look = look;
	return 0;
}

int ayrei_activity_children(const struct ayrei_activity *activity, pid_t *children, int most)
{
	char path[48], text[1024], *at = text, *end;
	int fd, count = 0;
	ssize_t got;

	snprintf(path, sizeof(path), "task/%d/children", activity->pid);
	fd = AYREI_RESULT(openat(activity->directory, path, O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	got = ayrei_file_read(fd, text, sizeof(text) - 1);
	ayrei_file_close(fd);
	if (got < 0)
		return (int)got;
	text[got] = '\0';
	while (count < most) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		children[count++] = (pid_t)pid;
		at = end;
	}
	return count;
}

static bool is_that_pipe(const struct stat *status, uint64_t inode)
{
	return S_ISFIFO(status->st_mode) && status->st_ino == inode;
}

int ayrei_activity_is_pipe(const struct ayrei_activity *activity, int fd, uint64_t inode)
{
	struct stat status;
	char path[24];
	int result;

	snprintf(path, sizeof(path), "fd/%d", fd);
	result = AYREI_RESULT(fstatat(activity->directory, path, &status, 0));
	if (result < 0)
		return judge(result);
	return is_that_pipe(&status, inode);
}

static ssize_t fill_of(int fd, uint64_t inode, uint64_t *ret_capacity_bytes)
{
	struct stat status;
	ssize_t capacity, fill;
	int result = ayrei_file_status(fd, &status);

	if (result < 0)
		return result;
	if (!is_that_pipe(&status, inode))
		return -ENODEV;
	capacity = ayrei_pipe_capacity(fd);
	if (capacity < 0)
		return capacity;
	fill = ayrei_pipe_fill(fd);
	if (fill >= 0)
		*ret_capacity_bytes = (uint64_t)capacity;
	return fill;
}

ssize_t ayrei_activity_pipe_fill(const struct ayrei_activity *activity, int fd, uint64_t inode,
                                 uint64_t *ret_capacity_bytes)
{
	char path[24];
	ssize_t fill;
	int pipe, result = ayrei_activity_is_pipe(activity, fd, inode);

	/* Opening can have effects, on a tape or a terminal: so only what is known to be a pipe. */
	if (result <= 0)
		return result < 0 ? result : -ENODEV;
	snprintf(path, sizeof(path), "fd/%d", fd);
	pipe = AYREI_RESULT(
		openat(activity->directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	if (pipe < 0)
		return judge(pipe);
	/* Again: it may have become another one meanwhile. */
	fill = fill_of(pipe, inode, ret_capacity_bytes);
	ayrei_file_close(pipe);
	return fill;
}
