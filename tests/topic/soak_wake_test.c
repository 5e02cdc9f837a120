/*
 * A message that is sent just when its subscriber is about to sleep, again and again: whichever of them is
 * first, it is not slept through.
 *
 * The publisher sends, waits until the message was received, and sends the next one after a moment that
 * is drawn at random, of about the length of the way to sleep. Nobody sends a second one that could
 * wake in place of the first. Before some, a stream of many makes it leave its fence out.
 */
#include "topic/topic_world.h"

#include <sched.h>
#include <signal.h>

#define NAME   "t"
#define STREAM 100
/* That long after it was sent nobody is woken late, but never. */
#define LOST (3 * SECOND)

static struct {
	_Atomic uint64_t received;
	atomic_uint ready;
} * word;

static void stay_on(int processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	/* Where there is only one, the races are few. */
	sched_setaffinity(0, sizeof(one), &one);
}

static int receive_all(void *context)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(65536), .spin_ns = AYRE_SPIN_NONE), NAME);

	(void)context;
	stay_on(1);
	announce(&word->ready, 1);
	for (uint64_t next = 0;; next++) {
		require(receive_number(subscriber) == next);
		atomic_store(&word->received, next + 1);
	}
	return 0;
}

static bool await_received(uint64_t count)
{
	int64_t deadline = now_ns() + LOST;

	for (unsigned int turns = 1; atomic_load(&word->received) < count; turns++) {
		if (turns % 1024 == 0 && now_ns() > deadline)
			return false;
		if (turns % 1024 == 0)
			sched_yield();
	}
	return true;
}

static void wait_a_moment(void)
{
	for (uint32_t turns = random_below(random_below(4) ? 2000 : 20000); turns > 0; turns--)
		__asm__ volatile("" : : : "memory");
}

/* Returns how many were sent alone. stream: many in a row go before each. */
static uint64_t send_alone(uint64_t stream, int64_t until_ns)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(65536)), NAME);
	pid_t child;
	uint64_t sent = 0, alone = 0;

	word = share_memory(sizeof(*word));
	child = start_child(receive_all, NULL);
	await(&word->ready, 1);
	stay_on(0);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(5000)) == 1);
	while (now_ns() < until_ns) {
		for (uint64_t i = 0; i < stream; i++)
			send_number(publisher, sent++);
		require(await_received(sent));
		wait_a_moment();
		send_number(publisher, sent++);
		alone++;
		require(await_received(sent));
		wait_a_moment();
	}
	printf("# %lu sent alone, %lu wakes\n", (unsigned long)alone,
	       (unsigned long)info_of_publisher(publisher).wakes);
	kill(child, SIGKILL);
	require(WIFSIGNALED(end_of(child)));
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(word, sizeof(*word));
	return alone;
}

static int64_t end_of_test(void)
{
	return now_ns() + (long_form() ? 300 : 4) * SECOND;
}

TOPIC_TEST(one_about_to_sleep_is_woken)
{
	return send_alone(0, end_of_test()) > 0 ? 0 : 1;
}

TOPIC_TEST(one_about_to_sleep_after_a_stream_is_woken)
{
	return send_alone(STREAM, end_of_test()) > 0 ? 0 : 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(one_about_to_sleep_is_woken),
		counted_test(one_about_to_sleep_after_a_stream_is_woken),
	};

	use_topic_root();
	return run_counted("soak_wake", tests);
}
