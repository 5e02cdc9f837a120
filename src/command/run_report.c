/*
 * How a pipeline went: as a table for people, as JSON for programs.
 *
 * Invariant: a report is complete, or the exit status says that it is not. What is not known is
 * null, and never a number.
 */
#include "command/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "command/command.h"
#include "command/output.h"

#define NAME_COLUMNS 32

/* --- JSON --- */

static json_t *number_or_null(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

/* People, and the report, count from 1. */
static json_t *stage_number(int index)
{
	return index < 0 ? json_null() : json_integer(index + 1);
}

/* Four digits: the samples hold no more. */
static json_t *fraction_or_null(double fraction)
{
	return fraction < 0 ? json_null() : json_real(round(fraction * 1e4) / 1e4);
}

static json_t *argv_json(const struct ayre_stage_info *stage)
{
	json_t *list = json_array();

	for (size_t i = 0; list && stage->arguments && stage->arguments[i]; i++) {
		if (json_array_append_new(list, output_text_json(stage->arguments[i])) == -1) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static const char *outcome_key(enum ayre_outcome outcome)
{
	switch (outcome) {
	case AYRE_OUTCOME_RUNNING:
		return "running";
	case AYRE_OUTCOME_EXITED:
		return "exited";
	case AYRE_OUTCOME_SIGNALED:
		return "signaled";
	case AYRE_OUTCOME_NOT_STARTED:
		return "not_started";
	case AYRE_OUTCOME_LOST:
		break;
	}
	return "lost";
}

static json_t *shares_json(const struct ayre_stage_shares *shares)
{
	if (shares->running + shares->input + shares->output + shares->other == 0)
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:f}", "running", shares->running / 1000.0,
	                 "waiting_for_input", shares->input / 1000.0, "blocked_on_output",
	                 shares->output / 1000.0, "other", shares->other / 1000.0);
}

/* Either the one or the other: exit status 141 is no SIGPIPE. */
static int add_end(json_t *object, const struct ayre_process_end *end)
{
	char name[24];

	if (end->outcome == AYRE_OUTCOME_EXITED)
		return json_object_set_new(object, "status", json_integer(end->status));
	if (end->outcome != AYRE_OUTCOME_SIGNALED)
		return 0;
	if (json_object_set_new(object, "signal", json_integer(end->signal_number)) < 0 ||
	    json_object_set_new(object, "signal_name",
	                        json_string(run_signal_name(end->signal_number, name))) < 0)
		return -1;
	return json_object_set_new(object, "dumped_core", json_boolean(end->dumped_core));
}

static int64_t wall_ns(const struct ayre_process_end *end)
{
	return end->ended_ns > 0 ? end->ended_ns - end->started_ns : -1;
}

static json_t *stage_json(const struct ayre_stage_info *stage)
{
	const struct ayre_process_end *end = &stage->end;
	bool known = end->outcome != AYRE_OUTCOME_NOT_STARTED;
	json_t *object = json_pack(
		"{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "argv",
		argv_json(stage), "pid", number_or_null(stage->pid > 0 ? stage->pid : -1),
		"outcome", outcome_key(end->outcome), "wall_ns",
		number_or_null(known ? wall_ns(end) : -1), "user_ns",
		number_or_null(known ? end->user_ns : -1), "system_ns",
		number_or_null(known ? end->system_ns : -1), "max_rss_bytes",
		number_or_null(known && end->max_rss_bytes > 0 ? end->max_rss_bytes : -1),
		"read_bytes", number_or_null(known ? stage->read_bytes : -1), "written_bytes",
		number_or_null(known ? stage->written_bytes : -1), "voluntary_switches",
		number_or_null(known ? end->voluntary_switches : -1), "involuntary_switches",
		number_or_null(known ? end->involuntary_switches : -1), "shares",
		shares_json(&stage->total));

	if (object && add_end(object, end) == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *pipe_json(const struct ayre_pipe_info *pipe)
{
	bool granted = pipe->granted_bytes > 0;

	return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o}", "from", stage_number(pipe->from), "to",
	                 stage_number(pipe->to), "asked_bytes", (json_int_t)pipe->asked_bytes,
	                 "granted_bytes",
	                 number_or_null(granted ? (int64_t)pipe->granted_bytes : -1), "mean_fill",
	                 fraction_or_null(granted ? pipe->mean_fill : -1), "passed_bytes",
	                 number_or_null(granted ? pipe->passed_bytes : -1));
}

static json_t *report_json(const struct run_report *report)
{
	const struct run_view *view = report->view;
	json_t *stages = json_array(), *pipes = json_array();
	int result = stages && pipes ? 0 : -1;

	for (int i = 0; result == 0 && i < view->stage_count; i++)
		result = json_array_append_new(stages, stage_json(&view->stages[i]));
	for (int i = 0; result == 0 && i < view->pipe_count; i++)
		result = json_array_append_new(pipes, pipe_json(&view->pipes[i]));
	if (result < 0) {
		json_decref(stages);
		json_decref(pipes);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:I, s:i, s:i, s:o}", "stages", stages, "pipes", pipes,
	                 "bottleneck", stage_number(view->bottleneck), "wall_ns",
	                 (json_int_t)view->wall_ns, "exit_status", report->exit_status,
	                 "strays_ended", report->strays_ended, "error",
	                 output_text_json(report->error));
}

