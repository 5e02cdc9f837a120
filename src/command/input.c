/*
 * Standard input, read to its end.
 */
#include "command/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"

int input_read(uint64_t most, struct input *ret_input)
{
	size_t room = 64 * 1024, length = 0;
	char *bytes = malloc(room);

	while (bytes && length <= most) {
		ssize_t got;

		if (length == room) {
			char *larger = realloc(bytes, 2 * room);

			if (!larger)
				free(bytes);
			bytes = larger;
			room *= 2;
			continue;
		}
		got = read(STDIN_FILENO, bytes + length, room - length);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			int code = errno;

			free(bytes);
			return output_fail("standard input: %s", strerror(code));
		}
		if (got == 0)
			break;
		length += (size_t)got;
	}
	if (!bytes)
		return output_fail("standard input: %s", strerror(ENOMEM));
	*ret_input = (struct input){.bytes = bytes, .length = length};
	return EXIT_DONE;
}
