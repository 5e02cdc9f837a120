/*
 * Bytes through programs: a file copied along, with the meter beside it, to four readers at once,
 * and memory through a program and back. Each operation is one whole run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command/bench_pipe.h"
#include "command/command.h"

#define BUFFER_BYTES          ((size_t)128 * 1024)
#define TEN_TIMES_A_SECOND_NS 100000000

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- the floor: the bytes read once --- */

static int read_file(const struct pipe_bench *bench, uint64_t bytes)
{
	static char buffer[BUFFER_BYTES];

	for (uint64_t done = 0; done < bytes;) {
		ssize_t got = pread(bench->file, buffer, sizeof(buffer), (off_t)done);

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

/* --- the others --- */

__attribute__((format(printf, 4, 5))) static int run_script(enum pipe_peer peer, uint64_t number,
                                                            size_t count, const char *format, ...)
{
	static const char *const programs[] = {
		[PEER_DASH] = "dash", [PEER_BASH] = "bash", [PEER_PYTHON] = "python3"};
	char script[1024], text[256];
	const char *arguments[] = {programs[peer], "-c", script, NULL};
	va_list values;
	int result;

	va_start(values, format);
	vsnprintf(script, sizeof(script), format, values);
	va_end(values);
	result = bench_peer_run(arguments, text, sizeof(text));
	if (result != 0)
		return result < 0 ? result : -ECHILD;
	return bench_check_numbers(text, number, count);
}

/* What its documentation recommends: a thread for each side, all in memory. */
static const char python_communicate[] =
	"import subprocess\n"
	"data = b'x' * %" PRIu64 "\n"
	"p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
	"out, err = p.communicate(data)\n"
	"print(len(out))\n";

/* --- ours --- */

/* Runs it to its end, with samples in between if wanted. */
static int drive(struct ayre_pipeline *pipeline, bool metered)
{
	/* An interrupt is for all of it. */
	struct ayre_pipeline_options options = {
		.size = sizeof(options),
		.flags = AYRE_PIPELINE_SAME_GROUP | AYRE_PIPELINE_DIE_WITH_PARENT,
	};
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	int64_t next = now_ns();
	int code = ayre_pipeline_set_options(pipeline, &options);

	if (code == 0)
		code = ayre_pipeline_start(pipeline, NULL);

	while (code == 0) {
		if (metered && now_ns() >= next) {
			ayre_pipeline_sample(pipeline);
			next = now_ns() + TEN_TIMES_A_SECOND_NS;
		}
		code = ayre_pipeline_wait_until(pipeline, metered ? next : AYRE_NO_DEADLINE);
		if (code == 0)
			break;
		code = code == -ETIMEDOUT ? 0 : code;
	}
	if (code == 0)
		code = ayre_pipeline_get_result(pipeline, &result);
	if (code < 0)
		return code;
	return result.error < 0 ? result.error : result.exit_status ? -ECHILD : 0;
}

static int check_captured(struct ayre_pipeline *pipeline, int stage, uint64_t number)
{
	const char *bytes;
	char text[64];
	ssize_t length = ayre_pipeline_captured(pipeline, stage, 1, &bytes, NULL);

	if (length < 0 || (size_t)length >= sizeof(text))
		return -EBADMSG;
	memcpy(text, bytes, (size_t)length);
	text[length] = '\0';
	return bench_check_numbers(text, number, 1);
}

static int copy_ayre(const struct pipe_bench *bench, bool metered)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	int result;

	if (!pipeline)
		return -ENOMEM;
	(void)ayre_pipeline_command(pipeline, "cat", bench->path, NULL);
	(void)ayre_pipeline_command(pipeline, "cat", NULL);
	(void)ayre_pipeline_command(pipeline, "wc", "-c", NULL);
	(void)ayre_pipeline_capture(pipeline, 64, AYRE_AT_BOUND_FAIL);
	result = drive(pipeline, metered);
	if (result == 0)
		result = check_captured(pipeline, 2, bench->file_bytes);
	ayre_pipeline_free(pipeline);
	return result;
}

static int fan_ayre(const struct pipe_bench *bench)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	char count[32];
	int source, result;

	if (!pipeline)
		return -ENOMEM;
	snprintf(count, sizeof(count), "%" PRIu64, bench->fan_bytes);
	source = ayre_pipeline_command(pipeline, "head", "-c", count, bench->path, NULL);
	for (int i = 0; i < 4; i++) {
		int sink = ayre_pipeline_command(pipeline, "wc", "-c", NULL);

		(void)ayre_pipeline_connect(pipeline, source, sink);
		(void)ayre_pipeline_capture(pipeline, 64, AYRE_AT_BOUND_FAIL);
	}
	result = drive(pipeline, false);
	for (int i = 1; result == 0 && i <= 4; i++)
		result = check_captured(pipeline, i, bench->fan_bytes);
	ayre_pipeline_free(pipeline);
	return result;
}

