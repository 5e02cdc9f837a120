/*
 * Starting programs that do nothing: what is left is the start, the pipes and the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/bench_pipe.h"
#include "command/command.h"

#define STAGES_MAX 8

/* By its path, so that nobody is measured looking for it. */
#define PROGRAM "/bin/true"

static int end_all(const pid_t *pids, size_t count)
{
	int result = 0, status;

	for (size_t i = 0; i < count; i++)
		if (waitpid(pids[i], &status, 0) == -1 || status != 0)
			result = -ECHILD;
	return result;
}

/* --- by hand --- */

static int spawn_stage(pid_t *ret_pid, int input, int output)
{
	static char *const arguments[] = {(char *)(uintptr_t) "true", NULL};
	posix_spawn_file_actions_t actions;
	int code;

	posix_spawn_file_actions_init(&actions);
	if (input >= 0)
		posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (output >= 0)
		posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	code = posix_spawn(ret_pid, PROGRAM, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -code;
}

static int fork_stage(pid_t *ret_pid, int input, int output)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (input >= 0)
			dup2(input, STDIN_FILENO);
		if (output >= 0)
			dup2(output, STDOUT_FILENO);
		execl(PROGRAM, PROGRAM, (char *)NULL);
		_exit(127);
	}
	*ret_pid = pid;
	return pid < 0 ? -errno : 0;
}

static int start_by_hand(size_t count, int (*start)(pid_t *ret_pid, int input, int output))
{
	pid_t pids[STAGES_MAX];
	int input = -1, result = 0;
	size_t started = 0;

	while (result == 0 && started < count) {
		int ends[2] = {-1, -1};

		if (started + 1 < count && pipe2(ends, O_CLOEXEC) == -1)
			return -errno;
		result = start(&pids[started], input, ends[1]);
		if (result == 0)
			started++;
		if (input >= 0)
			close(input);
		if (ends[1] >= 0)
			close(ends[1]);
		input = ends[0];
	}
	if (input >= 0)
		close(input);
	return end_all(pids, started) < 0 ? -ECHILD : result;
}

static int run_spawned(size_t count)
{
	return start_by_hand(count, spawn_stage);
}

static int run_forked(size_t count)
{
	return start_by_hand(count, fork_stage);
}

/* --- ours and theirs --- */

static int run_ayre(size_t count)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	int result;

	if (!pipeline)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		(void)ayre_pipeline_command(pipeline, PROGRAM, NULL);
	result = ayre_pipeline_run(pipeline, NULL, NULL);
	ayre_pipeline_free(pipeline);
	return result;
}

static int run_shell(enum pipe_peer shell, size_t count)
{
	const char *arguments[] = {shell == PEER_BASH ? "bash" : "dash", "-c", NULL, NULL};
	char script[STAGES_MAX * sizeof(PROGRAM "|")] = PROGRAM, text[64];

	for (size_t i = 1; i < count; i++)
		strcat(script, "|" PROGRAM);
	arguments[2] = script;
	return bench_peer_run(arguments, text, sizeof(text));
}

/* --- rows --- */

enum way {
	WAY_SPAWN,
	WAY_FORK,
	WAY_DASH,
	WAY_BASH,
	WAY_AYRE,
};

#define ARGUMENT(way, count) ((uint64_t)(way) << 8 | (count))

static int run_once(enum way way, size_t count)
{
	switch (way) {
	case WAY_SPAWN:
		return run_spawned(count);
	case WAY_FORK:
		return run_forked(count);
	case WAY_DASH:
		return run_shell(PEER_DASH, count);
	case WAY_BASH:
		return run_shell(PEER_BASH, count);
	case WAY_AYRE:
		return run_ayre(count);
	}
	return -EINVAL;
}

static int measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	enum way way = (enum way)(argument >> 8);
	int result = 0;

	(void)state;
	if (way == WAY_DASH || way == WAY_BASH)
		sample->left_out = bench_peer_missing(way == WAY_DASH ? PEER_DASH : PEER_BASH);
	if (sample->left_out)
		return BENCH_LEFT_OUT;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = run_once(way, argument & 0xff);
	bench_end(sample);
	return result > 0 ? -ECHILD : result;
}

static const char *make_large(void *state)
{
	struct pipe_bench *bench = state;
	void *memory = mmap(NULL, bench->ballast_bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return "there is no memory for it";
	/* Small pages, as in hosts that grew: each costs a fork a table's entry. */
	(void)madvise(memory, bench->ballast_bytes, MADV_NOHUGEPAGE);
	memset(memory, 'x', bench->ballast_bytes);
	bench->ballast = memory;
	return NULL;
}

#define ROWS(count) \
	{"posix_spawn", "posix_spawn and pipe, by hand", BENCH_FLOOR, measure, \
	 ARGUMENT(WAY_SPAWN, count)}, \
	{ \
		"fork", "fork, dup2 and exec, by hand", BENCH_PEER, measure, \
			ARGUMENT(WAY_FORK, count) \
	}

static const struct bench_row start_rows[] = {
	ROWS(4),
	{"dash", "dash -c", BENCH_PEER, measure, ARGUMENT(WAY_DASH, 4)},
	{"bash", "bash -c", BENCH_PEER, measure, ARGUMENT(WAY_BASH, 4)},
	{"ayre", "ayre_pipeline_run", BENCH_AYRE, measure, ARGUMENT(WAY_AYRE, 4)},
};

static const struct bench_row start_long_rows[] = {
	ROWS(8),
	{"dash", "dash -c", BENCH_PEER, measure, ARGUMENT(WAY_DASH, 8)},
	{"bash", "bash -c", BENCH_PEER, measure, ARGUMENT(WAY_BASH, 8)},
	{"ayre", "ayre_pipeline_run", BENCH_AYRE, measure, ARGUMENT(WAY_AYRE, 8)},
};

/* A shell would be started in the same way, and then be small itself. */
static const struct bench_row start_large_rows[] = {
	ROWS(4),
	{"ayre", "ayre_pipeline_run", BENCH_AYRE, measure, ARGUMENT(WAY_AYRE, 4)},
};

const struct bench_group bench_start_group = {
	.name = "start_4",
	.title = "a pipeline of four programs that do nothing, started and waited for",
	.unit = BENCH_TIME,
	.rows = start_rows,
	.row_count = COUNT_OF(start_rows),
};

const struct bench_group bench_start_long_group = {
	.name = "start_8",
	.title = "the same with eight programs",
	.unit = BENCH_TIME,
	.rows = start_long_rows,
	.row_count = COUNT_OF(start_long_rows),
};

const struct bench_group bench_start_large_group = {
	.name = "start_4_large_host",
	.title = "four programs, from a host with gigabytes of resident memory",
	.unit = BENCH_TIME,
	.rows = start_large_rows,
	.row_count = COUNT_OF(start_large_rows),
	.unfit = make_large,
};
