/*
 * A pipeline while it runs: everything that can happen to it waits in one set, and
 * ayre_pipeline_process() does what there is to do.
 *
 *	stage ends       its end is noted; the last one's begins the drain
 *	feed, capture    memory.c
 *	fan              fan.c
 *	timer            the deadline, the end of the grace, the end of the drain
 *	stray ends       while the tree is being ended, others than stages are waited for too
 *
 * Invariant: the process that leads the group is not reaped before all is over, so that the
 * group's number cannot become another's while signals are sent to it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "process/end.h"
#include "process/pipeline.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/signal.h"

#define NEVER           INT64_MAX
#define MOST_EVENTS     32
#define DEADLINE_STATUS 124
#define SIGNAL_STATUS   128

uint64_t ayrei_tag(enum ayrei_party party, size_t index)
{
	return (uint64_t)party << 32 | index;
}

void ayrei_pipeline_note_error(struct ayre_pipeline *pipeline, int code)
{
	if (pipeline->result.error == 0)
		pipeline->result.error = code;
}

/* --- what is waited for --- */

static int64_t or_else(int64_t given_ns, int64_t default_ns)
{
	return given_ns ? given_ns : default_ns;
}

static int64_t next_time(const struct ayre_pipeline *pipeline)
{
	int64_t next = NEVER;

	if (pipeline->ended)
		return NEVER;
	if (pipeline->options.deadline_ns && pipeline->ending == AYREI_GOES_ON)
		next = pipeline->options.deadline_ns;
	if (pipeline->ending == AYREI_TERMINATED && pipeline->kill_ns < next)
		next = pipeline->kill_ns;
	if (pipeline->running == 0 && pipeline->open_flows && pipeline->drain_ns < next)
		next = pipeline->drain_ns;
	return next;
}

static int64_t later(int64_t time_ns, int64_t by_ns)
{
	return by_ns < NEVER - time_ns ? time_ns + by_ns : NEVER;
}

static int set_timer(struct ayre_pipeline *pipeline)
{
	int64_t next = next_time(pipeline);
	int result = 0;

	if (next != pipeline->timer_ns)
		result = ayrei_timer_set(pipeline->timer, next);
	if (result == 0)
		pipeline->timer_ns = next;
	return result;
}

/* Made before anything runs: that time has come must be heard also when no descriptors are left. */
static int open_timer(struct ayre_pipeline *pipeline)
{
	int result = ayrei_timer_open();

	if (result < 0)
		return result;
	pipeline->timer = result;
	pipeline->timer_ns = NEVER;
	result = ayrei_set_add(pipeline->set, pipeline->timer, AYREI_READABLE,
	                       ayrei_tag(AYREI_PARTY_TIMER, 0));
	return result < 0 ? result : set_timer(pipeline);
}

static int watch_flows(struct ayre_pipeline *pipeline)
{
	int result = ayrei_set_open();

	if (result < 0)
		return result;
	pipeline->set = result;
	pipeline->drain_ns = NEVER;
	result = open_timer(pipeline);
	for (size_t i = 0; result == 0 && i < pipeline->feed_count; i++)
		result = ayrei_set_add(pipeline->set, pipeline->feeds[i].fd, AYREI_WRITABLE,
		                       ayrei_tag(AYREI_PARTY_FEED, i));
	for (size_t i = 0; result == 0 && i < pipeline->capture_count; i++)
		result = ayrei_set_add(pipeline->set, pipeline->captures[i].fd, AYREI_READABLE,
		                       ayrei_tag(AYREI_PARTY_CAPTURE, i));
	for (size_t i = 0; result == 0 && i < pipeline->fan_count; i++)
		result = ayrei_fan_watch(pipeline, i);
	pipeline->open_flows = pipeline->capture_count + pipeline->fan_count;
	return result;
}

static int watch_stages(struct ayre_pipeline *pipeline)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < pipeline->stage_count; i++)
		result = ayrei_set_add(pipeline->set, pipeline->stages[i].pidfd, AYREI_READABLE,
		                       ayrei_tag(AYREI_PARTY_STAGE, i));
	return result;
}

