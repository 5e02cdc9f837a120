/*
 * The help, made from the tables of the commands.
 */
#pragma once

#include <stdio.h>

#include "command/command.h"

void help_all(FILE *stream);
void help_noun(FILE *stream, const char *noun);
void help_command(FILE *stream, const struct command *command);

/* The verb (with noun NULL: the first word of a command) most like a word; NULL: none is close. */
const char *help_nearest(const char *noun, const char *word);
