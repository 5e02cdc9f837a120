/*
 * Messages beside the ring: so many bytes of them and no more, in files that are used again; and a file
 * system that has no room for them, or for another ring. Whatever could not be sent is not there, and
 * nothing that was sent is lost.
 */
#include "topic/topic_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME "large"

/* --- beside the ring --- */

#define LARGE 300000u

static int try_large(struct ayre_publisher *publisher, uint32_t number)
{
	static char bytes[LARGE];

	write_pattern(bytes, LARGE, number);
	return ayre_publisher_try_send(publisher, bytes, LARGE);
}

/* Their files: pub.ID.POSITION. */
static int count_large(void)
{
	struct counts now = take_counts();
	char last[NAME_BYTES];

	/* The directory, topic, join, and what has a name and a bell. */
	return now.topics - 3 - count_peers(NAME, "pub.", "", last) -
	       count_peers(NAME, "pub.", ".bell", last) - count_peers(NAME, "sub.", "", last) -
	       count_peers(NAME, "sub.", ".bell", last);
}

TOPIC_TEST(messages_beside_the_ring_are_bounded)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = 1000000), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	static char larger[2000000];

	for (uint32_t i = 0; i < 3; i++)
		require(try_large(publisher, i) == 0);
	require(count_large() == 3);
	require(try_large(publisher, 3) == -EAGAIN);
	require(ayre_publisher_send_until(publisher, larger, LARGE, in_ms(20)) == -ETIMEDOUT);
	/* Short ones are not held up. */
	send_number(publisher, 77);
	receive_pattern(subscriber, LARGE, 0);
	require(try_large(publisher, 3) == 0);
	require(count_large() == 3);
	receive_pattern(subscriber, LARGE, 1);
	receive_pattern(subscriber, LARGE, 2);
	require(receive_number(subscriber) == 77);
	receive_pattern(subscriber, LARGE, 3);
	/* One that is larger than the bound goes when it is alone. */
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == 0);
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == -EAGAIN);
	require(ayre_subscriber_receive(subscriber, larger, sizeof(larger), NULL) ==
	        sizeof(larger));
	require(ayre_publisher_try_send(publisher, larger, sizeof(larger)) == 0);
	require(count_large() == 1);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(in_a_lossy_topic_the_oldest_beside_the_ring_go)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(.topic = TOPIC(.ring_bytes = 1 << 16, .flags = AYRE_TOPIC_LOSSY),
	                          .large_bytes = 1000000),
	                NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_subscriber_info info;

	for (uint32_t i = 0; i < 10; i++) {
		require(try_large(publisher, i) == 0);
		require(count_large() <= 3);
	}
	for (uint32_t i = 7; i < 10; i++)
		receive_pattern(subscriber, LARGE, i);
	nothing_is_there(subscriber);
	info = info_of_subscriber(subscriber);
	require(info.received == 3 && info.missed == 7);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* What the ring tells of no more lies beside it no longer. */
TOPIC_TEST(what_was_overwritten_leaves_nothing_beside_the_ring)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	for (uint32_t i = 0; i < 5; i++)
		require(try_large(publisher, i) == 0);
	for (uint64_t i = 0; i < 1000; i++)
		send_number(publisher, i);
	require(try_large(publisher, 5) == 0);
	require(count_large() == 1);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

struct slow {
	atomic_uint ready;
	uint64_t count;
	int64_t pause_ns;
};

