/*
 * A subscriber, and the bytes of a lane: its header page and its ring.
 *
 * First the functions that find one's way in a ring, over a map of the bytes; then the public calls,
 * with the bytes as a file in a topic. The last byte says how.
 */
#include "fuzz.h"

#include <errno.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/map.h"
#include "topic/lane.h"

#define ID        UINT64_C(0x0123456789abcdef)
#define FILE_NAME "pub.0123456789abcdef"

const size_t fuzz_most_bytes = LANE_BYTES + 1;

size_t fuzz_begin_with(unsigned int number, uint8_t *data)
{
	if (number >= 32)
		return 0;
	fuzz_draw_lane(data, number);
	data[LANE_BYTES] = (uint8_t)(number * 37);
	return LANE_BYTES + 1;
}

/* --- inside --- */

static char *map_once(void)
{
	static void *base;
	int fd;

	if (base)
		return base;
	fd = ayrei_memory_file("fuzz-lane");
	check(fd >= 0 && ayrei_file_allocate(fd, LANE_BYTES) == 0);
	check(ayrei_map_mirrored(fd, sizeof(struct ayrei_lane_layout), FUZZ_RING, true, &base) ==
	      0);
	ayrei_file_close(fd);
	return base;
}

static void check_place(const struct ayrei_reader *reader)
{
	check(reader->position % 8 == 0);
	check(reader->position <= (uint64_t)INT64_MAX + 4 * FUZZ_RING);
	(void)ayrei_reader_header(reader);
}

static void find_ways(const uint8_t *image)
{
	char *base = map_once();
	struct ayrei_reader reader = {.ring = base + sizeof(struct ayrei_lane_layout),
	                              .mask = FUZZ_RING - 1,
	                              .layout = (const void *)base};
	uint64_t missed;

	memcpy(base, image, LANE_BYTES);
	if (ayrei_reader_seek_oldest(&reader) == 0)
		check_place(&reader);
	for (unsigned int i = 0; i < 4 && ayrei_reader_catch_up(&reader, &missed) == 0; i++)
		check_place(&reader);
	if (ayrei_reader_seek_next(&reader) == 0)
		check_place(&reader);
	if (ayrei_reader_seek_sequence(&reader, image[0]) == 0)
		check_place(&reader);
	if (ayrei_reader_seek_time(&reader, INT64_MAX / 2) == 0)
		check_place(&reader);
}

/* --- outside --- */

static bool goes_on(ssize_t result)
{
	check(result >= 0 || result == -EAGAIN || result == -EMSGSIZE || result == -EPROTO ||
	      result == -EPIPE || result == -EOWNERDEAD);
	return result >= 0;
}

static bool receive(struct ayre_subscriber *subscriber)
{
	struct ayre_message message;
	char *buffer = malloc(FUZZ_RING / 4);
	ssize_t result = ayre_subscriber_try_receive(subscriber, buffer, FUZZ_RING / 4, &message);

	if (result >= 0)
		check((size_t)result == message.bytes && message.bytes <= FUZZ_RING / 4);
	free(buffer);
	return goes_on(result);
}

static bool peek(struct ayre_subscriber *subscriber)
{
	struct ayre_message messages[8];
	ssize_t count = ayre_subscriber_try_peek_batch(subscriber, messages, 8);

	for (ssize_t i = 0; i < count; i++) {
		check(messages[i].bytes <= FUZZ_RING / 4);
		for (size_t byte = 0; byte < messages[i].bytes; byte++)
			(void)((const volatile char *)messages[i].data)[byte];
	}
	if (count > 0)
		check(ayre_subscriber_release(subscriber) == 0);
	return goes_on(count);
}

static void subscribe(uint8_t *image, unsigned int how)
{
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = how & 4 ? AYRE_SUBSCRIBER_UNTIL_CLOSED : 0,
		.from = how % 4,
		.from_value = how & 8 ? 3 : INT64_MAX / 2,
	};
	struct ayre_subscriber *subscriber;
	int fd, bell = -1;

	if (how & 16)
		fuzz_mend_lane((struct ayrei_lane_layout *)(void *)image, ID);
	fd = fuzz_put_file(FILE_NAME, image, LANE_BYTES, how & 32);
	if (how & 64)
		bell = fuzz_put_bell(FILE_NAME ".bell");
	check(ayre_subscriber_open(&options, fuzz_topic(), &subscriber, NULL) == 0);
	/* A ring is full of messages of no bytes at most. */
	for (unsigned int i = 0; how & 128 ? peek(subscriber) : receive(subscriber); i++)
		check(i <= FUZZ_RING / 8);
	ayre_subscriber_close(subscriber);
	close(fd);
	if (bell >= 0)
		close(bell);
	fuzz_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static _Alignas(struct ayrei_lane_layout) uint8_t image[LANE_BYTES];
	/* Most inputs shall look right. */
	unsigned int how = bytes > LANE_BYTES ? data[LANE_BYTES] : 16;

	memset(image, 0, sizeof(image));
	memcpy(image, data, bytes < LANE_BYTES ? bytes : LANE_BYTES);
	find_ways(image);
	subscribe(image, how);
	return 0;
}
