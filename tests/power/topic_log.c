/*
 * A durable topic, for crash_points: what its publisher was told to be safe is there, whatever the disk lost.
 *
 *   topic_log write VARIANT   publishes to the topic in $POWER_DISK
 *   topic_log check VARIANT   receives all of it, compares it with the marks on standard input, and publishes once more
 *
 * VARIANT: each, group, thread (group, with a journal thread), retain (group, and the oldest goes), none (what was
 *   not asked for may be lost, and that is told); or, wrong,
 *   unflushed   nothing is flushed, and all is acknowledged
 *   early       acknowledges before it flushes
 *   unchecked   takes every record for whole: the library's own check is answered here
 *
 * The marks are those of marks.h. Rings and extents are as small as they can be, so that many messages lie beside
 * the ring, and many extents are begun.
 * Exit: 0; 1 something is lost, invented or damaged; 2 usage; 3 no result.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ayre.h>

#include "power/marks.h"
#include "topic/record.h"

#define MOST 16384

struct variant {
	const char *name;
	enum ayre_topic_sync sync;
	bool thread, retains, asks, early, unchecked;
};

static const struct variant variants[] = {
	{.name = "each", .sync = AYRE_TOPIC_SYNC_EACH},
	{.name = "group", .sync = AYRE_TOPIC_SYNC_GROUP},
	{.name = "thread", .sync = AYRE_TOPIC_SYNC_GROUP, .thread = true},
	{.name = "retain", .sync = AYRE_TOPIC_SYNC_GROUP, .retains = true},
	{.name = "none", .sync = AYRE_TOPIC_SYNC_NONE, .asks = true},
	{.name = "unflushed", .sync = AYRE_TOPIC_SYNC_NONE},
	{.name = "early", .sync = AYRE_TOPIC_SYNC_GROUP, .early = true},
	{.name = "unchecked", .sync = AYRE_TOPIC_SYNC_GROUP, .unchecked = true},
};

static const struct variant *variant;
static char topic[4096];

bool __real_ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header,
                                  const char *bytes);
bool __wrap_ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header,
                                  const char *bytes);
bool __wrap_ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header,
                                  const char *bytes)
{
	return variant->unchecked || __real_ayrei_record_is_whole(key, position, header, bytes);
}

/* --- messages --- */

/* The same whatever the life, so that what an earlier life has left begins where new records do. */
static size_t message_bytes(uint64_t sequence)
{
	uint64_t random = mix(sequence, 0);

	return 16 + (size_t)(random % 4 == 0 ? random / 4 % 9000 : random / 4 % 900);
}

static size_t make_message(unsigned char data[static MOST], uint64_t sequence, uint64_t life)
{
	size_t bytes = message_bytes(sequence);

	memcpy(data, &sequence, sizeof(sequence));
	memcpy(data + 8, &life, sizeof(life));
	for (size_t i = 16; i < bytes; i++)
		data[i] = payload_byte(sequence, life, i);
	return bytes;
}

/* Of one life. Each begins another extent; some fill it, and the next one. */
static uint64_t message_count(uint64_t life)
{
	return life % 3 == 1 ? 400 : 60;
}

/* --- write --- */

static struct ayre_publisher *open_publisher(void)
{
	struct ayre_topic_options form = {
		.size = sizeof(form),
		.flags = AYRE_TOPIC_DURABLE,
		.ring_bytes = 4096,
		.extent_bytes = 65536,
		.retain_bytes = variant->retains ? 100000 : 0,
		.sync = variant->sync,
	};
	struct ayre_publisher_options options = {
		.size = sizeof(options),
		.flags = variant->thread ? AYRE_PUBLISHER_THREAD : 0,
		.topic = &form,
	};
	struct ayre_publisher *publisher;
	int result = ayre_publisher_open(&options, topic, &publisher, NULL);

	if (result < 0)
		fail("publisher", -result);
	return publisher;
}

static uint64_t next_sequence(const struct ayre_publisher *publisher)
{
	struct ayre_publisher_info info = {.size = sizeof(info)};

	if (ayre_publisher_get_info(publisher, &info) < 0)
		fail("info", EINVAL);
	return info.messages;
}

static void send_one(struct ayre_publisher *publisher, uint64_t sequence, uint64_t life)
{
	unsigned char data[MOST];
	size_t bytes = make_message(data, sequence, life);
	int result = ayre_publisher_send(publisher, data, bytes);

	if (result < 0)
		fail("send", -result);
}

static void flush(struct ayre_publisher *publisher, uint64_t last)
{
	int result = 0;

	if (variant->thread)
		result = ayre_publisher_wait_safe(publisher, last, AYRE_NO_DEADLINE);
	else if (variant->sync == AYRE_TOPIC_SYNC_GROUP || variant->asks)
		result = ayre_publisher_sync(publisher);
	if (result < 0)
		fail("flush", -result);
}

/* owed: the first that is not acknowledged. */
static void publish_some(struct ayre_publisher *publisher, int marks, uint64_t life, uint64_t *owed)
{
	uint64_t first = next_sequence(publisher), count = draw_count(first, life);

	for (uint64_t i = first; i < first + count; i++) {
		mark(marks, "attempted", i, life);
		send_one(publisher, i, life);
		if (variant->sync == AYRE_TOPIC_SYNC_EACH)
			mark(marks, "acknowledged", i, life);
	}
	if (variant->sync == AYRE_TOPIC_SYNC_EACH || (variant->asks && mix(first, life + 1) % 6))
		return;
	if (!variant->early)
		flush(publisher, first + count - 1);
	for (; *owed < first + count; (*owed)++)
		mark(marks, "acknowledged", *owed, life);
	if (variant->early)
		flush(publisher, first + count - 1);
}

