/*
 * The end: when every publisher that was seen has closed and all is read, or one of them has died.
 */
#include "topic/topic_world.h"

#include <signal.h>

#define NAME "ending"

static struct ayre_subscriber *until_closed(uint32_t from)
{
	return subscribe(
		SUBSCRIBER(RING(4096), .from = from, .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
}

static ssize_t try_one(struct ayre_subscriber *subscriber)
{
	uint64_t number;

	return ayre_subscriber_try_receive(subscriber, &number, 8, NULL);
}

/* And it stays so, for every way of asking. */
static void is_at_its_end(struct ayre_subscriber *subscriber, int end)
{
	struct ayre_subscriber *const alone[] = {subscriber};
	struct ayre_message message;
	uint64_t number;

	for (int i = 0; i < 3; i++) {
		require(ayre_subscriber_receive(subscriber, &number, 8, NULL) == end);
		require(ayre_subscriber_receive_until(subscriber, &number, 8, NULL, in_ms(1000)) ==
		        end);
		require(try_one(subscriber) == end);
		require(ayre_subscriber_peek(subscriber, &message) == end);
		require(ayre_subscriber_try_peek_batch(subscriber, &message, 1) == end);
		require(ayre_subscriber_release(subscriber) == -EINVAL);
		require(ayre_subscribers_wait(alone, 1, in_ms(1000)) == 0);
	}
}

/* --- closed --- */

TOPIC_TEST(all_is_read_before_the_end_is_told)
{
	for (uint64_t count = 0; count < 250; count += 1 + count / 8) {
		struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);
		struct ayre_publisher *publisher = publish(NULL, NAME);

		for (uint64_t i = 0; i < count; i++)
			send_number(publisher, i);
		ayre_publisher_close(publisher);
		for (uint64_t i = 0; i < count; i++)
			require(receive_number(subscriber) == i);
		is_at_its_end(subscriber, -EPIPE);
		require(info_of_subscriber(subscriber).publishers_lost == 0);
		ayre_subscriber_close(subscriber);
	}
	remove_topic(NAME);
	return 0;
}

/* One at least has to be seen. */
TOPIC_TEST(without_a_publisher_there_is_no_end)
{
	struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_OLDEST);
	struct ayre_publisher *publisher;

	require(try_one(subscriber) == -EAGAIN);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	publisher = publish(NULL, NAME);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	ayre_publisher_close(publisher);
	is_at_its_end(subscriber, -EPIPE);
	ayre_subscriber_close(subscriber);
	/* Those that were gone before, with nothing left for us, are nobody. */
	subscriber = until_closed(AYRE_FROM_NEXT);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* What they have left is what they were seen by. */
TOPIC_TEST(one_that_closed_long_ago_ends_when_it_is_read)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber;

	send_number(publisher, 5);
	ayre_publisher_close(publisher);
	subscriber = until_closed(AYRE_FROM_OLDEST);
	require(receive_number(subscriber) == 5);
	is_at_its_end(subscriber, -EPIPE);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(the_last_of_several_ends_it)
{
	struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);
	struct ayre_publisher *publishers[5];

	for (int i = 0; i < 5; i++)
		publishers[i] = publish(NULL, NAME);
	for (int i = 0; i < 5; i++) {
		require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(5)) ==
		        -ETIMEDOUT);
		send_number(publishers[i], (uint64_t)i);
		ayre_publisher_close(publishers[i]);
		require(receive_number(subscriber) == (uint64_t)i);
	}
	is_at_its_end(subscriber, -EPIPE);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* It ended, somebody comes, and it goes on: the same handle reads what is sent then. */
TOPIC_TEST(after_the_end_there_can_be_more)
{
	struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);

	for (uint64_t i = 0; i < 20; i++) {
		struct ayre_publisher *publisher = publish(NULL, NAME);

		send_number(publisher, i);
		require(receive_number(subscriber) == i);
		require(try_one(subscriber) == -EAGAIN);
		ayre_publisher_close(publisher);
		is_at_its_end(subscriber, -EPIPE);
	}
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

struct sleeper {
	atomic_uint ready, told;
	int end;
};

