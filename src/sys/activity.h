/*
 * What one process is doing, and how full its pipes are, seen from outside through /proc.
 * Every verb returns zero or more, or a negative errno, of which two are about the process:
 * -ESRCH, it is gone; -EACCES, this user may not look into it (it is set-uid, say).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that is looked at, and the files of /proc that are kept open for that. */
struct ayrei_activity {
	pid_t pid;
	int directory;
	int files[4]; /* stat, schedstat, io, syscall; below 0: not open */
};

/* Never answers for another process that has got the same number since. */
int ayrei_activity_open(pid_t pid, struct ayrei_activity *ret_activity);
/* May be called again, and on one that is all zeros but for directory -1. Keeps errno. */
void ayrei_activity_close(struct ayrei_activity *activity);

/* What keeps it from running. */
enum ayrei_blocked {
	AYREI_BLOCKED_NOT,    /* it runs, or waits for a processor only, or is about to */
	AYREI_BLOCKED_HIDDEN, /* this user may not know */
	AYREI_BLOCKED_READ,   /* until there is something to read from a descriptor */
	AYREI_BLOCKED_WRITE,  /* until there is room to write to a descriptor */
	AYREI_BLOCKED_EITHER, /* poll, splice, a lock: its pipes tell more than it does */
	AYREI_BLOCKED_CHILD,  /* until a child of its own ends */
	AYREI_BLOCKED_ELSE,   /* by itself: asleep, on a disk, stopped */
};

struct ayrei_activity_look {
	char state; /* as proc(5) has it: R, S, D, T, t, Z, X */
	enum ayrei_blocked blocked;
	int fd; /* of READ and WRITE */
	/* Of all its threads and of children that it has waited for, since each began. */
	int64_t cpu_ns;
	int64_t delay_ns; /* ready but without a processor; of the first thread only */
	/* By all its calls of read and write, also those of children waited for; -1: hidden. */
	int64_t read_bytes;
	int64_t written_bytes;
};

/* -ESRCH also for one that has ended and is not yet waited for. */
int ayrei_activity_look(struct ayrei_activity *activity, struct ayrei_activity_look *ret_look);

/* Its living children, at most `most`; returns how many. -ENOENT: this kernel does not tell. */
int ayrei_activity_children(const struct ayrei_activity *activity, pid_t *children, int most);

/* 1: this descriptor of the process is the pipe of that inode; 0: it is something else. */
int ayrei_activity_is_pipe(const struct ayrei_activity *activity, int fd, uint64_t inode);

/*
 * Bytes in the pipe behind a descriptor of the process; -ENODEV if it is not the pipe of that
 * inode. Either end will do. A reading end is open meanwhile, for some microseconds: a writer may
 * find that much later that the last reader has gone. There is never a writing one.
 */
ssize_t ayrei_activity_pipe_fill(const struct ayrei_activity *activity, int fd, uint64_t inode,
                                 uint64_t *ret_capacity_bytes);
