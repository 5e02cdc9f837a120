/*
 * ayre segment write: a text, or standard input, into a segment.
 *
 * Invariant: all that is to be written is at hand, and known to fit, before anything is
 * created or changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/command.h"
#include "command/input.h"
#include "command/output.h"
#include "command/segment.h"

/* What the textbook's program makes. */
#define DEFAULT_BYTES 1024

struct write_options {
	struct size_option offset;
	struct size_option size;
	bool sync;
};

static const struct command_option write_table[] = {
	{"offset", OPTION_SIZE, "N", offsetof(struct write_options, offset),
         "where to begin, in bytes"},
	{"size", OPTION_SIZE, "SIZE", offsetof(struct write_options, size),
         "of the segment, if it has to be made (1K, or as needed)"},
	{"sync", OPTION_FLAG, NULL, offsetof(struct write_options, sync),
         "wait until the bytes are on the disk"},
};

static int too_much(const char *name, uint64_t size, uint64_t offset)
{
	return output_fail("%s: it does not fit: the segment has %" PRIu64
	                   " bytes, writing begins at %" PRIu64,
	                   name, size, offset);
}

/* Sets *ret_segment to NULL if there is none. */
static int find(const char *name, const struct write_options *given,
                struct ayre_segment **ret_segment)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.size_bytes = given->size.bytes,
	};
	struct ayre_error error;
	int result = ayre_segment_open(&options, name, ret_segment, &error);

	if (result == -ENOENT && !error.detail[0]) {
		*ret_segment = NULL;
		return EXIT_DONE;
	}
	return result < 0 ? output_error(&error) : EXIT_DONE;
}

static int write_payload(struct ayre_segment *segment, const char *name,
                         const struct write_options *given, const struct input *payload)
{
	int result;

	if (given->offset.bytes > ayre_segment_size(segment) ||
	    payload->length > ayre_segment_size(segment) - given->offset.bytes)
		return too_much(name, ayre_segment_size(segment), given->offset.bytes);
	result = ayre_segment_write(segment, given->offset.bytes, payload->bytes, payload->length);
	if (result < 0)
		return segment_fail(name, result);
	if (given->sync)
		return segment_sync_and_say(segment, name, given->offset.bytes, payload->length,
		                            AYRE_SYNC_WAIT);
	return EXIT_DONE;
}

struct filling {
	const struct input *payload;
	uint64_t offset;
};

/* Before the segment has its name, so that nobody reads it empty. */
static int fill(void *data, size_t data_bytes, void *context)
{
	const struct filling *filling = context;

	(void)data_bytes;
	if (filling->payload->length)
		memcpy((char *)data + filling->offset, filling->payload->bytes,
		       filling->payload->length);
	return 0;
}

/* Into a segment that has yet to be made: as large as asked for, or as needed. */
static int write_new(const char *name, const struct write_options *given,
                     const struct input *payload)
{
	uint64_t needed = given->offset.bytes + payload->length;
	uint64_t bytes = needed > DEFAULT_BYTES ? needed : DEFAULT_BYTES;
	struct filling filling = {payload, given->offset.bytes};
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE,
		.initialize = fill,
		.context = &filling,
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	int result;

	if (given->size.given)
		bytes = given->size.bytes;
	if (needed > bytes)
		return too_much(name, bytes, given->offset.bytes);
	options.size_bytes = bytes;
	result = segment_create(&options, name, &segment, &error);
	if (result < 0)
		return output_error(&error);
	/* 1: it was born with the bytes in it. 0: another process has created it a moment ago. */
	if (result == 0)
		result = write_payload(segment, name, given, payload);
	else
		result = given->sync ? segment_sync_and_say(segment, name, 0, 0, AYRE_SYNC_WAIT)
		                     : EXIT_DONE;
	ayre_segment_close(segment);
	return result;
}

/* How many bytes could be written at the most: to what is there, or to what was asked for. */
static uint64_t limit_input(const struct ayre_segment *segment, const struct write_options *given)
{
	uint64_t size = segment             ? ayre_segment_size(segment)
	                : given->size.given ? given->size.bytes
	                                    : (uint64_t)INT64_MAX / 2;

	return size > given->offset.bytes ? size - given->offset.bytes : 0;
}

static int run_write(void *values, int operand_count, char **operands)
{
	const struct write_options *given = values;
	const char *name = operands[0];
	bool from_input = operand_count == 1;
	struct input payload = {0};
	struct ayre_segment *segment;
	int result;

	if (given->size.given && given->size.bytes == 0)
		return output_usage("--size: a segment has 1 byte or more");
	result = find(name, given, &segment);
	if (result != EXIT_DONE)
		return result;
	if (from_input)
		result = input_read(limit_input(segment, given), &payload);
	else
		payload = (struct input){.bytes = operands[1], .length = strlen(operands[1]) + 1};
	if (result == EXIT_DONE)
		result = segment ? write_payload(segment, name, given, &payload)
		                 : write_new(name, given, &payload);
	ayre_segment_close(segment);
	if (from_input)
		free(payload.bytes);
	return result;
}

const struct command segment_write_command = {
	.noun = "segment",
	.verb = "write",
	.summary = "Put a text and its NUL, or standard input, into a segment; make it if missing",
	.synopsis = "NAME [TEXT] [--offset N] [--size SIZE] [--sync]",
	.examples = "  ayre segment write greeting 'hello, world'\n"
		    "  ayre segment write file:/tmp/table --offset 4K --sync < rows\n",
	.options = write_table,
	.option_count = COUNT_OF(write_table),
	.least_operands = 1,
	.most_operands = 2,
	.operand_kinds = {OPERAND_SEGMENT},
	.run = run_write,
	.values_bytes = sizeof(struct write_options),
};
