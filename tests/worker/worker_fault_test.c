/*
 * Fault injection: the n-th call that can fail does fail, for every n, while a module is loaded, a
 * function called, and the worker closed.
 *
 * What has to hold whatever fails: an error that is told in full or the right answer, and nothing that
 * is left.
 */
#include <sys/mman.h>

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

/* What is passed; it is not made where calls fail. */
static int file = -1;

/* The same for a call that is not waited for, with an input, whose reply is frozen. */
static ssize_t open_and_submit(const char *path, char reply[8])
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	struct ayre_worker *worker = NULL;
	struct ayre_error error;
	int result = ayre_worker_open(NULL, path, &worker, &error);

	if (result < 0)
		return result;
	if (result == 0)
		result = ayre_worker_submit(worker,
		                            JOB(.function = "echo", .request = "four",
		                                .request_bytes = 4, .input = file,
		                                .flags = AYRE_WORKER_INPUT),
		                            NULL);
	if (result == 0)
		result = ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer);
	if (result == 0)
		result = ayre_worker_freeze(worker, answer.call);
	if (result == 0)
		result = (int)answer.outcome;
	if (result == 4)
		memcpy(reply, answer.data, 4);
	ayre_worker_release(worker, answer.call);
	ayre_worker_close(worker);
	return result;
}

static void each_fails_once(ssize_t (*run)(const char *path, char reply[8]))
{
	unsigned int failures = 0;
	bool reached = true;
	char path[512];

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
			result = run(path, reply);
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

static void every_call_fails_once(void **state)
{
	(void)state;
	each_fails_once(open_and_call);
}

static void every_call_of_a_submission_fails_once(void **state)
{
	(void)state;
	file = memfd_create("ayre-test", MFD_CLOEXEC);
	assert_true(file >= 0);
	each_fails_once(open_and_submit);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_call_fails_once),
		counted_test(every_call_of_a_submission_fails_once),
	};

	return run_counted("worker_fault", tests);
}
