/*
 * Starting programs: what happens between clone and exec.
 *
 * Children share the host's memory until they execute, so that a start costs the same from a
 * small host and a large one. All of them are made, and have done all that can fail before
 * exec, before the first of them executes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Where it failed; see ayrei_child_step_name(). */
enum ayrei_child_step {
	AYREI_STEP_NONE,
	AYREI_STEP_CLONE,
	AYREI_STEP_PARENT,
	AYREI_STEP_SESSION,
	AYREI_STEP_GROUP,
	AYREI_STEP_LIMIT,
	AYREI_STEP_DIRECTORY,
	AYREI_STEP_WIRE,
	AYREI_STEP_EXECUTE,
};

struct ayrei_child_wire {
	int target; /* in the child; each once */
	int source; /* in the host; the child makes its own note here */
};

struct ayrei_child_limit {
	int resource;
	struct rlimit limit;
};

enum ayrei_child_flags {
	AYREI_CHILD_NEW_GROUP = 1u << 0,
	AYREI_CHILD_NEW_SESSION = 1u << 1,
	AYREI_CHILD_DIE_WITH_PARENT = 1u << 2,
	AYREI_CHILD_JOIN_GROUP = 1u << 3,
};

struct ayrei_child {
	const char *path;
	char *const *arguments, *const *environment;
	int directory_fd; /* -1: the host's */
	struct ayrei_child_wire *wires;
	size_t wire_count;
	const struct ayrei_child_limit *limits;
	size_t limit_count;
	uint32_t flags;
	pid_t group; /* with JOIN_GROUP; 0: the first child's */
	pid_t host;  /* this process, as long as it is one */

	/* Out. The child itself writes step and code, while it shares the host's memory. */
	pid_t pid;
	int pidfd;
	enum ayrei_child_step step;
	int code; /* negative errno; 0: none */
};

/*
 * Starts all of them, or none. Returns 0, or a negative errno and in *ret_failed which one it was
 * (-ECANCELED: somebody killed it before all were ready);
 * then none is left, and of those that had executed before another failed to, none but for the
 * time it took to kill it.
 */
int ayrei_children_start(struct ayrei_child *children, size_t count, size_t *ret_failed);
/*
 * The same with something that has to be done when all are ready, and before the first of them
 * executes. If that is a negative errno, none does, and *ret_failed is count.
 */
int ayrei_children_start_after(struct ayrei_child *children, size_t count,
                               int (*last_step)(void *context), void *context, size_t *ret_failed);

/*
 * What a forked child does instead: the same preparations, for a function of the host. Returns 0,
 * or a negative errno, with child->step set. All descriptors but those that are wired are closed.
 */
int ayrei_child_prepare(struct ayrei_child *child);

/* 0: children are made by clone3(2); or what the kernel says instead. Makes none. */
int ayrei_clone_probe(void);

/* "wire": for struct ayre_error. */
const char *ayrei_child_step_name(enum ayrei_child_step step);
