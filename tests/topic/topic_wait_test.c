/*
 * Waiting: no wake-up is lost, whoever sleeps; descriptors for event loops; several subscribers at once;
 * and who waits uses no processor.
 */
#include "topic/topic_world.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define NAME "waiting"

/* Who sleeps longer than that has missed its wake-up. */
#define LOST_MS 10000

static int64_t budget_ns(void)
{
	return long_form() ? 600 * SECOND : 6 * SECOND;
}

/* Not asleep, so that it can be short: up to about the time that a wake-up takes, or none. */
static void dawdle(void)
{
	int64_t end = now_ns() + random_below(60000);

	if (random_below(2) == 0)
		return;
	/* Now and then for longer, so that the other one sleeps however busy the machine is. */
	if (random_below(32) == 0)
		pause_ns(random_below(200000));
	while (now_ns() < end)
		continue;
}

/* --- no wake-up is lost --- */

#define SLEEPS_WANTED 100000u

struct sleepers {
	atomic_uint ready, over;
	uint64_t sent, sleeps;
};

static int sleep_for_each(void *context)
{
	struct sleepers *sleepers = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .spin_ns = AYRE_SPIN_NONE,
	                             .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED),
	                  NAME);
	uint64_t number, next = 0;
	ssize_t got;

	random_seed(2);
	announce(&sleepers->ready, 1);
	while ((got = ayre_subscriber_receive_until(subscriber, &number, 8, NULL,
	                                            in_ms(LOST_MS))) == 8) {
		require(number == next++);
		if (number % 8 == 0)
			dawdle();
	}
	require(got == -EPIPE && next == sleepers->sent);
	sleepers->sleeps = info_of_subscriber(subscriber).sleeps;
	ayre_subscriber_close(subscriber);
	return 0;
}

/* A message, or a few, and then nothing until they are likely to be read. */
TOPIC_TEST(no_wakeup_of_a_reader_is_lost)
{
	struct sleepers *sleepers = share_memory(sizeof(*sleepers));
	pid_t reader = start_child(sleep_for_each, sleepers);
	struct ayre_publisher *publisher;
	int64_t end = now_ns() + budget_ns();
	struct ayre_publisher_info info = {0};

	await(&sleepers->ready, 1);
	publisher = publish(NULL, NAME);
	random_seed(1);
	while (info.wakes < SLEEPS_WANTED && now_ns() < end) {
		for (int i = 0; i < 100; i++) {
			require(ayre_publisher_send_until(publisher, &sleepers->sent, 8,
			                                  in_ms(LOST_MS)) == 0);
			sleepers->sent++;
			dawdle();
		}
		info = info_of_publisher(publisher);
	}
	ayre_publisher_close(publisher);
	require(end_of(reader) == 0);
	print_message("# %llu messages, the reader slept %llu times, was woken %llu times\n",
	              (unsigned long long)sleepers->sent, (unsigned long long)sleepers->sleeps,
	              (unsigned long long)info.wakes);
	require(sleepers->sleeps > 100);
	unshare_memory(sleepers, sizeof(*sleepers));
	remove_topic(NAME);
	return 0;
}

