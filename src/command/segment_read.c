/*
 * ayre segment read: a segment's bytes to standard output, once or whenever they change.
 *
 * Invariant: bytes are copied with ayre_segment_read(), so a file that another process cuts
 * short is an error and never a signal.
 *
 * Following: a write(2) to the file, which is what `ayre segment write` does, wakes us through
 * inotify. Nothing wakes anybody when a process stores through a pointer, nor when a System V
 * segment changes; for these the bytes are compared now and then, at most a tenth of the time.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"
#include "command/segment.h"

#define CHUNK_BYTES (256 * 1024)

/* How often to compare, and how often to ask whether the segment still has its name. */
#define COMPARE_MS     50
#define COMPARE_MS_MAX 1000
#define ASK_NAME_NS    INT64_C(1000000000)
#define COMPARE_SHARE  10 /* pause at least so many times as long as comparing took */

struct read_options {
	struct size_option offset;
	struct size_option length;
	bool string;
	bool follow;
};

static const struct command_option read_table[] = {
	{"offset", OPTION_SIZE, "N", offsetof(struct read_options, offset),
         "where to begin, in bytes"},
	{"length", OPTION_SIZE, "N", offsetof(struct read_options, length),
         "how many bytes (to the end)"},
	{"string", OPTION_FLAG, NULL, offsetof(struct read_options, string),
         "stop before the first NUL byte"},
	{"follow", OPTION_FLAG, NULL, offsetof(struct read_options, follow),
         "print again whenever the content changes, until the segment is removed"},
};

/* One reading of a segment: what was asked for, and where. */
struct reading {
	struct ayre_segment *segment;
	const char *name;
	const struct read_options *given;
};

/* The range that is asked for, in a segment of the present size. */
static int find_range(const struct reading *reading, uint64_t *ret_length)
{
	uint64_t size = ayre_segment_size(reading->segment);
	uint64_t offset = reading->given->offset.bytes;
	uint64_t rest = size > offset ? size - offset : 0;

	*ret_length = 0;
	if (offset > size)
		return output_fail("%s: it has %" PRIu64 " bytes, so there is nothing at %" PRIu64,
		                   reading->name, size, offset);
	if (reading->given->length.given && reading->given->length.bytes > rest)
		return output_fail("%s: it has %" PRIu64 " bytes, and %" PRIu64 " from %" PRIu64
		                   " on are not there",
		                   reading->name, size, reading->given->length.bytes, offset);
	*ret_length = reading->given->length.given ? reading->given->length.bytes : rest;
	return EXIT_DONE;
}

/* To a person a line is ended; a program gets the bytes and nothing else. */
static bool ends_line(const struct reading *reading)
{
	return reading->given->string && (reading->given->follow || isatty(STDOUT_FILENO));
}

static int read_once(const struct reading *reading)
{
	static char chunk[CHUNK_BYTES];
	uint64_t offset = reading->given->offset.bytes, length;
	bool ended = false;
	int result = find_range(reading, &length);

	while (result == EXIT_DONE && length > 0 && !ended) {
		size_t part = length < sizeof(chunk) ? (size_t)length : sizeof(chunk);
		size_t shown = part;
		int code = ayre_segment_read(reading->segment, offset, chunk, part);

		if (code < 0)
			return segment_fail(reading->name, code);
		if (reading->given->string) {
			shown = strnlen(chunk, part);
			ended = shown < part;
		}
		result = output_bytes(chunk, shown);
		offset += part;
		length -= part;
	}
	if (result == EXIT_DONE && ends_line(reading))
		result = output_bytes("\n", 1);
	return result;
}

/* --- following --- */

struct snapshot {
	char *bytes; /* to be freed */
	size_t length;
};

