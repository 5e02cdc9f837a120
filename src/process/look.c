/*
 * What a pipeline does and did, for those who ask.
 *
 * Invariant: a figure is a count of somebody's who counted: the file's position, our own reads and
 * writes, the kernel's account of each process. What none of them tells is -1.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/options.h"
#include "process/meter.h"
#include "process/pipeline.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"

/* --- sampling --- */

static void sample(struct ayre_pipeline *pipeline, struct ayrei_meter_stage *stages,
                   struct ayrei_meter_pipe *pipes)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		const struct ayrei_stage *stage = &pipeline->stages[i];

		stages[i] = (struct ayrei_meter_stage){
			.pid = stage->pid,
			.ended = stage->end.outcome != AYRE_OUTCOME_RUNNING,
			.input_pipe = stage->input_pipe,
			.output_pipe = stage->output_pipe,
		};
	}
	for (size_t i = 0; i < pipeline->pipe_count; i++)
		pipes[i] = (struct ayrei_meter_pipe){
			.inode = pipeline->pipes[i].inode,
			.capacity_bytes = pipeline->pipes[i].granted_bytes,
		};
	ayrei_meter_sample(pipeline->meter, stages, pipes, ayrei_monotonic_ns());
}

void ayre_pipeline_sample(struct ayre_pipeline *pipeline)
{
	struct ayrei_meter_stage *stages;
	struct ayrei_meter_pipe *pipes;

	if (!pipeline->started || pipeline->ended)
		return;
	if (!pipeline->meter &&
	    ayrei_meter_new(pipeline->stage_count, pipeline->pipe_count, &pipeline->meter) < 0)
		return;
	stages = calloc(pipeline->stage_count, sizeof(*stages));
	pipes = calloc(pipeline->pipe_count + 1, sizeof(*pipes));
	if (stages && pipes)
		sample(pipeline, stages, pipes);
	free(stages);
	free(pipes);
}

int ayre_pipeline_bottleneck(const struct ayre_pipeline *pipeline, bool recent)
{
	return pipeline->meter ? ayrei_meter_bottleneck(pipeline->meter, recent) : -1;
}

/* --- bytes --- */

/* By all its calls: at its end as the kernel kept it, before that as it stands now. */
static void get_calls(const struct ayrei_stage *stage, int64_t *ret_read, int64_t *ret_written)
{
	*ret_read = stage->end.read_bytes;
	*ret_written = stage->end.written_bytes;
	if (stage->end.outcome == AYRE_OUTCOME_RUNNING)
		(void)ayrei_child_bytes(stage->pid, ret_read, ret_written);
	/* What it said and heard before its function was called. */
	if (stage->function && *ret_read >= 0 && *ret_written >= 0) {
		*ret_read -= AYREI_GATE_BYTES;
		*ret_written -= AYREI_READINESS_BYTES;
	}
}

/* How far a file's shared description has moved; -1: there is none, or it moved back. */
static int64_t get_moved(int file, int64_t begin)
{
	int64_t now = file < 0 ? -1 : ayrei_file_position(file);

	return now >= begin ? now - begin : -1;
}

static int64_t get_written(const struct ayre_pipeline *pipeline, const struct ayrei_stage *stage)
{
	int64_t moved = get_moved(stage->output_file, stage->output_begin), read, written;

	if (moved >= 0)
		return moved;
	if (stage->output_pipe >= 0 && pipeline->pipes[stage->output_pipe].by_host &&
	    !pipeline->pipes[stage->output_pipe].many_writers)
		return (int64_t)pipeline->pipes[stage->output_pipe].moved;
	if (stage->output_capture >= 0)
		return (int64_t)(pipeline->captures[stage->output_capture].total +
		                 pipeline->captures[stage->output_capture].unread);
	get_calls(stage, &read, &written);
	return written;
}

