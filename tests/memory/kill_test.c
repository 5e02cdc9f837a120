/*
 * The creator killed at every step. A child that creates a segment is traced (ptrace), stopped
 * at the n-th edge of a system call, or after the n-th instruction, and killed there, for every n
 * until it gets through. Whoever comes next must have the segment whole within a second, and
 * when that is removed nothing may be left.
 */
#include "memory/trace.h"

#include <signal.h>
#include <sys/ipc.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "support/fault.h"

#define DATA_BYTES 64
#define NOBODY     65534
/* In the short form, so many kills between two system calls; in the long form, at each instruction. */
#define SHORT_KILLS 20

/* How the segment is made. */
struct manner {
	const char *title;
	uint64_t size_bytes;
	uint32_t mode;
	bool no_unnamed_files;
	bool no_rename_new;
	bool unprivileged;  /* as a user whom modes can keep out */
	bool uninitialized; /* no callback, so that there is less to do and to lock */
};

static const struct manner manners[] = {
	{"small", DATA_BYTES, 0, false, false, false, false},
	{"large", 2 << 20, 0, false, false, false, false},
	{"renamed", DATA_BYTES, 0, true, false, false, false},
	{"linked and unlinked", DATA_BYTES, 0, true, true, false, false},
	{"read-only for all", DATA_BYTES, 0444, true, false, true, false},
	{"read-only for all, linked", DATA_BYTES, 0444, true, true, true, false},
	{"read-only for all, unnamed", DATA_BYTES, 0444, false, false, true, false},
	{"zeros", DATA_BYTES, 0, false, false, false, true},
	{"zeros, renamed", DATA_BYTES, 0, true, false, false, true},
	{"zeros, linked", DATA_BYTES, 0, true, true, false, true},
};
enum {
	SMALL,
	LARGE,
	RENAMED,
	LINKED,
	DENYING,
	DENYING_LINKED,
	DENYING_UNNAMED,
	ZEROS,
	ZEROS_RENAMED,
	ZEROS_LINKED
};

struct attempt {
	const struct manner *manner;
	char name[NAME_BYTES];
};

static int write_pattern(void *data, size_t data_bytes, void *context)
{
	(void)context;
	if (!is_zero(data, DATA_BYTES) || data_bytes < DATA_BYTES)
		return -EILSEQ;
	memset(data, 'p', DATA_BYTES);
	return 0;
}

static bool is_full_of(const void *data, char letter)
{
	char whole[DATA_BYTES];

	memset(whole, letter, sizeof(whole));
	return memcmp(data, whole, sizeof(whole)) == 0;
}

static int open_it(const struct attempt *attempt, struct ayre_segment **ret_segment)
{
	const struct manner *manner = attempt->manner;

	return ayre_segment_open(
		OPTIONS(.flags = AYRE_SEGMENT_CREATE | (manner->mode ? AYRE_SEGMENT_READ_ONLY : 0),
	                .size_bytes = manner->size_bytes, .mode = manner->mode, .tag = "killed",
	                .initialize = manner->uninitialized ? NULL : write_pattern),
		attempt->name, ret_segment, NULL);
}

