/*
 * Feeding from memory and capturing into it: both at once, and at the bound.
 */
#include "process/pipeline_world.h"

#include <signal.h>

#define MIB ((size_t)1 << 20)

/* Enough to fill every pipe on the way, many times. */
static void both_directions_full(void **state)
{
	size_t size = (long_form() ? 1024 : 64) * MIB;
	char *bytes = malloc(size);
	struct ayre_pipeline *pipeline = new_pipeline();
	const char *captured;
	uint64_t total;

	(void)state;
	fill_pattern(bytes, size, 7);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_command(pipeline, "cat", NULL);
	ayre_pipeline_feed(pipeline, bytes, size);
	ayre_pipeline_capture(pipeline, size, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(ayre_pipeline_captured(pipeline, 1, 1, &captured, &total), size);
	assert_int_equal(total, size);
	assert_memory_equal(captured, bytes, size);
	ayre_pipeline_free(pipeline);
	free(bytes);
}

static void more_is_fed_than_is_read(void **state)
{
	static char bytes[4 << 20];
	struct ayre_pipeline *pipeline = new_pipeline();
	struct drain drain = {.most = 1000};

	(void)state;
	ayre_pipeline_function(pipeline, "drain", read_drain, &drain);
	ayre_pipeline_feed(pipeline, bytes, sizeof(bytes));
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_int_equal(info_of(pipeline, 0).read_bytes, 1000);
	ayre_pipeline_free(pipeline);

	pipeline = new_pipeline();
	ayre_pipeline_command(pipeline, "true", NULL);
	ayre_pipeline_feed(pipeline, bytes, sizeof(bytes));
	assert_int_equal(run_and_free(pipeline, NULL), 0);
}

static void nothing_is_fed(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	ayre_pipeline_feed(pipeline, NULL, 0);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "0\n");
	ayre_pipeline_free(pipeline);
}

static void several_are_fed_and_captured(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	(void)state;
	add_shell(pipeline, "cat <&3; cat; cat <&7 >&2");
	ayre_pipeline_feed(pipeline, "input", 5);
	add_redirection(pipeline, .fd = 3, .kind = AYRE_REDIRECT_FEED, .bytes = "third ",
	                .byte_count = 6);
	add_redirection(pipeline, .fd = 7, .kind = AYRE_REDIRECT_FEED, .bytes = "seventh",
	                .byte_count = 7);
	ayre_pipeline_capture(pipeline, 0, AYRE_AT_BOUND_FAIL);
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_CAPTURE);
	assert_int_equal(run_all(pipeline, NULL), 0);
	assert_captured(pipeline, 0, 1, "third input");
	assert_captured(pipeline, 0, 2, "seventh");
	ayre_pipeline_free(pipeline);
}

/* --- the bound --- */

struct bounded {
	size_t bound, total;
	enum ayre_at_bound at_bound;
};

static uint8_t byte_at(size_t place)
{
	return (uint8_t)((place * 2654435761u) >> 13);
}

static void check_bound(const struct bounded *given)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct source source = {.total = given->total, .piece = 1000};
	struct ayre_pipeline_result result;
	bool over = given->total > given->bound;
	size_t kept = over ? given->bound : given->total, first = 0;
	bool reads_on = given->at_bound == AYRE_AT_BOUND_KEEP_FIRST ||
	                given->at_bound == AYRE_AT_BOUND_KEEP_LAST;
	const char *bytes;
	uint64_t total;
	int status;

	ayre_pipeline_function(pipeline, "source", write_source, &source);
	ayre_pipeline_capture(pipeline, given->bound, given->at_bound);
	status = run_all(pipeline, &result);
	assert_int_equal(status, over && given->at_bound == AYRE_AT_BOUND_FAIL ? -EMSGSIZE : 0);
	assert_int_equal(ayre_pipeline_captured(pipeline, 0, 1, &bytes, &total), kept);
	assert_int_equal(total, over && !reads_on ? given->bound + 1 : given->total);
	if (over && given->at_bound == AYRE_AT_BOUND_KEEP_LAST)
		first = given->total - given->bound;
	for (size_t i = 0; i < kept; i++)
		if ((uint8_t)bytes[i] != byte_at(first + i))
			fail_msg("bound %zu, total %zu: byte %zu", given->bound, given->total, i);
	ayre_pipeline_free(pipeline);
}

static void exactly_at_the_bound_and_beyond(void **state)
{
	static const size_t bounds[] = {1, 4096, 65536, 65537, 200000, 1 << 20};
	enum ayre_at_bound at_bound = (enum ayre_at_bound)(uintptr_t)*state;

	for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
		size_t bound = bounds[i];
		const size_t totals[] = {0, bound - 1, bound, bound + 1, 3 * bound + 17};

		for (size_t j = 0; j < sizeof(totals) / sizeof(*totals); j++)
			check_bound(&(struct bounded){bound, totals[j], at_bound});
	}
}

