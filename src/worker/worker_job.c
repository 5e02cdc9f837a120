/*
 * A call in a process: one is found for it, the request is laid out; and it is given back.
 *
 * Invariant: the call's number is stored when all of the request is there, and nothing of it is changed from
 * then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "sys/child.h"
#include "sys/cpu.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "worker/worker.h"

/* A process that is kept may have died while nothing was asked of it. */
#define QUIET_NS INT64_C(1000000)

/* --- before it begins --- */

static int check_input(const struct ayre_worker *worker, int fd)
{
	struct stat status;
	int result = ayrei_file_status(fd, &status);

	if (result < 0)
		return result;
	if (!S_ISREG(status.st_mode))
		return -ENODEV;
	if ((uint64_t)status.st_size > worker->options.input_max)
		return -EMSGSIZE;
	return ayrei_file_is_readable(fd) == 1 ? 0 : -EACCES;
}

int ayrei_job_check(const struct ayre_worker *worker, const struct ayre_worker_job *job)
{
	if (!job->function || !job->function[0] || (job->request_bytes && !job->request) ||
	    job->flags & ~(uint32_t)AYRE_WORKER_INPUT)
		return -EINVAL;
	if (strnlen(job->function, AYREI_FUNCTION_BYTES) == AYREI_FUNCTION_BYTES)
		return -ENOENT;
	if (job->request_bytes > worker->options.request_max)
		return -EMSGSIZE;
	if (worker->is_lost)
		return -ENOTCONN;
	return job->flags & AYRE_WORKER_INPUT ? check_input(worker, job->input) : 0;
}

/* --- a process for it --- */

static bool is_ready(const struct ayre_worker *worker, const struct ayrei_slot *slot)
{
	return (slot->state == AYREI_PROCESS_ALIVE || slot->state == AYREI_PROCESS_STARTING) &&
	       slot->job == AYREI_JOB_NONE && !slot->is_doomed &&
	       (slot->served == 0 || ayrei_worker_keeps(worker));
}

/* How soon it would be there: who has served is warm, and who has started sooner than who has yet to. */
static int warmth(const struct ayre_worker *worker, const struct ayrei_slot *slot)
{
	if (!is_ready(worker, slot))
		return 0;
	return 1 + (slot->state == AYREI_PROCESS_ALIVE) + 2 * (slot->served > 0);
}

/* The one that served last has the function in its caches. */
static struct ayrei_slot *find_ready(const struct ayre_worker *worker)
{
	struct ayrei_slot *found = &worker->slots[worker->last];
	int most = warmth(worker, found);

	for (uint32_t i = 0; i < worker->slot_count && most <= 2; i++) {
		int warm = warmth(worker, &worker->slots[i]);

		if (warm > most) {
			most = warm;
			found = &worker->slots[i];
		}
	}
	return most > 0 ? found : NULL;
}

/* Where all places are taken by processes that stand by, one of them goes. */
static void make_room(struct ayre_worker *worker)
{
	struct ayrei_slot *found = NULL;

	for (uint32_t i = 0; i < worker->slot_count; i++) {
		struct ayrei_slot *slot = &worker->slots[i];

		if (slot->state == AYREI_PROCESS_ENDING || slot->is_doomed)
			return;
		if (is_ready(worker, slot))
			found = slot;
	}
	if (found)
		ayrei_process_kill(found);
}

/* It has been asked nothing for a while, and may have died of something else meanwhile. */
static int look_after(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t now_ns)
{
	if (__atomic_load_n(&slot->replies->has_crashed, __ATOMIC_RELAXED))
		ayrei_process_kill(slot);
	if (slot->served == 0 || now_ns - slot->begin_ns < QUIET_NS)
		return 0;
	return ayrei_worker_hear_all(worker);
}

static int provide(struct ayre_worker *worker, const struct ayre_worker_job *job, int64_t now_ns,
                   struct ayrei_slot **ret_slot)
{
	bool has_input = job->flags & AYRE_WORKER_INPUT;
	struct ayrei_slot *slot = has_input ? NULL : find_ready(worker);
	int result = slot ? look_after(worker, slot, now_ns) : 0;

	if (result < 0)
		return result;
	if (slot && !is_ready(worker, slot))
		slot = find_ready(worker);
	if (!slot) {
		slot = ayrei_slot_find_empty(worker);
		if (!slot)
			make_room(worker);
		if (!slot || ayrei_worker_pauses(worker))
			return -EBUSY;
		result = ayrei_process_start(worker, slot, has_input ? job->input : -1);
	}
	*ret_slot = slot;
	return result;
}

