/*
 * ayre pub: messages into a topic, from the command line or from standard input.
 *
 * Invariant: whatever we wait for, an interruption and the deadline end it; and then the publisher is
 * closed, so that nothing of us stays but what was sent.
 */
#include "command/pub.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "command/command.h"
#include "command/output.h"

/* For so long the library waits by itself, since most waits in a stream are that short. */
#define PATIENCE_NS 20000

struct pub_options {
	bool lines, nul, frames, whole;
	struct count_option wait_subscribers;
	struct duration_option timeout;
};

static const struct command_option pub_table[] = {
	{"lines", OPTION_FLAG, NULL, offsetof(struct pub_options, lines),
         "standard input: each line is a message (the default)"},
	{"nul", OPTION_FLAG, NULL, offsetof(struct pub_options, nul),
         "standard input: a NUL byte ends a message"},
	{"frames", OPTION_FLAG, NULL, offsetof(struct pub_options, frames),
         "standard input: the length (4 bytes, little-endian) before each message"},
	{"whole", OPTION_FLAG, NULL, offsetof(struct pub_options, whole),
         "standard input: all of it is one message"},
	{"wait-subscribers", OPTION_COUNT, "N", offsetof(struct pub_options, wait_subscribers),
         "begin when so many subscribe"},
	{"timeout", OPTION_DURATION, "DURATION", offsetof(struct pub_options, timeout),
         "give up when something has waited so long: 250ms, 2s, 1m; exit 124 (never)"},
};

/* --- waiting --- */

static int64_t deadline_of(const struct sending *sending)
{
	return sending->has_timeout ? message_deadline(sending->timeout_ns) : AYRE_NO_DEADLINE;
}

static int fail(const struct sending *sending, int code)
{
	if (sending->sync && code == -ENOSPC)
		return output_fail("%s: %s on its disk: what was sent and is not safe stays in "
		                   "memory, and follows when there is room and somebody publishes",
		                   sending->topic, strerror(ENOSPC));
	if (sending->sync && code == -EIO)
		return output_fail(
			"%s: %s of its disk: what was sent and is not safe may never be; "
			"whoever publishes next writes it anew",
			sending->topic, strerror(EIO));
	if (code == -EMFILE || code == -ENFILE)
		return output_fail("%s: %s: a subscriber came, and no descriptor is left for it",
		                   sending->topic, strerror(-code));
	if (code == -ENOSPC)
		return output_fail("%s: %s for a message beside the ring", sending->topic,
		                   strerror(ENOSPC));
	return output_fail("%s: %s", sending->topic, strerror(-code));
}

/* Until another attempt is due. EXIT_DONE: it is. what: that was waited for in vain. */
static int wait_for(const struct sending *sending, int64_t deadline_ns, const char *what)
{
	int fd = ayre_publisher_fd(sending->publisher);

	switch (message_wait(fd, POLLIN, deadline_ns, false)) {
	case WAIT_READY:
		return EXIT_DONE;
	case WAIT_DEADLINE:
		output_note("%s: the deadline passed: %s", sending->topic, what);
		return EXIT_DEADLINE;
	default:
		return EXIT_FAILED;
	}
}

int pub_reserve(struct sending *sending, size_t bytes, void **ret_place)
{
	int result = ayre_publisher_reserve_until(sending->publisher, bytes, ret_place,
	                                          message_now_ns() + PATIENCE_NS);
	int64_t deadline_ns;

	if (result == 0)
		return EXIT_DONE;
	/* From here on the descriptor tells when there is room. */
	deadline_ns = deadline_of(sending);
	while (result == -ETIMEDOUT || result == -EAGAIN) {
		int waited;

		if (ayre_publisher_fd(sending->publisher) < 0)
			return EXIT_FAILED;
		result = ayre_publisher_try_reserve(sending->publisher, bytes, ret_place);
		if (result != -EAGAIN)
			break;
		waited = wait_for(sending, deadline_ns, "a subscriber made no room");
		if (waited != EXIT_DONE)
			return waited;
	}
	return result < 0 ? fail(sending, result) : EXIT_DONE;
}

static int wait_subscribers(struct sending *sending, uint64_t count)
{
	int64_t deadline_ns = deadline_of(sending);
	char what[64];

	for (;;) {
		int result = ayre_publisher_wait_subscribers(
			sending->publisher, count > UINT32_MAX ? UINT32_MAX : (unsigned int)count,
			0);

		if (result >= 0)
			return EXIT_DONE;
		if (result != -ETIMEDOUT)
			return fail(sending, result);
		snprintf(what, sizeof(what), "fewer than %" PRIu64 " subscribe", count);
		result = wait_for(sending, deadline_ns, what);
		if (result != EXIT_DONE)
			return result;
	}
}

/* --- sending --- */

int pub_commit(struct sending *sending, size_t bytes)
{
	int result = ayre_publisher_commit(sending->publisher, bytes);

	return result < 0 ? fail(sending, result) : EXIT_DONE;
}

