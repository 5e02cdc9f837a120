/*
 * Topics on a disk: what is kept, and for whom. Retention, messages beside the ring, several publishers, those
 * who come after the machine has started anew, and other users.
 */
#include "topic/durable_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include <ayre/topic_log.h>

#include "topic/user_world.h"

/* --- retention --- */

TOPIC_TEST(so_many_bytes_are_kept)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *early;
	struct extent_list list;
	struct ayre_subscriber_info info;
	struct ayre_message message;
	char buffer[1024];
	uint64_t lane, next = 0, first;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.retain_bytes = 100000)));
	lane = info_of_publisher(publisher).id;
	early = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	send_numbers(publisher, 10);
	require(receive_numbers(early, &next, 0) == -EAGAIN && next == 10);
	for (int i = 0; i < 100; i++) {
		send_numbers(publisher, 100);
		list = list_extents(lane);
		/* The open one, and no more than need be of the others; none before there is enough. */
		require(list.count <= 4);
		require(list.count >= 3 || list.begins[0] == DISK_RING);
	}
	require(read_slot(lane).first == list.begins[0]);
	/* It is told what it has missed, and then nothing is missing. */
	require(ayre_subscriber_receive(early, buffer, sizeof(buffer), &message) >= 0);
	info = info_of_subscriber(early);
	require(message.sequence > 10 && info.missed == message.sequence - 10);
	first = message.sequence;
	next = first + 1;
	require(receive_numbers(early, &next, 0) == -EAGAIN && next == 10010);
	require(info_of_subscriber(early).missed == first - 10);
	has_numbers(first, 10010);
	ayre_subscriber_close(early);
	ayre_publisher_close(publisher);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	reboot();
	has_numbers(first, 10010);
	remove_disk_topic();
	return 0;
}

/* Who reads an extent has it, though it is given up. What was given up behind it is missed, and is no damage. */
TOPIC_TEST(what_goes_behind_a_reader_is_missed)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *early;
	struct ayre_message message;
	char buffer[1024];
	uint64_t next = 1, missed = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.retain_bytes = 100000)));
	early = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	send_numbers(publisher, 1000);
	require(ayre_subscriber_receive(early, buffer, sizeof(buffer), &message) >= 0);
	require(message.sequence == 0);
	send_numbers(publisher, 9000);
	while (next < 10000) {
		require(ayre_subscriber_try_receive(early, buffer, sizeof(buffer), &message) >= 0);
		missed += message.sequence - next;
		next = message.sequence + 1;
	}
	require(missed > 0 && info_of_subscriber(early).missed == missed);
	ayre_subscriber_close(early);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

TOPIC_TEST(so_long_is_kept)
{
	struct ayre_publisher *publisher;
	uint64_t lane;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.retain_age_ns = SECOND)));
	lane = info_of_publisher(publisher).id;
	send_until_extents(publisher, 4);
	pause_ns(SECOND + SECOND / 10);
	/* What began before the last but one has ended more than a second ago. */
	send_until_extents(publisher, list_extents(lane).count);
	while (list_extents(lane).begins[0] == DISK_RING)
		send_numbers(publisher, 50);
	require(list_extents(lane).count <= 3);
	ayre_publisher_close(publisher);
	pause_ns(SECOND + SECOND / 10);
	/* Whoever opens it gives up what is old: all but the open one, and who was before it. */
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(list_extents(lane).count == 1);
	ayre_publisher_close(publisher);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	return 0;
}

/* --- beside the ring --- */

#define LARGE(number) (2000u + (number) % 7 * 3000u)

static void receive_mixed(struct ayre_subscriber *subscriber, uint32_t begin, uint32_t end)
{
	for (; begin < end; begin++)
		receive_pattern(subscriber, begin % 3 ? 100 : LARGE(begin), begin);
}

static int count_large(uint64_t lane, char last[static NAME_BYTES])
{
	DIR *directory = opendir(disk_topic());
	const struct dirent *entry;
	char prefix[32];
	int count = 0;

	snprintf(prefix, sizeof(prefix), "pub.%016" PRIx64 ".", lane);
	while ((entry = readdir(directory)))
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
			count++;
			snprintf(last, NAME_BYTES, "%.100s", entry->d_name);
		}
	closedir(directory);
	return count;
}

static void send_mixed(struct ayre_publisher *publisher, uint32_t begin, uint32_t end)
{
	for (; begin < end; begin++)
		send_pattern(publisher, begin % 3 ? 100 : LARGE(begin), begin);
}

