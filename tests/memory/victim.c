/*
 * A creator to be killed.
 */
#include "memory/victim.h"

#include <signal.h>
#include <sys/syscall.h>

#include "support/fault.h"

#define DATA_BYTES 64
#define NOBODY     65534

unsigned int kills;
char where[128];

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
	struct ayre_segment_info info = {.size = sizeof(info)};
	struct ayre_segment *segment;
	int64_t begin = now_ns();

	require(open_it(attempt, &segment) >= 0);
	require(now_ns() - begin < 1000000000);
	require(ayre_segment_size(segment) == attempt->manner->size_bytes);
	require(strcmp(ayre_segment_tag(segment), "killed") == 0);
	require(ayre_segment_get_info(segment, &info) == 0);
	require(info.mode == (attempt->manner->mode ? attempt->manner->mode : 0644));
	require(is_full_of(ayre_segment_data(segment),
	                   attempt->manner->uninitialized ? '\0' : 'p'));
	return segment;
}

/* In a process, which can be a user without privileges. */
static int take_over(void *context)
{
	const struct attempt *attempt = context;

	become_unprivileged(attempt->manner);
	limit_time(5);
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
	limit_time(5);
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

/* To the end of the first getppid. */
pid_t start_victim(struct attempt *attempt, struct edge *edge)
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

bool is_through(const struct edge *edge)
{
	return edge->entry && edge->number == SYS_getppid;
}

void assert_next_has_it(struct attempt *attempt, const struct counts *before, bool twice)
{
	assert_exited(run_in_child(twice ? take_over_twice : take_over, attempt));
	assert_counts(before);
	kills++;
}

void clear_after(struct attempt *attempt)
{
	assert_exited(run_in_child(take_over, attempt));
}

bool is_traceable(struct attempt *attempt)
{
	struct edge edge = {0};
	pid_t child = start_victim(attempt, &edge);

	if (child == 0)
		return false;
	kill_traced(child);
	return true;
}

void prepare(void **state, struct attempt *attempt, unsigned int manner)
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

int report_where(void **state)
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
