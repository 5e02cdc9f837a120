/*
 * The words of a command line, parsed by a command's table with getopt_long(3).
 */
#include "command/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <ayre/worker.h>

#include "command/output.h"

#define OPTIONS_MAX  16
#define FIRST_OPTION 256 /* beyond every character */

bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	unsigned int shift = 0;
	uint64_t number;
	char *rest;

	/* strtoull(3) would take a sign and leading space. */
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &rest, 10);
	if (*rest) {
		const char *unit = strchr(units, *rest);

		if (!unit || rest[1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (errno || number > (uint64_t)INT64_MAX >> shift)
		return false;
	*ret_bytes = number << shift;
	return true;
}

bool parse_count(const char *text, uint64_t *ret_count)
{
	uint64_t number;
	char *rest;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &rest, 10);
	if (errno || *rest || number > (uint64_t)INT64_MAX)
		return false;
	*ret_count = number;
	return true;
}

bool parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{"us", 1000},
		{"ms", 1000000},
		{"s", 1000000000},
		{"m", INT64_C(60) * 1000000000},
		{"h", INT64_C(3600) * 1000000000},
	};
	uint64_t number;
	char *rest;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &rest, 10);
	for (size_t i = 0; errno == 0 && i < COUNT_OF(units); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (number > (uint64_t)(INT64_MAX / units[i].ns))
			return false;
		*ret_ns = (int64_t)number * units[i].ns;
		return true;
	}
	return false;
}

/* "0644", "644": octal, read and write bits only. */
static bool parse_mode(const char *text, uint32_t *ret_mode)
{
	size_t length = strlen(text);
	unsigned long mode;

	if (length == 0 || length > 4 || strspn(text, "01234567") != length)
		return false;
	mode = strtoul(text, NULL, 8);
	if (mode == 0 || mode & ~0666ul)
		return false;
	*ret_mode = (uint32_t)mode;
	return true;
}

/* Which of the words between bars, from 1; 0: none. */
static uint32_t find_choice(const char *words, const char *text)
{
	size_t length = strlen(text);
	uint32_t number = 1;

	for (;;) {
		size_t word_length = strcspn(words, "|");

		if (word_length == length && strncmp(words, text, length) == 0)
			return number;
		if (!words[word_length])
			return 0;
		words += word_length + 1;
		number++;
	}
}

static int store_choice(const struct command_option *option, const char *text, uint32_t *place)
{
	*place = find_choice(option->argument, text);
	if (*place)
		return EXIT_DONE;
	return output_usage("--%s: '%s' is not one of %s", option->name, text, option->argument);
}

static int store_layer(const struct command_option *option, const char *text, uint32_t *place)
{
	int layer = ayre_layer_by_name(text);

	if (layer < 0)
		return output_usage("--%s: '%s' is not a layer ('ayre worker posture' shows them)",
		                    option->name, text);
	*place |= (uint32_t)layer;
	return EXIT_DONE;
}

static int store(const struct command_option *option, char *text, void *values)
{
	void *place = (char *)values + option->offset;
	struct duration_option *duration = place;
	struct count_option *count = place;
	struct list_option *list = place;
	struct size_option *size = place;

	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)place = true;
		return EXIT_DONE;
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_DIRECTORY:
		*(const char **)place = text;
		return EXIT_DONE;
	case OPTION_CHOICE:
		return store_choice(option, text, place);
	case OPTION_LAYERS:
		return store_layer(option, text, place);
	case OPTION_PATHS:
		if (list->count == LIST_MAX)
			return output_usage("--%s: given more than %d times", option->name,
			                    LIST_MAX);
		list->texts[list->count++] = text;
		return EXIT_DONE;
	case OPTION_SIZE:
		size->given = true;
		if (parse_size(text, &size->bytes))
			return EXIT_DONE;
		return output_usage("--%s: '%s' is not a size (such as 4096, 64K, 1M, 2G)",
		                    option->name, text);
	case OPTION_DURATION:
		duration->given = true;
		if (parse_duration(text, &duration->ns))
			return EXIT_DONE;
		return output_usage("--%s: '%s' is not a duration (such as 250ms, 2s, 1m)",
		                    option->name, text);
	case OPTION_COUNT:
		count->given = true;
		if (parse_count(text, &count->count))
			return EXIT_DONE;
		return output_usage("--%s: '%s' is not a number", option->name, text);
	case OPTION_MODE:
		if (parse_mode(text, place))
			return EXIT_DONE;
		return output_usage(
			"--%s: '%s' is not a mode (octal, such as 0644; read and write bits only)",
			option->name, text);
	}
	return EXIT_USAGE;
}

