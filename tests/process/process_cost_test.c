/*
 * What a start costs does not depend on the host's size, nor on how many descriptors it may have.
 *
 * The bounds are wide: a machine with other work to do must not fail them. That the measure can
 * tell is shown beside it: fork(2) is beyond them.
 */
#include "process/probe.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define STARTS    41
#define BIG_BYTES ((size_t)1 << 30)

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static int64_t median_of(void (*start)(void))
{
	int64_t times[STARTS];

	for (int i = 0; i < STARTS; i++) {
		int64_t before = now_ns();

		start();
		times[i] = now_ns() - before;
	}
	qsort(times, STARTS, sizeof(*times), compare);
	return times[STARTS / 2];
}

static void start_one(void)
{
	require(run(NULL, ARGUMENTS("/bin/true")).status == 0);
}

static void fork_one(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	require(waitpid(pid, NULL, 0) == pid);
}

CHILD_TEST(a_start_costs_the_same_from_a_large_host)
{
	int64_t small = median_of(start_one), small_fork = median_of(fork_one), large, large_fork;
	char *memory =
		mmap(NULL, BIG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require(memory != MAP_FAILED);
	/* In pages of the smallest kind: what a host with a heap that has grown has. */
	madvise(memory, BIG_BYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < BIG_BYTES; i += 4096)
		memory[i] = 1;
	large = median_of(start_one);
	large_fork = median_of(fork_one);
	munmap(memory, BIG_BYTES);
	dprintf(STDERR_FILENO, "# start %ld, with 1 GiB %ld; fork %ld, with 1 GiB %ld ns\n", small,
	        large, small_fork, large_fork);
	require(large < 3 * small);
	require(large_fork > 3 * small_fork);
	return 0;
}

CHILD_TEST(a_start_costs_the_same_under_a_high_limit)
{
	struct rlimit limit;
	int64_t few, many;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 256;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	few = median_of(start_one);
	/* Who may not raise it has to be content with what there is. */
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){1u << 20, 1u << 20}) == -1) {
		limit.rlim_cur = limit.rlim_max;
		require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	}
	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_cur < 10000)
		return CHILD_SKIPS;
	many = median_of(start_one);
	dprintf(STDERR_FILENO, "# start %ld, with a limit of %lu descriptors %ld ns\n", few,
	        limit.rlim_cur, many);
	require(many < 3 * few);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_start_costs_the_same_from_a_large_host),
		counted_test(a_start_costs_the_same_under_a_high_limit),
	};

	become_probe(argc, argv);
	return run_counted("process_cost", tests);
}
