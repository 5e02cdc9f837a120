/*
 * What a call comes to: what the process says is judged, or how it ended.
 *
 * Invariant: of what the process wrote each word is read once, into a local, and judged there. What the host
 * wrote itself, in memory that no process can write, it may read again.
 */
#include <errno.h>
#include <signal.h>

#include "sys/child.h"
#include "worker/worker.h"

/* Who sleeps uses nothing, and who computes may have to share the processor with many. */
#define BUSY_PART 10

/* Less than this nobody has had of a processor for sure. */
#define FAIR_NS INT64_C(1000000)

/* Who is there for so long has begun, whatever it says of itself. */
#define BEGINNING_NS INT64_C(1000000000)

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

bool ayrei_job_sees_begun(const struct ayrei_slot *slot)
{
	return __atomic_load_n(&slot->replies->is_confined, __ATOMIC_RELAXED);
}

/*
 * Did its process have the request for half of the time that was given? Else the machine or the host was late,
 * and the request has nothing to do with it. A process can say that it has not begun, for a while.
 */
static bool had_its_time(const struct ayrei_slot *slot)
{
	int64_t given_ns = slot->deadline_ns - slot->begin_ns;
	int64_t alive_ns = slot->deadline_ns - slot->alive_ns;
	int64_t had_ns = alive_ns < given_ns ? alive_ns : given_ns;

	return slot->state == AYREI_PROCESS_ALIVE && had_ns >= FAIR_NS && had_ns >= given_ns / 2 &&
	       (slot->has_begun || alive_ns >= BEGINNING_NS);
}

/* The deadline has passed. What it did is asked before it is gone. */
static void give_up(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t now_ns)
{
	bool is_there = slot->state == AYREI_PROCESS_ALIVE, is_to_blame = had_its_time(slot);
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
	/* What had yet to start has not died. */
	worker->info.ends += is_there;
	ayrei_process_kill(slot);
	if (is_to_blame) {
		ayrei_process_note_death(worker, true);
		ayrei_poison_add(worker, slot);
	}
	finish(worker, slot, -ETIMEDOUT);
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
	if (ayrei_job_look(worker, slot) || slot->job != AYREI_JOB_UNDER_WAY)
		return slot->job == AYREI_JOB_ENDED;
	slot->has_begun = slot->has_begun || ayrei_job_sees_begun(slot);
	if (slot->deadline_ns <= now_ns)
		give_up(worker, slot, now_ns);
	return slot->job == AYREI_JOB_ENDED;
}

void ayrei_job_lose_process(struct ayre_worker *worker, struct ayrei_slot *slot,
                            const struct ayre_worker_end *end, int code)
{
	if (slot->job != AYREI_JOB_UNDER_WAY)
		return;
	if (end) {
		slot->answer.end = *end;
		slot->answer.end.call = slot->answer.call;
	}
	if (!end || end->kind == AYRE_WORKER_LOST)
		finish(worker, slot, code);
	/* It could not be confined; the request has nothing to do with it. */
	else if (slot->refusal)
		finish(worker, slot, slot->refusal);
	else
		fail(worker, slot, code);
}
