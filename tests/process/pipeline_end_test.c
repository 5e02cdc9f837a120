/*
 * The end of a pipeline by force and by itself: deadlines, cancelling, what stages leave behind,
 * and the event loop that waits for all that.
 */
#include "process/pipeline_world.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define DEADLINE_NS (150 * MS)
#define GRACE_NS    (150 * MS)

struct habit {
	const char *title, *script;
	int most_strays;  /* -1: any number */
	bool needs_kill;  /* SIGTERM alone does not end it */
	bool own_session; /* the stage's options say so */
	bool escapes;     /* found only among all descendants of a subreaper */
};

static const struct habit habits[] = {
	{.title = "sleeps", .script = "exec sleep 1000"},
	{.title = "ignores TERM",
         .script = "trap '' TERM; sleep 1000; sleep 1000",
         .most_strays = 1,
         .needs_kill = true},
	{.title = "stops itself", .script = "kill -STOP $$; sleep 1000", .most_strays = 1},
	{.title = "stops itself and ignores TERM",
         .script = "trap '' TERM; kill -STOP $$; sleep 1000",
         .most_strays = 1,
         .needs_kill = true},
	{.title = "forks and leaves", .script = "sleep 1000 & exit 0", .most_strays = 1},
	{.title = "forks three times and leaves",
         .script = "for i in 1 2 3; do (sleep 1000 &) & done; exit 0",
         .most_strays = 3},
	{.title = "has a child of another session",
         .script = "setsid sleep 1000 & wait",
         .most_strays = 1},
	/* Its parent ends of TERM: by then nothing but our note of it leads to it. */
	{.title = "has a child of another session that ignores TERM",
         .script = "setsid sh -c \"trap '' TERM; sleep 1000; sleep 1000\" & wait",
         .most_strays = 2,
         .needs_kill = true},
	{.title = "forks when it is to end",
         .script =
                 "trap 'setsid sleep 1000 &' TERM; exec 2>/dev/null; while :; do sleep 0.01; done",
         .most_strays = -1,
         .needs_kill = true},
	{.title = "forks without end",
         .script = "trap '' TERM; while :; do sleep 1000 & sleep 0.001; done",
         .most_strays = -1,
         .needs_kill = true},
	{.title = "is a session, forks and leaves",
         .script = "sleep 1000 & exit 0",
         .most_strays = 1,
         .own_session = true},
	{.title = "leaves a session that keeps the pipe",
         .script = "(setsid sleep 1000 &); sleep 0.05; exit 0",
         .most_strays = 1,
         .escapes = true},
	{.title = "leaves a session that ignores TERM",
         .script = "(setsid sh -c \"trap '' TERM; sleep 1000; sleep 1000\" &); sleep 1000",
         .most_strays = 3,
         .needs_kill = true,
         .escapes = true},
};

static struct ayre_pipeline *make(const struct habit *habit, int64_t deadline_ns, uint32_t flags)
{
	struct ayre_pipeline *pipeline =
		new_pipeline_with(PIPELINE_OPTIONS(.deadline_ns = deadline_ns, .grace_ns = GRACE_NS,
	                                           .drain_ns = 60000 * MS, .flags = flags));

	mark_processes();
	add_shell(pipeline, habit->script);
	if (habit->own_session)
		ayre_pipeline_stage_options(pipeline, 0,
		                            STAGE_OPTIONS(.flags = AYRE_PROCESS_NEW_SESSION));
	quiet_input(pipeline);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	return pipeline;
}

static void assert_strays(const struct habit *habit, const struct ayre_pipeline_result *result)
{
	if (habit->most_strays >= 0)
		assert_in_range(result->strays_ended, 0, habit->most_strays);
}

static void the_deadline_ends(void **state)
{
	const struct habit *habit = *state;
	int64_t begin = now_ns(), took;
	struct ayre_pipeline *pipeline = make(habit, begin + DEADLINE_NS, 0);
	struct ayre_pipeline_result result;

	assert_int_equal(run_all(pipeline, &result), -ETIMEDOUT);
	took = now_ns() - begin;
	/* Also one that is stopped hears of SIGTERM. */
	if (!habit->needs_kill)
		assert_int_not_equal(info_of(pipeline, 0).end.signal_number, SIGKILL);
	ayre_pipeline_free(pipeline);
	assert_int_equal(result.exit_status, 124);
	assert_true(took >= DEADLINE_NS);
	assert_true(took < DEADLINE_NS + GRACE_NS + LATE_NS);
	if (habit->needs_kill && !habit->escapes)
		assert_true(took >= DEADLINE_NS + GRACE_NS);
	assert_strays(habit, &result);
	/* What cannot be found is told: it held the pipe. */
	if (habit->escapes) {
		assert_int_equal(count_marked() > 0, 1);
		kill_marked();
	}
	assert_nobody_left();
}

