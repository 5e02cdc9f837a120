/*
 * The completion of bash: a script that reads the line, and two functions that say what there is and what it takes.
 */
#include "command/completion.h"

#include <stdio.h>
#include <string.h>

#include "command/output.h"

static const char reader[] =
#include "command/completion.bash.inc"
	;

/* What an operand is, as the script knows it. */
static const char *operand_kind(const struct command *command, size_t index, char *text,
                                size_t bytes)
{
	switch (command->operand_kinds[index]) {
	case OPERAND_TEXT:
		return "";
	case OPERAND_FILE:
		return "<file>";
	case OPERAND_SEGMENT:
		return "<segment>";
	case OPERAND_TOPIC:
		return "<topic>";
	case OPERAND_PIPELINE:
		return "<program>";
	case OPERAND_WORD:
		completion_operand_words(command, '|', text, bytes);
		return text;
	}
	return "";
}

static const char *option_kind(const struct command_option *option, char *text, size_t bytes)
{
	switch (option->kind) {
	case OPTION_FILE:
	case OPTION_PATHS:
		return "<file>";
	case OPTION_DIRECTORY:
		return "<directory>";
	default:
		completion_option_words(option, '|', text, bytes);
		return text;
	}
}

static void print_command(const struct command *command)
{
	char text[COMPLETION_WORDS_MAX], name[64];
	bool endless;
	size_t operand_count = completion_operand_count(command, &endless);

	output_print("\t'%s')\n\t\toptions=(", completion_name(command, name));
	for (size_t i = 0; i < command->option_count; i++) {
		const struct command_option *option = &command->options[i];

		if (completion_takes_value(option))
			output_print("'--%s=%s' ", option->name,
			             option_kind(option, text, sizeof(text)));
		else
			output_print("--%s ", option->name);
	}
	output_print("--help)\n\t\toperands=(");
	for (size_t i = 0; i < operand_count; i++)
		output_print("%s'%s'", i ? " " : "", operand_kind(command, i, text, sizeof(text)));
	output_print("%s)\n\t\t;;\n", endless ? " ..." : "");
}

static void print_verbs(const char *noun)
{
	output_print("\t'%s') printf '%%s\\n'", noun ? noun : "");
	for (const struct command *const *row = commands; *row; row++) {
		if (noun && (*row)->noun && strcmp((*row)->noun, noun) == 0)
			output_print(" %s", (*row)->verb);
		else if (!noun && (!(*row)->noun || completion_first_of_noun(row)))
			output_print(" %s", (*row)->noun ? (*row)->noun : (*row)->verb);
	}
	output_print(" ;;\n");
}

int completion_bash(void)
{
	output_print("%s\n", reader);
	completion_print_verbs(print_verbs);
	output_print("\tesac\n}\n\n# What a command takes.\n_ayre_command()\n{\n\tcase $1 in\n");
	for (const struct command *const *row = commands; *row; row++)
		print_command(*row);
	return output_print("\t*) return 1 ;;\n\tesac\n}\n");
}
