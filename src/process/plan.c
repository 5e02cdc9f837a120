/*
 * Who writes where: the connections of a pipeline become pipes and wires; its redirections are left
 * to redirect.c.
 *
 * Invariant: everything that can fail without a process has been tried when the plan stands, and
 * nothing of anybody's has been changed: outputs are emptied by ayrei_pipeline_truncate(), the last
 * step before the start, and files that had to be made are removed again if it fails.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "process/pipeline.h"
#include "process/plan.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* Is there one among those from this number on? */
static bool is_redirected_from(const struct ayre_pipeline *pipeline, size_t begin, int stage,
                               int fd)
{
	for (size_t i = begin; i < pipeline->redirection_count; i++) {
		const struct ayrei_redirection *redirection = &pipeline->redirections[i];

		if (redirection->given.stage == stage && redirection->given.fd == fd &&
		    !ayrei_redirect_is_tee(redirection))
			return true;
	}
	return false;
}

static bool is_redirected(const struct ayre_pipeline *pipeline, int stage, int fd)
{
	return is_redirected_from(pipeline, 0, stage, fd);
}

/* The last one counts; copies add up. */
bool ayrei_plan_is_replaced(const struct ayre_pipeline *pipeline, size_t index)
{
	const struct ayrei_redirection *one = &pipeline->redirections[index];

	return !ayrei_redirect_is_tee(one) &&
	       is_redirected_from(pipeline, index + 1, one->given.stage, one->given.fd);
}

static bool has_source(const struct ayre_pipeline *pipeline, int stage)
{
	for (size_t i = 0; i < pipeline->connection_count; i++)
		if (pipeline->connections[i].to == stage)
			return true;
	return is_redirected(pipeline, stage, 0);
}

/* Who says nothing else reads what the stage before it writes. */
static int connect_neighbours(struct ayre_pipeline *pipeline)
{
	for (int i = 1; i < (int)pipeline->stage_count; i++) {
		struct ayrei_connection *connection;

		if (has_source(pipeline, i))
			continue;
		connection = AYREI_APPEND(pipeline->connections, pipeline->connection_count);
		if (!connection)
			return -ENOMEM;
		*connection = (struct ayrei_connection){i - 1, i};
	}
	return 0;
}

static size_t count_sinks(const struct ayre_pipeline *pipeline, int stage)
{
	size_t count = 0, tees = 0;

	for (size_t i = 0; i < pipeline->redirection_count; i++)
		tees += pipeline->redirections[i].given.stage == stage &&
		        ayrei_redirect_is_tee(&pipeline->redirections[i]);
	if (!is_redirected(pipeline, stage, 1))
		for (size_t i = 0; i < pipeline->connection_count; i++)
			count += pipeline->connections[i].from == stage;
	/* A copy, and where it would have gone without. */
	return tees ? tees + (count ? count : 1) : count;
}

/* --- pipes --- */

static int make_pipe(struct ayre_pipeline *pipeline, int from, int to, size_t *ret_index)
{
	struct ayrei_pipe *pipe = AYREI_APPEND(pipeline->pipes, pipeline->pipe_count);
	struct stat status;
	ssize_t granted;
	int result;

	if (!pipe)
		return -ENOMEM;
	*pipe = (struct ayrei_pipe){.from = from, .to = to, .fds = {-1, -1}};
	pipe->asked_bytes = pipeline->options.pipe_bytes ? pipeline->options.pipe_bytes
	                                                 : AYREI_DEFAULT_PIPE_BYTES;
	result = ayrei_pipe_open(pipe->fds);
	if (result < 0)
		return result;
	granted = ayrei_pipe_ask_capacity(pipe->fds[1], pipe->asked_bytes);
	if (granted < 0)
		return (int)granted;
	result = ayrei_file_status(pipe->fds[0], &status);
	if (result < 0)
		return result;
	pipe->granted_bytes = (uint64_t)granted;
	pipe->inode = status.st_ino;
	*ret_index = pipeline->pipe_count - 1;
	return 0;
}

/* The pipe of everybody whose output goes to this stage. */
static int get_input_pipe(struct ayre_pipeline *pipeline, int from, int to, size_t *ret_index)
{
	struct ayrei_stage *stage = &pipeline->stages[to];
	int result;

	if (stage->input_pipe >= 0) {
		*ret_index = (size_t)stage->input_pipe;
		pipeline->pipes[*ret_index].many_writers = true;
		return 0;
	}
	result = make_pipe(pipeline, from, to, ret_index);
	if (result == 0)
		stage->input_pipe = (int)*ret_index;
	return result;
}