static int sleep_until_the_end(void *context)
{
	struct sleeper *sleeper = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .spin_ns = AYRE_SPIN_NONE,
	                             .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED),
	                  NAME);

	announce(&sleeper->ready, 1);
	require(receive_number(subscriber) == 1);
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) == sleeper->end);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(one_who_sleeps_is_woken_by_the_end)
{
	struct sleeper *sleeper = share_memory(sizeof(*sleeper));

	for (int i = 0; i < 50; i++) {
		struct ayre_publisher *publisher;
		pid_t child;

		*sleeper = (struct sleeper){.end = -EPIPE};
		child = start_child(sleep_until_the_end, sleeper);
		await(&sleeper->ready, 1);
		publisher = publish(NULL, NAME);
		send_number(publisher, 1);
		if (i % 2)
			await_sleep(child);
		ayre_publisher_close(publisher);
		require(end_of(child) == 0);
	}
	unshare_memory(sleeper, sizeof(*sleeper));
	remove_topic(NAME);
	return 0;
}

/* --- died --- */

struct victim {
	atomic_uint ready, go;
	uint64_t count;
	bool closes;
};

static int send_some(void *context)
{
	struct victim *victim = context;
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	for (uint64_t i = 0; i < victim->count; i++)
		send_number(publisher, i);
	announce(&victim->ready, 1);
	await(&victim->go, 1);
	if (victim->closes)
		ayre_publisher_close(publisher);
	return 0;
}

static void end_of_victim(struct victim *victim, uint64_t count, bool closes, bool killed)
{
	pid_t child;

	*victim = (struct victim){.count = count, .closes = closes};
	child = start_child(send_some, victim);
	await(&victim->ready, 1);
	if (killed)
		kill(child, SIGKILL);
	announce(&victim->go, 1);
	end_of(child);
}

TOPIC_TEST(death_is_told_after_all_that_was_sent)
{
	struct victim *victim = share_memory(sizeof(*victim));

	for (uint64_t count = 0; count < 200; count = 2 * count + 1) {
		struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);
		struct ayre_subscriber_info info;

		/* Killed, and one that has only forgotten to close. */
		end_of_victim(victim, count, false, count % 4 == 3);
		for (uint64_t i = 0; i < count; i++)
			require(receive_number(subscriber) == i);
		is_at_its_end(subscriber, -EOWNERDEAD);
		info = info_of_subscriber(subscriber);
		require(info.publishers == 1 && info.publishers_live == 0);
		require(info.publishers_lost == 1 && info.lost_publisher != UINT64_MAX);
		/* After which message, and -1 if there was none. */
		require(info.lost_sequence == count - 1);
		ayre_subscriber_close(subscriber);
		remove_topic(NAME);
	}
	unshare_memory(victim, sizeof(*victim));
	return 0;
}

TOPIC_TEST(death_is_told_when_the_others_have_closed)
{
	struct victim *victim = share_memory(sizeof(*victim));
	struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);
	struct ayre_publisher *publisher = publish(NULL, NAME);

	end_of_victim(victim, 3, false, true);
	end_of_victim(victim, 0, true, false);
	for (uint64_t i = 0; i < 3; i++)
		require(receive_number(subscriber) == i);
	/* The others are heard to the end. */
	require(try_one(subscriber) == -EAGAIN);
	send_number(publisher, 9);
	require(receive_number(subscriber) == 9);
	ayre_publisher_close(publisher);
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) < 0);
	ayre_subscriber_close(subscriber);
	unshare_memory(victim, sizeof(*victim));
	remove_topic(NAME);
	return 0;
}

/* Dead before we came: what it left is read, and that it died is told. */
TOPIC_TEST(one_that_died_long_ago_is_told_when_it_is_read)
{
	struct victim *victim = share_memory(sizeof(*victim));
	struct ayre_subscriber *subscriber;

	end_of_victim(victim, 2, false, true);
	subscriber = until_closed(AYRE_FROM_OLDEST);
	require(receive_number(subscriber) == 0 && receive_number(subscriber) == 1);
	is_at_its_end(subscriber, -EOWNERDEAD);
	ayre_subscriber_close(subscriber);
	unshare_memory(victim, sizeof(*victim));
	remove_topic(NAME);
	return 0;
}

