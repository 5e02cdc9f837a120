/*
 * Putting a pipeline together.
 *
 * Invariant: what is given is copied (but options of stages and bytes to be fed, as the header
 * says), and the first error stays until the start, so that callers need not check each call.
 */
#include "process/pipeline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "process/end.h"
#include "process/meter.h"
#include "sys/child.h"

#define KNOWN_FLAGS \
	(AYRE_PIPELINE_SAME_GROUP | AYRE_PIPELINE_STRICT | AYRE_PIPELINE_END_ORPHANS | \
	 AYRE_PIPELINE_DIE_WITH_PARENT)

#define DEFAULT_BOUND_BYTES ((size_t)64 * 1024 * 1024)

void *ayrei_grow(void *array, size_t *count, size_t element_bytes)
{
	/* Twice as many each time: at the powers of two there is no room. */
	if ((*count & (*count - 1)) == 0) {
		size_t room = *count ? 2 * *count : 1;

		array = reallocarray(array, room, element_bytes);
		if (!array)
			return NULL;
	}
	memset((char *)array + *count * element_bytes, 0, element_bytes);
	(*count)++;
	return array;
}

static int fail(struct ayre_pipeline *pipeline, int code, const char *step, const char *object,
                const char *detail)
{
	if (pipeline->error.code == 0)
		ayrei_fail(&pipeline->error, code, step, object, detail ? "%s" : NULL, detail);
	return code;
}

struct ayre_pipeline *ayre_pipeline_new(void)
{
	struct ayre_pipeline *pipeline = calloc(1, sizeof(*pipeline));

	if (!pipeline)
		return NULL;
	pipeline->set = -1;
	pipeline->timer = -1;
	pipeline->null_fd = -1;
	pipeline->failed_stage = -1;
	pipeline->result.failed_stage = -1;
	return pipeline;
}

static void free_stage(struct ayrei_stage *stage)
{
	if (stage->launched)
		ayrei_launch_fini(&stage->launch);
	for (char **argument = stage->arguments; argument && *argument; argument++)
		free(*argument);
	free(stage->arguments);
	free(stage->name);
	ayrei_file_close(stage->pidfd);
	ayrei_file_close(stage->input_file);
	ayrei_file_close(stage->output_file);
}

static void free_flows(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->feed_count; i++)
		ayrei_file_close(pipeline->feeds[i].fd);
	for (size_t i = 0; i < pipeline->capture_count; i++)
		ayrei_capture_free(&pipeline->captures[i]);
	for (size_t i = 0; i < pipeline->fan_count; i++)
		ayrei_fan_free(&pipeline->fans[i]);
	for (size_t i = 0; i < pipeline->stray_count; i++)
		ayrei_file_close(pipeline->strays[i].pidfd);
}

void ayre_pipeline_free(struct ayre_pipeline *pipeline)
{
	int saved = errno;

	if (!pipeline)
		return;
	if (pipeline->started && !pipeline->ended) {
		ayrei_tree_kill(pipeline);
		for (size_t i = 0; i < pipeline->stage_count; i++)
			ayrei_stage_reap(&pipeline->stages[i]);
		ayrei_strays_reap(pipeline);
	}
	ayrei_pipeline_close_plan(pipeline, false);
	free_flows(pipeline);
	for (size_t i = 0; i < pipeline->stage_count; i++)
		free_stage(&pipeline->stages[i]);
	for (size_t i = 0; i < pipeline->redirection_count; i++)
		free(pipeline->redirections[i].path);
	ayrei_meter_free(pipeline->meter);
	ayrei_file_close(pipeline->set);
	ayrei_file_close(pipeline->timer);
	ayrei_file_close(pipeline->null_fd);
	free(pipeline->stages);
	free(pipeline->connections);
	free(pipeline->redirections);
	free(pipeline->files);
	free(pipeline->pipes);
	free(pipeline->feeds);
	free(pipeline->captures);
	free(pipeline->fans);
	free(pipeline->strays);
	free(pipeline);
	errno = saved;
}

/* After the start nothing is added. */
static int check_open(struct ayre_pipeline *pipeline)
{
	if (pipeline->started)
		return -EINVAL;
	return pipeline->error.code;
}