/* Reads the range as it is now. With --string, what is behind the first NUL does not count. */
static int take_snapshot(const struct reading *reading, struct snapshot *snapshot)
{
	uint64_t length;
	char *bytes;
	int code, result = find_range(reading, &length);

	if (result != EXIT_DONE)
		return result;
	bytes = realloc(snapshot->bytes, length ? length : 1);
	if (!bytes)
		return output_fail("%s: %s", reading->name, strerror(ENOMEM));
	snapshot->bytes = bytes;
	code = ayre_segment_read(reading->segment, reading->given->offset.bytes, bytes, length);
	if (code < 0)
		return segment_fail(reading->name, code);
	snapshot->length = reading->given->string ? strnlen(bytes, length) : length;
	return EXIT_DONE;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A descriptor that wakes us on write(2), or -1: then there is only the pause. */
static int watch(const struct ayre_segment *segment)
{
	char path[40];
	int fd = ayre_segment_fd(segment), watcher;

	if (fd < 0)
		return -1;
	watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watcher < 0)
		return -1;
	/* By descriptor: the name may already be another file's. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(watcher, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF) == -1) {
		close(watcher);
		return -1;
	}
	return watcher;
}

/* Waits for something to happen to the file, or for the next time to compare. true: the former. */
static bool wait_for_change(int watcher, int64_t compare_ns)
{
	/* Of standard output only that its reader has gone, which poll(2) tells unasked. */
	struct pollfd events[] = {{.fd = watcher, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	int64_t pause_ms = compare_ns * COMPARE_SHARE / 1000000;
	char ignored[4096];

	if (pause_ms < COMPARE_MS)
		pause_ms = COMPARE_MS;
	/* On a machine that keeps us waiting, comparing seems to take long. */
	if (pause_ms > COMPARE_MS_MAX)
		pause_ms = COMPARE_MS_MAX;
	if (poll(events, 2, (int)pause_ms) <= 0)
		return false;
	if (events[1].revents & POLLERR)
		output_reader_gone();
	while (read(watcher, ignored, sizeof(ignored)) > 0)
		;
	return true;
}

static bool was_removed(const struct ayre_segment *segment)
{
	struct ayre_segment_info info = {.size = sizeof(info)};
	int result = ayre_segment_get_info(segment, &info);

	return result < 0 || info.removed;
}

static int print_snapshot(const struct reading *reading, const struct snapshot *snapshot)
{
	int result = output_bytes(snapshot->bytes, snapshot->length);

	if (result == EXIT_DONE && ends_line(reading))
		result = output_bytes("\n", 1);
	return result == EXIT_DONE ? output_flush() : result;
}

/* Looks once; prints what is new. The snapshots change places. */
static int look(const struct reading *reading, struct snapshot *shown, struct snapshot *fresh)
{
	struct snapshot previous = *shown;
	int result, code = ayre_segment_refresh(reading->segment);

	if (code < 0)
		return segment_fail(reading->name, code);
	result = take_snapshot(reading, fresh);
	if (result != EXIT_DONE)
		return result;
	if (fresh->length == shown->length &&
	    (shown->length == 0 || memcmp(fresh->bytes, shown->bytes, shown->length) == 0))
		return EXIT_DONE;
	*shown = *fresh;
	*fresh = previous;
	return print_snapshot(reading, shown);
}

static int follow_until_removed(const struct reading *reading, int watcher, struct snapshot *shown,
                                struct snapshot *fresh)
{
	int64_t asked = now_ns(), began, took = 0;

	for (;;) {
		bool woken = wait_for_change(watcher, took), removed = false;
		int result;

		began = now_ns();
		if (woken || began - asked >= ASK_NAME_NS) {
			removed = was_removed(reading->segment);
			asked = began;
		}
		/* After asking: what was written before the removal is still shown. */
		result = look(reading, shown, fresh);
		if (result != EXIT_DONE)
			return result;
		if (removed) {
			output_note("%s: it was removed", reading->name);
			return EXIT_DONE;
		}
		took = now_ns() - began;
	}
}

static int follow(const struct reading *reading)
{
	struct snapshot shown = {0}, fresh = {0};
	/* Before the first look, so that nothing changes unseen in between. */
	int watcher = watch(reading->segment);
	int result = take_snapshot(reading, &shown);

	if (result == EXIT_DONE)
		result = print_snapshot(reading, &shown);
	if (result == EXIT_DONE)
		result = follow_until_removed(reading, watcher, &shown, &fresh);
	free(shown.bytes);
	free(fresh.bytes);
	if (watcher >= 0)
		close(watcher);
	return result;
}

static int run_read(void *values, int operand_count, char **operands)
{
	struct reading reading = {.name = operands[0], .given = values};
	int result;

	(void)operand_count;
	reading.segment = segment_open_existing(reading.name, AYRE_SEGMENT_READ_ONLY);
	if (!reading.segment)
		return EXIT_FAILED;
	result = reading.given->follow ? follow(&reading) : read_once(&reading);
	ayre_segment_close(reading.segment);
	return result;
}

const struct command segment_read_command = {
	.noun = "segment",
	.verb = "read",
	.summary = "Print a segment's bytes, once or whenever they change",
	.synopsis = "NAME [--offset N] [--length N] [--string] [--follow]",
	.examples = "  ayre segment read greeting --string\n"
		    "  ayre segment read file:/tmp/table --offset 4K --length 64 | xxd\n"
		    "  ayre segment read sysv:shmdemo.c:R --string --follow\n",
	.options = read_table,
	.option_count = COUNT_OF(read_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_read,
	.values_bytes = sizeof(struct read_options),
};
