/*
 * ayre bench log, what appends: messages that are safe one by one, for many who wait, many to a flush, and
 * such that nobody waits for.
 *
 * Invariant: a safe row ends each operation when the kernel has said that the message is on the device. After a sample the last
 * message is read back.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "command/bench_log.h"
#include "command/command.h"

/* --- a sample --- */

static int append_all(struct log_bench *bench, enum log_way way, size_t batch,
                      struct bench_sample *sample)
{
	uint64_t turns = (sample->operations + batch - 1) / batch;
	int result = 0;

	sample->operations = turns * batch;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < turns; i++)
		result = bench_log_append(bench, way, batch);
	if (result == 0 && bench_log_store(way)->finish)
		result = bench_log_store(way)->finish(bench->logs[way]);
	bench_end(sample);
	return result;
}

int bench_log_measure_append(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	enum log_way way = (enum log_way)(argument & 0xff);
	size_t batch = argument >> 8 & 0xffffff;
	unsigned int waiters = (unsigned int)(argument >> 32);
	int result = bench_log_open(bench, way, sample);

	if (result == 0)
		result = bench_log_settle(bench);
	if (result != 0)
		return result;
	sample->dirtied_bytes = -bench_log_device_bytes(bench);
	if (waiters > 1)
		result = bench_log_store(way)->await
		                 ? bench_log_loop(bench, way, waiters, sample)
		                 : bench_log_gather(bench, way, waiters, sample);
	else
		result = append_all(bench, way, batch, sample);
	sample->dirtied_bytes += bench_log_device_bytes(bench);
	if (result == 0 && bench_log_store(way)->find)
		result = bench_log_store(way)->find(bench->logs[way], bench->next[way] - 1);
	return result;
}

/* --- the disk, without the kernel's cache: an operation is a record --- */

#define DIRECT_BYTES ((size_t)1 << 20)

static int write_direct(int fd, uint64_t room_bytes, struct bench_sample *sample)
{
	const uint64_t each = DIRECT_BYTES / LOG_RECORD_BYTES;
	uint64_t turns = (sample->operations + each - 1) / each;
	char *buffer = aligned_alloc(4096, DIRECT_BYTES);
	int result = buffer ? 0 : -ENOMEM;

	if (buffer)
		memset(buffer, 'm', DIRECT_BYTES);
	sample->operations = turns * each;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < turns; i++)
		if (pwrite(fd, buffer, DIRECT_BYTES, (off_t)(i * DIRECT_BYTES % room_bytes)) !=
		    (ssize_t)DIRECT_BYTES)
			result = errno ? -errno : -ENOSPC;
	bench_end(sample);
	free(buffer);
	return result;
}

/* Over a file that has all its space, and is nobody else's: the kernel forgets what it had of it. */
static int measure_direct(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	int fd, result = bench_log_open(bench, LOG_DIRECT, sample);
	char path[4200];

	(void)argument;
	if (result == 0)
		result = bench_log_settle(bench);
	if (result != 0)
		return result;
	bench_log_path(bench, LOG_DIRECT, path);
	fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		sample->left_out = "the file system has no O_DIRECT";
		return BENCH_LEFT_OUT;
	}
	result = write_direct(fd, bench->room_bytes, sample);
	close(fd);
	return result;
}

/* --- safe --- */

#define APPENDS(way, batch, waiters) \
	bench_log_measure_append, LOG_APPENDS((way), (batch), (waiters))

static const struct bench_row single_rows[] = {
	{"pwrite", "pwrite, fdatasync; space allocated", BENCH_FLOOR, APPENDS(LOG_PLAIN, 1, 1)},
	{"growing", "pwrite, fdatasync; a growing file", BENCH_CALLS, APPENDS(LOG_GROWING, 1, 1)},
	{"ayre", "ayre, a flush for each", BENCH_AYRE, APPENDS(LOG_AYRE, 1, 1)},
	{"sqlite", "SQLite, WAL, synchronous FULL", BENCH_PEER, APPENDS(LOG_SQLITE, 1, 1)},
	{"lmdb", "LMDB", BENCH_PEER, APPENDS(LOG_LMDB, 1, 1)},
};

static const struct bench_group single_group = {
	.name = "safe_single",
	.title = "Messages of 100 bytes, each on the disk before the next one",
	.unit = BENCH_RATE,
	.rows = single_rows,
	.row_count = COUNT_OF(single_rows),
	.unfit = bench_log_unfit,
};

static const char *unfit_device(void *state)
{
	const char *why = bench_log_unfit(state);

	if (!why && bench_log_device_bytes(state) < 0)
		why = "the kernel does not say what is written to this device";
	return why;
}

static const struct bench_group device_group = {
	.name = "device_bytes",
	.title = "What was written to the device for each of those messages",
	.unit = BENCH_BYTES,
	.rows = single_rows,
	.row_count = COUNT_OF(single_rows),
	.counted_in = &single_group,
	.unfit = unfit_device,
};

