/*
 * A reply that nobody can change any more.
 *
 * Invariant: who could write it is stopped or dead, by the kernel's word and not by the zygote's. A worker is one
 * thread, cannot make another, and nobody of its kind can send it a signal: so it stays stopped.
 */
#include <errno.h>
#include <signal.h>

#include "sys/child.h"
#include "sys/event.h"
#include "worker/worker.h"

#define PATIENCE_NS INT64_C(1000000000)

static int freeze(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t deadline_ns)
{
	int result = 0;

	/* It answered so soon that its descriptor is still to come. */
	while (result == 0 && slot->state == AYREI_PROCESS_STARTING)
		result = ayrei_worker_hear(worker, deadline_ns);
	/* Of a zygote that is gone nobody knows whether its workers are. */
	if (worker->is_lost)
		return -ENOTCONN;
	if (result < 0 || slot->state == AYREI_PROCESS_NONE)
		return result;
	if (slot->state == AYREI_PROCESS_ENDING) {
		result = ayrei_wait_for(slot->process, AYREI_READABLE, deadline_ns);
		return result == 0 ? -ETIMEDOUT : result < 0 ? result : 0;
	}
	/* Asked again, it may have been asked to stop before, and not have come to it. */
	result = ayrei_child_signal(slot->process, SIGSTOP);
	slot->is_frozen = true;
	/* It has died since, and nobody has heard of it yet. */
	if (result == -ESRCH)
		return 0;
	return result < 0 ? result : ayrei_child_await_stop(slot->process, deadline_ns);
}

int ayre_worker_freeze(struct ayre_worker *worker, uint64_t call)
{
	struct ayrei_slot *slot = ayrei_job_find(worker, call, AYREI_JOB_COLLECTED);
	int result;

	if (!slot)
		return -ENOENT;
	result = freeze(worker, slot, ayrei_monotonic_ns() + PATIENCE_NS);
	ayrei_worker_arm(worker);
	return result;
}
