/*
 * What include/ayre/topic.h says where two things meet: a lane that changes hands while its subscriber
 * waits for the end, a message that is sent while its subscriber comes, a death while somebody spins,
 * a copy of a handle that a child has.
 */
#include "topic/topic_world.h"

#include <signal.h>
#include <sys/mman.h>

static const char *const name = "contract";

/* --- what is asked for --- */

/* A flag of a later ayre is no wish that can be left out. */
TOPIC_TEST(unknown_flags_are_refused)
{
	struct ayre_publisher *publisher = NULL;
	struct ayre_subscriber *subscriber = NULL;
	struct ayre_ends ends;
	struct ayre_error error;

	for (int bit = 3; bit < 32; bit++) {
		struct ayre_publisher_options publishing = {.size = sizeof(publishing),
		                                            .flags = 1u << bit};
		struct ayre_subscriber_options subscribing = {.size = sizeof(subscribing),
		                                              .flags = 1u << bit};

		require(ayre_publisher_open(&publishing, name, &publisher, &error) == -EINVAL);
		require(ayre_publisher_open_pair(&publishing, &publisher, &ends, NULL) == -EINVAL);
		if (bit == 3)
			continue;
		require(ayre_subscriber_open(&subscribing, name, &subscriber, &error) == -EINVAL);
		require(ayre_subscriber_open_pair(&subscribing, &subscriber, &ends, NULL) ==
		        -EINVAL);
	}
	require(!publisher && !subscriber);
	return 0;
}

/* --- the end --- */

static ssize_t try_receive(struct ayre_subscriber *subscriber)
{
	uint64_t number;

	return ayre_subscriber_try_receive(subscriber, &number, sizeof(number), NULL);
}

static ssize_t receive_soon(struct ayre_subscriber *subscriber)
{
	uint64_t number;

	return ayre_subscriber_receive_until(subscriber, &number, sizeof(number), NULL,
	                                     in_ms(10000));
}

/* For longer than it takes to hear who came. */
static void require_nothing(struct ayre_subscriber *subscriber)
{
	int64_t end = in_ms(20);

	do {
		ssize_t got = try_receive(subscriber);

		if (got != -EAGAIN)
			fprintf(stderr, "%zd\n", got);
		require(got == -EAGAIN);
	} while (now_ns() < end);
}

/* A publisher that takes the lane of one that has gone is not taken for closed itself. */
TOPIC_TEST(a_lane_that_was_closed_and_taken_again_is_open)
{
	struct ayre_publisher *publisher = publish(NULL, name);
	struct ayre_subscriber *subscriber;

	send_number(publisher, 1);
	ayre_publisher_close(publisher);
	subscriber = subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), name);
	require_nothing(subscriber);
	publisher = publish(NULL, name);
	require_nothing(subscriber);
	send_number(publisher, 2);
	require(receive_number(subscriber) == 2);
	require_nothing(subscriber);
	ayre_publisher_close(publisher);
	require(receive_soon(subscriber) == -EPIPE);
	/* Again, seen closing. */
	publisher = publish(NULL, name);
	while (info_of_subscriber(subscriber).publishers_live == 0)
		(void)!try_receive(subscriber);
	require_nothing(subscriber);
	ayre_publisher_close(publisher);
	require(try_receive(subscriber) == -EPIPE);
	require(info_of_subscriber(subscriber).publishers_lost == 0);
	ayre_subscriber_close(subscriber);
	remove_topic(name);
	return 0;
}

/* One that came and went while the subscriber was busy was seen all the same. */
TOPIC_TEST(a_publisher_that_was_gone_before_we_looked_counts)
{
	struct ayre_publisher *publisher = publish(NULL, name);
	struct ayre_subscriber *subscriber;

	ayre_publisher_close(publisher);
	subscriber = subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), name);
	publisher = publish(NULL, name);
	send_number(publisher, 1);
	ayre_publisher_close(publisher);
	require(receive_number(subscriber) == 1);
	require(receive_soon(subscriber) == -EPIPE);
	ayre_subscriber_close(subscriber);
	remove_topic(name);
	return 0;
}

static int publish_and_close(void *context)
{
	atomic_uint *stop = context;

	while (!atomic_load(stop)) {
		struct ayre_publisher *publisher = publish(NULL, name);

		send_number(publisher, 1);
		ayre_publisher_close(publisher);
	}
	return 0;
}

