/*
 * ayre bench file, what writes: the whole file, records at its end, and pages that have to be on
 * the disk before the next one.
 *
 * Invariant: what was written is read back and compared, outside of the measured time; a durable
 * row ends each operation when the kernel has said that the page is on the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/bench_file.h"
#include "command/bench_pattern.h"
#include "command/command.h"

/* --- the whole file: an operation is a pass --- */

static int fill_floor(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	(void)argument;
	return bench_memory_fill(&bench->memory, sample);
}

/* Each sample begins with a clean file: what the one before left dirty is not its to pay for. */
static int check_file(struct file_bench *bench)
{
	if (pattern_sum(ayre_segment_data(bench->kept), bench->size) !=
	    pattern_expect(bench->size, 0, bench->file_salt))
		return -EBADMSG;
	return fsync(bench->file.fd) == 0 ? 0 : -errno;
}

static int fill_calls(void *state, uint64_t buffer_bytes, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		int result = bench_write_pattern(bench->file.fd, bench->memory.buffer, buffer_bytes,
		                                 bench->size, ++bench->file_salt);

		if (result < 0)
			return result;
	}
	bench_end(sample);
	return check_file(bench);
}

static int fill_mapped(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++)
		pattern_fill(ayre_segment_data(bench->kept), bench->size, 0, ++bench->file_salt);
	bench_end(sample);
	return check_file(bench);
}

static int fill_shared(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	void *bytes = ayre_segment_data(bench->shared);

	(void)argument;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++)
		pattern_fill(bytes, bench->size, 0, ++bench->shared_salt);
	bench_end(sample);
	if (pattern_sum(bytes, bench->size) != pattern_expect(bench->size, 0, bench->shared_salt))
		return -EBADMSG;
	return 0;
}

static const struct bench_row fill_rows[] = {
	{"memory", "private memory", BENCH_FLOOR, fill_floor, 0},
	{"write_4k", "write, 4K buffer", BENCH_CALLS, fill_calls, 4 << 10},
	{"write_64k", "write, 64K buffer", BENCH_CALLS, fill_calls, 64 << 10},
	{"write_1m", "write, 1M buffer", BENCH_CALLS, fill_calls, 1 << 20},
	{"mapped", "mapped file", BENCH_MAPPED, fill_mapped, 0},
	{"shared", "shared memory", BENCH_MEMORY, fill_shared, 0},
};

const struct bench_group bench_sequential_write_group = {
	.name = "sequential_write",
	.title = "Sequential write over a warm, clean file, every byte new",
	.unit = BENCH_BANDWIDTH,
	.rows = fill_rows,
	.row_count = COUNT_OF(fill_rows),
};

/* --- appends: an operation is a record --- */

#define RECORD_BYTES 100
#define RECORDS      100000
#define GROW_BYTES   ((uint64_t)1 << 20)

struct record {
	uint32_t number;
	char text[RECORD_BYTES - sizeof(uint32_t)];
};

static struct record make_record(uint32_t number)
{
	struct record record = {.number = number};

	memset(record.text, 'r', sizeof(record.text));
	return record;
}

static int empty_records(const struct file_bench *bench)
{
	if (ftruncate(bench->records.fd, 0) == -1 || lseek(bench->records.fd, 0, SEEK_SET) == -1)
		return -errno;
	return 0;
}

/* Reads them all back. */
static int check_records(struct file_bench *bench)
{
	struct record *records = bench->memory.buffer;
	const size_t batch = BENCH_BUFFER_BYTES / RECORD_BYTES;
	struct record expected = make_record(0);
	struct stat status;

	if (fstat(bench->records.fd, &status) == -1)
		return -errno;
	if (status.st_size != (off_t)RECORDS * RECORD_BYTES)
		return -EBADMSG;
	for (uint64_t first = 0; first < RECORDS; first += batch) {
		ssize_t got = pread(bench->records.fd, records, batch * RECORD_BYTES,
		                    (off_t)(first * RECORD_BYTES));

		if (got < 0)
			return -errno;
		for (size_t i = 0; i < (size_t)got / RECORD_BYTES; i++) {
			expected.number = (uint32_t)(first + i);
			if (memcmp(&records[i], &expected, RECORD_BYTES) != 0)
				return -EBADMSG;
		}
	}
	return 0;
}

