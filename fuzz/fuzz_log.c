/*
 * A subscriber of a topic on a disk, whoever looks through it, and the next publisher: and the bytes of a log.
 *
 * An input is the head of an extent, two entries of its index, its records, both slots of log.ID, and how all of that is
 * used: with right checks or without, in one extent or in two, and by whom.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include <ayre/topic_log.h>

#include "base/hash.h"
#include "topic/durable.h"
#include "topic/log_layout.h"
#include "topic/record.h"

#define ID      UINT64_C(0x0123456789abcdef)
#define BEGIN   ((uint64_t)FUZZ_RING)
#define SECOND  (BEGIN + 4096)
#define RECORDS 8192u

struct input {
	struct ayrei_extent_layout head;
	struct ayrei_index_entry entries[2];
	uint64_t records[RECORDS / 8];
	struct ayrei_slot_layout slots[AYREI_SLOTS];
	uint8_t how;
};

enum how {
	MENDED = 1, /* what has a check has the right one */
	TWICE = 2,  /* there is a second extent, of the same records */
	CLOSED = 4, /* until the end */
	FROM = 24,  /* enum ayre_from, shifted by 3 */
	REPAIRS = 32,
	GOES_ON = 64,
	NO_SLOTS = 128,
};

const size_t fuzz_most_bytes = sizeof(struct input);

/* --- the topic --- */

static char topic[PATH_MAX], half[PATH_MAX];
static uint8_t generation[AYREI_GENERATION_BYTES];

static bool make_topic_in(const char *folder)
{
	const struct ayre_topic_options options = {
		.size = sizeof(options),
		.flags = AYRE_TOPIC_DURABLE,
		.ring_bytes = FUZZ_RING,
		.sync = AYRE_TOPIC_SYNC_NONE,
		.extent_bytes = 65536,
	};
	struct ayrei_topic found = AYREI_NO_TOPIC;

	if (!folder)
		return false;
	snprintf(topic, sizeof(topic), "%s/ayre-fuzz-log-%d", folder, getpid());
	if (ayre_topic_create(&options, topic, NULL) != 1)
		return false;
	fuzz_own(topic);
	check(ayrei_topic_open(&found, NULL, topic, true, NULL) == 0);
	memcpy(generation, found.layout.generation, sizeof(generation));
	check(ayrei_durable_path(&found, found.log, half) == 0);
	fuzz_own(half);
	ayrei_topic_close(&found);
	return true;
}

/* false: there is no disk here. */
static bool has_topic(void)
{
	static int has = -1;

	if (has == -1) {
		has = make_topic_in(getenv("TMPDIR")) || make_topic_in("/tmp") ||
		      make_topic_in("/var/tmp") || make_topic_in(".");
		if (!has)
			printf("# no disk: nothing is tried\n");
	}
	return has == 1;
}

static int make_file(uint64_t begin)
{
	char path[PATH_MAX + 64];
	int fd, length = snprintf(path, sizeof(path), "%s/log.%016" PRIx64, topic, ID);

	if (begin)
		snprintf(path + length, sizeof(path) - (size_t)length, ".%016" PRIx64, begin);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	check(fd >= 0);
	return fd;
}

static void put(int fd, const void *bytes, size_t length, off_t offset)
{
	check(pwrite(fd, bytes, length, offset) == (ssize_t)length);
}

/* --- checks --- */

static uint64_t sum_of(const void *layout)
{
	return ayrei_hash(layout, 504);
}

static void mend_head(struct ayrei_extent_layout *head, uint64_t begin)
{
	memcpy(head->magic, AYREI_EXTENT_MAGIC, sizeof(head->magic));
	head->version = AYREI_TOPIC_VERSION;
	memcpy(head->generation, generation, sizeof(generation));
	head->id = ID;
	head->begin = begin;
	head->capacity_bytes = 65536;
	head->header_bytes = (uint32_t)ayrei_extent_header_bytes(head->capacity_bytes);
	head->ring_bytes = FUZZ_RING;
	/* Numbers that run over the end are not repaired. */
	head->sequence %= UINT64_C(1) << 40;
	head->checksum = sum_of(head);
}