/* --- the start --- */

static int start(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = ayrei_pipeline_plan(pipeline, error);

	if (result < 0)
		return result;
	result = watch_flows(pipeline);
	if (result < 0)
		return ayrei_fail(error, result, "watch", "pipeline", NULL);
	result = ayrei_pipeline_begin(pipeline, error);
	if (result < 0)
		return result;
	result = watch_stages(pipeline);
	if (result < 0) {
		ayrei_tree_kill(pipeline);
		ayrei_pipeline_abandon(pipeline);
		return ayrei_fail(error, result, "watch", "pipeline", NULL);
	}
	pipeline->ran = true;
	return 0;
}

int ayre_pipeline_start(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = pipeline->error.code;

	if (pipeline->started)
		return ayrei_fail(error, -EINVAL, "start", "pipeline", "it was started before");
	pipeline->started = true;
	if (result < 0 && error)
		*error = pipeline->error;
	if (result == 0 && pipeline->stage_count == 0)
		result = ayrei_fail(error, -EINVAL, "start", "pipeline", "it has no stages");
	if (result == 0)
		result = start(pipeline, error);
	ayrei_pipeline_close_plan(pipeline, result < 0);
	if (result < 0)
		pipeline->ended = true;
	return result;
}

int ayre_pipeline_failed_stage(const struct ayre_pipeline *pipeline)
{
	return pipeline->failed_stage;
}

int ayre_pipeline_fd(const struct ayre_pipeline *pipeline)
{
	return pipeline->ran ? pipeline->set : -EBADF;
}

/* --- ends --- */

bool ayrei_stage_has_own_group(const struct ayrei_stage *stage)
{
	return (stage->options.flags & (AYRE_PROCESS_NEW_GROUP | AYRE_PROCESS_NEW_SESSION)) != 0;
}

void ayrei_stage_reap(struct ayrei_stage *stage)
{
	if (stage->pid && !stage->reaped)
		ayrei_child_reap(stage->pidfd);
	stage->reaped = true;
	stage->pidfd = ayrei_file_close(stage->pidfd);
}

static void end_stage(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_stage *stage = &pipeline->stages[index];

	if (stage->end.outcome != AYRE_OUTCOME_RUNNING ||
	    ayrei_end_take(&stage->end, stage->pid, stage->pidfd, pipeline->host_rss_bytes) < 0)
		return;
	pipeline->running--;
	/* A pidfd that stays open would be ready for ever. */
	(void)ayrei_set_remove(pipeline->set, stage->pidfd);
	if (stage->pid != pipeline->group && !ayrei_stage_has_own_group(stage))
		ayrei_stage_reap(stage);
	if (pipeline->running == 0)
		pipeline->drain_ns = later(stage->end.ended_ns,
		                           or_else(pipeline->options.drain_ns, AYREI_SECOND_NS));
}

static void end_stray(struct ayre_pipeline *pipeline, size_t index)
{
	(void)ayrei_set_remove(pipeline->set, pipeline->strays[index].pidfd);
	pipeline->strays[index].ended = true;
}

/* --- the verdict --- */

/* Its output went to a stage, or into a bound, that may well have had enough. */
static bool has_reader(const struct ayre_pipeline *pipeline, int stage)
{
	for (size_t i = 0; i < pipeline->capture_count; i++)
		if (pipeline->captures[i].stage == stage && pipeline->captures[i].stopped)
			return true;
	for (size_t i = 0; i < pipeline->fan_count; i++)
		if (pipeline->fans[i].stage == stage)
			return pipeline->fans[i].to_stage;
	return pipeline->stages[stage].output_pipe >= 0;
}