/* Wherever in the life of a publisher a subscriber comes, who closes has not died. */
TOPIC_TEST(who_closes_while_we_come_has_not_died)
{
	atomic_uint *stop = share_memory(sizeof(*stop));
	pid_t child = start_child(publish_and_close, stop);
	int64_t end = in_ms(long_form() ? 60000 : 1000);

	while (now_ns() < end) {
		struct ayre_subscriber *subscriber =
			subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), name);
		ssize_t got;

		while ((got = receive_soon(subscriber)) >= 0)
			;
		if (got != -EPIPE)
			fprintf(stderr, "%s\n", strerror((int)-got));
		require(got == -EPIPE);
		ayre_subscriber_close(subscriber);
	}
	atomic_store(stop, 1);
	require(end_of(child) == 0);
	unshare_memory(stop, sizeof(*stop));
	remove_topic(name);
	return 0;
}

/* --- the beginning --- */

static int receive_from_the_first(void *context)
{
	struct ayre_subscriber *subscriber = subscribe(NULL, name);

	(void)context;
	require(receive_number(subscriber) == 0);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* Who was waited for gets what is sent then, and the first of it. */
TOPIC_TEST(who_is_known_gets_what_is_sent_next)
{
	int rounds = long_form() ? 5000 : 200;

	for (int i = 0; i < rounds; i++) {
		struct ayre_publisher *publisher = publish(NULL, name);
		pid_t child;

		send_number(publisher, 99);
		child = start_child(receive_from_the_first, NULL);
		require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(10000)) == 1);
		for (uint64_t number = 0; number < 100; number++)
			send_number(publisher, number);
		require(end_of(child) == 0);
		ayre_publisher_close(publisher);
	}
	remove_topic(name);
	return 0;
}

/* --- after fork --- */

/* The copy is not ended with it, as start_child() would. */
static int die_beside_a_copy(void *stop)
{
	subscribe(SUBSCRIBER(RING(4096)), name);
	if (fork() == 0) {
		limit_time(60);
		await(stop, 1);
		_exit(0);
	}
	return 0;
}

/* As the header warns: nobody is told of a death before each child that has a copy has ended. */
TOPIC_TEST(a_forked_child_keeps_its_dead_parent_alive)
{
	atomic_uint *stop = share_memory(sizeof(*stop));
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), name);
	uint64_t number = 0;

	require(run_in_child(die_beside_a_copy, stop) == 0);
	require(ayre_publisher_wait_subscribers(publisher, 1, 0) == 1);
	fill_ring(publisher);
	require(ayre_publisher_send_until(publisher, &number, sizeof(number), in_ms(50)) ==
	        -ETIMEDOUT);
	announce(stop, 1);
	require(ayre_publisher_send_until(publisher, &number, sizeof(number), in_ms(20000)) == 0);
	ayre_publisher_close(publisher);
	unshare_memory(stop, sizeof(*stop));
	remove_topic(name);
	return 0;
}

/* --- descriptors --- */

TOPIC_TEST(a_publishers_descriptor_tells_of_an_attempt_before_it_was_asked_for)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), name);
	struct ayre_publisher *publisher = publish(NULL, name);
	uint64_t count = fill_ring(publisher);
	int fd = ayre_publisher_fd(publisher);

	require(fd >= 0);
	for (uint64_t i = 0; i < count; i++)
		require(receive_number(subscriber) == i);
	require(is_readable(fd, 5000));
	require(try_send_number(publisher, 0) == 0);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	remove_topic(name);
	return 0;
}

/* --- spinning --- */

static int be_slow(void *context)
{
	(void)context;
	subscribe(NULL, name);
	wait_to_be_killed();
}

TOPIC_TEST(who_spins_for_ever_passes_over_a_subscriber_that_died)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(.spin_ns = AYRE_SPIN_FOREVER, RING(4096)), name);
	pid_t child = start_child(be_slow, NULL);
	uint64_t number = 0;
	int64_t since;

	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(10000)) == 1);
	fill_ring(publisher);
	require(ayre_publisher_send_until(publisher, &number, sizeof(number), in_ms(10)) ==
	        -ETIMEDOUT);
	kill(child, SIGKILL);
	end_of(child);
	/* Not by the deadline, after which it would look by itself. */
	since = now_ns();
	require(ayre_publisher_send_until(publisher, &number, sizeof(number), in_ms(20000)) == 0);
	require(now_ns() - since < 5 * SECOND);
	ayre_publisher_close(publisher);
	remove_topic(name);
	return 0;
}

