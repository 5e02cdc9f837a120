/*
 * Topics on a disk: which log a publisher takes, and what a subscriber finds who begins somewhere in one.
 */
#include "topic/durable_world.h"

#include <fcntl.h>
#include <inttypes.h>

#include <ayre/topic_log.h>

#include "topic/record.h"

/* --- publishers --- */

/* More than anybody would look through who gives up some time. */
#define LOGS 150

static int compare_lanes(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* All at once; afterwards all are closed. */
static void publish_at_once(uint64_t lanes[static LOGS])
{
	struct ayre_publisher *publishers[LOGS];

	for (int i = 0; i < LOGS; i++) {
		publishers[i] =
			publish(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)), disk_topic());
		lanes[i] = info_of_publisher(publishers[i]).id;
	}
	for (int i = 0; i < LOGS; i++)
		ayre_publisher_close(publishers[i]);
	qsort(lanes, LOGS, sizeof(*lanes), compare_lanes);
}

TOPIC_TEST(no_log_is_left_lying)
{
	static uint64_t first[LOGS], again[LOGS];

	SKIP_UNLESS_ON_DISK();
	publish_at_once(first);
	require(access(disk_half(), F_OK) == 0);
	publish_at_once(again);
	require(memcmp(first, again, sizeof(first)) == 0);
	reboot();
	publish_at_once(again);
	require(memcmp(first, again, sizeof(first)) == 0);
	remove_disk_topic();
	return 0;
}

/* --- heads that cannot be read --- */

#define EXTENTS 4

/* A log of some extents, and the numbers of the first message in each; the last is of what comes next. */
struct log {
	struct ayre_publisher *publisher;
	uint64_t lane;
	struct extent_list list;
	uint64_t first[EXTENTS + 1];
};

static uint64_t first_number(uint64_t lane, uint64_t begin)
{
	struct ayrei_extent_layout head;
	char path[NAME_BYTES];
	int fd = open(extent_file(lane, begin, path), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && pread(fd, &head, sizeof(head), 0) == sizeof(head));
	close(fd);
	return head.sequence;
}

static struct log make_log(void)
{
	struct log log = {.publisher =
	                          publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)))};

	log.lane = info_of_publisher(log.publisher).id;
	send_until_extents(log.publisher, EXTENTS);
	send_numbers(log.publisher, 150);
	log.list = list_extents(log.lane);
	require(log.list.count == EXTENTS);
	for (int i = 0; i < EXTENTS; i++)
		log.first[i] = first_number(log.lane, log.list.begins[i]);
	log.first[EXTENTS] = info_of_publisher(log.publisher).messages;
	return log;
}

/* Whose ring is gone; or which is being written. */
static struct log make_log_that(bool is_live)
{
	struct log log = make_log();

	if (!is_live) {
		ayre_publisher_close(log.publisher);
		log.publisher = NULL;
		reboot();
	}
	return log;
}

static void end_log(struct log *log)
{
	ayre_publisher_close(log->publisher);
	remove_disk_topic();
}

/* Again: it is as it was. */
static void spoil(const struct log *log, int which, off_t offset)
{
	char path[NAME_BYTES], byte;
	int fd = open(extent_file(log->lane, log->list.begins[which], path), O_RDWR | O_CLOEXEC);

	require(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
	byte ^= 0x10;
	require(pwrite(fd, &byte, 1, offset) == 1);
	close(fd);
}

static void spoil_head(const struct log *log, int which)
{
	spoil(log, which, 60);
}

/* It is told once of messages that cannot be read: those from a number on, and before another one. */
static void is_told(struct ayre_subscriber *subscriber, const struct log *log, uint64_t first,
                    uint64_t end)
{
	struct ayre_subscriber_info info;
	char buffer[1024];

	require(ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), NULL) == -EBADMSG);
	info = info_of_subscriber(subscriber);
	require(info.damaged_publisher == log->lane);
	require(info.damaged_first == first && info.damaged_end == end);
	require(info.missed == end - first);
}

static void receives(struct ayre_subscriber *subscriber, uint64_t first, uint64_t end)
{
	uint64_t next = first;
	char buffer[1024];

	for (; next < end; next++) {
		struct ayre_message message;
		ssize_t got =
			ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);

		require(got >= 0 && message.sequence == next);
		require(is_message(&message, size_of_number(next), (uint32_t)next));
	}
}

