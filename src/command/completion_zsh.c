/*
 * The completion of zsh: each command is a call of _arguments, with what the options are for.
 */
#include "command/completion.h"

#include <stdio.h>
#include <string.h>

#include "command/output.h"

static const char reader[] =
#include "command/completion.zsh.inc"
	;

/* In _arguments, these have a meaning. */
#define SPECIAL "[]:\\"

/* Inside single quotes, with a backslash before each of these characters. */
static void print_text(const char *text, const char *escaped)
{
	for (; *text; text++) {
		if (*text == '\'')
			output_print("'\\''");
		else
			output_print("%s%c", strchr(escaped, *text) ? "\\" : "", *text);
	}
}

static void print_option_action(const struct command_option *option)
{
	char words[COMPLETION_WORDS_MAX];

	switch (option->kind) {
	case OPTION_FILE:
	case OPTION_PATHS:
		output_print("_files");
		break;
	case OPTION_DIRECTORY:
		output_print("_directories");
		break;
	default:
		if (completion_option_words(option, ' ', words, sizeof(words)))
			output_print("(%s)", words);
		else
			output_print(" ");
	}
}

static void print_option(const struct command_option *option)
{
	bool repeats = option->kind == OPTION_PATHS || option->kind == OPTION_LAYERS;
	bool has_value = completion_takes_value(option);

	output_print(" \\\n\t\t\t'%s--%s%s[", repeats ? "*" : "", option->name,
	             has_value ? "=" : "");
	print_text(option->help, SPECIAL);
	output_print("]");
	if (has_value) {
		output_print(":%s:", option->argument);
		print_option_action(option);
	}
	output_print("'");
}

static void print_operand_action(const struct command *command, size_t index)
{
	char words[COMPLETION_WORDS_MAX];

	switch (command->operand_kinds[index]) {
	case OPERAND_TEXT:
		output_print("text: ");
		break;
	case OPERAND_FILE:
		output_print("file:_files");
		break;
	case OPERAND_SEGMENT:
		output_print("segment:_ayre_segment");
		break;
	case OPERAND_TOPIC:
		output_print("topic:_ayre_topic");
		break;
	case OPERAND_PIPELINE:
		output_print("program:_ayre_pipeline");
		break;
	case OPERAND_WORD:
		completion_operand_words(command, ' ', words, sizeof(words));
		output_print("name:(%s)", words);
		break;
	}
}

static void print_operand(const struct command *command, const char *which, size_t index)
{
	output_print(" \\\n\t\t\t'%s:", which);
	print_operand_action(command, index);
	output_print("'");
}

static void print_operands(const struct command *command)
{
	bool endless;
	size_t count = completion_operand_count(command, &endless);

	/* All of its words are told to the action. */
	if (command->operand_kinds[0] == OPERAND_PIPELINE) {
		print_operand(command, "*::", 0);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		char number[32];

		snprintf(number, sizeof(number), "%zu", i + 1);
		print_operand(command, number, i);
	}
	if (endless)
		print_operand(command, "*", count - 1);
}

static void print_command(const struct command *command)
{
	char name[64];

	/* -S: nothing after "--" is an option; -A: nor after the first operand. */
	output_print("\t'%s')\n\t\t_arguments -S%s", completion_name(command, name),
	             command->operands_end_options ? " -A '-*'" : "");
	for (size_t i = 0; i < command->option_count; i++)
		print_option(&command->options[i]);
	output_print(" \\\n\t\t\t'(- *)'{-h,--help}'[this text]'");
	print_operands(command);
	output_print("\n\t\t;;\n");
}

static void print_verb(const char *verb, const char *summary)
{
	output_print(" \\\n\t\t\t'%s:", verb);
	print_text(summary, "\\");
	output_print("'");
}

static void print_verbs(const char *noun)
{
	char text[COMPLETION_WORDS_MAX];

	output_print("\t'%s')\n\t\tverbs=(", noun ? noun : "");
	for (const struct command *const *row = commands; *row; row++) {
		if (noun && (*row)->noun && strcmp((*row)->noun, noun) == 0)
			print_verb((*row)->verb, (*row)->summary);
		else if (!noun && !(*row)->noun)
			print_verb((*row)->verb, (*row)->summary);
		else if (!noun && completion_first_of_noun(row))
			print_verb((*row)->noun,
			           completion_noun_summary((*row)->noun, text, sizeof(text)));
	}
	output_print(")\n\t\t;;\n");
}

int completion_zsh(void)
{
	output_print("%s\n", reader);
	completion_print_verbs(print_verbs);
	output_print("\t*) return 1 ;;\n\tesac\n}\n\n"
	             "# What a command takes.\n_ayre_command()\n{\n\tcase $1 in\n");
	for (const struct command *const *row = commands; *row; row++)
		print_command(*row);
	/* Sourced, or loaded at the first completion. */
	return output_print("\tesac\n}\n\n"
	                    "if [[ $funcstack[1] == _ayre ]]; then\n\t_ayre "
	                    "\"$@\"\nelse\n\tcompdef _ayre ayre\nfi\n");
}
