/*
 * Standard input, cut into messages.
 *
 * What is there is read and sent at once, many messages together where many are there; nothing waits for
 * input that has yet to come, and of a durable topic nothing is left unsafe meanwhile. A long frame is read straight into its place in the topic, without a
 * buffer between: its length is known, so the input may be larger than memory. A line or a text up to a NUL
 * byte ends where it ends, and is kept until then.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"
#include "command/pub.h"

#define BUFFER_BYTES ((size_t)256 * 1024)
/* A frame of so many bytes is worth a system call of its own, and is not copied. */
#define LONG_BYTES ((size_t)16 * 1024)
#define BATCH      256

struct input {
	char *bytes; /* what was read and not yet sent stands from begin to end */
	size_t begin, end, room;
	bool ended;
};

/* --- reading --- */

/* If there is nothing to read now, nor the end. */
static int settle_before_waiting(struct sending *sending)
{
	if (sending->sync &&
	    message_wait(STDIN_FILENO, POLLIN, message_now_ns(), false) == WAIT_DEADLINE)
		return pub_settle(sending);
	return EXIT_DONE;
}

/* As readv(2): 0 at the end. Negative: an exit code was earned, which is stored. */
static ssize_t read_input(const struct iovec *parts, int count, int *ret_result)
{
	for (;;) {
		ssize_t got = readv(STDIN_FILENO, parts, count);

		if (message_interrupted()) {
			*ret_result = EXIT_FAILED;
			return -1;
		}
		if (got >= 0)
			return got;
		/* Somebody else made it non-blocking. */
		if (errno == EAGAIN)
			message_wait(STDIN_FILENO, POLLIN, AYRE_NO_DEADLINE, false);
		else if (errno != EINTR) {
			*ret_result = output_fail("standard input: %s", strerror(errno));
			return -1;
		}
	}
}

/* Room behind what is there: by moving it to the front, or by twice as much. */
static int make_room(struct input *input)
{
	size_t used = input->end - input->begin;
	char *grown;

	if (input->begin && used < input->room / 2) {
		memmove(input->bytes, input->bytes + input->begin, used);
		input->begin = 0;
		input->end = used;
	}
	if (input->end < input->room)
		return EXIT_DONE;
	grown = realloc(input->bytes, input->room ? 2 * input->room : BUFFER_BYTES);
	if (!grown)
		return output_fail("standard input: a message of more than %zu bytes: %s", used,
		                   strerror(ENOMEM));
	input->bytes = grown;
	input->room = input->room ? 2 * input->room : BUFFER_BYTES;
	return EXIT_DONE;
}

/* Reads what is there, once. */
static int fill(struct sending *sending, struct input *input)
{
	struct iovec part;
	int result = make_room(input);
	ssize_t got;

	if (result != EXIT_DONE)
		return result;
	result = settle_before_waiting(sending);
	if (result != EXIT_DONE)
		return result;
	part = (struct iovec){input->bytes + input->end, input->room - input->end};
	got = read_input(&part, 1, &result);
	if (got < 0)
		return result;
	input->ended = got == 0;
	input->end += (size_t)got;
	return EXIT_DONE;
}

/* --- lines, and what a NUL byte ends --- */

/* Sends every message that is whole. scanned: so much of what is left has no end in it. */
static int send_ended(struct sending *sending, struct input *input, int end_byte, size_t *scanned)
{
	struct iovec batch[BATCH];
	int result = EXIT_DONE;
	size_t count = 0;

	while (result == EXIT_DONE) {
		char *message = input->bytes + input->begin;
		size_t left = input->end - input->begin;
		char *end = left > *scanned ? memchr(message + *scanned, end_byte, left - *scanned)
		                            : NULL;

		if (end) {
			batch[count++] = (struct iovec){message, (size_t)(end - message)};
			input->begin += (size_t)(end - message) + 1;
		}
		*scanned = end ? 0 : left;
		if (count && (!end || count == BATCH)) {
			result = pub_send_all(sending, batch, count);
			count = 0;
		}
		if (!end)
			break;
	}
	return result;
}

static int input_ended(struct sending *sending, struct input *input, int end_byte)
{
	size_t scanned = 0;
	int result = EXIT_DONE;

	while (result == EXIT_DONE && !input->ended) {
		result = fill(sending, input);
		if (result == EXIT_DONE)
			result = send_ended(sending, input, end_byte, &scanned);
	}
	/* The last one may do without. */
	if (result == EXIT_DONE && input->begin < input->end)
		result = pub_send(sending, input->bytes + input->begin, input->end - input->begin);
	return result;
}

/* --- frames --- */

static bool has_header(const struct input *input)
{
	return input->end - input->begin >= FRAME_HEADER_BYTES;
}

static size_t frame_bytes(const struct input *input)
{
	const unsigned char *header = (const unsigned char *)input->bytes + input->begin;

	return header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 |
	       (size_t)header[3] << 24;
}