static int stage_status(const struct ayre_pipeline *pipeline, int stage)
{
	const struct ayre_process_end *end = &pipeline->stages[stage].end;

	switch (end->outcome) {
	case AYRE_OUTCOME_EXITED:
		return end->status;
	case AYRE_OUTCOME_SIGNALED:
		/* That is how a pipeline is meant to end early. */
		if (end->signal_number == SIGPIPE && has_reader(pipeline, stage) &&
		    !(pipeline->options.flags & AYRE_PIPELINE_STRICT))
			return 0;
		return SIGNAL_STATUS + end->signal_number;
	default:
		return 1;
	}
}

static void judge(struct ayre_pipeline *pipeline)
{
	struct ayre_pipeline_result *result = &pipeline->result;

	result->size = sizeof(*result);
	for (size_t i = pipeline->stage_count; i-- > 0;) {
		int status = stage_status(pipeline, (int)i);

		if (status == 0)
			continue;
		result->exit_status = status;
		result->failed_stage = (int)i;
		break;
	}
	if (result->error == -ETIMEDOUT)
		result->exit_status = DEADLINE_STATUS;
	result->wall_ns = pipeline->ended_ns - pipeline->started_ns;
}

static void finish(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stage_count; i++)
		ayrei_stage_reap(&pipeline->stages[i]);
	for (size_t i = 0; i < pipeline->feed_count; i++)
		ayrei_feed_close(pipeline, &pipeline->feeds[i]);
	ayrei_strays_reap(pipeline);
	pipeline->ended_ns = ayrei_monotonic_ns();
	pipeline->ended = true;
	judge(pipeline);
	(void)set_timer(pipeline);
}

static bool strays_live(const struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stray_count; i++)
		if (!pipeline->strays[i].ended)
			return true;
	return false;
}

static bool is_over(const struct ayre_pipeline *pipeline)
{
	return pipeline->running == 0 && pipeline->open_flows == 0 && !strays_live(pipeline);
}

/* --- time --- */

void ayrei_pipeline_terminate(struct ayre_pipeline *pipeline)
{
	if (pipeline->ending != AYREI_GOES_ON)
		return;
	pipeline->ending = AYREI_TERMINATED;
	pipeline->kill_ns =
		later(ayrei_monotonic_ns(), or_else(pipeline->options.grace_ns, AYREI_SECOND_NS));
	ayrei_tree_terminate(pipeline);
}

static void kill_all(struct ayre_pipeline *pipeline)
{
	pipeline->ending = AYREI_KILLED;
	ayrei_tree_kill(pipeline);
}

/* What somebody else still holds open is not waited for any longer. */
static void cut_flows(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->capture_count; i++)
		ayrei_capture_cut(pipeline, &pipeline->captures[i]);
	for (size_t i = 0; i < pipeline->fan_count; i++)
		ayrei_fan_cut(pipeline, i, pipeline->ending == AYREI_KILLED);
	pipeline->drain_ns = NEVER;
}

/* The host may have looked away, and all was over long before the deadline. */
static void look_at_all(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stage_count; i++)
		end_stage(pipeline, i);
	for (size_t i = 0; i < pipeline->fan_count; i++)
		ayrei_fan_process(pipeline, i);
	for (size_t i = 0; i < pipeline->capture_count; i++)
		ayrei_capture_process(pipeline, &pipeline->captures[i]);
}

static void keep_time(struct ayre_pipeline *pipeline)
{
	int64_t now = ayrei_monotonic_ns();

	if (pipeline->options.deadline_ns && now >= pipeline->options.deadline_ns &&
	    pipeline->ending == AYREI_GOES_ON) {
		look_at_all(pipeline);
		if (is_over(pipeline))
			return;
		ayrei_pipeline_note_error(pipeline, -ETIMEDOUT);
		ayrei_pipeline_terminate(pipeline);
	}
	if (pipeline->ending == AYREI_TERMINATED && now >= pipeline->kill_ns)
		kill_all(pipeline);
	/* When all are killed there is nobody left whose last words were worth a wait. */
	if (pipeline->running == 0 && pipeline->open_flows &&
	    (now >= pipeline->drain_ns ||
	     (pipeline->ending == AYREI_KILLED && !strays_live(pipeline))))
		cut_flows(pipeline);
}

/* --- processing --- */

