/*
 * Topics on a disk: files that somebody else removes or cuts short under a publisher or a subscriber, and disks that
 * are full.
 */
#include "topic/durable_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <ayre/guard.h>
#include <ayre/topic_log.h>

#include "topic/subscriber.h"

/* --- under a subscriber --- */

/* Lives, and ends some time: messages it has not seen yet or a word about damage, in any order. */
static uint64_t receive_the_rest(struct ayre_subscriber *subscriber, int *ret_damaged)
{
	char buffer[1024];
	uint64_t count = 0, next = 0;

	for (unsigned int turn = 0;; turn++) {
		struct ayre_message message;
		ssize_t got =
			ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);

		require(turn < 100000);
		if (got == -EAGAIN)
			return count;
		require(got >= 0 || got == -EBADMSG || got == -EPROTO);
		*ret_damaged += got < 0;
		if (got < 0)
			continue;
		require(message.sequence >= next);
		next = message.sequence + 1;
		require(is_message(&message, size_of_number(message.sequence),
		                   (uint32_t)message.sequence));
		count++;
	}
}

/* One that stands in the first of several extents, of which one is spoilt. */
static void spoil_under_subscriber(int which, off_t size)
{
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)));
	uint64_t lane = info_of_publisher(publisher).id, sent, received = 1;
	struct ayre_subscriber *subscriber;
	struct extent_list list;
	char path[NAME_BYTES], buffer[1024];
	int damaged = 0;

	send_until_extents(publisher, 4);
	sent = info_of_publisher(publisher).messages;
	list = list_extents(lane);
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	require(ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), NULL) >= 0);
	require(subscriber->sources[0].is_in_log);
	extent_file(lane, list.begins[which], path);
	require(size < 0 ? unlink(path) == 0 : truncate(path, size) == 0);
	received += receive_the_rest(subscriber, &damaged);
	/* What is mapped stays, if it has lost its name only. */
	if (which == 0 && size < 0)
		require(received == sent && damaged == 0);
	else
		require(received < sent && damaged >= 1);
	send_numbers(publisher, 10);
	damaged = 0;
	if (info_of_subscriber(subscriber).publishers_broken == 0)
		require(receive_the_rest(subscriber, &damaged) == 10 && damaged == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	/* What is the first that is there was not given up. */
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 1);
	remove_disk_topic();
}

TOPIC_TEST(extents_go_under_a_subscriber)
{
	SKIP_UNLESS_ON_DISK();
	require(ayre_guard_install() == 1);
	for (int which = 0; which < 3; which++) {
		spoil_under_subscriber(which, -1);
		spoil_under_subscriber(which, 0);
		spoil_under_subscriber(which, 5000);
		spoil_under_subscriber(which, 30000);
	}
	require(ayre_guard_remove() == 0);
	return 0;
}

/* --- under a publisher --- */

/* The open extent, or log.ID, is cut short, or is gone: it lives, and what is missing is told of. */
static void spoil_under_publisher(bool is_extent, off_t size)
{
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK()));
	uint64_t lane = info_of_publisher(publisher).id, sent;
	char file[64], path[NAME_BYTES];

	send_numbers(publisher, 20);
	require(ayre_publisher_sync(publisher) == 0);
	snprintf(file, sizeof(file), "log.%016" PRIx64, lane);
	if (is_extent)
		extent_file(lane, list_extents(lane).begins[0], path);
	else
		disk_file(file, path);
	require(size < 0 ? unlink(path) == 0 : truncate(path, size) == 0);
	send_numbers(publisher, 20);
	require(ayre_publisher_sync(publisher) == 0);
	send_numbers(publisher, 1000);
	sent = info_of_publisher(publisher).messages;
	ayre_publisher_close(publisher);
	reboot();
	/* What log.ID said is in it again when it was closed. */
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == (is_extent || size < 0));
	/* Whoever is next can go on, somewhere. */
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(info_of_publisher(publisher).messages == sent ||
	        info_of_publisher(publisher).messages == 0);
	send_numbers(publisher, 1);
	ayre_publisher_close(publisher);
	remove_disk_topic();
}

TOPIC_TEST(files_go_under_a_publisher)
{
	SKIP_UNLESS_ON_DISK();
	spoil_under_publisher(true, -1);
	spoil_under_publisher(true, 0);
	spoil_under_publisher(true, 9000);
	spoil_under_publisher(false, -1);
	spoil_under_publisher(false, 0);
	spoil_under_publisher(false, 700);
	return 0;
}

TOPIC_TEST(the_topic_goes_under_both)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	uint64_t next = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	send_numbers(publisher, 20);
	require(ayre_topic_remove(disk_topic(), false, NULL) == -EBUSY);
	require(ayre_topic_remove(disk_topic(), true, NULL) == 0);
	/* They go on among themselves, as far as their ring goes. */
	send_numbers(publisher, 5);
	require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == 25);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	require(access(disk_topic(), F_OK) == -1);
	return 0;
}

/* --- no room --- */

#define FILLER "filler"

/* A disk of its own over test_directory(), which only this process sees. */
static bool mount_small_disk(void)
{
	char command[3 * NAME_BYTES];

	if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return false;
	snprintf(command, sizeof(command),
	         "PATH=$PATH:/sbin:/usr/sbin; exec >/dev/null 2>&1; cd '%s' && truncate -s 16M "
	         "image && "
	         "mkfs.ext4 -q -O ^has_journal image && mount -o loop image '%s'",
	         test_directory(), test_directory());
	return system(command) == 0;
}

