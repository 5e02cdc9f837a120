/*
 * A worker that dies: when its host is told, and when the next call is answered.
 *
 * The function that dies writes to an address that is the time, which the report of the end has. So what
 * counts begins when it dies, and not when it is called.
 *
 * Invariant: a sample is of deaths of processes that have answered before; that they died of what they
 * were to die of is looked at each time.
 */
#include "command/bench_worker.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command/bench_module.h"
#include "command/command.h"

#define DIRTY_BYTES (64 * MEBIBYTE)

/* In which a spare is made, ns; many times as long as it takes. */
#define APART_NS 1000000

enum { FEW_PAGES, MUCH_MEMORY, NO_SPARE, KIND_COUNT };

struct deaths {
	struct ayre_worker *workers[KIND_COUNT];
	int64_t *died_ns; /* shared with a child */
};

/* --- a child that is no worker --- */

static __attribute__((noreturn)) void die(int64_t *ret_ns, char *memory, uint64_t bytes)
{
	if (memory)
		memset(memory, 'x', bytes);
	*ret_ns = bench_topic_now_ns();
	/* Neither a core nor a line in the kernel's log. */
	(void)kill(getpid(), SIGKILL);
	_exit(1);
}

static int lose_child(const struct deaths *deaths, uint64_t bytes, int64_t *ret_ns)
{
	char *memory = NULL;
	int64_t now_ns;
	pid_t pid;

	if (bytes) {
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		              0);
		if (memory == MAP_FAILED)
			return -errno;
	}
	pid = fork();
	if (pid == 0)
		die(deaths->died_ns, memory, bytes);
	if (pid > 0 && waitpid(pid, NULL, 0) == -1)
		pid = -1;
	now_ns = bench_topic_now_ns();
	if (memory)
		munmap(memory, bytes);
	*ret_ns = now_ns - *deaths->died_ns;
	return pid < 0 ? -ECHILD : 0;
}

/* --- ours --- */

static int open_worker(struct deaths *deaths, uint64_t kind)
{
	const struct ayre_worker_options options = {
		.size = sizeof(options),
		.flags = AYRE_WORKER_KEEP,
		.spares = kind == NO_SPARE ? AYRE_WORKER_NONE : 1,
		.poison_max = AYRE_WORKER_NONE,
		.pause_max_ns = -1,
	};

	if (deaths->workers[kind])
		return 0;
	return bench_worker_open(&options, -1, &deaths->workers[kind]);
}

/* It has answered, has its memory, and its spare stands by. */
static int prepare_death(struct ayre_worker *worker, uint64_t kind)
{
	const struct timespec apart = {.tv_nsec = APART_NS};
	uint64_t bytes = kind == MUCH_MEMORY ? DIRTY_BYTES : 1;
	ssize_t result;

	result = ayre_worker_call(worker, "bench_fill", &bytes, sizeof(bytes), NULL, 0);
	(void)nanosleep(&apart, NULL);
	for (int i = 0; result == 0 && i < 3; i++)
		result = bench_worker_echo(worker);
	return (int)result;
}

/* The host has been told now. How long ago did it die? */
static int64_t ago(const struct ayre_worker_end *end, int64_t now_ns)
{
	return (int64_t)(((uint64_t)now_ns - end->address) & BENCH_DEATH_MASK);
}

static int lose_worker(struct ayre_worker *worker, uint64_t kind, int64_t *ret_ns)
{
	struct ayre_worker_end end = {.size = sizeof(end)};
	int result = prepare_death(worker, kind);
	int64_t now_ns;
	ssize_t got;

	if (result < 0)
		return result;
	got = ayre_worker_call(worker, "bench_die", NULL, 0, NULL, 0);
	now_ns = bench_topic_now_ns();
	if (got != -EPIPE)
		return got < 0 ? (int)got : -EBADMSG;
	result = ayre_worker_last_end(worker, &end);
	if (result < 0)
		return result;
	if (end.kind != AYRE_WORKER_KILLED || end.signal != SIGSEGV || !end.has_address)
		return -EBADMSG;
	*ret_ns = ago(&end, now_ns);
	return 0;
}

/* --- rows --- */

#define CHILD_ROW KIND_COUNT

