/*
 * The helper program: a zygote, and the workers that it makes of itself.
 *
 *   zygote.c        loads the module, takes orders
 *   zygote_keep.c   its parent, which the host started, and which ends all of them
 *   zygote_lock.c   what it gives up before it loads
 *   zygote_serve.c  a worker: gives up the rest, answers calls
 *   zygote_crash.c  the last word of either
 *   zygote_heap.c   malloc(3), which remembers that memory was refused
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/module.h>

#include "worker/channel.h"

typedef int ayrei_module_function(const struct ayre_request *request, struct ayre_reply *reply);

struct ayrei_zygote {
	const char *module;
	uint64_t memory_bytes;
	uint64_t shared_bytes; /* that a worker maps of what the host passes, at most */
	uint32_t cpu_seconds;
	uint32_t without;
	const char *const *reads;
	size_t read_count;

	bool is_apart;     /* number 1 of a process namespace, with a user namespace of its own */
	void *handle;      /* of the module */
	int address_space; /* to be read: how much is mapped */
	int64_t mapped_bytes; /* when the module had been loaded */
	int32_t pid;
	struct ayrei_replies *word; /* its own last one */

	/* That was looked up last. */
	char function_name[AYREI_FUNCTION_BYTES];
	ayrei_module_function *function;
};

/* The module's function of this name; NULL: there is none. */
ayrei_module_function *ayrei_zygote_find(struct ayrei_zygote *zygote, const char *name);

/*
 * Makes a copy of this process, in which it returns 0: that is the zygote. The process itself becomes the keeper,
 * and does not return. Or a negative errno, in either.
 */
int ayrei_zygote_keep(struct ayrei_zygote *zygote);

/* To the host, with a descriptor or NULL; waits until it is under way. On failure it ends this process. */
void ayrei_zygote_report(const struct ayrei_report *report, const int *passed);

/* All that can be given up before the module is loaded. */
int ayrei_zygote_lock(const struct ayrei_zygote *zygote, struct ayre_error *error);

/* The rest, in a worker. */
int ayrei_zygote_lock_worker(const struct ayrei_zygote *zygote, int64_t mapped_bytes,
                             const int *keep, size_t keep_count, struct ayre_error *error);

/* In a worker, with what came with the order: does not return. */
void ayrei_zygote_serve(struct ayrei_zygote *zygote, const struct ayrei_order *order,
                        const int fds[static AYREI_ORDER_FDS]) __attribute__((noreturn));

/* On failure it ends this process. */
void *ayrei_zygote_map(int fd, size_t bytes, bool writable);

/*
 * Where the stack of this process, which has one thread, is, and in its copies will be; where that cannot be told,
 * its end is a fault as any other. Not for a copy: the C library asks the kernel for a thread whose number it
 * remembers.
 */
void ayrei_zygote_find_stack(void);
/* From now on a crash is told there, and to whom waits at this bell; -1: nobody. */
int ayrei_zygote_tell_crashes(struct ayrei_replies *replies);
void ayrei_zygote_tell_crashes_to(struct ayrei_replies *replies, int bell);

/* Was an allocation refused? */
bool ayrei_zygote_heap_is_full(void);
