/*
 * Topics on a disk: what each option and each call of a publisher promises.
 */
#include "topic/durable_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <ayre/topic_log.h>

static struct ayrei_topic_layout describe(void)
{
	struct ayrei_topic_layout layout;
	char path[NAME_BYTES];
	int fd = open(disk_file("topic", path), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && pread(fd, &layout, sizeof(layout), 0) == sizeof(layout));
	close(fd);
	return layout;
}

static struct ayrei_topic_layout made_with(const struct ayre_topic_options *options)
{
	struct ayrei_topic_layout layout;

	require(ayre_topic_create(options, disk_topic(), NULL) == 1);
	layout = describe();
	remove_disk_topic();
	return layout;
}

/* --- what it is --- */

TOPIC_TEST(a_topic_on_a_disk_is_durable)
{
	struct ayrei_topic_layout layout;

	SKIP_UNLESS_ON_DISK();
	layout = made_with(NULL);
	require(layout.incompatible_features == AYREI_FEATURE_DURABLE);
	require(layout.sync == AYRE_TOPIC_SYNC_GROUP && layout.extent_bytes == 64u << 20);
	require(layout.retain_bytes == 0 && layout.retain_age_ns == 0);
	layout = made_with(TOPIC(.flags = AYRE_TOPIC_DURABLE, .sync = AYRE_TOPIC_SYNC_EACH,
	                         .extent_bytes = 1 << 20, .retain_bytes = 5, .retain_age_ns = 6));
	require(layout.sync == AYRE_TOPIC_SYNC_EACH && layout.extent_bytes == 1 << 20);
	require(layout.retain_bytes == 5 && layout.retain_age_ns == 6);
	/* And one in memory is not. */
	fails_to_create(TOPIC(.flags = AYRE_TOPIC_DURABLE), "t", -EOPNOTSUPP);
	return 0;
}

TOPIC_TEST(extents_have_limits)
{
	SKIP_UNLESS_ON_DISK();
	require(made_with(TOPIC(.extent_bytes = 1, .ring_bytes = 4096)).extent_bytes == 64 << 10);
	require(made_with(TOPIC(.extent_bytes = 64 << 10, .ring_bytes = 4096)).extent_bytes ==
	        64 << 10);
	require(made_with(TOPIC(.extent_bytes = (64 << 10) + 1, .ring_bytes = 4096)).extent_bytes ==
	        68 << 10);
	/* A ring fits. */
	require(made_with(TOPIC(.extent_bytes = 64 << 10, .ring_bytes = 1 << 20)).extent_bytes ==
	        1 << 20);
	require(made_with(TOPIC(.extent_bytes = UINT64_C(1) << 40)).extent_bytes == UINT64_C(1)
	                                                                                    << 40);
	return 0;
}

TOPIC_TEST(what_can_never_be_right)
{
	SKIP_UNLESS_ON_DISK();
	fails_to_create(TOPIC(.sync = 4), disk_topic(), -EINVAL);
	fails_to_create(TOPIC(.extent_bytes = (UINT64_C(1) << 40) + 1), disk_topic(), -EINVAL);
	fails_to_create(TOPIC(.retain_bytes = UINT64_MAX), disk_topic(), -EINVAL);
	fails_to_create(TOPIC(.retain_age_ns = -1), disk_topic(), -EINVAL);
	fails_to_create(TOPIC(.reserved = 1), disk_topic(), -EINVAL);
	fails_to_publish(PUBLISHER(.flags = 1u << 31), disk_topic(), -EINVAL);
	return 0;
}

/* --- safe --- */

static const struct way {
	uint32_t sync, flags;
} ways[] = {
	{AYRE_TOPIC_SYNC_NONE, 0},
	{AYRE_TOPIC_SYNC_GROUP, 0},
	{AYRE_TOPIC_SYNC_EACH, 0},
	{AYRE_TOPIC_SYNC_NONE, AYRE_PUBLISHER_THREAD},
	{AYRE_TOPIC_SYNC_GROUP, AYRE_PUBLISHER_THREAD},
	{AYRE_TOPIC_SYNC_EACH, AYRE_PUBLISHER_THREAD},
};
#define WAYS (sizeof(ways) / sizeof(*ways))

