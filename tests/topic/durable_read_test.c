/*
 * Topics on a disk: what a subscriber receives of them, out of the log and out of the ring, and from one into
 * the other.
 */
#include "topic/durable_world.h"

#include <signal.h>
#include <sys/stat.h>

#include <ayre/guard.h>

#include "topic/subscriber.h"

/* --- from somewhere --- */

/* The first message that one gets who begins there; -1: none. */
static int64_t first_from(uint32_t from, int64_t from_value)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(from, from_value, 0);
	char buffer[1024];
	struct ayre_message message;
	ssize_t got = ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);
	uint64_t next = message.sequence + 1;

	require(got >= 0 || got == -EAGAIN);
	if (got >= 0) {
		require(is_message(&message, size_of_number(next - 1), (uint32_t)next - 1));
		require(receive_numbers(subscriber, &next, 0) == -EAGAIN);
	}
	ayre_subscriber_close(subscriber);
	return got < 0 ? -1 : (int64_t)message.sequence;
}

static void look_from_everywhere(int64_t sent)
{
	require(first_from(AYRE_FROM_OLDEST, 0) == 0);
	require(first_from(AYRE_FROM_NEXT, 0) == -1);
	for (int64_t number = 0; number < sent; number += 1 + number % 7)
		require(first_from(AYRE_FROM_SEQUENCE, number) == number);
	require(first_from(AYRE_FROM_SEQUENCE, sent - 1) == sent - 1);
	require(first_from(AYRE_FROM_SEQUENCE, sent) == -1);
	require(first_from(AYRE_FROM_SEQUENCE, sent + 1000) == -1);
	require(first_from(AYRE_FROM_SEQUENCE, INT64_MAX) == -1);
	require(first_from(AYRE_FROM_SEQUENCE, -1) == -1);
}

TOPIC_TEST(from_each_number)
{
	struct ayre_publisher *publisher;
	int64_t sent;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)));
	send_until_extents(publisher, 4);
	sent = (int64_t)info_of_publisher(publisher).messages;
	look_from_everywhere(sent);
	ayre_publisher_close(publisher);
	look_from_everywhere(sent);
	/* Without a ring. */
	reboot();
	look_from_everywhere(sent);
	/* And with one that is younger than the log. */
	publisher = publish_on_disk(PUBLISHER(DISK()));
	look_from_everywhere(sent);
	send_numbers(publisher, 3);
	look_from_everywhere(sent + 3);
	ayre_publisher_close(publisher);
	look_from_everywhere(sent + 3);
	remove_disk_topic();
	return 0;
}

static void from_each_time(uint32_t flags)
{
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE), .flags = flags));
	static struct {
		int64_t time_ns, first;
	} marks[64];
	int count = 0;

	while (count < 64) {
		pause_ns(MILLISECOND);
		marks[count].time_ns = realtime_ns();
		marks[count].first = (int64_t)info_of_publisher(publisher).messages;
		count++;
		pause_ns(MILLISECOND);
		send_numbers(publisher, 17);
	}
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < count; i++) {
			int64_t first = first_from(AYRE_FROM_TIME, marks[i].time_ns);

			require(first >= 0 && first <= marks[i].first);
			require(first == marks[i].first || !(flags & AYRE_PUBLISHER_STAMP));
		}
		require(first_from(AYRE_FROM_TIME, 0) == 0);
		if (flags & AYRE_PUBLISHER_STAMP)
			require(first_from(AYRE_FROM_TIME, realtime_ns() + SECOND) == -1);
		if (turn == 0)
			ayre_publisher_close(publisher);
		if (turn == 1)
			reboot();
	}
	remove_disk_topic();
}

TOPIC_TEST(from_a_time)
{
	SKIP_UNLESS_ON_DISK();
	from_each_time(AYRE_PUBLISHER_STAMP);
	from_each_time(0);
	return 0;
}

/* --- slower than the ring --- */

/* One that reads at times, of a ring that goes round and round: it misses nothing. */
static void reads_now_and_then(uint32_t flags, uint64_t each)
{
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE), .flags = flags));
	struct ayre_subscriber *subscriber = subscribe_on_disk(AYRE_FROM_NEXT, 0, 0);
	uint64_t next = 0, sent = 0;

	for (int turn = 0; turn < 40; turn++) {
		send_numbers(publisher, each);
		sent += each;
		require(receive_numbers(subscriber, &next, 0) == -EAGAIN);
		require(next == sent);
	}
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	remove_disk_topic();
}

TOPIC_TEST(who_was_overtaken_reads_on_in_the_log)
{
	SKIP_UNLESS_ON_DISK();
	for (uint64_t each = 1; each < 400; each = each * 3 / 2 + 1) {
		reads_now_and_then(0, each);
		reads_now_and_then(AYRE_PUBLISHER_STAMP | AYRE_PUBLISHER_THREAD, each);
	}
	return 0;
}

static int send_many(void *context)
{
	const uint32_t *flags = context;
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(), .flags = *flags, .spin_ns = AYRE_SPIN_NONE));

	send_numbers(publisher, 20000);
	ayre_publisher_close(publisher);
	return 0;
}

