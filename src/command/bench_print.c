/*
 * What `ayre bench` has measured: as a table for people, as JSON for programs.
 *
 * Invariant: both tell the same, what was left out as well.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command/bench.h"
#include "command/command.h"
#include "command/output.h"

static const char *format_scaled(double value, const char *const units[], size_t unit_count,
                                 char text[32])
{
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < unit_count) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 32, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[unit]);
	return text;
}

const char *bench_format(const struct bench_group_result *group, double value, char text[32])
{
	static const char *const rates[] = {"/s", "k/s", "M/s", "G/s"};
	static const char *const times[] = {"ns", "us", "ms", "s"};
	static const char *const bandwidths[] = {"B/s", "kB/s", "MB/s", "GB/s"};

	switch (group->group->unit) {
	case BENCH_BANDWIDTH:
		return format_scaled((double)group->operation_bytes * 1e9 / value, bandwidths,
		                     COUNT_OF(bandwidths), text);
	case BENCH_RATE:
		return format_scaled(1e9 / value, rates, COUNT_OF(rates), text);
	case BENCH_TIME:
		return format_scaled(value, times, COUNT_OF(times), text);
	case BENCH_DIRTIED:
	case BENCH_BYTES:
		break;
	}
	return format_size((uint64_t)(value + 0.5), text);
}

const char *bench_format_ratio(double ratio, char text[16])
{
	int digits = ratio >= 100 ? 0 : ratio >= 10 ? 1 : ratio >= 1 ? 2 : 3;

	snprintf(text, 16, "%.*f", digits, ratio);
	return text;
}

const char *bench_format_verdict(const struct bench_report *report,
                                 const struct bench_row_result *row, char text[80])
{
	char number[16], low[16], high[16];

	text[0] = '\0';
	if (row->best) {
		enum bench_verdict verdict = bench_judge(&row->to_best);

		snprintf(text, 80, "%s%s: %sx", verdict == BENCH_EVEN ? "even" : report->ours,
		         verdict == BENCH_LOSES ? " loses" : "",
		         bench_format_ratio(row->to_best.median, number));
	}
	if (row->ours)
		snprintf(text, 80, "%s takes %s of it [%s - %s]", report->ours,
		         bench_format_ratio(row->of_ours.median, number),
		         bench_format_ratio(row->of_ours.q1, low),
		         bench_format_ratio(row->of_ours.q3, high));
	return text;
}

/* --- the table --- */

int bench_print_machine(const struct bench_machine *machine, const struct bench_settings *settings)
{
	char memory[16];

	return output_print("%u processors, %s, Linux %s, %s of memory; files on %s%s\n",
	                    machine->cpu_count, machine->architecture, machine->kernel,
	                    format_size(machine->memory_bytes, memory), machine->file_system,
	                    settings->quick ? " (quick: a hint, not a claim)" : "");
}

/* A rate's lower quartile is the upper one of its time. */
static void print_value(const struct bench_group_result *group, const struct bench_spread *value)
{
	bool inverse = group->group->unit == BENCH_BANDWIDTH || group->group->unit == BENCH_RATE;
	char median[32], low[32], high[32];

	output_print("%11s  %11s -%11s", bench_format(group, value->median, median),
	             bench_format(group, inverse ? value->q3 : value->q1, low),
	             bench_format(group, inverse ? value->q1 : value->q3, high));
}

static void print_row(const struct bench_report *report, const struct bench_group_result *group,
                      size_t index)
{
	const struct bench_row_result *row = &group->rows[index];
	char median[16], low[16], high[16], verdict[80];

	output_print("  %-38s", group->group->rows[index].label);
	if (row->left_out) {
		output_print("  left out: %s\n", row->left_out);
		return;
	}
	print_value(group, &row->value);
	if (row->floor)
		output_print("  %6s [%s - %s]", bench_format_ratio(row->to_floor.median, median),
		             bench_format_ratio(row->to_floor.q1, low),
		             bench_format_ratio(row->to_floor.q3, high));
	else
		output_print("  %6s", "floor");
	output_print("  %s\n", bench_format_verdict(report, row, verdict));
}

int bench_print_table(const struct bench_report *report)
{
	char size[16];

	output_print("\nbench %s: ", report->name);
	if (report->file_bytes)
		output_print("file of %s, ", format_size(report->file_bytes, size));
	output_print("%u interleaved rounds; median, quartiles, times the floor [quartiles]; "
	             "%s against the best %s\n",
	             report->settings.rounds, report->ours, report->theirs);
	if (report->note[0])
		output_print("%s\n", report->note);
	for (size_t i = 0; i < report->group_count; i++) {
		const struct bench_group_result *group = &report->groups[i];

		output_print("\n%s\n", group->group->title);
		if (group->left_out) {
			output_print("  left out: %s\n", group->left_out);
			continue;
		}
		for (size_t row = 0; row < group->group->row_count; row++)
			print_row(report, group, row);
	}
	return EXIT_DONE;
}

