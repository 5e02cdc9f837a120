/*
 * Fault injection: the n-th call that can fail does fail, for every n, while a process is confined.
 *
 * What has to hold whatever fails: the result is an error that names a layer, or a success in
 * which every mandatory layer holds. A failure that nobody is told of would be a sandbox that is
 * none.
 */
#include "worker/worker_world.h"

#include <sys/mman.h>

#include "support/fault.h"

struct outcome {
	int result;
	struct ayre_posture posture;
	struct ayre_error error;
	struct fault_report report;
	unsigned int nth, variant;
};

static int confine_with_fault(void *context)
{
	struct outcome *outcome = context;

	outcome->posture.size = sizeof(outcome->posture);
	fault_arm(outcome->nth, outcome->variant);
	outcome->result = ayre_confine(CONFINE(KEEP_ERROR), &outcome->posture, &outcome->error);
	outcome->report = fault_disarm();
	return 0;
}

static void judge(pid_t child, const struct outcome *outcome)
{
	(void)child;
	if (outcome->result < 0) {
		assert_non_null(outcome->report.symbol);
		assert_int_equal(outcome->error.code, outcome->result);
		assert_true(outcome->error.step[0] && outcome->error.object[0]);
		return;
	}
	assert_int_equal(outcome->posture.layers & AYRE_LAYERS_MANDATORY, AYRE_LAYERS_MANDATORY);
	assert_true(outcome->posture.confined);
}

static void every_call_fails_once(void **state)
{
	struct outcome *outcome = share_memory(sizeof(*outcome));
	unsigned int failures = 0, refusals = 0;
	bool reached = true;

	(void)state;
	for (unsigned int nth = 1; reached; nth++) {
		reached = false;
		for (unsigned int variant = 0; variant < fault_variants(); variant++) {
			memset(outcome, 0, sizeof(*outcome));
			outcome->nth = nth;
			outcome->variant = variant;
			assert_int_equal(run_in_child(confine_with_fault, outcome), 0);
			judge(0, outcome);
			reached |= outcome->report.calls >= nth;
			failures += outcome->report.symbol != NULL;
			refusals += outcome->result < 0;
		}
	}
	/* There are that many, and most of them are refused. */
	assert_true(failures > 40 && refusals > 20);
	munmap(outcome, sizeof(*outcome));
}

/* Nothing of it stays here, and success says what confinement says. */
static void the_probe_survives_each_as_well(void **state)
{
	bool reached = true;

	(void)state;
	for (unsigned int nth = 1; reached; nth++) {
		struct ayre_posture posture = {.size = sizeof(posture)};
		struct counts before = take_counts();
		struct fault_report report;
		int result;

		fault_arm(nth, 0);
		result = ayre_posture_probe(&posture, NULL);
		report = fault_disarm();
		reached = report.calls >= nth;
		assert_true(result == 0 || result == -report.error);
		assert_counts(&before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_call_fails_once),
		counted_test(the_probe_survives_each_as_well),
	};

	return run_counted("confine_fault", tests);
}
