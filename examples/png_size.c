/*
 * The size of a picture on standard input, decoded where a damaged one can do no harm.
 *
 *   png_size PNG_MODULE.so
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <ayre.h>

static char png[16 << 20], pixels[64 << 20];

int main(int argument_count, char **arguments)
{
	struct ayre_worker_end end = {.size = sizeof(end)};
	size_t length = fread(png, 1, sizeof(png), stdin);
	struct ayre_worker *worker;
	struct ayre_error error;
	uint32_t size[2];
	char text[640];
	ssize_t bytes;

	if (argument_count != 2 || ayre_worker_open(NULL, arguments[1], &worker, &error) < 0) {
		puts(argument_count != 2 ? "usage: png_size PNG_MODULE.so"
		                         : ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	bytes = ayre_worker_call(worker, "decode", png, length, pixels, sizeof(pixels));
	/* What it says of itself is not believed before it has been compared. */
	memcpy(size, pixels, sizeof(size));
	if (bytes >= 8 && (uint64_t)bytes == 8 + (uint64_t)size[0] * size[1] * 4)
		printf("%u x %u\n", size[0], size[1]);
	else if (ayre_worker_last_end(worker, &end) == 0 && end.kind != AYRE_WORKER_RUNNING)
		printf("not decoded: %s\n", ayre_worker_end_text(&end, text, sizeof(text)));
	else
		printf("no picture\n");
	ayre_worker_close(worker);
	return 0;
}