static void dispatch(struct ayre_pipeline *pipeline, uint64_t tag)
{
	size_t index = (uint32_t)tag;

	switch ((enum ayrei_party)(tag >> 32)) {
	case AYREI_PARTY_STAGE:
		end_stage(pipeline, index);
		break;
	case AYREI_PARTY_FEED:
		ayrei_feed_process(pipeline, &pipeline->feeds[index]);
		break;
	case AYREI_PARTY_CAPTURE:
		ayrei_capture_process(pipeline, &pipeline->captures[index]);
		break;
	case AYREI_PARTY_FAN:
		ayrei_fan_process(pipeline, index);
		break;
	case AYREI_PARTY_STRAY:
		end_stray(pipeline, index);
		break;
	case AYREI_PARTY_TIMER:
		break;
	}
}

/* Who was just being forked when the others were ended is met here. */
static bool has_ended_tree(struct ayre_pipeline *pipeline)
{
	if (pipeline->ending == AYREI_TERMINATED)
		ayrei_tree_terminate(pipeline);
	return is_over(pipeline);
}

int ayre_pipeline_process(struct ayre_pipeline *pipeline)
{
	struct ayrei_event events[MOST_EVENTS];
	struct ayrei_signal_hold hold;
	bool splices = pipeline->fan_count > 0;
	int count;

	if (pipeline->ended || !pipeline->started)
		return pipeline->ended;
	/* splice(2) has no way to be quiet about a reader who left. */
	if (splices)
		ayrei_sigpipe_hold(&hold);
	count = ayrei_set_wait(pipeline->set, events, MOST_EVENTS, 0);
	for (int i = 0; i < count; i++)
		dispatch(pipeline, events[i].tag);
	keep_time(pipeline);
	if (splices)
		ayrei_sigpipe_release(&hold);
	if (is_over(pipeline) && has_ended_tree(pipeline))
		finish(pipeline);
	else
		(void)set_timer(pipeline);
	return pipeline->ended;
}

int ayre_pipeline_wait_until(struct ayre_pipeline *pipeline, int64_t deadline_ns)
{
	if (!pipeline->started)
		return -EINVAL;
	while (!ayre_pipeline_process(pipeline)) {
		int ready = ayrei_wait_for(pipeline->set, AYREI_READABLE, deadline_ns);

		if (ready < 0)
			return ready;
		if (ready == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

void ayre_pipeline_cancel(struct ayre_pipeline *pipeline)
{
	if (!pipeline->started || pipeline->ended)
		return;
	ayrei_pipeline_note_error(pipeline, -ECANCELED);
	if (pipeline->ending == AYREI_GOES_ON)
		ayrei_pipeline_terminate(pipeline);
	else if (pipeline->ending == AYREI_TERMINATED)
		kill_all(pipeline);
	(void)set_timer(pipeline);
}

int ayre_pipeline_get_result(const struct ayre_pipeline *pipeline,
                             struct ayre_pipeline_result *ret_result)
{
	if (!pipeline->ran)
		return -EINVAL;
	if (!pipeline->ended)
		return -EAGAIN;
	return ayrei_result_copy(ret_result, &pipeline->result, sizeof(pipeline->result));
}

int ayre_pipeline_run(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result,
                      struct ayre_error *error)
{
	int result;

	if (ret_result && ret_result->size < sizeof(ret_result->size))
		return ayrei_fail(error, -EINVAL, "options", "result",
		                  "the result's size is not set");
	result = ayre_pipeline_start(pipeline, error);
	if (result < 0)
		return result;
	result = ayre_pipeline_wait_until(pipeline, NEVER);
	if (result < 0)
		return ayrei_fail(error, result, "wait", "pipeline", NULL);
	if (ret_result)
		(void)ayrei_result_copy(ret_result, &pipeline->result, sizeof(pipeline->result));
	if (pipeline->result.error < 0)
		return ayrei_fail(error, pipeline->result.error, "run", "pipeline", NULL);
	return pipeline->result.exit_status;
}
