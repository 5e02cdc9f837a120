/*
 * Child processes: a program, its descriptors, its end.
 *
 * Starting one costs the same from a small host and from one with gigabytes
 * resident, and it tells which step failed. The host notices nothing of it: no
 * signal handler, no wait for children that are not ayre's, no setting changed,
 * no descriptor that another thread's child could inherit. Safe in a host with threads.
 *
 * What a child gets, unless the options say otherwise: the host's environment and
 * directory, its descriptors 0, 1 and 2 (where the host has one of them closed: one that
 * fails to be read and written), and no other. No signal is blocked in it; those that
 * the host ignores stay ignored (so nohup(1) works), but for SIGPIPE, SIGXFSZ and
 * SIGCHLD, whose meaning programs rely on.
 *
 * No shell takes part: nothing has to be quoted, and a file without #! that is no
 * program is an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* A child process that this handle owns. */
struct ayre_process;

/* One descriptor of the child. Any may be wired to any, also when they cross. */
struct ayre_wire {
	int child_fd; /* its number there: 0 or more */
	int host_fd;  /* borrowed; -1: none, and a read or write of it fails with EBADF */
};

/* setrlimit(2) in the child, and so for all that it starts. */
struct ayre_limit {
	int resource; /* RLIMIT_... */
	uint64_t soft;
	uint64_t hard; /* UINT64_MAX (RLIM_INFINITY): none */
};

enum ayre_process_flags {
	/* A process group of its own, which signals can be sent to and which leaves the terminal's. */
	AYRE_PROCESS_NEW_GROUP = 1u << 0,
	/* A session of its own, without a terminal; and so a group. */
	AYRE_PROCESS_NEW_SESSION = 1u << 1,
	/*
	 * Killed when the thread that started it ends, as the kernel has it
	 * (PR_SET_PDEATHSIG): start it from a thread that lives as long as the host.
	 * A set-user-ID program drops it.
	 */
	AYRE_PROCESS_DIE_WITH_PARENT = 1u << 2,
};

struct ayre_process_options {
	size_t size;
	/*
	 * The program; NULL: the first argument. With a slash: a path (relative to
	 * @directory). Without: looked for in the PATH of the child's environment.
	 */
	const char *program;
	/* NAME=VALUE strings and a NULL; borrowed; NULL: the host's environment as it is now. */
	const char *const *environment;
	const char *directory; /* NULL: the host's */
	/* Descriptors beside, or instead of, the host's 0, 1 and 2. */
	const struct ayre_wire *wires;
	size_t wire_count;
	const struct ayre_limit *limits;
	size_t limit_count;
	uint32_t flags; /* enum ayre_process_flags */
};

/**
 * ayre_process_start() - start a program
 * @options: borrowed; NULL means all zero
 * @arguments: its argument vector, from its own name to a NULL; borrowed
 * @ret_process: to be closed with ayre_process_close()
 *
 * When it returns 0 the program runs: its file was found and taken by the kernel.
 *
 * Returns 0, or a negative errno, and @error says which step failed on what. The
 * steps: "find" (-ENOENT: no such program, -EACCES: no permission, or it is a directory,
 * -ENOEXEC: no program), "arguments" (-E2BIG), "directory", "wire" (-EBADF),
 * "limit", "group", "session", "parent" (-ESRCH: the host was gone), "clone" (-EAGAIN: no processes
 * are left), "execute". Since 0.1.
 */
int ayre_process_start(const struct ayre_process_options *options, const char *const *arguments,
                       struct ayre_process **ret_process, struct ayre_error *error) AYRE_MUST_CHECK;

/** ayre_process_pid() - its number; it stays its own until its end has been waited for */
pid_t ayre_process_pid(const struct ayre_process *process);

/**
 * ayre_process_fd() - the descriptor to wait with: readable (POLLIN) when it has ended
 *
 * A pidfd; borrowed, close-on-exec. Since 0.1.
 */
int ayre_process_fd(const struct ayre_process *process) AYRE_MUST_CHECK;

/**
 * ayre_process_signal() - send it a signal
 *
 * Never to a process that took its number after it. May be called while another thread
 * waits. Returns 0, -ESRCH if it has ended, or another negative errno of kill(2). Since 0.1.
 */
int ayre_process_signal(struct ayre_process *process, int signal_number) AYRE_MUST_CHECK;

/**
 * ayre_process_signal_group() - to its whole group, where it has one of its own; else -EINVAL
 *
 * On Linux 6.9 or newer also to what is left of the group after its own end. Since 0.1.
 */
int ayre_process_signal_group(struct ayre_process *process, int signal_number) AYRE_MUST_CHECK;

enum ayre_outcome {
	AYRE_OUTCOME_RUNNING = 0,
	AYRE_OUTCOME_EXITED = 1,   /* by itself: status */
	AYRE_OUTCOME_SIGNALED = 2, /* by a signal: signal_number */
	/* A stage of a pipeline that could not be started, or was not because another could not. */
	AYRE_OUTCOME_NOT_STARTED = 3,
	/*
	 * It ended, but the host took the news (it ignores SIGCHLD, or waits for all
	 * children), and the kernel is older than 6.15 and does not tell twice.
	 */
	AYRE_OUTCOME_LOST = 4,
};

/* How it ended and what it used. Set size; no field beyond it is touched. */
struct ayre_process_end {
	size_t size;
	enum ayre_outcome outcome;
	int status;        /* of exit(2), 0 to 255 */
	int signal_number; /* that ended it */
	bool dumped_core;
	int64_t started_ns; /* CLOCK_MONOTONIC */
	int64_t ended_ns;   /* CLOCK_MONOTONIC, when it was noticed; 0: it runs */
	/* The following are -1 where they cannot be known. With those of its children it waited for. */
	int64_t user_ns;
	int64_t system_ns;
	/*
	 * Peak resident memory. The kernel counts from the size that the host had,
	 * so of a child that stayed smaller it is not known: -1.
	 */
	int64_t max_rss_bytes;
	int64_t read_bytes;    /* by read(2) and its kin from any descriptor, as /proc/PID/io */
	int64_t written_bytes; /* likewise; splice(2), mmap(2) and sockets' calls are not among them */
	int64_t voluntary_switches;   /* it waited */
	int64_t involuntary_switches; /* it was made to wait */
};

/**
 * ayre_process_wait() - wait for its end
 * ayre_process_try_wait() - the same without waiting
 * ayre_process_wait_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @ret_end: may be NULL
 *
 * May be called again; it then tells the same.
 *
 * Returns 0, -EAGAIN (try: it runs), -ETIMEDOUT. Since 0.1.
 */
int ayre_process_wait(struct ayre_process *process, struct ayre_process_end *ret_end)
	AYRE_MUST_CHECK;
int ayre_process_try_wait(struct ayre_process *process, struct ayre_process_end *ret_end)
	AYRE_MUST_CHECK;
int ayre_process_wait_until(struct ayre_process *process, int64_t deadline_ns,
                            struct ayre_process_end *ret_end) AYRE_MUST_CHECK;

/**
 * ayre_process_close() - let go of it
 *
 * One that still runs is killed (SIGKILL; with its group, if it has one of its own)
 * and waited for, so that no zombie stays. NULL does nothing. Since 0.1.
 */
void ayre_process_close(struct ayre_process *process);

AYRE_END_DECLARATIONS
