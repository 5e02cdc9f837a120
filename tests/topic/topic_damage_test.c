/*
 * Descriptions that are damaged, of a newer version, or cut short: told apart, and nothing of what
 * they say is done.
 */
#include "topic/topic_world.h"

#include <fcntl.h>
#include <sys/stat.h>

#define NAME        "damaged"
#define TOPIC_BYTES 512

/* Where docs/FORMAT.md has them. */
#define VERSION      8
#define HEADER_BYTES 12
#define COMPATIBLE   16
#define INCOMPATIBLE 20
#define RING_BYTES   48
#define POLICY       56
#define MODE         60
#define UID          64
#define TAG_BYTES    72
#define TAG          80
#define CHECKSUM     504

static void write_topic(const void *bytes, size_t length)
{
	char path[NAME_BYTES];
	int fd;

	require(chmod(topic_path(NAME, "topic", path), 0600) == 0);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	require(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
	close(fd);
}

static void read_topic(char bytes[static TOPIC_BYTES])
{
	char path[NAME_BYTES];
	int fd = open(topic_path(NAME, "topic", path), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && read(fd, bytes, TOPIC_BYTES) == TOPIC_BYTES);
	close(fd);
}

/* FNV-1a of what stands before it. */
static void seal(char bytes[static TOPIC_BYTES])
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < CHECKSUM; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	memcpy(bytes + CHECKSUM, &sum, sizeof(sum));
}

static void nobody_opens(int code)
{
	fails_to_create(NULL, NAME, code);
	fails_to_publish(NULL, NAME, code);
	fails_to_subscribe(NULL, NAME, code);
}

static void everybody_opens(void)
{
	require(ayre_topic_create(NULL, NAME, NULL) == 0);
	ayre_publisher_close(publish(NULL, NAME));
	ayre_subscriber_close(subscribe(NULL, NAME));
}

static bool is_about_versions(size_t byte)
{
	return (byte >= VERSION && byte < VERSION + 4) ||
	       (byte >= INCOMPATIBLE && byte < INCOMPATIBLE + 4);
}

