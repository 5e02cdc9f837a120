/*
 * The life of a worker's processes: who stands by, who is replaced, who is started again and when; and replies
 * that stand still.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "worker/module_world.h"

#define KEEP .flags = AYRE_WORKER_KEEP

static ssize_t count(struct ayre_worker *worker, const char *request, uint32_t *ret_count)
{
	return ayre_worker_call(worker, "count_or_die", request, strlen(request), ret_count,
	                        sizeof(*ret_count));
}

static int replace(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	uint32_t number;

	for (uint32_t i = 0; i < 20; i++) {
		require(count(worker, "x", &number) == 4);
		require(number == i % 3 + 1);
	}
	require(info_of_worker(worker).ends == 0);
	ayre_worker_close(worker);
	return 0;
}

static void a_kept_process_is_replaced_after_so_many_calls(void **state)
{
	(void)state;
	for_each_user(replace, WORKER(KEEP, .calls_max = 3));
	for_each_user(replace, WORKER(KEEP, .calls_max = 3, .spares = AYRE_WORKER_NONE));
}

/* Kept processes that die in a row come back later and later; an answer ends the row. */
static int pause_between(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	int64_t begin = now_ns();
	uint32_t number;

	for (int i = 0; i < 6; i++)
		require(count(worker, "!", &number) == -EPIPE);
	/* Before the sixth there were pauses of 1, 2, 4 and 8 ms. */
	require(now_ns() - begin >= 15 * MILLISECOND_NS);
	/* Not in time for this one: the next pause is of 16. */
	require(ayre_worker_call_until(worker, "count_or_die", "x", 1, &number, 4,
	                               now_ns() + 2 * MILLISECOND_NS) == -ETIMEDOUT);
	require(count(worker, "x", &number) == 4);
	begin = now_ns();
	require(count(worker, "!", &number) == -EPIPE);
	require(count(worker, "x", &number) == 4);
	require(info_of_worker(worker).ends == 7);
	ayre_worker_close(worker);
	return 0;
}

static void who_dies_in_a_row_comes_back_after_pauses(void **state)
{
	(void)state;
	for_each_user(pause_between,
	              WORKER(KEEP, .poison_max = AYRE_WORKER_NONE, .spares = AYRE_WORKER_NONE));
}

/* The next pauses would add up to minutes. */
static int pause_no_longer(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	int64_t begin = now_ns();
	uint32_t number;

	for (int i = 0; i < 30; i++)
		require(count(worker, "!", &number) == -EPIPE);
	require(now_ns() - begin < 10000 * MILLISECOND_NS);
	ayre_worker_close(worker);
	return 0;
}

static void pauses_have_an_end(void **state)
{
	(void)state;
	for_each_user(pause_no_longer, WORKER(KEEP, .poison_max = AYRE_WORKER_NONE,
	                                      .pause_max_ns = 2 * MILLISECOND_NS));
	for_each_user(pause_no_longer,
	              WORKER(KEEP, .poison_max = AYRE_WORKER_NONE, .pause_max_ns = -1));
	/* Of a process for each call each died of its own. */
	for_each_user(pause_no_longer, WORKER(.poison_max = AYRE_WORKER_NONE));
}

/* One that died while nothing was asked of it is not asked any more. */
static int die_idle(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	pid_t zygote = zygote_of(getpid());
	uint32_t number;

	for (int i = 0; i < 5; i++) {
		pid_t process;

		require(count(worker, "x", &number) == 4);
		process = first_child_of(zygote);
		require(process > 0 && kill(process, SIGKILL) == 0);
		usleep(20000);
		require(count(worker, "x", &number) == 4);
	}
	ayre_worker_close(worker);
	return 0;
}

static void who_died_between_calls_is_not_asked(void **state)
{
	(void)state;
	for_each_user(die_idle, WORKER(KEEP));
	for_each_user(die_idle, WORKER(KEEP, .spares = AYRE_WORKER_NONE));
}

/* --- what processes leave behind --- */

#define LARGE_BYTES (64 << 20)

/* That the replies of all places take up. */
static uint64_t bytes_of_replies(void)
{
	uint64_t sum = 0;

	for (int fd = 0; fd < 256; fd++) {
		char path[64], name[64] = "";
		struct stat status;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, name, sizeof(name) - 1) > 0 &&
		    strstr(name, "/memfd:ayre-replies") && fstat(fd, &status) == 0)
			sum += (uint64_t)status.st_blocks * 512;
	}
	return sum;
}

static struct ayre_worker *open_and_fill(const struct ayre_worker_options *options)
{
	struct ayre_worker *worker = open_module(options, "module_calls");
	char *reply = malloc(LARGE_BYTES);

	require(ayre_worker_call(worker, "fill", NULL, 0, reply, LARGE_BYTES) == LARGE_BYTES);
	free(reply);
	require(bytes_of_replies() >= LARGE_BYTES);
	return worker;
}

/* While it waits for something else. */
static int clear_in_a_call(void *context)
{
	struct ayre_worker *worker = open_and_fill(context);
	uint32_t second = 1000, reply;

	require(ayre_worker_call(worker, "nap", &second, 4, &reply, 4) == 4);
	require(bytes_of_replies() < LARGE_BYTES / 8);
	ayre_worker_close(worker);
	return 0;
}

static int clear_while_collecting(void *context)
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	struct ayre_worker *worker = open_and_fill(context);
	uint32_t second = 1000;

	require(submit_job(worker, JOB(.function = "nap", .request = &second, .request_bytes = 4),
	                   NULL) == 0);
	require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
	require(bytes_of_replies() < LARGE_BYTES / 8);
	ayre_worker_close(worker);
	return 0;
}