/* At once, in two processes; how it is received changes all the time. */
static void both_at_once(uint32_t flags, uint32_t subscriber_flags)
{
	struct ayre_subscriber *subscriber;
	struct ayre_message messages[16];
	uint64_t next = 0;
	pid_t child;
	int result = 0;

	random_seed(flags + 1);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0,
	                               AYRE_SUBSCRIBER_UNTIL_CLOSED | subscriber_flags);
	require(access(disk_half(), F_OK) == 0);
	child = start_child(send_many, &flags);
	while (result != -EPIPE) {
		if (random_below(3) == 0) {
			ssize_t count = ayre_subscriber_try_peek_batch(subscriber, messages,
			                                               1 + random_below(16));
			bool whole = true;

			require(count > 0 || count == -EAGAIN || count == -EPIPE);
			for (ssize_t i = 0; i < count; i++) {
				require(messages[i].sequence == next + (uint64_t)i);
				whole &= is_message(&messages[i],
				                    size_of_number(messages[i].sequence),
				                    (uint32_t)messages[i].sequence);
			}
			result = (int)(count < 0 ? count : 0);
			if (count > 0) {
				/* Overwritten meanwhile: it is in the log. */
				if (ayre_subscriber_release(subscriber) == 0) {
					require(whole);
					next += (uint64_t)count;
				}
			}
		} else {
			result = receive_numbers(subscriber, &next,
			                         now_ns() + random_below(2) * MILLISECOND);
			require(result == -ETIMEDOUT || result == -EPIPE);
		}
		if (random_below(20) == 0)
			pause_ns((int64_t)random_below(5) * MILLISECOND);
	}
	require(next == 20000);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	require(end_of(child) == 0);
	has_numbers(0, next);
	remove_disk_topic();
}

TOPIC_TEST(two_processes_at_once)
{
	SKIP_UNLESS_ON_DISK();
	both_at_once(0, 0);
	both_at_once(AYRE_PUBLISHER_STAMP, 0);
	both_at_once(AYRE_PUBLISHER_THREAD, 0);
	both_at_once(0, AYRE_SUBSCRIBER_SAFE_ONLY);
	both_at_once(AYRE_PUBLISHER_THREAD, AYRE_SUBSCRIBER_SAFE_ONLY);
	return 0;
}

/* A record that is three pages, so that an extent that was full ends with a page. */
#define THREE_PAGES (3 * 4096 - 16)

/* It has mapped all that was allocated; what was not needed is given back when the next extent is there. */
TOPIC_TEST(an_extent_gets_shorter_under_its_reader)
{
	struct ayre_topic_options *options = TOPIC(.ring_bytes = 65536, .extent_bytes = 131072);
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	uint32_t sent = 0, next = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(.topic = options));
	while (sent < 9)
		send_pattern(publisher, THREE_PAGES, sent++);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	receive_pattern(subscriber, THREE_PAGES, next++);
	require(list_extents(info_of_publisher(publisher).id).count == 1);
	while (sent < 40)
		send_pattern(publisher, THREE_PAGES, sent++);
	while (next < sent)
		receive_pattern(subscriber, THREE_PAGES, next++);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

/* --- until closed --- */

static int read_to_the_end(uint64_t *next)
{
	struct ayre_subscriber *subscriber =
		subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	int result = receive_numbers(subscriber, next, in_ms(200));

	ayre_subscriber_close(subscriber);
	return result;
}

static int send_and_die(void *context)
{
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK()));

	(void)context;
	send_numbers(publisher, 5);
	require(ayre_publisher_sync(publisher) == 0);
	kill(getpid(), SIGKILL);
	return 0;
}

TOPIC_TEST(the_end_of_a_log_is_an_end)
{
	struct ayre_publisher *publisher;
	uint64_t next = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_until_extents(publisher, 2);
	require(read_to_the_end(&next) == -ETIMEDOUT);
	ayre_publisher_close(publisher);
	next = 0;
	require(read_to_the_end(&next) == -EPIPE);
	reboot();
	next = 0;
	require(read_to_the_end(&next) == -EPIPE);
	assert_killed_by(run_in_child(send_and_die, NULL), SIGKILL);
	next = 0;
	require(read_to_the_end(&next) == -EOWNERDEAD);
	remove_disk_topic();
	return 0;
}

static int open_and_die(void *context)
{
	(void)context;
	publish_on_disk(PUBLISHER(DISK()));
	kill(getpid(), SIGKILL);
	return 0;
}

/*
 * What stands in a log and a ring between two messages, of publishers that had nothing to say: the beginning of an extent,
 * that one has closed, the way back to the ring, and that one has closed there. An attempt passes over all of it.
 */
TOPIC_TEST(what_is_no_message_is_passed_over_at_once)
{
	struct ayre_publisher *publisher;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	ayre_publisher_close(publisher);
	assert_killed_by(run_in_child(send_and_die, NULL), SIGKILL);
	reboot();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	ayre_publisher_close(publisher);
	reboot();
	assert_killed_by(run_in_child(open_and_die, NULL), SIGKILL);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	ayre_publisher_close(publisher);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_numbers(publisher, 1);
	has_numbers(0, 6);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(from_each_number),
		counted_test(from_a_time),
		counted_test(who_was_overtaken_reads_on_in_the_log),
		counted_test(two_processes_at_once),
		counted_test(an_extent_gets_shorter_under_its_reader),
		counted_test(the_end_of_a_log_is_an_end),
		counted_test(what_is_no_message_is_passed_over_at_once),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_read", tests);
}