/* Safe at once, or when it is asked for; a thread may be quicker. */
static void becomes_safe(const struct way *way)
{
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(.sync = way->sync), .flags = way->flags));
	uint64_t sent = info_of_publisher(publisher).messages, safe;

	send_numbers(publisher, 3);
	safe = info_of_publisher(publisher).safe_messages;
	require(safe <= sent + 3);
	if (way->sync == AYRE_TOPIC_SYNC_EACH)
		require(safe == sent + 3);
	else if (way->flags == 0)
		require(safe <= sent);
	require(ayre_publisher_wait_safe(publisher, sent + 3, in_ms(10000)) == -EINVAL);
	require(ayre_publisher_wait_safe(publisher, UINT64_MAX, in_ms(10000)) == -EINVAL);
	require(ayre_publisher_wait_safe(publisher, sent + 1, in_ms(10000)) == 0);
	require(info_of_publisher(publisher).safe_messages >= sent + 2);
	send_numbers(publisher, 3);
	require(ayre_publisher_sync(publisher) == 0);
	require(info_of_publisher(publisher).safe_messages == sent + 6);
	require(ayre_publisher_safe_messages(publisher) == (int64_t)sent + 6);
	/* Again, with nothing to do. */
	require(ayre_publisher_sync(publisher) == 0);
	require(ayre_publisher_wait_safe(publisher, sent, 0) == 0);
	send_numbers(publisher, 1);
	ayre_publisher_close(publisher);
	/* And safe by closing, unless nothing ever is. */
	if (way->sync != AYRE_TOPIC_SYNC_NONE)
		require(read_slot(info_of_publisher(publisher = publish_on_disk(PUBLISHER(DISK())))
		                          .id)
		                .sequence == sent + 7);
	else
		publisher = publish_on_disk(PUBLISHER(DISK()));
	require(info_of_publisher(publisher).messages == sent + 7);
	ayre_publisher_close(publisher);
}

TOPIC_TEST(what_is_sent_becomes_safe)
{
	SKIP_UNLESS_ON_DISK();
	for (size_t i = 0; i < WAYS; i++) {
		becomes_safe(&ways[i]);
		becomes_safe(&ways[i]);
		has_numbers(0, 14);
		reboot();
		becomes_safe(&ways[i]);
		has_numbers(0, 21);
		remove_disk_topic();
	}
	return 0;
}

TOPIC_TEST(a_descriptor_tells_what_is_safe)
{
	struct ayre_publisher *publisher;
	int fd;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(ayre_publisher_safe_fd(publisher) == -EOPNOTSUPP);
	ayre_publisher_close(publisher);
	publisher = publish_on_disk(PUBLISHER(DISK(), .flags = AYRE_PUBLISHER_THREAD));
	fd = ayre_publisher_safe_fd(publisher);
	require(fd >= 0 && fd == ayre_publisher_safe_fd(publisher));
	send_numbers(publisher, 5);
	while (ayre_publisher_safe_messages(publisher) < 5)
		require(is_readable(fd, 10000));
	require(ayre_publisher_safe_messages(publisher) == 5);
	require(ayre_publisher_wait_safe(publisher, 4, 0) == 0);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

static int make_some_safe_and_die(void *context)
{
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK()));

	(void)context;
	send_numbers(publisher, 7);
	require(ayre_publisher_sync(publisher) == 0);
	send_numbers(publisher, 3);
	raise(SIGKILL);
	return 1;
}

