/*
 * Creation whose creators die: some of the processes that open one name at once are killed, at a
 * system call, in their initialiser, or anywhere. The others go on with one segment, whole; and
 * when that is removed nothing of the dead is left.
 */
#include "memory/race.h"

#include <signal.h>
#include <time.h>

#include "support/fault.h"

#define PROCESSES 16
#define NOBODY    65534

/* A victim dies at one of its system calls, or in the middle of its initialiser. */
static unsigned int lives;

static void die_sometime(const char *symbol)
{
	yield_sometimes(symbol);
	if (lives-- == 0)
		raise(SIGKILL);
}

static int contend_for_life(void *context)
{
	const struct contender *self = context;
	struct arena *arena = self->arena;

	random_seed((uint32_t)getpid() * 31 + self->index);
	fault_before_call = yield_sometimes;
	if (self->index % 2) {
		lives = random_below(50);
		fault_before_call = die_sometime;
		fault_after_call = die_sometime;
	}
	await(&arena->round, 1);
	arena->outcomes[self->index] = open_and_look(arena);
	return 0;
}

/* Whom its parent kills can die anywhere, also between two instructions. */
static void kill_some(const struct arena *arena, unsigned int processes)
{
	for (int i = 0; i < 3; i++) {
		struct timespec pause = {.tv_nsec = random_below(400000)};

		nanosleep(&pause, NULL);
		kill(arena->pids[random_below(processes)], SIGKILL);
	}
}

/* Those who lived have seen one segment, and its maker, if it lived, knows that it made it. */
static unsigned int judge_survivors(const struct arena *arena, const bool *survived,
                                    unsigned int processes, pid_t *ret_maker)
{
	unsigned int survivors = 0;

	for (unsigned int i = 0; i < processes; i++) {
		const struct outcome *outcome = &arena->outcomes[i];

		if (!survived[i])
			continue;
		if (outcome->result < 0)
			fail_msg("process %u: %s", i, strerror(-outcome->result));
		assert_true(outcome->whole);
		if (survivors++ > 0)
			assert_int_equal(outcome->maker, *ret_maker);
		*ret_maker = outcome->maker;
		assert_int_equal(outcome->result, outcome->maker == arena->pids[i]);
	}
	return survivors;
}

static unsigned int kill_round(struct arena *arena, unsigned int processes)
{
	struct contender contenders[MOST_PROCESSES];
	bool survived[MOST_PROCESSES];
	unsigned int killed = 0;
	struct outcome last;
	pid_t maker = 0;

	atomic_store(&arena->round, 0);
	for (unsigned int i = 0; i < processes; i++) {
		contenders[i] = (struct contender){arena, i};
		arena->pids[i] = start_child(contend_for_life, &contenders[i]);
	}
	announce(&arena->round, 1);
	kill_some(arena, processes);
	for (unsigned int i = 0; i < processes; i++) {
		int status = end_of(arena->pids[i]);

		survived[i] = status == 0;
		killed += !survived[i];
		if (!survived[i])
			assert_killed_by(status, SIGKILL);
	}
	judge_survivors(arena, survived, processes, &maker);
	/* The last opener: whatever the dead have left, it gets a whole segment. */
	last = open_and_look(arena);
	assert_true(last.result >= 0 && last.whole);
	if (maker)
		assert_int_equal(last.maker, maker);
	assert_int_equal(ayre_segment_remove(arena->name, NULL), 0);
	return killed;
}

static void race_with_deaths(void **state, unsigned int manner)
{
	struct arena *arena = make_arena(state, manner);
	struct counts before = take_counts();
	int64_t end = end_of_budget();
	unsigned int rounds, killed = 0;

	for (rounds = 0; rounds < 3 || now_ns() < end; rounds++) {
		killed += kill_round(arena, PROCESSES);
		assert_counts(&before);
	}
	print_message("# %s: %u rounds of %u processes, %u killed\n", arena->manner->title, rounds,
	              PROCESSES, killed);
	drop_arena(arena);
}

static void creators_may_die(void **state)
{
	race_with_deaths(state, SLOWLY);
}

static void creators_of_large_segments_may_die(void **state)
{
	race_with_deaths(state, LARGE);
}

