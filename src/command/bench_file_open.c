/*
 * Files that are opened, read once and closed: where a map has no time to pay.
 *
 * Invariant: each row opens the file by the same path, sums every byte, closes it; and the sum is
 * compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/bench_file.h"
#include "command/bench_pattern.h"
#include "command/command.h"

/* One file from open to close. The floor has no sum to give. */
typedef int once_function(const struct file_bench *bench, const struct bench_small *small,
                          uint64_t *sum);

static int repeat(once_function *once, const struct file_bench *bench, uint64_t index, bool sums,
                  struct bench_sample *sample)
{
	const struct bench_small *small = &bench->small[index];
	uint64_t sum = 0, expected = pattern_expect(small->size, 0, small->size);
	int result = 0;

	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = once(bench, small, &sum);
	bench_end(sample);
	if (result < 0)
		return result;
	return !sums || sum == expected * sample->operations ? 0 : -EBADMSG;
}

static int once_open(const struct file_bench *bench, const struct bench_small *small, uint64_t *sum)
{
	int fd = open(small->file.path, O_RDONLY | O_CLOEXEC);

	(void)bench;
	(void)sum;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int once_read(const struct file_bench *bench, const struct bench_small *small, uint64_t *sum)
{
	int fd = open(small->file.path, O_RDONLY | O_CLOEXEC), result = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	/* To the end: a program does not know that there is no more. */
	while ((got = read(fd, bench->memory.buffer, BENCH_BUFFER_BYTES)) > 0)
		*sum += pattern_sum(bench->memory.buffer, (size_t)got);
	if (got < 0)
		result = -errno;
	close(fd);
	return result;
}

static int once_mmap(const struct file_bench *bench, const struct bench_small *small, uint64_t *sum)
{
	int fd = open(small->file.path, O_RDONLY | O_CLOEXEC), result = 0;
	struct stat status = {0};
	void *data = MAP_FAILED;

	(void)bench;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0)
		data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		result = -errno;
	} else {
		*sum += pattern_sum(data, (size_t)status.st_size);
		munmap(data, (size_t)status.st_size);
	}
	close(fd);
	return result;
}

static int once_ayre(const struct file_bench *bench, const struct bench_small *small, uint64_t *sum)
{
	struct ayre_segment *segment;
	int result = bench_open_again(&small->file, AYRE_SEGMENT_READ_ONLY, &segment);

	(void)bench;
	if (result < 0)
		return result;
	*sum += pattern_sum(ayre_segment_data(segment), ayre_segment_size(segment));
	ayre_segment_close(segment);
	return 0;
}

static int measure_open(void *state, uint64_t index, struct bench_sample *sample)
{
	return repeat(once_open, state, index, false, sample);
}

static int measure_read(void *state, uint64_t index, struct bench_sample *sample)
{
	return repeat(once_read, state, index, true, sample);
}

static int measure_mmap(void *state, uint64_t index, struct bench_sample *sample)
{
	return repeat(once_mmap, state, index, true, sample);
}

static int measure_ayre(void *state, uint64_t index, struct bench_sample *sample)
{
	return repeat(once_ayre, state, index, true, sample);
}

#define SMALL_ROWS(index) \
	{ \
		{"open", "open, close", BENCH_FLOOR, measure_open, index}, \
			{"read", "open, read, close", BENCH_CALLS, measure_read, index}, \
			{"mmap", "open, mmap, munmap, close", BENCH_MAPPED, measure_mmap, index}, \
			{"ayre", "ayre_segment_open, _close", BENCH_MAPPED, measure_ayre, index}, \
	}

static const struct bench_row small_4k_rows[] = SMALL_ROWS(0);
static const struct bench_row small_64k_rows[] = SMALL_ROWS(1);

const struct bench_group bench_small_4k_group = {
	.name = "small_file_4k",
	.title = "A small file read once: 4K, every byte summed",
	.unit = BENCH_TIME,
	.rows = small_4k_rows,
	.row_count = COUNT_OF(small_4k_rows),
};

const struct bench_group bench_small_64k_group = {
	.name = "small_file_64k",
	.title = "A small file read once: 64K, every byte summed",
	.unit = BENCH_TIME,
	.rows = small_64k_rows,
	.row_count = COUNT_OF(small_64k_rows),
};