TOPIC_TEST(the_next_one_knows_what_is_safe)
{
	struct ayre_publisher *publisher;

	SKIP_UNLESS_ON_DISK();
	require(WIFSIGNALED(run_in_child(make_some_safe_and_die, NULL)));
	publisher = publish_on_disk(PUBLISHER(DISK()));
	require(info_of_publisher(publisher).messages == 10);
	require(info_of_publisher(publisher).safe_messages == 7);
	require(ayre_publisher_wait_safe(publisher, 6, 0) == 0);
	require(info_of_publisher(publisher).safe_messages == 7);
	require(ayre_publisher_wait_safe(publisher, 7, AYRE_NO_DEADLINE) == 0);
	require(info_of_publisher(publisher).safe_messages == 10);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

TOPIC_TEST(nothing_is_safe_in_memory)
{
	struct ayre_publisher *publisher =
		publish(PUBLISHER(RING(4096), .flags = AYRE_PUBLISHER_THREAD), "t");

	send_numbers(publisher, 1);
	require(ayre_publisher_sync(publisher) == -EOPNOTSUPP);
	require(ayre_publisher_wait_safe(publisher, 0, 0) == -EOPNOTSUPP);
	require(ayre_publisher_safe_messages(publisher) == -EOPNOTSUPP);
	require(ayre_publisher_safe_fd(publisher) == -EOPNOTSUPP);
	require(info_of_publisher(publisher).safe_messages == 0);
	fails_to_subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_SAFE_ONLY), "t", -EOPNOTSUPP);
	require(ayre_topic_verify("t", NULL, NULL, NULL) == -EOPNOTSUPP);
	ayre_publisher_close(publisher);
	remove_topic("t");
	return 0;
}

/* --- what can be sent --- */

static void send_in_every_way(uint32_t sync, uint32_t flags)
{
	static char data[4][400];
	struct ayre_publisher *publisher = publish_on_disk(
		PUBLISHER(DISK(.sync = sync), .flags = flags | AYRE_PUBLISHER_STAMP));
	struct iovec batch[4];
	uint64_t next = 0;
	void *room;

	for (unsigned int turn = 0; turn < 200; turn++) {
		next = info_of_publisher(publisher).messages;
		send_numbers(publisher, 1);
		require(ayre_publisher_reserve(publisher, 500, &room) == 0);
		write_pattern(room, size_of_number(next + 1), (uint32_t)next + 1);
		require(ayre_publisher_commit(publisher, size_of_number(next + 1)) == 0);
		/* Given up. */
		require(ayre_publisher_reserve(publisher, 500, &room) == 0);
		next += 2;
		for (unsigned int i = 0; i < 4; i++) {
			batch[i] = (struct iovec){data[i], size_of_number(next + i)};
			write_pattern(data[i], batch[i].iov_len, (uint32_t)(next + i));
		}
		for (unsigned int i = 0; i < 4;) {
			ssize_t sent = ayre_publisher_send_batch(publisher, batch + i, 4 - i);

			require(sent > 0);
			i += (unsigned int)sent;
		}
		next += 4;
		write_pattern(data[0], size_of_number(next), (uint32_t)next);
		require(ayre_publisher_send_until(publisher, data[0], size_of_number(next),
		                                  in_ms(10000)) == 0);
		next++;
	}
	require(info_of_publisher(publisher).messages == next && next == 7 * 200);
	ayre_publisher_close(publisher);
	has_numbers(0, next);
	reboot();
	has_numbers(0, next);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
}

TOPIC_TEST(whatever_is_sent_is_in_the_log)
{
	SKIP_UNLESS_ON_DISK();
	for (size_t i = 0; i < WAYS; i++)
		send_in_every_way(ways[i].sync, ways[i].flags);
	return 0;
}

static int make_read_only(void *context)
{
	char path[NAME_BYTES];

	(void)context;
	require(chmod(disk_file("", path), 0555) == 0);
	become(NOBODY, NOBODY);
	fails_to_publish(PUBLISHER(DISK()), disk_topic(), -EACCES);
	return 0;
}

TOPIC_TEST(who_may_not_write_there)
{
	struct ayre_publisher *publisher;

	SKIP_UNLESS_ON_DISK();
	if (!is_root())
		return skipped("this user cannot become another one");
	publisher = publish_on_disk(PUBLISHER(DISK()));
	ayre_publisher_close(publisher);
	require(run_in_child(make_read_only, NULL) == 0);
	remove_disk_topic();
	return 0;
}

/* --- safe only --- */

TOPIC_TEST(who_wants_what_is_safe_sees_no_more)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber, *other;
	uint64_t next = 0, other_next = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_SAFE_ONLY);
	other = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	for (uint64_t sent = 0; sent < 3000;) {
		uint64_t safe = sent;

		sent += 1 + sent % 97;
		send_numbers(publisher, sent - info_of_publisher(publisher).messages);
		/* A full extent is flushed by itself. */
		safe = info_of_publisher(publisher).safe_messages;
		require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == safe);
		require(receive_numbers(other, &other_next, 0) == -EAGAIN && other_next == sent);
		require(ayre_publisher_sync(publisher) == 0);
		require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == sent);
	}
	ayre_subscriber_close(other);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

