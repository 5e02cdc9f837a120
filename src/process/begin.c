/*
 * The start: all stages, or none.
 *
 * Invariant: functions of the host are forked first and wait at a pipe; programs are made next and
 * wait for each other (sys/clone.c). Only when every process is there does the first of them run.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "process/end.h"
#include "process/pipeline.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* What a forked child tells: that it is prepared, or why not. */
struct readiness {
	int32_t step, code;
};

_Static_assert(sizeof(struct readiness) == AYREI_READINESS_BYTES,
               "it is taken off the child's account");

/* The ends that a function's child has of the start's two pipes. */
struct doors {
	int report; /* it writes its readiness here, and then closes it */
	int gate;   /* a byte: go; the end: do not */
	int opener; /* the host's end of the gate: not for children */
};

/* --- in the child --- */

/*
 * What the host has buffered is the host's to print and to read. What the function prints is
 * flushed, and if that is lost the stage has failed.
 */
static int call(const struct ayrei_stage *stage)
{
	int status;

	__fpurge(stdin);
	clearerr(stdin);
	__fpurge(stdout);
	__fpurge(stderr);
	status = stage->function(stage->context);
	(void)fflush(stderr);
	if (fflush(stdout) != 0 && status == 0)
		status = EXIT_FAILURE;
	return status;
}

/* The doors must not be where a wire goes; they are kept like wires until they are used. */
static int keep_doors(struct ayrei_stage *stage, struct doors *doors)
{
	struct ayrei_launch *launch = &stage->launch;
	int *ends[] = {&doors->report, &doors->gate};
	int highest = STDERR_FILENO, result = 0;

	for (size_t i = 0; i < launch->wire_count; i++)
		if (launch->wires[i].target > highest)
			highest = launch->wires[i].target;
	for (size_t i = 0; result == 0 && i < 2; i++) {
		int moved = ayrei_file_duplicate_above(*ends[i], highest + 1);

		if (moved < 0)
			return moved;
		*ends[i] = moved;
		result = ayrei_launch_wire(launch, moved, moved, NULL);
	}
	launch->child.wires = launch->wires;
	launch->child.wire_count = launch->wire_count;
	return result;
}

static void run_function(struct ayrei_stage *stage, struct doors doors)
{
	struct readiness readiness = {0};
	char go;

	ayrei_file_close(doors.opener);
	readiness.code = keep_doors(stage, &doors);
	if (readiness.code == 0)
		readiness.code = ayrei_child_prepare(&stage->launch.child);
	readiness.step = (int32_t)stage->launch.child.step;
	(void)!ayrei_pipe_write(doors.report, &readiness, sizeof(readiness));
	ayrei_file_close(doors.report);
	/* Also if it failed: as long as it is there its number is its own. */
	if (ayrei_pipe_read(doors.gate, &go, AYREI_GATE_BYTES) != AYREI_GATE_BYTES)
		_exit(EXIT_FAILURE);
	ayrei_file_close(doors.gate);
	_exit(call(stage));
}

/* --- functions, in the host --- */

static bool is_in_group(const struct ayre_pipeline *pipeline, const struct ayrei_stage *stage)
{
	return !(pipeline->options.flags & AYRE_PIPELINE_SAME_GROUP) &&
	       !ayrei_stage_has_own_group(stage);
}

/* Groups: the first child leads, the others join it. */
static void set_group(struct ayre_pipeline *pipeline, struct ayrei_stage *stage, bool leads)
{
	struct ayrei_child *child = &stage->launch.child;

	if (!is_in_group(pipeline, stage))
		return;
	child->flags |= leads ? AYREI_CHILD_NEW_GROUP : AYREI_CHILD_JOIN_GROUP;
	child->group = leads ? 0 : pipeline->group;
}

static int await_readiness(struct ayrei_stage *stage, int report)
{
	struct readiness readiness;
	ssize_t got = ayrei_pipe_read(report, &readiness, sizeof(readiness));

	if (got == (ssize_t)sizeof(readiness)) {
		stage->launch.child.step = (enum ayrei_child_step)readiness.step;
		return readiness.code;
	}
	/* It died on the way. */
	return got < 0 ? (int)got : -ECANCELED;
}

/* There is no pidfd of it. It waits at the gate, so its number is its own. */
static void abandon(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		continue;
}

static int fork_function(struct ayre_pipeline *pipeline, struct ayrei_stage *stage,
                         const int gate[2])
{
	int report[2], result = ayrei_pipe_open(report);
	pid_t pid;

	if (result < 0)
		return result;
	stage->launch.child.step = AYREI_STEP_CLONE;
	pid = fork();
	if (pid == 0)
		run_function(stage, (struct doors){report[1], gate[0], gate[1]});
	result = pid < 0 ? -errno : 0;
	ayrei_file_close(report[1]);
	if (result == 0) {
		stage->pidfd = ayrei_child_open(pid);
		if (stage->pidfd < 0)
			abandon(pid);
		else
			stage->pid = pid;
		result = stage->pidfd < 0 ? stage->pidfd : await_readiness(stage, report[0]);
	}
	ayrei_file_close(report[0]);
	if (result == 0 && is_in_group(pipeline, stage) && !pipeline->group)
		pipeline->group = pid;
	return result;
}

