/*
 * The warm file read: from end to end, at random, and touched for the first time.
 *
 * Invariant: whatever a row reads it sums, every byte unless its label says otherwise, and the
 * sum is compared. Random rows of a group read the same sequence of places.
 */
#include <errno.h>
#include <unistd.h>

#include "command/bench_file.h"
#include "command/bench_pattern.h"
#include "command/command.h"

/* --- from end to end --- */

static int sum_memory(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	(void)argument;
	return bench_memory_sum(&bench->memory, sample);
}

static int read_pass(struct file_bench *bench, size_t part, uint64_t *ret_sum)
{
	void *buffer = bench->memory.buffer;
	ssize_t got;

	*ret_sum = 0;
	if (lseek(bench->file.fd, 0, SEEK_SET) == -1)
		return -errno;
	while ((got = read(bench->file.fd, buffer, part)) > 0)
		*ret_sum += pattern_sum(buffer, (size_t)got);
	return got < 0 ? -errno : 0;
}

static int read_calls(void *state, uint64_t part, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	uint64_t expected = pattern_expect(bench->size, 0, bench->file_salt), wrong = 0, sum;
	int result = 0;

	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++) {
		result = read_pass(bench, part, &sum);
		wrong |= sum ^ expected;
	}
	bench_end(sample);
	if (result < 0)
		return result;
	return wrong ? -EBADMSG : 0;
}

/* A map that stays: only what is done with it counts. */
static int read_kept(struct ayre_segment *segment, uint64_t salt, struct bench_sample *sample)
{
	size_t size = ayre_segment_size(segment);
	uint64_t expected = pattern_expect(size, 0, salt), wrong = 0;

	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++)
		wrong |= pattern_sum(ayre_segment_data(segment), size) ^ expected;
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static int read_map_kept(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	(void)argument;
	return read_kept(bench->kept, bench->file_salt, sample);
}

static int read_shared_kept(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	(void)argument;
	return read_kept(bench->shared, bench->shared_salt, sample);
}

static int read_map_anew(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	uint64_t expected = pattern_expect(bench->size, 0, bench->file_salt), wrong = 0;

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		struct ayre_segment *segment;
		int result = bench_open_again(&bench->file, AYRE_SEGMENT_READ_ONLY, &segment);

		if (result < 0)
			return result;
		wrong |= pattern_sum(ayre_segment_data(segment), bench->size) ^ expected;
		ayre_segment_close(segment);
	}
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static int read_shared_anew(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	uint64_t expected = pattern_expect(bench->size, 0, bench->shared_salt), wrong = 0;

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		struct ayre_segment *segment;
		int result = bench_open_shared_again(bench, &segment);

		if (result < 0)
			return result;
		wrong |= pattern_sum(ayre_segment_data(segment), bench->size) ^ expected;
		ayre_segment_close(segment);
	}
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static const struct bench_row sequential_rows[] = {
	{"memory", "memory, summed", BENCH_FLOOR, sum_memory, 0},
	{"read_4k", "read, buffer of 4K", BENCH_CALLS, read_calls, (uint64_t)4 << 10},
	{"read_64k", "read, buffer of 64K", BENCH_CALLS, read_calls, (uint64_t)64 << 10},
	{"read_1m", "read, buffer of 1M", BENCH_CALLS, read_calls, (uint64_t)1 << 20},
	{"mapped_anew", "mapped for each pass", BENCH_MAPPED, read_map_anew, 0},
	{"mapped_kept", "mapped once for all", BENCH_MAPPED, read_map_kept, 0},
	{"shared_anew", "shared memory, for each pass", BENCH_MEMORY, read_shared_anew, 0},
	{"shared_kept", "shared memory, once for all", BENCH_MEMORY, read_shared_kept, 0},
};

const struct bench_group bench_sequential_read_group = {
	.name = "sequential_read",
	.title = "A warm file read from end to end, every byte summed",
	.unit = BENCH_BANDWIDTH,
	.rows = sequential_rows,
	.row_count = COUNT_OF(sequential_rows),
};

/* --- at random --- */

/* Sums length bytes at places that do not depend on what is read; all places are multiples of it. */
static uint64_t sum_places(const char *data, uint64_t size, size_t length, uint64_t seed,
                           uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += pattern_sum(data + pattern_random(&seed) % (size / length) * length, length);
	return sum;
}

static uint64_t expect_places(uint64_t size, size_t length, uint64_t seed, uint64_t count,
                              uint64_t salt)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t place = pattern_random(&seed) % (size / length);

		sum += pattern_expect(length, place * (length / PATTERN_WORD), salt);
	}
	return sum;
}

static int random_map(const struct file_bench *bench, const void *data, uint64_t salt,
                      size_t length, struct bench_sample *sample)
{
	uint64_t sum;

	bench_begin(sample);
	sum = sum_places(data, bench->size, length, sample->operations, sample->operations);
	bench_end(sample);
	return sum == expect_places(bench->size, length, sample->operations, sample->operations,
	                            salt)
	               ? 0
	               : -EBADMSG;
}

static int random_memory(void *state, uint64_t length, struct bench_sample *sample)
{
	const struct file_bench *bench = state;

	return random_map(bench, bench->memory.bytes, bench->memory.salt, length, sample);
}

static int random_mapped(void *state, uint64_t length, struct bench_sample *sample)
{
	const struct file_bench *bench = state;

	return random_map(bench, ayre_segment_data(bench->kept), bench->file_salt, length, sample);
}

static int random_shared(void *state, uint64_t length, struct bench_sample *sample)
{
	const struct file_bench *bench = state;

	return random_map(bench, ayre_segment_data(bench->shared), bench->shared_salt, length,
	                  sample);
}

static int random_calls(void *state, uint64_t length, struct bench_sample *sample)
{
	const struct file_bench *bench = state;
	uint64_t seed = sample->operations, sum = 0;
	void *buffer = bench->memory.buffer;
	ssize_t got = (ssize_t)length;

	bench_begin(sample);
	for (uint64_t i = 0; got == (ssize_t)length && i < sample->operations; i++) {
		uint64_t place = pattern_random(&seed) % (bench->size / length);

		got = pread(bench->file.fd, buffer, length, (off_t)(place * length));
		sum += pattern_sum(buffer, length);
	}
	bench_end(sample);
	if (got != (ssize_t)length)
		return got < 0 ? -errno : -EIO;
	return sum == expect_places(bench->size, length, sample->operations, sample->operations,
	                            bench->file_salt)
	               ? 0
	               : -EBADMSG;
}

#define RANDOM_ROWS(length) \
	{ \
		{"memory", "memory, summed", BENCH_FLOOR, random_memory, length}, \
			{"pread", "pread", BENCH_CALLS, random_calls, length}, \
			{"mapped", "mapped once for all", BENCH_MAPPED, random_mapped, length}, \
			{"shared", "shared memory, once for all", BENCH_MEMORY, random_shared, \
		         length}, \
	}

static const struct bench_row random_4k_rows[] = RANDOM_ROWS(4096);
static const struct bench_row random_64_rows[] = RANDOM_ROWS(64);

const struct bench_group bench_random_4k_group = {
	.name = "random_read_4k",
	.title = "4K of a warm file at a random place, every byte summed",
	.unit = BENCH_TIME,
	.rows = random_4k_rows,
	.row_count = COUNT_OF(random_4k_rows),
};

const struct bench_group bench_random_64_group = {
	.name = "random_read_64",
	.title = "64 bytes of a warm file at a random place, every byte summed",
	.unit = BENCH_TIME,
	.rows = random_64_rows,
	.row_count = COUNT_OF(random_64_rows),
};