/* Its lane goes on with another publisher, and so does who reads it. */
TOPIC_TEST(after_a_death_the_next_one_is_read_on)
{
	struct victim *victim = share_memory(sizeof(*victim));
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	struct ayre_message message;
	uint64_t number, sequence = 0;

	for (uint64_t round = 0; round < 30; round++) {
		end_of_victim(victim, round % 5, false, true);
		for (uint64_t i = 0; i < round % 5; i++) {
			require(ayre_subscriber_receive(subscriber, &number, 8, &message) == 8);
			require(number == i && message.sequence == sequence++);
		}
	}
	require(try_one(subscriber) == -EAGAIN);
	require(info_of_subscriber(subscriber).publishers == 1);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	unshare_memory(victim, sizeof(*victim));
	remove_topic(NAME);
	return 0;
}

/* A publisher that stands for as long as the others come and go; then its subscriber's end. */
static void end_after_successors(struct victim *victim, uint64_t count, int end, uint64_t deaths)
{
	struct ayre_publisher *stands = publish(NULL, NAME);
	struct ayre_subscriber *subscriber = until_closed(AYRE_FROM_NEXT);
	struct ayre_subscriber_info info;
	uint64_t left = count + 3;

	end_of_victim(victim, count, end == -EPIPE, end == -EOWNERDEAD);
	/* It takes over what was left, and closes. */
	end_of_victim(victim, 3, true, false);
	ayre_publisher_close(stands);
	while (left-- > 0)
		require(receive_number(subscriber) < count + 3);
	is_at_its_end(subscriber, end);
	info = info_of_subscriber(subscriber);
	require(info.publishers == 2 && info.publishers_lost == deaths);
	require(info.lost_sequence == (deaths ? count - 1 : UINT64_MAX));
	ayre_subscriber_close(subscriber);
	/* Who comes now and reads all of it is told as well. */
	subscriber = until_closed(AYRE_FROM_OLDEST);
	while (try_one(subscriber) == 8)
		;
	is_at_its_end(subscriber, end);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
}

TOPIC_TEST(a_death_is_told_although_another_takes_the_lane)
{
	struct victim *victim = share_memory(sizeof(*victim));

	for (uint64_t count = 0; count < 100; count = 2 * count + 1) {
		end_after_successors(victim, count, -EOWNERDEAD, 1);
		end_after_successors(victim, count, -EPIPE, 0);
	}
	unshare_memory(victim, sizeof(*victim));
	return 0;
}

/* It was over before we came. */
TOPIC_TEST(a_death_before_we_came_is_none_of_ours)
{
	struct victim *victim = share_memory(sizeof(*victim));
	struct ayre_subscriber *subscriber;

	end_of_victim(victim, 2, false, true);
	subscriber = until_closed(AYRE_FROM_NEXT);
	require(try_one(subscriber) == -EAGAIN);
	end_of_victim(victim, 1, true, false);
	require(receive_number(subscriber) == 0);
	is_at_its_end(subscriber, -EPIPE);
	require(info_of_subscriber(subscriber).publishers_lost == 0);
	ayre_subscriber_close(subscriber);
	unshare_memory(victim, sizeof(*victim));
	remove_topic(NAME);
	return 0;
}

/* What a publisher says when it closes is nothing to receive. */
TOPIC_TEST(a_publisher_that_closed_is_nothing_to_wait_for)
{
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_subscriber *const alone[] = {subscriber};

	for (uint64_t i = 0; i < 50; i++) {
		struct ayre_publisher *publisher = publish(NULL, NAME);

		if (i % 2)
			send_number(publisher, i);
		ayre_publisher_close(publisher);
		while (ayre_subscribers_wait(alone, 1, in_ms(5)) == 0)
			require(try_one(subscriber) == 8);
	}
	require(info_of_subscriber(subscriber).received == 25);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_death_is_told_although_another_takes_the_lane),
		counted_test(a_death_before_we_came_is_none_of_ours),
		counted_test(a_publisher_that_closed_is_nothing_to_wait_for),
		counted_test(all_is_read_before_the_end_is_told),
		counted_test(without_a_publisher_there_is_no_end),
		counted_test(one_that_closed_long_ago_ends_when_it_is_read),
		counted_test(the_last_of_several_ends_it),
		counted_test(after_the_end_there_can_be_more),
		counted_test(one_who_sleeps_is_woken_by_the_end),
		counted_test(death_is_told_after_all_that_was_sent),
		counted_test(death_is_told_when_the_others_have_closed),
		counted_test(one_that_died_long_ago_is_told_when_it_is_read),
		counted_test(after_a_death_the_next_one_is_read_on),
	};

	use_topic_root();
	return run_counted("the end", tests);
}
