/*
 * The helper program: a zygote, and the workers that it makes of itself.
 *
 *   zygote.c        loads the module, takes orders
 *   zygote_lock.c   what it gives up before it loads
 *   zygote_serve.c  a worker: gives up the rest, answers calls
 *   zygote_crash.c  the last word of either
 *   zygote_heap.c   malloc(3), which remembers that memory was refused
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/channel.h"

struct ayrei_zygote {
	const char *module;
	uint64_t memory_bytes;
	uint32_t cpu_seconds;
	uint32_t without;
	const char *const *reads;
	size_t read_count;

	void *handle;      /* of the module */
	int address_space; /* to be read: how much is mapped */
	int32_t pid;
	const struct ayrei_requests *requests;
	struct ayrei_replies *replies;
	size_t requests_bytes, replies_bytes; /* of the files */
};

/* All that can be given up before the module is loaded. */
int ayrei_zygote_lock(const struct ayrei_zygote *zygote, struct ayre_error *error);

/* In a worker: does not return. call: the number that is not to be served. */
void ayrei_zygote_serve(const struct ayrei_zygote *zygote, uint64_t call) __attribute__((noreturn));

/* From now on a crash is told there. */
int ayrei_zygote_tell_crashes(struct ayrei_replies *replies);

/* Was an allocation refused? */
bool ayrei_zygote_heap_is_full(void);