int ayre_pipeline_set_options(struct ayre_pipeline *pipeline,
                              const struct ayre_pipeline_options *options)
{
	struct ayre_pipeline_options copy;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return fail(pipeline, -EINVAL, "options", "pipeline",
		            "the options' size is not set");
	if (copy.flags & ~(uint32_t)KNOWN_FLAGS)
		return fail(pipeline, -EINVAL, "options", "pipeline", "unknown flags");
	if (copy.deadline_ns < 0 || copy.grace_ns < 0 || copy.drain_ns < 0)
		return fail(pipeline, -EINVAL, "options", "pipeline", "a time is negative");
	pipeline->options = copy;
	return 0;
}

/* --- stages --- */

static struct ayrei_stage *add_stage(struct ayre_pipeline *pipeline, const char *name)
{
	struct ayrei_stage *stage = AYREI_APPEND(pipeline->stages, pipeline->stage_count);

	if (!stage)
		return NULL;
	stage->input_pipe = stage->output_pipe = -1;
	stage->input_file = stage->output_file = -1;
	stage->feed = stage->output_capture = -1;
	stage->pidfd = -1;
	stage->options.size = sizeof(stage->options);
	stage->end = ayrei_end_not_started();
	stage->name = strdup(name);
	return stage->name ? stage : NULL;
}

static bool copy_arguments(struct ayrei_stage *stage, const char *const *arguments)
{
	size_t count = 0;

	while (arguments[count])
		count++;
	stage->arguments = calloc(count + 1, sizeof(*stage->arguments));
	for (size_t i = 0; stage->arguments && i < count; i++) {
		stage->arguments[i] = strdup(arguments[i]);
		if (!stage->arguments[i])
			return false;
	}
	return stage->arguments != NULL;
}

int ayre_pipeline_arguments(struct ayre_pipeline *pipeline, const char *const *arguments)
{
	struct ayrei_stage *stage;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!arguments || !arguments[0])
		return fail(pipeline, -EINVAL, "stage", "pipeline", "a stage without a program");
	stage = add_stage(pipeline, arguments[0]);
	if (!stage || !copy_arguments(stage, arguments))
		return fail(pipeline, -ENOMEM, "stage", arguments[0], NULL);
	return (int)pipeline->stage_count - 1;
}

/* As many as came by registers and stack, and a NULL. */
static const char **collect(const char *program, va_list *rest)
{
	va_list again;
	size_t count = 1;
	const char **arguments;

	va_copy(again, *rest);
	while (va_arg(again, const char *))
		count++;
	va_end(again);
	arguments = calloc(count + 1, sizeof(*arguments));
	if (!arguments)
		return NULL;
	arguments[0] = program;
	for (size_t i = 1; i < count; i++)
		arguments[i] = va_arg(*rest, const char *);
	return arguments;
}

int ayre_pipeline_command(struct ayre_pipeline *pipeline, const char *program, ...)
{
	const char **arguments;
	va_list rest;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!program)
		return fail(pipeline, -EINVAL, "stage", "pipeline", "a stage without a program");
	va_start(rest, program);
	arguments = collect(program, &rest);
	va_end(rest);
	result = arguments ? ayre_pipeline_arguments(pipeline, arguments)
	                   : fail(pipeline, -ENOMEM, "stage", program, NULL);
	free(arguments);
	return result;
}

int ayre_pipeline_function(struct ayre_pipeline *pipeline, const char *name,
                           int (*run)(void *context), void *context)
{
	struct ayrei_stage *stage;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!name || !run)
		return fail(pipeline, -EINVAL, "stage", "pipeline", "a stage without a function");
	stage = add_stage(pipeline, name);
	if (!stage)
		return fail(pipeline, -ENOMEM, "stage", name, NULL);
	stage->function = run;
	stage->context = context;
	return (int)pipeline->stage_count - 1;
}

static bool is_stage(const struct ayre_pipeline *pipeline, int stage)
{
	return stage >= 0 && (size_t)stage < pipeline->stage_count;
}

int ayre_pipeline_stage_options(struct ayre_pipeline *pipeline, int stage,
                                const struct ayre_process_options *options)
{
	struct ayre_process_options copy;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!is_stage(pipeline, stage))
		return fail(pipeline, -EINVAL, "options", "pipeline", "there is no such stage");
	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return fail(pipeline, -EINVAL, "options", pipeline->stages[stage].name,
		            "the options' size is not set");
	pipeline->stages[stage].options = copy;
	return 0;
}