/* All that can be had by peeking at many at once. */
static uint64_t peek_all(struct ayre_subscriber *subscriber)
{
	struct ayre_message messages[64];
	uint64_t next = 0;
	ssize_t count;

	while ((count = ayre_subscriber_try_peek_batch(subscriber, messages, 64)) > 0) {
		for (ssize_t i = 0; i < count; i++, next++)
			require(messages[i].sequence == next &&
			        is_message(&messages[i], size_of_number(next), (uint32_t)next));
		require(ayre_subscriber_release(subscriber) == 0);
	}
	require(count == -EAGAIN);
	return next;
}

/* Whole records go on behind it, in the log and in the ring. */
TOPIC_TEST(what_is_safe_ends_in_the_middle_of_a_log)
{
	struct ayre_publisher *publisher;

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	for (uint64_t i = 1; i < 400; i += 1 + i / 3) {
		struct ayre_subscriber *receives, *peeks;
		uint64_t next = 0, safe;

		send_numbers(publisher, i % 7);
		require(ayre_publisher_sync(publisher) == 0);
		send_numbers(publisher, i);
		safe = info_of_publisher(publisher).safe_messages;
		receives = subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_SAFE_ONLY);
		peeks = subscribe_on_disk(AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_SAFE_ONLY);
		require(receive_numbers(receives, &next, 0) == -EAGAIN && next == safe);
		require(peek_all(peeks) == safe);
		ayre_subscriber_close(peeks);
		ayre_subscriber_close(receives);
	}
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

static int wait_for_three(void *context)
{
	atomic_uint *at = context;
	struct ayre_subscriber *subscriber = subscribe_on_disk(
		AYRE_FROM_OLDEST, 0, AYRE_SUBSCRIBER_SAFE_ONLY | AYRE_SUBSCRIBER_UNTIL_CLOSED);
	uint64_t next = 0;

	announce(at, 1);
	require(receive_numbers(subscriber, &next, in_ms(30000)) == -EPIPE);
	require(next == 4);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* Asleep, it is woken by a flush and not by a message. */
static void wakes_who_waits(uint32_t sync, uint32_t flags)
{
	struct ayre_publisher *publisher =
		publish_on_disk(PUBLISHER(DISK(.sync = sync), .flags = flags));
	atomic_uint *at = share_memory(sizeof(*at));
	pid_t child;

	send_numbers(publisher, 1);
	child = start_child(wait_for_three, at);
	await(at, 1);
	await_sleep(child);
	send_numbers(publisher, 1);
	require(ayre_publisher_sync(publisher) == 0);
	await_sleep(child);
	send_numbers(publisher, 2);
	await_sleep(child);
	/* With this the rest is safe, and that it has closed. */
	ayre_publisher_close(publisher);
	require(end_of(child) == 0);
	unshare_memory(at, sizeof(*at));
	remove_disk_topic();
}

TOPIC_TEST(who_waits_for_what_is_safe_is_woken)
{
	SKIP_UNLESS_ON_DISK();
	for (size_t i = 0; i < WAYS; i++)
		if (ways[i].sync != AYRE_TOPIC_SYNC_NONE)
			wakes_who_waits(ways[i].sync, ways[i].flags);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_topic_on_a_disk_is_durable),
		counted_test(extents_have_limits),
		counted_test(what_can_never_be_right),
		counted_test(what_is_sent_becomes_safe),
		counted_test(a_descriptor_tells_what_is_safe),
		counted_test(the_next_one_knows_what_is_safe),
		counted_test(nothing_is_safe_in_memory),
		counted_test(whatever_is_sent_is_in_the_log),
		counted_test(who_may_not_write_there),
		counted_test(who_wants_what_is_safe_sees_no_more),
		counted_test(what_is_safe_ends_in_the_middle_of_a_log),
		counted_test(who_waits_for_what_is_safe_is_woken),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_contract", tests);
}