/* --- JSON --- */

json_t *bench_machine_json(const struct bench_machine *machine)
{
	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:s}", "cpu_count",
	                 (int)machine->cpu_count, "architecture", machine->architecture, "kernel",
	                 machine->kernel, "memory_bytes", (json_int_t)machine->memory_bytes,
	                 "page_bytes", (json_int_t)machine->page_bytes, "file_system",
	                 machine->file_system, "read_ahead_bytes",
	                 (json_int_t)machine->read_ahead_bytes, "huge_pages", machine->huge_pages,
	                 "shared_huge_pages", machine->shared_huge_pages);
}

static json_t *spread_json(const struct bench_spread *spread)
{
	return json_pack("{s:f, s:f, s:f}", "median", spread->median, "q1", spread->q1, "q3",
	                 spread->q3);
}

static json_int_t whole(double value)
{
	return (json_int_t)llround(value);
}

static json_t *row_json(const struct bench_group_result *group, size_t index)
{
	static const char *const units[] = {
		[BENCH_BANDWIDTH] = "bandwidth", [BENCH_RATE] = "rate",   [BENCH_TIME] = "time",
		[BENCH_DIRTIED] = "dirtied",     [BENCH_BYTES] = "bytes",
	};
	static const char *const sides[] = {
		[BENCH_FLOOR] = "floor",   [BENCH_CALLS] = "calls",
		[BENCH_MAPPED] = "mapped", [BENCH_MEMORY] = "shared_memory",
		[BENCH_PEER] = "peer",     [BENCH_AYRE] = "ayre",
		[BENCH_BARE] = "bare",
	};
	static const char *const verdicts[] = {
		[BENCH_WINS] = "wins",
		[BENCH_EVEN] = "even",
		[BENCH_LOSES] = "loses",
	};
	const struct bench_row_result *result = &group->rows[index];
	const struct bench_row *row = &group->group->rows[index];
	bool bytes = bench_is_count(group->group->unit);

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "group",
		group->group->name, "name", row->name, "label", row->label, "side",
		sides[row->side], "unit", units[group->group->unit], "operation_bytes",
		(json_int_t)group->operation_bytes, bytes ? "median_bytes" : "median_ns",
		whole(result->value.median), bytes ? "q1_bytes" : "q1_ns", whole(result->value.q1),
		bytes ? "q3_bytes" : "q3_ns", whole(result->value.q3), "ratio_to_floor",
		result->floor ? spread_json(&result->to_floor) : json_null(), "ratio_to_best",
		result->best ? spread_json(&result->to_best) : json_null(), "ours_to_this",
		result->ours ? spread_json(&result->of_ours) : json_null(), "verdict",
		result->best ? json_string(verdicts[bench_judge(&result->to_best)]) : json_null());
}

static int add_left_out(json_t *list, const char *group, const char *row, const char *why)
{
	return json_array_append_new(
		list, json_pack("{s:s, s:s?, s:s}", "group", group, "name", row, "why", why));
}

static int add_group(const struct bench_group_result *group, json_t *floors, json_t *rows,
                     json_t *left_out)
{
	int result = 0;

	if (group->left_out)
		return add_left_out(left_out, group->group->name, NULL, group->left_out);
	for (size_t i = 0; result == 0 && i < group->group->row_count; i++) {
		const struct bench_row *row = &group->group->rows[i];

		if (group->rows[i].left_out)
			result = add_left_out(left_out, group->group->name, row->name,
			                      group->rows[i].left_out);
		else
			result = json_array_append_new(row->side == BENCH_FLOOR ? floors : rows,
			                               row_json(group, i));
	}
	return result;
}

json_t *bench_report_json(const struct bench_report *report)
{
	json_t *floors = json_array(), *rows = json_array(), *left_out = json_array();
	int result = floors && rows && left_out ? 0 : -1;

	for (size_t i = 0; result == 0 && i < report->group_count; i++)
		result = add_group(&report->groups[i], floors, rows, left_out);
	if (result != 0) {
		json_decref(floors);
		json_decref(rows);
		json_decref(left_out);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:b, s:i, s:I, s:o, s:o, s:o}", "name", report->name, "note",
	                 report->note, "quick", (int)report->settings.quick, "rounds",
	                 (int)report->settings.rounds, "file_bytes", (json_int_t)report->file_bytes,
	                 "floors", floors, "rows", rows, "left_out", left_out);
}
