/*
 * A call that is waited for.
 *
 * Invariant: it returns by its deadline, whatever the process does: bells and reports are hints, after each
 * of which the clock is looked at.
 */
#include <errno.h>
#include <string.h>

#include "sys/event.h"
#include "sys/pipe.h"
#include "worker/worker.h"

/* While spinning, so often it is asked whether the process is still there. */
#define TURNS_A_HEARING 1024

/* Until there is something to hear, or the bell was rung. 0, -ETIMEDOUT, or as hearing has it. */
static int wait_for(struct ayre_worker *worker, const struct ayrei_slot *slot, int64_t deadline_ns)
{
	const int fds[] = {worker->socket, slot->reply_bell[0]};
	int ready = ayrei_wait_for_any(fds, 2, deadline_ns);
	char bytes[4096];

	if (ready <= 0)
		return ready < 0 ? ready : -ETIMEDOUT;
	/* A hint, of which there may be any number. */
	(void)!ayrei_pipe_try_read(slot->reply_bell[0], bytes, sizeof(bytes));
	return ayrei_worker_hear_all(worker);
}

/* Now there is time to have the next process made. */
static int await_sleeping(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	int result = 0;

	ayrei_job_ask_for_bell(slot, true);
	(void)!ayrei_processes_stand_by(worker);
	while (!ayrei_job_look_at(worker, slot, ayrei_monotonic_ns())) {
		/* There is time, too, for what others have left. */
		if (ayrei_slots_clear_some(worker))
			result = wait_for(worker, slot, 0);
		else
			result = wait_for(worker, slot, slot->deadline_ns);
		if (result < 0 && result != -ETIMEDOUT && result != -ENOTCONN)
			break;
		result = 0;
	}
	ayrei_job_ask_for_bell(slot, false);
	return result;
}

static int await(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	struct ayrei_spinning spinning = {.end_ns = INT64_MIN};
	bool helped = true;
	int result = 0;

	while (!ayrei_job_look(worker, slot) && helped) {
		helped = ayrei_spin_turn(&worker->spin, &spinning, slot->deadline_ns);
		if (spinning.turns % TURNS_A_HEARING == TURNS_A_HEARING - 1)
			(void)!ayrei_worker_hear_all(worker);
	}
	if (slot->job != AYREI_JOB_ENDED)
		result = await_sleeping(worker, slot);
	ayrei_spin_learn(&worker->spin, helped);
	return result;
}

/* Until there is a process that can take it. */
static int begin_until(struct ayre_worker *worker, const struct ayre_worker_job *job,
                       struct ayrei_slot **ret_slot)
{
	for (;;) {
		int result = ayrei_job_begin(worker, job, ret_slot);
		int64_t until_ns = job->deadline_ns;

		if (result != -EBUSY)
			return result == -EAGAIN ? -EBUSY : result;
		if (ayrei_worker_pauses(worker) && worker->pause_until_ns < until_ns)
			until_ns = worker->pause_until_ns;
		if (ayrei_slots_clear_some(worker))
			until_ns = 0;
		result = ayrei_worker_hear(worker, until_ns);
		if (result < 0 && (result != -ETIMEDOUT || until_ns == job->deadline_ns))
			return result;
	}
}

static ssize_t take_answer(struct ayre_worker *worker, struct ayrei_slot *slot, void *reply)
{
	const struct ayre_worker_answer *answer = &slot->answer;
	int64_t outcome = answer->outcome;

	if (answer->data && answer->bytes)
		memcpy(reply, answer->data, answer->bytes);
	ayrei_job_release(worker, slot);
	return outcome;
}

ssize_t ayre_worker_call_until(struct ayre_worker *worker, const char *function,
                               const void *request, size_t request_bytes, void *reply,
                               size_t reply_capacity, int64_t deadline_ns)
{
	const struct ayre_worker_job job = {
		.function = function,
		.request = request,
		.request_bytes = request_bytes,
		.deadline_ns = deadline_ns,
		.reply_capacity = reply ? reply_capacity : 0,
	};
	struct ayrei_slot *slot;
	ssize_t result = ayrei_job_check(worker, &job);

	worker->info.result = 0;
	worker->info.reply_bytes = 0;
	if (result == 0 && ayrei_poison_is(worker, &job))
		result = -EBADMSG;
	if (result == 0)
		result = begin_until(worker, &job, &slot);
	if (result < 0)
		return result;
	result = await(worker, slot);
	if (slot->job == AYREI_JOB_ENDED)
		result = take_answer(worker, slot, reply);
	else
		ayrei_job_release(worker, slot);
	(void)!ayrei_processes_stand_by(worker);
	ayrei_worker_arm(worker);
	return result;
}

ssize_t ayre_worker_call(struct ayre_worker *worker, const char *function, const void *request,
                         size_t request_bytes, void *reply, size_t reply_capacity)
{
	return ayre_worker_call_until(worker, function, request, request_bytes, reply,
	                              reply_capacity, ayrei_worker_deadline(worker));
}
