/*
 * Fault injection: the n-th call of the C library that can fail does fail, for every n, while a
 * pipeline of every kind of part is put together, started, run and let go of. A function's child is
 * a fork, so that its calls fail too.
 *
 * What has to hold whatever fails: it ends; a failed start leaves outputs as they were and says
 * why; nothing is left behind, no process least of all; and success is one.
 */
#include "process/pipeline_world.h"

#include "support/fault.h"

#define TEXT     "fed from memory\n"
#define CONTENT  "content"
#define LIFE_NS  (3000 * MS)
#define EXPECTED "FED FROM MEMORY\nFED FROM MEMORY\n"

struct scene {
	char existing[NAME_BYTES], fresh[NAME_BYTES];
	struct ayre_pipeline *pipeline;
	struct ayre_error error;
	struct ayre_pipeline_result result;
	bool started;
};

static unsigned int points_tried;

static int raise_letters(void *context)
{
	int letter;

	(void)context;
	while ((letter = getchar()) != EOF)
		putchar(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
	return 0;
}

static void redirect(struct ayre_pipeline *pipeline, int stage, int fd, enum ayre_redirect kind,
                     const char *path)
{
	const struct ayre_redirection redirection = {.size = sizeof(redirection),
	                                             .stage = stage,
	                                             .fd = fd,
	                                             .kind = kind,
	                                             .path = path,
	                                             .host_fd = 1};

	ayre_pipeline_redirect(pipeline, &redirection);
}

/*
 *	feed -> cat -> letters (a function) -+-> cat -+-> cat -> capture
 *	                                     +-> cat -+
 *	                                     +-> a file that is there
 */
static int put_together(struct scene *scene)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();

	scene->pipeline = pipeline;
	if (!pipeline)
		return -ENOMEM;
	ayre_pipeline_set_options(pipeline, PIPELINE_OPTIONS(.deadline_ns = now_ns() + LIFE_NS,
	                                                     .grace_ns = 100 * MS));
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_feed(pipeline, TEXT, strlen(TEXT));
	ayre_pipeline_function(pipeline, "letters", raise_letters, NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_stage_options(pipeline, 4, STAGE_OPTIONS(.directory = "/"));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	ayre_pipeline_connect(pipeline, 0, 1);
	ayre_pipeline_connect(pipeline, 1, 2);
	ayre_pipeline_connect(pipeline, 1, 3);
	ayre_pipeline_connect(pipeline, 2, 4);
	ayre_pipeline_connect(pipeline, 3, 4);
	redirect(pipeline, 1, 1, AYRE_REDIRECT_TEE_WRITE, scene->existing);
	redirect(pipeline, 0, 2, AYRE_REDIRECT_WRITE, scene->fresh);
	redirect(pipeline, 2, 2, AYRE_REDIRECT_NOTHING, NULL);
	redirect(pipeline, 3, 2, AYRE_REDIRECT_SAME, NULL);
	return 0;
}

/* Returns as ayre_pipeline_run(). */
static int run_scene(struct scene *scene)
{
	int result = put_together(scene);

	if (result < 0)
		return result;
	result = ayre_pipeline_start(scene->pipeline, &scene->error);
	if (result < 0)
		return result;
	scene->started = true;
	result = ayre_pipeline_wait_until(scene->pipeline, INT64_MAX);
	if (result < 0)
		return result;
	scene->result.size = sizeof(scene->result);
	result = ayre_pipeline_get_result(scene->pipeline, &scene->result);
	if (result < 0)
		return result;
	return scene->result.error < 0 ? scene->result.error : scene->result.exit_status;
}

static void assert_success(struct scene *scene, int result)
{
	const char *bytes;
	uint64_t total;

	assert_int_equal(result, 0);
	assert_int_equal(ayre_pipeline_captured(scene->pipeline, 4, 1, &bytes, &total),
	                 strlen(EXPECTED));
	assert_memory_equal(bytes, EXPECTED, strlen(EXPECTED));
	assert_file(scene->existing, "FED FROM MEMORY\n");
	assert_file(scene->fresh, "");
}

static void assert_not_started(struct scene *scene, const struct fault_report *report, int result)
{
	assert_true(result < 0);
	if (scene->pipeline) {
		assert_int_equal(scene->error.code, result);
		assert_true(scene->error.step[0] && scene->error.object[0]);
	}
	/* Once the programs run, they have run: watching them is the very last step. */
	if (report->symbol && strcmp(report->symbol, "epoll_ctl") == 0)
		write_file(scene->existing, CONTENT);
	assert_file(scene->existing, CONTENT);
	if (!report->symbol || strcmp(report->symbol, "unlink") != 0)
		assert_false(exists(scene->fresh));
}

/* false: there are fewer calls than that. */
static bool inject(unsigned int nth, unsigned int variant)
{
	struct scene scene = {.started = false};
	struct counts before = take_counts();
	long blocks = fault_blocks();
	struct fault_report report;
	int64_t begin = now_ns();
	int result;

	write_file(path_of(scene.existing, "existing"), CONTENT);
	path_of(scene.fresh, "fresh");
	fault_arm(nth, variant);
	result = run_scene(&scene);
	report = fault_disarm();
	if (nth > 0 && getenv("AYRE_TEST_LOUD"))
		print_message("# %u.%u %s %d: %d, %s %s\n", nth, variant,
		              report.symbol ? report.symbol : "-", report.error, result,
		              scene.error.step, scene.error.object);
	/* It has not waited for its deadline. */
	assert_true(now_ns() - begin < LIFE_NS);
	if (!scene.started)
		assert_not_started(&scene, &report, result);
	else if (result == 0)
		assert_success(&scene, result);
	ayre_pipeline_free(scene.pipeline);
	unlink(scene.existing);
	unlink(scene.fresh);
	assert_counts(&before);
	assert_nobody_left();
	if (nth > 0)
		assert_int_equal(fault_blocks(), blocks);
	points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

static unsigned int next(unsigned int nth)
{
	return nth < 300 || long_form() ? nth + 1 : nth + 5;
}

static void every_fault_is_survived(void **state)
{
	(void)state;
	set_deadline(200);
	mark_processes();
	inject(0, 0);
	inject(0, 0);
	for (unsigned int variant = 0; variant < (long_form() ? fault_variants() : 3); variant++)
		for (unsigned int nth = 1; inject(nth, variant);)
			nth = next(nth);
}

/* It is let go of while it runs, which can meet the same. */
static void freeing_survives_every_fault(void **state)
{
	struct fault_report report = {.calls = 1};
	struct counts before = take_counts();

	(void)state;
	mark_processes();
	for (unsigned int nth = 1; report.calls >= nth - 1 && nth < 400; nth++) {
		struct ayre_pipeline *pipeline = new_pipeline();

		add_shell(pipeline, "sleep 1000 & sleep 1000");
		ayre_pipeline_command(pipeline, "cat", NULL);
		ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
		quiet_input(pipeline);
		start(pipeline);
		fault_arm(nth, 0);
		ayre_pipeline_free(pipeline);
		report = fault_disarm();
		assert_counts(&before);
		assert_nobody_left();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_fault_is_survived),
		counted_test(freeing_survives_every_fault),
	};
	int result = run_counted("pipeline_fault", tests);

	print_message("# fault points tried: %u\n", points_tried);
	return result;
}
