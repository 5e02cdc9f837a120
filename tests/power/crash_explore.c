/*
 * A program's lives, recorded, and the crashes in them, looked at.
 *
 * Layers of images: start (what a life found) < settled (all flushed, moves on with the crashes)
 * < crashed (one crash, and what its check writes). While recording: start < live.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "power/crash.h"

#define TOLD_FAILURES 10

struct run {
	const struct options *options;
	struct machine machine;
	struct image start, live, settled, crashed, next;
	struct event_log log;
	size_t settled_events, flushed,
		told_marks; /* how far this life's log has been gone through */
	int marks_fd, output_fd;
	off_t next_marks; /* the length of what is told of the life before the next */
	uint64_t stream;
	uint64_t done, failed, lossy, kinds[CRASH_KINDS];
};

_Noreturn void give_up(const char *what, int result)
{
	fprintf(stderr, "crash_points: %s: ", what);
	if (result < 0)
		fprintf(stderr, "%s\n", strerror(-result));
	else
		fprintf(stderr, "exit status %d\n", result);
	exit(CRASH_NO_RESULT);
}

/* --- one life, recorded --- */

static void record(struct run *run, uint64_t life)
{
	int result;

	event_log_clear(&run->log);
	/* A file system trusts a disk at its own start: ext4 writes its superblock of two sectors
	 * in place. That start is safe, and not part of the log. */
	server_turn(&run->machine.server, &run->start, NULL);
	result = machine_start(&run->machine);
	if (result < 0)
		give_up("mounting the disk", result);
	machine_settle(&run->machine);
	server_turn(&run->machine.server, &run->live, &run->log);
	result = machine_run(&run->machine, life, run->options->workload, -1, -1);
	if (result != 0)
		give_up(run->options->workload[0], result);
	server_turn(&run->machine.server, &run->live, NULL);
	machine_cut(&run->machine);
	image_reset(&run->live);
	run->settled_events = run->flushed = run->told_marks = 0;
}

/* --- one crash --- */

/* Takes what is safe and what has been said by then over. */
static void advance(struct run *run, size_t to)
{
	for (; run->told_marks < to; run->told_marks++) {
		const struct event *event = &run->log.events[run->told_marks];

		if (event->kind == EVENT_FLUSH)
			run->flushed = run->told_marks + 1;
		if (event->kind == EVENT_MARK &&
		    write(run->marks_fd, event->bytes, event->length) != (ssize_t)event->length)
			give_up("keeping the marks", -errno);
	}
	for (; run->settled_events < run->flushed; run->settled_events++) {
		const struct event *event = &run->log.events[run->settled_events];

		if (event->kind == EVENT_WRITE || event->kind == EVENT_ZERO)
			image_write(&run->settled, event->offset, event->bytes, event->length);
	}
}

/* Zero if the check is content; leaves what it has said in output_fd. */
static int look(struct run *run, uint64_t life)
{
	off_t told = lseek(run->marks_fd, 0, SEEK_CUR);
	int result;

	if (lseek(run->marks_fd, 0, SEEK_SET) == -1 || ftruncate(run->output_fd, 0) == -1 ||
	    lseek(run->output_fd, 0, SEEK_SET) == -1)
		give_up("rewinding", -errno);
	server_turn(&run->machine.server, &run->crashed, NULL);
	result = machine_start(&run->machine);
	if (result < 0) {
		dprintf(run->output_fd, "the disk does not mount\n");
	} else {
		result = machine_run(&run->machine, life, run->options->check, run->marks_fd,
		                     run->output_fd);
		machine_cut(&run->machine);
	}
	if (lseek(run->marks_fd, told, SEEK_SET) == -1)
		give_up("rewinding", -errno);
	return result;
}

/* All of a file, wherever its offset is. */
static void copy_file(int fd, FILE *to)
{
	char bytes[4096];
	ssize_t length;

	for (off_t at = 0; (length = pread(fd, bytes, sizeof(bytes), at)) > 0; at += length)
		fwrite(bytes, 1, (size_t)length, to);
}

static void keep(struct run *run, struct crash *crash)
{
	char path[4096];
	FILE *marks;

	snprintf(path, sizeof(path), "%s.marks", run->options->keep);
	marks = fopen(path, "w");
	if (!marks)
		give_up(path, -errno);
	copy_file(run->marks_fd, marks);
	fclose(marks);
	crash_apply(crash, &run->log, &run->crashed);
	if (image_save(&run->crashed, run->options->keep) < 0)
		give_up(run->options->keep, -errno);
	image_reset(&run->crashed);
}

static void tell(struct run *run, const struct crash *crash, uint64_t life, int result)
{
	printf("# crash %" PRIu64 " in life %" PRIu64 ", before event %zu of %zu, %s of %zu: "
	       "of %u writes since event %zu, %u whole, %u in parts; ",
	       run->done, life, crash->event, run->log.count, crash_kinds[crash->kind], crash->unit,
	       crash->pending, crash->flushed, crash->whole, crash->torn);
	if (result < 0)
		printf("%s\n", strerror(-result));
	else
		printf("exit status %d\n", result);
	copy_file(run->output_fd, stdout);
	fflush(stdout);
}

