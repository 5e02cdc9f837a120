/*
 * A publisher that takes over a lane, and the bytes that an earlier one has left of it. The last byte
 * says how.
 *
 * If it takes the lane, what it sends must arrive at whoever comes after it.
 */
#include "fuzz.h"

#include <errno.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/map.h"
#include "topic/lane.h"

#define ID        UINT64_C(0x0123456789abcdef)
#define FILE_NAME "pub.0123456789abcdef"

#define MESSAGES 30

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

static void recover(const uint8_t *image)
{
	char *base = map_once();
	struct ayrei_lane lane = {.ring = base + sizeof(struct ayrei_lane_layout),
	                          .mask = FUZZ_RING - 1,
	                          .layout = (void *)base};
	struct ayrei_reader reader = {.ring = lane.ring, .mask = lane.mask, .layout = lane.layout};
	bool closed;

	memcpy(base, image, LANE_BYTES);
	if (ayrei_lane_recover(&lane, &closed) < 0)
		return;
	check(lane.position % 8 == 0 && lane.position < lane.limit);
	check(lane.limit <= lane.position + FUZZ_RING);
	check(*ayrei_lane_word(&lane, lane.position) == 0);
	/* Room for the record that says it is closed was kept. */
	ayrei_lane_commit(&lane, ayrei_record_pack(0, AYREI_RECORD_CLOSED, 0));
	check(ayrei_reader_seek_next(&reader) == 0);
	check(reader.position == lane.position && reader.sequence == lane.sequence);
}

/* --- outside --- */

/* The next one of this publisher. A lane that was not taken over may have something to say, too. */
static ssize_t receive_from(struct ayre_subscriber *subscriber, uint64_t publisher, char *buffer,
                            struct ayre_message *message)
{
	ssize_t result;

	do
		result = ayre_subscriber_try_receive(subscriber, buffer, FUZZ_RING / 4, message);
	while (result == -EPROTO || (result >= 0 && message->publisher != publisher));
	return result;
}

static void talk(struct ayre_publisher *publisher, struct ayre_subscriber *subscriber)
{
	char data[FUZZ_RING / 4], buffer[FUZZ_RING / 4];
	struct ayre_publisher_info info = {.size = sizeof(info)};

	check(ayre_publisher_get_info(publisher, &info) == 0);
	for (unsigned int i = 0; i < MESSAGES; i++) {
		size_t bytes = i * 61 % sizeof(data);
		struct ayre_message message = {0};

		memset(data, (int)i, bytes);
		check(ayre_publisher_try_send(publisher, data, bytes) == 0);
		check(receive_from(subscriber, info.id, buffer, &message) == (ssize_t)bytes);
		check(memcmp(data, buffer, bytes) == 0);
		check(message.sequence == info.messages + i);
	}
}

static void take_over(uint8_t *image, unsigned int how)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;

	if (how & 16)
		fuzz_mend_lane((struct ayrei_lane_layout *)(void *)image, ID);
	close(fuzz_put_file(FILE_NAME, image, LANE_BYTES, false));
	if (how & 32)
		close(fuzz_put_file(FILE_NAME ".0000000000001000", image, how, false));
	if (how & 64)
		close(fuzz_put_bell(FILE_NAME ".bell"));
	check(ayre_publisher_open(NULL, fuzz_topic(), &publisher, NULL) == 0);
	check(ayre_subscriber_open(NULL, fuzz_topic(), &subscriber, NULL) == 0);
	talk(publisher, subscriber);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	fuzz_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static _Alignas(struct ayrei_lane_layout) uint8_t image[LANE_BYTES];
	unsigned int how = bytes > LANE_BYTES ? data[LANE_BYTES] : 16;

	memset(image, 0, sizeof(image));
	memcpy(image, data, bytes < LANE_BYTES ? bytes : LANE_BYTES);
	recover(image);
	take_over(image, how);
	return 0;
}
