/*
 * Calls that are not waited for: many are under way, and one descriptor tells of all of them.
 *
 * Invariant: whenever a function of ours has returned, the descriptor is readable if there is an answer that
 * nobody has collected, a deadline has passed, or there is room again for a call that found none. A bell that was
 * heard where nobody collected is not lost: the timer, set to a time that has passed, stands for it.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "worker/worker.h"

#define EVENTS_AT_ONCE 16
#define AT_ONCE_NS     1

/* Tags of the set, besides the numbers of slots. */
#define TAG_SOCKET AYREI_SLOTS_MAX
#define TAG_TIMER  (AYREI_SLOTS_MAX + 1)

/* --- the descriptor --- */

static int fill_set(const struct ayre_worker *worker, int set, int timer)
{
	int result = ayrei_set_add(set, worker->socket, AYREI_READABLE, TAG_SOCKET);

	if (result == 0)
		result = ayrei_set_add(set, timer, AYREI_READABLE, TAG_TIMER);
	for (uint32_t i = 0; result == 0 && i < worker->slot_count; i++)
		result = ayrei_set_add(set, worker->slots[i].reply_bell[0], AYREI_READABLE, i);
	return result;
}

static int make_set(struct ayre_worker *worker)
{
	ayrei_auto_fd int set = -1;
	ayrei_auto_fd int timer = -1;
	int result;

	if (worker->set >= 0)
		return 0;
	result = set = ayrei_set_open();
	if (result >= 0)
		result = timer = ayrei_timer_open();
	if (result >= 0)
		result = fill_set(worker, set, timer);
	if (result < 0)
		return result;
	worker->set = ayrei_take_fd(&set);
	worker->timer = ayrei_take_fd(&timer);
	worker->timer_ns = INT64_MAX;
	return 0;
}

int ayre_worker_fd(struct ayre_worker *worker)
{
	int result = make_set(worker);

	if (result < 0)
		return result;
	ayrei_worker_arm(worker);
	return worker->set;
}

/*
 * Room that there is again was heard of by somebody, who may not be the one that submits. It is told until there
 * was a submission, or nobody wants it: until so many collections have found nothing.
 */
#define ROOM_TELLINGS 2

static bool has_room_to_tell(struct ayre_worker *worker)
{
	if (worker->is_wanted && ayrei_job_has_room(worker, worker->wants_input)) {
		worker->is_wanted = false;
		worker->room_news = ROOM_TELLINGS;
	}
	return worker->room_news > 0;
}

/* When there is something to do that nothing else tells of. */
static int64_t next_ns(struct ayre_worker *worker)
{
	int64_t next = ayrei_worker_pauses(worker) ? worker->pause_until_ns : INT64_MAX;

	/* Who has nothing else to do clears some more. */
	if (has_room_to_tell(worker) || ayrei_slots_are_littered(worker))
		return AT_ONCE_NS;
	for (uint32_t i = 0; i < worker->slot_count; i++) {
		const struct ayrei_slot *slot = &worker->slots[i];

		if (slot->job == AYREI_JOB_ENDED)
			return AT_ONCE_NS;
		if (slot->job == AYREI_JOB_UNDER_WAY && slot->deadline_ns < next)
			next = slot->deadline_ns;
	}
	return next > AT_ONCE_NS ? next : AT_ONCE_NS;
}

void ayrei_worker_arm(struct ayre_worker *worker)
{
	int64_t next;

	if (worker->timer < 0)
		return;
	next = next_ns(worker);
	if (next != worker->timer_ns && ayrei_timer_set(worker->timer, next) == 0)
		worker->timer_ns = next;
}

/* --- beginning --- */

/* There was no room for it. Where there is, it failed for another reason, which is not waited for. */
static void want_room(struct ayre_worker *worker, const struct ayre_worker_job *job)
{
	worker->wants_input = job->flags & AYRE_WORKER_INPUT;
	worker->is_wanted = !ayrei_job_has_room(worker, worker->wants_input);
}

int ayre_worker_submit(struct ayre_worker *worker, const struct ayre_worker_job *given,
                       uint64_t *ret_call)
{
	struct ayre_worker_job job;
	struct ayrei_slot *slot;
	int result = given ? ayrei_options_copy(&job, sizeof(job), given) : -EINVAL;

	if (result == 0 && job.deadline_ns == 0)
		job.deadline_ns = ayrei_worker_deadline(worker);
	if (result == 0 && job.reply_capacity == 0)
		job.reply_capacity = worker->options.reply_max;
	if (result == 0)
		result = ayrei_job_check(worker, &job);
	if (result == 0 && ayrei_poison_is(worker, &job))
		result = -EBADMSG;
	if (result == 0)
		result = make_set(worker);
	worker->is_wanted = false;
	worker->room_news = 0;
	if (result == 0)
		result = ayrei_job_begin(worker, &job, &slot);
	if (result == -EBUSY || result == -EAGAIN)
		want_room(worker, &job);
	if (result < 0) {
		ayrei_worker_arm(worker);
		return result == -EBUSY ? -EAGAIN : result;
	}
	ayrei_job_ask_for_bell(slot, true);
	(void)!ayrei_processes_stand_by(worker);
	(void)!ayrei_job_look(worker, slot);
	if (ret_call)
		*ret_call = slot->answer.call;
	ayrei_worker_arm(worker);
	return 0;
}

