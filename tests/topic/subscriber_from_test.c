/*
 * Where to begin: next, oldest, a number, a time; where what is asked for is gone, or has yet to come.
 */
#include "topic/topic_world.h"

#define NAME "from"

/* What comes first, of those that are there. */
static uint64_t first_of(struct ayre_subscriber *subscriber)
{
	struct ayre_message message;
	uint64_t number, first;

	require(ayre_subscriber_try_receive(subscriber, &number, 8, &message) == 8);
	first = message.sequence;
	require(number == first);
	/* And then each of the others. */
	for (uint64_t i = first + 1;; i++) {
		ssize_t got = ayre_subscriber_try_receive(subscriber, &number, 8, &message);

		if (got == -EAGAIN)
			return first;
		require(got == 8 && number == i && message.sequence == i);
	}
}

static uint64_t begin_at(uint32_t from, int64_t value)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.from = from, .from_value = value), NAME);
	uint64_t first = first_of(subscriber);

	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	return first;
}

static uint64_t first_there(void)
{
	return begin_at(AYRE_FROM_OLDEST, 0);
}

static void nothing_to_begin_with(uint32_t from, int64_t value, struct ayre_publisher *publisher,
                                  uint64_t *next)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.from = from, .from_value = value), NAME);

	require(ayre_subscriber_try_receive(subscriber, NULL, 0, NULL) == -EAGAIN);
	send_number(publisher, *next);
	require(receive_number(subscriber) == (*next)++);
	ayre_subscriber_close(subscriber);
}

TOPIC_TEST(next_is_what_is_sent_from_now_on)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	uint64_t next = 0;

	/* In every place of the ring, and after many rounds of it. */
	for (int i = 0; i < 2000; i++)
		nothing_to_begin_with(AYRE_FROM_NEXT, 12345, publisher, &next);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(oldest_is_whatever_is_still_there)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	uint64_t next = 0, first = 0;

	while (next < 100)
		send_number(publisher, next++);
	require(begin_at(AYRE_FROM_OLDEST, 0) == 0);
	while (next < 5000) {
		send_number(publisher, next++);
		if (next < 230)
			require(begin_at(AYRE_FROM_OLDEST, 0) == 0);
		if (next % 7 || next < 300)
			continue;
		first = begin_at(AYRE_FROM_OLDEST, 0);
		/* The ring less a sixteenth, the room that is kept, and the way to a checkpoint. */
		require(next - first <= 256 && next - first >= 256 - 3 * 16);
	}
	first = first_there();
	ayre_publisher_close(publisher);
	/* Nobody is there any more, and it is. */
	require(first_there() == first);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_number_is_begun_at)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	uint64_t next = 0;

	while (next < 120)
		send_number(publisher, next++);
	for (uint64_t i = 0; i < next; i++)
		require(begin_at(AYRE_FROM_SEQUENCE, (int64_t)i) == i);
	while (next < 3000)
		send_number(publisher, next++);
	for (uint64_t i = first_there(); i < next; i++)
		require(begin_at(AYRE_FROM_SEQUENCE, (int64_t)i) == i);
	/* Gone: the oldest. Beyond the newest: of those that come later, all is received. */
	require(begin_at(AYRE_FROM_SEQUENCE, 0) == first_there());
	require(begin_at(AYRE_FROM_SEQUENCE, (int64_t)first_there() - 1) == first_there());
	nothing_to_begin_with(AYRE_FROM_SEQUENCE, (int64_t)next, publisher, &next);
	nothing_to_begin_with(AYRE_FROM_SEQUENCE, (int64_t)next + 50, publisher, &next);
	nothing_to_begin_with(AYRE_FROM_SEQUENCE, INT64_MAX, publisher, &next);
	nothing_to_begin_with(AYRE_FROM_SEQUENCE, -1, publisher, &next);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_time_is_begun_at_exactly_where_messages_are_stamped)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .flags = AYRE_PUBLISHER_STAMP), NAME);
	static int64_t before[1000];
	uint64_t next = 0, oldest;

	for (; next < 1000; next++) {
		before[next] = realtime_ns();
		/* No two have one time. */
		pause_ns(1000);
		send_number(publisher, next);
	}
	oldest = begin_at(AYRE_FROM_OLDEST, 0);
	require(oldest > 0);
	for (uint64_t i = oldest + 1; i < next; i++)
		require(begin_at(AYRE_FROM_TIME, before[i]) == i);
	require(begin_at(AYRE_FROM_TIME, before[0]) == oldest);
	require(begin_at(AYRE_FROM_TIME, 0) == oldest);
	require(begin_at(AYRE_FROM_TIME, INT64_MIN) == oldest);
	nothing_to_begin_with(AYRE_FROM_TIME, realtime_ns(), publisher, &next);
	nothing_to_begin_with(AYRE_FROM_TIME, realtime_ns() + 3600 * SECOND, publisher, &next);
	nothing_to_begin_with(AYRE_FROM_TIME, INT64_MAX, publisher, &next);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Nothing that was sent at that time or later is left out, and a sixteenth of the ring more comes. */