static void fill_table(const struct command *command, struct option *table)
{
	for (size_t i = 0; i < command->option_count; i++) {
		const struct command_option *option = &command->options[i];

		table[i] = (struct option){
			.name = option->name,
			.has_arg = option->kind == OPTION_FLAG ? no_argument : required_argument,
			.val = FIRST_OPTION + (int)i,
		};
	}
	table[command->option_count] = (struct option){.name = "help", .val = 'h'};
	table[command->option_count + 1] = (struct option){0};
}

/* getopt_long(3) has said '?' or ':'; the word it means is the one before optind. */
static int report_bad_option(const struct command *command, int character, char **arguments)
{
	const char *word = arguments[optind - 1];

	if (character == ':')
		return output_usage("%s: it takes a value", word);
	if (optopt >= FIRST_OPTION)
		return output_usage("--%s: it takes no value",
		                    command->options[optopt - FIRST_OPTION].name);
	if (optopt)
		return output_usage("-%c: unknown option; see 'ayre %s%s%s --help'", optopt,
		                    command->noun ? command->noun : "", command->noun ? " " : "",
		                    command->verb);
	return output_usage("%s: unknown option; see 'ayre %s%s%s --help'", word,
	                    command->noun ? command->noun : "", command->noun ? " " : "",
	                    command->verb);
}

static int parse_words(const struct command *command, int argument_count, char **arguments,
                       struct parsed_options *parsed)
{
	/* '+': stop at the first operand; ':': tell a missing value from an unknown option. */
	const char *letters = command->operands_end_options ? "+:h" : ":h";
	struct option table[OPTIONS_MAX + 2];
	int character;

	fill_table(command, table);
	optind = 1;
	opterr = 0;
	while ((character = getopt_long(argument_count, arguments, letters, table, NULL)) != -1) {
		int result = EXIT_DONE;

		if (character == 'h')
			parsed->help = true;
		else if (character == '?' || character == ':')
			result = report_bad_option(command, character, arguments);
		else
			result = store(&command->options[character - FIRST_OPTION], optarg,
			               parsed->values);
		if (result != EXIT_DONE)
			return result;
	}
	parsed->operand_count = argument_count - optind;
	parsed->operands = arguments + optind;
	if (parsed->help)
		return EXIT_DONE;
	if (parsed->operand_count < command->least_operands)
		return output_missing(command->synopsis);
	if (command->most_operands >= 0 && parsed->operand_count > command->most_operands)
		return output_usage("'%s' is one word too many",
		                    arguments[optind + command->most_operands]);
	return EXIT_DONE;
}

int options_parse(const struct command *command, int argument_count, char **arguments,
                  struct parsed_options *ret_parsed)
{
	int result;

	memset(ret_parsed, 0, sizeof(*ret_parsed));
	ret_parsed->values = calloc(1, command->values_bytes ? command->values_bytes : 1);
	if (!ret_parsed->values)
		return output_fail("%s", strerror(ENOMEM));
	result = parse_words(command, argument_count, arguments, ret_parsed);
	if (result != EXIT_DONE)
		free(ret_parsed->values);
	return result;
}
