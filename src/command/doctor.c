/*
 * ayre doctor: what this machine gives ayre, what that costs, and what mends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/doctor.h"
#include "command/output.h"

#define LINE_COLUMNS 78
#define INDENT       9

struct doctor_options {
	bool json;
};

static const struct command_option doctor_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct doctor_options, json), "one JSON document"},
};

static const char *const verdict_names[DOCTOR_VERDICTS] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_COSTS] = "costs",
	[DOCTOR_TROUBLE] = "trouble",
};

static size_t count_of(const struct doctor *doctor, enum doctor_verdict verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < doctor->count; i++)
		count += doctor->findings[i].verdict == verdict;
	return count;
}

static enum doctor_verdict worst_of(const struct doctor *doctor)
{
	if (count_of(doctor, DOCTOR_TROUBLE))
		return DOCTOR_TROUBLE;
	return count_of(doctor, DOCTOR_COSTS) ? DOCTOR_COSTS : DOCTOR_OK;
}

/* --- as JSON --- */

static json_t *text_or_null(const char *text)
{
	return output_text_json(text[0] ? text : NULL);
}

static json_t *number_or_null(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

static json_t *finding_json(const struct doctor_finding *finding)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "group", finding->group,
	                 "name", finding->name, "verdict", verdict_names[finding->verdict], "value",
	                 output_text_json(finding->value), "value_bytes",
	                 number_or_null(finding->bytes), "value_count",
	                 number_or_null(finding->count), "costs", text_or_null(finding->costs),
	                 "mend", text_or_null(finding->mend));
}

static int print_json(const struct doctor *doctor)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < doctor->count; i++)
		if (json_array_append_new(findings, finding_json(&doctor->findings[i])) == -1) {
			json_decref(findings);
			return output_json(NULL);
		}
	return output_json(
		json_pack("{s:s, s:I, s:I, s:I, s:o}", "verdict", verdict_names[worst_of(doctor)],
	                  "trouble_count", (json_int_t)count_of(doctor, DOCTOR_TROUBLE),
	                  "costs_count", (json_int_t)count_of(doctor, DOCTOR_COSTS), "ok_count",
	                  (json_int_t)count_of(doctor, DOCTOR_OK), "findings", findings));
}

/* --- for people --- */

/* Names of files can hold anything; a row stays a row. */
static void print_plainly(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		output_print("%c", (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
}

/* As many words as a line has room for, and so on. */
static void print_sentence(const char *text)
{
	size_t room = LINE_COLUMNS - INDENT;

	while (*text) {
		size_t length = strlen(text), end = length;

		if (length > room) {
			for (end = room; end > 0 && text[end] != ' '; end--)
				;
			if (end == 0)
				end = strcspn(text, " ");
		}
		output_print("%*s", INDENT, "");
		print_plainly(text, end);
		output_print("\n");
		text += end + strspn(text + end, " ");
	}
}

static void print_finding(const struct doctor_finding *finding)
{
	static const int colours[DOCTOR_VERDICTS] = {32, 33, 31};
	const char *name = verdict_names[finding->verdict];

	if (output_shows_colour())
		output_print("\033[%dm%-*s\033[m", colours[finding->verdict], INDENT, name);
	else
		output_print("%-*s", INDENT, name);
	output_print("%-11s %-18s ", finding->group, finding->name);
	print_plainly(finding->value, strlen(finding->value));
	output_print("\n");
	print_sentence(finding->costs);
	/* In one piece, so that it can be copied. */
	if (finding->mend[0]) {
		output_print("%*smend: ", INDENT, "");
		print_plainly(finding->mend, strlen(finding->mend));
		output_print("\n");
	}
}

static int print_table(const struct doctor *doctor)
{
	for (int verdict = DOCTOR_TROUBLE; verdict >= DOCTOR_OK; verdict--)
		for (size_t i = 0; i < doctor->count; i++)
			if ((int)doctor->findings[i].verdict == verdict)
				print_finding(&doctor->findings[i]);
	return output_print("%zu trouble, %zu costs, %zu ok\n", count_of(doctor, DOCTOR_TROUBLE),
	                    count_of(doctor, DOCTOR_COSTS), count_of(doctor, DOCTOR_OK));
}

static int run_doctor(void *values, int operand_count, char **operands)
{
	const struct doctor_options *given = values;
	struct doctor doctor = {0};
	int result;

	(void)operand_count;
	(void)operands;
	/* Files of others are followed into, which may be cut short meanwhile. */
	(void)!ayre_guard_install();
	doctor_look_at_memory(&doctor);
	doctor_look_at_keeping(&doctor);
	doctor_look_at_group(&doctor);
	doctor_look_at_limits(&doctor);
	doctor_look_at_kernel(&doctor);
	doctor_look_at_confinement(&doctor);
	doctor_look_at_leftovers(&doctor);
	if (doctor.fell_short)
		result = output_fail("%s", strerror(ENOMEM));
	else
		result = given->json ? print_json(&doctor) : print_table(&doctor);
	if (result == EXIT_DONE && count_of(&doctor, DOCTOR_TROUBLE))
		result = EXIT_FAILED;
	free(doctor.findings);
	return result;
}

const struct command doctor_command = {
	.verb = "doctor",
	.summary = "Say what this machine gives ayre, what is missing, and what mends it",
	.synopsis = "[--json]",
	.examples = "  ayre doctor\n"
		    "  ayre doctor --json | jq -r '.findings[] | select(.mend) | .mend'\n",
	.options = doctor_table,
	.option_count = COUNT_OF(doctor_table),
	.run = run_doctor,
	.values_bytes = sizeof(struct doctor_options),
};
