/*
 * The size of a picture on standard input, decoded where a damaged one can do no harm.
 *
 *   png_size PNG_MODULE.so
 *
 * Compiled by
 *
 *   cc -o png_size png_size.c $(pkg-config --cflags --libs ayre)
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>

#include <ayre.h>

static char png[16 << 20];

static struct {
	uint32_t width, height;
	char pixels[64 << 20];
} picture;

int main(int count, char **arguments)
{
	struct ayre_worker_end end = {.size = sizeof(end)};
	size_t length = fread(png, 1, sizeof(png), stdin);
	struct ayre_worker *worker;
	struct ayre_error error;
	char text[640];
	ssize_t bytes;

	if (ayre_worker_open(NULL, count > 1 ? arguments[1] : "", &worker, &error) < 0)
		errx(1, "%s", ayre_error_text(&error, text, sizeof(text)));
	bytes = ayre_worker_call(worker, "decode", png, length, &picture, sizeof(picture));
	/* A copy by now; what it says of itself is not believed before it has been compared. */
	if (bytes >= 8 && (uint64_t)bytes == 8 + (uint64_t)picture.width * picture.height * 4)
		printf("%u x %u\n", picture.width, picture.height);
	else if (ayre_worker_last_end(worker, &end) == 0 && end.kind != AYRE_WORKER_RUNNING)
		printf("not decoded: %s\n", ayre_worker_end_text(&end, text, sizeof(text)));
	else
		printf("no picture\n");
	ayre_worker_close(worker);
	return 0;
}
