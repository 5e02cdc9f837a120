/*
 * Receiving: copies and looks in place, batches, buffers that are too small; and publishers that
 * come while a subscriber sleeps, spins or reads, each of whom gets its turn.
 */
#include "topic/topic_world.h"

#include <fcntl.h>

#define NAME "receiving"

/* --- in place --- */

TOPIC_TEST(what_is_peeked_stays_until_it_is_released)
{
	static const size_t sizes[] = {0, 1, 63, 64, 900, 5000, 0, 70000, 8};
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message message;

	require(ayre_subscriber_try_peek(subscriber, &message) == -EAGAIN);
	require(ayre_subscriber_peek_until(subscriber, &message, in_ms(5)) == -ETIMEDOUT);
	require(ayre_subscriber_release(subscriber) == -EINVAL);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		send_pattern(publisher, sizes[i], i);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (int again = 0; again < 3; again++) {
			require(ayre_subscriber_peek(subscriber, &message) == 0);
			require(message.sequence == i && is_message(&message, sizes[i], i));
		}
		require(info_of_subscriber(subscriber).received == i);
		require(ayre_subscriber_release(subscriber) == 0);
		require(ayre_subscriber_release(subscriber) == -EINVAL);
		require(info_of_subscriber(subscriber).received == i + 1);
	}
	require(ayre_subscriber_try_peek(subscriber, &message) == -EAGAIN);
	require(ayre_subscriber_release(subscriber) == -EINVAL);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* It stays the next message, for a copy as well. */
TOPIC_TEST(what_was_peeked_and_not_released_can_be_received)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message messages[4];

	for (uint32_t i = 0; i < 20; i++)
		send_pattern(publisher, i % 5 == 4 ? 9000 : 20, i);
	for (uint32_t i = 0; i < 20; i++) {
		require(ayre_subscriber_try_peek_batch(subscriber, messages, 4) >= 1);
		receive_pattern(subscriber, i % 5 == 4 ? 9000 : 20, i);
		/* That was another call: nothing is peeked any more. */
		require(ayre_subscriber_release(subscriber) == -EINVAL);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

static void closes_with_something_peeked(struct ayre_publisher *publisher, size_t bytes)
{
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message message;

	send_pattern(publisher, bytes, 1);
	require(ayre_subscriber_peek(subscriber, &message) == 0);
	ayre_subscriber_close(subscriber);
}

TOPIC_TEST(closing_lets_go_of_what_was_peeked)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	closes_with_something_peeked(publisher, 10);
	closes_with_something_peeked(publisher, 100000);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(NULL);
	remove_topic(NAME);
	return 0;
}

/* --- batches --- */

static void look_at_batches(uint32_t flags)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(1 << 16), .flags = flags), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message messages[64];
	uint32_t sent = 0, seen = 0;

	require(ayre_subscriber_try_peek_batch(subscriber, messages, 0) == -EINVAL);
	require(ayre_subscriber_try_peek_batch(subscriber, messages, 64) == -EAGAIN);
	for (size_t count = 1; count <= 64; count++) {
		size_t most = 1 + random_below(64);

		for (size_t i = 0; i < count; i++, sent++)
			send_pattern(publisher, sent % 40, sent);
		while (seen < sent) {
			ssize_t got = ayre_subscriber_try_peek_batch(subscriber, messages, most);
			size_t wanted = sent - seen < most ? sent - seen : most;

			require(got == (ssize_t)wanted);
			for (uint32_t i = 0; i < got; i++, seen++) {
				require(is_message(&messages[i], seen % 40, seen));
				require(messages[i].sequence == seen);
				require((messages[i].time_ns > 0) == (flags != 0));
			}
			require(ayre_subscriber_release(subscriber) == 0);
			require(info_of_subscriber(subscriber).received == seen);
		}
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
}

TOPIC_TEST(a_batch_is_as_many_as_are_there)
{
	look_at_batches(0);
	look_at_batches(AYRE_PUBLISHER_STAMP);
	return 0;
}

