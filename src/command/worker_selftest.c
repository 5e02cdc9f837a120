/*
 * ayre worker selftest: the escape attempts, made from inside the policy that is installed.
 *
 * Invariant: success means that every attempt was made, and that none got out of a process that
 * is said to be confined.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/output.h"
#include "escape/escape.h"

struct selftest_options {
	bool json;
	uint32_t tier; /* enum escape_tier, and 1; 0: all */
	const char *attempt;
};

static const struct command_option selftest_table[] = {
	{"tier", OPTION_CHOICE, "full|no-namespaces|no-landlock|seccomp-only|no-seccomp|unconfined",
         offsetof(struct selftest_options, tier), "only this"},
	{"attempt", OPTION_TEXT, "NAME", offsetof(struct selftest_options, attempt),
         "only this attempt"},
	{"json", OPTION_FLAG, NULL, offsetof(struct selftest_options, json), "one JSON document"},
};

/* All tiers. */
struct selftest {
	const struct selftest_options *given;
	json_t *attempts, *tiers; /* of --json */
	char told[640];           /* the last error, which is told once */
};

/* One tier. */
struct tally {
	const char *tier;
	struct selftest *test;
	uint64_t count, got_out, killed, broken;
};

static const char *end_text(const struct escape_result *result, char text[64])
{
	switch (result->end) {
	case ESCAPE_HELD:
		return strerror(result->detail);
	case ESCAPE_KILLED:
		snprintf(text, 64, "killed by SIG%s", sigabbrev_np(result->detail));
		return text;
	case ESCAPE_GOT_OUT:
		return "got out";
	case ESCAPE_BROKEN:
		break;
	}
	return "could not be made";
}

static json_t *attempt_json(const struct tally *tally, const struct escape_result *result)
{
	char text[64];

	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:o}", "name", result->name, "group",
	                 result->group, "tier", tally->tier, "got_out",
	                 result->end == ESCAPE_GOT_OUT, "end", end_text(result, text), "alone",
	                 output_text_json(result->alone));
}

static int visit(const struct escape_result *result, void *context)
{
	struct tally *tally = context;
	char text[64];

	tally->count++;
	tally->got_out += result->end == ESCAPE_GOT_OUT;
	tally->killed += result->end == ESCAPE_KILLED;
	tally->broken += result->end == ESCAPE_BROKEN;
	if (tally->test->given->json)
		return json_array_append_new(tally->test->attempts, attempt_json(tally, result)) ==
		                       -1
		               ? -ENOMEM
		               : 0;
	if (tally->test->given->attempt || result->end == ESCAPE_BROKEN ||
	    (result->end == ESCAPE_GOT_OUT && strcmp(tally->tier, "unconfined") != 0))
		output_print("%-14s %s: %s: %s\n", tally->tier, result->group, result->name,
		             end_text(result, text));
	return 0;
}

static json_t *layers_json(uint32_t layers)
{
	json_t *names = json_array();

	for (int i = 0; i < AYRE_LAYER_COUNT; i++)
		if (layers & 1u << i)
			json_array_append_new(names, json_string(ayre_layer_name(1u << i)));
	return names;
}

static json_t *tier_json(const struct tally *tally, const struct ayre_posture *posture,
                         const char *refused)
{
	return json_pack("{s:s, s:b, s:o, s:I, s:I, s:o}", "name", tally->tier, "confined",
	                 (int)posture->confined, "layers", layers_json(posture->layers), "attempts",
	                 (json_int_t)tally->count, "got_out", (json_int_t)tally->got_out, "refused",
	                 output_text_json(refused));
}

static void print_tier(const struct tally *tally, const struct ayre_posture *posture)
{
	output_print("%-14s %s: %llu attempts, %llu got out, %llu killed\n", tally->tier,
	             posture->confined ? "confined" : "not confined",
	             (unsigned long long)tally->count, (unsigned long long)tally->got_out,
	             (unsigned long long)tally->killed);
}

/* No process of this tier was confined. */
static void add_refusal(const struct tally *tally, const char *text)
{
	const struct ayre_posture none = {.size = sizeof(none)};

	if (tally->test->given->json)
		json_array_append_new(tally->test->tiers, tier_json(tally, &none, text));
	else
		output_print("%-14s not confined: refused: %s\n", tally->tier, text);
}