static int fork_functions(struct ayre_pipeline *pipeline, const int gate[2],
                          struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];
		int result;

		if (!stage->function)
			continue;
		set_group(pipeline, stage, !pipeline->group);
		result = fork_function(pipeline, stage, gate);
		if (result < 0) {
			pipeline->failed_stage = (int)i;
			return ayrei_launch_report(&stage->launch, result, error);
		}
	}
	return 0;
}

/* --- programs --- */

/* What leads the group comes first: the others join that one. */
static size_t collect_children(struct ayre_pipeline *pipeline, struct ayrei_child *children)
{
	size_t count = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < pipeline->stage_count; i++) {
			struct ayrei_stage *stage = &pipeline->stages[i];

			if (stage->function || is_in_group(pipeline, stage) != (pass == 0))
				continue;
			set_group(pipeline, stage, count == 0 && !pipeline->group);
			stage->child = count;
			children[count++] = stage->launch.child;
		}
	return count;
}

static void take_children(struct ayre_pipeline *pipeline, const struct ayrei_child *children,
                          int result, size_t failed)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->function)
			continue;
		stage->launch.child = children[stage->child];
		stage->pid = stage->launch.child.pid;
		stage->pidfd = stage->launch.child.pidfd;
		if (result < 0 && stage->child == failed)
			pipeline->failed_stage = (int)i;
		if (is_in_group(pipeline, stage) && !pipeline->group)
			pipeline->group = stage->pid;
	}
}

struct truncation {
	struct ayre_pipeline *pipeline;
	struct ayre_error *error;
};

static int truncate_outputs(void *context)
{
	const struct truncation *truncation = context;

	return ayrei_pipeline_truncate(truncation->pipeline, truncation->error);
}

static int start_programs(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	struct ayrei_child *children = calloc(pipeline->stage_count, sizeof(*children));
	struct truncation truncation = {pipeline, error};
	size_t count, failed = 0;
	int result;

	if (!children)
		return ayrei_fail(error, -ENOMEM, "start", "pipeline", NULL);
	count = collect_children(pipeline, children);
	if (count == 0)
		result = truncate_outputs(&truncation);
	else if (ayrei_pipeline_truncates(pipeline))
		result = ayrei_children_start_after(children, count, truncate_outputs, &truncation,
		                                    &failed);
	else
		result = ayrei_children_start(children, count, &failed);
	take_children(pipeline, children, result, failed);
	free(children);
	if (result < 0 && pipeline->failed_stage >= 0)
		return ayrei_launch_report(&pipeline->stages[pipeline->failed_stage].launch, result,
		                           error);
	return result;
}

/* --- all --- */

void ayrei_pipeline_abandon(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->pid)
			(void)ayrei_child_signal(stage->pidfd, SIGKILL);
	}
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->pid)
			ayrei_stage_reap(stage);
		stage->pid = 0;
		stage->end = ayrei_end_not_started();
	}
	pipeline->group = 0;
	pipeline->running = 0;
}

static bool has_functions(const struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stage_count; i++)
		if (pipeline->stages[i].function)
			return true;
	return false;
}

/* A byte for each of those who wait. They take it, so that a full pipe does not stay full. */
static void open_gate(const struct ayre_pipeline *pipeline, int gate)
{
	for (size_t i = 0; i < pipeline->stage_count; i++)
		if (pipeline->stages[i].function)
			(void)!ayrei_pipe_write(gate, "", AYREI_GATE_BYTES);
}

static int start_all(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int gate[2] = {-1, -1}, result = 0;

	if (has_functions(pipeline))
		result = ayrei_pipe_open(gate);
	if (result < 0)
		return ayrei_fail(error, result, "start", "pipeline", NULL);
	result = fork_functions(pipeline, gate, error);
	if (result == 0)
		result = start_programs(pipeline, error);
	if (result == 0)
		open_gate(pipeline, gate[1]);
	ayrei_file_close(gate[0]);
	ayrei_file_close(gate[1]);
	if (result < 0)
		ayrei_pipeline_abandon(pipeline);
	return result;
}

int ayrei_pipeline_begin(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result;

	pipeline->started_ns = ayrei_monotonic_ns();
	result = start_all(pipeline, error);
	if (result < 0)
		return result;
	/* After the start: what the children were counted from. */
	pipeline->host_rss_bytes = ayrei_own_max_rss();
	pipeline->running = pipeline->stage_count;
	for (size_t i = 0; i < pipeline->stage_count; i++)
		pipeline->stages[i].end = ayrei_end_running(pipeline->started_ns);
	return 0;
}
