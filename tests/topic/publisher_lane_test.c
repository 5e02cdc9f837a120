/*
 * Lanes: one for each publisher that there is at once, taken over by the next with what is in them.
 */
#include "topic/topic_world.h"

#include <signal.h>

#define NAME "lanes"

static int count_lanes(void)
{
	char last[NAME_BYTES];

	return count_peers(NAME, "pub.", "", last);
}

static int count_bells(void)
{
	char last[NAME_BYTES];

	return count_peers(NAME, "pub.", ".bell", last);
}

/* --- one after another --- */

TOPIC_TEST(the_next_publisher_goes_on_in_the_same_lane)
{
	struct ayre_subscriber *subscriber;
	uint64_t id = 0, sent = 0;

	for (int i = 0; i < 200; i++) {
		struct ayre_publisher *publisher = publish(PUBLISHER(RING(1 << 16)), NAME);
		struct ayre_publisher_info info = info_of_publisher(publisher);

		require(i == 0 || info.id == id);
		require(info.messages == sent);
		id = info.id;
		for (int j = 0; j < i % 4; j++)
			send_number(publisher, sent++);
		require(count_bells() == 1);
		ayre_publisher_close(publisher);
		require(count_lanes() == 1 && count_bells() == 0);
	}
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	for (uint64_t i = 0; i < sent; i++) {
		struct ayre_message message;
		uint64_t number;

		require(ayre_subscriber_receive(subscriber, &number, 8, &message) == 8);
		require(number == i && message.sequence == i && message.publisher == id);
	}
	require(ayre_subscriber_try_receive(subscriber, NULL, 0, NULL) == -EAGAIN);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* One who was there before any of them, and has not looked since, gets all that they send. */
TOPIC_TEST(what_an_earlier_one_sent_is_waited_for)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	uint64_t sent = 0, received = 0;

	for (int i = 0; i < 5; i++) {
		struct ayre_publisher *publisher = publish(NULL, NAME);

		for (int j = 0; j < 100 && try_send_number(publisher, sent) == 0; j++)
			sent++;
		ayre_publisher_close(publisher);
	}
	/* A ring full, and no more. */
	require(sent > 200 && sent <= 256 && count_lanes() == 1);
	while (received < sent)
		require(receive_number(subscriber) == received++);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* Each of them says that it has closed: that takes room, but not more and more of it. */
TOPIC_TEST(to_come_and_go_without_a_word_fills_nothing)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	for (int i = 0; i < 2000; i++)
		ayre_publisher_close(publish(NULL, NAME));
	for (uint64_t i = 0; i < 2000; i++) {
		struct ayre_publisher *publisher = publish(NULL, NAME);

		require(try_send_number(publisher, i) == 0);
		ayre_publisher_close(publisher);
		require(receive_number(subscriber) == i);
	}
	require(count_lanes() == 1);
	require(info_of_subscriber(subscriber).received == 2000);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* There is always room for that. */
TOPIC_TEST(one_that_closes_with_a_full_ring_is_heard_to_close)
{
	for (int i = 0; i < 40; i++) {
		struct ayre_subscriber *subscriber = subscribe(
			SUBSCRIBER(RING(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
		struct ayre_publisher *publisher = publish(NULL, NAME);
		char bytes[256];
		size_t length = (size_t)i * 5;
		ssize_t got;

		while (ayre_publisher_try_send(publisher, bytes, length) == 0)
			continue;
		/* And what is left is filled with shorter ones. */
		while (ayre_publisher_try_send(publisher, bytes, 0) == 0)
			continue;
		ayre_publisher_close(publisher);
		do
			got = ayre_subscriber_receive_until(subscriber, bytes, sizeof(bytes), NULL,
			                                    in_ms(5000));
		while (got >= 0);
		require(got == -EPIPE);
		ayre_subscriber_close(subscriber);
	}
	require(count_lanes() == 1);
	remove_topic(NAME);
	return 0;
}

/* --- at once --- */

TOPIC_TEST(as_many_lanes_as_publishers_at_once)
{
	enum { MOST = 12 };
	struct ayre_publisher *publishers[MOST];

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MOST; i++) {
			publishers[i] = publish(PUBLISHER(RING(4096)), NAME);
			for (int j = 0; j < i; j++)
				require(info_of_publisher(publishers[i]).id !=
				        info_of_publisher(publishers[j]).id);
		}
		/* In another order each time. */
		for (int i = 0; i < MOST; i++)
			ayre_publisher_close(publishers[(i * 5 + round) % MOST]);
		require(count_lanes() == MOST && count_bells() == 0);
	}
	remove_topic(NAME);
	return 0;
}

/* Many that stay, and one that comes and goes: free lanes are found among those in use. */
TOPIC_TEST(a_free_lane_is_found_among_many_in_use)
{
	enum { STAY = 40 };
	struct ayre_publisher *staying[STAY];

	for (int i = 0; i < STAY; i++)
		staying[i] = publish(PUBLISHER(RING(4096)), NAME);
	for (int i = 0; i < 100; i++)
		ayre_publisher_close(publish(NULL, NAME));
	require(count_lanes() <= STAY + 2);
	/* The one that is longest there. */
	ayre_publisher_close(staying[0]);
	for (int i = 0; i < 100; i++)
		ayre_publisher_close(publish(NULL, NAME));
	require(count_lanes() <= STAY + 2);
	for (int i = 1; i < STAY; i++)
		ayre_publisher_close(staying[i]);
	remove_topic(NAME);
	return 0;
}

struct many {
	atomic_uint ready, gate;
};

static int take_a_lane(void *context)
{
	struct many *many = context;
	struct ayre_publisher *publisher;

	announce_one_more(&many->ready);
	await(&many->gate, 1);
	publisher = publish(PUBLISHER(RING(4096)), NAME);
	for (uint64_t i = 0; i < 10; i++)
		send_number(publisher, info_of_publisher(publisher).id);
	ayre_publisher_close(publisher);
	return 0;
}

/* No two have one lane, and no message is lost or mixed up. */
TOPIC_TEST(many_who_take_lanes_at_once_get_one_each)
{
	enum { MANY = 50, ROUNDS = 10 };
	struct many *many = share_memory(sizeof(*many));
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	for (int round = 0; round < ROUNDS; round++) {
		pid_t children[MANY];

		*many = (struct many){0};
		for (int i = 0; i < MANY; i++)
			children[i] = start_child(take_a_lane, many);
		await(&many->ready, MANY);
		announce(&many->gate, 1);
		for (int i = 0; i < 10 * MANY; i++) {
			struct ayre_message message;
			uint64_t number;

			/* Less would mean that some were lost on the way from one to the next. */
			require(ayre_subscriber_receive_until(subscriber, &number, 8, &message,
			                                      in_ms(10000)) == 8);
			require(number == message.publisher);
		}
		for (int i = 0; i < MANY; i++)
			require(end_of(children[i]) == 0);
	}
	/* Many who look for a free one at once do not find each; but it is no more every time. */
	require(count_lanes() <= 2 * MANY);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	unshare_memory(many, sizeof(*many));
	remove_topic(NAME);
	return 0;
}

/* --- after the dead --- */

struct victim {
	atomic_uint sent;
	unsigned int first;
};

/* Sizes by the number, so that both know them; some do not fit into the ring. */
static size_t size_of(uint32_t number)
{
	return number % 97 == 0 ? 3000 : number % 50;
}

/* Sends until it is killed, and counts what has certainly gone. */
static int send_and_die(void *context)
{
	struct victim *victim = context;
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	for (uint32_t i = victim->first;; i++) {
		send_pattern(publisher, size_of(i), i);
		announce(&victim->sent, i + 1);
	}
	return 0;
}

static uint32_t take_one_more(struct ayre_subscriber *subscriber, uint32_t number)
{
	struct ayre_message message;

	if (ayre_subscriber_try_peek(subscriber, &message) == -EAGAIN)
		return 0;
	require(is_message(&message, size_of(number), number));
	require(ayre_subscriber_release(subscriber) == 0);
	return 1;
}

TOPIC_TEST(the_lane_of_a_dead_publisher_is_taken_over_whole)
{
	struct victim *victim = share_memory(sizeof(*victim));
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	unsigned int deaths = long_form() ? 2000 : 100;
	uint32_t next = 0;

	for (unsigned int i = 0; i < deaths; i++) {
		pid_t child;
		uint32_t until = next + 1 + random_below(200);
		int64_t end = in_ms(10000);

		victim->first = next;
		atomic_store(&victim->sent, next);
		child = start_child(send_and_die, victim);
		while (next < until) {
			receive_pattern(subscriber, size_of(next), next);
			next++;
			require(now_ns() < end);
		}
		kill(child, SIGKILL);
		end_of(child);
		/* What it has sent is there, and perhaps one more. */
		while (next < atomic_load(&victim->sent)) {
			receive_pattern(subscriber, size_of(next), next);
			next++;
		}
		next += take_one_more(subscriber, next);
	}
	require(count_lanes() == 1);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	unshare_memory(victim, sizeof(*victim));
	remove_topic(NAME);
	return 0;
}

static int die_with_large_ones(void *context)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = 250000), NAME);
	void *data;

	for (uint32_t i = 0; i < 2; i++)
		send_pattern(publisher, 100000, i);
	/* A third one that nobody will ever see. */
	require(ayre_publisher_reserve(publisher, 40000, &data) == 0);
	announce((atomic_uint *)context, 1);
	wait_to_be_killed();
}