int ayrei_plan_wire(struct ayre_pipeline *pipeline, int stage, int fd, int source,
                    struct ayre_error *error)
{
	return ayrei_launch_wire(&pipeline->stages[stage].launch, fd, source, error);
}

int ayrei_plan_fail(const struct ayre_pipeline *pipeline, int stage, int code,
                    struct ayre_error *error)
{
	return ayrei_fail(error, code, "pipe", pipeline->stages[stage].name, NULL);
}

/* --- fans --- */

/* pipe: the number of the pipe that fd is of; -1: none. */
int ayrei_plan_add_sink(struct ayre_pipeline *pipeline, struct ayrei_fan *fan, int fd, int pipe,
                        bool is_copy)
{
	struct ayrei_sink *sink = AYREI_APPEND(fan->sinks, fan->sink_count);

	if (!sink)
		return -ENOMEM;
	*sink = (struct ayrei_sink){.fd = -1, .pipe = pipe, .queue = {-1, -1}, .is_copy = is_copy};
	/* A description of our own, so that closing it is the end for the reader. */
	fd = ayrei_descriptor_above_standard(ayrei_file_duplicate(fd));
	if (fd < 0)
		return fd;
	sink->fd = fd;
	return ayrei_sink_open(sink, pipeline->pipes[fan->pipe].granted_bytes);
}

static int add_consumers(struct ayre_pipeline *pipeline, struct ayrei_fan *fan)
{
	size_t index = 0, count = 0;
	int result = 0;

	for (size_t i = 0; result == 0 && i < pipeline->connection_count; i++) {
		if (pipeline->connections[i].from != fan->stage)
			continue;
		count++;
		result = get_input_pipe(pipeline, fan->stage, pipeline->connections[i].to, &index);
		if (result == 0) {
			pipeline->pipes[index].by_host = true;
			fan->to_stage = true;
			result = ayrei_plan_add_sink(pipeline, fan, pipeline->pipes[index].fds[1],
			                             (int)index, false);
		}
	}
	/* Standard output, where nothing stands in the way of it and the host has one. */
	if (result == 0 && count == 0 && ayrei_descriptor_is_open(STDOUT_FILENO))
		result = ayrei_plan_add_sink(pipeline, fan, STDOUT_FILENO, -1, false);
	return result;
}

static int open_fan(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	struct ayrei_fan *fan = AYREI_APPEND(pipeline->fans, pipeline->fan_count);
	size_t index = 0;
	int first = -1, result;

	if (!fan)
		return ayrei_plan_fail(pipeline, stage, -ENOMEM, error);
	*fan = (struct ayrei_fan){.stage = stage, .source = -1, .write_fd = -1};
	for (size_t i = 0; first < 0 && i < pipeline->connection_count; i++)
		if (pipeline->connections[i].from == stage)
			first = pipeline->connections[i].to;
	result = make_pipe(pipeline, stage, first, &index);
	if (result == 0) {
		struct ayrei_pipe *pipe = &pipeline->pipes[index];

		pipe->by_host = true;
		fan->pipe = (int)index;
		fan->source = pipe->fds[0];
		pipe->fds[0] = -1;
		result = ayrei_descriptor_set_blocking(fan->source, false);
	}
	if (result == 0 && !is_redirected(pipeline, stage, STDOUT_FILENO))
		result = add_consumers(pipeline, fan);
	if (result < 0)
		return ayrei_plan_fail(pipeline, stage, result, error);
	pipeline->stages[stage].output_pipe = (int)index;
	return ayrei_plan_wire(pipeline, stage, 1, pipeline->pipes[index].fds[1], error);
}

struct ayrei_fan *ayrei_plan_find_fan(struct ayre_pipeline *pipeline, int stage)
{
	for (size_t i = 0; i < pipeline->fan_count; i++)
		if (pipeline->fans[i].stage == stage)
			return &pipeline->fans[i];
	return NULL;
}

