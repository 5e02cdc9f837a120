/*
 * A publisher, and the bytes of two cursors: one page and a half, and what it is changed to while it is
 * looked at. The last byte says how.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ID        UINT64_C(0x0123456789abcdef)
#define FILE_NAME "sub.0123456789abcdef"

#define CURSOR_BYTES 6000

const size_t fuzz_most_bytes = 2 * CURSOR_BYTES + 1;

static void draw_cursor(uint8_t *data, unsigned int number)
{
	static _Alignas(8) uint8_t image[CURSOR_BYTES];
	struct ayrei_cursor_layout *cursor = (void *)image;

	memset(image, 0, sizeof(image));
	fuzz_mend_cursor(cursor, ID);
	*ayrei_cursor_ticket(cursor, ID) = number;
	cursor->entry_count = number % 8;
	for (unsigned int i = 0; i < 8; i++)
		cursor->entries[i] = (struct ayrei_cursor_entry){
			.lane = i + 1, .position = FUZZ_RING + number * 512};
	memcpy(data, image, sizeof(image));
}

size_t fuzz_begin_with(unsigned int number, uint8_t *data)
{
	if (number >= 32)
		return 0;
	draw_cursor(data, number);
	draw_cursor(data + CURSOR_BYTES, number + 1);
	data[2 * CURSOR_BYTES] = (uint8_t)(number * 37);
	return fuzz_most_bytes;
}

static struct ayre_publisher *open_once(uint64_t *ret_id)
{
	static struct ayre_publisher *publisher;
	static struct ayre_publisher_info info = {.size = sizeof(info)};

	if (!publisher) {
		check(ayre_publisher_open(NULL, fuzz_topic(), &publisher, NULL) == 0);
		check(ayre_publisher_get_info(publisher, &info) == 0);
	}
	*ret_id = info.id;
	return publisher;
}

/* One entry is about the publisher's lane. */
static void aim(uint8_t *image, uint64_t id, unsigned int how)
{
	struct ayrei_cursor_layout *cursor = (void *)image;

	fuzz_mend_cursor(cursor, ID);
	cursor->entries[how % 4].lane = id;
}

static void send(struct ayre_publisher *publisher, unsigned int count, bool alone)
{
	char data[FUZZ_RING / 4] = {0};

	for (unsigned int i = 0; i < count; i++) {
		int result = ayre_publisher_try_send(publisher, data, i * 61 % sizeof(data));

		check(result == 0 || (result == -EAGAIN && !alone));
	}
}

static void announce(unsigned int number)
{
	uint64_t word = number;
	int fd = open(fuzz_path("join"), O_WRONLY | O_CLOEXEC);

	check(pwrite(fd, &word, sizeof(word), 0) == sizeof(word));
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static _Alignas(8) uint8_t images[2][CURSOR_BYTES];
	static unsigned int number;
	unsigned int how = bytes > 2 * CURSOR_BYTES ? data[2 * CURSOR_BYTES] : 16;
	uint64_t id;
	struct ayre_publisher *publisher = open_once(&id);
	int fd, bell = -1;

	memset(images, 0, sizeof(images));
	memcpy(images, data, bytes < sizeof(images) ? bytes : sizeof(images));
	if (how & 16) {
		aim(images[0], id, how);
		aim(images[1], id, how);
	}
	fd = fuzz_put_file(FILE_NAME, images[0], how & 8 ? CURSOR_BYTES : 4096, true);
	if (how & 32)
		bell = fuzz_put_bell(FILE_NAME ".bell");
	announce(++number);
	send(publisher, 20, false);
	check(pwrite(fd, images[1], CURSOR_BYTES, 0) == CURSOR_BYTES);
	send(publisher, 20, false);
	/* It dies, and nobody is left to be waited for. */
	close(fd);
	if (bell >= 0)
		close(bell);
	send(publisher, 20, true);
	unlink(fuzz_path(FILE_NAME));
	unlink(fuzz_path(FILE_NAME ".bell"));
	return 0;
}