static void cancelling_ends(void **state)
{
	const struct habit *habit = *state;
	struct ayre_pipeline *pipeline = make(habit, 0, 0);
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	int64_t begin;

	start(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 100 * MS), -ETIMEDOUT);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), -EAGAIN);
	begin = now_ns();
	ayre_pipeline_cancel(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, begin + GRACE_NS + LATE_NS), 0);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), 0);
	assert_int_equal(result.error, -ECANCELED);
	ayre_pipeline_free(pipeline);
	if (habit->escapes)
		kill_marked();
	assert_nobody_left();
}

static void freeing_ends(void **state)
{
	const struct habit *habit = *state;
	struct ayre_pipeline *pipeline = make(habit, 0, 0);
	int64_t begin;

	start(pipeline);
	usleep(50000);
	begin = now_ns();
	ayre_pipeline_free(pipeline);
	assert_true(now_ns() - begin < LATE_NS);
	if (habit->escapes)
		kill_marked();
	assert_nobody_left();
}

static int as_subreaper(void *context)
{
	const struct habit *habit = context;
	int64_t begin = now_ns();
	struct ayre_pipeline_result result;
	int status;
	pid_t child;

	require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	require(run_and_free(make(habit, begin + DEADLINE_NS, AYRE_PIPELINE_END_ORPHANS),
	                     &result) == -ETIMEDOUT);
	require(now_ns() - begin < DEADLINE_NS + GRACE_NS + LATE_NS);
	/* Not even a zombie is left of those that were ended. Who ended by himself is ours to bury. */
	while ((child = waitpid(-1, &status, WNOHANG)) > 0)
		require(WIFEXITED(status));
	require(child == -1 && errno == ECHILD);
	require(count_marked() == 0);
	return 0;
}

static void a_subreaper_ends_orphans(void **state)
{
	assert_exited(run_in_child(as_subreaper, (void *)(uintptr_t)*state));
}

/* --- moments --- */

static void a_deadline_that_has_passed(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline_with(PIPELINE_OPTIONS(.deadline_ns = 1));
	struct ayre_pipeline_result result;

	(void)state;
	mark_processes();
	ayre_pipeline_command(pipeline, "sleep", "1000", NULL);
	assert_int_equal(run_and_free(pipeline, &result), -ETIMEDOUT);
	assert_nobody_left();
}

/* The host looks late: all had ended in time. */
static void a_deadline_that_nobody_needed(void **state)
{
	struct ayre_pipeline *pipeline =
		new_pipeline_with(PIPELINE_OPTIONS(.deadline_ns = now_ns() + 300 * MS));
	struct ayre_pipeline_result result = {.size = sizeof(result)};

	(void)state;
	for (int i = 0; i < 40; i++)
		ayre_pipeline_command(pipeline, "cat", NULL);
	quiet_input(pipeline);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	start(pipeline);
	usleep(600000);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, INT64_MAX), 0);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), 0);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.exit_status, 0);
	ayre_pipeline_free(pipeline);
}

/* At every moment of a short life. */
static void deadlines_and_cancelling_at_every_moment(void **state)
{
	int most_us = long_form() ? 20000 : 6000;

	(void)state;
	mark_processes();
	for (int us = 0; us < most_us; us += 150)
		for (int how = 0; how < 3; how++) {
			struct ayre_pipeline *pipeline = new_pipeline_with(
				PIPELINE_OPTIONS(.grace_ns = 20 * MS,
			                         .deadline_ns =
			                                 how == 0 ? now_ns() + us * 1000 : 0));

			add_shell(pipeline, "echo text; true & sleep 0.002");
			ayre_pipeline_command(pipeline, "cat", NULL);
			ayre_pipeline_command(pipeline, "cat", NULL);
			ayre_pipeline_connect(pipeline, 0, 1);
			ayre_pipeline_connect(pipeline, 0, 2);
			quiet_input(pipeline);
			for (int i = 1; i < 3; i++)
				add_redirection(pipeline, .stage = i, .fd = 1,
				                .kind = AYRE_REDIRECT_CAPTURE);
			start(pipeline);
			if (how > 0) {
				(void)!ayre_pipeline_wait_until(pipeline, now_ns() + us * 1000);
				ayre_pipeline_cancel(pipeline);
			}
			if (how > 1)
				ayre_pipeline_cancel(pipeline);
			assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 2 * LATE_NS),
			                 0);
			ayre_pipeline_free(pipeline);
		}
	assert_nobody_left();
}

