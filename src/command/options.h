/*
 * The words of a command line, parsed by a command's table.
 */
#pragma once

#include "command/command.h"

struct parsed_options {
	bool help;
	void *values; /* to be freed */
	int operand_count;
	char **operands; /* inside the argument vector */
};

/* arguments[0] is the verb. Prints what is wrong; returns EXIT_DONE or EXIT_USAGE. */
int options_parse(const struct command *command, int argument_count, char **arguments,
                  struct parsed_options *ret_parsed);

/* "4096", "64K", "1M", "2G": powers of 1024. false: not a size, or beyond 2^63 - 1. */
bool parse_size(const char *text, uint64_t *ret_bytes);

/* "17". false: not a number, or beyond 2^63 - 1. */
bool parse_count(const char *text, uint64_t *ret_count);

/* "250ms", "2s", "1m"; also "us" and "h". false: not a duration, or beyond 2^63 - 1 nanoseconds. */
bool parse_duration(const char *text, int64_t *ret_ns);