static int read_large_ones(void *context)
{
	struct slow *slow = context;
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	announce(&slow->ready, 1);
	for (uint32_t i = 0; i < slow->count; i++) {
		receive_pattern(subscriber, LARGE, i);
		if (i % 10 == 0)
			pause_ns(slow->pause_ns);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(a_writer_waits_for_room_beside_the_ring)
{
	struct slow *slow = share_memory(sizeof(*slow));
	struct ayre_publisher *publisher;
	pid_t reader;

	*slow = (struct slow){.count = 300, .pause_ns = 5 * MILLISECOND};
	reader = start_child(read_large_ones, slow);
	await(&slow->ready, 1);
	publisher = publish(PUBLISHER(.large_bytes = 2 * LARGE, .spin_ns = AYRE_SPIN_NONE), NAME);
	for (uint32_t i = 0; i < slow->count; i++)
		send_pattern(publisher, LARGE, i);
	require(end_of(reader) == 0);
	require(info_of_publisher(publisher).waits > 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(slow, sizeof(*slow));
	return 0;
}

TOPIC_TEST(the_descriptor_tells_of_room_beside_the_ring)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	int fd = ayre_publisher_fd(publisher);

	for (uint32_t i = 0; i < 10; i++) {
		require(try_large(publisher, i) == 0);
		require(try_large(publisher, i + 1) == -EAGAIN);
		require(!is_readable(fd, 10));
		receive_pattern(subscriber, LARGE, i);
		require(is_readable(fd, 1000));
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- used again --- */

struct beside {
	ino_t newest; /* of the one whose name sorts last */
	unsigned int count;
	uint64_t bytes; /* allocated */
};

static struct beside look_beside(void)
{
	struct beside beside = {0};
	char path[NAME_BYTES], last[NAME_BYTES] = "";
	DIR *directory = opendir(topic_path(NAME, "", path));
	const struct dirent *entry;
	struct stat status;

	require(directory);
	while ((entry = readdir(directory))) {
		if (strncmp(entry->d_name, "pub.", 4) != 0 || strlen(entry->d_name) != 37 ||
		    fstatat(dirfd(directory), entry->d_name, &status, 0) < 0)
			continue;
		beside.count++;
		beside.bytes += (uint64_t)status.st_blocks * 512;
		if (strcmp(entry->d_name, last) > 0) {
			snprintf(last, sizeof(last), "%s", entry->d_name);
			beside.newest = status.st_ino;
		}
	}
	closedir(directory);
	return beside;
}

TOPIC_TEST(a_file_that_was_read_is_used_again)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message message;
	ino_t first = 0;

	for (uint32_t i = 0; i < 50; i++) {
		/* A little less, a little more, and exactly as much. */
		size_t bytes = LARGE - i % 3 * 100;

		send_pattern(publisher, bytes, i);
		first = i ? first : look_beside().newest;
		require(look_beside().count == 1 && look_beside().newest == first);
		require(ayre_subscriber_try_receive(subscriber, NULL, 0, &message) == -EMSGSIZE);
		require(message.bytes == bytes);
		if (i % 2) {
			receive_pattern(subscriber, bytes, i);
			continue;
		}
		require(ayre_subscriber_try_peek(subscriber, &message) == 0);
		require(is_message(&message, bytes, i));
		require(ayre_subscriber_release(subscriber) == 0);
	}
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Of all sizes, in files that are too small, too large, or fit: never more than the bound, and all arrive. */
TOPIC_TEST(all_sizes_are_within_the_bound)
{
	enum { BOUND = 1000000, MOST = 400000 };
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = BOUND), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	static char bytes[MOST];
	size_t sizes[1000], under_way = 0;
	uint32_t sent = 0, read = 0;

	while (sent < 1000) {
		size_t size = random_below(2) ? 2000 + random_below(MOST - 2000)
		                              : (size_t)MOST >> random_below(6);
		int result;

		write_pattern(bytes, size, sent);
		result = ayre_publisher_try_send(publisher, bytes, size);
		/* What fits into the bound goes, whatever was in the files before. */
		require(result == (under_way + size <= BOUND ? 0 : -EAGAIN));
		require(look_beside().bytes <= BOUND + look_beside().count * 4096);
		if (result == 0) {
			sizes[sent++] = size;
			under_way += size;
		}
		while (read < sent && (result < 0 || random_below(3) == 0)) {
			receive_pattern(subscriber, sizes[read], read);
			under_way -= sizes[read++];
			result = 0;
		}
	}
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_publisher_close(publisher);
	while (read < sent) {
		receive_pattern(subscriber, sizes[read], read);
		read++;
	}
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* Many were under way and are read: their files are not all kept for ever, and none when it closes. */
TOPIC_TEST(files_that_are_not_used_again_go)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = 20 * LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint32_t sent = 0, read = 0;

	while (sent < 20)
		send_pattern(publisher, LARGE, sent++);
	require(look_beside().count == 20);
	while (read < sent)
		receive_pattern(subscriber, LARGE, read++);
	while (sent < 150) {
		send_pattern(publisher, LARGE, sent++);
		receive_pattern(subscriber, LARGE, read++);
	}
	/* An eighth of the bound is kept for newcomers; one is on its way. */
	require(look_beside().count <= 20 / 8 + 2);
	send_pattern(publisher, LARGE / 3, sent++);
	require(look_beside().count > 20 / 8);
	ayre_publisher_close(publisher);
	require(look_beside().count <= 20 / 8 + 1);
	receive_pattern(subscriber, LARGE / 3, read);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* Somebody has removed a file, or cut it short, whose map is still there: what is sent arrives. */
TOPIC_TEST(a_file_that_lost_its_name_is_replaced)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	char last[NAME_BYTES], path[NAME_BYTES];
	ino_t inode;

	send_pattern(publisher, LARGE, 0);
	receive_pattern(subscriber, LARGE, 0);
	inode = look_beside().newest;
	require(count_peers(NAME, "pub.", ".0000000000001000", last) == 1);
	require(unlink(topic_path(NAME, last, path)) == 0);
	send_pattern(publisher, LARGE, 1);
	require(look_beside().count == 1 && look_beside().newest != inode);
	receive_pattern(subscriber, LARGE, 1);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Nobody waits for it: what it looks at is written over. */
TOPIC_TEST(a_look_at_a_file_that_is_used_again_is_stale)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(.topic = TOPIC(.ring_bytes = 4096, .flags = AYRE_TOPIC_LOSSY),
	                          .large_bytes = LARGE),
	                NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message message;

	for (uint32_t i = 0; i < 20; i += 2) {
		send_pattern(publisher, LARGE, i);
		require(ayre_subscriber_try_peek(subscriber, &message) == 0);
		require(is_message(&message, LARGE, i));
		send_pattern(publisher, LARGE - i * 1000, i + 1);
		require(look_beside().count == 1);
		/* Another message's bytes, which is why it has to be said. */
		require(!is_message(&message, LARGE, i));
		require(ayre_subscriber_release(subscriber) == -ESTALE);
		require(info_of_subscriber(subscriber).missed == i / 2 + 1);
		receive_pattern(subscriber, LARGE - i * 1000, i + 1);
	}
	nothing_is_there(subscriber);
	require(info_of_subscriber(subscriber).received == 10);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* It reserves, writes, and gives up: neither of the two messages is there, and the room is. */
TOPIC_TEST(a_draft_that_is_given_up_is_a_spare_again)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .large_bytes = LARGE), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_subscriber *late;
	ino_t inode;
	void *data;

	send_pattern(publisher, LARGE, 0);
	receive_pattern(subscriber, LARGE, 0);
	inode = look_beside().newest;
	require(ayre_publisher_try_reserve(publisher, LARGE, &data) == 0);
	memset(data, 'x', LARGE);
	send_number(publisher, 1);
	require(receive_number(subscriber) == 1);
	late = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	require(receive_number(late) == 1 && info_of_subscriber(late).missed == 1);
	require(ayre_publisher_try_reserve(publisher, LARGE, &data) == 0);
	write_pattern(data, LARGE, 2);
	require(ayre_publisher_commit(publisher, LARGE) == 0);
	require(look_beside().count == 1 && look_beside().newest == inode);
	receive_pattern(subscriber, LARGE, 2);
	receive_pattern(late, LARGE, 2);
	ayre_subscriber_close(late);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Before the word in the lane: who takes it over has no use for it. */
TOPIC_TEST(a_spare_of_one_who_died_goes)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	char last[NAME_BYTES], path[NAME_BYTES];
	uint64_t beside;
	int fd;

	send_pattern(publisher, LARGE, 0);
	send_pattern(publisher, LARGE, 1);
	ayre_publisher_close(publisher);
	require(look_beside().count == 2);
	require(count_peers(NAME, "pub.", "", last) == 1);
	fd = open(topic_path(NAME, last, path), O_RDWR | O_CLOEXEC);
	require(fd >= 0 && pread(fd, &beside, 8, 168) == 8 && beside == 0);
	beside = 4096 + 1;
	require(pwrite(fd, &beside, 8, 168) == 8);
	close(fd);
	publisher = publish(PUBLISHER(RING(4096)), NAME);
	require(look_beside().count == 1);
	send_pattern(publisher, LARGE, 2);
	require(look_beside().count == 2);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- a full file system --- */

TOPIC_TEST(a_full_file_system_costs_only_what_does_not_fit)
{
	static char bytes[900000];
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct counts before, after;
	void *data;

	if (mount_private_tmpfs(topic_root(), "1m") != 0)
		return skipped("this user may not mount a file system");
	fails_to_create(TOPIC(.ring_bytes = 2 << 20), NAME, -ENOSPC);
	publisher = publish(PUBLISHER(RING(1 << 18)), NAME);
	subscriber = subscribe(NULL, NAME);
	send_number(publisher, 1);
	before = take_counts();
	for (int i = 0; i < 3; i++) {
		require(ayre_publisher_send(publisher, bytes, sizeof(bytes)) == -ENOSPC);
		require(ayre_publisher_try_send(publisher, bytes, sizeof(bytes)) == -ENOSPC);
		require(ayre_publisher_reserve(publisher, sizeof(bytes), &data) == -ENOSPC);
	}
	after = take_counts();
	require(!counts_differ(&after, &before));
	send_pattern(publisher, 100000, 2);
	send_number(publisher, 3);
	require(receive_number(subscriber) == 1);
	receive_pattern(subscriber, 100000, 2);
	require(receive_number(subscriber) == 3);
	nothing_is_there(subscriber);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* There is room for a message if that of the spares is. */
TOPIC_TEST(spares_make_way_in_a_full_file_system)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	void *data;

	if (mount_private_tmpfs(topic_root(), "1m") != 0)
		return skipped("this user may not mount a file system");
	publisher = publish(PUBLISHER(RING(1 << 18), .large_bytes = 2000000), NAME);
	subscriber = subscribe(NULL, NAME);
	send_pattern(publisher, LARGE, 0);
	receive_pattern(subscriber, LARGE, 0);
	/* One who has it mapped would keep the room. */
	require(ayre_publisher_reserve(publisher, LARGE, &data) == 0);
	ayre_subscriber_close(subscriber);
	send_number(publisher, 1);
	require(look_beside().count == 1);
	send_pattern(publisher, 2 * LARGE + 100, 2);
	require(look_beside().count == 1);
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	require(receive_number(subscriber) == 1);
	receive_pattern(subscriber, 2 * LARGE + 100, 2);
	require(info_of_subscriber(subscriber).missed == 1);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

static int open_until_full(void)
{
	struct ayre_publisher *publishers[16];
	struct ayre_error error = {0};
	int count = 0, result;
	char last[NAME_BYTES];

	while ((result = ayre_publisher_open(PUBLISHER(RING(1 << 18)), NAME, &publishers[count],
	                                     &error)) == 0)
		count++;
	require(result == -ENOSPC && strstr(error.detail, "are free"));
	require(count_peers(NAME, "pub.", "", last) == count);
	require(count_peers(NAME, "pub.", ".bell", last) == count);
	for (int i = 0; i < count; i++)
		send_number(publishers[i], 1);
	for (int i = 0; i < count; i++)
		ayre_publisher_close(publishers[i]);
	return count;
}

TOPIC_TEST(as_many_rings_as_there_is_room_for)
{
	if (mount_private_tmpfs(topic_root(), "1m") != 0)
		return skipped("this user may not mount a file system");
	require(open_until_full() == 3);
	require(open_until_full() == 3);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(messages_beside_the_ring_are_bounded),
		counted_test(in_a_lossy_topic_the_oldest_beside_the_ring_go),
		counted_test(what_was_overwritten_leaves_nothing_beside_the_ring),
		counted_test(a_writer_waits_for_room_beside_the_ring),
		counted_test(the_descriptor_tells_of_room_beside_the_ring),
		counted_test(a_file_that_was_read_is_used_again),
		counted_test(all_sizes_are_within_the_bound),
		counted_test(files_that_are_not_used_again_go),
		counted_test(a_file_that_lost_its_name_is_replaced),
		counted_test(a_look_at_a_file_that_is_used_again_is_stale),
		counted_test(a_draft_that_is_given_up_is_a_spare_again),
		counted_test(a_spare_of_one_who_died_goes),
		counted_test(a_full_file_system_costs_only_what_does_not_fit),
		counted_test(spares_make_way_in_a_full_file_system),
		counted_test(as_many_rings_as_there_is_room_for),
	};

	use_topic_root();
	return run_counted("beside the ring", tests);
}
