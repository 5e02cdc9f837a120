/*
 * Confinement: a process gives up everything it does not need, before it runs code or reads bytes
 * that nobody has to trust.
 *
 * It is made of layers. Each is tried, and what holds afterwards is told; a layer that has to
 * hold and cannot is an error. None needs a privilege, and none can be taken back.
 *
 *   no-new-privs   exec gives nothing that the process does not have
 *   undumpable     no process of the same user can look into it, trace it, or take its descriptors
 *   capabilities   none are left, also of root's
 *   descriptors    all are closed but those that are kept
 *   landlock       no file, no TCP, no abstract socket, no signal to others, as far as the kernel's
 *                  Landlock can forbid it
 *   limits         of memory, of processor time, of files written; no new descriptor, process,
 *                  locked memory or message queue, no core file
 *   seccomp        a list of some forty system calls, for its own memory, its descriptors and
 *                  waiting; every other one ends the process
 *   namespaces     no mounts but an empty directory, no System V objects, host names or control
 *                  groups of others, where the kernel gives user namespaces to ordinary users
 *   code           writable memory never becomes executable (Linux 6.3; seccomp forbids it too)
 *
 * A process counts as confined if all of them hold but the last two and Landlock: what these
 * three forbid the system call list forbids as well. They stand behind it, for the day when it
 * has a hole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* In the order in which they are laid, but for the last two, which are told last. */
enum ayre_layer {
	AYRE_LAYER_NO_NEW_PRIVS = 1u << 0,
	AYRE_LAYER_UNDUMPABLE = 1u << 1,
	AYRE_LAYER_CAPABILITIES = 1u << 2,
	AYRE_LAYER_DESCRIPTORS = 1u << 3,
	AYRE_LAYER_LANDLOCK = 1u << 4,
	AYRE_LAYER_LIMITS = 1u << 5,
	AYRE_LAYER_SECCOMP = 1u << 6,
	AYRE_LAYER_NAMESPACES = 1u << 7,
	AYRE_LAYER_CODE = 1u << 8,
};

#define AYRE_LAYER_COUNT 9

/* Those that have to hold, unless the caller says otherwise. */
#define AYRE_LAYERS_MANDATORY \
	(AYRE_LAYER_NO_NEW_PRIVS | AYRE_LAYER_UNDUMPABLE | AYRE_LAYER_CAPABILITIES | \
	 AYRE_LAYER_DESCRIPTORS | AYRE_LAYER_LANDLOCK | AYRE_LAYER_LIMITS | AYRE_LAYER_SECCOMP)

/* Those without which a process does not count as confined. */
#define AYRE_LAYERS_CONFINED (AYRE_LAYERS_MANDATORY & ~AYRE_LAYER_LANDLOCK)

/* What holds, or would. */
struct ayre_posture {
	size_t size;     /* sizeof(struct ayre_posture) */
	uint32_t layers; /* enum ayre_layer, those that hold */
	bool confined;   /* they are enough */
	/* Of Landlock: 1 or more; 0: there is none. The higher, the more it forbids. */
	int32_t landlock_abi;
	/*
	 * By the number of the layer's bit: 0 if it holds, or the negative errno that it failed
	 * with.
	 */
	int32_t codes[AYRE_LAYER_COUNT];
};

enum ayre_confine_flags {
	/*
	 * A forbidden system call raises SIGSYS (sigaction(2), si_syscall) instead of ending the
	 * process.
	 */
	AYRE_CONFINE_REPORT = 1u << 0,
};

struct ayre_confine_options {
	size_t size; /* sizeof(struct ayre_confine_options) */
	/* Layers that need not hold: enum ayre_layer. They are tried all the same. */
	uint32_t without;
	/* Layers that have to hold besides the mandatory ones: AYRE_LAYER_NAMESPACES, _CODE. */
	uint32_t require;
	uint32_t flags; /* enum ayre_confine_flags */
	/*
	 * Descriptors that stay open, in any order; borrowed. All others are closed, 0 to 2 among
	 * them.
	 */
	const int *keep;
	size_t keep_count;
	/*
	 * Address space that it may map from now on, bytes; 0: 1 GiB. UINT64_MAX: no limit, which is
	 * the only one that needs no /proc.
	 */
	uint64_t memory_bytes;
	/* The size to which it may write a file; 0: none. Pipes and sockets have no size. */
	uint64_t file_bytes;
	/* Processor time in all, before and after, after which the kernel kills it; 0: no limit. */
	uint32_t cpu_seconds;
};

/**
 * ayre_confine() - give up everything but memory, time, and the descriptors that are kept
 * @options: borrowed; NULL: all zero, which keeps no descriptor
 * @ret_posture: what holds now; may be NULL; its size has to be set
 * @error: which layer failed, and why; may be NULL
 *
 * For a process that has one thread, and that loaded all it needs: nothing can be opened, started
 * or loaded afterwards. What remains are reading and writing the descriptors that were kept,
 * memory that is not executable, futexes, clocks, sleep, randomness, and exit. malloc(3), stdio
 * on a kept descriptor, and the functions of the C library that touch nothing outside go on
 * working; those that try files, terminals or threads get the error that a machine without them
 * would give.
 *
 * It cannot be undone, and it is not undone if it fails: then the process has lost some of it, and
 * should end. A second call would be a forbidden one.
 *
 * Returns 0, or a negative errno: -EBUSY if there are other threads, -EBADF if a descriptor to be
 * kept is not open, -EINVAL for unknown layers or flags; or what the mandatory layer failed with,
 * whose name is in the error: -ENOSYS or -EOPNOTSUPP where the kernel has no such thing, -EPERM
 * where it is forbidden. Since 0.1.
 */
int ayre_confine(const struct ayre_confine_options *options, struct ayre_posture *ret_posture,
                 struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_posture_probe() - find out which layers this kernel gives to this user
 * @ret_posture: its size has to be set
 * @error: may be NULL
 *
 * Makes a child that confines itself with all layers it can get and tells, and waits for it;
 * about a millisecond. The caller's own child signals and waits do not see it.
 *
 * Returns 0, or a negative errno: -EINVAL without a size, -EAGAIN or -ENOMEM if no process could be
 * made, -EPIPE if it was killed before it could tell. Since 0.1.
 */
int ayre_posture_probe(struct ayre_posture *ret_posture, struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_layer_name() - a layer's name
 * @layer: one of enum ayre_layer
 *
 * Returns "landlock" and so on; NULL if there is no such layer. Since 0.1.
 */
const char *ayre_layer_name(uint32_t layer);

/**
 * ayre_layer_by_name() - the layer with a name
 * @name: borrowed
 *
 * Returns one of enum ayre_layer, or -EINVAL. Since 0.1.
 */
int ayre_layer_by_name(const char *name) AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