static void mend_entries(struct input *input)
{
	for (int i = 0; i < 2; i++)
		input->entries[i].check = ayrei_hash_seeded(
			&input->entries[i], offsetof(struct ayrei_index_entry, check),
			input->head.key);
}

/* Over records that are right but for their checks, and from word to word where there is none. */
static void mend_records(struct input *input, uint64_t begin)
{
	for (uint64_t at = 0; at < RECORDS;) {
		uint64_t header = input->records[at / 8], bytes = (uint32_t)header, check;
		char *data = (char *)input->records + at + AYREI_RECORD_HEADER;

		if (!ayrei_record_is_valid(header, FUZZ_RING) ||
		    !(ayrei_record_unpack(header).flags & AYREI_RECORD_CHECKED) ||
		    at + AYREI_RECORD_HEADER + bytes > RECORDS) {
			at += 8;
			continue;
		}
		check = ayrei_record_check(input->head.key, begin + at, header, data);
		memcpy(data, &check, sizeof(check));
		at = ayrei_record_end(begin + at, bytes) - begin;
	}
}

static void mend_slot(struct ayrei_slot_layout *slot)
{
	memcpy(slot->magic, AYREI_LOG_MAGIC, sizeof(slot->magic));
	slot->version = AYREI_TOPIC_VERSION;
	memcpy(slot->generation, generation, sizeof(generation));
	slot->id = ID;
	slot->checksum = sum_of(slot);
}

static void put_extent(struct input *input, uint64_t begin)
{
	int fd = make_file(begin);

	if (input->how & MENDED) {
		mend_head(&input->head, begin);
		mend_entries(input);
		mend_records(input, begin);
	}
	put(fd, &input->head, sizeof(input->head), 0);
	put(fd, input->entries, sizeof(input->entries), AYREI_BLOCK);
	put(fd, input->records, sizeof(input->records), 2 * AYREI_BLOCK);
	if (input->head.key % 2)
		check(ftruncate(fd, 2 * AYREI_BLOCK + 65536) == 0);
	close(fd);
}

static void put_log(struct input *input)
{
	int fd = make_file(0);

	for (unsigned int i = 0; i < AYREI_SLOTS && !(input->how & NO_SLOTS); i++) {
		if (input->how & MENDED)
			mend_slot(&input->slots[i]);
		put(fd, &input->slots[i], sizeof(input->slots[i]), (off_t)i * AYREI_BLOCK);
	}
	close(fd);
	put_extent(input, BEGIN);
	if (input->how & TWICE)
		put_extent(input, SECOND);
}

/* --- inputs to begin with --- */

static void draw_records(struct input *input, unsigned int mixture)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i < 4 * mixture; i++) {
		unsigned int stamped = (i + mixture) % 3 == 0 ? AYREI_RECORD_STAMPED : 0;
		unsigned int flags = AYREI_RECORD_CHECKED | stamped;
		uint64_t header =
			ayrei_record_pack(8 + 8 + i * 37 % 900, AYREI_RECORD_MESSAGE, flags);

		if (i % 11 == 10)
			header = ayrei_record_pack(8, AYREI_RECORD_CLOSED, AYREI_RECORD_CHECKED);
		else if (i % 7 == 6)
			header = ayrei_record_pack(24 + (stamped ? 8 : 0), AYREI_RECORD_LARGE,
			                           flags);
		header |= (uint64_t)(i % 5) << 48;
		if (at + 2048 > RECORDS)
			break;
		input->records[at / 8] = header;
		at = ayrei_record_end(BEGIN + at, (uint32_t)header) - BEGIN;
	}
	/* Torn, with whole ones behind it. */
	if (mixture % 3 == 2)
		input->records[mixture % 7] ^= UINT64_C(1) << 33;
}