static void cancelling_twice_kills_at_once(void **state)
{
	struct ayre_pipeline *pipeline =
		new_pipeline_with(PIPELINE_OPTIONS(.grace_ns = 1000000 * MS));
	int64_t begin;

	(void)state;
	mark_processes();
	add_shell(pipeline, "trap '' TERM; while :; do sleep 1; done");
	start(pipeline);
	usleep(50000);
	begin = now_ns();
	ayre_pipeline_cancel(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, begin + 100 * MS), -ETIMEDOUT);
	ayre_pipeline_cancel(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + LATE_NS), 0);
	assert_int_equal(info_of(pipeline, 0).end.signal_number, SIGKILL);
	ayre_pipeline_free(pipeline);
	assert_nobody_left();
}

/* --- what is left by those who ended by themselves --- */

static void the_drain_is_bounded(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline_with(PIPELINE_OPTIONS(.drain_ns = 200 * MS));
	struct ayre_pipeline_result result;
	int64_t begin = now_ns();

	(void)state;
	mark_processes();
	add_shell(pipeline, "sleep 1000 & echo text");
	quiet_input(pipeline);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, &result), 0);
	assert_true(now_ns() - begin >= 200 * MS && now_ns() - begin < 200 * MS + LATE_NS);
	assert_true(result.drain_cut);
	assert_int_equal(result.strays_ended, 0);
	assert_captured(pipeline, 0, 1, "text\n");
	ayre_pipeline_free(pipeline);
	/* A daemon may be what was wanted. */
	assert_int_equal(count_marked(), 1);
	kill_marked();
}

static void last_words_are_waited_for(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline_with(PIPELINE_OPTIONS(.drain_ns = 5000 * MS));
	struct ayre_pipeline_result result;

	(void)state;
	add_shell(pipeline, "(sleep 0.1; echo later) & echo text");
	quiet_input(pipeline);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, &result), 0);
	assert_false(result.drain_cut);
	assert_captured(pipeline, 0, 1, "text\nlater\n");
	ayre_pipeline_free(pipeline);
}

/* One that writes on for ever must not be listened to for ever. */
static void a_writer_that_goes_on_is_cut(void **state)
{
	(void)state;
	for (int fan = 0; fan < 2; fan++) {
		struct ayre_pipeline *pipeline =
			new_pipeline_with(PIPELINE_OPTIONS(.drain_ns = 100 * MS));
		struct ayre_pipeline_result result;
		char path[NAME_BYTES];

		mark_processes();
		add_shell(pipeline, "(setsid yes 2>/dev/null &); echo text");
		quiet_input(pipeline);
		if (fan)
			add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE,
			                .path = path_of(path, "copy"));
		ayre_pipeline_capture(pipeline, 1000, AYRE_AT_BOUND_KEEP_LAST);
		start(pipeline);
		assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 100 * MS + LATE_NS),
		                 0);
		result.size = sizeof(result);
		assert_int_equal(ayre_pipeline_get_result(pipeline, &result), 0);
		assert_true(result.drain_cut);
		ayre_pipeline_free(pipeline);
		/* SIGPIPE is its end. */
		assert_nobody_left();
		if (fan)
			unlink(path);
	}
}

