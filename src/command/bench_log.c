/*
 * ayre bench log: messages that are kept on a disk, beside what the disk and the kernel give, and beside databases
 * that are used for it. Here: where the logs are, how large, and the order of the groups.
 *
 * Invariant: all logs are in one directory, which is on a disk and of which nothing is left.
 */
#include "command/bench_log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "command/bench_place.h"
#include "command/command.h"
#include "command/output.h"

/* Long samples: what a log does now and then, a checkpoint say, is to be in each of them. */
#define FULL_LEAST_NS  250000000
#define QUICK_LEAST_NS 10000000

#define FULL_ROOM  ((uint64_t)256 << 20)
#define QUICK_ROOM ((uint64_t)16 << 20)

/* The largest that a plain log to be read is made, and the smallest: larger than any cache. */
#define FULL_LOG  ((uint64_t)4 << 30)
#define QUICK_LOG ((uint64_t)64 << 20)

/* --- the directory --- */

static bool is_on_disk(const char *directory)
{
	struct statfs status;

	return statfs(directory, &status) == 0 && status.f_type != TMPFS_MAGIC &&
	       status.f_type != RAMFS_MAGIC;
}

/* NULL: there is none. */
static const char *find_directory(void)
{
	const char *const candidates[] = {bench_directory(), "/var/tmp", "."};

	for (size_t i = 0; i < COUNT_OF(candidates); i++)
		if (is_on_disk(candidates[i]))
			return candidates[i];
	return NULL;
}

/* Half of what is free of either is left to others. A full log takes three times its size, peers' ones included. */
static uint64_t choose_log_bytes(const struct log_bench *bench, bool quick)
{
	uint64_t size = quick ? QUICK_LOG : FULL_LOG, disk = UINT64_MAX;
	uint64_t memory = bench->machine->available_bytes;
	struct statfs status;

	if (statfs(bench->directory, &status) == 0)
		disk = (uint64_t)status.f_bavail * (uint64_t)status.f_frsize;
	while (size > QUICK_LOG && (3 * size > disk / 2 || (memory && 2 * size > memory / 2)))
		size /= 2;
	return size;
}

static int prepare(struct log_bench *bench, bool quick)
{
	struct stat status;

	bench->room_bytes = quick ? QUICK_ROOM : FULL_ROOM;
	bench->full_count = choose_log_bytes(bench, quick) / LOG_RECORD_BYTES;
	bench->messages = calloc(LOG_BATCH_MAX, sizeof(*bench->messages));
	bench->fd = open(bench->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!bench->messages || bench->fd < 0 || fstat(bench->fd, &status) == -1)
		return bench->messages ? -errno : -ENOMEM;
	snprintf(bench->device, sizeof(bench->device), "/sys/dev/block/%u:%u/stat",
	         major(status.st_dev), minor(status.st_dev));
	return 0;
}

static void clear(struct log_bench *bench)
{
	bench_log_close(bench);
	if (bench->full)
		munmap((void *)(uintptr_t)bench->full, bench->full_count * LOG_RECORD_BYTES);
	if (bench->fd >= 0)
		close(bench->fd);
	free(bench->messages);
}

/* --- the groups --- */

const char *bench_log_unfit(void *state)
{
	return ((const struct log_bench *)state)->left_out;
}

static int run_groups(struct bench_report *report, struct log_bench *bench)
{
	int result = EXIT_DONE;

	for (size_t i = 0; result == EXIT_DONE && i < bench_log_append_group_count; i++)
		result = bench_run_group(report, bench_log_append_groups[i], bench,
		                         LOG_MESSAGE_BYTES);
	for (size_t i = 0; result == EXIT_DONE && i < bench_log_read_group_count; i++)
		result =
			bench_run_group(report, bench_log_read_groups[i], bench, LOG_MESSAGE_BYTES);
	return result;
}

static int run_here(struct bench_report *report, struct log_bench *bench, const char *parent)
{
	bool quick = report->settings.quick;
	struct bench_place disk, memory;
	int code, result = bench_place_open(parent, &disk);

	if (result != EXIT_DONE)
		return result;
	result = bench_place_open(bench_place_for_topics(), &memory);
	if (result == EXIT_DONE) {
		snprintf(bench->directory, sizeof(bench->directory), "%s", disk.directory);
		snprintf(bench->memory, sizeof(bench->memory), "%s", memory.directory);
		code = prepare(bench, quick);
		report->file_bytes = bench->full_count * LOG_RECORD_BYTES;
		snprintf(report->note, sizeof(report->note),
		         "on processor %d, those who wait on any; in a directory of %.60s; "
		         "databases have a fourth of the messages to read",
		         bench->machine->cpu, parent);
		result = code < 0 ? output_fail("%s: %s", disk.directory, strerror(-code))
		                  : run_groups(report, bench);
		clear(bench);
		/* Its keeper has the other one's pipe. */
		bench_place_close(&memory);
	}
	bench_place_close(&disk);
	return result;
}

int bench_log_run(struct bench_report *report, const struct bench_machine *machine)
{
	const char *given = report->settings.directory;
	const char *parent = given ? given : find_directory();
	struct log_bench *bench;
	int result;

	if (given && access(given, F_OK) == 0 && !is_on_disk(given))
		return output_fail("%s: it lives in memory, where no log outlasts a loss of power; "
		                   "--directory has to be on a disk",
		                   given);
	bench = calloc(1, sizeof(*bench));
	if (!bench)
		return output_fail("%s", strerror(ENOMEM));
	bench->machine = machine;
	bench->fd = -1;
	report->settings.least_ns = report->settings.quick ? QUICK_LEAST_NS : FULL_LEAST_NS;
	if (!parent)
		bench->left_out = "no directory on a disk was found; --directory can name one";
	result = parent ? run_here(report, bench, parent) : run_groups(report, bench);
	free(bench);
	return result;
}