/* Its output goes elsewhere: who was to read it is at the end at once. */
static int connect_nothing(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->connection_count; i++) {
		int to = pipeline->connections[i].to, result;
		size_t index;

		if (pipeline->connections[i].from != stage || pipeline->stages[to].input_pipe >= 0)
			continue;
		result = get_input_pipe(pipeline, stage, to, &index);
		if (result < 0)
			return ayrei_plan_fail(pipeline, stage, result, error);
		pipeline->pipes[index].by_host = true;
	}
	return 0;
}

static int connect_output(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	size_t index;
	int result;

	if (count_sinks(pipeline, stage) > 1)
		return open_fan(pipeline, stage, error);
	for (size_t i = 0; i < pipeline->connection_count; i++) {
		if (pipeline->connections[i].from != stage)
			continue;
		result = get_input_pipe(pipeline, stage, pipeline->connections[i].to, &index);
		if (result < 0)
			return ayrei_plan_fail(pipeline, stage, result, error);
		pipeline->stages[stage].output_pipe = (int)index;
		return ayrei_plan_wire(pipeline, stage, 1, pipeline->pipes[index].fds[1], error);
	}
	return 0;
}

static int connect_stages(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = connect_neighbours(pipeline);

	if (result < 0)
		return ayrei_plan_fail(pipeline, 0, result, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (!is_redirected(pipeline, i, 1) || count_sinks(pipeline, i) > 1)
			result = connect_output(pipeline, i, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (is_redirected(pipeline, i, 1))
			result = connect_nothing(pipeline, i, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (pipeline->stages[i].input_pipe >= 0)
			result = ayrei_plan_wire(
				pipeline, i, 0,
				pipeline->pipes[pipeline->stages[i].input_pipe].fds[0], error);
	return result;
}

/* --- the whole --- */

static int init_launches(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];
		int result;

		if (pipeline->options.flags & AYRE_PIPELINE_DIE_WITH_PARENT)
			stage->options.flags |= AYRE_PROCESS_DIE_WITH_PARENT;
		stage->launched = true;
		result = ayrei_launch_init(&stage->launch, &stage->options, stage->name,
		                           (const char *const *)stage->arguments, error);
		if (result < 0) {
			pipeline->failed_stage = (int)i;
			return result;
		}
	}
	return 0;
}

/* What the stage's own options put there is nothing that the host has an account of. */
static void forget_accounts(struct ayre_pipeline *pipeline, struct ayrei_stage *stage)
{
	if (is_redirected(pipeline, (int)(stage - pipeline->stages), STDIN_FILENO))
		stage->input_pipe = -1;
	for (size_t i = 0; i < stage->options.wire_count; i++) {
		int fd = stage->options.wires[i].child_fd;

		if (fd == STDIN_FILENO) {
			stage->input_pipe = stage->feed = -1;
			stage->input_file = ayrei_file_close(stage->input_file);
		}
		if (fd == STDOUT_FILENO) {
			stage->output_pipe = stage->output_capture = -1;
			stage->output_file = ayrei_file_close(stage->output_file);
		}
	}
}

int ayrei_pipeline_plan(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = init_launches(pipeline, error);

	if (result == 0)
		result = connect_stages(pipeline, error);
	if (result == 0)
		result = ayrei_plan_redirections(pipeline, error);
	for (size_t i = 0; result >= 0 && i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		forget_accounts(pipeline, stage);
		result = ayrei_launch_finish(&stage->launch, &stage->options, error);
		if (result < 0)
			pipeline->failed_stage = (int)i;
	}
	return result < 0 ? result : 0;
}

void ayrei_pipeline_close_plan(struct ayre_pipeline *pipeline, bool undo)
{
	for (size_t i = 0; i < pipeline->pipe_count; i++)
		for (int end = 0; end < 2; end++)
			pipeline->pipes[i].fds[end] = ayrei_file_close(pipeline->pipes[i].fds[end]);
	for (size_t i = 0; i < pipeline->feed_count; i++)
		pipeline->feeds[i].read_fd = ayrei_file_close(pipeline->feeds[i].read_fd);
	for (size_t i = 0; i < pipeline->capture_count; i++)
		pipeline->captures[i].write_fd = ayrei_file_close(pipeline->captures[i].write_fd);
	ayrei_redirect_close(pipeline, undo);
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->launched)
			ayrei_launch_fini(&stage->launch);
		stage->launched = false;
	}
}
