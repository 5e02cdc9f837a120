/*
 * Thousands of pipelines in a row, of every kind that ends badly or well: afterwards there is as
 * much of everything as before.
 */
#include "process/pipeline_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#define MOST_THREADS 8

static atomic_uint next_number, count_wrong;
static unsigned int count_wanted;
static const char *first_wrong;

static void check(bool right, const char *what)
{
	if (right)
		return;
	if (atomic_fetch_add(&count_wrong, 1) == 0)
		first_wrong = what;
}
#define CHECK(expression) check(expression, #expression)

static void redirect(struct ayre_pipeline *pipeline, int stage, int fd, enum ayre_redirect kind)
{
	const struct ayre_redirection redirection = {
		.size = sizeof(redirection), .stage = stage, .fd = fd, .kind = kind};

	ayre_pipeline_redirect(pipeline, &redirection);
}

static bool captured(struct ayre_pipeline *pipeline, int stage, const char *text)
{
	const char *bytes;
	ssize_t length = ayre_pipeline_captured(pipeline, stage, 1, &bytes, NULL);

	return length == (ssize_t)strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

/* --- kinds of pipelines --- */

static void succeed(struct ayre_pipeline *pipeline)
{
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	ayre_pipeline_feed(pipeline, "1234", 4);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	CHECK(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
	CHECK(captured(pipeline, 1, "4\n"));
}

static void miss_a_program(struct ayre_pipeline *pipeline)
{
	struct ayre_error error;

	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_function(pipeline, "source", write_source, &(struct source){.total = 1});
	ayre_pipeline_command(pipeline, "nosuch-program", NULL);
	CHECK(ayre_pipeline_run(pipeline, NULL, &error) == -ENOENT);
}

static void kill_a_stage(struct ayre_pipeline *pipeline)
{
	struct ayre_stage_info info = {.size = sizeof(info)};

	ayre_pipeline_command(pipeline, "sleep", "1000", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	CHECK(ayre_pipeline_start(pipeline, NULL) == 0);
	CHECK(ayre_pipeline_stage(pipeline, 0, &info) == 0);
	kill(info.pid, SIGKILL);
	CHECK(ayre_pipeline_wait_until(pipeline, INT64_MAX) == 0);
	CHECK(ayre_pipeline_stage(pipeline, 0, &info) == 0);
	CHECK(info.end.signal_number == SIGKILL);
}

static void pass_the_deadline(struct ayre_pipeline *pipeline)
{
	ayre_pipeline_set_options(pipeline, PIPELINE_OPTIONS(.deadline_ns = now_ns() + 3 * MS));
	ayre_pipeline_command(pipeline, "sh", "-c", "sleep 1000 & sleep 1000", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	CHECK(ayre_pipeline_run(pipeline, NULL, NULL) == -ETIMEDOUT);
}

static void call_functions(struct ayre_pipeline *pipeline)
{
	struct source source = {.total = 100000};
	struct drain drain = {0};

	ayre_pipeline_function(pipeline, "source", write_source, &source);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_function(pipeline, "drain", read_drain, &drain);
	CHECK(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
}

static void fan_out(struct ayre_pipeline *pipeline)
{
	struct source source = {.total = 50000, .piece = 500};

	ayre_pipeline_function(pipeline, "source", write_source, &source);
	for (int i = 1; i < 4; i++) {
		ayre_pipeline_command(pipeline, "wc", "-c", NULL);
		ayre_pipeline_connect(pipeline, 0, i);
		ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	}
	CHECK(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
	for (int i = 1; i < 4; i++)
		CHECK(captured(pipeline, i, "50000\n"));
}

static void let_go_of_it(struct ayre_pipeline *pipeline)
{
	ayre_pipeline_command(pipeline, "sleep", "1000", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	redirect(pipeline, 0, 0, AYRE_REDIRECT_NOTHING);
	CHECK(ayre_pipeline_start(pipeline, NULL) == 0);
}

static void have_enough(struct ayre_pipeline *pipeline)
{
	ayre_pipeline_command(pipeline, "yes", NULL);
	ayre_pipeline_capture(pipeline, 5000, AYRE_AT_BOUND_STOP);
	CHECK(ayre_pipeline_run(pipeline, NULL, NULL) == 0);
}

/* Nothing of it is ever started. */
static void put_together_only(struct ayre_pipeline *pipeline)
{
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_feed(pipeline, "text", 4);
	ayre_pipeline_connect(pipeline, 0, 7);
}

static void *run_them(void *context)
{
	static void (*const kinds[])(struct ayre_pipeline *) = {
		succeed, miss_a_program, kill_a_stage, pass_the_deadline, call_functions,
		fan_out, let_go_of_it,   have_enough,  put_together_only,
	};
	unsigned int number;

	(void)context;
	while ((number = atomic_fetch_add(&next_number, 1)) < count_wanted) {
		struct ayre_pipeline *pipeline = ayre_pipeline_new();

		kinds[number % (sizeof(kinds) / sizeof(*kinds))](pipeline);
		ayre_pipeline_free(pipeline);
	}
	return NULL;
}

static void thousands_leave_nothing(void **state)
{
	unsigned int thread_count = long_form() ? MOST_THREADS : 2;
	pthread_t threads[MOST_THREADS];
	struct counts before;

	(void)state;
	set_deadline(200);
	mark_processes();
	count_wanted = 20;
	run_them(NULL);
	before = take_counts();
	atomic_store(&next_number, 0);
	count_wanted = long_form() ? 100000 : 2000;
	for (unsigned int i = 0; i < thread_count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_them, NULL), 0);
	for (unsigned int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	print_message("# pipelines: %u, in %u threads\n", count_wanted, thread_count);
	if (atomic_load(&count_wrong))
		fail_msg("%u wrong, the first: %s", atomic_load(&count_wrong), first_wrong);
	assert_counts(&before);
	assert_nobody_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(thousands_leave_nothing),
	};

	return run_counted("pipeline_soak", tests);
}
