/*
 * A zygote that loads its module: until a first process of it stands by, or it is known why there is none.
 *
 * Invariant: what the zygote says is of any content. Of its texts none is read beyond its end, and no code is
 * passed on that means success.
 */
#include <errno.h>
#include <signal.h>

#include "base/error.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/pipe.h"
#include "sys/socket.h"
#include "worker/worker.h"

/* For who hung up to end. */
#define PATIENCE_NS INT64_C(1000000000)

/* The zygote's words: of any content, but texts that end. */
static int pass_error(struct ayre_error *error, struct ayre_error *told)
{
	if (told->code >= 0 || told->code < -4095)
		told->code = -EPROTO;
	told->step[sizeof(told->step) - 1] = '\0';
	told->object[sizeof(told->object) - 1] = '\0';
	told->detail[sizeof(told->detail) - 1] = '\0';
	if (error)
		*error = *told;
	return told->code;
}

/* It said nothing: what did it die of? */
static int explain_death(const struct ayre_worker *worker, const struct ayrei_replies *word,
                         const char *module, struct ayre_error *error)
{
	struct ayre_worker_end end = {.cpu_ns = -1};
	struct ayrei_child_end taken;
	const char *layer, *outer;
	char text[160];

	if (ayrei_wait_for(worker->keeper, AYREI_READABLE, ayrei_monotonic_ns() + PATIENCE_NS) <=
	            0 ||
	    ayrei_child_look(worker->keeper, &taken) < 0)
		return ayrei_fail(error, -EPIPE, "load", module, "its process says nothing");
	ayrei_worker_judge(worker, word, taken.signaled ? taken.status : taken.status << 8, &end);
	/* A filter of ours has it say which call that was; and what it tries is from before the module was there. */
	outer = end.kind == AYRE_WORKER_KILLED && end.signal == SIGSYS
	                ? ", by a filter from outside, a container's"
	                : "";
	layer = ayre_layer_name(__atomic_load_n(&word->trying, __ATOMIC_RELAXED));
	ayre_worker_end_text(&end, text, sizeof(text));
	if (layer)
		return ayrei_fail(error, -EPIPE, "confine", layer, "its process ended: %s%s", text,
		                  outer);
	return ayrei_fail(error, -EPIPE, "load", module, "its process ended while it loaded: %s%s",
	                  text, outer);
}

int ayrei_worker_await_module(const struct ayre_worker *worker, const struct ayrei_replies *word,
                              const char *module, int64_t deadline_ns, struct ayre_error *error)
{
	/* What a constructor made may have the other end of the socket still, when the zygote has ended. */
	const int fds[] = {worker->socket, worker->keeper};
	struct ayrei_report report;
	int ready = ayrei_wait_for_any(fds, 2, deadline_ns);
	ssize_t length;

	if (ready <= 0)
		return ayrei_fail(error, ready < 0 ? ready : -ETIMEDOUT, "load", module,
		                  "a constructor does not return");
	length = ayrei_socket_receive(worker->socket, &report, sizeof(report), NULL, 0);
	if (length != (ssize_t)sizeof(report))
		return explain_death(worker, word, module, error);
	if (report.kind == AYREI_REPORT_FAILED)
		return pass_error(error, &report.error);
	return report.kind == AYREI_REPORT_LOADED
	               ? 0
	               : ayrei_fail(error, -EPROTO, "load", module, NULL);
}

int ayrei_worker_await_process(struct ayre_worker *worker, const char *module, int64_t deadline_ns,
                               struct ayre_error *error)
{
	struct ayrei_slot *slot = &worker->slots[0];
	char text[160], bytes[64];
	int result;

	ayrei_job_ask_for_bell(slot, true);
	result = ayrei_process_start(worker, slot, -1);
	while (result == 0 && worker->info.ends == 0 && slot->state != AYREI_PROCESS_NONE &&
	       !__atomic_load_n(&slot->replies->is_confined, __ATOMIC_ACQUIRE)) {
		const int fds[] = {worker->socket, slot->reply_bell[0]};

		result = ayrei_wait_for_any(fds, 2, deadline_ns);
		(void)!ayrei_pipe_try_read(slot->reply_bell[0], bytes, sizeof(bytes));
		result = result < 0    ? result
		         : result == 0 ? -ETIMEDOUT
		                       : ayrei_worker_hear_all(worker);
	}
	ayrei_job_ask_for_bell(slot, false);
	if (result == 0 && worker->info.ends == 0 && slot->state == AYREI_PROCESS_NONE)
		result = -EAGAIN;
	if (result < 0)
		return ayrei_fail(error, result, "start", module, "no process can be had for it");
	if (worker->info.ends == 0)
		return 0;
	if (slot->refusal)
		return pass_error(error, &worker->refusal);
	return ayrei_fail(error, -EPIPE, "start", module, "%s",
	                  ayre_worker_end_text(&worker->end, text, sizeof(text)));
}
