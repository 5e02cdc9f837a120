/*
 * The descriptors of a child: any to any, and no other.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <sys/resource.h>

#define MOST 5

static char report[REPORT_BYTES];

/* Files of their own on 0 to MOST - 1. */
static void occupy(unsigned long inodes[MOST])
{
	for (int i = 0; i < MOST; i++) {
		int fd = make_file_of_its_own();

		if (fd != i) {
			require(dup3(fd, i, O_CLOEXEC) == i);
			close(fd);
		}
		inodes[i] = inode_of(i);
	}
}

/* child_fd i gets what the host has on from[i]. */
static void check_map(const int *from, size_t count, const unsigned long inodes[MOST])
{
	struct ayre_wire wires[MOST];

	for (size_t i = 0; i < count; i++)
		wires[i] = (struct ayre_wire){(int)i, from[i]};
	probe(PROCESS_OPTIONS(.wires = wires, .wire_count = count), report);
	for (size_t i = 0; i < count; i++)
		require(says(report, "fd %zu %lu", i, inodes[from[i]]));
	require(count_lines(report, "fd ") == count);
	for (int i = 0; i < MOST; i++)
		require(inode_of(i) == inodes[i] && fcntl(i, F_GETFD) == FD_CLOEXEC);
}

static bool has_all(const int *from)
{
	unsigned int seen = 0;

	for (int i = 0; i < MOST; i++)
		seen |= 1u << from[i];
	return seen == (1u << MOST) - 1;
}

/* Every map of 0..4 to 0..4 in the long form; else the permutations, and every map of 0..2. */
static int cross_all(void *context)
{
	unsigned long inodes[MOST];
	unsigned int tried = 0;

	(void)context;
	occupy(inodes);
	for (int number = 0; number < MOST * MOST * MOST * MOST * MOST; number++) {
		int from[MOST], rest = number;

		for (int i = 0; i < MOST; i++, rest /= MOST)
			from[i] = rest % MOST;
		if (!long_form() && !has_all(from))
			continue;
		check_map(from, MOST, inodes);
		tried++;
	}
	require(tried >= 120);
	for (int number = 0; number < MOST * MOST * MOST; number++)
		check_map((int[]){number % MOST, number / MOST % MOST, number / MOST / MOST}, 3,
		          inodes);
	return 0;
}

static void descriptors_cross_in_every_way(void **state)
{
	(void)state;
	assert_exited(run_in_child(cross_all, NULL));
}

CHILD_TEST(holes_and_high_numbers_are_as_asked)
{
	int a = make_file_of_its_own(), b = make_file_of_its_own();
	const struct ayre_wire wires[] = {{700, a}, {9, b}, {b, a}, {a, b}, {4000 - 1, a}};
	const struct rlimit room = {4096, 4096};
	const struct ayre_wire beyond = {4096, a}, top = {INT32_MAX, a};

	require(setrlimit(RLIMIT_NOFILE, &room) == 0);
	probe(PROCESS_OPTIONS(.wires = wires, .wire_count = 5), report);
	require(says(report, "fd 700 %lu", inode_of(a)) && says(report, "fd 9 %lu", inode_of(b)));
	require(says(report, "fd %d %lu", b, inode_of(a)) &&
	        says(report, "fd %d %lu", a, inode_of(b)));
	require(says(report, "fd 3999 %lu", inode_of(a)));
	require(count_lines(report, "fd ") == 8);
	fails(PROCESS_OPTIONS(.wires = &beyond, .wire_count = 1), ARGUMENTS("true"), "wire",
	      -EBADF);
	require(strstr(failure_text, "limit"));
	fails(PROCESS_OPTIONS(.wires = &top, .wire_count = 1), ARGUMENTS("true"), "wire", -EBADF);
	close(a);
	close(b);
	return 0;
}

CHILD_TEST(a_descriptor_that_is_not_open_is_refused)
{
	const struct ayre_wire wire = {0, 777};

	fails(PROCESS_OPTIONS(.wires = &wire, .wire_count = 1), ARGUMENTS("true"), "wire", -EBADF);
	require(strstr(failure_text, "777"));
	return 0;
}