/* Else its publisher could wait for what is being looked at. */
TOPIC_TEST(a_batch_is_no_more_than_half_a_ring)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message messages[64];

	for (uint32_t bytes = 1; bytes <= 1024; bytes += 31) {
		uint32_t sent = 0, seen = 0;
		char data[1024];

		write_pattern(data, bytes, 0);
		while (ayre_publisher_try_send(publisher, data, bytes) == 0)
			sent++;
		while (seen < sent) {
			ssize_t got = ayre_subscriber_try_peek_batch(subscriber, messages, 64);
			const char *first = messages[0].data;

			require(got > 0);
			require((const char *)messages[got - 1].data + bytes - (first - 8) <= 2048);
			require(ayre_subscriber_release(subscriber) == 0);
			seen += (uint32_t)got;
		}
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_batch_is_of_one_publisher)
{
	struct ayre_publisher *publishers[3];
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	struct ayre_message messages[32];
	unsigned int seen = 0;

	for (int i = 0; i < 3; i++)
		publishers[i] = publish(NULL, NAME);
	for (uint64_t i = 0; i < 30; i++)
		send_number(publishers[i % 3], i / 3);
	while (seen < 30) {
		ssize_t got = ayre_subscriber_try_peek_batch(subscriber, messages, 32);

		require(got >= 1 && got <= 10);
		for (ssize_t i = 1; i < got; i++) {
			require(messages[i].publisher == messages[0].publisher);
			require(messages[i].sequence == messages[0].sequence + (uint64_t)i);
		}
		require(ayre_subscriber_release(subscriber) == 0);
		seen += (unsigned int)got;
	}
	for (int i = 0; i < 3; i++)
		ayre_publisher_close(publishers[i]);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* --- buffers --- */

static void is_too_large(struct ayre_subscriber *subscriber, size_t room, size_t bytes)
{
	struct ayre_message message = {0};
	static char buffer[100000];

	memset(buffer, 7, sizeof(buffer));
	for (int i = 0; i < 2; i++) {
		require(ayre_subscriber_receive(subscriber, buffer, room, &message) == -EMSGSIZE);
		require(message.bytes == bytes);
		require(ayre_subscriber_try_receive(subscriber, buffer, room, NULL) == -EMSGSIZE);
	}
	for (size_t i = 0; i < sizeof(buffer); i++)
		require(buffer[i] == 7);
}

TOPIC_TEST(a_message_that_is_too_large_for_the_buffer_stays)
{
	static const size_t sizes[] = {1, 8, 64, 1000, 4000, 90000};
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);

	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		send_pattern(publisher, sizes[i], i);
		is_too_large(subscriber, 0, sizes[i]);
		is_too_large(subscriber, sizes[i] - 1, sizes[i]);
		require(info_of_subscriber(subscriber).received == i);
		receive_pattern(subscriber, sizes[i], i);
	}
	/* Nothing fits everywhere. */
	require(ayre_publisher_send(publisher, NULL, 0) == 0);
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) == 0);
	require(ayre_subscriber_try_receive(subscriber, NULL, 0, NULL) == -EAGAIN);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- turns --- */

TOPIC_TEST(publishers_take_turns)
{
	enum { MANY = 4, EACH = 1000 };
	struct ayre_publisher *publishers[MANY];
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(1 << 16)), NAME);
	uint64_t last = 0, next[MANY] = {0}, ids[MANY];
	unsigned int in_a_row = 0;

	for (int i = 0; i < MANY; i++) {
		publishers[i] = publish(NULL, NAME);
		ids[i] = info_of_publisher(publishers[i]).id;
		for (uint64_t j = 0; j < EACH; j++)
			send_number(publishers[i], j);
	}
	for (int i = 0; i < MANY * EACH; i++) {
		struct ayre_message message;
		uint64_t number;
		int from = 0;

		require(ayre_subscriber_receive(subscriber, &number, 8, &message) == 8);
		while (ids[from] != message.publisher)
			require(++from < MANY);
		require(number == next[from]++);
		in_a_row = message.publisher == last ? in_a_row + 1 : 1;
		last = message.publisher;
		/* While others have something: not many more than a few dozen. */
		require(in_a_row <= 64 || i > MANY * (EACH - 64));
	}
	for (int i = 0; i < MANY; i++)
		ayre_publisher_close(publishers[i]);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