int ayre_pipeline_connect(struct ayre_pipeline *pipeline, int from, int to)
{
	struct ayrei_connection *connection;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!is_stage(pipeline, from) || !is_stage(pipeline, to) || from == to)
		return fail(pipeline, -EINVAL, "connect", "pipeline",
		            "a connection needs two different stages");
	for (size_t i = 0; i < pipeline->connection_count; i++)
		if (pipeline->connections[i].from == from && pipeline->connections[i].to == to)
			return 0;
	connection = AYREI_APPEND(pipeline->connections, pipeline->connection_count);
	if (!connection)
		return fail(pipeline, -ENOMEM, "connect", "pipeline", NULL);
	*connection = (struct ayrei_connection){from, to};
	return 0;
}

/* --- redirections --- */

static const char *find_bad_redirection(const struct ayre_pipeline *pipeline,
                                        const struct ayre_redirection *given)
{
	if (!is_stage(pipeline, given->stage))
		return "there is no such stage";
	if (given->fd < 0)
		return "the descriptor is negative";
	switch (given->kind) {
	case AYRE_REDIRECT_TEE_WRITE:
	case AYRE_REDIRECT_TEE_APPEND:
		if (given->fd != 1)
			return "only standard output can be copied";
		return given->path ? NULL : "a file without a path";
	case AYRE_REDIRECT_READ:
	case AYRE_REDIRECT_WRITE:
	case AYRE_REDIRECT_APPEND:
		return given->path ? NULL : "a file without a path";
	case AYRE_REDIRECT_FD:
	case AYRE_REDIRECT_SAME:
		return given->host_fd >= 0 ? NULL : "the descriptor is negative";
	case AYRE_REDIRECT_FEED:
		return given->bytes || !given->byte_count ? NULL : "bytes without an address";
	case AYRE_REDIRECT_CAPTURE:
		return (unsigned int)given->at_bound <= AYRE_AT_BOUND_KEEP_LAST
		               ? NULL
		               : "no such way to end at the bound";
	case AYRE_REDIRECT_NOTHING:
		return NULL;
	}
	return "no such kind of redirection";
}

int ayre_pipeline_redirect(struct ayre_pipeline *pipeline,
                           const struct ayre_redirection *redirection)
{
	struct ayrei_redirection *added;
	struct ayre_redirection copy;
	const char *bad;
	int result = check_open(pipeline);

	if (result < 0)
		return result;
	if (!redirection || ayrei_options_copy(&copy, sizeof(copy), redirection) < 0)
		return fail(pipeline, -EINVAL, "redirect", "pipeline",
		            "the redirection's size is not set");
	bad = find_bad_redirection(pipeline, &copy);
	if (bad)
		return fail(pipeline, -EINVAL, "redirect", "pipeline", bad);
	if (!copy.bound_bytes)
		copy.bound_bytes = DEFAULT_BOUND_BYTES;
	added = AYREI_APPEND(pipeline->redirections, pipeline->redirection_count);
	if (!added)
		return fail(pipeline, -ENOMEM, "redirect", "pipeline", NULL);
	added->given = copy;
	if (copy.path) {
		added->path = strdup(copy.path);
		if (!added->path)
			return fail(pipeline, -ENOMEM, "redirect", copy.path, NULL);
		added->given.path = added->path;
	}
	return 0;
}

int ayre_pipeline_feed(struct ayre_pipeline *pipeline, const void *bytes, size_t byte_count)
{
	struct ayre_redirection redirection = {
		.size = sizeof(redirection),
		.kind = AYRE_REDIRECT_FEED,
		.bytes = bytes,
		.byte_count = byte_count,
	};

	return ayre_pipeline_redirect(pipeline, &redirection);
}

int ayre_pipeline_capture(struct ayre_pipeline *pipeline, size_t bound_bytes,
                          enum ayre_at_bound at_bound)
{
	struct ayre_redirection redirection = {
		.size = sizeof(redirection),
		.stage = (int)pipeline->stage_count - 1,
		.fd = 1,
		.kind = AYRE_REDIRECT_CAPTURE,
		.bound_bytes = bound_bytes,
		.at_bound = at_bound,
	};

	return ayre_pipeline_redirect(pipeline, &redirection);
}
