/*
 * Eight ways to die, each named rightly, and a host that goes on.
 */
#include "worker/module_world.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

static const struct {
	const char *function;
	ssize_t code;
	uint32_t kind;
	int signal;
	const char *text;
} deaths[] = {
	{"die_segv", -EPIPE, AYRE_WORKER_KILLED, SIGSEGV, "killed by SIGSEGV at address 0x10"},
	{"die_abort", -EPIPE, AYRE_WORKER_KILLED, SIGABRT, "killed by SIGABRT"},
	{"die_stack", -EPIPE, AYRE_WORKER_STACK, SIGSEGV, "its stack was full: killed by SIGSEGV"},
	{"die_forbidden", -EPIPE, AYRE_WORKER_FORBIDDEN, SIGSYS,
         "made the forbidden system call chdir"},
	{"die_memory", -EPIPE, AYRE_WORKER_MEMORY, SIGSEGV,
         "memory was refused to it: killed by SIGSEGV"},
	{"loop", -ETIMEDOUT, AYRE_WORKER_DEADLINE, SIGKILL,
         "the deadline passed, and it was computing"},
	{"deadlock", -ETIMEDOUT, AYRE_WORKER_DEADLINE, SIGKILL,
         "the deadline passed, and it was asleep"},
	{"write_request", -EPIPE, AYRE_WORKER_KILLED, SIGSEGV, "killed by SIGSEGV at address"},
	{"leave", -EPIPE, AYRE_WORKER_EXITED, 0, "called exit, with status 3"},
};

#define DEATHS (sizeof(deaths) / sizeof(*deaths))

static int die_in_turn(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	uint64_t calls = 0;
	char reply[4096], text[160];

	for (size_t i = 0; i < DEATHS; i++) {
		struct ayre_worker_end end;

		require(call_text(worker, deaths[i].function, "x", reply) == deaths[i].code);
		calls++;
		end = end_of_worker(worker);
		ayre_worker_end_text(&end, text, sizeof(text));
		if (strncmp(text, deaths[i].text, strlen(deaths[i].text)) != 0)
			dprintf(STDERR_FILENO, "%s: %s\n", deaths[i].function, text);
		require(strncmp(text, deaths[i].text, strlen(deaths[i].text)) == 0);
		require(end.kind == deaths[i].kind);
		require(end.signal == deaths[i].signal);
		require(end.call == calls);
		require(info_of_worker(worker).ends == i + 1);
		require(call_text(worker, "echo", "on", reply) == 2);
		calls++;
	}
	ayre_worker_close(worker);
	return 0;
}

static void each_death_has_its_name(void **state)
{
	(void)state;
	for_each_user(die_in_turn,
	              WORKER(.timeout_ns = 200 * MILLISECOND_NS, .memory_bytes = 128 << 20));
	for_each_user(die_in_turn, WORKER(.timeout_ns = 200 * MILLISECOND_NS,
	                                  .memory_bytes = 128 << 20, .flags = AYRE_WORKER_KEEP));
}

/* As a chain of first children, behind the host. */
enum victim {
	VICTIM_KEEPER = 1,
	VICTIM_ZYGOTE,
	VICTIM_WORKER,
};

/* From outside, while it serves. */
static void kill_soon(pid_t host, enum victim victim)
{
	pid_t killer = fork(), killed = host;

	if (killer != 0)
		return;
	usleep(50000);
	for (int i = 0; i < (int)victim && killed > 0; i++)
		killed = first_child_of(killed);
	_exit(killed > 0 ? kill(killed, SIGKILL) : 1);
}

static int be_killed(void *context)
{
	enum victim victim = *(const enum victim *)context;
	bool is_worker = victim == VICTIM_WORKER;
	struct ayre_worker *worker = open_module(NULL, "module_functions");
	struct ayre_worker_end end;
	char reply[4096];

	kill_soon(getpid(), victim);
	require(call_text(worker, "wait_for_death", "x", reply) ==
	        (is_worker ? -EPIPE : -ENOTCONN));
	end = end_of_worker(worker);
	require(end.call == 1);
	if (!is_worker) {
		require(end.kind == AYRE_WORKER_LOST);
		require(call_text(worker, "echo", "on", reply) == -ENOTCONN);
	} else {
		require(end.kind == AYRE_WORKER_KILLED && end.signal == SIGKILL);
		require(!end.has_address);
		require(call_text(worker, "echo", "on", reply) == 2);
	}
	ayre_worker_close(worker);
	require(waitpid(-1, NULL, 0) > 0);
	require(waitpid(-1, NULL, 0) == -1);
	return 0;
}

