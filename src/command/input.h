/*
 * Standard input, for commands that need all of it at once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
	char *bytes; /* to be freed */
	size_t length;
};

/* Reads up to most bytes and one more, which tells that there was too much. Returns an exit code. */
int input_read(uint64_t most, struct input *ret_input);