/* A reader's child keeps its input open, full, and reads nothing. */
static void a_reader_that_was_left_behind(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline_with(PIPELINE_OPTIONS(.drain_ns = 100 * MS));
	struct source source = {.total = 200000};

	(void)state;
	mark_processes();
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	add_shell(pipeline, "(setsid sleep 1000 <&3 3<&- &) 3<&0; sleep 0.1");
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_connect(pipeline, 0, 1);
	ayre_pipeline_connect(pipeline, 0, 2);
	add_redirection(pipeline, .stage = 2, .fd = 1, .kind = AYRE_REDIRECT_NOTHING);
	ayre_pipeline_set_options(pipeline,
	                          PIPELINE_OPTIONS(.drain_ns = 100 * MS, .pipe_bytes = 4096,
	                                           .deadline_ns = now_ns() + 1000 * MS,
	                                           .grace_ns = 100 * MS));
	start(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 1100 * MS + LATE_NS), 0);
	ayre_pipeline_free(pipeline);
	kill_marked();
}

/* --- an event loop --- */

static int64_t processor_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 * MS +
	       ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void it_is_quiet_when_nothing_happens(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	static char bytes[4 << 20];
	struct pollfd wait;
	int64_t before;

	(void)state;
	/* A pipe that is full, one that is hung up, a stage that has ended. */
	ayre_pipeline_command(pipeline, "true", NULL);
	add_shell(pipeline, "exec 0<&-; exec 1>&-; exec sleep 1000");
	ayre_pipeline_command(pipeline, "sleep", "1000", NULL);
	ayre_pipeline_feed(pipeline, bytes, sizeof(bytes));
	add_redirection(pipeline, .stage = 2, .fd = 5, .kind = AYRE_REDIRECT_FEED, .bytes = bytes,
	                .byte_count = sizeof(bytes));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	add_redirection(pipeline, .stage = 1, .fd = 1, .kind = AYRE_REDIRECT_CAPTURE);
	start(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 300 * MS), -ETIMEDOUT);
	wait = (struct pollfd){.fd = ayre_pipeline_fd(pipeline), .events = POLLIN};
	assert_int_equal(poll(&wait, 1, 300), 0);
	before = processor_ns();
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 500 * MS), -ETIMEDOUT);
	assert_true(processor_ns() - before < 50 * MS);
	ayre_pipeline_free(pipeline);
}

/* Several in one loop of the host's, one of which needs its deadline, one its grace, one its drain. */
static void in_a_loop_of_the_hosts(void **state)
{
	static const char *const scripts[] = {
		"echo text",
		"sleep 1000",
		"trap '' TERM; sleep 1000; sleep 1000",
		"sleep 1000 & echo text",
	};
	static const int results[] = {0, -ETIMEDOUT, -ETIMEDOUT, 0};
	struct ayre_pipeline *pipelines[4];
	int loop = epoll_create1(EPOLL_CLOEXEC), running = 4, rounds = 0;

	(void)state;
	mark_processes();
	for (int i = 0; i < 4; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		pipelines[i] = new_pipeline_with(
			PIPELINE_OPTIONS(.grace_ns = 50 * MS, .drain_ns = 50 * MS,
		                         .deadline_ns = results[i] ? now_ns() + 100 * MS : 0));
		add_shell(pipelines[i], scripts[i]);
		quiet_input(pipelines[i]);
		ayre_pipeline_capture(pipelines[i], 0, AYRE_AT_BOUND_FAIL);
		start(pipelines[i]);
		assert_int_equal(
			epoll_ctl(loop, EPOLL_CTL_ADD, ayre_pipeline_fd(pipelines[i]), &event), 0);
	}
	while (running > 0) {
		struct epoll_event event;
		uint32_t i;

		/* Nothing else ever wakes this loop. */
		assert_int_equal(epoll_wait(loop, &event, 1, 5000), 1);
		i = event.data.u32;
		if (ayre_pipeline_process(pipelines[i]) == 1) {
			running--;
			epoll_ctl(loop, EPOLL_CTL_DEL, ayre_pipeline_fd(pipelines[i]), NULL);
		}
		rounds++;
	}
	for (int i = 0; i < 4; i++) {
		struct ayre_pipeline_result result = {.size = sizeof(result)};

		assert_int_equal(ayre_pipeline_get_result(pipelines[i], &result), 0);
		assert_int_equal(result.error, results[i]);
		ayre_pipeline_free(pipelines[i]);
	}
	assert_true(rounds < 60);
	close(loop);
	kill_marked();
}

