/*
 * Starting a pipeline: ayre beside libpipeline, posix_spawn(3) and fork(2), in one process and in
 * turns, from a host of a given size. bench/start_peers.sh builds and runs it.
 *
 * usage: start_peers STAGES ROUNDS [RESIDENT-MEGABYTES]
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pipeline.h>

#include <ayre.h>

#define PROGRAM    "/bin/true"
#define ROUNDS_MAX 2000
#define STAGES_MAX 64

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void run_ayre(int stages)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();

	for (int i = 0; i < stages; i++)
		(void)ayre_pipeline_command(pipeline, PROGRAM, NULL);
	if (ayre_pipeline_run(pipeline, NULL, NULL) != 0)
		fail("ayre");
	ayre_pipeline_free(pipeline);
}

static void run_libpipeline(int stages)
{
	pipeline *line = pipeline_new();

	for (int i = 0; i < stages; i++)
		pipeline_command_args(line, PROGRAM, (char *)NULL);
	if (pipeline_run(line) != 0)
		fail("libpipeline");
}

static pid_t spawn_stage(int input, int output)
{
	static char program[] = PROGRAM;
	char *const arguments[] = {program, NULL};
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	if (input >= 0)
		posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (output >= 0)
		posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (posix_spawn(&pid, PROGRAM, &actions, NULL, arguments, environ) != 0)
		fail("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static pid_t fork_stage(int input, int output)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (input >= 0)
		dup2(input, STDIN_FILENO);
	if (output >= 0)
		dup2(output, STDOUT_FILENO);
	execl(PROGRAM, PROGRAM, (char *)NULL);
	_exit(127);
}

static void run_by_hand(int stages, pid_t (*start)(int input, int output))
{
	pid_t pids[STAGES_MAX];
	int input = -1;

	for (int i = 0; i < stages; i++) {
		int ends[2] = {-1, -1};

		if (i + 1 < stages && pipe2(ends, O_CLOEXEC) == -1)
			fail("pipe2");
		pids[i] = start(input, ends[1]);
		if (pids[i] < 0)
			fail("start");
		if (input >= 0)
			close(input);
		if (ends[1] >= 0)
			close(ends[1]);
		input = ends[0];
	}
	for (int i = 0; i < stages; i++)
		waitpid(pids[i], NULL, 0);
}

static void run_spawn(int stages)
{
	run_by_hand(stages, spawn_stage);
}

static void run_fork(int stages)
{
	run_by_hand(stages, fork_stage);
}

static const struct {
	const char *name;
	void (*run)(int stages);
} ways[] = {
	{"ayre", run_ayre},
	{"posix_spawn, by hand", run_spawn},
	{"fork and exec, by hand", run_fork},
	{"libpipeline", run_libpipeline},
};

#define WAYS (sizeof(ways) / sizeof(*ways))

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_spread(double *values, int count, const char *format)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	printf(format, values[count / 2], values[count / 4], values[3 * count / 4]);
}

int main(int argument_count, char **arguments)
{
	static double times[WAYS][ROUNDS_MAX], ratios[ROUNDS_MAX];
	int stages = argument_count > 2 ? atoi(arguments[1]) : 4;
	int rounds = argument_count > 2 ? atoi(arguments[2]) : 100;
	size_t resident = argument_count > 3 ? (size_t)atol(arguments[3]) << 20 : 0;

	if (stages < 1 || stages > STAGES_MAX || rounds < 1 || rounds > ROUNDS_MAX)
		return EXIT_FAILURE;
	if (resident) {
		char *memory = mmap(NULL, resident, PROT_READ | PROT_WRITE,
		                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			fail("mmap");
		/* Small pages: each costs a fork an entry of a table. */
		madvise(memory, resident, MADV_NOHUGEPAGE);
		memset(memory, 'x', resident);
	}
	for (int round = -1; round < rounds; round++)
		for (size_t way = 0; way < WAYS; way++) {
			double begin = now_us();

			ways[way].run(stages);
			if (round >= 0)
				times[way][round] = now_us() - begin;
		}
	printf("%d stages of %s, host with %zu MiB resident, %d rounds; us: median [quartiles]\n",
	       stages, PROGRAM, resident >> 20, rounds);
	/* Ours is sorted last: the ratios are of the same round. */
	for (size_t way = WAYS; way-- > 0;) {
		for (int i = 0; i < rounds; i++)
			ratios[i] = times[0][i] / times[way][i];
		printf("  %-24s", ways[way].name);
		print_spread(times[way], rounds, "%9.0f [%.0f - %.0f]");
		if (way > 0)
			print_spread(ratios, rounds, "  ayre takes %.3f of it [%.3f - %.3f]");
		printf("\n");
	}
	return EXIT_SUCCESS;
}