/* Who has an event loop is told when there is something to clear, and when there is no more. */
static int clear_in_a_loop(void *context)
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	struct ayre_worker *worker = open_and_fill(context);
	struct pollfd fd = {.fd = ayre_worker_fd(worker), .events = POLLIN};

	while (bytes_of_replies() >= LARGE_BYTES / 8) {
		require(poll(&fd, 1, 10000) == 1);
		require(ayre_worker_try_collect(worker, &answer) == -ENOMSG);
	}
	while (poll(&fd, 1, 100) == 1)
		require(ayre_worker_try_collect(worker, &answer) == -ENOMSG);
	ayre_worker_close(worker);
	return 0;
}

static void a_large_reply_is_cleared_while_waiting(void **state)
{
	const struct ayre_worker_options *none = WORKER(.spares = AYRE_WORKER_NONE);

	(void)state;
	for_each_user(clear_in_a_call, (void *)(uintptr_t)none);
	for_each_user(clear_while_collecting, (void *)(uintptr_t)none);
	for_each_user(clear_in_a_loop, (void *)(uintptr_t)none);
	for_each_user(clear_in_a_loop, NULL);
}

/* Large ones one after the other, where nothing waits for long: each is the process's own. */
static int fill_again(void *context)
{
	struct ayre_worker *worker = open_and_fill(context);
	char *reply = malloc(LARGE_BYTES);

	for (int i = 0; i < 5; i++) {
		require(ayre_worker_call(worker, "fill", NULL, 0, reply, LARGE_BYTES) ==
		        LARGE_BYTES);
		require(ayre_worker_call(worker, "find", NULL, 0, reply, LARGE_BYTES) == 0);
	}
	free(reply);
	ayre_worker_close(worker);
	return 0;
}

static void no_process_finds_what_another_left(void **state)
{
	(void)state;
	for_each_user(fill_again, WORKER(.flags = 0));
	for_each_user(fill_again, WORKER(.spares = AYRE_WORKER_NONE));
}

/* --- replies that stand still --- */

static bool is_still(const struct ayre_worker_answer *answer, void *copy)
{
	memcpy(copy, answer->data, answer->bytes);
	return memcmp(copy, answer->data, answer->bytes) == 0;
}

/* Had it never been seen to move, standing still would say nothing. */
static void await_motion(const struct ayre_worker_answer *answer, void *copy)
{
	while (is_still(answer, copy))
		continue;
}

static int freeze(void *context)
{
	enum { BYTES = 1 << 16 };
	const struct ayre_worker_options *options = context;
	bool is_kept = options->flags & AYRE_WORKER_KEEP;
	struct ayre_worker *worker = open_module(options, "module_calls");
	/* A process that is kept never ends that function: each needs another worker. */
	int rounds = is_kept ? 1 : long_form() ? 2000 : 100;
	char *copy = malloc(BYTES);

	for (int i = 0; i < rounds; i++) {
		struct ayre_worker_answer answer = {.size = sizeof(answer)};

		require(submit_job(worker, JOB(.function = "rewrite", .reply_capacity = BYTES),
		                   NULL) == 0);
		require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
		require(answer.outcome == BYTES);
		if (is_kept)
			await_motion(&answer, copy);
		require(ayre_worker_freeze(worker, answer.call) == 0);
		require(ayre_worker_freeze(worker, answer.call) == 0);
		for (int j = 0; j < 20; j++)
			require(is_still(&answer, copy));
		ayre_worker_release(worker, answer.call);
		require(ayre_worker_freeze(worker, answer.call) == -ENOENT);
	}
	free(copy);
	ayre_worker_close(worker);
	return 0;
}

static void a_frozen_reply_stands_still(void **state)
{
	(void)state;
	for_each_user(freeze, WORKER(.flags = 0));
	for (int i = 0; i < 20; i++)
		for_each_user(freeze, WORKER(KEEP));
}

/* Stopped for as long as it is looked at, and then it goes on. */
static int thaw(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	uint32_t request = 1;

	for (int i = 0; i < 50; i++) {
		struct ayre_worker_answer answer = {.size = sizeof(answer)};
		uint32_t reply = 0;

		require(submit_job(worker,
		                   JOB(.function = "nap", .request = &request, .request_bytes = 4),
		                   NULL) == 0);
		require(ayre_worker_collect_until(worker, AYRE_NO_DEADLINE, &answer) == 0);
		require(ayre_worker_freeze(worker, answer.call) == 0);
		require(memcmp(answer.data, &request, 4) == 0);
		ayre_worker_release(worker, answer.call);
		require(ayre_worker_call(worker, "nap", &request, 4, &reply, 4) == 4);
		require(reply == request);
	}
	require(info_of_worker(worker).ends == 0);
	ayre_worker_close(worker);
	return 0;
}

static void a_frozen_process_goes_on(void **state)
{
	(void)state;
	for_each_user(thaw, WORKER(KEEP));
	for_each_user(thaw, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_kept_process_is_replaced_after_so_many_calls),
		counted_test(who_dies_in_a_row_comes_back_after_pauses),
		counted_test(pauses_have_an_end),
		counted_test(who_died_between_calls_is_not_asked),
		counted_test(a_large_reply_is_cleared_while_waiting),
		counted_test(no_process_finds_what_another_left),
		counted_test(a_frozen_reply_stands_still),
		counted_test(a_frozen_process_goes_on),
	};

	return run_counted("worker_life", tests);
}
