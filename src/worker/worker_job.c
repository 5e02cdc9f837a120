/*
 * A call in a process: the request is laid out, and what the process says is judged.
 *
 * Invariant: of what the process wrote each word is read once, into a local, and judged there. What the host
 * wrote itself, in memory that no process can write, it may read again.
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

/* Who sleeps uses nothing, and who computes may have to share the processor with many. */
#define BUSY_PART 10

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

static struct ayrei_slot *find_empty(const struct ayre_worker *worker)
{
	for (uint32_t i = 0; i < worker->slot_count; i++)
		if (worker->slots[i].state == AYREI_PROCESS_NONE &&
		    worker->slots[i].job == AYREI_JOB_NONE)
			return &worker->slots[i];
	return NULL;
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
		slot = find_empty(worker);
		if (!slot)
			make_room(worker);
		if (!slot || ayrei_worker_pauses(worker))
			return -EBUSY;
		result = ayrei_process_start(worker, slot, has_input ? job->input : -1);
	}
	*ret_slot = slot;
	return result;
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

	if (worker->info.under_way >= worker->options.processes)
		return -EAGAIN;
	result = provide(worker, job, now_ns, &slot);
	if (result < 0)
		return result;
	requests = slot->requests;
	lay_out(worker, requests, job);
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

/* --- what it comes to --- */

/* The call has ended, and its process too, if that is of no more use. */
static void finish(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t outcome)
{
	bool is_spent = worker->options.calls_max && slot->served >= worker->options.calls_max;

	slot->answer.outcome = outcome;
	slot->job = AYREI_JOB_ENDED;
	worker->info.result = slot->answer.result;
	worker->info.reply_bytes = slot->answer.bytes;
	if (slot->is_private || is_spent || !ayrei_worker_keeps(worker))
		ayrei_process_kill(slot);
}

/* It ended its process, or had to be ended with it. */
static void fail(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t outcome)
{
	ayrei_process_kill(slot);
	ayrei_poison_add(worker, slot);
	finish(worker, slot, outcome);
}

static void take(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	const struct ayrei_replies *replies = slot->replies;
	uint32_t state = __atomic_load_n(&replies->state, __ATOMIC_RELAXED);
	int32_t returned = __atomic_load_n(&replies->result, __ATOMIC_RELAXED);
	uint64_t bytes = __atomic_load_n(&replies->bytes, __ATOMIC_RELAXED);

	/* capacity is the host's own word: the process cannot write it. */
	if (state < AYREI_REPLY_RETURNED || state > AYREI_REPLY_TOO_LARGE ||
	    (state == AYREI_REPLY_RETURNED && bytes > slot->requests->capacity)) {
		ayrei_process_note_death(worker, true);
		fail(worker, slot, -EPROTO);
		return;
	}
	worker->deaths_in_row = 0;
	if (state == AYREI_REPLY_NO_FUNCTION) {
		finish(worker, slot, -ENOENT);
	} else if (state == AYREI_REPLY_TOO_LARGE) {
		slot->answer.bytes = bytes;
		finish(worker, slot, -EMSGSIZE);
	} else {
		slot->answer.data = (const char *)replies + AYREI_CHANNEL_HEAD;
		slot->answer.bytes = bytes;
		slot->answer.result = returned;
		finish(worker, slot, returned ? -EREMOTEIO : (int64_t)bytes);
	}
}

/* By its own word, which is seen at once; its end takes as long as it has memory. */
static void take_last_word(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	struct ayre_worker_end end = {
		.system_call = -1,
		.call = slot->answer.call,
		.cpu_ns = -1,
		.max_rss_bytes = -1,
	};

	/* What makes no sense is no word: its end will be heard of. */
	if (!ayrei_worker_believe(slot->replies, &end))
		return;
	slot->answer.end = end;
	worker->end = end;
	worker->info.ends++;
	ayrei_process_note_death(worker, true);
	fail(worker, slot, -EPIPE);
}

/* The deadline has passed. What it did is asked before it is gone. */
static void give_up(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t now_ns)
{
	bool is_there = slot->state == AYREI_PROCESS_ALIVE;
	int64_t cpu_ns = is_there ? ayrei_child_cpu_ns(slot->process) : -1;

	slot->answer.end = (struct ayre_worker_end){
		.kind = AYRE_WORKER_DEADLINE,
		.signal = is_there ? SIGKILL : 0,
		.system_call = -1,
		.call = slot->answer.call,
		.was_busy = cpu_ns >= (now_ns - slot->begin_ns) / BUSY_PART,
		.cpu_ns = cpu_ns < 0 ? -1 : cpu_ns,
		.max_rss_bytes = -1,
	};
	worker->end = slot->answer.end;
	worker->info.ends++;
	ayrei_process_note_death(worker, true);
	fail(worker, slot, -ETIMEDOUT);
}

bool ayrei_job_look(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	const struct ayrei_replies *replies = slot->replies;

	if (slot->job != AYREI_JOB_UNDER_WAY)
		return slot->job == AYREI_JOB_ENDED;
	if (__atomic_load_n(&replies->call, __ATOMIC_ACQUIRE) == slot->requests->call)
		take(worker, slot);
	else if (__atomic_load_n(&replies->has_crashed, __ATOMIC_ACQUIRE))
		take_last_word(worker, slot);
	return slot->job == AYREI_JOB_ENDED;
}

bool ayrei_job_look_at(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t now_ns)
{
	if (!ayrei_job_look(worker, slot) && slot->job == AYREI_JOB_UNDER_WAY &&
	    slot->deadline_ns <= now_ns)
		give_up(worker, slot, now_ns);
	return slot->job == AYREI_JOB_ENDED;
}

void ayrei_job_lose_process(struct ayre_worker *worker, struct ayrei_slot *slot,
                            const struct ayre_worker_end *end, int code)
{
	int told = __atomic_load_n(&slot->replies->error.code, __ATOMIC_RELAXED);

	if (slot->job != AYREI_JOB_UNDER_WAY)
		return;
	if (end) {
		slot->answer.end = *end;
		slot->answer.end.call = slot->answer.call;
	}
	/* It could not be confined, and says why; the request has nothing to do with it. */
	if (end && end->kind == AYRE_WORKER_EXITED && end->status == AYREI_WORKER_UNCONFINED &&
	    told < 0 && told > -4096)
		finish(worker, slot, told);
	else if (end && end->kind != AYRE_WORKER_LOST)
		fail(worker, slot, code);
	else
		finish(worker, slot, code);
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
