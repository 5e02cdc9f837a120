/*
 * The creator killed at every system call. A child that creates a segment is traced, stopped at
 * the n-th edge (entry or exit) of a system call and killed there, for every n until it gets
 * through. Whoever comes next must have the segment whole within a second, and when that is
 * removed nothing may be left.
 */
#include "memory/victim.h"

/* Kills at the n-th edge. false: there are fewer. */
static bool kill_at_edge(struct attempt *attempt, unsigned int nth)
{
	struct edge edge = {0};
	pid_t child = start_victim(attempt, &edge);
	bool reached = true;

	for (unsigned int i = 0; i < nth && reached; i++) {
		assert_true(go_on(child, PTRACE_SYSCALL));
		read_edge(child, &edge);
		reached = !is_through(&edge);
	}
	snprintf(where, sizeof(where), "%s: edge %u, %s of system call %d", attempt->manner->title,
	         nth, edge.entry ? "entry" : "exit", (int)edge.number);
	kill_traced(child);
	return reached;
}

static void kill_at_every_edge(void **state, unsigned int manner)
{
	struct attempt attempt;
	struct counts before = take_counts();
	unsigned int nth, total = 0;
	bool reached;

	prepare(state, &attempt, manner);
	if (!is_traceable(&attempt))
		skip_because("this machine does not let a process trace its child");
	for (int twice = 0; twice < 2; twice++) {
		for (nth = 0, reached = true; reached; nth++) {
			reached = kill_at_edge(&attempt, nth);
			assert_next_has_it(&attempt, &before, twice);
		}
		total += nth;
	}
	/* Creating takes some system calls on every backing. */
	assert_true(nth > 8);
	print_message("# %s: %u kills\n", attempt.manner->title, total);
	where[0] = '\0';
}

static void dying_at_any_call_leaves_nothing(void **state)
{
	kill_at_every_edge(state, SMALL);
}

static void dying_at_any_call_of_a_large_one_leaves_nothing(void **state)
{
	kill_at_every_edge(state, LARGE);
}

static void dying_at_any_call_before_renaming_leaves_nothing(void **state)
{
	kill_at_every_edge(state, RENAMED);
}

static void dying_at_any_call_before_unlinking_leaves_nothing(void **state)
{
	kill_at_every_edge(state, LINKED);
}

static void dying_without_initialiser_leaves_nothing(void **state)
{
	kill_at_every_edge(state, ZEROS);
}

static void dying_without_initialiser_before_renaming_leaves_nothing(void **state)
{
	kill_at_every_edge(state, ZEROS_RENAMED);
}

static void dying_without_initialiser_before_unlinking_leaves_nothing(void **state)
{
	kill_at_every_edge(state, ZEROS_LINKED);
}

static void dying_with_a_mode_that_denies_leaves_nothing(void **state)
{
	kill_at_every_edge(state, DENYING_UNNAMED);
}

static void dying_with_a_mode_that_denies_before_renaming_leaves_nothing(void **state)
{
	kill_at_every_edge(state, DENYING);
}

static void dying_with_a_mode_that_denies_before_unlinking_leaves_nothing(void **state)
{
	kill_at_every_edge(state, DENYING_LINKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kill_test(dying_at_any_call_leaves_nothing, SYSV),
		kill_test(dying_at_any_call_leaves_nothing, SHM),
		kill_test(dying_at_any_call_leaves_nothing, FILE),
		kill_test(dying_at_any_call_of_a_large_one_leaves_nothing, SYSV),
		kill_test(dying_at_any_call_of_a_large_one_leaves_nothing, SHM),
		kill_test(dying_at_any_call_of_a_large_one_leaves_nothing, FILE),
		kill_test(dying_at_any_call_before_renaming_leaves_nothing, SHM),
		kill_test(dying_at_any_call_before_renaming_leaves_nothing, FILE),
		kill_test(dying_at_any_call_before_unlinking_leaves_nothing, FILE),
		kill_test(dying_without_initialiser_leaves_nothing, SYSV),
		kill_test(dying_without_initialiser_leaves_nothing, SHM),
		kill_test(dying_without_initialiser_before_renaming_leaves_nothing, FILE),
		kill_test(dying_without_initialiser_before_unlinking_leaves_nothing, FILE),
		kill_test(dying_with_a_mode_that_denies_leaves_nothing, SYSV),
		kill_test(dying_with_a_mode_that_denies_leaves_nothing, SHM),
		kill_test(dying_with_a_mode_that_denies_before_renaming_leaves_nothing, FILE),
		kill_test(dying_with_a_mode_that_denies_before_unlinking_leaves_nothing, FILE),
	};
	int result = run_counted("kill", tests);

	print_message("# kills tried: %u\n", kills);
	return result;
}
