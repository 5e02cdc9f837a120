/*
 * Ending a pipeline with all that it started.
 *
 * Who belongs to it: the members of its process group; the descendants of its stages; and, for a
 * host that says so (AYRE_PIPELINE_END_ORPHANS), every descendant of the host. What has changed
 * its group and session and lost its parent is found in no other way without changing a setting
 * of the host.
 *
 * Invariant: nobody else is signalled. A process is held by a pidfd before it is looked at again,
 * so its number cannot have become another's between the look and the signal.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/pipeline.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/process_tree.h"

/* Whoever forks as fast as we kill is met again; not for ever. */
#define KILL_ROUNDS 64

struct family {
	struct ayrei_relative *all; /* by number */
	size_t count;
	pid_t host;
};

static const struct ayrei_relative *find(const struct family *family, pid_t pid)
{
	size_t low = 0, high = family->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (family->all[middle].pid == pid)
			return &family->all[middle];
		if (family->all[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static struct ayrei_stage *find_stage(const struct ayre_pipeline *pipeline, pid_t pid)
{
	for (size_t i = 0; i < pipeline->stage_count; i++)
		if (pipeline->stages[i].pid == pid && pipeline->stages[i].present)
			return &pipeline->stages[i];
	return NULL;
}

static struct ayrei_stray *find_stray(const struct ayre_pipeline *pipeline,
                                      const struct ayrei_relative *one)
{
	for (size_t i = 0; i < pipeline->stray_count; i++)
		if (pipeline->strays[i].pid == one->pid &&
		    pipeline->strays[i].start_ticks == one->start_ticks)
			return &pipeline->strays[i];
	return NULL;
}

/* Whose number is still its own: a host that waits for all children may have taken it. */
static void look_who_is_present(struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		stage->present = stage->pid && !stage->reaped &&
		                 ayrei_child_signal(stage->pidfd, 0) != -ESRCH;
	}
}

/* Of the pipeline, or of a stage that has one of its own. */
static bool is_in_group(const struct ayre_pipeline *pipeline, const struct ayrei_relative *one)
{
	const struct ayrei_stage *leader = find_stage(pipeline, one->group);

	return leader && (leader->pid == pipeline->group || ayrei_stage_has_own_group(leader));
}

/*
 * A stage, or one whose parents lead to a stage, to one that a stage left behind, or to the host,
 * if all of its descendants are meant.
 */
static bool descends(const struct ayre_pipeline *pipeline, const struct family *family,
                     const struct ayrei_relative *one)
{
	bool any = pipeline->options.flags & AYRE_PIPELINE_END_ORPHANS;

	/* A table read while it changes could hold a circle. */
	for (size_t i = 0; one && i <= family->count; i++) {
		if (find_stage(pipeline, one->pid) || find_stray(pipeline, one) ||
		    (any && one->parent == family->host))
			return true;
		one = find(family, one->parent);
	}
	return false;
}

static bool belongs(const struct ayre_pipeline *pipeline, const struct family *family,
                    const struct ayrei_relative *one)
{
	if (one->ended || one->pid == family->host)
		return false;
	return is_in_group(pipeline, one) || descends(pipeline, family, one);
}

/* -ESRCH: it is gone, and another may have its number. */
static int hold(const struct ayrei_relative *one)
{
	struct ayrei_relative again;
	int pidfd = ayrei_child_open(one->pid), result;

	if (pidfd < 0)
		return pidfd;
	result = ayrei_process_relative(one->pid, &again);
	if (result == 0 && again.start_ticks != one->start_ticks)
		result = -ESRCH;
	if (result < 0)
		ayrei_file_close(pidfd);
	return result < 0 ? result : pidfd;
}

/* One that is no stage is waited for too, once it has been signalled. Takes the pidfd. */
static void note_stray(struct ayre_pipeline *pipeline, const struct ayrei_relative *one, int pidfd,
                       bool killed)
{
	struct ayrei_stray *stray = AYREI_APPEND(pipeline->strays, pipeline->stray_count);

	pipeline->result.strays_ended++;
	if (!stray) {
		ayrei_file_close(pidfd);
		return;
	}
	*stray = (struct ayrei_stray){
		.pid = one->pid, .pidfd = pidfd, .killed = killed, .start_ticks = one->start_ticks};
	/* Where there is no telling when it ends nobody waits for it. */
	if (ayrei_set_add(pipeline->set, pidfd, AYREI_READABLE,
	                  ayrei_tag(AYREI_PARTY_STRAY, pipeline->stray_count - 1)) < 0)
		stray->ended = true;
}

static bool send(int pidfd, int number)
{
	bool sent = ayrei_child_signal(pidfd, number) == 0;

	/* A stopped process would not hear of it before somebody lets it go on. */
	if (sent && number != SIGKILL)
		(void)ayrei_child_signal(pidfd, SIGCONT);
	return sent;
}

/* Returns whether it is one that has not been killed before. */
static bool send_again(int pidfd, int number, bool *killed)
{
	bool new = send(pidfd, number) && !*killed;

	*killed |= number == SIGKILL;
	return new;
}

static bool signal_one(struct ayre_pipeline *pipeline, const struct ayrei_relative *one, int number)
{
	struct ayrei_stage *stage = find_stage(pipeline, one->pid);
	struct ayrei_stray *stray = find_stray(pipeline, one);
	int pidfd;

	if (stage)
		return send_again(stage->pidfd, number, &stage->killed);
	if (stray)
		return send_again(stray->pidfd, number, &stray->killed);
	pidfd = hold(one);
	if (pidfd < 0)
		return false;
	if (!send(pidfd, number)) {
		ayrei_file_close(pidfd);
		return false;
	}
	note_stray(pipeline, one, pidfd, number == SIGKILL);
	return true;
}

/* Returns how many got it that had not been killed before: those can do nothing any more. */
static size_t signal_all(struct ayre_pipeline *pipeline, int number)
{
	struct family family = {.host = getpid()};
	ssize_t count;
	size_t sent = 0;

	look_who_is_present(pipeline);
	count = ayrei_process_tree(&family.all);
	family.count = count < 0 ? 0 : (size_t)count;
	for (size_t i = 0; i < family.count; i++)
		if (belongs(pipeline, &family, &family.all[i]))
			sent += signal_one(pipeline, &family.all[i], number);
	free(family.all);
	return sent;
}

/* Needs no /proc and no memory, and cannot be outrun by a fork. */
static void signal_known(struct ayre_pipeline *pipeline, int number)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->pidfd < 0)
			continue;
		if (stage->pid == pipeline->group || ayrei_stage_has_own_group(stage))
			(void)ayrei_child_signal_group(stage->pidfd, stage->pid, number);
		(void)send(stage->pidfd, number);
	}
	for (size_t i = 0; i < pipeline->stray_count; i++)
		if (pipeline->strays[i].pidfd >= 0)
			(void)send(pipeline->strays[i].pidfd, number);
}

void ayrei_tree_terminate(struct ayre_pipeline *pipeline)
{
	/* Before any of them is gone: what they started is found by way of them. */
	if (signal_all(pipeline, SIGTERM) == 0)
		signal_known(pipeline, SIGTERM);
}

void ayrei_tree_kill(struct ayre_pipeline *pipeline)
{
	for (int i = 0; i < KILL_ROUNDS && signal_all(pipeline, SIGKILL) > 0; i++)
		continue;
	signal_known(pipeline, SIGKILL);
}

void ayrei_strays_reap(struct ayre_pipeline *pipeline)
{
	int64_t until = ayrei_monotonic_ns() + AYREI_SECOND_NS;

	/* One becomes the host's when the last of its parents is gone. */
	for (size_t i = 0; i < pipeline->stray_count; i++)
		(void)ayrei_wait_for(pipeline->strays[i].pidfd, AYREI_READABLE, until);
	for (size_t i = 0; i < pipeline->stray_count; i++)
		if (ayrei_wait_for(pipeline->strays[i].pidfd, AYREI_READABLE, 0) > 0)
			ayrei_child_reap(pipeline->strays[i].pidfd);
}