TOPIC_TEST(large_messages_are_kept_beside_it)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	char file[NAME_BYTES];
	uint64_t lane;
	void *room;

	SKIP_UNLESS_ON_DISK();
	for (uint32_t sync = AYRE_TOPIC_SYNC_NONE; sync <= AYRE_TOPIC_SYNC_EACH; sync++) {
		publisher = publish_on_disk(PUBLISHER(DISK(.sync = sync)));
		lane = info_of_publisher(publisher).id;
		subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
		send_mixed(publisher, 0, 300);
		require(count_large(lane, file) == 100);
		receive_mixed(subscriber, 0, 300);
		require(ayre_publisher_reserve(publisher, 50000, &room) == 0);
		write_pattern(room, LARGE(300), 300);
		require(ayre_publisher_commit(publisher, LARGE(300)) == 0);
		send_mixed(publisher, 301, 310);
		/* Given up: nothing is left of it. */
		require(ayre_publisher_reserve(publisher, 50000, &room) == 0);
		ayre_publisher_close(publisher);
		require(count_large(lane, file) == 104);
		receive_mixed(subscriber, 300, 310);
		ayre_subscriber_close(subscriber);
		reboot();
		subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
		receive_mixed(subscriber, 0, 310);
		ayre_subscriber_close(subscriber);
		require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
		remove_disk_topic();
	}
	return 0;
}

TOPIC_TEST(large_messages_go_with_their_records)
{
	struct ayre_publisher *publisher;
	char file[NAME_BYTES];
	uint32_t sent = 0;
	uint64_t lane;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK(.retain_bytes = 1)));
	lane = info_of_publisher(publisher).id;
	while (list_extents(lane).begins[0] == DISK_RING)
		send_mixed(publisher, sent, sent + 30), sent += 30;
	require(count_large(lane, file) < (int)sent / 3);
	require(count_large(lane, file) >= 10);
	ayre_publisher_close(publisher);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	return 0;
}

/* A byte of it is another one, or it is gone: the next message comes all the same. */
static void receive_around_a_bad_one(bool is_gone)
{
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK()));
	uint64_t lane = info_of_publisher(publisher).id;
	struct ayre_subscriber *subscriber;
	char file[NAME_BYTES], path[NAME_BYTES], buffer[20000], byte;
	int fd;

	send_mixed(publisher, 0, 2);
	ayre_publisher_close(publisher);
	require(count_large(lane, file) == 1);
	fd = open(disk_file(file, path), O_RDWR | O_CLOEXEC);
	require(fd >= 0 && pread(fd, &byte, 1, 77) == 1);
	byte ^= 1;
	require(pwrite(fd, &byte, 1, 77) == 1);
	close(fd);
	if (is_gone)
		require(unlink(path) == 0);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 1);
	/* Who has it in memory may not know. */
	reboot();
	for (int turn = 0; turn < 2; turn++) {
		struct ayre_message message;

		subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
		if (turn == 0)
			require(ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), NULL) ==
			        -EBADMSG);
		else
			require(ayre_subscriber_peek(subscriber, &message) == -EBADMSG);
		receive_pattern(subscriber, 100, 1);
		require(info_of_subscriber(subscriber).missed == 1);
		ayre_subscriber_close(subscriber);
	}
	remove_disk_topic();
}

TOPIC_TEST(large_messages_are_what_was_sent)
{
	SKIP_UNLESS_ON_DISK();
	receive_around_a_bad_one(false);
	receive_around_a_bad_one(true);
	return 0;
}

/* --- several --- */

#define SEVERAL 5

TOPIC_TEST(several_publishers_have_a_log_each)
{
	struct ayre_publisher *publishers[SEVERAL];
	struct ayre_subscriber *subscriber;
	struct ayre_message message;
	uint64_t lanes[SEVERAL], next[SEVERAL] = {0};
	char buffer[1024];

	SKIP_UNLESS_ON_DISK();
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < SEVERAL; i++) {
			bool known = turn == 0;

			publishers[i] = publish_on_disk(PUBLISHER(DISK()));
			if (turn == 0)
				lanes[i] = info_of_publisher(publishers[i]).id;
			for (int j = 0; j < SEVERAL; j++)
				known |= lanes[j] == info_of_publisher(publishers[i]).id;
			require(known);
		}
		for (int i = 0; i < SEVERAL; i++)
			send_numbers(publishers[i], 300);
		for (int i = 0; i < SEVERAL; i++)
			ayre_publisher_close(publishers[i]);
		if (turn == 1)
			reboot();
	}
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	for (int count = 0; count < 3 * SEVERAL * 300; count++) {
		int i = 0;

		require(ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), &message) >= 0);
		while (lanes[i] != message.publisher)
			require(++i < SEVERAL);
		require(message.sequence == next[i]++);
		require(is_message(&message, size_of_number(message.sequence),
		                   (uint32_t)message.sequence));
	}
	require(ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), NULL) == -EPIPE);
	ayre_subscriber_close(subscriber);
	remove_disk_topic();
	return 0;
}

/* --- after the machine has started anew --- */