/*
 * What went through a pipe is what its writer's calls wrote, as long as its reader's calls read
 * as much; the reader's own account also has what it read to be loaded. A reader that had
 * enough read less than was written, and what it did not read is lost with the pipe.
 */
static int64_t get_passed(const struct ayre_pipeline *pipeline, const struct ayrei_pipe *pipe)
{
	int64_t read, written, ignored;

	if (pipe->many_writers)
		return -1;
	if (pipe->by_host)
		return (int64_t)pipe->moved;
	get_calls(&pipeline->stages[pipe->from], &ignored, &written);
	get_calls(&pipeline->stages[pipe->to], &read, &ignored);
	if (written < 0 || read < 0)
		return written < 0 ? read : written;
	return written < read ? written : read;
}

/* A stage that had enough left something in the pipe, and its calls did not read as much. */
static int64_t get_fed(const struct ayrei_stage *stage, const struct ayrei_feed *feed)
{
	int64_t fed = (int64_t)(feed->written - feed->unread), read, ignored;

	get_calls(stage, &read, &ignored);
	return read >= 0 && read < fed ? read : fed;
}

static int64_t get_read(const struct ayre_pipeline *pipeline, const struct ayrei_stage *stage)
{
	int64_t moved = get_moved(stage->input_file, stage->input_begin), read, written;

	if (moved >= 0)
		return moved;
	if (stage->feed >= 0)
		return get_fed(stage, &pipeline->feeds[stage->feed]);
	if (stage->input_pipe >= 0) {
		int64_t passed = get_passed(pipeline, &pipeline->pipes[stage->input_pipe]);

		if (passed >= 0)
			return passed;
	}
	get_calls(stage, &read, &written);
	return read;
}

/* --- answers --- */

int ayre_pipeline_stage_count(const struct ayre_pipeline *pipeline)
{
	return (int)pipeline->stage_count;
}

int ayre_pipeline_pipe_count(const struct ayre_pipeline *pipeline)
{
	return (int)pipeline->pipe_count;
}

int ayre_pipeline_stage(const struct ayre_pipeline *pipeline, int stage,
                        struct ayre_stage_info *ret_info)
{
	const struct ayrei_stage *one;
	struct ayre_stage_info info = {0};

	if (stage < 0 || (size_t)stage >= pipeline->stage_count)
		return -EINVAL;
	one = &pipeline->stages[stage];
	info.name = one->name;
	info.arguments = (const char *const *)one->arguments;
	info.pid = one->pid;
	info.end = one->end;
	info.read_bytes = info.written_bytes = -1;
	if (one->pid) {
		info.read_bytes = get_read(pipeline, one);
		info.written_bytes = get_written(pipeline, one);
	}
	if (pipeline->meter) {
		ayrei_meter_shares(pipeline->meter, (size_t)stage, true, &info.recent);
		ayrei_meter_shares(pipeline->meter, (size_t)stage, false, &info.total);
		info.state = ayrei_meter_state(pipeline->meter, (size_t)stage);
	}
	return ayrei_result_copy(ret_info, &info, sizeof(info));
}

int ayre_pipeline_pipe(const struct ayre_pipeline *pipeline, int pipe,
                       struct ayre_pipe_info *ret_info)
{
	const struct ayrei_pipe *one;
	struct ayre_pipe_info info = {.fill_bytes = -1, .mean_fill = -1};

	if (pipe < 0 || (size_t)pipe >= pipeline->pipe_count)
		return -EINVAL;
	one = &pipeline->pipes[pipe];
	info.from = one->from;
	info.to = one->to;
	info.asked_bytes = one->asked_bytes;
	info.granted_bytes = one->granted_bytes;
	info.passed_bytes = pipeline->stages[one->from].pid ? get_passed(pipeline, one) : -1;
	if (pipeline->meter) {
		info.fill_bytes = ayrei_meter_fill(pipeline->meter, (size_t)pipe);
		info.mean_fill = ayrei_meter_mean_fill(pipeline->meter, (size_t)pipe);
	}
	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