static int publish_late(void *context)
{
	struct ayre_publisher *publisher;

	(void)context;
	pause_ns(50 * MILLISECOND);
	publisher = publish(NULL, name);
	send_number(publisher, 7);
	ayre_publisher_close(publisher);
	return 0;
}

TOPIC_TEST(who_spins_for_ever_for_several_hears_of_who_comes)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.spin_ns = AYRE_SPIN_FOREVER), name);
	pid_t child = start_child(publish_late, NULL);

	require(ayre_subscribers_wait(&subscriber, 1, in_ms(5000)) == 0);
	require(receive_number(subscriber) == 7);
	require(end_of(child) == 0);
	ayre_subscriber_close(subscriber);
	remove_topic(name);
	return 0;
}

/* --- without a name --- */

TOPIC_TEST(a_lossy_pair_is_lossy_whoever_opens_it)
{
	struct ayre_topic_options topic = {
		.size = sizeof(topic), .flags = AYRE_TOPIC_LOSSY, .ring_bytes = 4096};
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct ayre_ends ends;

	require(ayre_subscriber_open_pair(SUBSCRIBER(.topic = &topic), &subscriber, &ends, NULL) ==
	        0);
	require(ayre_publisher_open_ends(NULL, &ends, &publisher, NULL) == 0);
	for (uint64_t i = 0; i < 10000; i++)
		require(try_send_number(publisher, i) == 0);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);

	require(ayre_publisher_open_pair(PUBLISHER(.topic = &topic), &publisher, &ends, NULL) == 0);
	require(ayre_subscriber_open_ends(NULL, &ends, &subscriber, NULL) == 0);
	for (uint64_t i = 0; i < 10000; i++)
		require(try_send_number(publisher, i) == 0);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(the_ends_of_a_pair_cannot_be_mistaken_or_written)
{
	struct ayre_publisher *publisher, *other;
	struct ayre_subscriber *subscriber;
	struct ayre_ends ends, wrong;
	char bytes[1025] = {0};

	require(ayre_publisher_open_pair(PUBLISHER(RING(4096)), &publisher, &ends, NULL) == 0);
	require(ayre_publisher_message_max(publisher) == 1024);
	require(ayre_publisher_send(publisher, bytes, 1025) == -EMSGSIZE);
	require(ayre_publisher_send(publisher, bytes, 1024) == 0);
	/* The lane, by what the subscriber has. */
	require(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ends.fds[0], 0) == MAP_FAILED);
	require(errno == EPERM || errno == EACCES);
	require(pwrite(ends.fds[0], bytes, 1, 0) == -1);
	require(ftruncate(ends.fds[0], 0) == -1 && ftruncate(ends.fds[1], 0) == -1);
	/* Left on failure. */
	require(ayre_publisher_open_ends(NULL, &ends, &other, NULL) == -EPERM);
	wrong = ends;
	wrong.fds[0] = ends.fds[1];
	require(ayre_subscriber_open_ends(NULL, &wrong, &subscriber, NULL) == -EPROTO);
	wrong.fds[0] = -1;
	require(ayre_subscriber_open_ends(NULL, &wrong, &subscriber, NULL) == -EBADF);
	require(ayre_subscriber_open_ends(NULL, &ends, &subscriber, NULL) == 0);
	require(ayre_subscriber_receive(subscriber, bytes, 1024, NULL) == 1024);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(unknown_flags_are_refused),
		counted_test(a_lane_that_was_closed_and_taken_again_is_open),
		counted_test(a_publisher_that_was_gone_before_we_looked_counts),
		counted_test(who_closes_while_we_come_has_not_died),
		counted_test(who_is_known_gets_what_is_sent_next),
		counted_test(a_forked_child_keeps_its_dead_parent_alive),
		counted_test(a_publishers_descriptor_tells_of_an_attempt_before_it_was_asked_for),
		counted_test(who_spins_for_ever_passes_over_a_subscriber_that_died),
		counted_test(who_spins_for_ever_for_several_hears_of_who_comes),
		counted_test(a_lossy_pair_is_lossy_whoever_opens_it),
		counted_test(the_ends_of_a_pair_cannot_be_mistaken_or_written),
	};

	use_topic_root();
	return run_counted("topic_contract", tests);
}