size_t fuzz_begin_with(unsigned int number, uint8_t *data)
{
	static struct input input;

	if (number >= 48)
		return 0;
	memset(&input, 0, sizeof(input));
	input.head.key = number * 7919 + 1;
	input.head.follows = number % 5 ? BEGIN : BEGIN - 8;
	input.head.sequence = number;
	input.entries[0] = (struct ayrei_index_entry){.position = BEGIN, .sequence = number};
	draw_records(&input, number % 16);
	for (unsigned int i = 0; i < AYREI_SLOTS; i++) {
		input.slots[i].number = number + i;
		input.slots[i].first = BEGIN;
		input.slots[i].last = number % 2 ? SECOND : BEGIN;
		input.slots[i].safe = BEGIN + (number % 3) * 1024;
	}
	input.how = (uint8_t)(number * 37 | MENDED);
	memcpy(data, &input, sizeof(input));
	return sizeof(input);
}

/* --- what is made of it --- */

static void receive_all(const struct input *input)
{
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = input->how & CLOSED ? AYRE_SUBSCRIBER_UNTIL_CLOSED : 0,
		.from = (input->how & FROM) >> 3,
		.from_value = input->head.created_ns,
	};
	struct ayre_subscriber *subscriber;
	struct ayre_message messages[8];
	int result = ayre_subscriber_open(&options, topic, &subscriber, NULL);
	int ends = 0;

	check(result == 0);
	for (unsigned int turn = 0; ends < 3; turn++) {
		static char buffer[FUZZ_RING];
		ssize_t got;

		/* Each record, and each that is none, is told of once or not at all. */
		check(turn < 2 * RECORDS);
		if (turn % 4 == 3) {
			got = ayre_subscriber_try_peek_batch(subscriber, messages, 8);
			for (ssize_t i = 0; i < got; i++)
				(void)ayrei_hash(messages[i].data, messages[i].bytes);
			if (got > 0)
				check(ayre_subscriber_release(subscriber) == 0);
		} else {
			got = ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer),
			                                  messages);
			check(got <= FUZZ_RING / 4);
		}
		check(got >= 0 || got == -EAGAIN || got == -EBADMSG || got == -EPROTO ||
		      got == -EPIPE || got == -EOWNERDEAD);
		ends += got == -EAGAIN || got == -EPIPE || got == -EOWNERDEAD;
	}
	ayre_subscriber_close(subscriber);
}

static int note_flaw(const struct ayre_topic_flaw *flaw, void *context)
{
	unsigned int *kinds = context;

	check(flaw->kind <= AYRE_FLAW_STATE && flaw->file);
	if (!flaw->repaired)
		*kinds |= 1u << flaw->kind;
	return 0;
}

static void look_through(bool repairs)
{
	unsigned int kinds = 0, left;
	struct ayre_topic_check_options options = {
		.size = sizeof(options), .visit = note_flaw, .context = &kinds};
	struct ayre_topic_check_result before = {.size = sizeof(before)}, after = before;
	int result = ayre_topic_verify(topic, &options, &before, NULL);

	check(result == 0 || result == 1);
	if (!repairs)
		return;
	kinds = 0;
	result = ayre_topic_repair(topic, &options, NULL, NULL);
	check(result == 0 || result == 1);
	left = kinds;
	kinds = 0;
	check(ayre_topic_verify(topic, &options, &after, NULL) <= result);
	/* What it said it could not make good; and nothing that was whole is gone. */
	check((kinds & ~left) == 0);
	check(after.messages >= before.messages);
}

static void publish(void)
{
	struct ayre_publisher *publisher;
	int result = ayre_publisher_open(NULL, topic, &publisher, NULL);

	check(result == 0 || result == -ENOSPC);
	if (result < 0)
		return;
	check(ayre_publisher_send(publisher, "message", 7) == 0);
	check(ayre_publisher_sync(publisher) == 0);
	ayre_publisher_close(publisher);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct input input;

	if (!has_topic())
		return 0;
	memset(&input, 0, sizeof(input));
	memcpy(&input, data, bytes < sizeof(input) ? bytes : sizeof(input));
	put_log(&input);
	receive_all(&input);
	look_through(input.how & REPAIRS);
	if (input.how & GOES_ON) {
		publish();
		receive_all(&input);
		look_through(false);
	}
	fuzz_clear_in(topic);
	fuzz_clear_in(half);
	return 0;
}