TOPIC_TEST(a_time_is_begun_at_by_the_rings_sixteenth_where_they_are_not)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	static int64_t before[1000];
	uint64_t next = 0, oldest;

	for (; next < 1000; next++) {
		before[next] = realtime_ns();
		pause_ns(1000);
		send_number(publisher, next);
	}
	oldest = begin_at(AYRE_FROM_OLDEST, 0);
	for (uint64_t i = oldest; i < next; i++) {
		uint64_t first = begin_at(AYRE_FROM_TIME, before[i]);

		require(first <= i && (i - first <= 2 * 16 || first == oldest));
	}
	require(begin_at(AYRE_FROM_TIME, 0) == oldest);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Each lane has its own numbers. */
TOPIC_TEST(a_number_is_begun_at_in_each_lane)
{
	struct ayre_publisher *publishers[3];
	struct ayre_subscriber *subscriber;
	uint64_t seen[3] = {10, 10, 10}, lanes[3];

	for (int i = 0; i < 3; i++) {
		publishers[i] = publish(PUBLISHER(RING(4096)), NAME);
		lanes[i] = info_of_publisher(publishers[i]).id;
		for (uint64_t j = 0; j < 20; j++)
			send_number(publishers[i], j);
	}
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_SEQUENCE, .from_value = 10), NAME);
	for (int i = 0; i < 30; i++) {
		struct ayre_message message;
		uint64_t number;
		int lane = 0;

		require(ayre_subscriber_try_receive(subscriber, &number, 8, &message) == 8);
		while (lanes[lane] != message.publisher)
			require(++lane < 3);
		require(number == seen[lane]++);
	}
	require(ayre_subscriber_try_receive(subscriber, NULL, 0, NULL) == -EAGAIN);
	ayre_subscriber_close(subscriber);
	for (int i = 0; i < 3; i++)
		ayre_publisher_close(publishers[i]);
	remove_topic(NAME);
	return 0;
}

/* Wherever it began: who comes after it is heard from the first message on. */
TOPIC_TEST(of_those_that_come_later_all_is_received)
{
	static const uint32_t all[] = {AYRE_FROM_NEXT, AYRE_FROM_OLDEST, AYRE_FROM_SEQUENCE,
	                               AYRE_FROM_TIME};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct ayre_publisher *first = publish(PUBLISHER(RING(4096)), NAME), *later;
		struct ayre_subscriber *subscriber =
			subscribe(SUBSCRIBER(.from = all[i], .from_value = INT64_MAX), NAME);

		later = publish(NULL, NAME);
		for (uint64_t j = 0; j < 5; j++)
			send_number(later, j);
		for (uint64_t j = 0; j < 5; j++)
			require(receive_number(subscriber) == j);
		ayre_publisher_close(later);
		ayre_publisher_close(first);
		ayre_subscriber_close(subscriber);
		remove_topic(NAME);
	}
	return 0;
}

/* --- while they go on --- */

struct stream {
	atomic_uint over;
};

static int stream(void *context)
{
	struct stream *over = context;
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .flags = AYRE_PUBLISHER_STAMP), NAME);

	for (uint64_t i = 0; !atomic_load(&over->over); i++) {
		require(try_send_number(publisher, i) == 0 ||
		        ayre_publisher_send_until(publisher, &i, 8, in_ms(10000)) == 0);
	}
	ayre_publisher_close(publisher);
	return 0;
}

static void join_stream(uint32_t from, int64_t value, uint32_t flags)
{
	struct ayre_subscriber *subscriber = subscribe(
		SUBSCRIBER(RING(4096), .from = from, .from_value = value, .flags = flags), NAME);
	struct ayre_message message;
	uint64_t number, expected = 0, skipped = 0, before = 0;

	for (int i = 0; i < 2000; i++) {
		require(ayre_subscriber_receive_until(subscriber, &number, 8, &message,
		                                      in_ms(10000)) == 8);
		require(number == message.sequence && message.time_ns > 0);
		/* What was missed before the first one came is no gap. */
		if (i == 0)
			before = info_of_subscriber(subscriber).missed;
		require(number >= expected);
		skipped += i ? number - expected : 0;
		expected = number + 1;
	}
	require(skipped == info_of_subscriber(subscriber).missed - before);
	ayre_subscriber_close(subscriber);
}

TOPIC_TEST(a_stream_is_joined_at_any_time)
{
	struct stream *over = share_memory(sizeof(*over));
	pid_t child = start_child(stream, over);
	int rounds = long_form() ? 2000 : 40;

	for (int i = 0; i < rounds; i++) {
		uint32_t flags = i % 2 ? AYRE_SUBSCRIBER_LOSSY : 0;

		join_stream(AYRE_FROM_NEXT, 0, flags);
		join_stream(AYRE_FROM_OLDEST, 0, flags);
		join_stream(AYRE_FROM_SEQUENCE, i * 1000, flags);
		join_stream(AYRE_FROM_TIME, realtime_ns() - MILLISECOND, flags);
	}
	atomic_store(&over->over, 1);
	require(end_of(child) == 0);
	unshare_memory(over, sizeof(*over));
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(next_is_what_is_sent_from_now_on),
		counted_test(oldest_is_whatever_is_still_there),
		counted_test(a_number_is_begun_at),
		counted_test(a_time_is_begun_at_exactly_where_messages_are_stamped),
		counted_test(a_time_is_begun_at_by_the_rings_sixteenth_where_they_are_not),
		counted_test(a_number_is_begun_at_in_each_lane),
		counted_test(of_those_that_come_later_all_is_received),
		counted_test(a_stream_is_joined_at_any_time),
	};

	use_topic_root();
	return run_counted("where to begin", tests);
}