/* With what lies beside it, which counts towards the next one's bound. */
TOPIC_TEST(what_a_dead_publisher_left_beside_the_ring_is_taken_over)
{
	atomic_uint *ready = share_memory(sizeof(*ready));
	pid_t child = start_child(die_with_large_ones, ready);
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	static char bytes[100000];

	await(ready, 1);
	kill(child, SIGKILL);
	end_of(child);
	unshare_memory(ready, sizeof(*ready));
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	publisher = publish(PUBLISHER(.large_bytes = 250000), NAME);
	require(info_of_publisher(publisher).messages == 2);
	require(ayre_publisher_try_send(publisher, bytes, sizeof(bytes)) == -EAGAIN);
	receive_pattern(subscriber, 100000, 0);
	write_pattern(bytes, sizeof(bytes), 2);
	require(ayre_publisher_try_send(publisher, bytes, sizeof(bytes)) == 0);
	receive_pattern(subscriber, 100000, 1);
	receive_pattern(subscriber, 100000, 2);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(the_next_publisher_goes_on_in_the_same_lane),
		counted_test(what_an_earlier_one_sent_is_waited_for),
		counted_test(to_come_and_go_without_a_word_fills_nothing),
		counted_test(one_that_closes_with_a_full_ring_is_heard_to_close),
		counted_test(as_many_lanes_as_publishers_at_once),
		counted_test(a_free_lane_is_found_among_many_in_use),
		counted_test(many_who_take_lanes_at_once_get_one_each),
		counted_test(the_lane_of_a_dead_publisher_is_taken_over_whole),
		counted_test(what_a_dead_publisher_left_beside_the_ring_is_taken_over),
	};

	use_topic_root();
	return run_counted("lanes", tests);
}