int pub_send(struct sending *sending, const void *bytes, size_t length)
{
	void *place;
	int result = pub_reserve(sending, length, &place);

	if (result != EXIT_DONE)
		return result;
	if (length)
		memcpy(place, bytes, length);
	return pub_commit(sending, length);
}

int pub_send_all(struct sending *sending, const struct iovec *messages, size_t count)
{
	while (count) {
		ssize_t sent = 1;
		void *place;
		int result;

		if (messages[0].iov_len > sending->ring_max) {
			result = pub_send(sending, messages[0].iov_base, messages[0].iov_len);
		} else {
			/* So that there is room for the first, and the call waits for nothing. */
			result = pub_reserve(sending, messages[0].iov_len, &place);
			if (result == EXIT_DONE)
				sent = ayre_publisher_send_batch(sending->publisher, messages,
				                                 count);
			if (sent < 0)
				result = fail(sending, (int)sent);
		}
		if (result != EXIT_DONE)
			return result;
		if (message_interrupted())
			return EXIT_FAILED;
		messages += sent;
		count -= (size_t)sent;
	}
	return EXIT_DONE;
}

int pub_settle(struct sending *sending)
{
	int result = 0;

	/* With NONE nobody asked for it, and with EACH it has been done. */
	if (sending->sync == AYRE_TOPIC_SYNC_GROUP)
		result = ayre_publisher_sync(sending->publisher);
	return result < 0 ? fail(sending, result) : EXIT_DONE;
}

static int send_texts(struct sending *sending, int count, char **texts)
{
	int result = EXIT_DONE;

	for (int i = 0; result == EXIT_DONE && i < count; i++)
		result = pub_send(sending, texts[i], strlen(texts[i]));
	return result;
}

/* --- the command --- */

static int check_form(const struct pub_options *given, bool has_texts)
{
	int count = given->lines + given->nul + given->frames + given->whole;

	if (count > 1)
		return output_usage("--lines, --nul, --frames and --whole exclude each other");
	if (count && has_texts)
		return output_usage("--%s is about standard input, and there is a TEXT",
		                    given->lines    ? "lines"
		                    : given->nul    ? "nul"
		                    : given->frames ? "frames"
		                                    : "whole");
	return EXIT_DONE;
}

static enum message_form form_of(const struct pub_options *given)
{
	if (given->nul)
		return FORM_NUL;
	if (given->frames)
		return FORM_FRAMES;
	return given->whole ? FORM_WHOLE : FORM_LINES;
}

static int publish(struct sending *sending, const struct pub_options *given, int text_count,
                   char **texts)
{
	struct ayre_publisher_info info = {.size = sizeof(info)};
	int result = ayre_publisher_get_info(sending->publisher, &info);

	if (result < 0)
		return fail(sending, result);
	/* A quarter of the ring, with the time, and the check of a durable one. */
	sending->sync = info.sync;
	sending->ring_max =
		info.ring_bytes / 4 - sizeof(int64_t) - (info.sync ? sizeof(uint64_t) : 0);
	result = given->wait_subscribers.given
	                 ? wait_subscribers(sending, given->wait_subscribers.count)
	                 : EXIT_DONE;
	if (result != EXIT_DONE)
		return result;
	result = text_count ? send_texts(sending, text_count, texts)
	                    : pub_input(sending, form_of(given));
	return result == EXIT_DONE ? pub_settle(sending) : result;
}

static int run_pub(void *values, int operand_count, char **operands)
{
	const struct pub_options *given = values;
	struct ayre_publisher_options options = {
		.size = sizeof(options),
		.flags = AYRE_PUBLISHER_STAMP,
	};
	struct sending sending = {
		.topic = operands[0],
		.has_timeout = given->timeout.given,
		.timeout_ns = given->timeout.ns,
	};
	struct ayre_error error;
	int result = check_form(given, operand_count > 1);

	if (result != EXIT_DONE)
		return result;
	message_begin();
	if (ayre_publisher_open(&options, operands[0], &sending.publisher, &error) < 0)
		return message_end(output_error(&error));
	result = publish(&sending, given, operand_count - 1, operands + 1);
	ayre_publisher_close(sending.publisher);
	return message_end(result);
}

const struct command pub_command = {
	.verb = "pub",
	.summary = "Publish messages in a topic; make it if missing",
	.synopsis = "TOPIC [TEXT]... [--lines | --nul | --frames | --whole]\n"
		    "       [--wait-subscribers N] [--timeout DURATION]",
	.examples = "  ayre pub prices 'AYR 42' 'ISL 17'\n"
		    "  tail -f /var/log/syslog | ayre pub log\n"
		    "  ayre pub images --frames --wait-subscribers 1 < frames\n",
	.options = pub_table,
	.option_count = COUNT_OF(pub_table),
	.least_operands = 1,
	.most_operands = -1,
	.operand_kinds = {OPERAND_TOPIC, OPERAND_TEXT},
	.run = run_pub,
	.values_bytes = sizeof(struct pub_options),
};