TOPIC_TEST(every_byte_that_is_flipped_is_found)
{
	char good[TOPIC_BYTES], bad[TOPIC_BYTES];

	require(ayre_topic_create(TOPIC(.tag = "tag"), NAME, NULL) == 1);
	read_topic(good);
	for (size_t i = 0; i < TOPIC_BYTES; i++) {
		memcpy(bad, good, sizeof(bad));
		bad[i] ^= (char)(i % 9 == 8 ? 0xff : 1 << i % 8);
		write_topic(bad, sizeof(bad));
		nobody_opens(is_about_versions(i) ? -EPROTONOSUPPORT : -EPROTO);
	}
	write_topic(good, sizeof(good));
	everybody_opens();
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(what_is_cut_short_is_found)
{
	char good[TOPIC_BYTES];

	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	read_topic(good);
	for (size_t length = 0; length < TOPIC_BYTES; length += 73) {
		write_topic(good, length);
		nobody_opens(-EPROTO);
	}
	write_topic(good, TOPIC_BYTES - 1);
	nobody_opens(-EPROTO);
	write_topic(good, sizeof(good));
	remove_topic(NAME);
	return 0;
}

/* Whole, by its checksum, but not what this version can work with. */
TOPIC_TEST(what_cannot_be_is_refused_although_its_checksum_is_right)
{
	static const struct {
		size_t place, length;
		uint64_t value;
		int code;
	} changes[] = {
		{VERSION, 4, 2, -EPROTONOSUPPORT},
		{VERSION, 4, 0, -EPROTONOSUPPORT},
		{INCOMPATIBLE, 4, 4, -EPROTONOSUPPORT},
		{INCOMPATIBLE, 4, 1, -EPROTO},
		{INCOMPATIBLE, 4, 1u << 31, -EPROTONOSUPPORT},
		{RING_BYTES, 8, 0, -EPROTO},
		{RING_BYTES, 8, 2048, -EPROTO},
		{RING_BYTES, 8, 4096 + 8, -EPROTO},
		{RING_BYTES, 8, UINT64_C(1) << 41, -EPROTO},
		{RING_BYTES, 8, UINT64_C(1) << 63, -EPROTO},
		{HEADER_BYTES, 4, 0, -EPROTO},
		{HEADER_BYTES, 4, 4095, -EPROTO},
		{HEADER_BYTES, 4, 1u << 21, -EPROTO},
		{POLICY, 4, 2, -EPROTO},
		{MODE, 4, 0777, -EPROTO},
		{UID, 4, 4242, -EPROTO},
		{TAG_BYTES, 4, AYRE_TOPIC_TAG_MAX + 1, -EPROTO},
		{TAG_BYTES, 4, UINT32_MAX, -EPROTO},
		{TAG + 3, 1, 'x', -EPROTO},
	};
	char good[TOPIC_BYTES], bad[TOPIC_BYTES];

	require(ayre_topic_create(TOPIC(.tag = "tag"), NAME, NULL) == 1);
	read_topic(good);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		memcpy(bad, good, sizeof(bad));
		memcpy(bad + changes[i].place, &changes[i].value, changes[i].length);
		seal(bad);
		write_topic(bad, sizeof(bad));
		nobody_opens(changes[i].code);
	}
	write_topic(good, sizeof(good));
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(features_that_may_be_ignored_are)
{
	char bytes[TOPIC_BYTES];
	uint32_t features = 0xffff0001;

	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	read_topic(bytes);
	memcpy(bytes + COMPATIBLE, &features, sizeof(features));
	seal(bytes);
	write_topic(bytes, sizeof(bytes));
	everybody_opens();
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_description_that_is_no_file_is_refused)
{
	char path[NAME_BYTES];

	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	require(unlink(topic_path(NAME, "topic", path)) == 0);
	nobody_opens(-EPROTO);
	require(mkfifo(path, 0600) == 0);
	nobody_opens(-EPROTO);
	require(unlink(path) == 0 && mkdir(path, 0700) == 0);
	nobody_opens(-EPROTO);
	require(rmdir(path) == 0 && symlink("join", path) == 0);
	nobody_opens(-EPROTO);
	sweep();
	return 0;
}

/* Without it publishers would not hear of who comes. */
TOPIC_TEST(a_join_file_that_is_missing_or_none_is_told)
{
	char path[NAME_BYTES];

	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	topic_path(NAME, "join", path);
	require(unlink(path) == 0);
	fails_to_publish(NULL, NAME, -EPROTO);
	fails_to_subscribe(NULL, NAME, -EPROTO);
	require(symlink("topic", path) == 0);
	fails_to_publish(NULL, NAME, -EPROTO);
	fails_to_subscribe(NULL, NAME, -EPROTO);
	/* Nothing was left by those who failed, and it can be removed. */
	remove_topic(NAME);
	return 0;
}

/* Whoever may subscribe can do that to it. */
TOPIC_TEST(a_join_file_that_was_cut_short_is_mended)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	char path[NAME_BYTES];
	struct stat status;

	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	topic_path(NAME, "join", path);
	require(truncate(path, 0) == 0);
	publisher = publish(NULL, NAME);
	require(stat(path, &status) == 0 && status.st_size == 8);
	ayre_publisher_close(publisher);
	require(truncate(path, 3) == 0);
	subscriber = subscribe(NULL, NAME);
	require(truncate(path, 7) == 0);
	publisher = publish(NULL, NAME);
	send_number(publisher, 4);
	require(receive_number(subscriber) == 4);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* Whoever has it open has read it. */
TOPIC_TEST(damage_does_not_reach_those_who_are_there)
{
	struct ayre_publisher *publisher = publish(NULL, NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	char good[TOPIC_BYTES];

	read_topic(good);
	write_topic("damage", 6);
	for (uint64_t i = 0; i < 100; i++) {
		send_number(publisher, i);
		require(receive_number(subscriber) == i);
	}
	write_topic(good, sizeof(good));
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_byte_that_is_flipped_is_found),
		counted_test(what_is_cut_short_is_found),
		counted_test(what_cannot_be_is_refused_although_its_checksum_is_right),
		counted_test(features_that_may_be_ignored_are),
		counted_test(a_description_that_is_no_file_is_refused),
		counted_test(a_join_file_that_is_missing_or_none_is_told),
		counted_test(a_join_file_that_was_cut_short_is_mended),
		counted_test(damage_does_not_reach_those_who_are_there),
	};

	use_topic_root();
	return run_counted("damaged topics", tests);
}
