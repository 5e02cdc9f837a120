/*
 * Which requests are not tried again: those that processes died of, and no others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "worker/module_world.h"

#define KEEP .flags = AYRE_WORKER_KEEP

static ssize_t count(struct ayre_worker *worker, const char *request, uint32_t *ret_count)
{
	return ayre_worker_call(worker, "count_or_die", request, strlen(request), ret_count,
	                        sizeof(*ret_count));
}

/* A request that two processes died of has no third; another one is tried. */
static int poison(void *context)
{
	const struct ayre_worker_options *options = context;
	struct ayre_worker *worker = open_module(options, "module_calls");
	uint32_t deaths = options->poison_max ? options->poison_max : 2;
	uint32_t number;
	char reply[16];

	for (uint32_t i = 0; i < deaths; i++) {
		require(count(worker, "!poison", &number) == -EPIPE);
		require(count(worker, "innocent", &number) == 4);
	}
	for (int i = 0; i < 3; i++) {
		require(count(worker, "!poison", &number) == -EBADMSG);
		require(ayre_worker_submit(worker,
		                           JOB(.function = "count_or_die", .request = "!poison",
		                               .request_bytes = 7),
		                           NULL) == -EBADMSG);
	}
	require(info_of_worker(worker).refused == 6);
	require(info_of_worker(worker).ends == deaths);
	/* As long, and different in its last byte; the same to another function. */
	require(count(worker, "!poisoN", &number) == -EPIPE);
	require(ayre_worker_call(worker, "die_of_input", "!poison", 7, reply, 16) == 0);
	ayre_worker_close(worker);
	return 0;
}

static void a_request_that_killed_is_not_tried_again(void **state)
{
	(void)state;
	for_each_user(poison, WORKER(.flags = 0));
	for_each_user(poison, WORKER(.poison_max = 5));
	for_each_user(poison, WORKER(KEEP, .pause_max_ns = -1));
}

/* Who hangs is as bad as who dies. That a process was not there in time does not count. */
static int hang(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char reply[4096];
	ssize_t result;
	int overrun = 0;

	while ((result = call_text(worker, "deadlock", "x", reply)) == -ETIMEDOUT)
		overrun++;
	require(result == -EBADMSG);
	require(overrun >= 2);
	require(ayre_worker_call_until(worker, "echo", "on", 2, reply, sizeof(reply),
	                               AYRE_NO_DEADLINE) == 2);
	ayre_worker_close(worker);
	return 0;
}

static void a_request_that_hangs_is_not_tried_again(void **state)
{
	(void)state;
	for_each_user(hang, WORKER(.timeout_ns = 300 * MILLISECOND_NS));
	for_each_user(hang, WORKER(KEEP, .timeout_ns = 300 * MILLISECOND_NS));
}

/* Processes that do not come before the deadline: neither their request nor they are to blame. */
static int start_late(void *context)
{
	enum { CALLS = 24 };
	struct ayre_worker *worker = open_module(context, "module_calls");
	pid_t zygote = zygote_of(getpid());
	uint32_t hour = 3600000, number;
	uint64_t first;

	/* The process that is there has something to do. */
	require(submit_job(worker,
	                   JOB(.function = "nap", .request = &hour, .request_bytes = 4,
	                       .deadline_ns = AYRE_NO_DEADLINE),
	                   &first) == 0);
	require(kill(zygote, SIGSTOP) == 0);
	for (int i = 0; i < CALLS; i++)
		require(ayre_worker_submit(worker,
		                           JOB(.function = "count_or_die", .request = "x",
		                               .request_bytes = 1,
		                               .deadline_ns = now_ns() + 100 * MILLISECOND_NS),
		                           NULL) == 0);
	for (int i = 0; i < CALLS; i++) {
		struct ayre_worker_answer answer = {.size = sizeof(answer)};
		char text[160];

		require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
		require(answer.outcome == -ETIMEDOUT && answer.end.kind == AYRE_WORKER_DEADLINE);
		require(strcmp(ayre_worker_end_text(&answer.end, text, sizeof(text)),
		               "the deadline passed, and it had not started") == 0);
		ayre_worker_release(worker, answer.call);
	}
	require(info_of_worker(worker).ends == 0);
	require(kill(zygote, SIGCONT) == 0);
	ayre_worker_cancel(worker, first);
	/* After so many deaths there would be a pause of ten minutes. */
	require(ayre_worker_call_until(worker, "count_or_die", "x", 1, &number, 4,
	                               now_ns() + 20000 * MILLISECOND_NS) == 4);
	require(info_of_worker(worker).ends == 0);
	ayre_worker_close(worker);
	return 0;
}

static void who_never_began_has_not_died(void **state)
{
	(void)state;
	for_each_user(start_late, WORKER(.processes = 25, .spares = AYRE_WORKER_NONE));
	for_each_user(start_late, WORKER(KEEP, .processes = 25, .spares = AYRE_WORKER_NONE,
	                                 .poison_max = AYRE_WORKER_NONE,
	                                 .pause_max_ns = 600000 * MILLISECOND_NS));
}

