/*
 * Whoever opens a topic, and the bytes of its file `topic`. The last byte says how: most have a checksum
 * that is right.
 */
#include "fuzz.h"

#include <errno.h>
#include <unistd.h>

#define TOPIC_BYTES sizeof(struct ayrei_topic_layout)

const size_t fuzz_most_bytes = TOPIC_BYTES + 1;

size_t fuzz_begin_with(unsigned int number, uint8_t *data)
{
	struct ayrei_topic_layout layout = {
		.magic = AYREI_TOPIC_MAGIC,
		.version = AYREI_TOPIC_VERSION,
		.header_bytes = sizeof(struct ayrei_lane_layout),
		.ring_bytes = (uint64_t)FUZZ_RING << number % 4,
		.policy = number % 2,
		.mode = 0600 | number * 3 % 64,
		.uid = geteuid(),
		.tag_bytes = number,
	};

	if (number >= 16)
		return 0;
	memset(layout.tag, 't', number);
	memcpy(layout.generation, fuzz_generation(), sizeof(layout.generation));
	memcpy(data, &layout, sizeof(layout));
	data[TOPIC_BYTES] = 1;
	return fuzz_most_bytes;
}

static uint64_t checksum(const struct ayrei_topic_layout *layout)
{
	const unsigned char *bytes = (const unsigned char *)layout;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct ayrei_topic_layout, checksum); i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void check_result(int result, const struct ayre_error *error)
{
	check(result == 0 || result == -EPROTO || result == -EPROTONOSUPPORT ||
	      result == -EOPNOTSUPP || result == -ENOSPC || result == -ENOMEM);
	check(result == 0 ||
	      (error->code == result && error->detail[sizeof(error->detail) - 1] == 0));
}

static void open_ends(bool may_publish)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct ayre_error error = {0};
	int result = ayre_subscriber_open(NULL, fuzz_topic(), &subscriber, &error);

	check_result(result, &error);
	if (may_publish && result == 0) {
		result = ayre_publisher_open(NULL, fuzz_topic(), &publisher, &error);
		check_result(result, &error);
		if (result == 0) {
			check(ayre_publisher_try_send(publisher, "message", 7) == 0);
			ayre_publisher_close(publisher);
		}
	}
	if (error.code == 0) {
		char buffer[16];
		ssize_t got = ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), NULL);

		check(got == (may_publish ? 7 : -EAGAIN));
	}
	if (result == 0 || error.step[0] == '\0')
		ayre_subscriber_close(subscriber);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ayrei_topic_layout layout = {0};
	bool mended = bytes > TOPIC_BYTES && data[TOPIC_BYTES] & 1;

	memcpy(&layout, data, bytes < TOPIC_BYTES ? bytes : TOPIC_BYTES);
	if (mended)
		layout.checksum = checksum(&layout);
	close(fuzz_put_file("topic", &layout, bytes < TOPIC_BYTES ? bytes : TOPIC_BYTES, false));
	/* A ring as large as the machine would be allocated. */
	open_ends(layout.ring_bytes <= 1u << 20);
	fuzz_clear();
	return 0;
}
