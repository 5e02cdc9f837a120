/*
 * ayre bench file: files by read(2) and write(2) against mapped ones. Here: what is made before,
 * and the order of the groups.
 *
 * Invariant: between two groups the warm file is wholly in the page cache, clean, and holds the
 * pattern of file_salt; memory and the shared segment likewise.
 */
#include "command/bench_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "command/bench_pattern.h"
#include "command/command.h"
#include "command/output.h"

#define FULL_BYTES  ((uint64_t)256 << 20)
#define QUICK_BYTES ((uint64_t)64 << 20)
#define LOG_SHARE   16 /* a log is so much smaller than the file */

/* Appends, the step that a map grows by, small files. */
#define SPARE_BYTES ((uint64_t)64 << 20)

/* --- files --- */

static int open_file(const char *directory, struct bench_opened *file)
{
	int fd = bench_open_unnamed(directory);

	if (fd < 0)
		return fd;
	file->fd = fd;
	snprintf(file->name, sizeof(file->name), "file:/proc/self/fd/%d", fd);
	file->path = file->name + strlen("file:");
	return 0;
}

static void close_file(struct bench_opened *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int bench_open_again(const struct bench_opened *file, uint32_t flags,
                     struct ayre_segment **ret_segment)
{
	struct ayre_segment_options options = {.size = sizeof(options), .flags = flags};

	return ayre_segment_open(&options, file->name, ret_segment, NULL);
}

int bench_open_shared_again(const struct file_bench *bench, struct ayre_segment **ret_segment)
{
	int fd = ayre_segment_fd(bench->shared);

	return fd < 0 ? fd : ayre_segment_open_fd(NULL, fd, ret_segment, NULL);
}

int bench_write_pattern(int fd, void *buffer, size_t buffer_bytes, uint64_t size, uint64_t salt)
{
	for (uint64_t done = 0; done < size; done += buffer_bytes) {
		ssize_t put;

		pattern_fill(buffer, buffer_bytes, done / PATTERN_WORD, salt);
		put = pwrite(fd, buffer, buffer_bytes, (off_t)done);
		if (put != (ssize_t)buffer_bytes)
			return put < 0 ? -errno : -ENOSPC;
	}
	return 0;
}

/* --- logs --- */

static int write_zeros(int fd, void *zeros, size_t part, size_t size)
{
	memset(zeros, 0, part);
	for (size_t done = 0; done < size; done += part) {
		ssize_t put = pwrite(fd, zeros, part, (off_t)done);

		if (put != (ssize_t)part)
			return put < 0 ? -errno : -ENOSPC;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* Where the file system cannot promise space, the segment stays NULL, and its rows are left out. */
static int allocate(struct bench_log *log, uint64_t size)
{
	int result = ayre_segment_resize(log->segment, size, NULL);

	if (result == -EOPNOTSUPP) {
		ayre_segment_close(log->segment);
		log->segment = NULL;
		return 0;
	}
	return result < 0 ? result : 0;
}

static int open_log(struct file_bench *bench, enum bench_log_kind kind)
{
	static const size_t parts[] = {
		[LOG_SMALL] = FILE_PAGE_BYTES,
		[LOG_LARGE] = BENCH_BUFFER_BYTES,
	};
	struct bench_log *log = &bench->logs[kind];
	int result = open_file(bench->directory, &log->file);

	if (result < 0 || kind == LOG_GROWING)
		return result;
	if (kind != LOG_ALLOCATED)
		result = write_zeros(log->file.fd, bench->memory.buffer, parts[kind],
		                     bench->log_bytes);
	if (result == 0)
		result = bench_open_again(&log->file, 0, &log->segment);
	if (result == 0 && kind == LOG_ALLOCATED)
		result = allocate(log, bench->log_bytes);
	/* Its own metadata must not be in somebody's first sample. */
	return result < 0 ? result : fsync(log->file.fd) == 0 ? 0 : -errno;
}

int bench_logs_open(struct file_bench *bench)
{
	for (int kind = 0; kind < LOG_COUNT; kind++) {
		int result = open_log(bench, kind);

		if (result < 0)
			return result;
	}
	return 0;
}

void bench_logs_close(struct file_bench *bench)
{
	for (int kind = 0; kind < LOG_COUNT; kind++) {
		ayre_segment_close(bench->logs[kind].segment);
		bench->logs[kind].segment = NULL;
		close_file(&bench->logs[kind].file);
	}
}

/* --- before and after --- */

static int check_room(const struct file_bench *bench, const struct bench_machine *machine)
{
	struct statvfs room;
	uint64_t disk = bench->size + LOG_COUNT * bench->log_bytes + SPARE_BYTES, free_bytes;
	uint64_t memory = 3 * bench->size + SPARE_BYTES;
	char need[16], have[16];

	if (statvfs(bench->directory, &room) == -1)
		return output_fail("%s: %s", bench->directory, strerror(errno));
	/* A tmpfs without a limit counts no blocks. */
	free_bytes = room.f_blocks ? (uint64_t)room.f_bavail * room.f_frsize : UINT64_MAX;
	if (free_bytes < disk)
		return output_fail("%s: %s are needed there, and %s are free; TMPDIR can name "
		                   "another directory",
		                   bench->directory, format_size(disk, need),
		                   format_size(free_bytes, have));
	if (machine->available_bytes && machine->available_bytes < memory)
		return output_fail("%s of memory are needed, and %s are available%s",
		                   format_size(memory, need),
		                   format_size(machine->available_bytes, have),
		                   bench->size > QUICK_BYTES ? "; --quick needs less" : "");
	return EXIT_DONE;
}

static int open_small_files(struct file_bench *bench)
{
	static const size_t sizes[] = {(size_t)4 << 10, (size_t)64 << 10};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bench_small *small = &bench->small[i];
		int result = open_file(bench->directory, &small->file);

		if (result < 0)
			return result;
		small->size = sizes[i];
		result = bench_write_pattern(small->file.fd, bench->memory.buffer, sizes[i],
		                             sizes[i], sizes[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

static int open_shared(struct file_bench *bench)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.size_bytes = bench->size,
	};
	int result = ayre_segment_open(&options, NULL, &bench->shared, NULL);

	if (result < 0)
		return result;
	bench->shared_salt = 1;
	pattern_fill(ayre_segment_data(bench->shared), bench->size, 0, bench->shared_salt);
	return 0;
}

static int open_all(struct file_bench *bench)
{
	int result = bench_memory_init(&bench->memory, bench->size);

	if (result == 0)
		result = open_file(bench->directory, &bench->file);
	if (result == 0)
		result = bench_write_pattern(bench->file.fd, bench->memory.buffer,
		                             BENCH_BUFFER_BYTES, bench->size, ++bench->file_salt);
	if (result == 0)
		result = bench_open_again(&bench->file, 0, &bench->kept);
	if (result == 0)
		result = open_small_files(bench);
	if (result == 0)
		result = open_file(bench->directory, &bench->records);
	return result == 0 ? open_shared(bench) : result;
}

static void close_all(struct file_bench *bench)
{
	bench_logs_close(bench);
	ayre_segment_close(bench->kept);
	ayre_segment_close(bench->shared);
	close_file(&bench->file);
	close_file(&bench->records);
	for (size_t i = 0; i < COUNT_OF(bench->small); i++)
		close_file(&bench->small[i].file);
	bench_memory_fini(&bench->memory);
}

/* --- the groups --- */

struct step {
	const struct bench_group *group;
	uint64_t operation_bytes; /* 0: all of the file */
};

static const struct step steps[] = {
	{&bench_sequential_read_group, 0},
	{&bench_sequential_write_group, 0},
	{&bench_random_4k_group, 4096},
	{&bench_random_64_group, 64},
	{&bench_small_4k_group, 4096},
	{&bench_small_64k_group, 65536},
	{&bench_touch_group, 4096},
	{&bench_append_group, 100},
	{&bench_durable_group, 4096},
	{&bench_dirtied_group, 4096},
	/* The last, because it is the one that empties the page cache. */
	{&bench_cold_group, 4096},
};

static int run_groups(struct file_bench *bench, struct bench_report *report)
{
	int result =
		bench_run_group(report, &bench_memory_group, &bench->memory, BENCH_BUFFER_BYTES);

	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(steps); i++) {
		if (fsync(bench->file.fd) == -1)
			return output_fail("%s: %s", bench->directory, strerror(errno));
		result = bench_run_group(report, steps[i].group, bench,
		                         steps[i].operation_bytes ? steps[i].operation_bytes
		                                                  : bench->size);
	}
	return result;
}

int bench_file_run(struct bench_report *report, const struct bench_machine *machine)
{
	bool quick = report->settings.quick;
	struct file_bench bench = {
		.directory = bench_directory(),
		.size = quick ? QUICK_BYTES : FULL_BYTES,
		.file.fd = -1,
		.records.fd = -1,
		.small = {{.file.fd = -1}, {.file.fd = -1}},
	};
	int code, result;

	for (int kind = 0; kind < LOG_COUNT; kind++)
		bench.logs[kind].file.fd = -1;
	bench.log_bytes = bench.size / LOG_SHARE;
	report->file_bytes = bench.size;
	snprintf(report->note, sizeof(report->note), "one process, bound to processor %d",
	         machine->cpu);
	result = check_room(&bench, machine);
	if (result != EXIT_DONE)
		return result;
	code = open_all(&bench);
	result = code < 0 ? output_fail("%s: %s", bench.directory, strerror(-code))
	                  : run_groups(&bench, report);
	close_all(&bench);
	return result;
}
