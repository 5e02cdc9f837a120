/*
 * ayre worker posture: which layers of confinement this kernel gives to this user.
 */
#include <stdio.h>
#include <string.h>

#include <ayre.h>

#include "command/command.h"
#include "command/output.h"

struct posture_options {
	bool json;
};

static const struct command_option posture_table[] = {
	{"json", OPTION_FLAG, NULL, offsetof(struct posture_options, json), "one JSON document"},
};

static const char *layer_text(const struct ayre_posture *posture, int number, char text[64])
{
	uint32_t layer = 1u << number;

	if (layer == AYRE_LAYER_LANDLOCK && posture->landlock_abi)
		snprintf(text, 64, "ABI %d", (int)posture->landlock_abi);
	else if (posture->layers & layer)
		text[0] = '\0';
	else
		snprintf(text, 64, "%s", strerror(-posture->codes[number]));
	return text;
}

static json_t *layer_json(const struct ayre_posture *posture, int number)
{
	uint32_t layer = 1u << number;
	bool holds = posture->layers & layer;

	return json_pack("{s:s, s:b, s:b, s:o}", "name", ayre_layer_name(layer), "holds",
	                 (int)holds, "mandatory", (layer & AYRE_LAYERS_MANDATORY) != 0, "error",
	                 holds ? json_null() : json_string(strerror(-posture->codes[number])));
}

static int print_posture_json(const struct ayre_posture *posture)
{
	json_t *layers = json_array();

	for (int i = 0; i < AYRE_LAYER_COUNT; i++)
		json_array_append_new(layers, layer_json(posture, i));
	return output_json(json_pack("{s:b, s:i, s:o}", "confined", (int)posture->confined,
	                             "landlock_abi", (int)posture->landlock_abi, "layers", layers));
}

static int print_posture(const struct ayre_posture *posture)
{
	char text[64];

	for (int i = 0; i < AYRE_LAYER_COUNT; i++) {
		uint32_t layer = 1u << i;

		layer_text(posture, i, text);
		if (output_print("%-14s %s%s%s\n", ayre_layer_name(layer),
		                 posture->layers & layer ? "holds" : "does not hold",
		                 text[0] ? ": " : "", text) != EXIT_DONE)
			return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int run_posture(void *values, int operand_count, char **operands)
{
	const struct posture_options *given = values;
	struct ayre_posture posture = {.size = sizeof(posture)};
	struct ayre_error error;
	int result;

	(void)operand_count;
	(void)operands;
	if (ayre_posture_probe(&posture, &error) < 0)
		return output_error(&error);
	result = given->json ? print_posture_json(&posture) : print_posture(&posture);
	if (result != EXIT_DONE)
		return result;
	return (posture.layers & AYRE_LAYERS_MANDATORY) == AYRE_LAYERS_MANDATORY ? EXIT_DONE
	                                                                         : EXIT_FAILED;
}

const struct command worker_posture_command = {
	.noun = "worker",
	.verb = "posture",
	.summary = "Say which layers of confinement this kernel gives to this user",
	.synopsis = "[--json]",
	.examples = "  ayre worker posture\n"
		    "  ayre worker posture --json | jq .landlock_abi\n",
	.options = posture_table,
	.option_count = COUNT_OF(posture_table),
	.run = run_posture,
	.values_bytes = sizeof(struct posture_options),
};
