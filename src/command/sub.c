/*
 * ayre sub: messages of a topic to standard output, as they come.
 *
 * Messages are written from where they lie, many at once, if they stand still until that is done: if
 * publishers wait for us, and we have caught up once. (What lay there when we came can be overwritten
 * before the publisher has noticed us.) All others are copied first: a copy is what was sent, or no
 * message at all, and what was written cannot be taken back.
 *
 * Invariant: whatever ends it, what was received has been written, the subscriber is closed, and its files are
 * gone.
 */
#include "command/sub.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "command/output.h"

/* So many are written at once, and so many bytes of copies. */
#define BATCH     256
#define BATCH_MAX ((size_t)256 * 1024)

/* Messages that are shorter on the average are copied together. */
#define SHORT_BYTES ((size_t)512)

/* Turns of the library's shortest spin before we sleep: most waits in a stream are that short. */
#define SPINS 16

struct sub_options {
	const char *from;
	struct count_option count;
	bool until_closed, lossy, safe_only;
	struct duration_option timeout;
	bool lines, nul, frames, json;
};

static const struct command_option sub_table[] = {
	{"from", OPTION_TEXT, "next|oldest|WHERE", offsetof(struct sub_options, from),
         "WHERE: a number, or a time: 2026-11-26T12:00:00 (local), ...Z, @SECONDS"},
	{"count", OPTION_COUNT, "N", offsetof(struct sub_options, count),
         "end after so many messages"},
	{"until-closed", OPTION_FLAG, NULL, offsetof(struct sub_options, until_closed),
         "end when every publisher seen has closed; exit 3 if one died"},
	{"timeout", OPTION_DURATION, "DURATION", offsetof(struct sub_options, timeout),
         "end when none came for so long: 250ms, 2s, 1m; exit 124 (never)"},
	{"lines", OPTION_FLAG, NULL, offsetof(struct sub_options, lines),
         "a newline behind each message (the default)"},
	{"nul", OPTION_FLAG, NULL, offsetof(struct sub_options, nul),
         "a NUL byte behind each message"},
	{"frames", OPTION_FLAG, NULL, offsetof(struct sub_options, frames),
         "its length (4 bytes, little-endian) before each message"},
	{"json", OPTION_FLAG, NULL, offsetof(struct sub_options, json), "an object a line"},
	{"lossy", OPTION_FLAG, NULL, offsetof(struct sub_options, lossy),
         "let nobody wait for this one: it may miss messages"},
	{"safe-only", OPTION_FLAG, NULL, offsetof(struct sub_options, safe_only),
         "of a topic on a disk, only what is safe there"},
};

struct receiving {
	struct ayre_subscriber *subscriber;
	const char *topic;
	const struct sub_options *given;
	enum message_form form;
	uint64_t left; /* messages to receive */
	bool waited_for;
	bool caught_up; /* nothing of what lay there when we came is left */
	bool troubled;  /* something was lost, and it was said */
	bool reader_gone;
	uint64_t missed; /* told of */
	struct sub_outbox outbox;
	char *buffer; /* for messages that become JSON */
	size_t buffer_bytes;
};

/* --- the end --- */

static struct ayre_subscriber_info get_info(const struct receiving *receiving)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};

	(void)!ayre_subscriber_get_info(receiving->subscriber, &info);
	return info;
}

static int report_lost(const struct receiving *receiving)
{
	struct ayre_subscriber_info info = get_info(receiving);
	char others[64] = "", last[64] = "before its first message";

	if (info.publishers_lost > 1)
		snprintf(others, sizeof(others), "; so did %" PRIu32 " more",
		         info.publishers_lost - 1);
	if (info.lost_sequence != UINT64_MAX)
		snprintf(last, sizeof(last), "after its message %" PRIu64, info.lost_sequence);
	output_note("%s: publisher %016" PRIx64 " died without closing, %s%s", receiving->topic,
	            info.lost_publisher, last, others);
	return EXIT_LOST;
}

