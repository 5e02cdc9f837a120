/*
 * The completions of the shells, made from the tables of the commands. Each shell has a part that is always the same,
 * and one that says what every command takes.
 */
#pragma once

#include "command/command.h"

/* Each prints a whole script. EXIT_DONE, or EXIT_FAILED and the reason is printed. */
int completion_bash(void);
int completion_fish(void);
int completion_zsh(void);

/* What stands for itself among what a value or an operand can be, with a separator between; true if there is any. */
bool completion_option_words(const struct command_option *option, char separator, char *text,
                             size_t bytes);
bool completion_operand_words(const struct command *command, char separator, char *text,
                              size_t bytes);
/* More than any command has. */
#define COMPLETION_WORDS_MAX 256

bool completion_takes_value(const struct command_option *option);

/* "segment create"; a verb alone is its own name. */
const char *completion_name(const struct command *command, char text[64]);
/* What a noun is for: its verbs. */
const char *completion_noun_summary(const char *noun, char *text, size_t bytes);
/* Is it the first row with this noun? */
bool completion_first_of_noun(const struct command *const *row);
/* The beginning of a shell's function of what can come next: a case for no noun (NULL), and one for each. */
void completion_print_verbs(void (*print)(const char *noun));

/* For how many operands it is said what they are. *ret_endless: the last of them stands for all others, too. */
size_t completion_operand_count(const struct command *command, bool *ret_endless);
