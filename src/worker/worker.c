/*
 * What a worker tells of itself.
 */
#include "worker/worker.h"

#include "base/options.h"
#include "sys/event.h"
#include "worker/filter.h"

int ayre_worker_get_info(const struct ayre_worker *worker, struct ayre_worker_info *ret_info)
{
	return ayrei_result_copy(ret_info, &worker->info, sizeof(worker->info));
}

int ayre_worker_last_end(const struct ayre_worker *worker, struct ayre_worker_end *ret_end)
{
	return ayrei_result_copy(ret_end, &worker->end, sizeof(worker->end));
}

int64_t ayrei_worker_deadline(const struct ayre_worker *worker)
{
	int64_t timeout_ns = worker->options.timeout_ns, now_ns = ayrei_monotonic_ns();

	return timeout_ns > AYRE_NO_DEADLINE - now_ns ? AYRE_NO_DEADLINE : now_ns + timeout_ns;
}

const char *ayre_system_call_name(int number)
{
	if (number < 0 || (size_t)number >= ayrei_call_names_count)
		return NULL;
	return ayrei_call_names[number];
}