static void report_damage(const struct receiving *receiving)
{
	struct ayre_subscriber_info info = get_info(receiving);
	uint64_t first = info.damaged_first, count = info.damaged_end - first;

	if (count == 0)
		output_note("%s: publisher %016" PRIx64 ": its log is damaged from message %" PRIu64
		            " on, and nothing behind that can be read",
		            receiving->topic, info.damaged_publisher, first);
	else if (count == 1)
		output_note("%s: publisher %016" PRIx64 ": message %" PRIu64
		            " is damaged in its log: it was passed over",
		            receiving->topic, info.damaged_publisher, first);
	else
		output_note(
			"%s: publisher %016" PRIx64 ": messages %" PRIu64 " to %" PRIu64
			" are damaged in its log, or cannot be told apart: they were passed over",
			receiving->topic, info.damaged_publisher, first, first + count - 1);
}

/* What an attempt came to that is no message. EXIT_DONE: try again. */
static int report(struct receiving *receiving, int code)
{
	receiving->troubled = true;
	switch (code) {
	case -EPROTO:
		output_note("%s: publisher %016" PRIx64
		            " broke the format: it is left alone from here on",
		            receiving->topic, get_info(receiving).broken_publisher);
		return EXIT_DONE;
	case -EBADMSG:
		report_damage(receiving);
		return EXIT_DONE;
	case -EMFILE:
	case -ENFILE:
		output_note("%s: %s: a publisher came, and no descriptor is left for it",
		            receiving->topic, strerror(-code));
		return EXIT_DONE;
	default:
		return output_fail("%s: %s", receiving->topic, strerror(-code));
	}
}

static int finish_write(struct receiving *receiving, enum sub_write written)
{
	receiving->reader_gone = written == WRITE_READER_GONE;
	return written == WRITE_DONE ? EXIT_DONE : EXIT_FAILED;
}

static int flush(struct receiving *receiving)
{
	return finish_write(receiving, sub_outbox_write(&receiving->outbox));
}

/* --- waiting --- */

static bool spin(const struct receiving *receiving)
{
	struct ayre_subscriber *subscriber = receiving->subscriber;

	/* A deadline that has passed: a short spin, and no sleep. */
	for (int i = 0; i < SPINS; i++)
		if (ayre_subscribers_wait(&subscriber, 1, 0) >= 0)
			return true;
	return false;
}

static int64_t deadline_of(const struct receiving *receiving)
{
	return receiving->given->timeout.given ? message_deadline(receiving->given->timeout.ns)
	                                       : AYRE_NO_DEADLINE;
}

static int sleep_until(struct receiving *receiving, int64_t deadline_ns)
{
	int fd = ayre_subscriber_fd(receiving->subscriber);

	if (fd < 0)
		return report(receiving, fd);
	switch (message_wait(fd, POLLIN, deadline_ns, true)) {
	case WAIT_READY:
		return EXIT_DONE;
	case WAIT_DEADLINE:
		output_note("%s: the deadline passed: no message came", receiving->topic);
		return EXIT_DEADLINE;
	case WAIT_READER_GONE:
		receiving->reader_gone = true;
		return EXIT_FAILED;
	case WAIT_NO_OUTPUT:
		return output_fail("standard output: %s", strerror(EBADF));
	default:
		return EXIT_FAILED;
	}
}

/* Something failed, and that was said. */
#define SAID (-ECANCELED)

/* What one attempt found: the number of messages, or a negative errno. */
typedef ssize_t attempt(struct receiving *receiving, struct ayre_message *messages);

static bool is_end(int code)
{
	return code == -EPIPE || code == -EOWNERDEAD;
}

/* Tries until there is something. *ret_count: 0: it ended, as the exit code says. */
static int wait_for(struct receiving *receiving, attempt *try, struct ayre_message *messages,
                    size_t *ret_count)
{
	int64_t deadline_ns = 0;
	int result = EXIT_DONE;

	*ret_count = 0;
	while (result == EXIT_DONE && !message_interrupted()) {
		ssize_t got = try(receiving, messages);

		if (got >= 0) {
			*ret_count = (size_t)got;
			return EXIT_DONE;
		}
		if (got == SAID)
			return EXIT_FAILED;
		if (got != -EAGAIN && !is_end((int)got)) {
			result = report(receiving, (int)got);
			continue;
		}
		/* Nobody waits for more with what there was still in hand. */
		receiving->caught_up = true;
		result = flush(receiving);
		if (result == EXIT_DONE && is_end((int)got))
			return got == -EPIPE ? EXIT_DONE : report_lost(receiving);
		if (result != EXIT_DONE || spin(receiving))
			continue;
		if (deadline_ns == 0)
			deadline_ns = deadline_of(receiving);
		result = sleep_until(receiving, deadline_ns);
	}
	return result == EXIT_DONE ? EXIT_FAILED : result;
}