static char *json_text(const struct run_report *report)
{
	json_t *document = report_json(report);
	char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL, *line = NULL;

	json_decref(document);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

/* --- for people --- */

struct text_style {
	int number_columns, name_columns;
	bool utf8;
};

static void put_stage(FILE *stream, const struct run_view *view, int index,
                      const struct text_style *style)
{
	const struct ayre_stage_info *stage = &view->stages[index];
	const struct ayre_process_end *end = &stage->end;
	bool known = end->outcome != AYRE_OUTCOME_NOT_STARTED;
	char words[48], span[24], bytes[16];
	int used;

	fprintf(stream, "%*d  ", style->number_columns, index + 1);
	used = run_put_name(stream, stage, style->name_columns, style->utf8);
	fprintf(stream, "%*s  %-17s", style->name_columns - used, "",
	        run_outcome_words(end, words));
	fprintf(stream, "  %7s", run_format_span(known ? wall_ns(end) : -1, span));
	fprintf(stream, "  %7s", run_format_span(known ? end->user_ns : -1, span));
	fprintf(stream, "  %7s", run_format_span(known ? end->system_ns : -1, span));
	fprintf(stream, "  %6s",
	        run_format_bytes(known && end->max_rss_bytes > 0 ? end->max_rss_bytes : -1, bytes));
	fprintf(stream, "  %6s", run_format_bytes(known ? stage->read_bytes : -1, bytes));
	fprintf(stream, "  %7s\n", run_format_bytes(known ? stage->written_bytes : -1, bytes));
}

static void put_stages(FILE *stream, const struct run_view *view)
{
	struct text_style style = {.name_columns = 5, .utf8 = run_locale_is_utf8()};

	style.number_columns = snprintf(NULL, 0, "%d", view->stage_count);
	for (int i = 0; i < view->stage_count; i++) {
		int columns = run_name_columns(&view->stages[i]);

		style.name_columns = columns > style.name_columns ? columns : style.name_columns;
	}
	if (style.name_columns > NAME_COLUMNS)
		style.name_columns = NAME_COLUMNS;
	fprintf(stream, "%*s  %-*s  %-17s  %7s  %7s  %7s  %6s  %6s  %7s\n", style.number_columns,
	        "", style.name_columns, "stage", "outcome", "wall", "user", "system", "memory",
	        "read", "written");
	for (int i = 0; i < view->stage_count; i++)
		put_stage(stream, view, i, &style);
}

static void put_pipes(FILE *stream, const struct run_view *view)
{
	char words[48], size[16];

	if (view->pipe_count > 0)
		fprintf(stream, "\n%-14s  %4s  %8s  %6s\n", "pipe", "size", "full", "passed");
	for (int i = 0; i < view->pipe_count; i++) {
		const struct ayre_pipe_info *pipe = &view->pipes[i];
		bool granted = pipe->granted_bytes > 0;

		if (pipe->to < 0)
			snprintf(words, sizeof(words), "from %d on", pipe->from + 1);
		else
			snprintf(words, sizeof(words), "from %d to %d", pipe->from + 1,
			         pipe->to + 1);
		fprintf(stream, "%-14s  %4s", words,
		        granted ? format_size(pipe->granted_bytes, size) : "-");
		if (granted && pipe->mean_fill >= 0)
			fprintf(stream, "  %6.0f %%", pipe->mean_fill * 100);
		else
			fprintf(stream, "  %8s", "-");
		fprintf(stream, "  %6s", run_format_bytes(granted ? pipe->passed_bytes : -1, size));
		if (granted && pipe->granted_bytes < pipe->asked_bytes)
			fprintf(stream, "  small: %s asked for",
			        format_size(pipe->asked_bytes, size));
		fputc('\n', stream);
	}
}

static char *plain_text(const struct run_report *report)
{
	char *text = NULL, span[24];
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return NULL;
	put_stages(stream, report->view);
	put_pipes(stream, report->view);
	fputc('\n', stream);
	if (report->view->stage_count > 1) {
		run_draw_bottleneck(stream, report->view, run_locale_is_utf8());
		fputc('\n', stream);
	}
	if (report->strays_ended > 0)
		fprintf(stream, "ended with it: %d that were no stages\n", report->strays_ended);
	fprintf(stream, "%s, exit status %d%s%s\n", run_format_span(report->view->wall_ns, span),
	        report->exit_status, report->error ? ": " : "", report->error ? report->error : "");
	if (fclose(stream) == 0)
		return text;
	free(text);
	return NULL;
}

int run_report_write(const struct run_report *report)
{
	char *text = report->format == RUN_REPORT_JSON ? json_text(report) : plain_text(report);
	int result;

	if (!text) {
		output_fail("%s: %s", report->name, strerror(ENOMEM));
		return RUN_EXIT_OURS;
	}
	result = run_write_all(report->fd, text, strlen(text));
	free(text);
	if (result == 0)
		return EXIT_DONE;
	output_fail("%s: the report is not complete: %s", report->name, strerror(-result));
	return RUN_EXIT_OURS;
}