static void has_no_more(struct ayre_subscriber *subscriber)
{
	char buffer[1024];

	require(ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), NULL) == -EAGAIN);
	require(ayre_subscriber_receive_until(subscriber, buffer, sizeof(buffer), NULL, in_ms(1)) ==
	        -ETIMEDOUT);
	ayre_subscriber_close(subscriber);
}

TOPIC_TEST(a_head_that_cannot_be_read_is_told_of)
{
	SKIP_UNLESS_ON_DISK();
	for (int live = 0; live < 2; live++) {
		struct log log = make_log_that(live);

		for (int which = 0; which < EXTENTS - live; which++) {
			struct ayre_subscriber *subscriber;
			uint64_t first = log.first[which], end = log.first[which + 1],
				 sent = log.first[EXTENTS];

			spoil_head(&log, which);
			subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
			receives(subscriber, 0, first);
			/* How much there was in the last one, nothing says that can be read. */
			is_told(subscriber, &log, first, end == sent ? first : end);
			receives(subscriber, end, sent);
			has_no_more(subscriber);
			spoil_head(&log, which);
		}
		has_numbers(0, log.first[EXTENTS]);
		end_log(&log);
	}
	return 0;
}

/* Who wants a number that can be read gets it; else it is told, and gets what comes behind. */
TOPIC_TEST(numbers_before_and_behind_such_a_head)
{
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log_that(false);
	for (int which = 0; which < EXTENTS - 1; which++) {
		uint64_t sent = log.first[EXTENTS];

		spoil_head(&log, which);
		for (uint64_t from = 0; from < sent; from += 13) {
			bool is_missing = from >= log.first[which] && from < log.first[which + 1];
			struct ayre_subscriber *subscriber =
				subscribe_on_disk(AYRE_FROM_SEQUENCE, (int64_t)from, 0);

			if (from < log.first[which])
				receives(subscriber, from, log.first[which]);
			if (from < log.first[which + 1])
				is_told(subscriber, &log, log.first[which], log.first[which + 1]);
			receives(subscriber,
			         is_missing || from < log.first[which] ? log.first[which + 1]
			                                               : from,
			         sent);
			has_no_more(subscriber);
		}
		spoil_head(&log, which);
	}
	end_log(&log);
	return 0;
}

/* What was before it was given up: its first number is not known. */
TOPIC_TEST(the_oldest_head_after_others_were_given_up)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct log log = {.publisher = NULL};
	uint64_t next;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.retain_bytes = 100000)));
	log.lane = info_of_publisher(publisher).id;
	while (list_extents(log.lane).begins[0] == DISK_RING)
		send_numbers(publisher, 100);
	log.list = list_extents(log.lane);
	next = first_number(log.lane, log.list.begins[1]);
	spoil_head(&log, 0);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	is_told(subscriber, &log, next - 1, next);
	receives(subscriber, next, info_of_publisher(publisher).messages);
	has_no_more(subscriber);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

TOPIC_TEST(nothing_can_be_read)
{
	struct ayre_subscriber *subscriber;
	char path[NAME_BYTES];
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log_that(false);
	for (int which = 0; which < EXTENTS; which++)
		spoil_head(&log, which);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	is_told(subscriber, &log, 0, 0);
	has_no_more(subscriber);
	/* The first of them is gone, and then all are. */
	require(unlink(extent_file(log.lane, log.list.begins[0], path)) == 0);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	is_told(subscriber, &log, 0, 0);
	has_no_more(subscriber);
	for (int which = 1; which < EXTENTS; which++)
		require(unlink(extent_file(log.lane, log.list.begins[which], path)) == 0);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	is_told(subscriber, &log, 0, 0);
	has_no_more(subscriber);
	end_log(&log);
	return 0;
}

TOPIC_TEST(the_first_extent_is_gone)
{
	struct ayre_subscriber *subscriber;
	char path[NAME_BYTES];
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log_that(false);
	require(unlink(extent_file(log.lane, log.list.begins[0], path)) == 0);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	is_told(subscriber, &log, 0, log.first[1]);
	receives(subscriber, log.first[1], log.first[EXTENTS]);
	has_no_more(subscriber);
	end_log(&log);
	return 0;
}

