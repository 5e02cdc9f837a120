/*
 * ayre topic verify and repair: is every record of a topic on a disk whole, and what can be done if not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/message.h"
#include "command/output.h"

struct check_options {
	bool json, dry_run;
};

static const struct command_option verify_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct check_options, json), "one JSON document"},
};

static const struct command_option repair_table[] = {
	{"dry-run", OPTION_FLAG, NULL, offsetof(struct check_options, dry_run),
         "change nothing, and say what would be done"},
	{"json", OPTION_FLAG, NULL, offsetof(struct check_options, json), "one JSON document"},
};

static const char *const kind_names[] = {
	[AYRE_FLAW_TORN] = "torn",     [AYRE_FLAW_RECORD] = "record", [AYRE_FLAW_HEAD] = "head",
	[AYRE_FLAW_EXTENT] = "extent", [AYRE_FLAW_LARGE] = "large",   [AYRE_FLAW_STATE] = "state",
};

/* What each is called, in front of which messages are missing. */
static const char *const kind_texts[] = {
	[AYRE_FLAW_TORN] = "a torn end, which was never safe",
	[AYRE_FLAW_RECORD] = "records that are not whole",
	[AYRE_FLAW_HEAD] = "a head that is not whole: nothing in the file can be read",
	[AYRE_FLAW_EXTENT] = "what is before it is not there",
	[AYRE_FLAW_LARGE] = "a message beside the ring that is not what was sent",
	[AYRE_FLAW_STATE] = "it does not say how far the log is",
};

/* One run of either command. */
struct check {
	const struct check_options *given;
	bool repairs;
	bool draws; /* how far it is, on a terminal */
	int percent;
	json_t *flaws; /* of --json; NULL: there was no memory for it */
	uint64_t left; /* flaws that are not repaired */
};

/* --- one flaw --- */

static json_t *flaw_json(const struct ayre_topic_flaw *flaw)
{
	char publisher[20];

	snprintf(publisher, sizeof(publisher), "%016" PRIx64, flaw->publisher);
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:I, s:b}", "kind",
	                 kind_names[flaw->kind], "publisher", publisher, "file",
	                 output_text_json(flaw->file), "offset_bytes", (json_int_t)flaw->offset,
	                 "position_bytes", (json_int_t)flaw->position, "sequence",
	                 (json_int_t)flaw->sequence, "messages",
	                 flaw->messages == UINT64_MAX ? json_null()
	                                              : json_integer((json_int_t)flaw->messages),
	                 "size_bytes", (json_int_t)flaw->bytes, "repaired", (int)flaw->repaired);
}

static const char *format_missing(const struct ayre_topic_flaw *flaw, char text[80])
{
	if (flaw->kind == AYRE_FLAW_TORN || flaw->messages == 0)
		text[0] = '\0';
	else if (flaw->messages == UINT64_MAX)
		snprintf(text, 80, ": from message %" PRIu64 " on", flaw->sequence);
	else if (flaw->messages == 1)
		snprintf(text, 80, ": message %" PRIu64, flaw->sequence);
	else
		snprintf(text, 80, ": messages %" PRIu64 " to %" PRIu64, flaw->sequence,
		         flaw->sequence + flaw->messages - 1);
	return text;
}

static const char *verdict(const struct check *check, const struct ayre_topic_flaw *flaw)
{
	if (!check->repairs)
		return "";
	if (check->given->dry_run)
		return "would be repaired: ";
	return flaw->repaired ? "repaired: " : "not repaired: ";
}

static void erase(struct check *check)
{
	if (check->percent >= 0)
		fprintf(stderr, "\r\033[K");
	check->percent = -1;
}

static int visit(const struct ayre_topic_flaw *flaw, void *context)
{
	struct check *check = context;
	char missing[80], size[16];

	check->left += !flaw->repaired && flaw->kind != AYRE_FLAW_TORN;
	if (check->given->json)
		return json_array_append_new(check->flaws, flaw_json(flaw)) == -1 ? -ENOMEM : 0;
	erase(check);
	output_print("%s%s: byte %" PRIu64 ": %s%s%s%s\n", verdict(check, flaw), flaw->file,
	             flaw->offset, kind_texts[flaw->kind], format_missing(flaw, missing),
	             flaw->bytes ? ", " : "", flaw->bytes ? format_size(flaw->bytes, size) : "");
	return message_interrupted() ? -EINTR : 0;
}