static int run_write(void)
{
	int marks = open_marks();
	uint64_t life = this_life(), stop, owed;
	struct ayre_publisher *publisher = open_publisher();

	owed = next_sequence(publisher);
	stop = owed + message_count(life);
	while (next_sequence(publisher) < stop)
		publish_some(publisher, marks, life, &owed);
	ayre_publisher_close(publisher);
	close(marks);
	return 0;
}

/* --- check --- */

static int judge(const struct ayre_message *message, uint64_t life_before, uint64_t *ret_life)
{
	const unsigned char *data = message->data;
	unsigned char whole[MOST];
	uint64_t sequence = message->sequence, told, life;
	int result;

	if (message->bytes < 16)
		return wrong("damaged", sequence, 0);
	memcpy(&told, data, sizeof(told));
	memcpy(&life, data + 8, sizeof(life));
	*ret_life = life;
	result = told == sequence ? judge_mark(sequence, life, life_before)
	                          : wrong("invented", sequence, life);
	if (result != 0)
		return result;
	return message->bytes == make_message(whole, sequence, life) &&
	                       memcmp(data, whole, message->bytes) == 0
	               ? 0
	               : wrong("damaged", sequence, life);
}

/* What is not there. */
static int judge_gap(uint64_t from, uint64_t until)
{
	if (!variant->asks)
		return wrong("a gap", from, 0);
	for (; from < until; from++)
		if (was_acknowledged(from))
			return wrong("lost", from, 0);
	return 0;
}

/* All there is. *ret_end: the number behind it. */
static int judge_all(uint64_t *ret_end)
{
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = AYRE_SUBSCRIBER_EXISTING | AYRE_SUBSCRIBER_UNTIL_CLOSED,
		.from = AYRE_FROM_OLDEST,
	};
	struct ayre_subscriber *subscriber;
	struct ayre_message message;
	static char buffer[MOST];
	uint64_t expected = 0, life = 0;
	int result = ayre_subscriber_open(&options, topic, &subscriber, NULL);

	*ret_end = 0;
	if (result == -ENOENT)
		return was_acknowledged(0) ? wrong("no topic, but", 0, 0) : 0;
	if (result < 0)
		fail("subscriber", -result);
	for (;;) {
		ssize_t got =
			ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);

		/* Nobody had published when the power went. */
		if (got == -EAGAIN && expected == 0)
			break;
		if (got == -EPIPE || got == -EOWNERDEAD)
			break;
		/* It goes on behind what is missing. */
		if (got == -EBADMSG && variant->asks)
			continue;
		if (got < 0) {
			result = wrong(strerror((int)-got), expected, life);
			break;
		}
		if (variant->retains && expected == 0)
			expected = message.sequence;
		if (message.sequence != expected)
			result = judge_gap(expected, message.sequence);
		if (result == 0)
			result = judge(&message, life, &life);
		if (result != 0)
			break;
		expected = message.sequence + 1;
	}
	ayre_subscriber_close(subscriber);
	*ret_end = expected;
	return result == 0 ? judge_missing(expected) : result;
}

static int verify(void)
{
	struct ayre_topic_check_result counts = {.size = sizeof(counts)};
	int result = ayre_topic_verify(topic, NULL, &counts, NULL);

	if (result == -ENOENT)
		return 0;
	if (result < 0)
		fail("verify", -result);
	return result == 0 || variant->asks ? 0 : wrong("verify finds damage", counts.messages, 0);
}

/* It takes another message, and has it. */
static int go_on(uint64_t end)
{
	struct ayre_publisher *publisher = open_publisher();
	uint64_t sequence = next_sequence(publisher);
	int result = 0;

	/* The last of an extent can be missing, and the next one there. */
	if (variant->asks && sequence > end)
		result = judge_gap(end, sequence);
	else if (sequence != end)
		result = wrong("the next one has another number", sequence, end);
	if (result != 0)
		return result;
	mark_last(sequence);
	send_one(publisher, sequence, LAST_LIFE);
	ayre_publisher_close(publisher);
	result = judge_all(&end);
	return result == 0 ? verify() : result;
}

static int run_check(void)
{
	uint64_t end;
	int result;

	read_marks();
	result = judge_all(&end);
	if (result == 0)
		result = verify();
	return result == 0 ? go_on(end) : result;
}

int main(int argc, char **argv)
{
	const char *disk = getenv("POWER_DISK");

	if (argc != 3 || !disk)
		return EXIT_USAGE;
	variant = variants;
	while (variant < variants + sizeof(variants) / sizeof(*variants) &&
	       strcmp(variant->name, argv[2]) != 0)
		variant++;
	if (variant == variants + sizeof(variants) / sizeof(*variants))
		return EXIT_USAGE;
	snprintf(topic, sizeof(topic), "%s/topic", disk);
	if (strcmp(argv[1], "write") == 0)
		return run_write();
	return strcmp(argv[1], "check") == 0 ? run_check() : EXIT_USAGE;
}
