/*
 * Fans: one output to several inputs, several outputs to one input, and both at once.
 */
#include "process/pipeline_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define MIB      ((size_t)1 << 20)
#define MOST     8
#define FAN_SIZE (3 * MIB + 4321)

static struct drain *drains;

static int set_up(void **state)
{
	int result = count_setup(state);

	drains = share_memory(MOST * sizeof(*drains));
	memset(drains, 0, MOST * sizeof(*drains));
	return result;
}

static int tear_down(void **state)
{
	unshare_memory(drains, MOST * sizeof(*drains));
	/* counts.c has counted the map: it is gone by now. */
	return count_teardown(state);
}

static struct ayre_pipeline *make_fan(const struct ayre_pipeline_options *options,
                                      struct source *source, int count)
{
	struct ayre_pipeline *pipeline = new_pipeline_with(options);

	assert_int_equal(ayre_pipeline_function(pipeline, "source", write_source, source), 0);
	for (int i = 0; i < count; i++) {
		assert_int_equal(ayre_pipeline_function(pipeline, "drain", read_drain, &drains[i]),
		                 i + 1);
		assert_int_equal(ayre_pipeline_connect(pipeline, 0, i + 1), 0);
	}
	return pipeline;
}

/* Those of them that read on have everything. */
static void assert_all_read(int count, size_t total)
{
	for (int i = 0; i < count; i++)
		if (!drains[i].most) {
			assert_int_equal(drains[i].total, total);
			assert_true(drains[i].intact);
		} else {
			assert_int_equal(drains[i].total, drains[i].most);
			assert_true(drains[i].intact);
		}
}

static void everybody_gets_everything(void **state)
{
	(void)state;
	for (int count = 2; count <= MOST; count++) {
		struct source source = {.total = FAN_SIZE};

		memset(drains, 0, MOST * sizeof(*drains));
		assert_int_equal(run_and_free(make_fan(PIPELINE_OPTIONS(0), &source, count), NULL),
		                 0);
		assert_all_read(count, FAN_SIZE);
	}
}

static void one_is_slow(void **state)
{
	struct source source = {.total = FAN_SIZE};

	(void)state;
	drains[1].pause_us = 2000;
	assert_int_equal(run_and_free(make_fan(PIPELINE_OPTIONS(0), &source, 4), NULL), 0);
	assert_all_read(4, FAN_SIZE);
}

static void some_leave_early(void **state)
{
	struct source source = {.total = FAN_SIZE};
	struct ayre_pipeline *pipeline;

	(void)state;
	drains[0].most = 1;
	drains[2].most = 300000;
	pipeline = make_fan(PIPELINE_OPTIONS(0), &source, 4);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_all_read(4, FAN_SIZE);
	assert_int_equal(info_of(pipeline, 0).end.outcome, AYRE_OUTCOME_EXITED);
	ayre_pipeline_free(pipeline);
}

/* Then nobody wants it any more. */
static void all_leave_early(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	ayre_pipeline_command(pipeline, "yes", NULL);
	for (int i = 0; i < 3; i++) {
		drains[i].most = 1000 * (size_t)(i + 1);
		ayre_pipeline_function(pipeline, "drain", read_drain, &drains[i]);
		ayre_pipeline_connect(pipeline, 0, i + 1);
	}
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).end.signal_number, SIGPIPE);
	ayre_pipeline_free(pipeline);
}

static void one_never_reads(void **state)
{
	struct source source = {.total = 64 * MIB};
	struct ayre_pipeline_result result;
	int64_t begin = now_ns();

	(void)state;
	drains[1].never_reads = true;
	assert_int_equal(run_and_free(make_fan(PIPELINE_OPTIONS(.deadline_ns = begin + 300 * MS,
	                                                        .grace_ns = 100 * MS),
	                                       &source, 3),
	                              &result),
	                 -ETIMEDOUT);
	assert_true(now_ns() - begin < 400 * MS + LATE_NS);
}

/* Each write takes a slot of the pipe, be it ever so small; and slots of one page, of two. */
static void small_writes(void **state)
{
	static const size_t pieces[] = {1, 3, 100, 4095, 4096, 4097, 70000};

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
		for (size_t pipe_bytes = 4096; pipe_bytes <= 65536; pipe_bytes *= 16) {
			struct source source = {.total = 20000 + pieces[i] * 50,
			                        .piece = pieces[i]};

			memset(drains, 0, MOST * sizeof(*drains));
			drains[0].pause_us = 50;
			assert_int_equal(
				run_and_free(make_fan(PIPELINE_OPTIONS(.pipe_bytes = pipe_bytes),
			                              &source, 3),
			                     NULL),
				0);
			assert_all_read(3, source.total);
		}
}