static int feed_ayre(const struct pipe_bench *bench)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();
	const char *bytes;
	int result;

	if (!pipeline)
		return -ENOMEM;
	(void)ayre_pipeline_command(pipeline, "cat", NULL);
	(void)ayre_pipeline_feed(pipeline, bench->memory, bench->memory_bytes);
	(void)ayre_pipeline_capture(pipeline, bench->memory_bytes, AYRE_AT_BOUND_FAIL);
	result = drive(pipeline, false);
	if (result == 0 &&
	    ayre_pipeline_captured(pipeline, 0, 1, &bytes, NULL) != (ssize_t)bench->memory_bytes)
		result = -EBADMSG;
	ayre_pipeline_free(pipeline);
	return result;
}

static int feed_copied(const struct pipe_bench *bench)
{
	char *copy = malloc(bench->memory_bytes);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bench->memory, bench->memory_bytes);
	/* So that the compiler does not see that nobody looks. */
	__asm__ volatile("" : : "r"(copy) : "memory");
	free(copy);
	return 0;
}

/* --- rows --- */

enum flow {
	FLOW_READ,
	FLOW_COPY_DASH,
	FLOW_COPY_BASH,
	FLOW_COPY_PV,
	FLOW_COPY_AYRE,
	FLOW_COPY_METERED,
	FLOW_READ_FAN,
	FLOW_FAN_BASH,
	FLOW_FAN_AYRE,
	FLOW_MEMCPY,
	FLOW_FEED_PYTHON,
	FLOW_FEED_AYRE,
};

static const char *find_missing(enum flow flow)
{
	switch (flow) {
	case FLOW_COPY_DASH:
		return bench_peer_missing(PEER_DASH);
	case FLOW_COPY_PV:
		return bench_peer_missing(PEER_PV);
	case FLOW_COPY_BASH:
	case FLOW_FAN_BASH:
		return bench_peer_missing(PEER_BASH);
	case FLOW_FEED_PYTHON:
		return bench_peer_missing(PEER_PYTHON);
	default:
		return NULL;
	}
}