/* --- collecting --- */

/* One that has ended, by turns. */
static struct ayrei_slot *find_ended(struct ayre_worker *worker)
{
	int64_t now_ns = ayrei_monotonic_ns();

	for (uint32_t i = 0; i < worker->slot_count; i++) {
		uint32_t place = (worker->collected + 1 + i) % worker->slot_count;

		if (ayrei_job_look_at(worker, &worker->slots[place], now_ns)) {
			worker->collected = place;
			return &worker->slots[place];
		}
	}
	return NULL;
}

static bool is_under_way(const struct ayre_worker *worker)
{
	for (uint32_t i = 0; i < worker->slot_count; i++)
		if (worker->slots[i].job == AYREI_JOB_UNDER_WAY)
			return true;
	return false;
}

static int hear_event(struct ayre_worker *worker, uint64_t tag)
{
	char bytes[4096];

	if (tag == TAG_SOCKET)
		return ayrei_worker_hear_all(worker);
	/* A hint, of which there may be any number. */
	if (tag < worker->slot_count)
		(void)!ayrei_pipe_try_read(worker->slots[tag].reply_bell[0], bytes, sizeof(bytes));
	return 0;
}

/* Hears what there is by then. 0, -ETIMEDOUT, or as hearing has it. */
static int hear_events(struct ayre_worker *worker, int64_t deadline_ns)
{
	struct ayrei_event events[EVENTS_AT_ONCE];
	int count = ayrei_set_wait(worker->set, events, EVENTS_AT_ONCE, deadline_ns);
	int result = 0;

	if (count <= 0)
		return count < 0 ? count : -ETIMEDOUT;
	for (int i = 0; i < count; i++) {
		int heard = hear_event(worker, events[i].tag);

		result = result < 0 ? result : heard;
	}
	return result;
}

static int give(struct ayrei_slot *slot, struct ayre_worker_answer *ret_answer)
{
	slot->job = AYREI_JOB_COLLECTED;
	return ayrei_result_copy(ret_answer, &slot->answer, sizeof(slot->answer));
}

/*
 * Waits once for something to be heard, and hears it. 0, -ETIMEDOUT: the deadline has passed; or why nothing can
 * be heard any more.
 */
static int hear_once(struct ayre_worker *worker, int64_t deadline_ns)
{
	bool clears = ayrei_slots_clear_some(worker);
	int result;

	if (!is_under_way(worker))
		deadline_ns = 0;
	/* The timer has the deadlines of the calls themselves. */
	ayrei_worker_arm(worker);
	result = hear_events(worker, clears ? 0 : deadline_ns);
	if (result == -ETIMEDOUT && clears)
		result = 0;
	/* Who rings without end does not keep us. */
	if (result == 0 && deadline_ns <= ayrei_monotonic_ns())
		result = -ETIMEDOUT;
	return result;
}

static int collect(struct ayre_worker *worker, int64_t deadline_ns,
                   struct ayre_worker_answer *ret_answer)
{
	struct ayrei_spinning spinning = {.end_ns = INT64_MIN};
	struct ayrei_slot *slot;
	bool slept = false;
	int result = 0;

	while (!(slot = find_ended(worker))) {
		if (result < 0) {
			bool waits = is_under_way(worker);

			return waits || (result != -ETIMEDOUT && result != -ENOTCONN) ? result
			       : worker->is_lost                                      ? -ENOTCONN
			                                                              : -ENOMSG;
		}
		if (deadline_ns > 0 && is_under_way(worker) &&
		    ayrei_spin_turn(&worker->spin, &spinning, deadline_ns))
			continue;
		slept = true;
		result = hear_once(worker, deadline_ns);
	}
	if (deadline_ns > 0)
		ayrei_spin_learn(&worker->spin, !slept);
	return give(slot, ret_answer);
}

int ayre_worker_collect_until(struct ayre_worker *worker, int64_t deadline_ns,
                              struct ayre_worker_answer *ret_answer)
{
	int result = ret_answer->size < sizeof(size_t) ? -EINVAL : make_set(worker);

	if (result == 0)
		result = collect(worker, deadline_ns, ret_answer);
	if (result < 0 && worker->room_news > 0)
		worker->room_news--;
	ayrei_worker_arm(worker);
	return result;
}

int ayre_worker_try_collect(struct ayre_worker *worker, struct ayre_worker_answer *ret_answer)
{
	int result = ayre_worker_collect_until(worker, 0, ret_answer);

	return result == -ETIMEDOUT ? -EAGAIN : result;
}

/* --- giving back --- */

void ayre_worker_release(struct ayre_worker *worker, uint64_t call)
{
	struct ayrei_slot *slot = ayrei_job_find(worker, call, AYREI_JOB_COLLECTED);

	if (slot)
		ayrei_job_release(worker, slot);
	if (worker->is_wanted)
		ayrei_worker_arm(worker);
}

void ayre_worker_cancel(struct ayre_worker *worker, uint64_t call)
{
	struct ayrei_slot *slot = ayrei_job_find(worker, call, AYREI_JOB_UNDER_WAY);

	if (!slot)
		slot = ayrei_job_find(worker, call, AYREI_JOB_ENDED);
	if (slot)
		ayrei_job_release(worker, slot);
	ayrei_worker_arm(worker);
}