static int read_with_pauses(void *context)
{
	struct sleepers *sleepers = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	uint64_t number, next = 0;
	ssize_t got;

	random_seed(4);
	announce(&sleepers->ready, 1);
	while ((got = ayre_subscriber_receive_until(subscriber, &number, 8, NULL,
	                                            in_ms(LOST_MS))) == 8) {
		require(number == next++);
		if (number % 16 == 0)
			dawdle();
	}
	require(got == -EPIPE && next == sleepers->sent);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(no_wakeup_of_a_writer_is_lost)
{
	struct sleepers *sleepers = share_memory(sizeof(*sleepers));
	pid_t reader = start_child(read_with_pauses, sleepers);
	struct ayre_publisher *publisher;
	int64_t end = now_ns() + budget_ns();

	await(&sleepers->ready, 1);
	publisher = publish(PUBLISHER(.spin_ns = AYRE_SPIN_NONE), NAME);
	while (info_of_publisher(publisher).waits < SLEEPS_WANTED && now_ns() < end)
		for (int i = 0; i < 1000; i++) {
			require(ayre_publisher_send_until(publisher, &sleepers->sent, 8,
			                                  in_ms(LOST_MS)) == 0);
			sleepers->sent++;
		}
	sleepers->sleeps = info_of_publisher(publisher).waits;
	ayre_publisher_close(publisher);
	require(end_of(reader) == 0);
	print_message("# %llu messages, the writer slept %llu times\n",
	              (unsigned long long)sleepers->sent, (unsigned long long)sleepers->sleeps);
	require(sleepers->sleeps > 100);
	unshare_memory(sleepers, sizeof(*sleepers));
	remove_topic(NAME);
	return 0;
}

/* --- an event loop --- */

static int loop_on_epoll(void *context)
{
	struct sleepers *sleepers = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	int set = epoll_create1(EPOLL_CLOEXEC), fd = ayre_subscriber_fd(subscriber);
	struct epoll_event event = {.events = EPOLLIN};
	uint64_t number, next = 0;
	ssize_t got;

	require(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	random_seed(6);
	announce(&sleepers->ready, 1);
	do {
		require(epoll_wait(set, &event, 1, LOST_MS) == 1);
		while ((got = ayre_subscriber_try_receive(subscriber, &number, 8, NULL)) == 8) {
			require(number == next++);
			if (random_below(8) == 0)
				dawdle();
		}
		require(ayre_subscriber_fd(subscriber) == fd);
		sleepers->sleeps++;
	} while (got == -EAGAIN);
	require(got == -EPIPE && next == sleepers->sent);
	close(set);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(no_wakeup_of_an_event_loop_is_lost)
{
	struct sleepers *sleepers = share_memory(sizeof(*sleepers));
	pid_t reader = start_child(loop_on_epoll, sleepers);
	struct ayre_publisher *publisher;
	int64_t end = now_ns() + budget_ns() / 2;

	await(&sleepers->ready, 1);
	publisher = publish(NULL, NAME);
	random_seed(5);
	while (now_ns() < end) {
		require(ayre_publisher_send_until(publisher, &sleepers->sent, 8, in_ms(LOST_MS)) ==
		        0);
		sleepers->sent++;
		dawdle();
	}
	ayre_publisher_close(publisher);
	require(end_of(reader) == 0);
	print_message("# %llu messages, the loop waited %llu times\n",
	              (unsigned long long)sleepers->sent, (unsigned long long)sleepers->sleeps);
	require(sleepers->sleeps > 100);
	unshare_memory(sleepers, sizeof(*sleepers));
	remove_topic(NAME);
	return 0;
}

/* Level-triggered: it tells as long as there is something, and to whoever asks. */
TOPIC_TEST(the_descriptor_tells_while_there_is_something)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	int fd = ayre_subscriber_fd(subscriber);
	struct ayre_publisher *publisher = NULL;
	uint64_t number;

	require(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	for (uint64_t i = 0; i < 50; i++) {
		if (i == 1)
			publisher = publish(NULL, NAME);
		/* It may tell of nothing, until nothing was found. */
		require(ayre_subscriber_try_receive(subscriber, &number, 8, NULL) == -EAGAIN);
		if (is_readable(fd, 0))
			require(ayre_subscriber_try_receive(subscriber, &number, 8, NULL) ==
			        -EAGAIN);
		require(!is_readable(fd, 5));
		if (i == 0)
			continue;
		send_number(publisher, i);
		send_number(publisher, i);
		require(is_readable(fd, 1000) && is_readable(fd, 0));
		require(ayre_subscriber_try_receive(subscriber, &number, 8, NULL) == 8);
		require(number == i && is_readable(fd, 0));
		require(ayre_subscriber_try_receive(subscriber, &number, 8, NULL) == 8);
	}
	ayre_publisher_close(publisher);
	require(is_readable(fd, 1000));
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* What is there when the descriptor is asked for is told of. */
TOPIC_TEST(the_descriptor_tells_of_what_was_there_before)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber;

	send_number(publisher, 3);
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	require(is_readable(ayre_subscriber_fd(subscriber), 0));
	require(receive_number(subscriber) == 3);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- several at once --- */

#define SEVERAL 5

static const char *numbered(int number)
{
	static char name[32];

	snprintf(name, sizeof(name), NAME "-%d", number);
	return name;
}

TOPIC_TEST(one_of_several_is_found_wherever_it_is)
{
	struct ayre_subscriber *subscribers[SEVERAL];
	struct ayre_publisher *publishers[SEVERAL];
	unsigned int found[SEVERAL] = {0};

	for (int i = 0; i < SEVERAL; i++) {
		subscribers[i] = subscribe(SUBSCRIBER(RING(4096)), numbered(i));
		publishers[i] = publish(NULL, numbered(i));
	}
	require(ayre_subscribers_wait(subscribers, 0, 0) == -EINVAL);
	require(ayre_subscribers_wait(subscribers, 1000, 0) == -EINVAL);
	require(ayre_subscribers_wait(subscribers, SEVERAL, in_ms(10)) == -ETIMEDOUT);
	require(ayre_subscribers_wait(subscribers, SEVERAL, 0) == -ETIMEDOUT);
	for (int i = 0; i < 200; i++) {
		int which = (int)random_below(SEVERAL);

		send_number(publishers[which], 1);
		require(ayre_subscribers_wait(subscribers, SEVERAL, in_ms(LOST_MS)) == which);
		require(receive_number(subscribers[which]) == 1);
	}
	/* All of them have something: none is passed over for ever. */
	for (int i = 0; i < SEVERAL; i++)
		for (int j = 0; j < 100; j++)
			send_number(publishers[i], 2);
	for (int i = 0; i < 20 * SEVERAL; i++) {
		int which = ayre_subscribers_wait(subscribers, SEVERAL, 0);

		require(which >= 0 && which < SEVERAL);
		require(receive_number(subscribers[which]) == 2);
		found[which]++;
	}
	for (int i = 0; i < SEVERAL; i++) {
		require(found[i] > 5);
		ayre_publisher_close(publishers[i]);
		ayre_subscriber_close(subscribers[i]);
		remove_topic(numbered(i));
	}
	return 0;
}

static int sleep_for_several(void *context)
{
	struct sleepers *sleepers = context;
	struct ayre_subscriber *subscribers[SEVERAL];
	uint64_t next[SEVERAL] = {0}, number, received = 0;

	for (int i = 0; i < SEVERAL; i++)
		subscribers[i] =
			subscribe(SUBSCRIBER(RING(4096), .spin_ns = AYRE_SPIN_NONE), numbered(i));
	announce(&sleepers->ready, 1);
	while (!atomic_load(&sleepers->over) || received < sleepers->sent) {
		int which = ayre_subscribers_wait(subscribers, SEVERAL, in_ms(LOST_MS));

		require(which >= 0);
		/* As it was promised. */
		require(ayre_subscriber_try_receive(subscribers[which], &number, 8, NULL) == 8);
		require(number == next[which]++);
		if (received++ % 8 == 0)
			dawdle();
	}
	for (int i = 0; i < SEVERAL; i++) {
		sleepers->sleeps += info_of_subscriber(subscribers[i]).sleeps;
		ayre_subscriber_close(subscribers[i]);
	}
	return 0;
}

TOPIC_TEST(no_wakeup_of_one_who_waits_for_several_is_lost)
{
	struct sleepers *sleepers = share_memory(sizeof(*sleepers));
	pid_t reader = start_child(sleep_for_several, sleepers);
	struct ayre_publisher *publishers[SEVERAL];
	uint64_t next[SEVERAL] = {0};
	int64_t end = now_ns() + budget_ns() / 2;

	await(&sleepers->ready, 1);
	for (int i = 0; i < SEVERAL; i++)
		publishers[i] = publish(NULL, numbered(i));
	for (bool last = false; !last;) {
		int which = (int)random_below(SEVERAL);

		last = now_ns() >= end;
		/* Before the last one, so that it is not waited for again. */
		sleepers->sent++;
		if (last)
			atomic_store(&sleepers->over, 1);
		require(ayre_publisher_send_until(publishers[which], &next[which], 8,
		                                  in_ms(LOST_MS)) == 0);
		next[which]++;
		dawdle();
	}
	require(end_of(reader) == 0);
	print_message("# %llu messages in %d topics, the reader slept %llu times\n",
	              (unsigned long long)sleepers->sent, SEVERAL,
	              (unsigned long long)sleepers->sleeps / SEVERAL);
	require(sleepers->sleeps > 100);
	for (int i = 0; i < SEVERAL; i++) {
		ayre_publisher_close(publishers[i]);
		remove_topic(numbered(i));
	}
	unshare_memory(sleepers, sizeof(*sleepers));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(no_wakeup_of_a_reader_is_lost),
		counted_test(no_wakeup_of_a_writer_is_lost),
		counted_test(no_wakeup_of_an_event_loop_is_lost),
		counted_test(the_descriptor_tells_while_there_is_something),
		counted_test(the_descriptor_tells_of_what_was_there_before),
		counted_test(one_of_several_is_found_wherever_it_is),
		counted_test(no_wakeup_of_one_who_waits_for_several_is_lost),
	};

	use_topic_root();
	return run_counted("waiting", tests);
}
