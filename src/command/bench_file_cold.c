/*
 * Single pages of a file that is not in memory.
 *
 * Invariant: before each round of reads the file is evicted and mincore(2) agrees that it is; the
 * places lie so far apart that no read-ahead of one brings in another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "command/bench_file.h"
#include "command/bench_pattern.h"
#include "command/command.h"

/* A read in each, in its middle half: read-ahead by faults reaches as far both ways. */
#define SLOT_BYTES ((uint64_t)16 << 20)

#define PERCENT_LEFT 2 /* of the file may be in memory all the same */

/* --- out of memory --- */

static int64_t count_resident(const struct file_bench *bench)
{
	size_t pages = bench->size / FILE_PAGE_BYTES;
	unsigned char *there = malloc(pages);
	void *map = mmap(NULL, bench->size, PROT_READ, MAP_SHARED, bench->file.fd, 0);
	int64_t count = -1;

	if (there && map != MAP_FAILED && mincore(map, bench->size, there) == 0) {
		count = 0;
		for (size_t i = 0; i < bench->size / (size_t)sysconf(_SC_PAGESIZE); i++)
			count += there[i] & 1;
	}
	if (map != MAP_FAILED)
		munmap(map, bench->size);
	free(there);
	return count;
}

/* Clean pages that nobody has mapped; so nobody may. */
static bool evict(const struct file_bench *bench)
{
	int64_t resident;

	if (posix_fadvise(bench->file.fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		return false;
	resident = count_resident(bench);
	return resident >= 0 && (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) * 100 <=
	                                bench->size * PERCENT_LEFT;
}

static const char *unfit(void *state)
{
	struct file_bench *bench = state;

	if (ayre_segment_sync(bench->kept, 0, FILE_PAGE_BYTES, AYRE_SYNC_WAIT) == 1)
		return "the file system is in memory: its files are never cold";
	ayre_segment_close(bench->kept);
	bench->kept = NULL;
	if (!evict(bench))
		return "the file could not be evicted from the page cache (by mincore)";
	return NULL;
}

/* --- rounds of reads, a slot each --- */

/* Slots in an order that is not that of the file; the place within is random. */
static uint64_t find_place(const struct file_bench *bench, uint64_t index, uint64_t *seed)
{
	uint64_t slots = bench->size / SLOT_BYTES;
	uint64_t slot = (index * 5 + 1) % slots;
	uint64_t page = pattern_random(seed) % (SLOT_BYTES / 2 / FILE_PAGE_BYTES);

	return slot * SLOT_BYTES + SLOT_BYTES / 4 + page * FILE_PAGE_BYTES;
}

typedef ssize_t place_function(void *from, uint64_t place, void *buffer, uint64_t *sum);

/* Reads one page in each slot. Returns 0 or a negative errno. */
static int read_slots(struct file_bench *bench, place_function *read_place, void *from,
                      struct bench_sample *sample)
{
	uint64_t slots = bench->size / SLOT_BYTES, seed = bench->seed, sum = 0, expected = 0;
	int result = 0;

	for (uint64_t i = 0; i < slots; i++)
		expected +=
			pattern_expect(FILE_PAGE_BYTES, find_place(bench, i, &seed) / PATTERN_WORD,
		                       bench->file_salt);
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < slots; i++)
		if (read_place(from, find_place(bench, i, &bench->seed), bench->memory.buffer,
		               &sum) != (ssize_t)FILE_PAGE_BYTES)
			result = errno ? -errno : -EIO;
	bench_end(sample);
	if (result == 0 && sum != expected)
		result = -EBADMSG;
	return result;
}

static uint64_t count_rounds(const struct file_bench *bench, struct bench_sample *sample)
{
	uint64_t slots = bench->size / SLOT_BYTES;
	uint64_t rounds = (sample->operations + slots - 1) / slots;

	sample->operations = rounds * slots;
	return rounds;
}

/* --- by calls --- */

static ssize_t place_pread(void *from, uint64_t place, void *buffer, uint64_t *sum)
{
	ssize_t got = pread(*(const int *)from, buffer, FILE_PAGE_BYTES, (off_t)place);

	*sum += pattern_sum(buffer, FILE_PAGE_BYTES);
	return got;
}

/* Each round with a descriptor of its own: read-ahead remembers what it was used for. */
static int cold_calls(void *state, uint64_t flags, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	uint64_t rounds = count_rounds(bench, sample);
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < rounds; i++) {
		int fd = open(bench->file.path, O_RDONLY | O_CLOEXEC | (int)flags);

		if (fd < 0 && flags) {
			sample->left_out = "the file system has no O_DIRECT";
			return BENCH_LEFT_OUT;
		}
		if (fd < 0)
			return -errno;
		errno = 0;
		result = evict(bench) ? read_slots(bench, place_pread, &fd, sample) : -EBUSY;
		close(fd);
	}
	return result;
}

/* --- mapped --- */

static ssize_t place_mapped(void *from, uint64_t place, void *buffer, uint64_t *sum)
{
	(void)buffer;
	*sum += pattern_sum((const char *)from + place, FILE_PAGE_BYTES);
	return (ssize_t)FILE_PAGE_BYTES;
}

static int cold_mapped(void *state, uint64_t advice, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	uint64_t rounds = count_rounds(bench, sample);
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < rounds; i++) {
		struct ayre_segment *segment;

		result = bench_open_again(&bench->file, AYRE_SEGMENT_READ_ONLY, &segment);
		if (result < 0)
			return result;
		if (madvise(ayre_segment_data(segment), bench->size, (int)advice) == -1)
			result = -errno;
		else
			result = evict(bench) ? read_slots(bench, place_mapped,
			                                   ayre_segment_data(segment), sample)
			                      : -EBUSY;
		ayre_segment_close(segment);
	}
	return result;
}

static const struct bench_row cold_rows[] = {
	{"direct", "pread, O_DIRECT: the device", BENCH_FLOOR, cold_calls, O_DIRECT},
	{"pread", "pread", BENCH_CALLS, cold_calls, 0},
	{"mapped", "mapped", BENCH_MAPPED, cold_mapped, MADV_NORMAL},
	{"mapped_random", "mapped, MADV_RANDOM", BENCH_MAPPED, cold_mapped, MADV_RANDOM},
};

const struct bench_group bench_cold_group = {
	.name = "cold_random_read_4k",
	.title = "4K of a cold file at a random place, every byte summed",
	.unit = BENCH_TIME,
	.rows = cold_rows,
	.row_count = COUNT_OF(cold_rows),
	.unfit = unfit,
};