/* The host's own child, which has a copy of everything, must not keep a set from being quiet. */
static void a_child_of_the_hosts_has_copies(void **state)
{
	struct ayre_pipeline *pipeline = make(&habits[4], 0, 0);
	struct pollfd wait;
	pid_t child;

	(void)state;
	start(pipeline);
	usleep(50000);
	child = start_child(read_drain, &(struct drain){.never_reads = true});
	ayre_pipeline_cancel(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + GRACE_NS + LATE_NS), 0);
	wait = (struct pollfd){.fd = ayre_pipeline_fd(pipeline), .events = POLLIN};
	assert_int_equal(poll(&wait, 1, 100), 0);
	ayre_pipeline_free(pipeline);
	kill(child, SIGKILL);
	end_of(child);
	assert_nobody_left();
}

/* --- machines that are poorer --- */

static int without_proc(void *context)
{
	const struct habit *habit = context;
	int64_t begin;
	struct ayre_pipeline *pipeline;

	if (mount_private_tmpfs("/proc", "1m"))
		return CHILD_SKIPS;
	begin = now_ns();
	pipeline = make(habit, begin + DEADLINE_NS, 0);
	require(run_all(pipeline, NULL) == -ETIMEDOUT);
	require(now_ns() - begin < DEADLINE_NS + GRACE_NS + LATE_NS);
	require(info_of(pipeline, 0).written_bytes == -1);
	/* Zombies count, until their new parent has seen them. */
	while (kill(-info_of(pipeline, 0).pid, 0) == 0 && now_ns() - begin < 4 * LATE_NS)
		usleep(1000);
	require(kill(-info_of(pipeline, 0).pid, 0) == -1);
	ayre_pipeline_free(pipeline);
	return 0;
}

static void a_machine_without_proc(void **state)
{
	(void)state;
	/* Those that the group alone finds. */
	for (int i = 0; i < 4; i++) {
		int status = run_in_child(without_proc, (void *)(uintptr_t)&habits[i]);

		if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
			skip_because("this user may not mount a file system");
		assert_exited(status);
	}
}

/* What is needed while it runs was taken at the start. */
static void no_descriptors_are_left(void **state)
{
	struct ayre_pipeline *pipeline = make(&habits[1], 0, 0);
	struct rlimit before, none;
	int64_t begin;

	(void)state;
	start(pipeline);
	usleep(50000);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){0, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	begin = now_ns();
	ayre_pipeline_cancel(pipeline);
	/* An event loop alone. */
	while (!ayre_pipeline_process(pipeline) && now_ns() - begin < GRACE_NS + LATE_NS) {
		struct epoll_event event;

		/* poll(2) counts the limit too. */
		epoll_wait(ayre_pipeline_fd(pipeline), &event, 1, 5000);
	}
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(ayre_pipeline_process(pipeline), 1);
	ayre_pipeline_free(pipeline);
	assert_nobody_left();
}

int main(void)
{
	static struct CMUnitTest tests[128];
	static char titles[128][128];
	static const struct {
		const char *title;
		CMUnitTestFunction run;
	} ways[] = {
		{"the deadline", the_deadline_ends},
		{"cancelling", cancelling_ends},
		{"freeing", freeing_ends},
		{"a subreaper's deadline", a_subreaper_ends_orphans},
	};
	const struct CMUnitTest others[] = {
		counted_test(a_deadline_that_has_passed),
		counted_test(a_deadline_that_nobody_needed),
		counted_test(deadlines_and_cancelling_at_every_moment),
		counted_test(cancelling_twice_kills_at_once),
		counted_test(the_drain_is_bounded),
		counted_test(last_words_are_waited_for),
		counted_test(a_writer_that_goes_on_is_cut),
		counted_test(a_reader_that_was_left_behind),
		counted_test(it_is_quiet_when_nothing_happens),
		counted_test(in_a_loop_of_the_hosts),
		counted_test(a_child_of_the_hosts_has_copies),
		counted_test(a_machine_without_proc),
		counted_test(no_descriptors_are_left),
	};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		for (size_t j = 0; j < sizeof(habits) / sizeof(*habits); j++) {
			snprintf(titles[count], sizeof(titles[count]), "%s ends one that %s",
			         ways[i].title, habits[j].title);
			tests[count] =
				(struct CMUnitTest)test_of(ways[i].run, titles[count], &habits[j]);
			count++;
		}
	memcpy(tests + count, others, sizeof(others));
	return run_counted_of("pipeline_end", tests, count + sizeof(others) / sizeof(*others));
}
