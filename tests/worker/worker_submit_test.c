/*
 * Calls that are not waited for: many under way, in any order, one descriptor for all; inputs; giving up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "worker/module_world.h"

#define NO_POISON   .poison_max = AYRE_WORKER_NONE
#define PATIENCE_NS (10000 * MILLISECOND_NS)

static uint64_t submit(struct ayre_worker *worker, const struct ayre_worker_job *job)
{
	uint64_t call = 0;

	require(submit_job(worker, job, &call) == 0);
	require(call > 0);
	return call;
}

static uint64_t nap(struct ayre_worker *worker, uint32_t milliseconds)
{
	return submit(worker, JOB(.function = "nap", .request = &milliseconds,
	                          .request_bytes = sizeof(milliseconds)));
}

static struct ayre_worker_answer collect(struct ayre_worker *worker)
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};

	require(ayre_worker_collect_until(worker, now_ns() + PATIENCE_NS, &answer) == 0);
	return answer;
}

static int try_collect(struct ayre_worker *worker, struct ayre_worker_answer *answer)
{
	answer->size = sizeof(*answer);
	return ayre_worker_try_collect(worker, answer);
}

static bool is_readable(struct ayre_worker *worker, int milliseconds)
{
	struct pollfd fd = {.fd = ayre_worker_fd(worker), .events = POLLIN};

	require(fd.fd >= 0);
	return poll(&fd, 1, milliseconds) == 1;
}

/* The short ones overtake the long one, and each has its own answer. */
static int overtake(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	uint64_t calls[3] = {nap(worker, 400), nap(worker, 200), nap(worker, 1)};
	static const uint32_t slept[3] = {400, 200, 1};

	for (int i = 2; i >= 0; i--) {
		struct ayre_worker_answer answer = collect(worker);

		require(answer.call == calls[i]);
		require(answer.outcome == 4 && answer.bytes == 4 && answer.result == 0);
		require(memcmp(answer.data, &slept[i], 4) == 0);
		ayre_worker_release(worker, answer.call);
	}
	require(info_of_worker(worker).under_way == 0);
	ayre_worker_close(worker);
	return 0;
}

static void answers_come_in_any_order(void **state)
{
	(void)state;
	for_each_user(overtake, WORKER(.processes = 3));
	for_each_user(overtake, WORKER(.processes = 3, .flags = AYRE_WORKER_KEEP));
}

