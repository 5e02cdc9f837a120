/*
 * Processes that were started, and others that are theirs, as verbs on pidfds. Every one returns
 * zero or more, or a negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor for a process that may be anybody's. -ESRCH: it is gone. */
int ayrei_child_open(pid_t pid);
/* A zombie takes it too. */
int ayrei_child_signal(int pidfd, int number);
/* To the group that it leads, also if that is all that is left. Never to another that got its number. */
int ayrei_child_signal_group(int pidfd, pid_t pid, int number);

struct ayrei_child_end {
	int status; /* of exit(2), or the signal */
	bool signaled, dumped_core;
	bool lost; /* somebody else reaped it and the kernel does not tell twice */
	/* -1: not known, because somebody else reaped it */
	int64_t user_ns, system_ns, max_rss_bytes, voluntary_switches, involuntary_switches;
};

/*
 * Tells how it ended, and leaves it to be reaped; -EAGAIN: it runs. If the host has taken the
 * news, the kernel is asked what it remembers (Linux 6.15).
 */
int ayrei_child_look(int pidfd, struct ayrei_child_end *ret_end);

/* Waits for its end, if need be, and lets go of its number. */
void ayrei_child_reap(int pidfd);

/* Kills and reaps a child that there is no pidfd of. */
void ayrei_child_abandon(pid_t pid);

/*
 * A copy of the calling thread, in a process that neither SIGCHLD nor the host's waits tell of. 0: this
 * is it, and it may call nothing that other threads could hold a lock of.
 */
pid_t ayrei_child_fork(void);
/* The same with a descriptor for it, and its end told by SIGCHLD, as other children's. */
pid_t ayrei_child_fork_watched(int *ret_pidfd);
/* Reaps a child that has ended, and says which, and what wait(2) says of it. -EAGAIN: all run. */
pid_t ayrei_child_take_any(int *ret_status, int64_t *ret_cpu_ns, int64_t *ret_max_rss_bytes);
/* What wait(2) says, taken apart. */
void ayrei_child_read_status(int status, struct ayrei_child_end *end);
/* A message of up to PIPE_BUF bytes for its parent. A failure is told by silence. */
void ayrei_child_tell(int fd, const void *message, size_t length);
/* Its end: a message of up to PIPE_BUF bytes for its parent, by two system calls. */
void ayrei_child_exit_telling(int fd, const void *message, size_t length) __attribute__((noreturn));
/* Its end, without a word. */
void ayrei_child_exit(int status) __attribute__((noreturn));
/* Waits until it has ended: what wait(2) says of it. */
int ayrei_child_await(pid_t pid);

/* The processor time that a process has used so far. Needs /proc. */
int64_t ayrei_child_cpu_ns(int pidfd);

/*
 * Waits until it runs no more of its program: stopped by a signal, or dead. Of a process of one thread. Needs
 * /proc. 0, or -ETIMEDOUT.
 */
int ayrei_child_await_stop(int pidfd, int64_t deadline_ns);

/* What its calls read and wrote, until it is reaped. */
int ayrei_child_bytes(pid_t pid, int64_t *ret_read, int64_t *ret_written);

/* The most that this process has had resident, bytes. */
int64_t ayrei_own_max_rss(void);