#define NEWCOMERS 30u

struct late {
	atomic_uint ready, come, seen, over;
	int64_t spin_ns;
	uint64_t lane;
};

/* Hears of one who comes while it waits, or while it has enough to do. */
static int hear_newcomers(void *context)
{
	struct late *late = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .spin_ns = late->spin_ns), NAME);
	uint64_t number, stream = 0;

	announce(&late->ready, 1);
	while (atomic_load(&late->seen) < NEWCOMERS) {
		struct ayre_message message;
		ssize_t got = ayre_subscriber_receive_until(subscriber, &number, 8, &message,
		                                            in_ms(10000));

		require(got == 8);
		if (message.publisher == late->lane) {
			require(number == message.sequence && (stream == 0 || number == stream));
			stream = number + 1;
			continue;
		}
		require(number == atomic_load(&late->seen));
		announce_one_more(&late->seen);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

static int stream(void *context)
{
	struct late *late = context;
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	late->lane = info_of_publisher(publisher).id;
	announce(&late->come, 1);
	for (uint64_t i = 0; !atomic_load(&late->over); i++)
		while (ayre_publisher_send_until(publisher, &i, 8, in_ms(50)) == -ETIMEDOUT)
			if (atomic_load(&late->over))
				break;
	ayre_publisher_close(publisher);
	return 0;
}

static void come_late(int64_t spin_ns, bool streams)
{
	struct late *late = share_memory(sizeof(*late));
	pid_t other = 0, reader;
	struct ayre_publisher *publishers[NEWCOMERS];

	late->spin_ns = spin_ns;
	if (streams) {
		other = start_child(stream, late);
		await(&late->come, 1);
	}
	reader = start_child(hear_newcomers, late);
	await(&late->ready, 1);
	for (unsigned int i = 0; i < NEWCOMERS; i++) {
		if (spin_ns == AYRE_SPIN_NONE && !streams)
			await_sleep(reader);
		publishers[i] = publish(PUBLISHER(RING(4096)), NAME);
		send_number(publishers[i], i);
		await(&late->seen, i + 1);
	}
	require(end_of(reader) == 0);
	atomic_store(&late->over, 1);
	require(!streams || end_of(other) == 0);
	for (unsigned int i = 0; i < NEWCOMERS; i++)
		ayre_publisher_close(publishers[i]);
	unshare_memory(late, sizeof(*late));
	remove_topic(NAME);
}

TOPIC_TEST(a_newcomer_is_heard_by_one_who_sleeps)
{
	come_late(AYRE_SPIN_NONE, false);
	return 0;
}

TOPIC_TEST(a_newcomer_is_heard_by_one_who_spins)
{
	come_late(AYRE_SPIN_FOREVER, false);
	return 0;
}

TOPIC_TEST(a_newcomer_is_heard_by_one_who_reads)
{
	come_late(AYRE_SPIN_ADAPT, true);
	come_late(AYRE_SPIN_FOREVER, true);
	return 0;
}

/* --- what is known --- */

TOPIC_TEST(what_a_subscriber_tells_of_itself)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	struct ayre_subscriber_info info = {
		.size = offsetof(struct ayre_subscriber_info, received)};
	struct ayre_publisher *publisher;
	char last[NAME_BYTES];

	require(ayre_subscriber_get_info(subscriber, &info) == 0);
	require(count_peers(NAME, "sub.", "", last) == 1);
	require(strtoull(last + 4, NULL, 16) == info.id);
	require(ayre_subscriber_get_info(subscriber, &(struct ayre_subscriber_info){0}) == -EINVAL);
	info = info_of_subscriber(subscriber);
	require(info.publishers == 0 && info.publishers_live == 0 && info.sleeps == 0);
	require(info.lost_publisher == UINT64_MAX && info.lost_sequence == UINT64_MAX);
	publisher = publish(NULL, NAME);
	send_number(publisher, 1);
	require(receive_number(subscriber) == 1);
	info = info_of_subscriber(subscriber);
	require(info.publishers == 1 && info.publishers_live == 1 && info.received == 1);
	ayre_publisher_close(publisher);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	info = info_of_subscriber(subscriber);
	require(info.publishers == 1 && info.publishers_live == 0 && info.publishers_lost == 0);
	require(info.publishers_broken == 0 && info.missed == 0 && info.sleeps > 0);
	ayre_subscriber_close(subscriber);
	require(count_peers(NAME, "sub.", "", last) == 0);
	require(count_peers(NAME, "sub.", ".bell", last) == 0);
	remove_topic(NAME);
	return 0;
}

