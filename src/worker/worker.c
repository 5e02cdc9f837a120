/*
 * What a worker tells of itself.
 */
#include "worker/worker.h"

#include "base/options.h"
#include "worker/filter.h"

int ayre_worker_get_info(const struct ayre_worker *worker, struct ayre_worker_info *ret_info)
{
	return ayrei_result_copy(ret_info, &worker->info, sizeof(worker->info));
}

int ayre_worker_last_end(const struct ayre_worker *worker, struct ayre_worker_end *ret_end)
{
	return ayrei_result_copy(ret_end, &worker->end, sizeof(worker->end));
}

const char *ayre_system_call_name(int number)
{
	if (number < 0 || (size_t)number >= ayrei_call_names_count)
		return NULL;
	return ayrei_call_names[number];
}