/* --- from where they lie --- */

static ssize_t try_batch(struct receiving *receiving, struct ayre_message *messages)
{
	return ayre_subscriber_try_peek_batch(receiving->subscriber, messages,
	                                      receiving->left < BATCH ? receiving->left : BATCH);
}

static int release(struct receiving *receiving, size_t count)
{
	if (ayre_subscriber_release(receiving->subscriber) < 0)
		return output_fail("%s: messages were overwritten while they were written out: the "
		                   "last %zu are damaged",
		                   receiving->topic, count);
	return EXIT_DONE;
}

/* Short ones together in the outbox: to the kernel, each part of a write costs as much as a copy. */
static int gather(struct receiving *receiving, const struct ayre_message *messages, size_t count,
                  size_t bytes)
{
	struct sub_outbox *outbox = &receiving->outbox;

	if (!sub_outbox_extend(outbox, bytes))
		return EXIT_FAILED;
	for (size_t i = 0; i < count; i++)
		sub_put(receiving->form, outbox, &messages[i]);
	return release(receiving, count);
}

static int write_batch(struct receiving *receiving, size_t *ret_count)
{
	struct ayre_message messages[BATCH];
	int result = wait_for(receiving, try_batch, messages, ret_count);
	size_t bytes = 0, count = *ret_count;

	if (count == 0)
		return result;
	for (size_t i = 0; i < count; i++)
		bytes += (size_t)messages[i].bytes + FRAME_HEADER_BYTES;
	if (bytes <= count * SHORT_BYTES) {
		result = gather(receiving, messages, count, bytes);
		return result == EXIT_DONE && receiving->outbox.used >= BATCH_MAX ? flush(receiving)
		                                                                  : result;
	}
	result = flush(receiving);
	if (result == EXIT_DONE)
		result = finish_write(receiving,
		                      sub_write_messages(receiving->form, messages, count));
	return result == EXIT_DONE ? release(receiving, count) : result;
}

/* --- copied first --- */

/* Into the outbox, with what stands around it. A message that is too long for the room makes more. */
static ssize_t try_copy(struct receiving *receiving, struct ayre_message *message)
{
	struct sub_outbox *outbox = &receiving->outbox;
	size_t header = sub_header_bytes(receiving->form);
	size_t around = header + sub_trailer_bytes(receiving->form), wanted = BATCH_MAX / 4;

	for (;;) {
		char *begin;
		ssize_t got;

		if (!sub_outbox_extend(outbox, wanted + around))
			return SAID;
		begin = outbox->bytes + outbox->used;
		got = ayre_subscriber_try_receive(receiving->subscriber, begin + header,
		                                  outbox->room - outbox->used - around, message);
		if (got == -EMSGSIZE && message->bytes <= SIZE_MAX / 4) {
			wanted = (size_t)message->bytes;
			continue;
		}
		if (got < 0)
			return got;
		if (!sub_put_around(receiving->form, begin, (uint64_t)got))
			return SAID;
		outbox->used += (size_t)got + around;
		return 1;
	}
}

static ssize_t try_json(struct receiving *receiving, struct ayre_message *message)
{
	for (;;) {
		ssize_t got = ayre_subscriber_try_receive(receiving->subscriber, receiving->buffer,
		                                          receiving->buffer_bytes, message);
		uint64_t missed;
		char *grown;

		if (got >= 0) {
			missed = get_info(receiving).missed - receiving->missed;
			receiving->missed += missed;
			return sub_put_json(&receiving->outbox, message, missed) == EXIT_DONE
			               ? 1
			               : SAID;
		}
		if (got != -EMSGSIZE)
			return got;
		grown = message->bytes <= SIZE_MAX / 4
		                ? realloc(receiving->buffer, (size_t)message->bytes)
		                : NULL;
		if (!grown)
			return -ENOMEM;
		receiving->buffer = grown;
		receiving->buffer_bytes = (size_t)message->bytes;
	}
}

