/*
 * The processes in the slots.
 *
 * Invariant: of each slot the zygote reports in a fixed order, started and ended by turns. What does not fit,
 * or is no report, makes the zygote one that is not spoken with again: it may be what a constructor made of
 * it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "worker/worker.h"

/* More is not taken on suspicion. */
#define LIKELY_MAX (UINT64_C(8) << 20)

#define MILLISECOND_NS INT64_C(1000000)
#define DEATHS_AT_ONCE 2 /* so many in a row before there is a pause */
#define PAUSE_FIRST_NS MILLISECOND_NS
#define PAUSE_MAX_NS   (1000 * MILLISECOND_NS)

/* --- ending --- */

void ayrei_process_kill(struct ayrei_slot *slot)
{
	slot->is_doomed |= slot->state == AYREI_PROCESS_STARTING;
	if (slot->state != AYREI_PROCESS_ALIVE)
		return;
	(void)!ayrei_child_signal(slot->process, SIGKILL);
	slot->state = AYREI_PROCESS_ENDING;
}

/* The process is no more. */
static void empty(struct ayrei_slot *slot)
{
	slot->process = ayrei_file_close(slot->process);
	slot->state = AYREI_PROCESS_NONE;
	slot->is_doomed = false;
	slot->is_private = false;
	slot->is_frozen = false;
	ayrei_slot_weigh(slot);
}

void ayrei_worker_abandon(struct ayre_worker *worker)
{
	/* The keeper ends them all, and then itself. */
	if (!worker->is_lost)
		ayrei_socket_hang_up(worker->socket);
	worker->is_lost = true;
	for (uint32_t i = 0; i < worker->slot_count; i++)
		empty(&worker->slots[i]);
}

static int lose(struct ayre_worker *worker)
{
	const struct ayre_worker_end end = {
		.kind = AYRE_WORKER_LOST,
		.system_call = -1,
		.cpu_ns = -1,
		.max_rss_bytes = -1,
	};

	ayrei_worker_abandon(worker);
	worker->end = end;
	worker->info.ends++;
	for (uint32_t i = 0; i < worker->slot_count; i++) {
		struct ayrei_slot *slot = &worker->slots[i];

		if (slot->job == AYREI_JOB_UNDER_WAY)
			worker->end.call = slot->answer.call;
		ayrei_job_lose_process(worker, slot, &end, -ENOTCONN);
	}
	return -ENOTCONN;
}

/*
 * Who dies again and again is started again after pauses. That is for processes that serve many calls, and
 * for those that die before they have any: of the others each has died of its own call.
 */
void ayrei_process_note_death(struct ayre_worker *worker, bool was_used)
{
	int64_t most_ns = was_used ? worker->options.pause_max_ns : PAUSE_MAX_NS;
	int64_t pause_ns;

	if (was_used && !ayrei_worker_keeps(worker))
		return;
	worker->deaths_in_row++;
	if (worker->deaths_in_row < DEATHS_AT_ONCE || most_ns < 0)
		return;
	pause_ns = PAUSE_FIRST_NS;
	for (uint32_t i = DEATHS_AT_ONCE; i < worker->deaths_in_row && pause_ns < most_ns; i++)
		pause_ns *= 2;
	worker->pause_until_ns = ayrei_monotonic_ns() + (pause_ns < most_ns ? pause_ns : most_ns);
}

bool ayrei_worker_pauses(struct ayre_worker *worker)
{
	if (worker->pause_until_ns && worker->pause_until_ns <= ayrei_monotonic_ns())
		worker->pause_until_ns = 0;
	return worker->pause_until_ns;
}

/* --- starting --- */

