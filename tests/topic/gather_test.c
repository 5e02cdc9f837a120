/*
 * Staying away from a stream: when it begins, how long it gets, and that nobody else waits for it.
 */
#include "topic/topic_world.h"

#include "topic/wait.h"

#define NAME       "gather"
#define RING_BYTES (1u << 20)

static int64_t learn(struct ayrei_gathering *gathering, uint64_t messages, uint64_t bytes)
{
	ayrei_gathering_learn(gathering, gathering->messages + messages, gathering->bytes + bytes,
	                      RING_BYTES);
	return gathering->stay_ns;
}

/* A question and its answer, and any stream that is slower than its reader. */
TOPIC_TEST(short_runs_are_no_stream)
{
	struct ayrei_gathering gathering = {0};

	for (uint64_t run = 0; run < 8; run++)
		for (int i = 0; i < 100; i++)
			require(learn(&gathering, run, run * 56) == 0);
	return 0;
}

TOPIC_TEST(a_stream_is_left_alone_for_longer_up_to_a_bound)
{
	struct ayrei_gathering gathering = {0};
	int64_t before = 0;

	for (int i = 0; i < 20; i++) {
		int64_t stay = learn(&gathering, 8, 8 * 56);

		require(stay >= before && stay > 0 && stay <= 8000);
		before = stay;
	}
	require(before == 8000);
	/* Enough at once: no longer than that. */
	require(learn(&gathering, 5000, 5000 * 8) == 8000);
	/* It has ended. */
	require(learn(&gathering, 1, 56) == 0);
	return 0;
}

TOPIC_TEST(a_ring_is_never_left_until_it_is_full)
{
	struct ayrei_gathering gathering = {0};

	while (learn(&gathering, 8, 8 * 56) < 8000)
		;
	for (int64_t stay = 8000; stay > 0; stay /= 2)
		require(learn(&gathering, 300, RING_BYTES / 4 + 1) == stay / 2);
	return 0;
}

TOPIC_TEST(the_stay_is_as_long_as_it_says_and_ends_at_a_deadline)
{
	struct ayrei_gathering gathering = {.stay_ns = 3000000};
	int64_t begin = now_ns();

	ayrei_gathering_stay(&gathering, AYRE_NO_DEADLINE);
	require(now_ns() - begin >= 3000000);
	gathering.stay_ns = 60000000000;
	begin = now_ns();
	ayrei_gathering_stay(&gathering, begin + 2000000);
	require(now_ns() - begin >= 2000000 && now_ns() - begin < 30000000000);
	return 0;
}

/* Whatever was learnt from a burst, its last message and those behind it come without another. */
TOPIC_TEST(what_comes_behind_a_burst_is_received_without_a_deadline)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_BYTES)), NAME);
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(0), NAME);
	uint64_t sent = 0, received = 0, number;

	for (int burst = 0; burst < 200; burst++) {
		for (int i = 0; i < burst; i++)
			send_number(publisher, sent++);
		while (received < sent) {
			require(ayre_subscriber_receive_until(subscriber, &number, 8, NULL,
			                                      now_ns() + 10000000000) == 8);
			require(number == received++);
		}
		require(ayre_subscriber_receive_until(subscriber, &number, 8, NULL,
		                                      now_ns() + 20000) == -ETIMEDOUT);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(short_runs_are_no_stream),
		counted_test(a_stream_is_left_alone_for_longer_up_to_a_bound),
		counted_test(a_ring_is_never_left_until_it_is_full),
		counted_test(the_stay_is_as_long_as_it_says_and_ends_at_a_deadline),
		counted_test(what_comes_behind_a_burst_is_received_without_a_deadline),
	};

	use_topic_root();
	return run_counted("gathering", tests);
}