static void killed_from_outside(void **state)
{
	(void)state;
	for (enum victim victim = VICTIM_KEEPER; victim <= VICTIM_WORKER; victim++)
		for_each_user(be_killed, &victim);
}

static int use_up_time(void *context)
{
	struct ayre_worker *worker =
		open_module(WORKER(.cpu_ns = 1000 * MILLISECOND_NS, .timeout_ns = AYRE_NO_DEADLINE),
	                    "module_functions");
	char reply[4096];

	(void)context;
	require(call_text(worker, "loop", "x", reply) == -EPIPE);
	require(end_of_worker(worker).kind == AYRE_WORKER_CPU);
	/* By the kernel's ticks it was a second. */
	require(end_of_worker(worker).cpu_ns > 300 * MILLISECOND_NS);
	ayre_worker_close(worker);
	return 0;
}

static void processor_time_is_limited(void **state)
{
	(void)state;
	for_each_user(use_up_time, NULL);
}

static bool has_figures(const struct ayre_worker_end *end)
{
	return end->cpu_ns > 0 && end->max_rss_bytes > 0;
}

/* Three calls that have all been collected, two of which died. */
static void collect_three(struct ayre_worker *worker, struct ayre_worker_answer answers[3])
{
	struct pollfd fd = {.fd = ayre_worker_fd(worker), .events = POLLIN};
	int begun = 0, ended = 0;

	while (ended < 3) {
		const struct ayre_worker_job *job =
			JOB(.function = begun == 2 ? "echo" : "die_abort", .request = "x",
		            .request_bytes = 1);

		answers[ended] = (struct ayre_worker_answer){.size = sizeof(answers[ended])};
		if (ayre_worker_try_collect(worker, &answers[ended]) == 0)
			ended++;
		else if (begun < 3 && ayre_worker_submit(worker, job, NULL) == 0)
			begun++;
		else
			require(poll(&fd, 1, 10000) == 1);
	}
}

/* What the kernel counted comes with the end of the process, later than its last word. */
static int count_the_dead(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	struct ayre_worker_end end = {.size = sizeof(end)};
	struct ayre_worker_answer answers[3];
	char reply[4096];

	require(call_text(worker, "die_segv", "x", reply) == -EPIPE);
	require(ayre_worker_end_until(worker, 0, AYRE_NO_DEADLINE, &end) == 0);
	require(has_figures(&end) && end.signal == SIGSEGV && end.address == 16);
	require(end_of_worker(worker).max_rss_bytes == end.max_rss_bytes);
	collect_three(worker, answers);
	/* Also of those that were not the last. */
	for (int i = 0; i < 3; i++) {
		uint64_t call = answers[i].call;

		require(ayre_worker_end_until(worker, call, AYRE_NO_DEADLINE, &end) == 0);
		require(answers[i].outcome == 1
		                ? end.kind == AYRE_WORKER_RUNNING
		                : has_figures(&end) && end.call == call && end.signal == SIGABRT);
		ayre_worker_release(worker, call);
		require(ayre_worker_end_until(worker, call, AYRE_NO_DEADLINE, &end) == -ENOENT);
	}
	ayre_worker_close(worker);
	return 0;
}

static void what_the_dead_used_is_told(void **state)
{
	(void)state;
	for_each_user(count_the_dead, WORKER(.processes = 3, .poison_max = AYRE_WORKER_NONE));
	for_each_user(count_the_dead, WORKER(.processes = 3, .poison_max = AYRE_WORKER_NONE,
	                                     .flags = AYRE_WORKER_KEEP));
}