/* Sends every frame that is whole. */
static int send_frames(struct sending *sending, struct input *input)
{
	struct iovec batch[BATCH];
	size_t count = 0;
	int result = EXIT_DONE;

	while (result == EXIT_DONE) {
		size_t length = has_header(input) ? frame_bytes(input) : 0;
		bool whole = has_header(input) &&
		             input->end - input->begin - FRAME_HEADER_BYTES >= length;

		if (whole) {
			input->begin += FRAME_HEADER_BYTES;
			batch[count++] = (struct iovec){input->bytes + input->begin, length};
			input->begin += length;
		}
		if (count && (!whole || count == BATCH)) {
			result = pub_send_all(sending, batch, count);
			count = 0;
		}
		if (!whole)
			break;
	}
	return result;
}

static int fail_cut(size_t missing, size_t length)
{
	return output_fail("standard input: the last frame is cut short: %zu of its %zu bytes are "
	                   "missing",
	                   missing, length);
}

/*
 * The rest of a long frame, into its place, and the length of the next one into the buffer, by one
 * call where they are there.
 */
static int read_long(struct input *input, char *place, size_t done, size_t length)
{
	int result = EXIT_DONE;

	input->begin = 0;
	input->end = 0;
	while (done < length) {
		struct iovec parts[] = {
			{place + done, length - done},
			{input->bytes, FRAME_HEADER_BYTES},
		};
		ssize_t got = read_input(parts, COUNT_OF(parts), &result);

		if (got < 0)
			return result;
		if (got == 0)
			return fail_cut(length - done, length);
		if ((size_t)got > length - done)
			input->end = (size_t)got - (length - done);
		done += (size_t)got - input->end;
	}
	return EXIT_DONE;
}

static int send_long(struct sending *sending, struct input *input)
{
	size_t length = frame_bytes(input);
	size_t done = input->end - input->begin - FRAME_HEADER_BYTES;
	void *place;
	int result = settle_before_waiting(sending);

	if (result == EXIT_DONE)
		result = pub_reserve(sending, length, &place);
	if (result != EXIT_DONE)
		return result;
	memcpy(place, input->bytes + input->begin + FRAME_HEADER_BYTES, done);
	result = read_long(input, place, done, length);
	return result == EXIT_DONE ? pub_commit(sending, length) : result;
}

static int input_frames(struct sending *sending, struct input *input)
{
	int result = EXIT_DONE;

	while (result == EXIT_DONE && !input->ended) {
		if (has_header(input) && frame_bytes(input) >= LONG_BYTES)
			result = send_long(sending, input);
		else
			result = fill(sending, input);
		if (result == EXIT_DONE)
			result = send_frames(sending, input);
	}
	if (result != EXIT_DONE || input->begin == input->end)
		return result;
	if (has_header(input))
		return fail_cut(frame_bytes(input) -
		                        (input->end - input->begin - FRAME_HEADER_BYTES),
		                frame_bytes(input));
	return output_fail(
		"standard input: the last frame is cut short: %zu of the %d bytes of its "
		"length are missing",
		FRAME_HEADER_BYTES - (input->end - input->begin), FRAME_HEADER_BYTES);
}

/* --- all of it --- */

/* A file, whose size is known: straight into its place. One byte more tells if it has grown. */
static int send_file(struct sending *sending, size_t size)
{
	void *place;
	size_t done = 0;
	int result = pub_reserve(sending, size + 1, &place);

	while (result == EXIT_DONE && done <= size) {
		struct iovec part = {(char *)place + done, size + 1 - done};
		ssize_t got = read_input(&part, 1, &result);

		if (got < 0)
			return result;
		if (got == 0)
			return pub_commit(sending, done);
		done += (size_t)got;
	}
	return result == EXIT_DONE ? output_fail("standard input: it grew while it was read")
	                           : result;
}

static int input_whole(struct sending *sending, struct input *input)
{
	struct stat status;
	off_t position = lseek(STDIN_FILENO, 0, SEEK_CUR);
	int result = EXIT_DONE;

	if (position >= 0 && fstat(STDIN_FILENO, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size > position)
		return send_file(sending, (size_t)(status.st_size - position));
	while (result == EXIT_DONE && !input->ended)
		result = fill(sending, input);
	return result == EXIT_DONE ? pub_send(sending, input->bytes, input->end) : result;
}

int pub_input(struct sending *sending, enum message_form form)
{
	struct input input = {0};
	int result = EXIT_DONE;

	switch (form) {
	case FORM_FRAMES:
		result = input_frames(sending, &input);
		break;
	case FORM_WHOLE:
		result = input_whole(sending, &input);
		break;
	default:
		result = input_ended(sending, &input, form == FORM_NUL ? '\0' : '\n');
		break;
	}
	free(input.bytes);
	return result;
}