static void unmount_small_disk(void)
{
	char path[NAME_BYTES];

	require(umount2(test_directory(), MNT_DETACH) == 0);
	snprintf(path, sizeof(path), "%.200s/image", test_directory());
	require(unlink(path) == 0);
}

static const char *filler(char path[static NAME_BYTES])
{
	snprintf(path, NAME_BYTES, "%.200s/" FILLER, test_directory());
	return path;
}

static void fill_disk(size_t but_for)
{
	static const char zeros[4096];
	char path[NAME_BYTES];
	int fd = open(filler(path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	off_t size;

	require(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) == sizeof(zeros))
		continue;
	size = lseek(fd, 0, SEEK_CUR) - (off_t)but_for;
	require(ftruncate(fd, size) == 0 && fsync(fd) == 0);
	close(fd);
}

static int send_next(struct ayre_publisher *publisher)
{
	uint64_t number = info_of_publisher(publisher).messages;
	char data[400];

	write_pattern(data, size_of_number(number), (uint32_t)number);
	return ayre_publisher_send(publisher, data, size_of_number(number));
}

static void fills_and_goes_on(uint32_t sync, uint32_t flags)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	uint64_t sent, next = 0;
	char path[NAME_BYTES];
	int result;

	publisher = publish_on_disk(PUBLISHER(DISK(.sync = sync), .flags = flags));
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	send_numbers(publisher, 10);
	fill_disk(200000);
	do
		result = send_next(publisher);
	while (result == 0);
	require(result == -ENOSPC);
	require(send_next(publisher) == -ENOSPC);
	sent = info_of_publisher(publisher).messages;
	require(sent > 700);
	/* What each message waits for comes before it is sent. The thread is asked only afterwards. */
	if (sync == AYRE_TOPIC_SYNC_EACH && !(flags & AYRE_PUBLISHER_THREAD)) {
		require(ayre_publisher_sync(publisher) == 0);
		require(info_of_publisher(publisher).safe_messages == sent);
	} else {
		require(ayre_publisher_sync(publisher) == -ENOSPC);
		require(info_of_publisher(publisher).safe_messages < sent);
	}
	/* What could not be carried can be read all the same. */
	require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == sent);
	require(unlink(filler(path)) == 0);
	/* At once, though the thread has yet to try again. */
	require(send_next(publisher) == 0);
	require(ayre_publisher_sync(publisher) == 0);
	send_numbers(publisher, 500);
	sent = info_of_publisher(publisher).messages;
	require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == sent);
	require(info_of_subscriber(subscriber).missed == 0);
	/* Full again when it closes, and when the next one opens, which takes no more room. */
	fill_disk(0);
	while (send_next(publisher) == 0)
		continue;
	sent = info_of_publisher(publisher).messages;
	ayre_publisher_close(publisher);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(info_of_publisher(publisher).messages == sent);
	ayre_publisher_close(publisher);
	require(unlink(filler(path)) == 0);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(info_of_publisher(publisher).messages == sent);
	send_numbers(publisher, 100);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	has_numbers(0, sent + 100);
	reboot();
	has_numbers(0, sent + 100);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
}

TOPIC_TEST(a_full_disk_becomes_less_full)
{
	SKIP_UNLESS_ON_DISK();
	if (!is_root() || !mount_small_disk())
		return skipped("this user may not mount a file system");
	fills_and_goes_on(AYRE_TOPIC_SYNC_GROUP, 0);
	fills_and_goes_on(AYRE_TOPIC_SYNC_NONE, 0);
	fills_and_goes_on(AYRE_TOPIC_SYNC_EACH, 0);
	fills_and_goes_on(AYRE_TOPIC_SYNC_GROUP, AYRE_PUBLISHER_THREAD);
	fills_and_goes_on(AYRE_TOPIC_SYNC_EACH, AYRE_PUBLISHER_THREAD);
	unmount_small_disk();
	return 0;
}

TOPIC_TEST(nothing_is_begun_on_a_full_disk)
{
	struct ayre_publisher *publisher;
	char path[NAME_BYTES];

	SKIP_UNLESS_ON_DISK();
	if (!is_root() || !mount_small_disk())
		return skipped("this user may not mount a file system");
	require(ayre_topic_create(TOPIC(.ring_bytes = DISK_RING, .extent_bytes = DISK_EXTENT),
	                          disk_topic(), NULL) == 1);
	disk_half();
	fill_disk(16384);
	fails_to_publish(NULL, disk_topic(), -ENOSPC);
	require(unlink(filler(path)) == 0);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_numbers(publisher, 10);
	ayre_publisher_close(publisher);
	has_numbers(0, 10);
	/* Nothing is left of the attempts. */
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	require(count_disk_files() == 3);
	remove_disk_topic();
	unmount_small_disk();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(extents_go_under_a_subscriber),
		counted_test(files_go_under_a_publisher),
		counted_test(the_topic_goes_under_both),
		counted_test(a_full_disk_becomes_less_full),
		counted_test(nothing_is_begun_on_a_full_disk),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_spoil", tests);
}
