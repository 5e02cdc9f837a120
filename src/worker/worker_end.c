/*
 * How processes end.
 *
 * Invariant: that a process ended is true when it is told: the kernel said so to the zygote, or the process
 * said that it dies, and was ended by the host then. Of which signal is what the kernel told, and where
 * the process's own word came first, that; to what it died of it can always lie, and never to that it did.
 * All of it is numbers; the words are ours.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "sys/child.h"
#include "worker/worker.h"

#define SIGNAL_MAX 64

/* Each word is read once: who wrote it may be alive. */
static bool read_record(const struct ayrei_replies *replies, struct ayrei_crash *ret_crash)
{
	const struct ayrei_crash *crash = &replies->crash;

	if (!__atomic_load_n(&replies->has_crashed, __ATOMIC_ACQUIRE))
		return false;
	*ret_crash = (struct ayrei_crash){
		.signal = __atomic_load_n(&crash->signal, __ATOMIC_RELAXED),
		.code = __atomic_load_n(&crash->code, __ATOMIC_RELAXED),
		.system_call = __atomic_load_n(&crash->system_call, __ATOMIC_RELAXED),
		.has_address = __atomic_load_n(&crash->has_address, __ATOMIC_RELAXED),
		.address = __atomic_load_n(&crash->address, __ATOMIC_RELAXED),
	};
	return ret_crash->signal > 0 && ret_crash->signal <= SIGNAL_MAX;
}

static void judge_record(const struct ayrei_replies *replies, const struct ayrei_crash *crash,
                         struct ayre_worker_end *end)
{
	bool stack = __atomic_load_n(&replies->is_out_of_stack, __ATOMIC_RELAXED);
	bool memory = __atomic_load_n(&replies->is_out_of_memory, __ATOMIC_RELAXED);

	end->signal = crash->signal;
	end->has_address = crash->has_address;
	end->address = crash->has_address ? crash->address : 0;
	if (crash->signal == SIGSYS && crash->system_call >= 0) {
		end->kind = AYRE_WORKER_FORBIDDEN;
		end->system_call = crash->system_call;
	} else if (crash->signal == SIGSEGV && stack) {
		end->kind = AYRE_WORKER_STACK;
	} else if (memory) {
		end->kind = AYRE_WORKER_MEMORY;
	}
}

/*
 * SIGXCPU is the kernel's word for it. Who ignores that is killed a second later; and the kernel counts in
 * ticks there, and more finely in what it tells.
 */
static bool is_out_of_time(const struct ayre_worker *worker, const struct ayre_worker_end *end)
{
	int64_t limit_ns = worker->options.cpu_ns;

	return limit_ns > 0 &&
	       (end->signal == SIGXCPU || (end->signal == SIGKILL && end->cpu_ns >= limit_ns));
}

bool ayrei_worker_believe(const struct ayrei_replies *replies, struct ayre_worker_end *end)
{
	struct ayrei_crash crash;

	if (!read_record(replies, &crash))
		return false;
	end->kind = AYRE_WORKER_KILLED;
	judge_record(replies, &crash, end);
	return true;
}

void ayrei_worker_judge(const struct ayre_worker *worker, const struct ayrei_replies *replies,
                        int status, struct ayre_worker_end *end)
{
	struct ayrei_child_end taken = {0};
	struct ayrei_crash crash;

	ayrei_child_read_status(status, &taken);
	end->system_call = -1;
	if (!taken.signaled) {
		end->kind = AYRE_WORKER_EXITED;
		end->status = taken.status;
		return;
	}
	end->kind = AYRE_WORKER_KILLED;
	end->signal = taken.status;
	/* Of a forbidden call one dies by a signal that may not be sent, too. */
	if (read_record(replies, &crash) &&
	    (crash.signal == taken.status || taken.status == SIGSYS))
		judge_record(replies, &crash, end);
	else if (is_out_of_time(worker, end))
		end->kind = AYRE_WORKER_CPU;
}

/* --- what the kernel says later --- */

/* The process of this call is ending, and has not been heard to have ended. */
static bool is_going(const struct ayre_worker *worker, uint64_t call)
{
	for (uint32_t i = 0; call && i < worker->slot_count; i++) {
		const struct ayrei_slot *slot = &worker->slots[i];

		if (slot->answer.call == call &&
		    (slot->state == AYREI_PROCESS_ENDING || slot->is_doomed))
			return true;
	}
	return false;
}

int ayre_worker_end_until(struct ayre_worker *worker, uint64_t call, int64_t deadline_ns,
                          struct ayre_worker_end *ret_end)
{
	const struct ayrei_slot *slot = ayrei_job_find(worker, call, AYREI_JOB_COLLECTED);
	/* A place stays this call's until it is given back. */
	const struct ayre_worker_end *end = slot ? &slot->answer.end : &worker->end;
	int result = ret_end->size < sizeof(size_t) ? -EINVAL : call && !slot ? -ENOENT : 0;

	while (result == 0 && end->kind != AYRE_WORKER_RUNNING && is_going(worker, end->call))
		result = ayrei_worker_hear(worker, deadline_ns);
	ayrei_worker_arm(worker);
	/* Who could have told is gone. */
	if (result == 0 || result == -ENOTCONN)
		result = ayrei_result_copy(ret_end, end, sizeof(*end));
	return result;
}

/* --- for people --- */

static const char *signal_name(int number, char text[16])
{
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(text, 16, "SIG%s", name);
	else
		snprintf(text, 16, "signal %d", number);
	return text;
}

static void describe(const struct ayre_worker_end *end, char text[160])
{
	const char *call;
	char name[16], address[48] = "";

	signal_name(end->signal, name);
	if (end->has_address)
		snprintf(address, sizeof(address), " at address 0x%llx",
		         (unsigned long long)end->address);
	switch (end->kind) {
	case AYRE_WORKER_EXITED:
		snprintf(text, 160, "called exit, with status %d", end->status);
		break;
	case AYRE_WORKER_KILLED:
		snprintf(text, 160, "killed by %s%s", name, address);
		break;
	case AYRE_WORKER_FORBIDDEN:
		call = ayre_system_call_name(end->system_call);
		snprintf(text, 160, "made the forbidden system call %s (%d)", call ? call : "?",
		         end->system_call);
		break;
	case AYRE_WORKER_STACK:
		snprintf(text, 160, "its stack was full: killed by %s%s", name, address);
		break;
	case AYRE_WORKER_MEMORY:
		snprintf(text, 160, "memory was refused to it: killed by %s%s", name, address);
		break;
	case AYRE_WORKER_CPU:
		snprintf(text, 160, "its processor time was used up");
		break;
	case AYRE_WORKER_DEADLINE:
		snprintf(text, 160, "the deadline passed, and it %s",
		         !end->signal      ? "had not started"
		         : end->cpu_ns < 0 ? "was ended"
		         : end->was_busy   ? "was computing"
		                           : "was asleep");
		break;
	case AYRE_WORKER_LOST:
		snprintf(text, 160, "its zygote is gone");
		break;
	default:
		snprintf(text, 160, "none has ended but as it should");
		break;
	}
}

const char *ayre_worker_end_text(const struct ayre_worker_end *end, char *text, size_t text_bytes)
{
	char line[160];

	describe(end, line);
	if (text_bytes > 0)
		snprintf(text, text_bytes, "%s", line);
	return text;
}
