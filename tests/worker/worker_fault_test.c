/*
 * Fault injection: the n-th call that can fail does fail, for every n, while a module is loaded, a
 * function called, and the worker closed.
 *
 * What has to hold whatever fails: an error that is told in full or the right answer, and nothing that
 * is left.
 */
#include "worker/module_world.h"

#include "support/fault.h"

static ssize_t open_and_call(const char *path, char reply[8])
{
	struct ayre_worker *worker = (void *)16;
	struct ayre_error error = {0};
	ssize_t result = ayre_worker_open(NULL, path, &worker, &error);

	if (result < 0) {
		assert_ptr_equal(worker, (void *)16);
		assert_int_equal(error.code, result);
		assert_true(error.step[0] && error.object[0]);
		return result;
	}
	result = ayre_worker_call(worker, "echo", "four", 4, reply, 8);
	/* The first process has served, so this one is another. */
	if (result == 4)
		result = ayre_worker_call(worker, "echo", "four", 4, reply, 8);
	ayre_worker_close(worker);
	return result;
}

static void every_call_fails_once(void **state)
{
	unsigned int failures = 0;
	bool reached = true;
	char path[512];

	(void)state;
	module_path("module_functions", path);
	set_deadline(110);
	for (unsigned int nth = 1; reached; nth++) {
		reached = false;
		for (unsigned int variant = 0; variant < fault_variants(); variant++) {
			struct counts before = take_counts();
			struct fault_report report;
			char reply[8] = "";
			ssize_t result;

			fault_arm(nth, variant);
			result = open_and_call(path, reply);
			report = fault_disarm();
			if (result != 4 && !report.symbol)
				print_message("# call %u: %zd\n", nth, result);
			assert_true(result == 4 || (result < 0 && report.symbol));
			if (result == 4)
				assert_memory_equal(reply, "four", 4);
			assert_counts(&before);
			reached |= report.calls >= nth;
			failures += report.symbol != NULL;
			if (!report.symbol)
				break;
		}
	}
	assert_true(failures > 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_call_fails_once),
	};

	return run_counted("worker_fault", tests);
}
