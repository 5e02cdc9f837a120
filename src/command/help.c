/*
 * The help, made from the tables of the commands.
 */
#include "command/help.h"

#include <string.h>

static void print_row(FILE *stream, const struct command *command)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", command->noun ? command->noun : "",
	         command->noun ? " " : "", command->verb);
	fprintf(stream, "  ayre %-16s %s\n", name, command->summary);
}

void help_all(FILE *stream)
{
	fputs("ayre: what two processes on one Linux machine need to talk\n\nusage:\n", stream);
	for (const struct command *const *row = commands; *row; row++)
		print_row(stream, *row);
	fputs("  ayre help [COMMAND]   more about one of them\n"
	      "  ayre --version\n",
	      stream);
}

void help_noun(FILE *stream, const char *noun)
{
	fputs("usage:\n", stream);
	for (const struct command *const *row = commands; *row; row++)
		if ((*row)->noun && strcmp((*row)->noun, noun) == 0)
			print_row(stream, *row);
	fprintf(stream, "  ayre help %s VERB   more about one of them\n", noun);
}

/* As wide as the longest, within bounds: what is longer has a line of its own. */
#define OPTION_COLUMNS_LEAST 18
#define OPTION_COLUMNS_MOST  24

static int option_columns(const struct command *command)
{
	size_t columns = OPTION_COLUMNS_LEAST;

	for (size_t i = 0; i < command->option_count; i++) {
		const struct command_option *option = &command->options[i];
		size_t length = strlen("--") + strlen(option->name) +
		                (option->argument ? 1 + strlen(option->argument) : 0);

		if (length > columns && length <= OPTION_COLUMNS_MOST)
			columns = length;
	}
	return (int)columns;
}

static void print_option(FILE *stream, const struct command_option *option, int columns)
{
	int length = fprintf(stream, "  --%s%s%s", option->name, option->argument ? " " : "",
	                     option->argument ? option->argument : "");

	columns += (int)strlen("  ");
	if (length > columns) {
		fputc('\n', stream);
		length = 0;
	}
	fprintf(stream, "%*s %s\n", columns - length, "", option->help);
}

void help_command(FILE *stream, const struct command *command)
{
	int columns = option_columns(command);

	fprintf(stream, "usage: ayre %s%s%s %s\n\n%s.\n\nexamples:\n%s",
	        command->noun ? command->noun : "", command->noun ? " " : "", command->verb,
	        command->synopsis, command->summary, command->examples);
	fputs("\noptions:\n", stream);
	for (size_t i = 0; i < command->option_count; i++)
		print_option(stream, &command->options[i], columns);
	fprintf(stream, "  %-*s this text\n", columns, "--help");
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

#define WORD_MAX 32

/* Letters to change, add or drop to make one word of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], b_length = strlen(b);

	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_length; j++) {
			size_t above = row[j + 1];

			row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[b_length];
}

const char *help_nearest(const char *noun, const char *word)
{
	const char *nearest = NULL;
	size_t least = 3; /* further away, it is another word */

	if (strlen(word) > WORD_MAX)
		return NULL;
	for (const struct command *const *row = commands; *row; row++) {
		const char *candidate = (*row)->verb;
		size_t far;

		if (!noun && (*row)->noun)
			candidate = (*row)->noun;
		else if (noun && (!(*row)->noun || strcmp((*row)->noun, noun) != 0))
			continue;
		far = distance(word, candidate);
		/* Of a word of which no letter stays, nobody thought. */
		if (far < least && far < strlen(candidate)) {
			least = far;
			nearest = candidate;
		}
	}
	return nearest;
}