#define WAITERS(count) \
	static const struct bench_row rows_##count[] = { \
		{"single", "one by one: pwrite, fdatasync", BENCH_FLOOR, \
	         APPENDS(LOG_PLAIN, 1, 1)}, \
		{"pwrite", "gathered by hand: pwrite, fdatasync", BENCH_CALLS, \
	         APPENDS(LOG_PLAIN, 1, count)}, \
		{"ayre", "gathered by hand: ayre", BENCH_AYRE, APPENDS(LOG_AYRE, 1, count)}, \
		{"sqlite", "gathered by hand: SQLite", BENCH_PEER, APPENDS(LOG_SQLITE, 1, count)}, \
		{"lmdb", "gathered by hand: LMDB", BENCH_PEER, APPENDS(LOG_LMDB, 1, count)}, \
		{"loop", "an event loop: ayre, its thread flushes", BENCH_AYRE, \
	         APPENDS(LOG_AYRE_THREADED, 1, count)}, \
		{"loop_ayre", "a loop that waits: ayre", BENCH_AYRE, APPENDS(LOG_AYRE, count, 1)}, \
		{"loop_pwrite", "a loop that waits: pwrite, fdatasync", BENCH_CALLS, \
	         APPENDS(LOG_PLAIN, count, 1)}, \
		{"loop_sqlite", "a loop that waits: SQLite", BENCH_PEER, \
	         APPENDS(LOG_SQLITE, count, 1)}, \
		{"loop_lmdb", "a loop that waits: LMDB", BENCH_PEER, APPENDS(LOG_LMDB, count, 1)}, \
	}; \
	static const struct bench_group group_##count = { \
		.name = "safe_" #count, \
		.title = "The same for " #count " who each wait for their own message", \
		.unit = BENCH_RATE, \
		.rows = rows_##count, \
		.row_count = COUNT_OF(rows_##count), \
		.unfit = bench_log_unfit, \
	}

WAITERS(32);
WAITERS(128);

static const struct bench_row batch_rows[] = {
	{"direct", "O_DIRECT, 1M at a time, of such records", BENCH_FLOOR, measure_direct, 0},
	{"pwrite", "pwrite of a thousand, fdatasync", BENCH_CALLS, APPENDS(LOG_PLAIN, 1000, 1)},
	{"threaded", "ayre, its thread flushes meanwhile", BENCH_AYRE,
         APPENDS(LOG_AYRE_THREADED, 1000, 1)},
	{"ayre", "ayre, a thousand and a flush", BENCH_AYRE, APPENDS(LOG_AYRE, 1000, 1)},
	{"sqlite", "SQLite, a thousand to a transaction", BENCH_PEER, APPENDS(LOG_SQLITE, 1000, 1)},
	{"lmdb", "LMDB, a thousand to a transaction", BENCH_PEER, APPENDS(LOG_LMDB, 1000, 1)},
};

static const struct bench_group batch_group = {
	.name = "batched_1000",
	.title = "Messages of 100 bytes, a thousand to a flush",
	.unit = BENCH_RATE,
	.rows = batch_rows,
	.row_count = COUNT_OF(batch_rows),
	.unfit = bench_log_unfit,
};

/* --- not synced --- */

static const struct bench_row unsynced_rows[] = {
	{"volatile", "ayre: a topic in memory", BENCH_FLOOR, APPENDS(LOG_VOLATILE, 1, 1)},
	{"write", "pwrite, message by message", BENCH_CALLS, APPENDS(LOG_PLAIN_LAZY, 1, 1)},
	{"ayre", "ayre, sync none", BENCH_AYRE, APPENDS(LOG_AYRE_LAZY, 1, 1)},
	{"sqlite", "SQLite, WAL, synchronous OFF", BENCH_PEER, APPENDS(LOG_SQLITE_LAZY, 1, 1)},
	{"lmdb", "LMDB, WRITEMAP, NOSYNC", BENCH_PEER, APPENDS(LOG_LMDB_LAZY, 1, 1)},
};

static const struct bench_group unsynced_group = {
	.name = "unsynced",
	.title = "Messages of 100 bytes that others can see at once, and the disk when it likes",
	.unit = BENCH_RATE,
	.rows = unsynced_rows,
	.row_count = COUNT_OF(unsynced_rows),
	.unfit = bench_log_unfit,
};

/* What a publisher pays whose thread can follow: it sends what fits into its ring, and what follows is not measured. */
#define BURST       ((uint64_t)500)
#define BURST_COUNT 8

static int measure_bursts(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct log_bench *bench = state;
	enum log_way way = (enum log_way)argument;
	uint64_t each = BURST_COUNT * BURST, turns = (sample->operations + each - 1) / each;
	int result = bench_log_open(bench, way, sample);

	sample->operations = turns * each;
	for (uint64_t i = 0; result == 0 && i < turns; i++) {
		bench_begin(sample);
		for (int j = 0; result == 0 && j < BURST_COUNT; j++)
			result = bench_log_append(bench, way, BURST);
		bench_end(sample);
		if (result == 0 && bench_log_store(way)->finish)
			result = bench_log_store(way)->finish(bench->logs[way]);
	}
	return result;
}

static const struct bench_row burst_rows[] = {
	{"volatile", "ayre: a topic in memory", BENCH_FLOOR, measure_bursts, LOG_VOLATILE},
	{"threaded", "ayre, sync none, its thread writes", BENCH_AYRE, measure_bursts,
         LOG_AYRE_LAZY_THREADED},
	{"ayre", "ayre, sync none", BENCH_AYRE, measure_bursts, LOG_AYRE_LAZY},
};

static const struct bench_group burst_group = {
	.name = "unsynced_bursts",
	.title = "The same in bursts of 4000; what the thread does behind a burst does not count",
	.unit = BENCH_RATE,
	.rows = burst_rows,
	.row_count = COUNT_OF(burst_rows),
	.unfit = bench_log_unfit,
};

const struct bench_group *const bench_log_append_groups[] = {
	&single_group, &device_group,   &group_32,    &group_128,
	&batch_group,  &unsynced_group, &burst_group,
};
const size_t bench_log_append_group_count = COUNT_OF(bench_log_append_groups);