TOPIC_TEST(the_next_one_goes_on_after_a_reboot)
{
	uint64_t sent = 0, lane = 0;

	SKIP_UNLESS_ON_DISK();
	for (int turn = 0; turn < 12; turn++) {
		struct ayre_subscriber *before =
			turn ? subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0) : NULL;
		uint64_t next = 0;
		struct ayre_publisher *publisher;

		if (before && turn % 2)
			require(receive_numbers(before, &next, 0) == -EAGAIN && next == sent);
		publisher = publish_on_disk(PUBLISHER(DISK()));
		require(lane == 0 || info_of_publisher(publisher).id == lane);
		lane = info_of_publisher(publisher).id;
		require(info_of_publisher(publisher).messages == sent);
		/* Nothing at all, too. */
		if (turn % 4 != 3) {
			send_numbers(publisher, 130);
			sent += 130;
		}
		if (before) {
			await_numbers(before, &next, sent);
			require(info_of_subscriber(before).missed == 0);
		}
		ayre_publisher_close(publisher);
		ayre_subscriber_close(before);
		has_numbers(0, sent);
		reboot();
		has_numbers(0, sent);
	}
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	return 0;
}

static int sleep_until_sent(void *context)
{
	atomic_uint *at = context;
	struct ayre_subscriber *subscriber =
		subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	uint64_t next = 0;
	int result = receive_numbers(subscriber, &next, 0);

	/* What closed before it came has ended. */
	require(result == -EPIPE && next == 50);
	announce(at, 1);
	do
		result = receive_numbers(subscriber, &next, in_ms(1000));
	while (next < 100);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* One that has read a log that has no ring sleeps, and hears of the publisher who brings one. */
TOPIC_TEST(who_reads_a_log_hears_of_its_next_publisher)
{
	struct ayre_publisher *publisher;
	atomic_uint *at;
	pid_t child;

	SKIP_UNLESS_ON_DISK();
	at = share_memory(sizeof(*at));
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_numbers(publisher, 50);
	ayre_publisher_close(publisher);
	reboot();
	child = start_child(sleep_until_sent, at);
	await(at, 1);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_numbers(publisher, 50);
	require(end_of(child) == 0);
	ayre_publisher_close(publisher);
	unshare_memory(at, sizeof(*at));
	remove_disk_topic();
	return 0;
}

/* --- other users --- */

static int send_some_numbers(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(DISK(.mode = 0664)), disk_topic());

	(void)context;
	send_numbers(publisher, 200);
	ayre_publisher_close(publisher);
	return 0;
}

static int receive_of_all(void *context)
{
	struct ayre_subscriber *subscriber =
		subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	int expected = *(int *)context, count = 0;
	char buffer[1024];
	struct ayre_message message;
	ssize_t got;

	while ((got = ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), &message)) >= 0) {
		require(is_message(&message, size_of_number(message.sequence),
		                   (uint32_t)message.sequence));
		count++;
	}
	require(got == -EPIPE);
	require(count == expected);
	ayre_subscriber_close(subscriber);
	return 0;
}

static int may_not_publish(void *context)
{
	(void)context;
	fails_to_publish(NULL, disk_topic(), -EACCES);
	return 0;
}

static int may_not_be_first(void *context)
{
	struct ayre_subscriber *subscriber;

	(void)context;
	require(ayre_subscriber_open(NULL, disk_topic(), &subscriber, NULL) == -EACCES);
	return 0;
}

TOPIC_TEST(users_share_it_by_its_mode)
{
	int expected = 400;

	SKIP_UNLESS_ON_DISK();
	SKIP_UNLESS_ROOT();
	require(chmod(test_directory(), 01777) == 0);
	as(OWNER, send_some_numbers, NULL);
	require(access(disk_half(), F_OK) == 0);
	as(MEMBER, send_some_numbers, NULL);
	as(STRANGER, may_not_publish, NULL);
	as(STRANGER, receive_of_all, &expected);
	as(OWNER, receive_of_all, &expected);
	as(MEMBER, receive_of_all, &expected);
	/* Each of them goes on in a log of its own. */
	as(MEMBER, send_some_numbers, NULL);
	as(OWNER, send_some_numbers, NULL);
	expected = 800;
	as(STRANGER, receive_of_all, &expected);
	reboot();
	/* The half in memory is its owner's to make. */
	as(STRANGER, may_not_be_first, NULL);
	as(MEMBER, may_not_be_first, NULL);
	as(OWNER, receive_of_all, &expected);
	as(STRANGER, receive_of_all, &expected);
	as(MEMBER, send_some_numbers, NULL);
	expected = 1000;
	as(MEMBER, receive_of_all, &expected);
	reboot();
	/* Or root's, for them. */
	require(receive_of_all(&expected) == 0);
	as(STRANGER, receive_of_all, &expected);
	as(OWNER, send_some_numbers, NULL);
	expected = 1200;
	as(STRANGER, receive_of_all, &expected);
	remove_disk_topic();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(so_many_bytes_are_kept),
		counted_test(what_goes_behind_a_reader_is_missed),
		counted_test(so_long_is_kept),
		counted_test(large_messages_are_kept_beside_it),
		counted_test(large_messages_go_with_their_records),
		counted_test(large_messages_are_what_was_sent),
		counted_test(several_publishers_have_a_log_each),
		counted_test(the_next_one_goes_on_after_a_reboot),
		counted_test(who_reads_a_log_hears_of_its_next_publisher),
		counted_test(users_share_it_by_its_mode),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_keep", tests);
}