bool ayrei_job_has_room(struct ayre_worker *worker, bool has_input)
{
	if (worker->info.under_way >= worker->options.processes)
		return false;
	if (!has_input && find_ready(worker))
		return true;
	return ayrei_slot_find_empty(worker) && !ayrei_worker_pauses(worker);
}

/* --- the request --- */

static void lay_function(struct ayrei_requests *requests, const char *function)
{
	if (strcmp(requests->function, function) == 0)
		return;
	memset(requests->function, 0, sizeof(requests->function));
	memcpy(requests->function, function, strlen(function));
	if (++requests->function_number == 0)
		requests->function_number = 1;
}

/* All but the number, at which the process takes it. */
static void lay_out(const struct ayre_worker *worker, struct ayrei_requests *requests,
                    const struct ayre_worker_job *job)
{
	char *data = (char *)requests + AYREI_CHANNEL_HEAD;
	uint64_t most = worker->options.reply_max;

	ayrei_prefetch_write(requests);
	lay_function(requests, job->function);
	/* Nothing of an earlier request is left behind this one. */
	if (requests->bytes > job->request_bytes)
		memset(data + job->request_bytes, 0, requests->bytes - job->request_bytes);
	if (job->request_bytes)
		memcpy(data, job->request, job->request_bytes);
	requests->bytes = job->request_bytes;
	requests->capacity = job->reply_capacity < most ? job->reply_capacity : most;
	requests->is_asleep = 0;
}

static void ring(const struct ayrei_slot *slot)
{
	static const char byte = 'c';

	/* Full of rings, or nobody there, which is heard of otherwise. */
	(void)!ayrei_pipe_try_write(slot->call_bell[1], &byte, 1);
}

int ayrei_job_begin(struct ayre_worker *worker, const struct ayre_worker_job *job,
                    struct ayrei_slot **ret_slot)
{
	int64_t now_ns = ayrei_monotonic_ns();
	struct ayrei_requests *requests;
	struct ayrei_slot *slot;
	int result;

	if (job->deadline_ns <= now_ns)
		return -ETIMEDOUT;
	if (worker->info.under_way >= worker->options.processes)
		return -EAGAIN;
	result = provide(worker, job, now_ns, &slot);
	if (result < 0)
		return result;
	requests = slot->requests;
	lay_out(worker, requests, job);
	/* What it says of itself before it has the request, the request has not made it say. */
	slot->has_begun = slot->has_begun || slot->served > 0 || ayrei_job_sees_begun(slot);
	slot->served++;
	slot->job = AYREI_JOB_UNDER_WAY;
	slot->begin_ns = now_ns;
	slot->deadline_ns = job->deadline_ns;
	slot->answer = (struct ayre_worker_answer){.call = ++worker->info.calls};
	if (job->flags & AYRE_WORKER_INPUT)
		slot->input = ayrei_file_duplicate(job->input);
	worker->info.under_way++;
	worker->last = (uint32_t)(slot - worker->slots);
	/* Release: who finds the number finds all of the request. */
	__atomic_store_n(&requests->call, requests->call + 1, __ATOMIC_RELEASE);
	ayrei_fence_full();
	if (__atomic_load_n(&slot->replies->is_asleep, __ATOMIC_RELAXED))
		ring(slot);
	*ret_slot = slot;
	return 0;
}

void ayrei_job_ask_for_bell(struct ayrei_slot *slot, bool asked)
{
	__atomic_store_n(&slot->requests->is_asleep, asked, __ATOMIC_RELAXED);
	if (asked)
		ayrei_fence_full();
}

/* --- afterwards --- */

struct ayrei_slot *ayrei_job_find(struct ayre_worker *worker, uint64_t call,
                                  enum ayrei_job_state state)
{
	for (uint32_t i = 0; call && i < worker->slot_count; i++)
		if (worker->slots[i].job == state && worker->slots[i].answer.call == call)
			return &worker->slots[i];
	return NULL;
}

void ayrei_job_release(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	if (slot->job == AYREI_JOB_UNDER_WAY)
		ayrei_process_kill(slot);
	slot->job = AYREI_JOB_NONE;
	slot->input = ayrei_file_close(slot->input);
	worker->info.under_way--;
	if (slot->is_frozen && slot->state == AYREI_PROCESS_ALIVE)
		(void)!ayrei_child_signal(slot->process, SIGCONT);
	slot->is_frozen = false;
}