static int memory_file(const char *bytes, size_t length, unsigned int seals)
{
	int fd = memfd_create("ayre-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
	require(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

/* What an event loop does, with as many under way as there can be. */
static int serve_loop(void *context)
{
	const struct ayre_worker_options *options = context;
	struct ayre_worker *worker = open_module(options, "module_calls");
	unsigned int begun = 0, ended = 0, rounds = 200;
	struct ayre_worker_answer answer;
	uint64_t seen = 0;

	while (ended < rounds) {
		int result = 0;

		while (begun < rounds && result == 0) {
			uint32_t request[2] = {begun % 3, begun};

			result = ayre_worker_submit(worker,
			                            JOB(.function = "nap", .request = request,
			                                .request_bytes = sizeof(request)),
			                            NULL);
			require(result == 0 || result == -EAGAIN);
			begun += result == 0;
		}
		require(begun - ended <= options->processes);
		require(is_readable(worker, 5000));
		while (try_collect(worker, &answer) == 0) {
			uint32_t reply[2];

			require(answer.outcome == sizeof(reply));
			memcpy(reply, answer.data, sizeof(reply));
			require(reply[0] == reply[1] % 3);
			seen += reply[1];
			ended++;
			ayre_worker_release(worker, answer.call);
		}
	}
	require(seen == rounds * (rounds - 1) / 2);
	require(try_collect(worker, &answer) == -ENOMSG);
	require(info_of_worker(worker).calls == rounds);
	ayre_worker_close(worker);
	return 0;
}

static void an_event_loop_is_served(void **state)
{
	(void)state;
	for_each_user(serve_loop, WORKER(.processes = 4));
	for_each_user(serve_loop, WORKER(.processes = 4, .flags = AYRE_WORKER_KEEP));
	for_each_user(serve_loop, WORKER(.processes = 2, .spares = AYRE_WORKER_NONE));
	for_each_user(serve_loop, WORKER(.processes = 64, .spares = 64));
}

static int begin_nap(struct ayre_worker *worker, int fd)
{
	static const uint32_t no_time;
	int result =
		ayre_worker_submit(worker,
	                           JOB(.function = "nap", .request = &no_time, .request_bytes = 4,
	                               .input = fd, .flags = fd < 0 ? 0 : AYRE_WORKER_INPUT),
	                           NULL);

	require(result == 0 || result == -EAGAIN);
	return result;
}

/*
 * Whoever collects between a submission that failed and the wait hears of the room that there is again, and has to
 * be told once more. fd: of the input, or -1.
 */
static void serve_the_other_way(const struct ayre_worker_options *options, int fd)
{
	struct ayre_worker *worker = open_module(options, "module_calls");
	struct ayre_worker_answer answer;
	unsigned int begun = 0, ended = 0, rounds = 30, idle = 0;

	while (ended < rounds) {
		uint64_t collected = 0;

		while (begun < rounds && begin_nap(worker, fd) == 0)
			begun++;
		/* By now all that ends has ended. */
		usleep(10000);
		while (try_collect(worker, &answer) == 0) {
			/* Given back as late as can be. */
			ayre_worker_release(worker, collected);
			collected = answer.call;
			ended++;
		}
		ayre_worker_release(worker, collected);
		require(ended == rounds || is_readable(worker, 10000));
	}
	/* Who wants nothing more is not told for ever that there is room. */
	while (is_readable(worker, 200)) {
		require(try_collect(worker, &answer) == -ENOMSG);
		require(++idle < 20);
	}
	ayre_worker_close(worker);
}

static int serve_in_any_order(void *context)
{
	int fd = memory_file("abc", 3, 0);

	serve_the_other_way(context, -1);
	serve_the_other_way(context, fd);
	close(fd);
	return 0;
}

static void room_is_told_in_any_order(void **state)
{
	(void)state;
	for_each_user(serve_in_any_order, WORKER(.spares = AYRE_WORKER_NONE));
	for_each_user(serve_in_any_order, WORKER(.processes = 3, .spares = AYRE_WORKER_NONE));
	for_each_user(serve_in_any_order, WORKER(.processes = 3));
	for_each_user(serve_in_any_order, WORKER(.processes = 2, .flags = AYRE_WORKER_KEEP));
}

static int fill(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	struct ayre_worker_answer answer;
	uint64_t first = nap(worker, 1), second;
	char reply[16];

	require(ayre_worker_submit(worker,
	                           JOB(.function = "nap", .request = "xxxx", .request_bytes = 4),
	                           NULL) == -EAGAIN);
	/* One that waits would wait for itself. */
	require(ayre_worker_call(worker, "nap", "xxxx", 4, reply, 16) == -EBUSY);
	answer = collect(worker);
	require(answer.call == first);
	/* Not before it is given back. */
	require(ayre_worker_submit(worker,
	                           JOB(.function = "nap", .request = "xxxx", .request_bytes = 4),
	                           NULL) == -EAGAIN);
	require(memcmp(answer.data, "\1\0\0\0", 4) == 0);
	ayre_worker_release(worker, first);
	ayre_worker_release(worker, first);
	ayre_worker_release(worker, 77);
	second = nap(worker, 2);
	require(second == first + 1);
	require(collect(worker).call == second);
	ayre_worker_release(worker, second);
	ayre_worker_close(worker);
	return 0;
}

static void no_more_are_under_way_than_can_be(void **state)
{
	(void)state;
	for_each_user(fill, NULL);
	for_each_user(fill, WORKER(.flags = AYRE_WORKER_KEEP));
}

/* Its deadline, its death and its end are each told by the descriptor. */
static int tell_by_descriptor(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	struct ayre_worker_answer answer;
	int64_t begin = now_ns();
	uint64_t call;

	require(try_collect(worker, &answer) == -ENOMSG);
	call = submit(worker, JOB(.function = "loop", .deadline_ns = begin + 100 * MILLISECOND_NS));
	require(try_collect(worker, &answer) == -EAGAIN);
	require(is_readable(worker, 5000));
	while (try_collect(worker, &answer) != 0)
		require(is_readable(worker, 5000));
	require(now_ns() - begin >= 100 * MILLISECOND_NS);
	require(answer.call == call && answer.outcome == -ETIMEDOUT && !answer.data);
	require(answer.end.kind == AYRE_WORKER_DEADLINE && answer.end.was_busy);
	ayre_worker_release(worker, call);
	call = submit(worker, JOB(.function = "die_segv"));
	while (try_collect(worker, &answer) != 0)
		require(is_readable(worker, 5000));
	require(answer.call == call && answer.outcome == -EPIPE);
	require(answer.end.kind == AYRE_WORKER_KILLED && answer.end.signal == SIGSEGV);
	require(answer.end.call == call);
	ayre_worker_release(worker, call);
	call = submit(worker, JOB(.function = "leave"));
	while (try_collect(worker, &answer) != 0)
		require(is_readable(worker, 5000));
	require(answer.outcome == -EPIPE && answer.end.kind == AYRE_WORKER_EXITED);
	require(answer.end.status == 3);
	ayre_worker_release(worker, call);
	ayre_worker_close(worker);
	return 0;
}

static void the_descriptor_tells_of_every_end(void **state)
{
	(void)state;
	for_each_user(tell_by_descriptor, NULL);
	for_each_user(tell_by_descriptor, WORKER(.flags = AYRE_WORKER_KEEP));
}

/* One call is waited for while another is under way: the other's answer is not lost. */
static int mix(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	uint64_t call = nap(worker, 20);
	uint32_t longer = 100, reply;
	struct ayre_worker_answer answer;

	require(ayre_worker_call(worker, "nap", &longer, 4, &reply, 4) == 4 && reply == 100);
	require(is_readable(worker, 0));
	require(try_collect(worker, &answer) == 0 && answer.call == call);
	require(!is_readable(worker, 0) || try_collect(worker, &answer) == -ENOMSG);
	ayre_worker_release(worker, call);
	ayre_worker_close(worker);
	return 0;
}

static void waiting_for_one_loses_no_other(void **state)
{
	(void)state;
	for_each_user(mix, WORKER(.processes = 2));
	for_each_user(mix, WORKER(.processes = 2, .flags = AYRE_WORKER_KEEP));
}

static int cancel(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	struct ayre_worker_answer answer;

	for (int i = 0; i < 20; i++) {
		uint64_t long_one = nap(worker, 60000), short_one = nap(worker, 1);

		ayre_worker_cancel(worker, long_one);
		require(info_of_worker(worker).under_way == 1);
		require(collect(worker).call == short_one);
		ayre_worker_release(worker, short_one);
		/* One that has ended, and was not collected. */
		short_one = nap(worker, 0);
		require(is_readable(worker, 5000));
		ayre_worker_cancel(worker, short_one);
		require(try_collect(worker, &answer) == -ENOMSG);
	}
	ayre_worker_cancel(worker, 0);
	ayre_worker_cancel(worker, 12345);
	/* Nobody died of himself. */
	require(info_of_worker(worker).ends == 0);
	ayre_worker_close(worker);
	return 0;
}

static void calls_can_be_given_up(void **state)
{
	(void)state;
	for_each_user(cancel, WORKER(.processes = 2));
	for_each_user(cancel, WORKER(.processes = 2, .flags = AYRE_WORKER_KEEP));
}

/* --- inputs --- */

static uint64_t sum_of(struct ayre_worker *worker, int fd)
{
	struct ayre_worker_answer answer;
	uint64_t sum, call = submit(worker, JOB(.function = "sum_input", .input = fd,
	                                        .flags = AYRE_WORKER_INPUT));

	answer = collect(worker);
	require(answer.call == call && answer.outcome == sizeof(sum));
	memcpy(&sum, answer.data, sizeof(sum));
	ayre_worker_release(worker, call);
	return sum;
}

static int pass_inputs(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	size_t large = 32 << 20;
	char *bytes = calloc(1, large);
	int sealed, plain, empty = memory_file("", 0, 0);

	bytes[0] = 1;
	bytes[large - 1] = 2;
	sealed = memory_file(bytes, large, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	plain = memory_file("abc", 3, 0);
	for (int i = 0; i < 5; i++) {
		require(sum_of(worker, sealed) == 3);
		require(sum_of(worker, plain) == 'a' + 'b' + 'c');
		require(sum_of(worker, empty) == 0);
	}
	/* Neither the file nor the map can be written. */
	submit(worker, JOB(.function = "write_input", .input = plain, .flags = AYRE_WORKER_INPUT));
	require(collect(worker).outcome == -EPIPE);
	require(end_of_worker(worker).signal == SIGSEGV);
	require(pread(plain, bytes, 1, 0) == 1 && bytes[0] == 'a');
	free(bytes);
	close(sealed);
	close(plain);
	close(empty);
	ayre_worker_close(worker);
	return 0;
}

static void inputs_are_mapped(void **state)
{
	(void)state;
	for_each_user(pass_inputs, NULL);
	for_each_user(pass_inputs, WORKER(.flags = AYRE_WORKER_KEEP));
}

/* Kept processes have all the places there are: one of them makes room. */
static int make_room(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	int fd = memory_file("abc", 3, 0);

	for (int i = 0; i < 2; i++) {
		static const uint32_t long_time = 300;

		for (int j = 0; j < 4; j++)
			nap(worker, 20);
		for (int j = 0; j < 4; j++)
			ayre_worker_release(worker, collect(worker).call);
		for (int j = 0; j < 2; j++)
			submit(worker,
			       JOB(.function = "nap", .request = &long_time, .request_bytes = 4,
			           .input = fd, .flags = AYRE_WORKER_INPUT));
		require(sum_of(worker, fd) == 'a' + 'b' + 'c');
		for (int j = 0; j < 2; j++)
			ayre_worker_release(worker, collect(worker).call);
	}
	require(info_of_worker(worker).ends == 0);
	close(fd);
	ayre_worker_close(worker);
	return 0;
}

static void who_stands_by_makes_room(void **state)
{
	(void)state;
	for_each_user(make_room, WORKER(.processes = 4, .flags = AYRE_WORKER_KEEP));
	for_each_user(make_room, WORKER(.processes = 4, .flags = AYRE_WORKER_KEEP,
	                                .spares = AYRE_WORKER_NONE));
	for_each_user(make_room, WORKER(.processes = 4));
}

/* Bells without end keep nobody who wants to know whether there is something, or to wait for so long. */
static int be_rung_at(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	int64_t begin = now_ns();

	submit(worker, JOB(.function = "ring_on", .deadline_ns = begin + 300 * MILLISECOND_NS));
	usleep(20000);
	for (int i = 0; i < 5; i++) {
		begin = now_ns();
		require(try_collect(worker, &answer) == -EAGAIN);
		require(ayre_worker_collect_until(worker, begin + 10 * MILLISECOND_NS, &answer) ==
		        -ETIMEDOUT);
		require(now_ns() - begin < 200 * MILLISECOND_NS);
	}
	answer = collect(worker);
	require(answer.outcome == -ETIMEDOUT);
	ayre_worker_release(worker, answer.call);
	ayre_worker_close(worker);
	return 0;
}

static void bells_keep_nobody(void **state)
{
	(void)state;
	for_each_user(be_rung_at, NULL);
}

/* Cut short while it is being read: the process dies of it, and the host does not notice but by that. */
static int cut_short(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	int fd = memory_file("", 0, 0);

	require(ftruncate(fd, 1 << 20) == 0);
	for (int i = 0; i < 2; i++) {
		struct ayre_worker_answer answer;

		submit(worker,
		       JOB(.function = "sum_input", .input = fd, .flags = AYRE_WORKER_INPUT));
		require(ftruncate(fd, 0) == 0);
		answer = collect(worker);
		/* It may have been too late for it. */
		require(answer.outcome == 8 || answer.outcome == -EPIPE);
		ayre_worker_release(worker, answer.call);
		require(ftruncate(fd, 1 << 20) == 0);
	}
	close(fd);
	ayre_worker_close(worker);
	return 0;
}

static void an_input_that_is_cut_short_costs_its_process(void **state)
{
	(void)state;
	for_each_user(cut_short, WORKER(NO_POISON));
}

static void what_cannot_be_is_refused(void **state)
{
	struct ayre_worker *worker =
		open_module(WORKER(.input_max = 8, .request_max = 4096), "module_calls");
	int file = memory_file("123456789", 9, 0), writable, directory, pair[2];
	char name[300], large[4097] = "";

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	writable = open("/dev/shm", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
#define REFUSED(wanted, ...) \
	assert_int_equal(ayre_worker_submit(worker, JOB(__VA_ARGS__), NULL), wanted)
	REFUSED(-EINVAL, .function = NULL);
	REFUSED(-EINVAL, .function = "");
	REFUSED(-EINVAL, .function = "nap", .flags = 2);
	REFUSED(-EINVAL, .function = "nap", .request_bytes = 1);
	REFUSED(-ENOENT, .function = name);
	REFUSED(-EMSGSIZE, .function = "nap", .request = large, .request_bytes = 4097);
	REFUSED(-EMSGSIZE, .function = "nap", .flags = AYRE_WORKER_INPUT, .input = file);
	REFUSED(-EBADF, .function = "nap", .flags = AYRE_WORKER_INPUT, .input = -1);
	REFUSED(-EACCES, .function = "nap", .flags = AYRE_WORKER_INPUT, .input = writable);
	REFUSED(-ENODEV, .function = "nap", .flags = AYRE_WORKER_INPUT, .input = directory);
	REFUSED(-ENODEV, .function = "nap", .flags = AYRE_WORKER_INPUT, .input = pair[0]);
	assert_int_equal(ayre_worker_submit(worker, NULL, NULL), -EINVAL);
	assert_int_equal(
		ayre_worker_submit(worker, &(struct ayre_worker_job){.function = "nap"}, NULL),
		-EINVAL);
	assert_int_equal(ayre_worker_try_collect(worker, &(struct ayre_worker_answer){0}), -EINVAL);
	assert_int_equal(ayre_worker_freeze(worker, 1), -ENOENT);
	assert_int_equal(info_of_worker(worker).calls, 0);
	ayre_worker_close(worker);
	close(file);
	close(writable);
	close(directory);
	close(pair[0]);
	close(pair[1]);
}

/* The zygote goes: every call that is under way is told, once. */
static int lose_all(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_calls");
	struct ayre_worker_answer answer;
	uint64_t sum = nap(worker, 60000), done;

	sum += nap(worker, 60000);
	done = nap(worker, 1);
	answer = collect(worker);
	require(answer.call == done);
	require(kill(zygote_of(getpid()), SIGKILL) == 0);
	for (int i = 0; i < 2; i++) {
		answer = collect(worker);
		require(answer.outcome == -ENOTCONN && answer.end.kind == AYRE_WORKER_LOST);
		sum -= answer.call;
		ayre_worker_release(worker, answer.call);
	}
	require(sum == 0);
	require(ayre_worker_freeze(worker, done) == -ENOTCONN);
	require(try_collect(worker, &answer) == -ENOTCONN);
	require(ayre_worker_submit(worker, JOB(.function = "nap"), NULL) == -ENOTCONN);
	ayre_worker_close(worker);
	return 0;
}

static void all_are_told_that_the_zygote_is_gone(void **state)
{
	(void)state;
	for_each_user(lose_all, WORKER(.processes = 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(answers_come_in_any_order),
		counted_test(an_event_loop_is_served),
		counted_test(room_is_told_in_any_order),
		counted_test(no_more_are_under_way_than_can_be),
		counted_test(the_descriptor_tells_of_every_end),
		counted_test(waiting_for_one_loses_no_other),
		counted_test(calls_can_be_given_up),
		counted_test(inputs_are_mapped),
		counted_test(who_stands_by_makes_room),
		counted_test(bells_keep_nobody),
		counted_test(an_input_that_is_cut_short_costs_its_process),
		counted_test(what_cannot_be_is_refused),
		counted_test(all_are_told_that_the_zygote_is_gone),
	};

	return run_counted("worker_submit", tests);
}