int ayrei_process_start(struct ayre_worker *worker, struct ayrei_slot *slot, int input)
{
	struct ayrei_order order = {
		.slot = (uint32_t)(slot - worker->slots),
		.call = slot->requests->call,
		.requests_bytes = worker->requests_bytes,
		.replies_bytes = worker->replies_bytes,
		/* For one call it waits once, and may do so for long. */
		.spin_ns = ayrei_worker_keeps(worker) && input < 0 ? worker->options.spin_ns
	                                                           : AYRE_SPIN_NONE,
	};
	const int passed[AYREI_ORDER_FDS] = {
		[AYREI_ORDER_REQUESTS] = slot->requests_file,
		[AYREI_ORDER_REPLIES] = slot->replies_file,
		[AYREI_ORDER_CALL_BELL] = slot->call_bell[0],
		[AYREI_ORDER_REPLY_BELL] = slot->reply_bell[1],
		[AYREI_ORDER_INPUT] = input,
	};
	uint64_t bytes = worker->info.reply_bytes;
	int result = 0;

	order.likely_bytes = bytes < LIKELY_MAX && bytes < worker->options.reply_max ? bytes : 0;
	memcpy(order.function, worker->slots[worker->last].requests->function,
	       sizeof(order.function));
	/* What the process before has left is not for this one. */
	if (slot->is_dirty)
		result = ayrei_file_clear(slot->replies_file, worker->replies_bytes);
	if (result < 0)
		return result;
	result = ayrei_socket_send(worker->socket, &order, sizeof(order), passed,
	                           input < 0 ? AYREI_ORDER_INPUT : AYREI_ORDER_FDS);
	/* As many orders as there can be have not been taken yet, or as many descriptors. */
	if (result == -EAGAIN || result == -ETOOMANYREFS)
		return -EBUSY;
	if (result < 0)
		return lose(worker);
	slot->state = AYREI_PROCESS_STARTING;
	slot->is_dirty = true;
	slot->is_large = false;
	slot->is_private = input >= 0;
	slot->served = 0;
	/* What it comes to is of no call before. */
	slot->answer.call = 0;
	slot->has_begun = false;
	slot->refusal = 0;
	worker->info.processes++;
	return 0;
}

/* Is it there for the next call? */
static bool stands_by(const struct ayrei_slot *slot)
{
	return (slot->state == AYREI_PROCESS_STARTING || slot->state == AYREI_PROCESS_ALIVE) &&
	       slot->job == AYREI_JOB_NONE && !slot->is_doomed;
}

int ayrei_processes_stand_by(struct ayre_worker *worker)
{
	uint32_t standing = 0;

	if (worker->is_lost)
		return -ENOTCONN;
	if (ayrei_worker_pauses(worker))
		return 0;
	for (uint32_t i = 0; i < worker->slot_count; i++)
		standing += stands_by(&worker->slots[i]);
	for (; standing < worker->options.spares; standing++) {
		struct ayrei_slot *slot = ayrei_slot_find_empty(worker);

		/* Whoever needs one will hear of it; and what takes a while waits for a better time. */
		if (!slot || slot->is_large || ayrei_process_start(worker, slot, -1) < 0)
			break;
	}
	return worker->is_lost ? -ENOTCONN : 0;
}

/* --- hearing --- */

/*
 * Why there is no process, in the words of those that are not trusted: never one that means something else of a
 * call.
 */
