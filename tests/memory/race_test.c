/*
 * Creation without a race: hundreds of processes that open one name at once. Exactly one
 * creates, all see the segment whole as soon as their open returns, and nothing but the segment
 * is left; also when the name is removed again and again meanwhile.
 */
#include "memory/race.h"

#include <fcntl.h>
#include <sched.h>

#include "support/fault.h"

static int contend(void *context)
{
	const struct contender *self = context;
	struct arena *arena = self->arena;

	random_seed((uint32_t)getpid());
	fault_before_call = yield_sometimes;
	for (unsigned int round = 1;; round++) {
		await(&arena->round, round);
		if (atomic_load(&arena->stop))
			return 0;
		arena->outcomes[self->index] = open_and_look(arena);
		if (atomic_fetch_add(&arena->done, 1) + 1 == round * arena->manner->processes)
			announce(&arena->done, round * arena->manner->processes);
	}
}

static void assert_one_creator(const struct arena *arena)
{
	unsigned int created = 0;
	pid_t maker = arena->outcomes[0].maker;

	for (unsigned int i = 0; i < arena->manner->processes; i++) {
		const struct outcome *outcome = &arena->outcomes[i];

		if (outcome->result < 0)
			fail_msg("process %u: %s", i, strerror(-outcome->result));
		assert_true(outcome->whole);
		assert_int_equal(outcome->maker, maker);
		created += outcome->result == 1;
		if (outcome->result == 1 && maker)
			assert_int_equal(arena->pids[i], maker);
	}
	assert_int_equal(created, 1);
}

static void race(void **state, unsigned int manner)
{
	static struct contender contenders[MOST_PROCESSES];
	struct arena *arena = make_arena(state, manner);
	struct counts before;
	int64_t end = end_of_budget();
	unsigned int round;

	for (unsigned int i = 0; i < arena->manner->processes; i++) {
		contenders[i] = (struct contender){arena, i};
		arena->pids[i] = start_child(contend, &contenders[i]);
	}
	before = take_counts();
	for (round = 1; round <= 3 || now_ns() < end; round++) {
		announce(&arena->round, round);
		await(&arena->done, round * arena->manner->processes);
		assert_one_creator(arena);
		assert_int_equal(ayre_segment_remove(arena->name, NULL), 0);
		assert_counts(&before);
	}
	if (arena->manner->initialized)
		assert_int_equal(atomic_load(&arena->initialized), round - 1);
	atomic_store(&arena->stop, true);
	announce(&arena->round, round);
	for (unsigned int i = 0; i < arena->manner->processes; i++)
		assert_exited(end_of(arena->pids[i]));
	print_message("# %s: %u rounds of %u processes, %u initialisers ran\n",
	              arena->manner->title, round - 1, arena->manner->processes,
	              atomic_load(&arena->initialized));
	drop_arena(arena);
}

static void one_of_many_creates_raw(void **state)
{
	race(state, RAW);
}

static void one_of_many_creates_typed(void **state)
{
	race(state, TYPED);
}

static void one_of_many_creates_slowly(void **state)
{
	race(state, SLOWLY);
}

static void one_of_many_creates_large(void **state)
{
	race(state, LARGE);
}

static void one_of_many_creates_without_unnamed_files(void **state)
{
	race(state, RENAMED);
}

static void one_of_many_creates_without_renaming(void **state)
{
	race(state, LINKED);
}

static int open_again_and_again(void *context)
{
	const struct contender *self = context;
	struct arena *arena = self->arena;

	random_seed((uint32_t)getpid());
	fault_before_call = yield_sometimes;
	while (!atomic_load(&arena->stop)) {
		struct outcome outcome = open_and_look(arena);

		if (outcome.result >= 0 && outcome.whole)
			continue;
		/* Kept for the parent to tell. */
		arena->outcomes[self->index] = outcome;
		return 1;
	}
	return 0;
}

static int remove_again_and_again(void *context)
{
	const struct contender *self = context;
	struct arena *arena = self->arena;

	while (!atomic_load(&arena->stop)) {
		int result = ayre_segment_remove(arena->name, NULL);

		require(result == 0 || result == -ENOENT);
		atomic_fetch_add(&arena->done, result == 0);
		sched_yield();
	}
	return 0;
}

static void race_with_removals(void **state, unsigned int manner)
{
	enum { OPENERS = 12 };
	struct contender contenders[OPENERS + 1];
	struct arena *arena = make_arena(state, manner);
	struct counts before = take_counts();
	int64_t end = end_of_budget();

	for (unsigned int i = 0; i <= OPENERS; i++) {
		contenders[i] = (struct contender){arena, i};
		arena->pids[i] =
			start_child(i < OPENERS ? open_again_and_again : remove_again_and_again,
		                    &contenders[i]);
	}
	while (now_ns() < end || atomic_load(&arena->done) < 10)
		usleep(10000);
	atomic_store(&arena->stop, true);
	for (unsigned int i = 0; i <= OPENERS; i++) {
		int status = end_of(arena->pids[i]);

		if (status != 0)
			fail_msg("process %u: open gave %d, whole: %d", i,
			         arena->outcomes[i].result, arena->outcomes[i].whole);
	}
	(void)!ayre_segment_remove(arena->name, NULL);
	assert_counts(&before);
	print_message("# %s: %u removals\n", arena->manner->title, atomic_load(&arena->done));
	drop_arena(arena);
}

static void names_may_be_removed_meanwhile(void **state)
{
	race_with_removals(state, SLOWLY);
}

static void names_may_be_removed_without_unnamed_files(void **state)
{
	race_with_removals(state, RENAMED);
}

static void large_names_may_be_removed_meanwhile(void **state)
{
	race_with_removals(state, LARGE);
}

/* Another program takes the name while the segment is initialised. */
static int let_another_take_the_name(void *data, size_t data_bytes, void *context)
{
	int fd = open(context, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	memset(data, 'x', data_bytes);
	if (fd < 0 || write(fd, "theirs", 6) != 6)
		return -EIO;
	close(fd);
	return 0;
}

static void create_against_another(void **state, unsigned int manner)
{
	struct arena *arena = make_arena(state, manner);
	char path[NAME_BYTES];
	struct ayre_segment *segment;

	make_path(path, kind_of(state), 0);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 6,
	                                  .initialize = let_another_take_the_name, .context = path),
	                          arena->name, &segment),
	                 0);
	assert_int_equal(ayre_segment_size(segment), 6);
	assert_memory_equal(ayre_segment_data(segment), "theirs", 6);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(arena->name, NULL), 0);
	drop_arena(arena);
}

static void what_others_make_meanwhile_stays(void **state)
{
	create_against_another(state, TYPED);
	create_against_another(state, RENAMED);
	create_against_another(state, LINKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(one_of_many_creates_raw),
		named_test(one_of_many_creates_typed),
		named_test(one_of_many_creates_slowly),
		file_test(one_of_many_creates_large),
		file_test(one_of_many_creates_without_unnamed_files),
		backing_test(one_of_many_creates_without_renaming, FILE),
		file_test(what_others_make_meanwhile_stays),
		named_test(names_may_be_removed_meanwhile),
		backing_test(names_may_be_removed_without_unnamed_files, FILE),
		backing_test(large_names_may_be_removed_meanwhile, SHM),
	};

	return run_counted("race", tests);
}