/* The same copies, to the same small place again and again. */
static int append_floor(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	const size_t batch = BENCH_BUFFER_BYTES / RECORD_BYTES;
	struct record record = make_record(0);
	char *buffer = bench->memory.buffer;

	(void)argument;
	sample->operations = RECORDS;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		record.number = (uint32_t)i;
		memcpy(buffer + i % batch * RECORD_BYTES, &record, RECORD_BYTES);
		__asm__ volatile("" : : "r"(buffer) : "memory");
	}
	bench_end(sample);
	return 0;
}

static int append_calls(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	struct record record = make_record(0);
	int result = empty_records(bench);

	(void)argument;
	if (result < 0)
		return result;
	sample->operations = RECORDS;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		record.number = (uint32_t)i;
		if (write(bench->records.fd, &record, RECORD_BYTES) != RECORD_BYTES)
			return errno ? -errno : -ENOSPC;
	}
	bench_end(sample);
	return check_records(bench);
}

static int append_buffered(void *state, uint64_t buffer_bytes, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	struct record record = make_record(0);
	int result = empty_records(bench), fd = dup(bench->records.fd);
	FILE *stream = result == 0 && fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!stream)
		return result < 0 ? result : -errno;
	setvbuf(stream, bench->memory.buffer, _IOFBF, buffer_bytes);
	sample->operations = RECORDS;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		record.number = (uint32_t)i;
		fwrite(&record, RECORD_BYTES, 1, stream);
	}
	result = fflush(stream) == 0 ? 0 : -errno;
	bench_end(sample);
	fclose(stream);
	return result < 0 ? result : check_records(bench);
}

/* Into a segment that grows in steps, in place, and is cut to what it holds at the end. */
static int append_mapped(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.reserve_bytes = (uint64_t)RECORDS * RECORD_BYTES + GROW_BYTES,
	};
	struct record record = make_record(0);
	struct ayre_segment *segment;
	uint64_t at = 0;
	int result = empty_records(bench);

	(void)argument;
	if (result == 0)
		result = ayre_segment_open(&options, bench->records.name, &segment, NULL);
	if (result < 0)
		return result;
	sample->operations = RECORDS;
	bench_begin(sample);
	for (uint64_t i = 0; result >= 0 && i < sample->operations; i++, at += RECORD_BYTES) {
		record.number = (uint32_t)i;
		if (at + RECORD_BYTES > ayre_segment_size(segment))
			result = ayre_segment_resize(segment,
			                             ayre_segment_size(segment) + GROW_BYTES, NULL);
		if (result >= 0)
			memcpy((char *)ayre_segment_data(segment) + at, &record, RECORD_BYTES);
	}
	if (result >= 0)
		result = ayre_segment_resize(segment, at, NULL);
	bench_end(sample);
	ayre_segment_close(segment);
	return result < 0 ? result : check_records(bench);
}

static const struct bench_row append_rows[] = {
	{"memory", "copied within private memory", BENCH_FLOOR, append_floor, 0},
	{"write", "write, record by record", BENCH_CALLS, append_calls, 0},
	{"stdio_4k", "stdio, 4K buffer", BENCH_CALLS, append_buffered, 4 << 10},
	{"stdio_64k", "stdio, 64K buffer", BENCH_CALLS, append_buffered, 64 << 10},
	{"stdio_1m", "stdio, 1M buffer", BENCH_CALLS, append_buffered, 1 << 20},
	{"mapped", "mapped, growing by 1M in place", BENCH_MAPPED, append_mapped, 0},
};

const struct bench_group bench_append_group = {
	.name = "append",
	.title = "Appends of 100-byte records, not synced",
	.unit = BENCH_RATE,
	.rows = append_rows,
	.row_count = COUNT_OF(append_rows),
	.most_operations = 1,
};

/* --- durable pages: an operation is 4 KiB, on the device --- */

#define DURABLE_PAGES 64

static uint64_t next_offset(const struct file_bench *bench, struct bench_log *log)
{
	/* Spread out, so that no two of a sample share a large folio. */
	return log->page++ * 257 % (bench->log_bytes / FILE_PAGE_BYTES) * FILE_PAGE_BYTES;
}