static int refusal_of(int code)
{
	static const int known[] = {EACCES, EAGAIN, EINVAL, EMFILE,     ENFILE,
	                            ENODEV, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (code == -known[i])
			return code;
	return -EPROTO;
}

static int hear_unconfined(struct ayre_worker *worker, struct ayrei_slot *slot,
                           const struct ayrei_report *report)
{
	if (slot->state == AYREI_PROCESS_NONE)
		return lose(worker);
	worker->refusal = report->error;
	slot->refusal = refusal_of(report->error.code);
	return 0;
}

static int hear_started(struct ayre_worker *worker, struct ayrei_slot *slot,
                        const struct ayrei_report *report, int take_pidfd)
{
	ayrei_auto_fd int pidfd = take_pidfd;
	bool was_doomed = slot->is_doomed;

	if (report->code < 0) {
		empty(slot);
		worker->info.processes--;
		if (!was_doomed)
			ayrei_job_lose_process(worker, slot, NULL, refusal_of(report->code));
		return 0;
	}
	/* It is one, and of a process that we may end. */
	if (pidfd < 0 || ayrei_child_signal(pidfd, 0) == -EBADF)
		return lose(worker);
	slot->process = ayrei_take_fd(&pidfd);
	slot->state = AYREI_PROCESS_ALIVE;
	slot->alive_ns = ayrei_monotonic_ns();
	if (was_doomed)
		ayrei_process_kill(slot);
	return 0;
}

/* Of one that we ended, whoever did so has said why; what the kernel counted is added. */
static void complete(struct ayre_worker *worker, struct ayrei_slot *slot,
                     const struct ayrei_report *report)
{
	struct ayre_worker_end *ends[] = {&worker->end, &slot->answer.end};

	for (int i = 0; i < 2; i++) {
		if (!ends[i]->kind || !slot->answer.call || ends[i]->call != slot->answer.call)
			continue;
		ends[i]->cpu_ns = report->cpu_ns;
		ends[i]->max_rss_bytes = report->max_rss_bytes;
	}
}

static void hear_ended(struct ayre_worker *worker, struct ayrei_slot *slot,
                       const struct ayrei_report *report)
{
	bool was_killed = slot->state == AYREI_PROCESS_ENDING;
	struct ayre_worker_end end = {
		.call = slot->job == AYREI_JOB_UNDER_WAY ? slot->answer.call : 0,
		.cpu_ns = report->cpu_ns,
		.max_rss_bytes = report->max_rss_bytes,
	};

	empty(slot);
	if (was_killed) {
		complete(worker, slot, report);
		return;
	}
	ayrei_worker_judge(worker, slot->replies, report->status, &end);
	/* It may have answered before, or said of what it dies. */
	if (slot->job == AYREI_JOB_UNDER_WAY && ayrei_job_look(worker, slot)) {
		complete(worker, slot, report);
		return;
	}
	worker->end = end;
	worker->info.ends++;
	ayrei_process_note_death(worker, slot->served > 0);
	ayrei_job_lose_process(worker, slot, &end, -EPIPE);
}

int ayrei_worker_hear(struct ayre_worker *worker, int64_t deadline_ns)
{
	struct ayrei_report report;
	struct ayrei_slot *slot;
	ayrei_auto_fd int passed = -1;
	ssize_t length;
	int ready;

	if (worker->is_lost)
		return -ENOTCONN;
	ready = ayrei_wait_for(worker->socket, AYREI_READABLE, deadline_ns);
	if (ready <= 0)
		return ready < 0 ? ready : -ETIMEDOUT;
	length = ayrei_socket_receive(worker->socket, &report, sizeof(report), &passed, 1);
	if (length != (ssize_t)sizeof(report) || report.slot >= worker->slot_count)
		return lose(worker);
	slot = &worker->slots[report.slot];
	if (report.kind == AYREI_REPORT_UNCONFINED)
		return hear_unconfined(worker, slot, &report);
	if (report.kind == AYREI_REPORT_STARTED && slot->state == AYREI_PROCESS_STARTING)
		return hear_started(worker, slot, &report, ayrei_take_fd(&passed));
	if (report.kind != AYREI_REPORT_ENDED ||
	    (slot->state != AYREI_PROCESS_ALIVE && slot->state != AYREI_PROCESS_ENDING))
		return lose(worker);
	hear_ended(worker, slot, &report);
	return ayrei_processes_stand_by(worker);
}

int ayrei_worker_hear_all(struct ayre_worker *worker)
{
	int result = 0;

	while (result == 0)
		result = ayrei_worker_hear(worker, 0);
	return result == -ETIMEDOUT ? 0 : result;
}
