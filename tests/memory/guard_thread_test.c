/*
 * The guard among threads: segments come, go, move and are cut while faults are taken, and each
 * fault finds its way, to the segment's zeros or to the host's handler.
 */
#include "memory/guard_world.h"

#include <pthread.h>

#include <ayre/guard.h>

#include "memory/guard_range.h"

#define THREADS 8

static atomic_bool stop;

/* A thread of its own segments: opened, cut, read through the loss, closed, in all sizes. */
static void *open_and_lose(void *context)
{
	unsigned int number = (unsigned int)(uintptr_t)context;

	while (!atomic_load(&stop)) {
		struct ayre_segment *segment = open_numbered(number, 0);

		require(touch(ayre_segment_data(segment), 1) == 'a');
		if (number % 2) {
			cut_numbered(number);
			require(touch(ayre_segment_data(segment), 1) == 0);
			require(ayre_segment_check(segment) == -ESTALE);
		} else {
			require(ayre_segment_resize(segment, (PAGES + number) * page_bytes(),
			                            NULL) >= 0);
			require(ayre_segment_check(segment) == 0);
		}
		remove_numbered(number, segment);
	}
	return NULL;
}

static int take_faults_among_threads(void *context)
{
	pthread_t threads[THREADS];
	int64_t end = now_ns() + (long_form() ? 20 : 1) * 1000000000ll;
	char *trap = map_trap(NULL, 0);

	(void)context;
	install_host_handler(true);
	require(ayre_guard_install() == 1);
	for (unsigned int i = 0; i < THREADS; i++)
		require(pthread_create(&threads[i], NULL, open_and_lose, (void *)(uintptr_t)i) ==
		        0);
	while (now_ns() < end)
		require(is_host_told(trap));
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void faults_among_threads_find_their_way(void **state)
{
	(void)state;
	assert_exited(run_in_child(take_faults_among_threads, NULL));
}

/* A range that is now below the trap and now above it, never on it. */
struct jumping {
	char *below;
	char *above;
};

static void *jump_over(void *context)
{
	const struct jumping *places = context;
	struct ayrei_guard_range *range = ayrei_guard_watch(places->below, page_bytes(), true);

	while (!atomic_load(&stop)) {
		ayrei_guard_move(range, places->above, page_bytes());
		ayrei_guard_move(range, places->below, page_bytes());
		/* As a slot that another segment takes. */
		ayrei_guard_forget(range);
		range = ayrei_guard_watch(places->above, page_bytes(), true);
		ayrei_guard_forget(range);
		range = ayrei_guard_watch(places->below, page_bytes(), true);
	}
	ayrei_guard_forget(range);
	return NULL;
}

static int take_faults_between_ranges(void *context)
{
	int64_t end = now_ns() + (long_form() ? 20 : 1) * 1000000000ll;
	char *space = mmap(NULL, 5 * page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct jumping places = {space, space + 4 * page_bytes()};
	char *trap = map_trap(space + 2 * page_bytes(), MAP_FIXED);
	pthread_t thread;

	(void)context;
	install_host_handler(true);
	require(ayre_guard_install() == 1);
	require(pthread_create(&thread, NULL, jump_over, &places) == 0);
	/* Zeros put over it would be over memory of the host's. */
	while (now_ns() < end)
		require(is_host_told(trap));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	return 0;
}

static void half_of_one_range_and_half_of_another_is_none(void **state)
{
	(void)state;
	assert_exited(run_in_child(take_faults_between_ranges, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(faults_among_threads_find_their_way),
		counted_test(half_of_one_range_and_half_of_another_is_none),
	};

	return run_counted("guard among threads", tests);
}