static void creators_without_unnamed_files_may_die(void **state)
{
	race_with_deaths(state, RENAMED);
}

static void creators_without_renaming_may_die(void **state)
{
	race_with_deaths(state, LINKED);
}

/*
 * Two users, one who creates and one who may not look into what is not finished:
 *
 *    1 creates, initialises ........................ publishes
 *    2                      denied: asks the table .............. must not be denied
 */
struct two_users {
	char name[NAME_BYTES];
	atomic_uint step; /* 1: initialising, 2: denied, 3: published */
};

static struct two_users *users;

static int initialize_until_denied(void *data, size_t data_bytes, void *context)
{
	int64_t end = now_ns() + 1000000000;

	(void)context;
	memset(data, 'x', data_bytes);
	announce(&users->step, 1);
	/* Not for ever: a library that asks in another order may never be denied. */
	while (atomic_load(&users->step) < 2 && now_ns() < end)
		usleep(1000);
	return 0;
}

static int create_for_all(void *context)
{
	struct ayre_segment *segment;

	(void)context;
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100,
	                                  .mode = 0666, .tag = "t",
	                                  .initialize = initialize_until_denied),
	                          users->name, &segment, NULL) == 1);
	announce(&users->step, 3);
	ayre_segment_close(segment);
	return 0;
}

/* Only one that may not look into the segment reads the table of all. */
static void wait_before_table(const char *symbol)
{
	if (strcmp(symbol, "fopen") != 0 || atomic_load(&users->step) != 1)
		return;
	announce(&users->step, 2);
	await(&users->step, 3);
}

static int open_as_nobody(void *context)
{
	struct ayre_segment *segment;

	(void)context;
	require(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	await(&users->step, 1);
	fault_before_call = wait_before_table;
	require(ayre_segment_open(NULL, users->name, &segment, NULL) == 0);
	require(*(char *)ayre_segment_data(segment) == 'x');
	return 0;
}

static void another_user_is_not_denied_what_is_published(void **state)
{
	pid_t creator, opener;

	if (!is_root())
		skip_because("becoming another user needs root");
	users = share_memory(sizeof(*users));
	name_of(state, users->name);
	creator = start_child(create_for_all, NULL);
	opener = start_child(open_as_nobody, NULL);
	assert_exited(end_of(opener));
	assert_exited(end_of(creator));
	assert_int_equal(ayre_segment_remove(users->name, NULL), 0);
	unshare_memory(users, sizeof(*users));
}

static int die_initializing(void *data, size_t data_bytes, void *context)
{
	(void)data;
	(void)data_bytes;
	(void)context;
	raise(SIGKILL);
	return 0;
}

static int create_and_die(void *context)
{
	struct ayre_segment *segment;

	return ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100,
	                                 .mode = 0666, .tag = "t", .initialize = die_initializing),
	                         context, &segment, NULL);
}

/* What is the dead one's cannot be taken over by another user; nor may it make him wait. */
static int find_anothers_remains(void *context)
{
	struct ayre_segment *segment;
	struct ayre_error error;

	require(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	limit_time(5);
	require(ayre_segment_open(NULL, context, &segment, &error) == -EPERM);
	require(strstr(error.detail, "ipcrm"));
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100), context,
	                          &segment, NULL) == -EPERM);
	return 0;
}

static void a_dead_users_remains_are_named(void **state)
{
	struct counts before = take_counts();
	char name[NAME_BYTES];
	int status;

	if (!is_root())
		skip_because("becoming another user needs root");
	status = run_in_child(create_and_die, (void *)(uintptr_t)name_of(state, name));
	assert_killed_by(status, SIGKILL);
	assert_exited(run_in_child(find_anothers_remains, name));
	/* Its owner, or root, goes on as if nothing had been there. */
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100, .tag = "t"), name,
	                 NULL),
		1);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_counts(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(creators_may_die),
		backing_test(creators_of_large_segments_may_die, SHM),
		file_test(creators_without_unnamed_files_may_die),
		backing_test(creators_without_renaming_may_die, FILE),
		backing_test(another_user_is_not_denied_what_is_published, SYSV),
		backing_test(a_dead_users_remains_are_named, SYSV),
	};

	return run_counted("race with deaths", tests);
}
