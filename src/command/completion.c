/*
 * ayre completion: what a shell needs to complete the words of this command; and what the three shells share.
 */
#include "command/completion.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <ayre/worker.h>

#include "command/output.h"

/* --- from the tables --- */

static void append(char *text, size_t bytes, char separator, const char *word, size_t length)
{
	size_t used = strlen(text);

	assert(used + length + 2 <= bytes);
	if (used)
		text[used++] = separator;
	memcpy(text + used, word, length);
	text[used + length] = '\0';
}

bool completion_option_words(const struct command_option *option, char separator, char *text,
                             size_t bytes)
{
	const char *word = option->argument;
	const char *layer;

	text[0] = '\0';
	for (uint32_t i = 0; option->kind == OPTION_LAYERS && i < 32; i++) {
		layer = ayre_layer_name(UINT32_C(1) << i);
		if (layer)
			append(text, bytes, separator, layer, strlen(layer));
	}
	while (word && *word) {
		size_t length = strcspn(word, "|");

		if (islower((unsigned char)*word))
			append(text, bytes, separator, word, length);
		word += length + (word[length] == '|');
	}
	return text[0] != '\0';
}

bool completion_operand_words(const struct command *command, char separator, char *text,
                              size_t bytes)
{
	text[0] = '\0';
	for (size_t i = 0; command->operand_word && command->operand_word(i); i++) {
		const char *word = command->operand_word(i);

		append(text, bytes, separator, word, strlen(word));
	}
	return text[0] != '\0';
}

bool completion_takes_value(const struct command_option *option)
{
	return option->kind != OPTION_FLAG;
}

const char *completion_name(const struct command *command, char text[64])
{
	snprintf(text, 64, "%s%s%s", command->noun ? command->noun : "", command->noun ? " " : "",
	         command->verb);
	return text;
}

bool completion_first_of_noun(const struct command *const *row)
{
	return (*row)->noun &&
	       (row == commands || !row[-1]->noun || strcmp(row[-1]->noun, (*row)->noun) != 0);
}

void completion_print_verbs(void (*print)(const char *noun))
{
	output_print("# The verbs of a noun; what a command begins with.\n"
	             "_ayre_verbs()\n{\n\tcase ${1-} in\n");
	print(NULL);
	for (const struct command *const *row = commands; *row; row++)
		if (completion_first_of_noun(row))
			print((*row)->noun);
}

size_t completion_operand_count(const struct command *command, bool *ret_endless)
{
	*ret_endless = command->most_operands < 0;
	if (*ret_endless)
		return OPERAND_KINDS;
	return (size_t)command->most_operands;
}

const char *completion_noun_summary(const char *noun, char *text, size_t bytes)
{
	text[0] = '\0';
	for (const struct command *const *row = commands; *row; row++)
		if ((*row)->noun && strcmp((*row)->noun, noun) == 0)
			append(text, bytes, ' ', (*row)->verb, strlen((*row)->verb));
	return text;
}

/* --- the command --- */

static const struct {
	const char *shell;
	int (*print)(void);
} shells[] = {
	{"bash", completion_bash},
	{"fish", completion_fish},
	{"zsh", completion_zsh},
};

static const char *shell_word(size_t index)
{
	return index < COUNT_OF(shells) ? shells[index].shell : NULL;
}

static int run_completion(void *values, int operand_count, char **operands)
{
	(void)values;
	(void)operand_count;
	for (size_t i = 0; i < COUNT_OF(shells); i++)
		if (strcmp(operands[0], shells[i].shell) == 0)
			return shells[i].print();
	return output_usage("'%s' is not one of bash, fish, zsh", operands[0]);
}

const struct command completion_command = {
	.verb = "completion",
	.summary = "Print what a shell needs to complete the words of this command",
	.synopsis = "bash|fish|zsh",
	.examples = "  source <(ayre completion bash)\n"
		    "  ayre completion fish > ~/.config/fish/completions/ayre.fish\n",
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_WORD},
	.operand_word = shell_word,
	.run = run_completion,
};