static int measure_death(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct deaths *deaths = state;
	int result = 0;

	if (argument < KIND_COUNT && bench_worker_missing()) {
		sample->left_out = bench_worker_missing();
		return BENCH_LEFT_OUT;
	}
	if (argument < KIND_COUNT)
		result = open_worker(deaths, argument);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++) {
		int64_t ns = 0;

		if (argument < KIND_COUNT)
			result = lose_worker(deaths->workers[argument], argument, &ns);
		else
			result = lose_child(
				deaths, argument == CHILD_ROW + MUCH_MEMORY ? DIRTY_BYTES : 0, &ns);
		sample->ns += ns;
	}
	return result;
}

static int measure_again(void *state, uint64_t argument, struct bench_sample *sample)
{
	struct deaths *deaths = state;
	int result = open_worker(deaths, argument);

	for (uint64_t i = 0; result == 0 && i < sample->operations; i++) {
		int64_t ns;

		result = lose_worker(deaths->workers[argument], argument, &ns);
		if (result < 0)
			break;
		bench_begin(sample);
		result = bench_worker_echo(deaths->workers[argument]);
		bench_end(sample);
	}
	return result;
}

static int measure_fresh(void *state, uint64_t argument, struct bench_sample *sample)
{
	(void)state;
	return bench_worker_start((enum worker_start)argument, NULL, sample);
}

static const char *map_time(void *state)
{
	struct deaths *deaths = state;
	void *shared = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE,
	                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return "there is no memory for it";
	deaths->died_ns = shared;
	return NULL;
}

static const char *find_missing(void *state)
{
	(void)state;
	return bench_worker_missing();
}

static const struct bench_row crash_rows[] = {
	{"child", "a child that is killed, to waitpid", BENCH_FLOOR, measure_death,
         CHILD_ROW + FEW_PAGES},
	{"child_64m", "the same with 64 MiB dirty", BENCH_PEER, measure_death,
         CHILD_ROW + MUCH_MEMORY},
	{"ayre", "ayre: a worker of a few pages", BENCH_AYRE, measure_death, FEW_PAGES},
	{"ayre_64m", "ayre: a worker with 64 MiB dirty", BENCH_AYRE, measure_death, MUCH_MEMORY},
};

static const struct bench_group crash_group = {
	.name = "crash",
	.title = "from the instruction that a worker dies of to -EPIPE in the host",
	.unit = BENCH_TIME,
	.rows = crash_rows,
	.row_count = COUNT_OF(crash_rows),
	.most_operations = 4,
	.unfit = map_time,
};

static const struct bench_row again_rows[] = {
	{"fork", "fork and exit", BENCH_FLOOR, measure_fresh, START_FORK},
	{"posix_spawn", "posix_spawn of an empty program", BENCH_PEER, measure_fresh, START_SPAWN},
	{"ayre", "ayre: a worker of a few pages", BENCH_AYRE, measure_again, FEW_PAGES},
	{"ayre_64m", "ayre: a worker with 64 MiB dirty", BENCH_AYRE, measure_again, MUCH_MEMORY},
	{"ayre_alone", "ayre: of a few pages, without a spare", BENCH_AYRE, measure_again,
         NO_SPARE},
};

static const struct bench_group again_group = {
	.name = "serving_again",
	.title = "from -EPIPE to the answer of the next call",
	.unit = BENCH_TIME,
	.rows = again_rows,
	.row_count = COUNT_OF(again_rows),
	.most_operations = 4,
	.unfit = find_missing,
};

int bench_worker_run_deaths(struct bench_report *report, struct worker_bench *bench)
{
	static const struct bench_group *const groups[] = {&crash_group, &again_group};
	int result = EXIT_DONE;

	bench_machine_unbind(bench->machine);
	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(groups); i++) {
		struct deaths deaths = {0};

		result = bench_run_group(report, groups[i], &deaths, 0);
		for (int kind = 0; kind < KIND_COUNT; kind++)
			ayre_worker_close(deaths.workers[kind]);
		if (deaths.died_ns)
			munmap(deaths.died_ns, sizeof(*deaths.died_ns));
	}
	bench_machine_bind(bench->machine);
	return result;
}