/*
 * No process was confined as the tier's policy asks, or there was no memory to tell of them. What many
 * tiers fail of is told once.
 */
static int tell_failure(const struct tally *tally, int code, const struct ayre_error *error)
{
	struct selftest *test = tally->test;
	char text[sizeof(test->told)];

	if (error->code == 0)
		return output_fail("%s", strerror(-code));
	if (strcmp(error->step, "find") == 0)
		return output_error(error);
	ayre_error_text(error, text, sizeof(text));
	add_refusal(tally, text);
	if (strcmp(text, test->told) == 0)
		return EXIT_FAILED;
	memcpy(test->told, text, sizeof(text));
	return output_error(error);
}

/* Whatever the layers, the tier is run, and told what it is worth. */
static int run_tier(enum escape_tier tier, struct selftest *test)
{
	struct tally tally = {.tier = escape_tier_name(tier), .test = test};
	struct escape_run run = {
		.tier = tier,
		.only = test->given->attempt,
		.visit = visit,
		.context = &tally,
	};
	struct ayre_error error = {.code = 0};
	int result = escape_run(&run, &error);

	if (result < 0)
		return tell_failure(&tally, result, &error);
	if (test->given->json)
		json_array_append_new(test->tiers, tier_json(&tally, &run.posture, NULL));
	else
		print_tier(&tally, &run.posture);
	if (tally.broken)
		return output_fail("%s: %llu attempts could not be made", tally.tier,
		                   (unsigned long long)tally.broken);
	return tally.got_out ? EXIT_FAILED : EXIT_DONE;
}

/*
 * Without seccomp no process counts as confined: the policy has to refuse, and for this reason; nothing
 * runs at all.
 */
static int expect_refusal(enum escape_tier tier, struct selftest *test)
{
	const struct tally tally = {.tier = escape_tier_name(tier), .test = test};
	struct ayre_error error;
	char text[sizeof(test->told)];
	int result = escape_try_refusal(tier, &error);

	if (result < 0)
		return tell_failure(&tally, result, &error);
	add_refusal(&tally, ayre_error_text(&error, text, sizeof(text)));
	return EXIT_DONE;
}

static int run_tiers(struct selftest *test)
{
	int result = EXIT_DONE;

	if (test->given->tier)
		return run_tier(test->given->tier - 1, test);
	for (enum escape_tier tier = ESCAPE_FULL; tier < ESCAPE_NO_SECCOMP; tier++) {
		int code = run_tier(tier, test);

		if (code != EXIT_DONE)
			result = code;
	}
	if (expect_refusal(ESCAPE_NO_SECCOMP, test) != EXIT_DONE)
		result = EXIT_FAILED;
	return result;
}

static int run_selftest(void *values, int operand_count, char **operands)
{
	struct selftest test = {
		.given = values,
		.attempts = json_array(),
		.tiers = json_array(),
	};
	int result;

	(void)operand_count;
	(void)operands;
	if (test.given->attempt && !escape_has_attempt(test.given->attempt))
		result = output_usage("--attempt: '%s' is not an attempt ('ayre worker selftest "
		                      "--json' names them)",
		                      test.given->attempt);
	else
		result = run_tiers(&test);
	if (test.given->json && json_array_size(test.tiers) > 0 &&
	    output_json(json_pack("{s:O, s:O}", "tiers", test.tiers, "attempts", test.attempts)) !=
	            EXIT_DONE)
		result = EXIT_FAILED;
	json_decref(test.attempts);
	json_decref(test.tiers);
	return result;
}

const struct command worker_selftest_command = {
	.noun = "worker",
	.verb = "selftest",
	.summary = "Try to escape from a confined process in every way known",
	.synopsis = "[--tier TIER] [--attempt NAME] [--json]",
	.examples = "  ayre worker selftest\n"
		    "  ayre worker selftest --tier unconfined --json | jq '.tiers[0].got_out'\n"
		    "  ayre worker selftest --json | jq '.attempts[] | select(.got_out)'\n",
	.options = selftest_table,
	.option_count = COUNT_OF(selftest_table),
	.run = run_selftest,
	.values_bytes = sizeof(struct selftest_options),
};
