/*
 * How a pipeline went: the end of each stage, the verdict over all, and how many bytes passed.
 */
#include "process/pipeline_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#define STAGES 3

struct verdict {
	const char *scripts[STAGES];
	uint32_t flags;
	int status, failed;
};

static void the_rightmost_that_failed(void **state)
{
	static const struct verdict verdicts[] = {
		{{"exit 0", "exit 0", "exit 0"}, 0, 0, -1},
		{{"exit 3", "exit 0", "exit 0"}, 0, 3, 0},
		{{"exit 3", "exit 4", "exit 0"}, 0, 4, 1},
		{{"exit 3", "exit 4", "exit 255"}, 0, 255, 2},
		{{"exit 0", "kill -TERM $$", "exit 0"}, 0, 128 + SIGTERM, 1},
		{{"exit 9", "kill -KILL $$", "cat"}, 0, 128 + SIGKILL, 1},
		/* SIGPIPE is how a stage is meant to end whose reader has had enough, */
		{{"exec yes", "head -n 1", "cat"}, 0, 0, -1},
		{{"exec yes", "head -n 1", "cat"}, AYRE_PIPELINE_STRICT, 128 + SIGPIPE, 0},
		/* but who says so himself has failed, and so has the last. */
		{{"exit 141", "cat", "cat"}, 0, 141, 0},
		{{"exit 141", "cat", "cat"}, AYRE_PIPELINE_STRICT, 141, 0},
		{{"true", "cat", "kill -PIPE $$"}, 0, 128 + SIGPIPE, 2},
		{{"exit 2", "exec yes", "head -n 1"}, 0, 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		const struct verdict *verdict = &verdicts[i];
		struct ayre_pipeline *pipeline =
			new_pipeline_with(PIPELINE_OPTIONS(.flags = verdict->flags));
		struct ayre_pipeline_result result;

		for (int j = 0; j < STAGES; j++)
			add_shell(pipeline, verdict->scripts[j]);
		quiet_input(pipeline);
		add_redirection(pipeline, .stage = 2, .fd = 1, .kind = AYRE_REDIRECT_NOTHING);
		assert_int_equal(run_and_free(pipeline, &result), verdict->status);
		assert_int_equal(result.exit_status, verdict->status);
		assert_int_equal(result.failed_stage, verdict->failed);
		assert_int_equal(result.error, 0);
		assert_int_equal(result.strays_ended, 0);
		assert_false(result.drain_cut);
		assert_true(result.wall_ns > 0);
	}
}

static void each_end_is_told(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct ayre_process_end end;

	(void)state;
	add_shell(pipeline, "exit 141");
	add_shell(pipeline, "kill -PIPE $$");
	add_shell(pipeline, "exit 0");
	quiet_input(pipeline);
	assert_int_equal(run_all(pipeline, NULL), 141);
	end = info_of(pipeline, 0).end;
	assert_int_equal(end.outcome, AYRE_OUTCOME_EXITED);
	assert_int_equal(end.status, 141);
	end = info_of(pipeline, 1).end;
	assert_int_equal(end.outcome, AYRE_OUTCOME_SIGNALED);
	assert_int_equal(end.signal_number, SIGPIPE);
	end = info_of(pipeline, 2).end;
	assert_int_equal(end.outcome, AYRE_OUTCOME_EXITED);
	assert_int_equal(end.status, 0);
	assert_true(end.ended_ns >= end.started_ns && end.user_ns >= 0 && end.system_ns >= 0);
	ayre_pipeline_free(pipeline);
}

/* --- a host with habits of its own --- */

static atomic_int caught;

static void count_signal(int number)
{
	(void)number;
	atomic_fetch_add(&caught, 1);
}

static void no_signal_reaches_the_host(void **state)
{
	static const int numbers[] = {SIGPIPE, SIGTERM, SIGCONT};
	static char zeros[1 << 20];

	(void)state;
	atomic_store(&caught, 0);
	for (size_t i = 0; i < 3; i++)
		signal(numbers[i], count_signal);
	for (int fan = 0; fan < 2; fan++) {
		struct ayre_pipeline *pipeline = new_pipeline();

		ayre_pipeline_command(pipeline, "cat", NULL);
		ayre_pipeline_feed(pipeline, zeros, sizeof(zeros));
		for (int i = 0; i < 1 + fan; i++) {
			add_shell(pipeline, "exec head -c 1");
			ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
			ayre_pipeline_connect(pipeline, 0, 1 + i);
		}
		assert_int_equal(run_and_free(pipeline, NULL), 0);
	}
	assert_int_equal(atomic_load(&caught), 0);
	for (size_t i = 0; i < 3; i++)
		signal(numbers[i], SIG_DFL);
}

static int ignoring_children(void *context)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	struct ayre_stage_info info = {.size = sizeof(info)};
	int status;

	(void)context;
	signal(SIGCHLD, SIG_IGN);
	ayre_pipeline_command(pipeline, "sh", "-c", "exit 5", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_function(pipeline, "drain", read_drain, &(struct drain){.most = 0});
	ayre_pipeline_redirect(pipeline,
	                       &(struct ayre_redirection){.size = sizeof(struct ayre_redirection),
	                                                  .kind = AYRE_REDIRECT_NOTHING});
	status = ayre_pipeline_run(pipeline, &result, NULL);
	require(ayre_pipeline_stage(pipeline, 0, &info) == 0);
	/* Since Linux 6.15 the kernel tells twice. */
	if (info.end.outcome == AYRE_OUTCOME_EXITED)
		require(status == 5 && result.failed_stage == 0);
	else
		require(info.end.outcome == AYRE_OUTCOME_LOST && status == 1);
	ayre_pipeline_free(pipeline);
	return 0;
}

static atomic_bool thief_ends;

static void *steal(void *context)
{
	(void)context;
	while (!atomic_load(&thief_ends))
		if (waitpid(-1, NULL, WNOHANG) <= 0)
			usleep(100);
	return NULL;
}

static int beside_a_thief(void *context)
{
	pthread_t thief;

	(void)context;
	require(pthread_create(&thief, NULL, steal, NULL) == 0);
	for (int i = 0; i < 50; i++) {
		struct ayre_pipeline *pipeline = ayre_pipeline_new();
		struct ayre_stage_info info = {.size = sizeof(info)};

		ayre_pipeline_command(pipeline, "false", NULL);
		ayre_pipeline_command(pipeline, "cat", NULL);
		require(ayre_pipeline_run(pipeline, NULL, NULL) == 1);
		require(ayre_pipeline_stage(pipeline, 0, &info) == 0);
		require(info.end.outcome == AYRE_OUTCOME_LOST || info.end.status == 1);
		ayre_pipeline_free(pipeline);
	}
	atomic_store(&thief_ends, true);
	pthread_join(thief, NULL);
	return 0;
}

static void hosts_that_take_the_news(void **state)
{
	(void)state;
	assert_exited(run_in_child(ignoring_children, NULL));
	assert_exited(run_in_child(beside_a_thief, NULL));
}

static void *run_many(void *context)
{
	intptr_t wrong = 0;

	(void)context;
	for (int i = 0; i < 40; i++) {
		struct ayre_pipeline *pipeline = ayre_pipeline_new();
		char text[32];
		const char *bytes;
		struct source source = {.total = 1};

		snprintf(text, sizeof(text), "%p %d", (void *)&source, i);
		ayre_pipeline_command(pipeline, "cat", NULL);
		ayre_pipeline_feed(pipeline, text, strlen(text));
		if (i % 4 == 0)
			ayre_pipeline_function(pipeline, "source", write_source, &source);
		ayre_pipeline_command(pipeline, "cat", NULL);
		ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
		wrong += ayre_pipeline_run(pipeline, NULL, NULL) != 0;
		if (i % 4)
			wrong += ayre_pipeline_captured(pipeline, 1, 1, &bytes, NULL) !=
			                 (ssize_t)strlen(text) ||
			         memcmp(bytes, text, strlen(text)) != 0;
		ayre_pipeline_free(pipeline);
	}
	return (void *)wrong;
}

static void four_threads(void **state)
{
	pthread_t threads[4];
	void *wrong;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, NULL), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

/* --- bytes --- */

#define SOME_BYTES 3000000

static void bytes_are_counted(void **state)
{
	static char bytes[SOME_BYTES];
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "head", "-c", "1000000", NULL);
	ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	ayre_pipeline_feed(pipeline, bytes, sizeof(bytes));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 2, 1, "1000000\n");
	assert_int_equal(info_of(pipeline, 1).written_bytes, 1000000);
	assert_int_equal(pipe_of(pipeline, 1).passed_bytes, 1000000);
	assert_int_equal(info_of(pipeline, 2).read_bytes, 1000000);
	assert_int_equal(info_of(pipeline, 2).written_bytes, 8);
	/* What went in is what was taken, not what was offered. */
	assert_in_range(info_of(pipeline, 0).read_bytes, 1000000, SOME_BYTES);
	assert_in_range(info_of(pipeline, 0).written_bytes, 1000000, SOME_BYTES);
	ayre_pipeline_free(pipeline);
}