/* --- how far it is --- */

static int progress(uint64_t done, uint64_t all, void *context)
{
	struct check *check = context;
	int percent = all ? (int)(100.0 * (double)done / (double)all) : 100;

	if (message_interrupted())
		return -EINTR;
	if (check->draws && percent != check->percent) {
		check->percent = percent;
		fprintf(stderr, "\r%3d %%", percent > 100 ? 100 : percent);
	}
	return 0;
}

/* --- the end --- */

static int print_json(const struct check *check, const struct ayre_topic_check_result *result)
{
	return output_json(json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "whole", (int)(result->flaws == 0),
		"log_count", (json_int_t)result->logs, "extent_count", (json_int_t)result->extents,
		"messages", (json_int_t)result->messages, "record_bytes", (json_int_t)result->bytes,
		"torn_count", (json_int_t)result->torn, "flaw_count", (json_int_t)result->flaws,
		"flaws", check->flaws));
}

static void print_counts(const struct ayre_topic_check_result *result)
{
	char size[16];

	output_print("%" PRIu64 " log%s, %" PRIu64 " extent%s, %" PRIu64 " message%s, %s: ",
	             result->logs, result->logs == 1 ? "" : "s", result->extents,
	             result->extents == 1 ? "" : "s", result->messages,
	             result->messages == 1 ? "" : "s", format_size(result->bytes, size));
	if (result->flaws == 0)
		output_print("all of it is whole\n");
	else
		output_print("damaged in %" PRIu64 " place%s\n", result->flaws,
		             result->flaws == 1 ? "" : "s");
}

static int run(const struct check_options *given, const char *topic, bool repairs)
{
	struct check check = {
		.given = given,
		.repairs = repairs,
		.draws = !given->json && output_shows_progress(),
		.percent = -1,
		.flaws = json_array(),
	};
	struct ayre_topic_check_options options = {
		.size = sizeof(options),
		.dry_run = given->dry_run,
		.visit = visit,
		.progress = progress,
		.context = &check,
	};
	struct ayre_topic_check_result counts = {.size = sizeof(counts)};
	struct ayre_error error;
	int result, code;

	message_begin();
	result = repairs ? ayre_topic_repair(topic, &options, &counts, &error)
	                 : ayre_topic_verify(topic, &options, &counts, &error);
	erase(&check);
	if (result < 0 && message_interrupted())
		code = EXIT_FAILED;
	else if (result < 0)
		code = output_error(&error);
	else
		code = given->json ? print_json(&check, &counts)
		                   : (print_counts(&counts), EXIT_DONE);
	json_decref(check.flaws);
	/* Whoever only asks what would be done has been told. */
	if (code == EXIT_DONE && check.left && !given->dry_run)
		code = EXIT_FAILED;
	return message_end(code);
}

static int run_verify(void *values, int operand_count, char **operands)
{
	(void)operand_count;
	return run(values, operands[0], false);
}

const struct command topic_verify_command = {
	.noun = "topic",
	.verb = "verify",
	.summary = "Read all of a topic on a disk, and say what is damaged; exit 1 if anything is",
	.synopsis = "TOPIC [--json]",
	.examples = "  ayre topic verify /var/lib/orders/log\n",
	.options = verify_table,
	.option_count = COUNT_OF(verify_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_verify,
	.values_bytes = sizeof(struct check_options),
};

static int run_repair(void *values, int operand_count, char **operands)
{
	(void)operand_count;
	return run(values, operands[0], true);
}

const struct command topic_repair_command = {
	.noun = "topic",
	.verb = "repair",
	.summary = "Cut out of a topic on a disk what is damaged; nothing that is whole",
	.synopsis = "TOPIC [--dry-run] [--json]",
	.examples = "  ayre topic repair /var/lib/orders/log --dry-run\n",
	.options = repair_table,
	.option_count = COUNT_OF(repair_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_TOPIC},
	.run = run_repair,
	.values_bytes = sizeof(struct check_options),
};