/* Its zygote stands still, and nobody else can tell. */
static int wait_for_the_dead(void *context)
{
	struct ayre_worker *worker = open_module(NULL, "module_functions");
	struct ayre_worker_end end = {.size = sizeof(end)};
	pid_t zygote = zygote_of(getpid());
	int64_t begin = now_ns();
	char reply[4096];

	(void)context;
	require(ayre_worker_end_until(worker, 0, AYRE_NO_DEADLINE, &end) == 0);
	require(end.kind == AYRE_WORKER_RUNNING);
	require(kill(zygote, SIGSTOP) == 0);
	require(call_text(worker, "die_segv", "x", reply) == -EPIPE);
	begin = now_ns();
	require(ayre_worker_end_until(worker, 0, begin + 30 * MILLISECOND_NS, &end) == -ETIMEDOUT);
	require(now_ns() - begin >= 30 * MILLISECOND_NS);
	require(end.kind == AYRE_WORKER_RUNNING);
	require(end_of_worker(worker).cpu_ns == -1);
	require(kill(zygote, SIGKILL) == 0);
	/* Nobody ever will. */
	require(ayre_worker_end_until(worker, 0, AYRE_NO_DEADLINE, &end) == 0);
	require(end.kind == AYRE_WORKER_LOST && end.max_rss_bytes == -1);
	ayre_worker_close(worker);
	return 0;
}

static void an_end_is_waited_for_by_a_deadline(void **state)
{
	(void)state;
	for_each_user(wait_for_the_dead, NULL);
}

/* Neither processes nor descriptors, nor anything else that is counted. */
static int die_often(void *context)
{
	struct counts before = take_counts(), now;
	struct ayre_worker *worker = open_module(context, "module_functions");
	int rounds = long_form() ? 10000 : 1000;
	pid_t zygote = zygote_of(getpid());
	char reply[4096];

	for (int i = 0; i < rounds; i++) {
		require(call_text(worker, i % 2 ? "die_abort" : "die_segv", "x", reply) == -EPIPE);
		require(end_of_worker(worker).signal == (i % 2 ? SIGABRT : SIGSEGV));
	}
	require(info_of_worker(worker).ends == (uint64_t)rounds);
	/* Besides its own it has a descriptor for each process that stands by or has yet to end. */
	now = take_counts();
	require(now.descriptors <= before.descriptors + 3 * 7 + 2);
	ayre_worker_close(worker);
	now = take_counts();
	require(!counts_differ(&now, &before));
	require(kill(zygote, 0) == -1 && errno == ESRCH);
	require(waitpid(-1, NULL, 0) == -1);
	return 0;
}

static void a_thousand_crashes_leave_nothing(void **state)
{
	(void)state;
	for_each_user(die_often, WORKER(.poison_max = AYRE_WORKER_NONE));
	for_each_user(die_often,
	              WORKER(.poison_max = AYRE_WORKER_NONE, .spares = AYRE_WORKER_NONE));
}

/* The host dies without a word. */
static int open_and_die(void *context)
{
	pid_t *zygote = context;
	struct ayre_worker *worker = open_module(NULL, "module_functions");
	char reply[4096];

	require(call_text(worker, "echo", "x", reply) == 1);
	*zygote = zygote_of(getpid());
	_exit(0);
}

static bool is_alive(pid_t pid)
{
	char path[64], text[256] = "";
	FILE *file;
	bool alive;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	alive = fgets(text, sizeof(text), file) && !strstr(text, ") Z");
	fclose(file);
	return alive;
}

static void the_end_of_the_host_ends_all(void **state)
{
	pid_t *zygote = share_memory(sizeof(*zygote));

	(void)state;
	assert_int_equal(run_in_child(open_and_die, zygote), 0);
	for (int i = 0; i < 500 && is_alive(*zygote); i++)
		usleep(10000);
	assert_false(is_alive(*zygote));
	unshare_memory(zygote, sizeof(*zygote));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(each_death_has_its_name),
		counted_test(killed_from_outside),
		counted_test(processor_time_is_limited),
		counted_test(what_the_dead_used_is_told),
		counted_test(an_end_is_waited_for_by_a_deadline),
		counted_test(a_thousand_crashes_leave_nothing),
		counted_test(the_end_of_the_host_ends_all),
	};

	return run_counted("worker_death", tests);
}
