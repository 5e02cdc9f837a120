/*
 * The creator killed between its system calls: in the window that decides, from the step that
 * makes the segment to the one that shows it, after any number of instructions.
 */
#include "memory/victim.h"

#include <sys/ipc.h>
#include <sys/syscall.h>

/* In the short form, so many kills between two system calls; in the long form, all. */
#define SHORT_KILLS 20

/* From one system call that matters to another: [first, last) of the edges. */
struct window {
	unsigned int first, last;
};

static bool begins_window(const struct edge *edge)
{
	if (edge->number == SYS_shmget)
		return edge->arguments[2] & IPC_CREAT;
	return edge->number == SYS_linkat || edge->number == SYS_renameat2;
}

static bool ends_window(const struct edge *edge)
{
	if (edge->number == SYS_shmctl)
		return (edge->arguments[1] & 0xff) == IPC_SET;
	return edge->number == SYS_linkat || edge->number == SYS_renameat2;
}

/*
 * System V: from before the creating shmget until after the publishing shmctl. Files: from the
 * system call before the link (or rename) until the one after it.
 */
static struct window find_window(struct attempt *attempt)
{
	struct edge edge = {0};
	pid_t child = start_victim(attempt, &edge);
	struct window window = {0};
	unsigned int i = 0;

	while (!is_through(&edge)) {
		/* The exit before, and the exit after. */
		if (edge.entry && begins_window(&edge) && window.first == 0)
			window.first = i - 1;
		if (edge.entry && ends_window(&edge))
			window.last = i + 2;
		assert_true(go_on(child, PTRACE_SYSCALL));
		read_edge(child, &edge);
		i++;
	}
	kill_traced(child);
	assert_true(window.first > 0 && window.last > window.first);
	return window;
}

/* A child that stands at this edge, which is an exit. */
static pid_t start_at_edge(struct attempt *attempt, unsigned int index, struct edge *edge)
{
	pid_t child = start_victim(attempt, edge);

	for (unsigned int i = 0; i < index; i++) {
		assert_true(go_on(child, PTRACE_SYSCALL));
		read_edge(child, edge);
	}
	assert_true(edge->exit);
	return child;
}

/* Instructions from an exit to the next entry, that of the call included. */
static unsigned int count_instructions(struct attempt *attempt, unsigned int index)
{
	struct edge edge = {0};
	pid_t child = start_at_edge(attempt, index, &edge);
	uint64_t end;
	unsigned int count = 0;

	assert_true(go_on(child, PTRACE_SYSCALL));
	read_edge(child, &edge);
	end = edge.instruction;
	kill_traced(child);
	/* Each child finds things as the first one did. */
	clear_after(attempt);
	child = start_at_edge(attempt, index, &edge);
	do {
		assert_true(go_on(child, PTRACE_SINGLESTEP));
		read_edge(child, &edge);
		count++;
	} while (edge.instruction != end);
	kill_traced(child);
	clear_after(attempt);
	return count;
}

static void kill_at_instruction(struct attempt *attempt, unsigned int index, unsigned int count)
{
	struct edge edge = {0};
	pid_t child = start_at_edge(attempt, index, &edge);

	for (unsigned int i = 0; i < count; i++)
		assert_true(go_on(child, PTRACE_SINGLESTEP));
	snprintf(where, sizeof(where), "%s: %u instructions after the exit of system call %d",
	         attempt->manner->title, count, (int)edge.number);
	kill_traced(child);
}

static void kill_at_instructions(void **state, unsigned int manner)
{
	struct counts before = take_counts();
	unsigned int total = 0, tried = 0;
	struct attempt attempt;
	struct window window;

	prepare(state, &attempt, manner);
	if (!is_traceable(&attempt))
		skip_because("this machine does not let a process trace its child");
	window = find_window(&attempt);
	clear_after(&attempt);
	/* Entries and exits alternate. */
	for (unsigned int index = window.first; index < window.last; index += 2) {
		unsigned int count = count_instructions(&attempt, index);
		unsigned int stride = long_form() ? 1 : count / SHORT_KILLS + 1;

		for (unsigned int i = total % stride; i < count; i += stride, tried++) {
			kill_at_instruction(&attempt, index, i);
			assert_next_has_it(&attempt, &before, tried % 2);
		}
		total += count;
	}
	print_message("# %s: %u kills in a window of %u instructions\n", attempt.manner->title,
	              tried, total);
	where[0] = '\0';
}

static void dying_at_any_instruction_leaves_nothing(void **state)
{
	kill_at_instructions(state, SMALL);
}

static void dying_at_any_instruction_of_a_large_one_leaves_nothing(void **state)
{
	kill_at_instructions(state, LARGE);
}

static void dying_at_any_instruction_near_a_rename_leaves_nothing(void **state)
{
	kill_at_instructions(state, RENAMED);
}

static void dying_at_any_instruction_near_a_link_leaves_nothing(void **state)
{
	kill_at_instructions(state, LINKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		kill_test(dying_at_any_instruction_leaves_nothing, SYSV),
		kill_test(dying_at_any_instruction_leaves_nothing, SHM),
		kill_test(dying_at_any_instruction_leaves_nothing, FILE),
		kill_test(dying_at_any_instruction_of_a_large_one_leaves_nothing, SHM),
		kill_test(dying_at_any_instruction_near_a_rename_leaves_nothing, FILE),
		kill_test(dying_at_any_instruction_near_a_link_leaves_nothing, FILE),
	};
	int result = run_counted("kill by instruction", tests);

	print_message("# kills tried: %u\n", kills);
	return result;
}
