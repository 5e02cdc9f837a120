/*
 * A fresh jailed process: from the request to its first answer, beside processes that are not jailed and
 * jails that others make.
 *
 * Invariant: calls that follow each other at once pay for the end of the process before, as those do
 * who wait for the end of theirs. Nobody is bound to a processor.
 */
#include "command/bench_worker.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command/bench_pipe.h"
#include "command/command.h"

/* In which a spare is made, ns; many times as long as it takes. */
#define APART_NS 1000000

/* --- the others --- */

static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) == -1)
		return -errno;
	return status == 0 ? 0 : -ECHILD;
}

static int run_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : end_of(pid);
}

/* What it says is kept from our own output where it is only tried. */
static int run_program(const char *const *arguments, bool is_silent)
{
	posix_spawn_file_actions_t silence;
	pid_t pid;
	int code;

	posix_spawn_file_actions_init(&silence);
	posix_spawn_file_actions_addopen(&silence, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&silence, STDOUT_FILENO, STDERR_FILENO);
	code = posix_spawnp(&pid, arguments[0], is_silent ? &silence : NULL, NULL,
	                    (char *const *)(uintptr_t)arguments, environ);
	posix_spawn_file_actions_destroy(&silence);
	return code ? -code : end_of(pid);
}

static int run_other(enum worker_start start, bool is_silent)
{
	/* By its path, so that nobody is measured looking for it. */
	static const char *const program[] = {"/bin/true", NULL};
	static const char *const bwrap[] = {"bwrap", "--unshare-all", "--ro-bind", "/",
	                                    "/",     "/bin/true",     NULL};
	static const char *const firejail[] = {"firejail", "--quiet", "--noprofile", "/bin/true",
	                                       NULL};

	switch (start) {
	case START_FORK:
		return run_fork();
	case START_SPAWN:
		return run_program(program, is_silent);
	case START_BWRAP:
		return run_program(bwrap, is_silent);
	case START_FIREJAIL:
		return run_program(firejail, is_silent);
	default:
		return -EINVAL;
	}
}

/* A jail that is not there, or that this machine does not let one have. */
static const char *find_missing(enum worker_start start)
{
	bool is_bwrap = start == START_BWRAP;
	const char *why;

	if (start >= START_AYRE)
		return bench_worker_missing();
	if (start < START_BWRAP)
		return NULL;
	why = bench_peer_missing(is_bwrap ? PEER_BWRAP : PEER_FIREJAIL);
	if (why || run_other(start, true) == 0)
		return why;
	return is_bwrap ? "bwrap fails here" : "firejail fails here";
}

/* --- ours --- */

static void wait_apart(void)
{
	const struct timespec apart = {.tv_nsec = APART_NS};

	(void)nanosleep(&apart, NULL);
}

static int open_worker(enum worker_start start, struct ayre_worker **workers)
{
	const struct ayre_worker_options options = {
		.size = sizeof(options),
		.spares = start == START_AYRE ? AYRE_WORKER_NONE : 1,
	};

	if (workers[start])
		return 0;
	return bench_worker_open(&options, -1, &workers[start]);
}

static int call_apart(struct ayre_worker *worker, struct bench_sample *sample)
{
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < sample->operations; i++) {
		wait_apart();
		bench_begin(sample);
		result = bench_worker_echo(worker);
		bench_end(sample);
	}
	return result;
}

int bench_worker_start(enum worker_start start, struct ayre_worker **workers,
                       struct bench_sample *sample)
{
	int result = start < START_AYRE ? 0 : open_worker(start, workers);

	if (result == 0 && start == START_SPARE)
		return call_apart(workers[start], sample);
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = start < START_AYRE ? run_other(start, false)
		                            : bench_worker_echo(workers[start]);
	bench_end(sample);
	return result;
}

/* --- rows --- */

struct fresh {
	bool is_looked_at[START_COUNT];
	const char *missing[START_COUNT];
	struct ayre_worker *workers[START_COUNT];
};

static int measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct fresh *fresh = state;
	enum worker_start start = (enum worker_start)argument;

	if (!fresh->is_looked_at[start])
		fresh->missing[start] = find_missing(start);
	fresh->is_looked_at[start] = true;
	sample->left_out = fresh->missing[start];
	return sample->left_out ? BENCH_LEFT_OUT
	                        : bench_worker_start(start, fresh->workers, sample);
}

static const struct bench_row fresh_rows[] = {
	{"fork", "fork and exit", BENCH_FLOOR, measure, START_FORK},
	{"posix_spawn", "posix_spawn of an empty program", BENCH_PEER, measure, START_SPAWN},
	{"bwrap", "bwrap --unshare-all of the same", BENCH_PEER, measure, START_BWRAP},
	{"firejail", "firejail --noprofile of the same", BENCH_PEER, measure, START_FIREJAIL},
	{"ayre", "ayre: started for the call", BENCH_AYRE, measure, START_AYRE},
};

static const struct bench_group fresh_group = {
	.name = "fresh",
	.title = "a fresh jailed process, from the request to its answer, one after the other",
	.unit = BENCH_TIME,
	.rows = fresh_rows,
	.row_count = COUNT_OF(fresh_rows),
};

static const struct bench_row spare_rows[] = {
	{"fork", "fork and exit", BENCH_FLOOR, measure, START_FORK},
	{"posix_spawn", "posix_spawn of an empty program", BENCH_PEER, measure, START_SPAWN},
	{"ayre", "ayre: a spare stands by", BENCH_AYRE, measure, START_SPARE},
	{"ayre_flow", "ayre: one after the other", BENCH_AYRE, measure, START_FLOW},
};

static const struct bench_group spare_group = {
	.name = "fresh_spare",
	.title = "the same with a spare, which is made between the calls",
	.unit = BENCH_TIME,
	.rows = spare_rows,
	.row_count = COUNT_OF(spare_rows),
	.most_operations = 32,
};

int bench_worker_run_fresh(struct bench_report *report, struct worker_bench *bench)
{
	static const struct bench_group *const groups[] = {&fresh_group, &spare_group};
	int result = EXIT_DONE;

	bench_machine_unbind(bench->machine);
	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(groups); i++) {
		struct fresh fresh = {0};

		result = bench_run_group(report, groups[i], &fresh, 0);
		for (int start = 0; start < START_COUNT; start++)
			ayre_worker_close(fresh.workers[start]);
	}
	bench_machine_bind(bench->machine);
	return result;
}
