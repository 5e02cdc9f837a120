/*
 * The options of a worker, and their defaults.
 */
#include "worker/worker.h"

#include "base/options.h"

#define SECOND_NS       INT64_C(1000000000)
#define TIMEOUT_DEFAULT (10 * SECOND_NS)
#define BYTES_DEFAULT   (UINT64_C(64) << 20)
#define INPUT_DEFAULT   (UINT64_C(1) << 30)
#define BYTES_MAX       (UINT64_C(1) << 40)
#define CPU_SECONDS_MAX (INT64_C(1) << 30)
#define ALL_LAYERS      ((1u << AYRE_LAYER_COUNT) - 1)
#define POISON_DEFAULT  2

int ayrei_worker_take_options(struct ayre_worker_options *ours,
                              const struct ayre_worker_options *given)
{
	int result = ayrei_options_copy(ours, sizeof(*ours), given);

	if (result < 0 || ours->flags & ~(uint32_t)AYRE_WORKER_KEEP ||
	    ours->without & ~ALL_LAYERS || ours->cpu_ns < 0 || ours->timeout_ns < 0 ||
	    ours->load_timeout_ns < 0 || ours->request_max > BYTES_MAX ||
	    ours->reply_max > BYTES_MAX || ours->input_max > BYTES_MAX ||
	    (ours->read_count && !ours->reads) || ours->cpu_ns > CPU_SECONDS_MAX * SECOND_NS ||
	    ours->pause_max_ns < -1)
		return -EINVAL;
	if (ours->processes > AYRE_WORKER_PROCESSES_MAX ||
	    (ours->spares > AYRE_WORKER_PROCESSES_MAX && ours->spares != AYRE_WORKER_NONE))
		return -EINVAL;
	if (ours->timeout_ns == 0)
		ours->timeout_ns = TIMEOUT_DEFAULT;
	if (ours->load_timeout_ns == 0)
		ours->load_timeout_ns = TIMEOUT_DEFAULT;
	if (ours->request_max == 0)
		ours->request_max = BYTES_DEFAULT;
	if (ours->reply_max == 0)
		ours->reply_max = BYTES_DEFAULT;
	if (ours->input_max == 0)
		ours->input_max = INPUT_DEFAULT;
	if (ours->processes == 0)
		ours->processes = 1;
	ours->spares = ours->spares == 0 ? 1 : ours->spares == AYRE_WORKER_NONE ? 0 : ours->spares;
	if (ours->poison_max == 0)
		ours->poison_max = POISON_DEFAULT;
	if (ours->pause_max_ns == 0)
		ours->pause_max_ns = SECOND_NS;
	return 0;
}