static void bytes_of_files_are_counted(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char in[NAME_BYTES], out[NAME_BYTES];
	struct source source = {.total = SOME_BYTES};

	(void)state;
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_WRITE, .path = path_of(in, "in"));
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).written_bytes, SOME_BYTES);
	ayre_pipeline_free(pipeline);

	pipeline = new_pipeline();
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	add_redirection(pipeline, .fd = 0, .kind = AYRE_REDIRECT_READ, .path = in);
	add_redirection(pipeline, .stage = 1, .fd = 1, .kind = AYRE_REDIRECT_WRITE,
	                .path = path_of(out, "out"));
	assert_int_equal(run_all(pipeline, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(info_of(pipeline, i).read_bytes, SOME_BYTES);
		assert_int_equal(info_of(pipeline, i).written_bytes, SOME_BYTES);
	}
	assert_int_equal(pipe_of(pipeline, 0).passed_bytes, SOME_BYTES);
	assert_int_equal(size_of(out), SOME_BYTES);
	ayre_pipeline_free(pipeline);
	unlink(in);
	unlink(out);
}

static void bytes_of_functions_are_counted(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct source source = {.total = 12345};
	struct drain drain = {.most = 0};

	(void)state;
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	ayre_pipeline_function(pipeline, "drain", read_drain, &drain);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).written_bytes, 12345);
	assert_int_equal(info_of(pipeline, 1).read_bytes, 12345);
	assert_int_equal(info_of(pipeline, 1).written_bytes, 0);
	ayre_pipeline_free(pipeline);
}

static void bytes_of_fans_are_counted(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct source source = {.total = 1000000};

	(void)state;
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	for (int i = 1; i < 4; i++) {
		ayre_pipeline_command(pipeline, "wc", "-c", NULL);
		ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
		ayre_pipeline_connect(pipeline, 0, i);
	}
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).written_bytes, 1000000);
	for (int i = 1; i < 4; i++) {
		assert_captured(pipeline, i, 1, "1000000\n");
		assert_int_equal(info_of(pipeline, i).read_bytes, 1000000);
		assert_int_equal(info_of(pipeline, i).written_bytes, 8);
	}
	for (int i = 0; i < ayre_pipeline_pipe_count(pipeline); i++)
		assert_int_equal(pipe_of(pipeline, i).passed_bytes, 1000000);
	ayre_pipeline_free(pipeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(the_rightmost_that_failed),
		counted_test(each_end_is_told),
		counted_test(no_signal_reaches_the_host),
		counted_test(hosts_that_take_the_news),
		counted_test(four_threads),
		counted_test(bytes_are_counted),
		counted_test(bytes_of_files_are_counted),
		counted_test(bytes_of_functions_are_counted),
		counted_test(bytes_of_fans_are_counted),
	};

	return run_counted("pipeline_outcome", tests);
}
