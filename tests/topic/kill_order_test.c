/*
 * A death that comes in pieces. The kernel lets the descriptors of a dead process go one after the other, in
 * whatever order, and a large file between two of them takes its time: the bell of a peer can have
 * ended long before its lock. Whoever is told by the bell must not be sent back to sleep by the lock.
 */
#include "topic/topic_world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#define NAME "t"
/* Takes some milliseconds to be freed. */
#define LARGE ((off_t)48 << 20)

static atomic_uint *stage;

/*
 * Leaves free: two low numbers, and those behind a large file. What is opened first is low, the rest is
 * high.
 */
static void spread_descriptors(unsigned int low)
{
	int first = dup(0), fd = first;

	require(first > 0);
	while (fd < first + 40)
		require((fd = dup(0)) > 0);
	fd = memfd_create("large", MFD_CLOEXEC);
	require(fd > 0 && fallocate(fd, 0, 0, LARGE) == 0);
	for (unsigned int i = 0; i < low; i++)
		require(close(first + (int)i) == 0);
}

/* Apart, so that one can look while the other is still dying. */
static void stay_on(int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	/* Where there is only one, they take turns. */
	sched_setaffinity(0, sizeof(one), &one);
}

static int publish_and_wait(void *context)
{
	const unsigned int *low = context;
	struct ayre_publisher *publisher;

	stay_on(1);
	spread_descriptors(*low);
	publisher = publish(PUBLISHER(RING(4096)), NAME);
	send_number(publisher, 0);
	announce(stage, 1);
	wait_to_be_killed();
	return 0;
}

static int subscribe_and_wait(void *context)
{
	const unsigned int *low = context;

	stay_on(1);
	spread_descriptors(*low);
	subscribe(SUBSCRIBER(RING(4096)), NAME);
	announce(stage, 1);
	wait_to_be_killed();
	return 0;
}

/* Kills it while this process sleeps. */
static int kill_soon(void *context)
{
	const pid_t *victim = context;

	await_sleep(getppid());
	return kill(*victim, SIGKILL);
}

/* How many of the peer's descriptors are low is tried out: which one it is to be is its own affair. */
#define MOST_LOW 5

TOPIC_TEST(a_publisher_dies_piece_by_piece)
{
	stage = share_memory(sizeof(*stage));
	stay_on(0);
	for (unsigned int low = 0; low < MOST_LOW; low++) {
		struct ayre_subscriber *subscriber = subscribe(
			SUBSCRIBER(RING(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
		pid_t victim, killer;
		uint64_t number;

		atomic_store(stage, 0);
		victim = start_child(publish_and_wait, &low);
		await(stage, 1);
		require(receive_number(subscriber) == 0);
		killer = start_child(kill_soon, &victim);
		require(ayre_subscriber_receive_until(subscriber, &number, sizeof(number), NULL,
		                                      in_ms(5000)) == -EOWNERDEAD);
		require(WIFSIGNALED(end_of(victim)) && end_of(killer) == 0);
		ayre_subscriber_close(subscriber);
		remove_topic(NAME);
	}
	unshare_memory(stage, sizeof(*stage));
	return 0;
}

TOPIC_TEST(a_subscriber_dies_piece_by_piece)
{
	stage = share_memory(sizeof(*stage));
	stay_on(0);
	for (unsigned int low = 0; low < MOST_LOW; low++) {
		struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
		pid_t victim, killer;
		uint64_t count;
		int64_t begin;

		atomic_store(stage, 0);
		victim = start_child(subscribe_and_wait, &low);
		await(stage, 1);
		require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(5000)) == 1);
		count = fill_ring(publisher);
		killer = start_child(kill_soon, &victim);
		begin = now_ns();
		require(ayre_publisher_send_until(publisher, &count, sizeof(count), in_ms(5000)) ==
		        0);
		/* At its deadline it looks once more, which is too late. */
		require(now_ns() - begin < 3 * SECOND);
		require(WIFSIGNALED(end_of(victim)) && end_of(killer) == 0);
		ayre_publisher_close(publisher);
		remove_topic(NAME);
	}
	unshare_memory(stage, sizeof(*stage));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_publisher_dies_piece_by_piece),
		counted_test(a_subscriber_dies_piece_by_piece),
	};

	use_topic_root();
	return run_counted("kill_order", tests);
}