/* Whether to go on. */
static bool crash_at(struct run *run, uint64_t life, size_t event, bool goes_on_from_here)
{
	struct crash crash = {.stream = crash_random(&run->stream), .event = event};
	int result;

	advance(run, event);
	crash.flushed = run->flushed;
	crash_apply(&crash, &run->log, &run->crashed);
	if (goes_on_from_here) {
		image_reset(&run->next);
		image_flatten(&run->crashed, &run->next);
		run->next_marks = lseek(run->marks_fd, 0, SEEK_CUR);
	}
	result = look(run, life);
	image_reset(&run->crashed);
	run->done++;
	run->kinds[crash.kind]++;
	run->lossy += crash.whole < crash.pending;
	if (result == 0)
		return true;
	if (run->failed++ < TOLD_FAILURES)
		tell(run, &crash, life, result);
	if (run->options->keep && run->failed == 1)
		keep(run, &crash);
	return !run->options->first;
}

/* --- all of them --- */

static int by_number(const void *left, const void *right)
{
	const size_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* Before which events something is not safe yet; how many these are. */
static size_t find_open(const struct event_log *log, size_t *open)
{
	size_t count = 0;
	bool pending = false;

	for (size_t i = 0; i < log->count; i++) {
		pending = log->events[i].kind != EVENT_FLUSH &&
		          (pending || log->events[i].kind != EVENT_MARK);
		if (pending)
			open[count++] = i + 1;
	}
	return count;
}

/* Mostly where something can be lost, else anywhere; in the order of the log, which is gone
 * through once. */
static size_t *choose_events(struct run *run, uint64_t count)
{
	size_t *events = calloc(count, sizeof(*events));
	size_t *open = calloc(run->log.count + 1, sizeof(*open));
	size_t open_count;

	if (!events || !open)
		give_up("memory", -ENOMEM);
	open_count = find_open(&run->log, open);
	for (uint64_t i = 0; i < count; i++)
		events[i] = open_count > 0 && crash_below(&run->stream, 4) > 0
		                    ? open[crash_below(&run->stream, open_count)]
		                    : crash_below(&run->stream, run->log.count + 1);
	qsort(events, count, sizeof(*events), by_number);
	free(open);
	return events;
}

static bool live(struct run *run, uint64_t life, uint64_t points)
{
	uint64_t goes_on = crash_below(&run->stream, points);
	bool more = true;
	size_t *events;

	record(run, life);
	events = choose_events(run, points);
	for (uint64_t i = 0; more && i < points; i++)
		more = crash_at(run, life, events[i], i == goes_on);
	free(events);
	image_reset(&run->settled);
	if (more) {
		image_flatten(&run->next, &run->start);
		if (ftruncate(run->marks_fd, run->next_marks) == -1 ||
		    lseek(run->marks_fd, run->next_marks, SEEK_SET) == -1)
			give_up("rewinding", -errno);
	}
	return more;
}

static void prepare(struct run *run)
{
	const struct options *options = run->options;
	uint64_t size_bytes = options->size_mib << 20;
	int result;

	image_init(&run->start, NULL, size_bytes);
	image_init(&run->next, NULL, size_bytes);
	image_init(&run->live, &run->start, size_bytes);
	image_init(&run->settled, &run->start, size_bytes);
	image_init(&run->crashed, &run->settled, size_bytes);
	run->marks_fd = memfd_create("marks", MFD_CLOEXEC);
	run->output_fd = memfd_create("output", MFD_CLOEXEC);
	if (run->marks_fd == -1 || run->output_fd == -1)
		give_up("memory", -errno);
	machine_make(&run->machine, options->file_system, size_bytes);
	server_turn(&run->machine.server, &run->start, NULL);
	result = machine_format(&run->machine);
	if (result == -ENOENT) {
		printf("no mkfs.%s is installed\n", options->file_system);
		exit(CRASH_SKIPPED);
	}
	if (result != 0)
		give_up("mkfs", result);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int explore(const struct options *options)
{
	/* Up to the very end there is a thread that serves what is in it. */
	static struct run run;
	uint64_t share = options->points / options->lives;
	double begin, took;

	run.options = options;
	run.stream = options->seed;
	prepare(&run);
	begin = seconds();
	for (uint64_t life = 1; life <= options->lives; life++)
		if (!live(&run, life,
		          life < options->lives ? share
		                                : options->points - share * (options->lives - 1)))
			break;
	took = seconds() - begin;
	machine_end(&run.machine);
	printf("%s, seed %" PRIu64 ": %" PRIu64 " crashes in %.1f s, %.0f a second;",
	       options->file_system, options->seed, run.done, took, (double)run.done / took);
	for (int i = 0; i < CRASH_KINDS; i++)
		printf(" %s %" PRIu64, crash_kinds[i], run.kinds[i]);
	printf("; with writes lost %" PRIu64 "; failed %" PRIu64 "\n", run.lossy, run.failed);
	return run.failed ? CRASH_FAILED : 0;
}