/* Another user's quota of pipe pages is used up: new pipes are small, and of different sizes. */
static int with_a_small_quota(void *context)
{
	struct source source = {.total = MIB, .piece = 777};
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	int fds[2], result;

	(void)context;
	if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
		return CHILD_SKIPS;
	/* 16384 pages: leave some, so that the first pipes of the fan are the larger ones. */
	for (int i = 0; i < 56; i++) {
		require(pipe2(fds, O_CLOEXEC) == 0);
		if (fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0)
			break;
	}
	ayre_pipeline_set_options(pipeline, PIPELINE_OPTIONS(.pipe_bytes = 1 << 20));
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	for (int i = 0; i < 6; i++) {
		drains[i].pause_us = i == 3 ? 100 : 0;
		ayre_pipeline_function(pipeline, "drain", read_drain, &drains[i]);
		ayre_pipeline_connect(pipeline, 0, i + 1);
	}
	result = ayre_pipeline_run(pipeline, NULL, NULL);
	require(result == 0);
	ayre_pipeline_free(pipeline);
	for (int i = 0; i < 6; i++)
		require(drains[i].total == MIB && drains[i].intact);
	return 0;
}

static void queues_of_different_sizes(void **state)
{
	int status;

	(void)state;
	status = run_in_child(with_a_small_quota, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("only root can be somebody else");
	assert_exited(status);
}

/* --- copies --- */

static void copies_to_files(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char one[NAME_BYTES], two[NAME_BYTES];

	(void)state;
	write_file(path_of(one, "one"), "old content\n");
	write_file(path_of(two, "two"), "before\n");
	add_shell(pipeline, "echo text");
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	for (int i = 0; i < 2; i++) {
		add_redirection(pipeline, .stage = i, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE,
		                .path = one);
		add_redirection(pipeline, .stage = i, .fd = 1, .kind = AYRE_REDIRECT_TEE_APPEND,
		                .path = two);
	}
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 1, 1, "text\n");
	ayre_pipeline_free(pipeline);
	assert_file(one, "text\n");
	assert_file(two, "before\ntext\ntext\n");
	unlink(one);
	unlink(two);
}

static void a_copy_ends_with_its_reader(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	char path[NAME_BYTES];

	(void)state;
	ayre_pipeline_command(pipeline, "yes", NULL);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE,
	                .path = path_of(path, "copy"));
	ayre_pipeline_command(pipeline, "head", "-n", "1", NULL);
	add_redirection(pipeline, .stage = 1, .fd = 1, .kind = AYRE_REDIRECT_NOTHING);
	assert_int_equal(run_and_free(pipeline, NULL), 0);
	assert_true(size_of(path) >= 2);
	unlink(path);
}

static void a_copy_that_fails_is_an_error(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	add_shell(pipeline, "echo text");
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE, .path = "/dev/full");
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), -ENOSPC);
	/* The others have theirs. */
	assert_captured(pipeline, 0, 1, "text\n");
	ayre_pipeline_free(pipeline);
}

/* A terminal, and a socket whose other end reads nothing for a while: neither makes us wait. */
static void copies_to_what_is_no_file(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct source source = {.total = 500000};
	char path[NAME_BYTES];
	static char bytes[100000];
	int pair[2], terminal = posix_openpt(O_RDWR | O_NOCTTY);
	size_t got = 0;
	int64_t begin = now_ns(), longest = 0;

	(void)state;
	assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_FD, .host_fd = pair[0]);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE,
	                .path = path_of(path, "copy"));
	start(pipeline);
	close(pair[0]);
	for (;;) {
		int64_t before = now_ns();
		int ended = ayre_pipeline_process(pipeline);
		ssize_t length;

		longest = now_ns() - before > longest ? now_ns() - before : longest;
		length = now_ns() - begin < 200 * MS
		                 ? 0
		                 : recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT);
		got += length > 0 ? (size_t)length : 0;
		if (ended && length <= 0)
			break;
	}
	assert_int_equal(got, 500000);
	assert_true(longest < 100 * MS + LATE_NS);
	ayre_pipeline_free(pipeline);
	assert_int_equal(size_of(path), 500000);
	close(pair[1]);

	pipeline = new_pipeline();
	add_shell(pipeline, "echo text");
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_APPEND,
	                .path = ptsname(terminal));
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_and_free(pipeline, NULL), 0);
	assert_int_equal(read(terminal, bytes, sizeof(bytes)), 6);
	assert_memory_equal(bytes, "text\r\n", 6);
	close(terminal);
	unlink(path);
}

/* Somebody else's pipe is full, and stays so: the deadline ends it all the same. */
static void an_output_that_nobody_reads(void **state)
{
	struct source source = {.total = 10 * MIB};
	char path[NAME_BYTES];
	int pipe_fds[2];

	(void)state;
	for (int deadline = 0; deadline < 2; deadline++) {
		int64_t begin = now_ns();
		struct ayre_pipeline *pipeline = new_pipeline_with(
			PIPELINE_OPTIONS(.grace_ns = 100 * MS,
		                         .deadline_ns = deadline ? begin + 200 * MS : 0));

		assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
		ayre_pipeline_function(pipeline, "source", write_source, &source);
		add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_FD,
		                .host_fd = pipe_fds[1]);
		add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_TEE_WRITE,
		                .path = path_of(path, "copy"));
		start(pipeline);
		assert_int_equal(ayre_pipeline_wait_until(pipeline, begin + 100 * MS), -ETIMEDOUT);
		if (!deadline)
			ayre_pipeline_cancel(pipeline);
		assert_int_equal(ayre_pipeline_wait_until(pipeline, begin + 300 * MS + LATE_NS), 0);
		ayre_pipeline_free(pipeline);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		unlink(path);
	}
}

