/*
 * What is seen of a running pipeline, taken down so that it can be drawn without it.
 */
#include "command/run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A second, at ten frames each. */
#define HISTORY_MAX 10

/* What a stage had used and written when. */
struct run_moment {
	int64_t time_ns;
	int64_t processor_ns; /* -1: not known */
	int64_t written_bytes;
};

struct run_history {
	struct run_moment moments[HISTORY_MAX];
	unsigned int count; /* ever; the newest is at (count - 1) % HISTORY_MAX */
};

int64_t run_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

bool run_view_init(struct run_view *view, const struct ayre_pipeline *pipeline)
{
	size_t stages = (size_t)ayre_pipeline_stage_count(pipeline);
	size_t pipes = (size_t)ayre_pipeline_pipe_count(pipeline);

	*view = (struct run_view){
		.stage_count = (int)stages,
		.pipe_count = (int)pipes,
		.stages = calloc(stages + 1, sizeof(*view->stages)),
		.pipes = calloc(pipes + 1, sizeof(*view->pipes)),
		.paces = calloc(stages + 1, sizeof(*view->paces)),
		.history = calloc(stages + 1, sizeof(*view->history)),
		.bottleneck = -1,
	};
	if (view->stages && view->pipes && view->paces && view->history)
		return true;
	run_view_fini(view);
	return false;
}

void run_view_fini(struct run_view *view)
{
	free(view->stages);
	free(view->pipes);
	free(view->paces);
	free(view->history);
	*view = (struct run_view){0};
}

static int64_t processor_ns(const struct ayre_process_end *end)
{
	return end->user_ns < 0 || end->system_ns < 0 ? -1 : end->user_ns + end->system_ns;
}

static double per_second(int64_t from, int64_t to, int64_t ns)
{
	return from < 0 || to < from || ns <= 0 ? -1 : (double)(to - from) * 1e9 / (double)ns;
}

/* Since the oldest moment that is remembered. */
static struct run_pace recent_pace(struct run_history *history, const struct ayre_stage_info *stage,
                                   int64_t now_ns)
{
	struct run_moment now = {now_ns, processor_ns(&stage->end), stage->written_bytes};
	unsigned int kept = history->count < HISTORY_MAX ? history->count : HISTORY_MAX;
	struct run_moment then = {stage->end.started_ns, 0, 0};
	struct run_pace pace;

	if (kept > 0)
		then = history->moments[(history->count - kept) % HISTORY_MAX];
	history->moments[history->count++ % HISTORY_MAX] = now;
	pace.processor =
		per_second(then.processor_ns, now.processor_ns, now_ns - then.time_ns) / 1e9;
	pace.bytes_per_second =
		per_second(then.written_bytes, now.written_bytes, now_ns - then.time_ns);
	/* What it was seen doing, where the kernel's own count is not to be had. */
	if (pace.processor <= 0)
		pace.processor = stage->recent.running / 1000.0;
	return pace;
}

static struct run_pace whole_pace(const struct ayre_stage_info *stage)
{
	int64_t ns = stage->end.ended_ns - stage->end.started_ns;

	return (struct run_pace){
		.processor = per_second(0, processor_ns(&stage->end), ns) / 1e9,
		.bytes_per_second = per_second(0, stage->written_bytes, ns),
	};
}

static void take_infos(struct run_view *view, const struct ayre_pipeline *pipeline)
{
	for (int i = 0; i < view->stage_count; i++) {
		view->stages[i] = (struct ayre_stage_info){.size = sizeof(view->stages[i])};
		view->stages[i].end.size = sizeof(view->stages[i].end);
		if (ayre_pipeline_stage(pipeline, i, &view->stages[i]) < 0)
			view->stages[i].end.outcome = AYRE_OUTCOME_LOST;
	}
	for (int i = 0; i < view->pipe_count; i++) {
		view->pipes[i] = (struct ayre_pipe_info){.size = sizeof(view->pipes[i])};
		if (ayre_pipeline_pipe(pipeline, i, &view->pipes[i]) < 0)
			view->pipes[i].from = view->pipes[i].to = -1;
	}
}

void run_view_take(struct run_view *view, const struct ayre_pipeline *pipeline, int64_t started_ns,
                   int64_t now_ns)
{
	take_infos(view, pipeline);
	for (int i = 0; i < view->stage_count; i++)
		view->paces[i] = recent_pace(&view->history[i], &view->stages[i], now_ns);
	view->bottleneck = ayre_pipeline_bottleneck(pipeline, true);
	view->wall_ns = now_ns - started_ns;
}

void run_view_finish(struct run_view *view, const struct ayre_pipeline *pipeline, int64_t wall_ns,
                     bool started)
{
	take_infos(view, pipeline);
	for (int i = 0; i < view->stage_count; i++) {
		if (!started) {
			view->stages[i].end.outcome = AYRE_OUTCOME_NOT_STARTED;
			view->stages[i].pid = 0;
		}
		view->paces[i] = whole_pace(&view->stages[i]);
	}
	view->bottleneck = started ? ayre_pipeline_bottleneck(pipeline, false) : -1;
	view->wall_ns = wall_ns;
	view->ended = true;
}

const struct ayre_stage_shares *run_view_shares(const struct run_view *view, int stage)
{
	return view->ended ? &view->stages[stage].total : &view->stages[stage].recent;
}