CHILD_TEST(none_is_a_descriptor_that_fails)
{
	const struct ayre_wire wires[] = {{0, -1}, {1, -1}, {7, -1}};

	probe(PROCESS_OPTIONS(.wires = wires, .wire_count = 3), report);
	require(says(report, "nothing 0") && says(report, "nothing 1") &&
	        says(report, "nothing 7"));
	require(count_lines(report, "nothing") == 3);
	require(run(PROCESS_OPTIONS(.wires = wires, .wire_count = 3), ARGUMENTS("cat")).status ==
	        1);
	return 0;
}

/* The bits of context: which of 0, 1 and 2 the host has closed. */
static int start_with_closed(void *context)
{
	unsigned int closed = *(unsigned int *)context;
	int file = fcntl(make_file_of_its_own(), F_DUPFD_CLOEXEC, 10);
	const struct ayre_wire wire = {5, file};
	unsigned long inodes[3] = {0};

	for (int fd = 0; fd < 3; fd++) {
		if (closed & 1u << fd)
			close(fd);
		else
			inodes[fd] = inode_of(fd);
	}
	probe(PROCESS_OPTIONS(.wires = &wire, .wire_count = 1, .directory = "/"), report);
	require(says(report, "fd 5 %lu", inode_of(file)));
	require(count_lines(report, "fd ") == 4);
	for (int fd = 0; fd < 3; fd++) {
		/* Closed it stays, in the host. */
		require((fcntl(fd, F_GETFD) == -1) == ((closed & 1u << fd) != 0));
		if (closed & 1u << fd)
			require(says(report, "nothing %d", fd));
		else
			require(says(report, "fd %d %lu", fd, inodes[fd]));
	}
	return 0;
}

static void a_host_may_have_closed_its_standard_descriptors(void **state)
{
	(void)state;
	for (unsigned int closed = 0; closed < 8; closed++)
		assert_exited(run_in_child(start_with_closed, &closed));
}

/* ayre's own descriptors are none of the host's 0, 1 and 2. */
static int hold_a_process_with_closed(void *context)
{
	struct ayre_process *process;

	(void)context;
	close(0);
	close(2);
	process = begin(NULL, ARGUMENTS("true"));
	require(ayre_process_fd(process) > 2);
	require(fcntl(ayre_process_fd(process), F_GETFD) == FD_CLOEXEC);
	ayre_process_close(process);
	return 0;
}

static void the_pidfd_is_no_standard_descriptor(void **state)
{
	(void)state;
	assert_exited(run_in_child(hold_a_process_with_closed, NULL));
}

static int start_with_many_open(void *context)
{
	const struct rlimit room = {4096, 4096};

	(void)context;
	require(setrlimit(RLIMIT_NOFILE, &room) == 0);
	for (int fd = 10; fd < 1010; fd++)
		require(dup2(1, fd) == fd);
	probe(PROCESS_OPTIONS(.wires = &(struct ayre_wire){500, 501}, .wire_count = 1), report);
	require(count_lines(report, "fd ") == 4);
	require(says(report, "fd 500 %lu", inode_of(501)));
	for (int fd = 10; fd < 1010; fd++)
		require(fcntl(fd, F_GETFD) == 0);
	return 0;
}

static void nothing_leaks_that_the_host_forgot_to_mark(void **state)
{
	(void)state;
	assert_exited(run_in_child(start_with_many_open, NULL));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(descriptors_cross_in_every_way),
		counted_test(holes_and_high_numbers_are_as_asked),
		counted_test(a_descriptor_that_is_not_open_is_refused),
		counted_test(none_is_a_descriptor_that_fails),
		counted_test(a_host_may_have_closed_its_standard_descriptors),
		counted_test(the_pidfd_is_no_standard_descriptor),
		counted_test(nothing_leaks_that_the_host_forgot_to_mark),
	};

	become_probe(argc, argv);
	return run_counted("process_wire", tests);
}
