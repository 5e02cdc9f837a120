/*
 * What a map costs before it gives anything: the first touch of its pages, one by one.
 *
 * Invariant: each row looks at the first word of every page, in order, and their sum is compared.
 * The row that reads gets the whole pages all the same, as read(2) has no other way.
 */
#include <errno.h>
#include <unistd.h>

#include "command/bench_file.h"
#include "command/bench_pattern.h"
#include "command/command.h"

#define PAGE_WORDS (FILE_PAGE_BYTES / PATTERN_WORD)

static uint64_t walk(const void *data, uint64_t bytes)
{
	const uint64_t *words = data;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / PATTERN_WORD; i += PAGE_WORDS)
		sum += words[i];
	return sum;
}

static uint64_t expect_walk(uint64_t bytes, uint64_t salt)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / PATTERN_WORD; i += PAGE_WORDS)
		sum += pattern_word(i, salt);
	return sum;
}

/* Whole walks; an operation is a page of them. */
static uint64_t count_walks(const struct file_bench *bench, struct bench_sample *sample)
{
	uint64_t pages = bench->size / FILE_PAGE_BYTES;
	uint64_t walks = (sample->operations + pages - 1) / pages;

	sample->operations = walks * pages;
	return walks;
}

static int touch_memory(void *state, uint64_t argument, struct bench_sample *sample)
{
	const struct file_bench *bench = state;
	uint64_t walks = count_walks(bench, sample), wrong = 0;
	uint64_t expected = expect_walk(bench->size, bench->memory.salt);

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < walks; i++)
		wrong |= walk(bench->memory.bytes, bench->size) ^ expected;
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static int touch_read(void *state, uint64_t part, struct bench_sample *sample)
{
	const struct file_bench *bench = state;
	uint64_t walks = count_walks(bench, sample), sum = 0;
	uint64_t expected = walks * expect_walk(bench->size, bench->file_salt);
	ssize_t got = (ssize_t)part;

	bench_begin(sample);
	for (uint64_t i = 0; got == (ssize_t)part && i < walks * (bench->size / part); i++) {
		got = pread(bench->file.fd, bench->memory.buffer, part,
		            (off_t)(i * part % bench->size));
		sum += walk(bench->memory.buffer, part);
	}
	bench_end(sample);
	if (got != (ssize_t)part)
		return got < 0 ? -errno : -EIO;
	return sum == expected ? 0 : -EBADMSG;
}

static int touch_mapped(void *state, uint64_t flags, struct bench_sample *sample)
{
	const struct file_bench *bench = state;
	uint64_t walks = count_walks(bench, sample), wrong = 0;
	uint64_t expected = expect_walk(bench->size, bench->file_salt);

	bench_begin(sample);
	for (uint64_t i = 0; i < walks; i++) {
		struct ayre_segment *segment;
		int result = bench_open_again(&bench->file, (uint32_t)flags, &segment);

		if (result < 0)
			return result;
		wrong |= walk(ayre_segment_data(segment), bench->size) ^ expected;
		ayre_segment_close(segment);
	}
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static int touch_shared(void *state, uint64_t argument, struct bench_sample *sample)
{
	const struct file_bench *bench = state;
	uint64_t walks = count_walks(bench, sample), wrong = 0;
	uint64_t expected = expect_walk(bench->size, bench->shared_salt);

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < walks; i++) {
		struct ayre_segment *segment;
		int result = bench_open_shared_again(bench, &segment);

		if (result < 0)
			return result;
		wrong |= walk(ayre_segment_data(segment), bench->size) ^ expected;
		ayre_segment_close(segment);
	}
	bench_end(sample);
	return wrong ? -EBADMSG : 0;
}

static const struct bench_row touch_rows[] = {
	{"memory", "memory, touched long ago", BENCH_FLOOR, touch_memory, 0},
	{"read_64k", "read, buffer of 64K", BENCH_CALLS, touch_read, (uint64_t)64 << 10},
	{"read_1m", "read, buffer of 1M", BENCH_CALLS, touch_read, (uint64_t)1 << 20},
	{"mapped", "mapped, touched, unmapped", BENCH_MAPPED, touch_mapped, AYRE_SEGMENT_READ_ONLY},
	{"mapped_populated", "the same, populated first", BENCH_MAPPED, touch_mapped,
         AYRE_SEGMENT_READ_ONLY | AYRE_SEGMENT_POPULATE},
	{"shared", "shared memory, likewise", BENCH_MEMORY, touch_shared, 0},
};

const struct bench_group bench_touch_group = {
	.name = "first_touch",
	.title = "First touch of a warm file, per page: one word of each is looked at",
	.unit = BENCH_TIME,
	.rows = touch_rows,
	.row_count = COUNT_OF(touch_rows),
};
