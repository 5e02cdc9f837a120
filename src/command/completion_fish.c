/*
 * The completion of fish: a line for each option and operand, with what it is for and where it belongs.
 */
#include "command/completion.h"

#include <string.h>

#include "command/output.h"

static const char reader[] =
#include "command/completion.fish.inc"
	;

/* In single quotes, fish knows a backslash before these two. */
static void print_text(const char *text)
{
	output_print("'");
	for (; *text; text++)
		output_print("%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
	output_print("'\n");
}

static void print_word(const char *condition, const char *noun, const char *word, const char *text)
{
	output_print("complete -c ayre -n '__ayre_after%s%s%s' -a %s -d ", condition,
	             noun ? " " : "", noun ? noun : "", word);
	print_text(text);
}

/* The words that a command begins with; after `help`, they are the same. */
static void print_verbs(const char *condition)
{
	char text[COMPLETION_WORDS_MAX];

	for (const struct command *const *row = commands; *row; row++) {
		if (completion_first_of_noun(row))
			print_word(condition, NULL, (*row)->noun,
			           completion_noun_summary((*row)->noun, text, sizeof(text)));
		print_word(condition, (*row)->noun, (*row)->verb, (*row)->summary);
	}
}

/* __ayre_operand needs to know which options have a word of their own behind them. */
static void print_operand_condition(const struct command *command, size_t index, bool endless)
{
	char name[64];

	output_print("complete -c ayre -n \"__ayre_operand %zu%s '%s'", index, endless ? "-" : "",
	             completion_name(command, name));
	for (size_t i = 0; i < command->option_count; i++)
		if (completion_takes_value(&command->options[i]))
			output_print(" %s", command->options[i].name);
	output_print("\"");
}

static void print_option(const struct command *command, const struct command_option *option)
{
	char text[COMPLETION_WORDS_MAX], name[64];

	if (command->operands_end_options)
		print_operand_condition(command, 0, false);
	else
		output_print("complete -c ayre -n '__ayre_in %s'", completion_name(command, name));
	output_print(" -l %s", option->name);
	switch (option->kind) {
	case OPTION_FLAG:
		break;
	case OPTION_FILE:
	case OPTION_PATHS:
		output_print(" -r -F");
		break;
	case OPTION_DIRECTORY:
		output_print(" -x -a '(__fish_complete_directories)'");
		break;
	default:
		output_print(" -x");
		if (completion_option_words(option, ' ', text, sizeof(text)))
			output_print(" -a '%s'", text);
	}
	output_print(" -d ");
	print_text(option->help);
}

static void print_operand(const struct command *command, size_t index, bool endless)
{
	char text[COMPLETION_WORDS_MAX];

	if (command->operand_kinds[index] == OPERAND_TEXT)
		return;
	print_operand_condition(command, index, endless);
	switch (command->operand_kinds[index]) {
	case OPERAND_FILE:
		output_print(" -F\n");
		break;
	case OPERAND_SEGMENT:
		output_print(" -a '(__ayre_segments)'\n");
		break;
	case OPERAND_TOPIC:
		output_print(" -a '(__ayre_topics)'\n");
		break;
	case OPERAND_WORD:
		completion_operand_words(command, ' ', text, sizeof(text));
		output_print(" -a '%s'\n", text);
		break;
	default:
		break;
	}
}

/* A stage is a line of its own, which begins behind our options. */
static void print_pipeline(const struct command *command)
{
	char name[64];

	output_print("complete -c ayre -n '__ayre_in %s' -a \"(__ayre_stage '%s'",
	             completion_name(command, name), name);
	for (size_t i = 0; i < command->option_count; i++)
		if (completion_takes_value(&command->options[i]))
			output_print(" %s", command->options[i].name);
	output_print(")\"\n");
}

static void print_command(const struct command *command)
{
	static const struct command_option help = {"help", OPTION_FLAG, NULL, 0, "this text"};
	bool endless;
	size_t operand_count = completion_operand_count(command, &endless);

	for (size_t i = 0; i < command->option_count; i++)
		print_option(command, &command->options[i]);
	print_option(command, &help);
	if (command->operand_kinds[0] == OPERAND_PIPELINE) {
		print_pipeline(command);
		return;
	}
	for (size_t i = 0; i < operand_count; i++)
		print_operand(command, i, endless && i + 1 == operand_count);
}

int completion_fish(void)
{
	output_print("%s\n", reader);
	print_verbs("");
	print_verbs(" help");
	output_print("complete -c ayre -n __ayre_after -a help -d 'More about one of them'\n"
	             "complete -c ayre -n __ayre_after -l help -d 'What there is'\n"
	             "complete -c ayre -n __ayre_after -l version -d 'Of the library that runs'\n");
	for (const struct command *const *row = commands; *row; row++) {
		if (completion_first_of_noun(row))
			output_print("complete -c ayre -n '__ayre_after %s' -l help -d 'These'\n",
			             (*row)->noun);
		print_command(*row);
	}
	return output_flush();
}
