/*
 * ayre call: one function of a module that nobody trusts, in a process of its own.
 *
 * Invariant: nothing of a reply is printed before the function has returned, and returned 0.
 */
#include "command/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "command/input.h"
#include "command/output.h"

/* Of request and reply. */
#define BYTES_MAX (UINT64_C(64) << 20)

enum report_form {
	REPORT_TEXT = 1, /* also if not given */
	REPORT_JSON,
};

struct call_options {
	struct size_option memory;
	struct duration_option cpu, timeout;
	struct list_option read;
	uint32_t without; /* enum ayre_layer */
	uint32_t report;  /* enum report_form */
};

static const struct command_option call_table[] = {
	{"memory", OPTION_SIZE, "SIZE", offsetof(struct call_options, memory),
         "that it may have besides the module (1G)"},
	{"cpu", OPTION_DURATION, "DURATION", offsetof(struct call_options, cpu),
         "processor time, in whole seconds (no limit)"},
	{"timeout", OPTION_DURATION, "DURATION", offsetof(struct call_options, timeout),
         "end it when the call takes so long: 250ms, 2s, 1m; exit 124 (10s)"},
	{"read", OPTION_PATHS, "PATH", offsetof(struct call_options, read),
         "can be read while the module is loaded; several times"},
	{"without", OPTION_LAYERS, "LAYER", offsetof(struct call_options, without),
         "this layer is done without; several times"},
	{"report", OPTION_CHOICE, "text|json", offsetof(struct call_options, report),
         "how it died, on standard error (text)"},
};

/* A limit of nothing is none at all, and no limit is another matter. */
static int check(const struct call_options *given)
{
	if (given->memory.given && given->memory.bytes == 0)
		return output_usage("--memory: nothing runs without any");
	if (given->cpu.given && given->cpu.ns == 0)
		return output_usage("--cpu: nothing runs without any");
	if (given->timeout.given && given->timeout.ns == 0)
		return output_usage("--timeout: nothing runs without any");
	return EXIT_DONE;
}

/* A module that cannot be loaded is one thing, a machine that cannot confine it another. */
static int open_failed(const struct ayre_error *error)
{
	output_error(error);
	return strcmp(error->step, "confine") == 0 ? EXIT_FAILED : EXIT_UNLOADABLE;
}

static int call_failed(struct ayre_worker *worker, const char *function, int code, bool json)
{
	struct ayre_worker_info info = {.size = sizeof(info)};

	if (code == -EPIPE || code == -ETIMEDOUT || code == -ENOTCONN)
		return call_report(worker, function, json);
	if (code == -ENOENT) {
		output_fail("%s: the module has no such function", function);
		return EXIT_UNLOADABLE;
	}
	if (code == -EREMOTEIO && ayre_worker_get_info(worker, &info) == 0)
		return output_fail("%s: it returned %d", function, info.result);
	if (code == -EMSGSIZE)
		return output_fail("%s: its reply is larger than 64 MiB", function);
	return output_fail("%s: %s", function, strerror(-code));
}

static int call(struct ayre_worker *worker, const char *function, const struct input *request,
                bool json)
{
	char *reply = malloc(BYTES_MAX);
	ssize_t bytes;
	int result;

	if (!reply)
		return output_fail("%s", strerror(ENOMEM));
	bytes = ayre_worker_call(worker, function, request->bytes, request->length, reply,
	                         BYTES_MAX);
	result = bytes < 0 ? call_failed(worker, function, (int)bytes, json)
	                   : output_bytes(reply, (size_t)bytes);
	free(reply);
	return result;
}

static int read_request(struct input *request)
{
	int result = input_read(BYTES_MAX, request);

	if (result != EXIT_DONE || request->length <= BYTES_MAX)
		return result;
	free(request->bytes);
	return output_fail("standard input: more than 64 MiB");
}

static int run_call(void *values, int operand_count, char **operands)
{
	const struct call_options *given = values;
	struct ayre_worker_options options = {
		.size = sizeof(options),
		.memory_bytes = given->memory.bytes,
		.cpu_ns = given->cpu.ns,
		.timeout_ns = given->timeout.ns,
		.reads = given->read.texts,
		.read_count = given->read.count,
		.without = given->without,
		/* There is one call. */
		.spares = AYRE_WORKER_NONE,
	};
	struct ayre_worker *worker;
	struct ayre_error error;
	struct input request;
	int result = check(given);

	(void)operand_count;
	if (result != EXIT_DONE)
		return result;
	if (ayre_worker_open(&options, operands[0], &worker, &error) < 0)
		return open_failed(&error);
	result = read_request(&request);
	if (result == EXIT_DONE) {
		result = call(worker, operands[1], &request, given->report == REPORT_JSON);
		free(request.bytes);
	}
	ayre_worker_close(worker);
	return result;
}

const struct command call_command = {
	.verb = "call",
	.summary = "Call a function of a module, in a process that has nothing else",
	.synopsis = "MODULE.so FUNCTION [--memory SIZE] [--cpu DURATION] [--timeout DURATION]\n"
		    "       [--read PATH]... [--without LAYER]... [--report text|json]",
	.examples = "  ayre call ./upper.so upper < letter\n"
		    "  ayre call ./png.so decode --memory 256M --timeout 2s < in.png > pixels\n",
	.options = call_table,
	.option_count = COUNT_OF(call_table),
	.least_operands = 2,
	.most_operands = 2,
	.operand_kinds = {OPERAND_FILE, OPERAND_TEXT},
	.run = run_call,
	.values_bytes = sizeof(struct call_options),
};