/* A deadline that leaves no time says nothing of the request; one that has passed costs no process either. */
static int be_late(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	uint32_t request = 50, reply;

	require(ayre_worker_call(worker, "nap", &request, 4, &reply, 4) == 4);
	for (int i = 0; i < 5; i++)
		require(ayre_worker_call_until(worker, "nap", &request, 4, &reply, 4,
		                               now_ns() + 200000) == -ETIMEDOUT);
	require(ayre_worker_call(worker, "nap", &request, 4, &reply, 4) == 4);
	for (int i = 0; i < 5; i++) {
		uint64_t calls = info_of_worker(worker).calls, ends = info_of_worker(worker).ends;

		require(ayre_worker_call_until(worker, "nap", &request, 4, &reply, 4, now_ns()) ==
		        -ETIMEDOUT);
		require(ayre_worker_submit(worker,
		                           JOB(.function = "nap", .request = &request,
		                               .request_bytes = 4, .deadline_ns = 1),
		                           NULL) == -ETIMEDOUT);
		require(info_of_worker(worker).calls == calls);
		require(info_of_worker(worker).ends == ends);
	}
	require(ayre_worker_call(worker, "nap", &request, 4, &reply, 4) == 4);
	require(info_of_worker(worker).refused == 0);
	ayre_worker_close(worker);
	return 0;
}

static void a_host_that_is_late_blames_nobody(void **state)
{
	(void)state;
	for_each_user(be_late, WORKER(.flags = 0));
	for_each_user(be_late, WORKER(KEEP));
}

/* By what it holds, and not by which file it is. */
static int poison_by_input(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	char *bytes = calloc(1, 100000);

	bytes[0] = '!';
	for (int i = 0; i < 6; i++) {
		int fd = memfd_create("ayre-test", MFD_CLOEXEC), result;

		/* The same, the same, refused, refused; then others. */
		bytes[99999] = (char)(i < 4 ? 0 : i);
		require(write(fd, bytes, 100000) == 100000);
		result = submit_job(
			worker,
			JOB(.function = "die_of_input", .input = fd, .flags = AYRE_WORKER_INPUT),
			NULL);
		close(fd);
		require(result == (i == 2 || i == 3 ? -EBADMSG : 0));
		if (result < 0)
			continue;
		require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
		require(answer.outcome == -EPIPE);
		ayre_worker_release(worker, answer.call);
	}
	free(bytes);
	ayre_worker_close(worker);
	return 0;
}

static void an_input_is_known_by_what_it_holds(void **state)
{
	(void)state;
	for_each_user(poison_by_input, NULL);
}

/* That it could not be confined a function can say with its exit status, and is not believed. */
static int feign(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char reply[4096];

	require(call_number(worker, "find_socket") == 0);
	for (int i = 0; i < 3; i++)
		require(call_text(worker, "feign", "x", reply) == (i < 2 ? -EPIPE : -EBADMSG));
	require(end_of_worker(worker).kind == AYRE_WORKER_EXITED);
	require(end_of_worker(worker).status == 125);
	ayre_worker_close(worker);
	return 0;
}

static void who_had_a_call_was_confined(void **state)
{
	(void)state;
	for_each_user(feign, WORKER(.flags = 0));
	for_each_user(feign, WORKER(KEEP, .pause_max_ns = -1));
	for_each_user(feign, WORKER(.without = AYRE_LAYER_DESCRIPTORS));
	/* The process takes the call as soon as there is one. */
	for_each_user(feign, WORKER(.spares = AYRE_WORKER_NONE));
}

/* A file that cannot be mapped: its process says so before it has the call. */
static int pass_a_file_of_the_kernels(void *context)
{
	struct ayre_worker *worker = open_module(NULL, "module_calls");
	const int *fd = context;

	for (int i = 0; i < 4; i++) {
		struct ayre_worker_answer answer = {.size = sizeof(answer)};

		require(submit_job(worker,
		                   JOB(.function = "sum_input", .input = *fd,
		                       .flags = AYRE_WORKER_INPUT),
		                   NULL) == 0);
		require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
		require(answer.outcome == -ENODEV);
		require(answer.end.kind == AYRE_WORKER_EXITED);
		ayre_worker_release(worker, answer.call);
	}
	ayre_worker_close(worker);
	return 0;
}

static void what_keeps_a_process_from_its_call_is_told(void **state)
{
	int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	for_each_user(pass_a_file_of_the_kernels, &fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_request_that_killed_is_not_tried_again),
		counted_test(a_request_that_hangs_is_not_tried_again),
		counted_test(who_never_began_has_not_died),
		counted_test(a_host_that_is_late_blames_nobody),
		counted_test(an_input_is_known_by_what_it_holds),
		counted_test(who_had_a_call_was_confined),
		counted_test(what_keeps_a_process_from_its_call_is_told),
	};

	return run_counted("worker_blame", tests);
}