/* All that is in the extent is in the ring, too: nothing is missing, and nothing comes twice. */
TOPIC_TEST(what_cannot_be_read_is_in_the_ring)
{
	struct ayre_publisher *publisher;
	struct log log = {.publisher = NULL};

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)));
	log.lane = info_of_publisher(publisher).id;
	while (list_extents(log.lane).count < 2)
		send_numbers(publisher, 1);
	log.list = list_extents(log.lane);
	spoil_head(&log, 1);
	for (size_t bytes = 0; bytes < 5 * DISK_RING / 8;) {
		uint64_t sent = info_of_publisher(publisher).messages;

		has_numbers(0, sent);
		send_numbers(publisher, 1);
		bytes += size_of_number(sent) + 32;
	}
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

/* --- what verify says of them --- */

static int keep_flaw(const struct ayre_topic_flaw *flaw, void *context)
{
	struct ayre_topic_flaw *kept = context;

	require(kept->file == NULL);
	*kept = *flaw;
	kept->file = strdup(flaw->file);
	return 0;
}

/* One, of this kind; from that message on. */
static void is_one_flaw(const struct log *log, enum ayre_flaw kind, int file, uint64_t first,
                        uint64_t messages)
{
	struct ayre_topic_flaw flaw = {.file = NULL};
	const struct ayre_topic_check_options options = {
		.size = sizeof(options), .visit = keep_flaw, .context = &flaw};
	struct ayre_topic_check_result result = {.size = sizeof(result)};
	char name[64];

	require(ayre_topic_verify(disk_topic(), &options, &result, NULL) == 1);
	require(result.flaws == 1 && result.torn == 0);
	snprintf(name, sizeof(name), "log.%016" PRIx64 ".%016" PRIx64, log->lane,
	         log->list.begins[file]);
	require(strcmp(flaw.file, name) == 0);
	require(flaw.kind == kind && flaw.publisher == log->lane && flaw.offset == 0);
	require(flaw.sequence == first && flaw.messages == messages);
	free((void *)(uintptr_t)flaw.file);
}

static int count_flaws(const struct ayre_topic_flaw *flaw, void *context)
{
	require(flaw->file);
	require(++*(int *)context < 10);
	return *(int *)context;
}

/* What visit returns that is not negative is of no meaning. */
TOPIC_TEST(visit_may_return_what_it_likes)
{
	int count = 0;
	const struct ayre_topic_check_options options = {
		.size = sizeof(options), .visit = count_flaws, .context = &count};
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log_that(false);
	/* Of the first record in the last extent: nothing says that it was safe. */
	spoil(&log, EXTENTS - 1, 2 * AYREI_BLOCK + AYREI_RECORD_HEADER);
	require(ayre_topic_verify(disk_topic(), &options, NULL, NULL) == 0 && count == 1);
	spoil_head(&log, 0);
	count = 0;
	require(ayre_topic_verify(disk_topic(), &options, NULL, NULL) == 1 && count == 2);
	end_log(&log);
	return 0;
}

TOPIC_TEST(one_damage_is_one_flaw)
{
	char path[NAME_BYTES];
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log_that(false);
	for (int which = 0; which < EXTENTS; which++) {
		spoil_head(&log, which);
		is_one_flaw(&log, AYRE_FLAW_HEAD, which, log.first[which],
		            which == EXTENTS - 1 ? UINT64_MAX
		                                 : log.first[which + 1] - log.first[which]);
		spoil_head(&log, which);
	}
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	require(unlink(extent_file(log.lane, log.list.begins[1], path)) == 0);
	is_one_flaw(&log, AYRE_FLAW_EXTENT, 2, log.first[1], log.first[2] - log.first[1]);
	end_log(&log);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(no_log_is_left_lying),
		counted_test(a_head_that_cannot_be_read_is_told_of),
		counted_test(numbers_before_and_behind_such_a_head),
		counted_test(the_oldest_head_after_others_were_given_up),
		counted_test(nothing_can_be_read),
		counted_test(the_first_extent_is_gone),
		counted_test(what_cannot_be_read_is_in_the_ring),
		counted_test(one_damage_is_one_flaw),
		counted_test(visit_may_return_what_it_likes),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_open", tests);
}