/* There is always something to read; a newcomer is heard of all the same. */
static int newcomer_is_heard(bool exported)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(65536)), "busy");
	struct ayre_publisher *first = publish(NULL, "busy"), *second;
	int fd = exported ? ayre_subscriber_fd(subscriber) : -1;
	unsigned int received = 0;

	for (unsigned int i = 0; i < 100; i++)
		send_number(first, 1);
	require(receive_number(subscriber) == 1);
	second = publish(NULL, "busy");
	send_number(second, 2);
	do {
		send_number(first, 1);
		require(!exported || is_readable(fd, 0));
		require(++received < 10000);
	} while (receive_number(subscriber) == 1);
	ayre_publisher_close(first);
	ayre_publisher_close(second);
	ayre_subscriber_close(subscriber);
	remove_topic("busy");
	return 0;
}

TOPIC_TEST(who_is_never_idle_hears_of_newcomers)
{
	return newcomer_is_heard(false);
}

TOPIC_TEST(who_is_never_idle_in_an_event_loop_hears_of_newcomers)
{
	return newcomer_is_heard(true);
}

/* Eight bytes at the beginning of the only lane's ring, as one who lies would write them. */
static void write_header(uint64_t header)
{
	char last[NAME_BYTES], path[NAME_BYTES];
	int fd;

	require(count_peers("forgiven", "pub.", "", last) == 1);
	fd = open(topic_path("forgiven", last, path), O_RDWR | O_CLOEXEC);
	require(fd >= 0 && pwrite(fd, &header, sizeof(header), 4096) == sizeof(header));
	close(fd);
}

TOPIC_TEST(the_next_publisher_of_a_broken_lane_is_heard)
{
	struct ayre_publisher *publisher = publish(NULL, "forgiven");
	struct ayre_subscriber *subscriber = subscribe(NULL, "forgiven");
	char buffer[8];

	write_header(UINT64_MAX);
	require(ayre_subscriber_try_receive(subscriber, buffer, 8, NULL) == -EPROTO);
	write_header(0);
	send_number(publisher, 1);
	nothing_is_there(subscriber);
	ayre_publisher_close(publisher);
	publisher = publish(NULL, "forgiven");
	send_number(publisher, 2);
	require(receive_number(subscriber) == 1 && receive_number(subscriber) == 2);
	/* And it does not wait for one who will never read. */
	for (unsigned int i = 0; i < 100000; i++) {
		send_number(publisher, i);
		require(receive_number(subscriber) == i);
	}
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	remove_topic("forgiven");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_is_peeked_stays_until_it_is_released),
		counted_test(what_was_peeked_and_not_released_can_be_received),
		counted_test(closing_lets_go_of_what_was_peeked),
		counted_test(a_batch_is_as_many_as_are_there),
		counted_test(a_batch_is_no_more_than_half_a_ring),
		counted_test(a_batch_is_of_one_publisher),
		counted_test(a_message_that_is_too_large_for_the_buffer_stays),
		counted_test(publishers_take_turns),
		counted_test(a_newcomer_is_heard_by_one_who_sleeps),
		counted_test(a_newcomer_is_heard_by_one_who_spins),
		counted_test(a_newcomer_is_heard_by_one_who_reads),
		counted_test(what_a_subscriber_tells_of_itself),
		counted_test(who_is_never_idle_hears_of_newcomers),
		counted_test(who_is_never_idle_in_an_event_loop_hears_of_newcomers),
		counted_test(the_next_publisher_of_a_broken_lane_is_heard),
	};

	use_topic_root();
	return run_counted("receiving", tests);
}
