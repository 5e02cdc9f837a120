/*
 * The floors of memory: what one processor copies, reads and writes here when nobody is in
 * the way. For every benchmark.
 */
#pragma once

#include "command/bench.h"

#define BENCH_BUFFER_BYTES ((size_t)1 << 20)

struct bench_memory {
	void *bytes; /* large, private, touched, on huge pages where they can be had */
	size_t size; /* far more than the caches hold */
	uint64_t salt;
	void *buffer; /* BENCH_BUFFER_BYTES, for anything */
};

/* Returns 0 or -ENOMEM, and then nothing is left to be let go. */
int bench_memory_init(struct bench_memory *memory, size_t size);
void bench_memory_fini(struct bench_memory *memory);

/* Whole memory once per operation; each byte is written or read. */
int bench_memory_fill(struct bench_memory *memory, struct bench_sample *sample);
int bench_memory_sum(struct bench_memory *memory, struct bench_sample *sample);

/* All of them, as bytes per second; an operation is BENCH_BUFFER_BYTES. Its state is a bench_memory. */
extern const struct bench_group bench_memory_group;
