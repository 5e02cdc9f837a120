/*
 * Death: a peer is killed, again and again, while the other sleeps, spins or waits for room, and the
 * survivor knows it as soon as the kernel does.
 *
 * The time that is printed runs from before kill(2) to after the survivor's call: the kernel's own
 * part, taking the victim's memory down and waking the survivor, is in it.
 */
#include "topic/topic_world.h"

#include <signal.h>

#define NAME "death"

/* A survivor whose call has not come back by then never will. */
#define HANGS_MS 5000

static unsigned int rounds(void)
{
	return long_form() ? 5000 : 200;
}

struct scene {
	int (*victim)(void *context);
	int (*survive)(struct scene *scene); /* one round: until the victim's death is told */
	int64_t spin_ns;
	atomic_uint begun; /* the survivor is there */
	atomic_uint ready; /* victims that can be killed */
	atomic_uint told;  /* deaths that the survivor was told of */
	int64_t told_ns;
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
};

static struct scene *scene;

/* --- victims --- */

static int publish_and_wait(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	(void)context;
	send_number(publisher, 1);
	announce_one_more(&scene->ready);
	wait_to_be_killed();
}

static int subscribe_and_wait(void *context)
{
	(void)context;
	subscribe(SUBSCRIBER(RING(4096)), NAME);
	announce_one_more(&scene->ready);
	wait_to_be_killed();
}

static int publish_and_go_on(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	(void)context;
	send_number(publisher, 1);
	announce_one_more(&scene->ready);
	while (true)
		send_number(publisher, 2);
	return 0;
}

/* --- survivors --- */

static int hear_of_publisher(struct scene *here)
{
	uint64_t number;
	ssize_t got;

	do
		got = ayre_subscriber_receive_until(here->subscriber, &number, sizeof(number), NULL,
		                                    in_ms(HANGS_MS));
	while (got == sizeof(number));
	here->told_ns = now_ns();
	require(got == -EOWNERDEAD);
	return 0;
}

static int hear_of_subscriber(struct scene *here)
{
	/* More than the ring holds. */
	for (unsigned int i = 0; i < 600; i++)
		require(ayre_publisher_send_until(here->publisher, "x", 1, in_ms(HANGS_MS)) == 0);
	here->told_ns = now_ns();
	return 0;
}

static int survive(void *context)
{
	unsigned int count = rounds();

	(void)context;
	if (scene->survive == hear_of_publisher)
		scene->subscriber = subscribe(SUBSCRIBER(RING(4096), .spin_ns = scene->spin_ns,
		                                         .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED),
		                              NAME);
	else
		scene->publisher = publish(PUBLISHER(RING(4096), .spin_ns = scene->spin_ns), NAME);
	announce(&scene->begun, 1);
	for (unsigned int i = 1; i <= count; i++) {
		await(&scene->ready, i);
		scene->survive(scene);
		announce(&scene->told, i);
	}
	ayre_subscriber_close(scene->subscriber);
	ayre_publisher_close(scene->publisher);
	return 0;
}

/* --- the figure --- */

static int compare(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

static void print_figure(const char *what, int64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	print_message("# %s: %zu kills, told after %lld us in the median, %lld us at most\n", what,
	              count, (long long)times[count / 2] / 1000,
	              (long long)times[count - 1] / 1000);
}

static void kill_again_and_again(const char *what, int (*victim)(void *context),
                                 int (*survivor)(struct scene *here), int64_t spin_ns)
{
	unsigned int count = rounds();
	int64_t *times = calloc(count, sizeof(*times));
	pid_t survivor_id;

	scene = share_memory(sizeof(*scene));
	*scene = (struct scene){.survive = survivor, .spin_ns = spin_ns};
	survivor_id = start_child(survive, NULL);
	/* Of a victim that was dead before, nobody would be told. */
	await(&scene->begun, 1);
	for (unsigned int i = 1; i <= count; i++) {
		pid_t victim_id = start_child(victim, NULL);
		int64_t begin;

		await(&scene->ready, i);
		/* Sometimes it sleeps by then, and sometimes it is about to. */
		if (i % 4)
			pause_ns(random_below(400) * 1000);
		begin = now_ns();
		kill(victim_id, SIGKILL);
		/* A survivor that has failed will never tell. */
		while (atomic_load(&scene->told) < i && waitpid(survivor_id, NULL, WNOHANG) == 0)
			pause_ns(20000);
		times[i - 1] = scene->told_ns - begin;
		end_of(victim_id);
		require(atomic_load(&scene->told) >= i);
	}
	assert_exited(end_of(survivor_id));
	print_figure(what, times, count);
	free(times);
	unshare_memory(scene, sizeof(*scene));
	remove_topic(NAME);
}

TOPIC_TEST(a_sleeping_subscriber_is_told_that_a_publisher_died)
{
	kill_again_and_again("subscriber asleep, publisher idle", publish_and_wait,
	                     hear_of_publisher, AYRE_SPIN_NONE);
	return 0;
}

TOPIC_TEST(a_reading_subscriber_is_told_that_a_publisher_died)
{
	kill_again_and_again("subscriber reading, publisher sending", publish_and_go_on,
	                     hear_of_publisher, AYRE_SPIN_ADAPT);
	return 0;
}

TOPIC_TEST(a_spinning_subscriber_is_told_that_a_publisher_died)
{
	kill_again_and_again("subscriber spinning, publisher idle", publish_and_wait,
	                     hear_of_publisher, AYRE_SPIN_FOREVER);
	return 0;
}

TOPIC_TEST(a_publisher_passes_over_a_subscriber_that_died)
{
	kill_again_and_again("publisher asleep, subscriber not reading", subscribe_and_wait,
	                     hear_of_subscriber, AYRE_SPIN_NONE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_sleeping_subscriber_is_told_that_a_publisher_died),
		counted_test(a_reading_subscriber_is_told_that_a_publisher_died),
		counted_test(a_spinning_subscriber_is_told_that_a_publisher_died),
		counted_test(a_publisher_passes_over_a_subscriber_that_died),
	};

	use_topic_root();
	return run_counted("death of peers", tests);
}
