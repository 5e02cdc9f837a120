/*
 * The floors of memory.
 *
 * Invariant: bytes holds the pattern of salt whenever no function of this file runs.
 */
#include "command/bench_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "command/bench_pattern.h"
#include "command/command.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HOT_BYTES       ((size_t)64 << 10) /* twice: within a second-level cache */
#define HOT_TIMES       (BENCH_BUFFER_BYTES / HOT_BYTES)

int bench_memory_init(struct bench_memory *memory, size_t size)
{
	memory->size = size;
	memory->salt = 1;
	memory->bytes = aligned_alloc(HUGE_PAGE_BYTES, size);
	memory->buffer = aligned_alloc(HUGE_PAGE_BYTES, HUGE_PAGE_BYTES);
	if (!memory->bytes || !memory->buffer) {
		bench_memory_fini(memory);
		return -ENOMEM;
	}
	/* A floor is the best there is; without huge pages it is a little less. */
	(void)!madvise(memory->bytes, size, MADV_HUGEPAGE);
	pattern_fill(memory->bytes, size, 0, memory->salt);
	memset(memory->buffer, 0, BENCH_BUFFER_BYTES);
	return 0;
}

void bench_memory_fini(struct bench_memory *memory)
{
	free(memory->bytes);
	free(memory->buffer);
	memory->bytes = NULL;
	memory->buffer = NULL;
}

int bench_memory_fill(struct bench_memory *memory, struct bench_sample *sample)
{
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++)
		pattern_fill(memory->bytes, memory->size, 0, ++memory->salt);
	bench_end(sample);
	if (pattern_sum(memory->bytes, memory->size) !=
	    pattern_expect(memory->size, 0, memory->salt))
		return -EBADMSG;
	return 0;
}

int bench_memory_sum(struct bench_memory *memory, struct bench_sample *sample)
{
	uint64_t expected = pattern_expect(memory->size, 0, memory->salt), wrong = 0;

	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++)
		wrong |= pattern_sum(memory->bytes, memory->size) ^ expected;
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

/* --- the group: an operation is a buffer's worth --- */

/* Whole passes only. */
static void count_passes(struct bench_sample *sample, size_t bytes)
{
	uint64_t pass = bytes / BENCH_BUFFER_BYTES;

	sample->operations = (sample->operations + pass - 1) / pass * pass;
}

static int copy_hot(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct bench_memory *memory = state;
	char *from = memory->buffer, *to = from + BENCH_BUFFER_BYTES / 2;

	(void)argument;
	pattern_fill(from, HOT_BYTES, 0, memory->salt);
	memset(to, 0, HOT_BYTES);
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations * HOT_TIMES; i++) {
		memcpy(to, from, HOT_BYTES);
		/* Or the compiler would see that once is enough. */
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	bench_end(sample);
	if (pattern_sum(to, HOT_BYTES) != pattern_expect(HOT_BYTES, 0, memory->salt))
		return -EBADMSG;
	return 0;
}

static int copy_cold(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct bench_memory *memory = state;
	size_t half = memory->size / 2;
	char *from = memory->bytes, *to = from + half;

	(void)argument;
	count_passes(sample, half);
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i += half / BENCH_BUFFER_BYTES) {
		memcpy(to, from, half);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	bench_end(sample);
	if (pattern_sum(to, half) != pattern_expect(half, 0, memory->salt))
		return -EBADMSG;
	pattern_fill(to, half, half / PATTERN_WORD, memory->salt);
	return 0;
}

/* The same functions, counted in buffers instead of passes. */
static int in_buffers(int (*measure)(struct bench_memory *, struct bench_sample *),
                      struct bench_memory *memory, struct bench_sample *sample)
{
	uint64_t pass = memory->size / BENCH_BUFFER_BYTES;
	int result;

	count_passes(sample, memory->size);
	sample->operations /= pass;
	result = measure(memory, sample);
	sample->operations *= pass;
	return result;
}

static int sum_all(void *state, uint64_t argument, struct bench_sample *sample)
{
	(void)argument;
	return in_buffers(bench_memory_sum, state, sample);
}

static int fill_all(void *state, uint64_t argument, struct bench_sample *sample)
{
	(void)argument;
	return in_buffers(bench_memory_fill, state, sample);
}

static const struct bench_row rows[] = {
	{"memcpy_hot", "memcpy, 64K within the caches", BENCH_FLOOR, copy_hot, 0},
	{"memcpy_cold", "memcpy, beyond the caches", BENCH_FLOOR, copy_cold, 0},
	{"sum", "sum: every byte read", BENCH_FLOOR, sum_all, 0},
	{"fill", "fill: every byte written", BENCH_FLOOR, fill_all, 0},
};

const struct bench_group bench_memory_group = {
	.name = "memory",
	.title = "Memory: what one processor can do at all",
	.unit = BENCH_BANDWIDTH,
	.rows = rows,
	.row_count = COUNT_OF(rows),
};