static int check_page(const struct bench_log *log, char *buffer, uint64_t offset, char byte)
{
	if (pread(log->file.fd, buffer, FILE_PAGE_BYTES, (off_t)offset) != (ssize_t)FILE_PAGE_BYTES)
		return -EIO;
	return buffer[0] == byte && buffer[FILE_PAGE_BYTES - 1] == byte ? 0 : -EBADMSG;
}

static int durable_calls(void *state, uint64_t kind, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	struct bench_log *log = &bench->logs[kind];
	char *buffer = bench->memory.buffer, byte = (char)(log->page + 1);
	uint64_t offset = 0;

	/* The growing one begins at nothing again. */
	if (kind == LOG_GROWING && (ftruncate(log->file.fd, 0) == -1 || fsync(log->file.fd) == -1))
		return -errno;
	memset(buffer, byte, FILE_PAGE_BYTES);
	sample->operations = DURABLE_PAGES;
	bench_begin(sample);
	for (uint64_t i = 0; i < sample->operations; i++) {
		offset = kind == LOG_GROWING ? i * FILE_PAGE_BYTES : next_offset(bench, log);
		if (pwrite(log->file.fd, buffer, FILE_PAGE_BYTES, (off_t)offset) !=
		            (ssize_t)FILE_PAGE_BYTES ||
		    fdatasync(log->file.fd) == -1)
			return -errno;
	}
	bench_end(sample);
	return check_page(log, buffer, offset, byte);
}

static int durable_mapped(void *state, uint64_t kind, struct bench_sample *sample)
{
	struct file_bench *bench = state;
	struct bench_log *log = &bench->logs[kind];
	char byte = (char)(log->page + 1);
	uint64_t offset = 0;
	int result = 0;

	sample->operations = DURABLE_PAGES;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++) {
		offset = next_offset(bench, log);
		memset((char *)ayre_segment_data(log->segment) + offset, byte, FILE_PAGE_BYTES);
		result = ayre_segment_sync(log->segment, offset, FILE_PAGE_BYTES, AYRE_SYNC_WAIT);
	}
	bench_end(sample);
	return result < 0 ? result : check_page(log, bench->memory.buffer, offset, byte);
}

static const struct bench_row durable_rows[] = {
	{"pwrite", "pwrite, fdatasync; space allocated", BENCH_FLOOR, durable_calls, LOG_SMALL},
	{"append", "pwrite, fdatasync; a growing file", BENCH_CALLS, durable_calls, LOG_GROWING},
	{"pwrite_large", "pwrite, fdatasync; a file written by 1M", BENCH_CALLS, durable_calls,
         LOG_LARGE},
	{"mapped_small", "mapped, synced; a file written by 4K", BENCH_MAPPED, durable_mapped,
         LOG_SMALL},
	{"mapped_large", "mapped, synced; a file written by 1M", BENCH_MAPPED, durable_mapped,
         LOG_LARGE},
	{"mapped_allocated", "mapped, synced; space allocated", BENCH_MAPPED, durable_mapped,
         LOG_ALLOCATED},
};

static const char *unfit_durable(void *state)
{
	struct file_bench *bench = state;

	if (bench_logs_open(bench) < 0)
		return "the files for it could not be made";
	if (ayre_segment_sync(bench->logs[LOG_SMALL].segment, 0, 0, AYRE_SYNC_WAIT) == 1)
		return "the file lives in memory, so nothing can be made durable";
	return NULL;
}

const struct bench_group bench_durable_group = {
	.name = "durable",
	.title = "Durable pages of 4 KiB, one after the other",
	.unit = BENCH_TIME,
	.rows = durable_rows,
	.row_count = COUNT_OF(durable_rows),
	.most_operations = 1,
	.counts_bytes = true,
	.unfit = unfit_durable,
};

static const char *unfit_dirtied(void *state)
{
	(void)state;
	return bench_counts_dirtied() ? NULL : "the kernel does not say (/proc/self/io)";
}

const struct bench_group bench_dirtied_group = {
	.name = "durable_dirtied",
	.title = "What the kernel marked dirty for each of those pages",
	.unit = BENCH_DIRTIED,
	.rows = durable_rows,
	.row_count = COUNT_OF(durable_rows),
	.counted_in = &bench_durable_group,
	.unfit = unfit_dirtied,
};