static int write_copy(struct receiving *receiving, size_t *ret_count)
{
	struct ayre_message message;
	int result = wait_for(receiving, receiving->form == FORM_JSON ? try_json : try_copy,
	                      &message, ret_count);

	/* All of it, before the first is written from where it lies. */
	if (result == EXIT_DONE && (receiving->outbox.used >= BATCH_MAX || receiving->caught_up))
		result = flush(receiving);
	return result;
}

/* --- the command --- */

static int receive(struct receiving *receiving)
{
	int result = EXIT_DONE;

	while (result == EXIT_DONE && receiving->left) {
		bool in_place = receiving->waited_for && receiving->caught_up &&
		                receiving->form != FORM_JSON;
		size_t count;

		result = in_place ? write_batch(receiving, &count) : write_copy(receiving, &count);
		if (count == 0)
			break;
		receiving->left -= count;
	}
	/* Also what was received before something went wrong. */
	if (!message_interrupted() && !receiving->reader_gone) {
		int flushed = flush(receiving);

		result = result == EXIT_DONE ? flushed : result;
	}
	return result == EXIT_DONE && receiving->troubled ? EXIT_FAILED : result;
}

static void report_missed(const struct receiving *receiving)
{
	uint64_t missed = get_info(receiving).missed;

	if (missed)
		output_note("%s: %" PRIu64 " message%s missed", receiving->topic, missed,
		            missed == 1 ? " was" : "s were");
}

static int check_form(const struct sub_options *given)
{
	if (given->lines + given->nul + given->frames + given->json > 1)
		return output_usage("--lines, --nul, --frames and --json exclude each other");
	return EXIT_DONE;
}

static enum message_form form_of(const struct sub_options *given)
{
	if (given->nul)
		return FORM_NUL;
	if (given->frames)
		return FORM_FRAMES;
	return given->json ? FORM_JSON : FORM_LINES;
}

static int fill_options(const struct sub_options *given, struct ayre_subscriber_options *options)
{
	options->flags = (given->lossy ? AYRE_SUBSCRIBER_LOSSY : 0) |
	                 (given->safe_only ? AYRE_SUBSCRIBER_SAFE_ONLY : 0) |
	                 (given->until_closed ? AYRE_SUBSCRIBER_UNTIL_CLOSED : 0);
	options->from =
		given->until_closed || given->count.given ? AYRE_FROM_OLDEST : AYRE_FROM_NEXT;
	if (given->count.given && given->count.count == 0)
		return output_usage("--count: 1 or more");
	return given->from ? sub_parse_from(given->from, options) : EXIT_DONE;
}

static int run_sub(void *values, int operand_count, char **operands)
{
	const struct sub_options *given = values;
	struct ayre_subscriber_options options = {.size = sizeof(options)};
	struct receiving receiving = {
		.topic = operands[0],
		.given = given,
		.form = form_of(given),
		.left = given->count.given ? given->count.count : UINT64_MAX,
	};
	struct ayre_error error;
	int result = check_form(given);

	(void)operand_count;
	if (result == EXIT_DONE)
		result = fill_options(given, &options);
	if (result != EXIT_DONE)
		return result;
	message_begin();
	if (ayre_subscriber_open(&options, operands[0], &receiving.subscriber, &error) < 0)
		return message_end(output_error(&error));
	receiving.waited_for = get_info(&receiving).waited_for;
	receiving.caught_up = options.from == AYRE_FROM_NEXT;
	result = receive(&receiving);
	report_missed(&receiving);
	ayre_subscriber_close(receiving.subscriber);
	free(receiving.outbox.bytes);
	free(receiving.buffer);
	if (receiving.reader_gone)
		output_reader_gone();
	return message_end(result);
}

const struct command sub_command = {
	.verb = "sub",
	.summary = "Print the messages of a topic as they come; make it if missing",
	.synopsis = "TOPIC [--from WHERE] [--count N] [--until-closed] [--timeout DURATION]\n"
		    "       [--lines | --nul | --frames | --json] [--lossy] [--safe-only]",
	.examples = "  ayre sub prices\n"
		    "  ayre sub prices --count 1 --timeout 2s\n"
		    "  ayre sub log --from 2026-11-26T12:00:00 --json\n"
		    "  ayre sub images --frames --until-closed > frames\n",
	.options = sub_table,
	.option_count = COUNT_OF(sub_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_sub,
	.values_bytes = sizeof(struct sub_options),
};