/* --- several into one --- */

#define RECORD  4096
#define RECORDS 200

static int write_records(void *context)
{
	char record[RECORD];

	memset(record, (int)(uintptr_t)context, sizeof(record));
	for (int i = 0; i < RECORDS; i++)
		if (write(STDOUT_FILENO, record, sizeof(record)) != RECORD)
			return 1;
	return 0;
}

static void records_are_never_mixed(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	size_t counts[8] = {0};
	const char *bytes;

	(void)state;
	for (int i = 0; i < 8; i++)
		ayre_pipeline_function(pipeline, "writer", write_records,
		                       (void *)(uintptr_t)('a' + i));
	ayre_pipeline_command(pipeline, "cat", NULL);
	for (int i = 0; i < 8; i++) {
		ayre_pipeline_connect(pipeline, i, 8);
		/* Not what the one before it writes. */
		if (i)
			add_redirection(pipeline, .stage = i, .kind = AYRE_REDIRECT_NOTHING);
	}
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(ayre_pipeline_captured(pipeline, 8, 1, &bytes, NULL),
	                 8 * RECORDS * RECORD);
	for (size_t i = 0; i < 8 * RECORDS; i++) {
		char letter = bytes[i * RECORD];

		assert_in_range(letter, 'a', 'h');
		counts[letter - 'a']++;
		for (size_t j = 0; j < RECORD; j++)
			assert_int_equal(bytes[i * RECORD + j], letter);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(counts[i], RECORDS);
	assert_int_equal(ayre_pipeline_pipe_count(pipeline), 1);
	assert_int_equal(pipe_of(pipeline, 0).passed_bytes, -1);
	ayre_pipeline_free(pipeline);
}

static void a_diamond(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	ayre_pipeline_command(pipeline, "seq", "1", "1000", NULL);
	ayre_pipeline_command(pipeline, "grep", "7$", NULL);
	ayre_pipeline_command(pipeline, "grep", "8$", NULL);
	ayre_pipeline_command(pipeline, "wc", "-l", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	ayre_pipeline_connect(pipeline, 0, 1);
	ayre_pipeline_connect(pipeline, 0, 2);
	ayre_pipeline_connect(pipeline, 1, 3);
	ayre_pipeline_connect(pipeline, 2, 3);
	/* Said twice, it is one. */
	ayre_pipeline_connect(pipeline, 2, 3);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 3, 1, "200\n");
	ayre_pipeline_free(pipeline);
}

static void to_an_earlier_stage(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	add_shell(pipeline, "printf 12345");
	add_redirection(pipeline, .stage = 1, .kind = AYRE_REDIRECT_NOTHING);
	ayre_pipeline_connect(pipeline, 1, 0);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "5\n");
	ayre_pipeline_free(pipeline);
}

/* Processor time of the host while it waits for somebody who does nothing. */
static int64_t processor_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 * MS +
	       ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void waiting_costs_nothing(void **state)
{
	struct source source = {.total = 64 * MIB};
	struct ayre_pipeline *pipeline;
	int64_t before;

	(void)state;
	/* One reader has left, one is full, and the source has more. */
	drains[0].most = 1;
	drains[1].never_reads = true;
	pipeline = make_fan(PIPELINE_OPTIONS(0), &source, 3);
	start(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 300 * MS), -ETIMEDOUT);
	before = processor_ns();
	assert_int_equal(ayre_pipeline_wait_until(pipeline, now_ns() + 500 * MS), -ETIMEDOUT);
	assert_true(processor_ns() - before < 50 * MS);
	ayre_pipeline_free(pipeline);
}

#define fan_test(function) \
	{ \
#function, function, set_up, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fan_test(everybody_gets_everything),
		fan_test(one_is_slow),
		fan_test(some_leave_early),
		fan_test(all_leave_early),
		fan_test(one_never_reads),
		fan_test(small_writes),
		fan_test(queues_of_different_sizes),
		counted_test(copies_to_files),
		counted_test(a_copy_ends_with_its_reader),
		counted_test(a_copy_that_fails_is_an_error),
		counted_test(copies_to_what_is_no_file),
		counted_test(an_output_that_nobody_reads),
		counted_test(records_are_never_mixed),
		counted_test(a_diamond),
		counted_test(to_an_earlier_stage),
		fan_test(waiting_costs_nothing),
	};

	return run_counted("pipeline_fan", tests);
}