static void who_is_stopped_gets_sigpipe(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct ayre_process_end end;

	(void)state;
	ayre_pipeline_command(pipeline, "yes", NULL);
	ayre_pipeline_capture(pipeline, 10, AYRE_AT_BOUND_STOP);
	assert_int_equal(run_all(pipeline, NULL), 0);
	end = info_of(pipeline, 0).end;
	assert_int_equal(end.outcome, AYRE_OUTCOME_SIGNALED);
	assert_int_equal(end.signal_number, SIGPIPE);
	ayre_pipeline_free(pipeline);

	pipeline = new_pipeline_with(PIPELINE_OPTIONS(.flags = AYRE_PIPELINE_STRICT));
	ayre_pipeline_command(pipeline, "yes", NULL);
	ayre_pipeline_capture(pipeline, 10, AYRE_AT_BOUND_STOP);
	assert_int_equal(run_and_free(pipeline, NULL), 128 + SIGPIPE);
	/* By whatever descriptor. */
	pipeline = new_pipeline();
	add_shell(pipeline, "exec yes >&2");
	add_redirection(pipeline, .fd = 2, .kind = AYRE_REDIRECT_CAPTURE, .bound_bytes = 5,
	                .at_bound = AYRE_AT_BOUND_STOP);
	assert_int_equal(run_and_free(pipeline, NULL), 0);
}

static void too_much_ends_the_tree(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct ayre_pipeline_result result;

	(void)state;
	mark_processes();
	add_shell(pipeline, "sleep 1000 & yes");
	add_shell(pipeline, "cat; sleep 1000");
	ayre_pipeline_capture(pipeline, 100000, AYRE_AT_BOUND_FAIL);
	assert_int_equal(run_and_free(pipeline, &result), -EMSGSIZE);
	assert_true(result.strays_ended >= 1);
	assert_nobody_left();
}

/* It is looked at while it runs, and turned round then. */
static void the_last_bytes_at_any_time(void **state)
{
	struct ayre_pipeline *pipeline = new_pipeline();
	struct source source = {.total = 30000, .piece = 700, .pause_us = 500};
	const char *bytes;
	uint64_t total = 0;
	ssize_t kept;

	(void)state;
	ayre_pipeline_function(pipeline, "source", write_source, &source);
	ayre_pipeline_capture(pipeline, 1000, AYRE_AT_BOUND_KEEP_LAST);
	start(pipeline);
	do {
		kept = ayre_pipeline_captured(pipeline, 0, 1, &bytes, &total);
		for (ssize_t i = 0; i < kept; i++)
			assert_int_equal((uint8_t)bytes[i],
			                 byte_at(total - (uint64_t)kept + (uint64_t)i));
		usleep(300);
	} while (!ayre_pipeline_process(pipeline));
	assert_int_equal(ayre_pipeline_captured(pipeline, 0, 1, &bytes, &total), 1000);
	assert_int_equal(total, 30000);
	ayre_pipeline_free(pipeline);
}

/* What a quick reader takes does not keep the host from its deadline. */
static void a_deadline_while_much_is_fed(void **state)
{
	size_t size = 2048 * MIB;
	const char *zeros = calloc(1, size);
	int64_t begin = now_ns();
	struct ayre_pipeline *pipeline = new_pipeline_with(
		PIPELINE_OPTIONS(.deadline_ns = begin + 100 * MS, .grace_ns = 100 * MS));
	struct ayre_pipeline_result result;

	(void)state;
	ayre_pipeline_command(pipeline, "sh", "-c", "cat; cat; sleep 1000", NULL);
	ayre_pipeline_feed(pipeline, zeros, size);
	add_redirection(pipeline, .fd = 1, .kind = AYRE_REDIRECT_NOTHING);
	assert_int_equal(run_and_free(pipeline, &result), -ETIMEDOUT);
	assert_int_equal(result.exit_status, 124);
	assert_true(now_ns() - begin < 200 * MS + LATE_NS);
	free((void *)(uintptr_t)zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(both_directions_full),
		counted_test(more_is_fed_than_is_read),
		counted_test(nothing_is_fed),
		counted_test(several_are_fed_and_captured),
		test_of(exactly_at_the_bound_and_beyond, "at the bound: fail", AYRE_AT_BOUND_FAIL),
		test_of(exactly_at_the_bound_and_beyond, "at the bound: stop", AYRE_AT_BOUND_STOP),
		test_of(exactly_at_the_bound_and_beyond, "at the bound: keep the first",
	                AYRE_AT_BOUND_KEEP_FIRST),
		test_of(exactly_at_the_bound_and_beyond, "at the bound: keep the last",
	                AYRE_AT_BOUND_KEEP_LAST),
		counted_test(who_is_stopped_gets_sigpipe),
		counted_test(too_much_ends_the_tree),
		counted_test(the_last_bytes_at_any_time),
		counted_test(a_deadline_while_much_is_fed),
	};

	return run_counted("pipeline_memory", tests);
}
