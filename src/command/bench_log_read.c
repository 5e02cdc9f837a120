/*
 * ayre bench log, what reads: all of a log that is in the page cache, and single messages out of it.
 *
 * Invariant: each sample reads every byte of the messages that it counts, and compares their sum.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "command/bench_log.h"
#include "command/bench_pattern.h"
#include "command/command.h"

/* --- all of it: a sample is a pass --- */

static int open_full(struct log_bench *bench, enum log_way way, struct bench_sample *sample)
{
	bool is_new = !bench->logs[way];
	int result = bench_log_open(bench, way, sample);

	/* What was just written is on its way to the disk. */
	return result == 0 && is_new ? bench_log_settle(bench) : result;
}

static int measure_scan(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	enum log_way way = (enum log_way)argument;
	int result = open_full(bench, way, sample);

	if (result != 0)
		return result;
	sample->operations = bench_log_full_count(bench, way);
	bench_begin(sample);
	result = bench_log_store(way)->scan(bench->logs[way], sample->operations);
	bench_end(sample);
	return result;
}

/* The map stays, so that its page faults are those of the warm-up. */
static int map_full(struct log_bench *bench, struct bench_sample *sample)
{
	int fd, result = open_full(bench, LOG_PLAIN_FULL, sample);
	char path[4200];
	void *map;

	if (result != 0 || bench->full)
		return result;
	bench_log_path(bench, LOG_PLAIN_FULL, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED
	             : mmap(NULL, bench->full_count * LOG_RECORD_BYTES, PROT_READ, MAP_SHARED, fd,
	                    0);
	result = map == MAP_FAILED ? -errno : 0;
	if (map != MAP_FAILED)
		bench->full = map;
	if (fd >= 0)
		close(fd);
	return result;
}

static int measure_mapped(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	int result = map_full(bench, sample);

	(void)argument;
	if (result != 0)
		return result;
	sample->operations = bench->full_count;
	bench_begin(sample);
	result = log_records_check(bench->full, 0, bench->full_count);
	bench_end(sample);
	return result;
}

static const struct bench_row replay_rows[] = {
	{"mapped", "a plain log, mapped", BENCH_FLOOR, measure_mapped, 0},
	{"read_1m", "a plain log, read by 1M", BENCH_CALLS, measure_scan, LOG_PLAIN_FULL},
	{"ayre", "ayre, peeked at", BENCH_AYRE, measure_scan, LOG_AYRE_FULL},
	{"sqlite", "SQLite, mapped, SELECT in order", BENCH_PEER, measure_scan, LOG_SQLITE_FULL},
	{"lmdb", "LMDB, a cursor", BENCH_PEER, measure_scan, LOG_LMDB_FULL},
};

static const struct bench_group replay_group = {
	.name = "replay",
	.title = "All messages of a log, from the page cache, every byte of each read",
	.unit = BENCH_RATE,
	.rows = replay_rows,
	.row_count = COUNT_OF(replay_rows),
	.most_operations = 1,
	.unfit = bench_log_unfit,
};

/* --- what a check of each message costs at least --- */

static int measure_hash(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	int result = map_full(bench, sample);
	uint64_t sum = 0;

	(void)argument;
	if (result != 0)
		return result;
	sample->operations = bench->full_count;
	bench_begin(sample);
	for (uint64_t i = 0; i < bench->full_count; i++)
		sum += XXH3_64bits(&bench->full[i].message, bench->full[i].bytes);
	__asm__ volatile("" : : "r"(sum));
	bench_end(sample);
	return 0;
}

static int measure_copy(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	int result = map_full(bench, sample);
	struct log_message message;

	(void)argument;
	if (result != 0)
		return result;
	sample->operations = bench->full_count;
	bench_begin(sample);
	for (uint64_t i = 0; i < bench->full_count; i++) {
		message = bench->full[i].message;
		__asm__ volatile("" : : "r"(&message) : "memory");
	}
	bench_end(sample);
	return 0;
}

static const struct bench_row checked_rows[] = {
	{"xxh3", "XXH3 of each message", BENCH_FLOOR, measure_hash, 0},
	{"memcpy", "memcpy of each message", BENCH_FLOOR, measure_copy, 0},
	{"ayre", "ayre, peeked at: it checks always", BENCH_AYRE, measure_scan, LOG_AYRE_FULL},
};

static const struct bench_group checked_group = {
	.name = "replay_checked",
	.title = "The same, with a check of each message",
	.unit = BENCH_RATE,
	.rows = checked_rows,
	.row_count = COUNT_OF(checked_rows),
	.most_operations = 1,
	.unfit = bench_log_unfit,
};

/* --- one of them --- */

static int measure_find(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	enum log_way way = (enum log_way)argument;
	const struct log_store *store = bench_log_store(way);
	uint64_t count = bench_log_full_count(bench, way);
	int result = open_full(bench, way, sample);

	if (result != 0)
		return result;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = store->find(bench->logs[way], pattern_random(&bench->seed) % count);
	bench_end(sample);
	return result;
}

/* Nothing is looked for: what opening costs. */
static int measure_first(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	enum log_way way = (enum log_way)argument;
	int result = open_full(bench, way, sample);

	if (result != 0)
		return result;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = bench_log_store(way)->find(bench->logs[way], 0);
	bench_end(sample);
	return result;
}

static const struct bench_row seek_rows[] = {
	{"pread", "a plain log, pread", BENCH_FLOOR, measure_find, LOG_PLAIN_FULL},
	{"ayre", "ayre, a subscriber opened there", BENCH_AYRE, measure_find, LOG_AYRE_FULL},
	{"opened", "ayre, a subscriber opened at the first", BENCH_AYRE, measure_first,
         LOG_AYRE_FULL},
	{"sqlite", "SQLite, mapped, SELECT of one", BENCH_PEER, measure_find, LOG_SQLITE_FULL},
	{"lmdb", "LMDB, get", BENCH_PEER, measure_find, LOG_LMDB_FULL},
};

static const struct bench_group seek_group = {
	.name = "seek",
	.title = "One message by its number, at a random place of those logs",
	.unit = BENCH_TIME,
	.rows = seek_rows,
	.row_count = COUNT_OF(seek_rows),
	.unfit = bench_log_unfit,
};

const struct bench_group *const bench_log_read_groups[] = {
	&replay_group,
	&checked_group,
	&seek_group,
};
const size_t bench_log_read_group_count = COUNT_OF(bench_log_read_groups);
