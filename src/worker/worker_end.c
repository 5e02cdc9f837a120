/*
 * How processes end.
 *
 * Invariant: that it died, and of which signal, is what the kernel told the zygote. What the process wrote
 * about it refines this and cannot contradict it: a signal that it names counts only if it died of that
 * one, or of a forbidden call, which is how one dies of a signal that may not be sent. All of it is
 * numbers; the words are ours.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "sys/child.h"
#include "worker/worker.h"

#define SIGNAL_MAX 64

/* It is dead: nobody writes the page any more. */
static bool read_record(const struct ayre_worker *worker, int signal, struct ayrei_crash *ret_crash)
{
	const struct ayrei_replies *replies = worker->replies;

	if (!__atomic_load_n(&replies->has_crashed, __ATOMIC_ACQUIRE))
		return false;
	memcpy(ret_crash, &replies->crash, sizeof(*ret_crash));
	return ret_crash->signal > 0 && ret_crash->signal <= SIGNAL_MAX &&
	       (ret_crash->signal == signal || signal == SIGSYS);
}

static void judge_record(const struct ayre_worker *worker, const struct ayrei_crash *crash,
                         struct ayre_worker_end *end)
{
	end->signal = crash->signal;
	end->has_address = crash->has_address;
	end->address = crash->has_address ? crash->address : 0;
	if (crash->signal == SIGSYS && crash->system_call >= 0) {
		end->kind = AYRE_WORKER_FORBIDDEN;
		end->system_call = crash->system_call;
	} else if (crash->signal == SIGSEGV && worker->replies->is_out_of_stack) {
		end->kind = AYRE_WORKER_STACK;
	} else if (worker->replies->is_out_of_memory) {
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

void ayrei_worker_judge(const struct ayre_worker *worker, int status, struct ayre_worker_end *end)
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
	if (read_record(worker, taken.status, &crash))
		judge_record(worker, &crash, end);
	else if (is_out_of_time(worker, end))
		end->kind = AYRE_WORKER_CPU;
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
		         end->cpu_ns < 0 ? "was ended"
		         : end->was_busy ? "was computing"
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
