/*
 * A call: the request is laid out, a process answers it or does not.
 *
 * Invariant: of what the process wrote each word is read once, into a local, and judged there; what is
 * copied is as long as the local says. A call returns by its deadline, whatever the process does:
 * bells and reports are hints, after each of which the clock is looked at.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "sys/child.h"
#include "sys/event.h"
#include "sys/pipe.h"
#include "worker/worker.h"

/* Who sleeps uses nothing, and who computes may have to share the processor with many. */
#define BUSY_PART 10

static int check(const struct ayre_worker *worker, const char *function, const void *request,
                 size_t request_bytes)
{
	if (!function || !function[0] || (request_bytes && !request))
		return -EINVAL;
	if (strnlen(function, AYREI_FUNCTION_BYTES) == AYREI_FUNCTION_BYTES)
		return -ENOENT;
	if (request_bytes > worker->options.request_max)
		return -EMSGSIZE;
	return worker->state == AYREI_WORKER_GONE ? -ENOTCONN : 0;
}

/* All but the number, at which the process takes it. */
static void lay_out(struct ayre_worker *worker, const char *function, const void *request,
                    size_t request_bytes, size_t reply_capacity)
{
	struct ayrei_requests *requests = worker->requests;
	char *data = (char *)requests + AYREI_CHANNEL_HEAD;

	memset(requests->function, 0, sizeof(requests->function));
	memcpy(requests->function, function, strlen(function));
	/* Nothing of an earlier request is left behind this one. */
	if (requests->bytes > request_bytes)
		memset(data + request_bytes, 0, requests->bytes - request_bytes);
	if (request_bytes)
		memcpy(data, request, request_bytes);
	requests->bytes = request_bytes;
	requests->capacity = reply_capacity < worker->options.reply_max ? reply_capacity
	                                                                : worker->options.reply_max;
}

static void ring(const struct ayre_worker *worker)
{
	static const char byte = 'c';

	/* Full of rings, or nobody there, which is heard of otherwise. */
	(void)!ayrei_pipe_try_write(worker->call_bell, &byte, 1);
}

static ssize_t refuse(struct ayre_worker *worker)
{
	ayrei_worker_kill(worker);
	return -EPROTO;
}

/* There is a reply to this call. */
static ssize_t take(struct ayre_worker *worker, void *reply)
{
	const struct ayrei_replies *replies = worker->replies;
	uint32_t state = __atomic_load_n(&replies->state, __ATOMIC_RELAXED);
	int32_t returned = __atomic_load_n(&replies->result, __ATOMIC_RELAXED);
	uint64_t bytes = __atomic_load_n(&replies->bytes, __ATOMIC_RELAXED);

	if (state == AYREI_REPLY_NO_FUNCTION)
		return -ENOENT;
	if (state == AYREI_REPLY_TOO_LARGE) {
		worker->info.reply_bytes = bytes;
		return -EMSGSIZE;
	}
	/* capacity is the host's own word: the process cannot write it. */
	if (state != AYREI_REPLY_RETURNED || bytes > worker->requests->capacity)
		return refuse(worker);
	if (bytes)
		memcpy(reply, (const char *)replies + AYREI_CHANNEL_HEAD, bytes);
	worker->info.reply_bytes = bytes;
	worker->info.result = returned;
	return returned ? -EREMOTEIO : (ssize_t)bytes;
}

static bool is_answered(const struct ayre_worker *worker, uint64_t call)
{
	return __atomic_load_n(&worker->replies->call, __ATOMIC_ACQUIRE) == call;
}

/* The deadline has passed. What it did is asked before it is gone. */
static ssize_t give_up(struct ayre_worker *worker, uint64_t call)
{
	bool is_there = worker->state == AYREI_WORKER_ALIVE;
	int64_t took_ns = ayrei_monotonic_ns() - worker->call_begin_ns;
	int64_t cpu_ns = is_there ? ayrei_child_cpu_ns(worker->process) : -1;

	worker->end = (struct ayre_worker_end){
		.kind = AYRE_WORKER_DEADLINE,
		.signal = is_there ? SIGKILL : 0,
		.system_call = -1,
		.call = call,
		.was_busy = cpu_ns >= took_ns / BUSY_PART,
		.cpu_ns = cpu_ns < 0 ? -1 : cpu_ns,
		.max_rss_bytes = -1,
	};
	worker->info.ends++;
	ayrei_worker_kill(worker);
	return -ETIMEDOUT;
}

/* It ended before it answered. */
static ssize_t tell_end(const struct ayre_worker *worker)
{
	int code = __atomic_load_n(&worker->replies->error.code, __ATOMIC_RELAXED);

	if (worker->end.kind == AYRE_WORKER_EXITED &&
	    worker->end.status == AYREI_WORKER_UNCONFINED && code < 0 && code > -4096)
		return code;
	return -EPIPE;
}

static ssize_t await(struct ayre_worker *worker, uint64_t call, void *reply, int64_t deadline_ns)
{
	for (;;) {
		int result;

		if (is_answered(worker, call))
			return take(worker, reply);
		if (worker->state == AYREI_WORKER_NONE)
			return tell_end(worker);
		result = ayrei_worker_wait(worker, deadline_ns);
		if (result == -ETIMEDOUT ||
		    (result == 0 && deadline_ns <= ayrei_monotonic_ns() &&
		     !is_answered(worker, call) && worker->state != AYREI_WORKER_NONE))
			return give_up(worker, call);
		if (result < 0)
			return result;
	}
}

ssize_t ayre_worker_call_until(struct ayre_worker *worker, const char *function,
                               const void *request, size_t request_bytes, void *reply,
                               size_t reply_capacity, int64_t deadline_ns)
{
	uint64_t call = worker->requests->call + 1;
	ssize_t result = check(worker, function, request, request_bytes);

	worker->info.result = 0;
	worker->info.reply_bytes = 0;
	if (result == 0)
		result = ayrei_worker_provide(worker, deadline_ns);
	if (result < 0)
		return result;
	worker->call_begin_ns = ayrei_monotonic_ns();
	worker->is_used = true;
	worker->info.calls++;
	lay_out(worker, function, request, request_bytes, reply ? reply_capacity : 0);
	/* Release: who finds the number finds all of the request. */
	__atomic_store_n(&worker->requests->call, call, __ATOMIC_RELEASE);
	ring(worker);
	result = await(worker, call, reply, deadline_ns);
	if (!(worker->options.flags & AYRE_WORKER_KEEP))
		ayrei_worker_kill(worker);
	return result;
}

ssize_t ayre_worker_call(struct ayre_worker *worker, const char *function, const void *request,
                         size_t request_bytes, void *reply, size_t reply_capacity)
{
	int64_t timeout_ns = worker->options.timeout_ns, now_ns = ayrei_monotonic_ns();

	return ayre_worker_call_until(
		worker, function, request, request_bytes, reply, reply_capacity,
		timeout_ns > AYRE_NO_DEADLINE - now_ns ? AYRE_NO_DEADLINE : now_ns + timeout_ns);
}
