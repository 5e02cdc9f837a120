/*
 * How the process of a call ended, for people and for programs.
 */
#include "command/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

#define PATIENCE_NS INT64_C(1000000000)

static const char *const kind_names[] = {
	[AYRE_WORKER_EXITED] = "exited",       [AYRE_WORKER_KILLED] = "killed",
	[AYRE_WORKER_FORBIDDEN] = "forbidden", [AYRE_WORKER_STACK] = "stack",
	[AYRE_WORKER_MEMORY] = "memory",       [AYRE_WORKER_CPU] = "cpu",
	[AYRE_WORKER_DEADLINE] = "deadline",   [AYRE_WORKER_LOST] = "lost",
};

static json_t *number_json(bool is_known, int64_t number)
{
	return is_known ? json_integer((json_int_t)number) : json_null();
}

static json_t *system_call_json(const struct ayre_worker_end *end)
{
	const char *name = ayre_system_call_name(end->system_call);

	return name ? json_string(name) : json_null();
}

static json_t *address_json(const struct ayre_worker_end *end)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, end->address);
	return end->has_address ? json_string(text) : json_null();
}

static json_t *end_json(const struct ayre_worker_end *end, const char *function, const char *text)
{
	const char *signal = end->signal ? sigabbrev_np(end->signal) : NULL;

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "function",
	                 output_text_json(function), "end", kind_names[end->kind], "text", text,
	                 "signal", signal ? json_sprintf("SIG%s", signal) : json_null(),
	                 "signal_number", number_json(end->signal != 0, end->signal), "status",
	                 number_json(end->kind == AYRE_WORKER_EXITED, end->status), "system_call",
	                 system_call_json(end), "address", address_json(end), "cpu_ns",
	                 number_json(end->cpu_ns >= 0, end->cpu_ns), "max_rss_bytes",
	                 number_json(end->max_rss_bytes >= 0, end->max_rss_bytes), "was_busy",
	                 end->kind == AYRE_WORKER_DEADLINE && end->cpu_ns >= 0
	                         ? json_boolean(end->was_busy)
	                         : json_null());
}

static void print_json(const struct ayre_worker_end *end, const char *function, const char *text)
{
	json_t *document = end_json(end, function, text);

	if (document && json_dumpf(document, stderr, JSON_COMPACT) == 0)
		fputc('\n', stderr);
	json_decref(document);
}

int call_report(struct ayre_worker *worker, const char *function, bool json)
{
	struct ayre_worker_end end = {.size = sizeof(end)};
	char text[160];

	if (ayre_worker_last_end(worker, &end) < 0 || end.kind == AYRE_WORKER_RUNNING)
		return EXIT_FAILED;
	/* What it used is not in the line; where it is not told in time it is not known. */
	if (json)
		(void)!ayre_worker_end_until(worker, 0, message_now_ns() + PATIENCE_NS, &end);
	ayre_worker_end_text(&end, text, sizeof(text));
	if (json)
		print_json(&end, function, text);
	else
		output_note("%s: %s", function, text);
	if (end.kind == AYRE_WORKER_DEADLINE)
		return EXIT_DEADLINE;
	return end.signal ? EXIT_SIGNAL + end.signal : EXIT_FAILED;
}