static void become_unprivileged(const struct manner *manner)
{
	if (manner->unprivileged && is_root())
		require(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* The traced child. getppid(2) is what marks the beginning and the end for its tracer. */
static int create_traced(void *context)
{
	const struct attempt *attempt = context;
	struct ayre_segment *segment;

	become_unprivileged(attempt->manner);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		return CHILD_SKIPS;
	raise(SIGSTOP);
	syscall(SYS_getppid);
	require(open_it(attempt, &segment) == 1);
	syscall(SYS_getppid);
	return 0;
}

/* One that comes after the death: gets the segment at once and whole. */
static struct ayre_segment *come_next(const struct attempt *attempt)
{
	struct ayre_segment *segment;
	int64_t begin = now_ns();

	require(open_it(attempt, &segment) >= 0);
	require(now_ns() - begin < 1000000000);
	require(ayre_segment_size(segment) == attempt->manner->size_bytes);
	require(strcmp(ayre_segment_tag(segment), "killed") == 0);
	require(is_full_of(ayre_segment_data(segment),
	                   attempt->manner->uninitialized ? '\0' : 'p'));
	return segment;
}

/* In a process, which can be a user without privileges. */
static int take_over(void *context)
{
	const struct attempt *attempt = context;

	become_unprivileged(attempt->manner);
	alarm(5);
	ayre_segment_close(come_next(attempt));
	return -ayre_segment_remove(attempt->name, NULL);
}

/*
 * Another one comes when the name is gone, and makes it anew: what the dead one has left must
 * not be a part of it that others still use.
 */
static int take_over_twice(void *context)
{
	const struct attempt *attempt = context;
	struct ayre_segment *first, *second;
	char letter = attempt->manner->mode ? 'p' : 'f';

	become_unprivileged(attempt->manner);
	alarm(5);
	first = come_next(attempt);
	if (!attempt->manner->mode)
		memset(ayre_segment_data(first), letter, DATA_BYTES);
	require(ayre_segment_remove(attempt->name, NULL) == 0);
	second = come_next(attempt);
	require(ayre_segment_check(first) == 0);
	require(is_full_of(ayre_segment_data(first), letter));
	ayre_segment_close(first);
	ayre_segment_close(second);
	return -ayre_segment_remove(attempt->name, NULL);
}

/* To the end of the first getppid. 0: this machine does not let us trace. */
static pid_t start_traced(struct attempt *attempt, struct edge *edge)
{
	pid_t child = start_child(create_traced, attempt);
	int status = end_of(child);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		return 0;
	assert_true(WIFSTOPPED(status));
	assert_int_equal(
		ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
		0);
	do {
		assert_true(go_on(child, PTRACE_SYSCALL));
		read_edge(child, edge);
	} while (edge->entry || edge->number != SYS_getppid);
	return child;
}

/* Is this the getppid after the segment was opened? */
static bool is_through(const struct edge *edge)
{
	return edge->entry && edge->number == SYS_getppid;
}

static unsigned int kills;
/* Of the last one, until the test has passed. */
static char where[128];

/* Whoever comes after the kill that was just made, in one of two ways. */
static void assert_next_has_it(struct attempt *attempt, const struct counts *before, bool twice)
{
	assert_exited(run_in_child(twice ? take_over_twice : take_over, attempt));
	assert_counts(before);
	kills++;
}

static bool is_traceable(struct attempt *attempt)
{
	struct edge edge = {0};
	pid_t child = start_traced(attempt, &edge);

	if (child == 0)
		return false;
	kill_traced(child);
	return true;
}

static void prepare(void **state, struct attempt *attempt, unsigned int manner)
{
	struct ayre_segment *segment;

	attempt->manner = &manners[manner];
	name_of(state, attempt->name);
	fault_no_unnamed_files = attempt->manner->no_unnamed_files;
	fault_no_rename_new = attempt->manner->no_rename_new;
	stay_on_this_processor();
	/* So that the dynamic linker has found every function before children are traced. */
	assert_int_equal(open_it(attempt, &segment), 1);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(attempt->name, NULL), 0);
}

/* Kills at the n-th edge. false: there are fewer. */
static bool kill_at_edge(struct attempt *attempt, unsigned int nth)
{
	struct edge edge = {0};
	pid_t child = start_traced(attempt, &edge);
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
	pid_t child = start_traced(attempt, &edge);
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
	pid_t child = start_traced(attempt, edge);

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
	assert_exited(run_in_child(take_over, attempt));
	child = start_at_edge(attempt, index, &edge);
	do {
		assert_true(go_on(child, PTRACE_SINGLESTEP));
		read_edge(child, &edge);
		count++;
	} while (edge.instruction != end);
	kill_traced(child);
	assert_exited(run_in_child(take_over, attempt));
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
	assert_exited(run_in_child(take_over, &attempt));
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

static int report_where(void **state)
{
	int result;

	fault_no_unnamed_files = false;
	fault_no_rename_new = false;
	result = count_teardown(state);
	if (where[0])
		print_error("the last kill: %s\n", where);
	where[0] = '\0';
	return result;
}

#define kill_test(function, kind) \
	{ \
#function ", " #kind, function, count_setup, report_where, \
			(void *)(uintptr_t)&backings[AYRE_BACKING_##kind - 1] \
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
		kill_test(dying_at_any_instruction_leaves_nothing, SYSV),
		kill_test(dying_at_any_instruction_leaves_nothing, SHM),
		kill_test(dying_at_any_instruction_leaves_nothing, FILE),
		kill_test(dying_at_any_instruction_of_a_large_one_leaves_nothing, SHM),
		kill_test(dying_at_any_instruction_near_a_rename_leaves_nothing, FILE),
		kill_test(dying_at_any_instruction_near_a_link_leaves_nothing, FILE),
	};
	int result = run_counted("kill", tests);

	print_message("# kills tried: %u\n", kills);
	return result;
}
