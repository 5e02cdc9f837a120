/*
 * A checkpoint that is written anew while it is read: after every instruction of the reader, who is a
 * traced child. What it finds is the one that was, the one that is, or none, and never some of each.
 */
#include "support/trace.h"

#include <signal.h>

#include "topic/lane.h"

#define RING_BYTES UINT64_C(4096)
#define LIMIT      (3 * RING_BYTES)

static const struct ayrei_checkpoint before = {
	.position = LIMIT - 800, .sequence = 11, .time_ns = 111};
static const struct ayrei_checkpoint after = {
	.position = LIMIT - 400, .sequence = 22, .time_ns = 222};

static struct shared {
	struct ayrei_lane_layout layout;
	struct ayrei_checkpoint found;
	int result;
} * shared;

static int read_again_and_again(void *context)
{
	struct ayrei_reader reader = {.layout = &shared->layout, .mask = RING_BYTES - 1};

	(void)context;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		return CHILD_SKIPS;
	for (;;) {
		raise(SIGSTOP);
		shared->result = ayrei_reader_checkpoint(&reader, 0, &shared->found);
	}
}

static bool is_found(const struct ayrei_checkpoint *checkpoint)
{
	return shared->found.position == checkpoint->position &&
	       shared->found.sequence == checkpoint->sequence &&
	       shared->found.time_ns == checkpoint->time_ns;
}

/* Lets it read once, and writes the slot after so many instructions. Was what it found the old one? */
static bool finds_old(pid_t child, unsigned int instructions)
{
	shared->layout.checkpoints[0] = before;
	shared->result = 1;
	for (unsigned int i = 0; i < instructions; i++)
		assert_true(go_on(child, PTRACE_SINGLESTEP));
	shared->layout.checkpoints[0] = after;
	assert_true(go_on(child, PTRACE_CONT));
	if (shared->result < 0) {
		assert_int_equal(shared->result, -ENOENT);
		return false;
	}
	assert_int_equal(shared->result, 0);
	assert_true(is_found(&before) || is_found(&after));
	return is_found(&before);
}

/* Behind the slot there is nothing to be read but empty ones. */
#define BEHIND 50u

static void what_is_read_of_a_slot_is_of_one_time(void **state)
{
	unsigned int instructions = 0, old = 0;
	pid_t child;
	int status;

	(void)state;
	shared = share_memory(sizeof(*shared));
	shared->layout.limit = LIMIT;
	stay_on_this_processor();
	child = start_child(read_again_and_again, NULL);
	status = end_of(child);
	if (WIFSTOPPED(status)) {
		assert_false(finds_old(child, instructions++));
		while (old < BEHIND)
			old = finds_old(child, instructions++) ? old + 1 : 0;
		kill_traced(child);
	}
	unshare_memory(shared, sizeof(*shared));
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this machine does not let a process trace its child");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_is_read_of_a_slot_is_of_one_time),
	};

	return run_counted("checkpoints", tests);
}
