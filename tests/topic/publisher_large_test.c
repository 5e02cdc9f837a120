/*
 * Messages beside the ring: so many bytes of them and no more; and a file system that has no room for
 * them, or for another ring. Whatever could not be sent is not there, and nothing that was sent is lost.
 */
#include "topic/topic_world.h"

#define NAME "large"

/* --- beside the ring --- */

#define LARGE 300000u

static int try_large(struct ayre_publisher *publisher, uint32_t number)
{
	static char bytes[LARGE];

	write_pattern(bytes, LARGE, number);
	return ayre_publisher_try_send(publisher, bytes, LARGE);
}

/* Their files: pub.ID.POSITION. */
static int count_large(void)
{
	struct counts now = take_counts();
	char last[NAME_BYTES];

	/* The directory, topic, join, and what has a name and a bell. */
	return now.topics - 3 - count_peers(NAME, "pub.", "", last) -
	       count_peers(NAME, "pub.", ".bell", last) - count_peers(NAME, "sub.", "", last) -
	       count_peers(NAME, "sub.", ".bell", last);
}

TOPIC_TEST(messages_beside_the_ring_are_bounded)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = 1000000), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	static char larger[2000000];

	for (uint32_t i = 0; i < 3; i++)
		require(try_large(publisher, i) == 0);
	require(count_large() == 3);
	require(try_large(publisher, 3) == -EAGAIN);
	require(ayre_publisher_send_until(publisher, larger, LARGE, in_ms(20)) == -ETIMEDOUT);
	/* Short ones are not held up. */
	send_number(publisher, 77);
	receive_pattern(subscriber, LARGE, 0);
	require(try_large(publisher, 3) == 0);
	require(count_large() == 3);
	receive_pattern(subscriber, LARGE, 1);
	receive_pattern(subscriber, LARGE, 2);
	require(receive_number(subscriber) == 77);
	receive_pattern(subscriber, LARGE, 3);
	/* One that is larger than the bound goes when it is alone. */
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == 0);
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == -EAGAIN);
	require(ayre_subscriber_receive(subscriber, larger, sizeof(larger), NULL) ==
	        sizeof(larger));
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == 0);
	require(count_large() == 1);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(in_a_lossy_topic_the_oldest_beside_the_ring_go)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(.topic = TOPIC(.ring_bytes = 1 << 16, .flags = AYRE_TOPIC_LOSSY),
	                          .large_bytes = 1000000),
	                NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_subscriber_info info;

	for (uint32_t i = 0; i < 10; i++) {
		require(try_large(publisher, i) == 0);
		require(count_large() <= 3);
	}
	for (uint32_t i = 7; i < 10; i++)
		receive_pattern(subscriber, LARGE, i);
	nothing_is_there(subscriber);
	info = info_of_subscriber(subscriber);
	require(info.received == 3 && info.missed == 7);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* What the ring tells of no more lies beside it no longer. */
TOPIC_TEST(what_was_overwritten_leaves_nothing_beside_the_ring)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	for (uint32_t i = 0; i < 5; i++)
		require(try_large(publisher, i) == 0);
	for (uint64_t i = 0; i < 1000; i++)
		send_number(publisher, i);
	require(try_large(publisher, 5) == 0);
	require(count_large() == 1);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

struct slow {
	atomic_uint ready;
	uint64_t count;
	int64_t pause_ns;
};

static int read_large_ones(void *context)
{
	struct slow *slow = context;
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	announce(&slow->ready, 1);
	for (uint32_t i = 0; i < slow->count; i++) {
		receive_pattern(subscriber, LARGE, i);
		if (i % 10 == 0)
			pause_ns(slow->pause_ns);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(a_writer_waits_for_room_beside_the_ring)
{
	struct slow *slow = share_memory(sizeof(*slow));
	struct ayre_publisher *publisher;
	pid_t reader;

	*slow = (struct slow){.count = 300, .pause_ns = 5 * MILLISECOND};
	reader = start_child(read_large_ones, slow);
	await(&slow->ready, 1);
	publisher = publish(PUBLISHER(.large_bytes = 2 * LARGE, .spin_ns = AYRE_SPIN_NONE), NAME);
	for (uint32_t i = 0; i < slow->count; i++)
		send_pattern(publisher, LARGE, i);
	require(end_of(reader) == 0);
	require(info_of_publisher(publisher).waits > 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(slow, sizeof(*slow));
	return 0;
}

TOPIC_TEST(the_descriptor_tells_of_room_beside_the_ring)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	int fd = ayre_publisher_fd(publisher);

	for (uint32_t i = 0; i < 10; i++) {
		require(try_large(publisher, i) == 0);
		require(try_large(publisher, i + 1) == -EAGAIN);
		require(!is_readable(fd, 10));
		receive_pattern(subscriber, LARGE, i);
		require(is_readable(fd, 1000));
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- a full file system --- */

TOPIC_TEST(a_full_file_system_costs_only_what_does_not_fit)
{
	static char bytes[900000];
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct counts before, after;
	void *data;

	if (mount_private_tmpfs(topic_root(), "1m") != 0)
		return skipped("this user may not mount a file system");
	fails_to_create(TOPIC(.ring_bytes = 2 << 20), NAME, -ENOSPC);
	publisher = publish(PUBLISHER(RING(1 << 18)), NAME);
	subscriber = subscribe(NULL, NAME);
	send_number(publisher, 1);
	before = take_counts();
	for (int i = 0; i < 3; i++) {
		require(ayre_publisher_send(publisher, bytes, sizeof(bytes)) == -ENOSPC);
		require(ayre_publisher_try_send(publisher, bytes, sizeof(bytes)) == -ENOSPC);
		require(ayre_publisher_reserve(publisher, sizeof(bytes), &data) == -ENOSPC);
	}
	after = take_counts();
	require(!counts_differ(&after, &before));
	send_pattern(publisher, 100000, 2);
	send_number(publisher, 3);
	require(receive_number(subscriber) == 1);
	receive_pattern(subscriber, 100000, 2);
	require(receive_number(subscriber) == 3);
	nothing_is_there(subscriber);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

static int open_until_full(void)
{
	struct ayre_publisher *publishers[16];
	struct ayre_error error = {0};
	int count = 0, result;
	char last[NAME_BYTES];

	while ((result = ayre_publisher_open(PUBLISHER(RING(1 << 18)), NAME, &publishers[count],
	                                     &error)) == 0)
		count++;
	require(result == -ENOSPC && strstr(error.detail, "are free"));
	require(count_peers(NAME, "pub.", "", last) == count);
	require(count_peers(NAME, "pub.", ".bell", last) == count);
	for (int i = 0; i < count; i++)
		send_number(publishers[i], 1);
	for (int i = 0; i < count; i++)
		ayre_publisher_close(publishers[i]);
	return count;
}

TOPIC_TEST(as_many_rings_as_there_is_room_for)
{
	if (mount_private_tmpfs(topic_root(), "1m") != 0)
		return skipped("this user may not mount a file system");
	require(open_until_full() == 3);
	require(open_until_full() == 3);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(messages_beside_the_ring_are_bounded),
		counted_test(in_a_lossy_topic_the_oldest_beside_the_ring_go),
		counted_test(what_was_overwritten_leaves_nothing_beside_the_ring),
		counted_test(a_writer_waits_for_room_beside_the_ring),
		counted_test(the_descriptor_tells_of_room_beside_the_ring),
		counted_test(a_full_file_system_costs_only_what_does_not_fit),
		counted_test(as_many_rings_as_there_is_room_for),
	};

	use_topic_root();
	return run_counted("beside the ring", tests);
}