static int run_flow(const struct pipe_bench *bench, enum flow flow)
{
	switch (flow) {
	case FLOW_READ:
		return read_file(bench, bench->file_bytes);
	case FLOW_READ_FAN:
		return read_file(bench, bench->fan_bytes);
	case FLOW_COPY_DASH:
		return run_script(PEER_DASH, bench->file_bytes, 1, "cat %s | cat | wc -c",
		                  bench->path);
	case FLOW_COPY_BASH:
		return run_script(PEER_BASH, bench->file_bytes, 1, "cat %s | cat | wc -c",
		                  bench->path);
	case FLOW_COPY_PV:
		return run_script(PEER_DASH, bench->file_bytes, 1, "cat %s | cat | pv -q | wc -c",
		                  bench->path);
	case FLOW_COPY_AYRE:
		return copy_ayre(bench, false);
	case FLOW_COPY_METERED:
		return copy_ayre(bench, true);
	case FLOW_FAN_BASH:
		/* The last one's count comes by tee's own output; bash does not wait for the others. */
		return run_script(PEER_BASH, bench->fan_bytes, 4,
		                  "exec 3>&1; { head -c %" PRIu64 " %s | "
		                  "tee >(wc -c >&3) >(wc -c >&3) >(wc -c >&3) | wc -c >&3; } | cat",
		                  bench->fan_bytes, bench->path);
	case FLOW_FAN_AYRE:
		return fan_ayre(bench);
	case FLOW_MEMCPY:
		return feed_copied(bench);
	case FLOW_FEED_PYTHON:
		return run_script(PEER_PYTHON, bench->memory_bytes, 1, python_communicate,
		                  bench->memory_bytes);
	case FLOW_FEED_AYRE:
		return feed_ayre(bench);
	}
	return -EINVAL;
}

static int measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	enum flow flow = (enum flow)argument;
	int result = 0;

	sample->left_out = find_missing(flow);
	if (sample->left_out)
		return BENCH_LEFT_OUT;
	bench_begin(sample);
	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = run_flow(state, flow);
	bench_end(sample);
	return result;
}

static const struct bench_row copy_rows[] = {
	{"read", "the file, read once", BENCH_FLOOR, measure, FLOW_READ},
	{"dash", "dash: cat FILE | cat | wc -c", BENCH_PEER, measure, FLOW_COPY_DASH},
	{"bash", "bash: the same", BENCH_PEER, measure, FLOW_COPY_BASH},
	{"ayre", "ayre: the same stages", BENCH_AYRE, measure, FLOW_COPY_AYRE},
};

static const struct bench_row meter_rows[] = {
	{"unmetered", "ayre, without the meter", BENCH_FLOOR, measure, FLOW_COPY_AYRE},
	{"pv", "dash, with pv as a stage", BENCH_PEER, measure, FLOW_COPY_PV},
	{"metered", "ayre, sampled at 10 Hz", BENCH_AYRE, measure, FLOW_COPY_METERED},
};

static const struct bench_row fan_rows[] = {
	{"read", "the bytes, read once", BENCH_FLOOR, measure, FLOW_READ_FAN},
	{"bash", "bash: tee and process substitution", BENCH_PEER, measure, FLOW_FAN_BASH},
	{"ayre", "ayre: connected", BENCH_AYRE, measure, FLOW_FAN_AYRE},
};

static const struct bench_row feed_rows[] = {
	{"memcpy", "memcpy to new memory", BENCH_FLOOR, measure, FLOW_MEMCPY},
	{"python", "Python: Popen, communicate", BENCH_PEER, measure, FLOW_FEED_PYTHON},
	{"ayre", "ayre: feed and capture", BENCH_AYRE, measure, FLOW_FEED_AYRE},
};

const struct bench_group bench_copy_group = {
	.name = "copy_3",
	.title = "a file in the page cache through cat | cat | wc -c",
	.unit = BENCH_BANDWIDTH,
	.rows = copy_rows,
	.row_count = COUNT_OF(copy_rows),
};

const struct bench_group bench_meter_group = {
	.name = "meter",
	.title = "the same, with a meter",
	.unit = BENCH_BANDWIDTH,
	.rows = meter_rows,
	.row_count = COUNT_OF(meter_rows),
};

const struct bench_group bench_fan_group = {
	.name = "fan_4",
	.title = "one output to four programs that count",
	.unit = BENCH_BANDWIDTH,
	.rows = fan_rows,
	.row_count = COUNT_OF(fan_rows),
};

const struct bench_group bench_feed_group = {
	.name = "feed_capture",
	.title = "memory through cat and back into memory, both at once",
	.unit = BENCH_BANDWIDTH,
	.rows = feed_rows,
	.row_count = COUNT_OF(feed_rows),
};
