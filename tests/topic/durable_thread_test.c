/*
 * A journal in a thread of its own, between its publisher and a subscriber who believes only what is safe: three
 * threads of one process, so that a thread sanitizer sees all of them.
 */
#include "topic/topic_world.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#define MESSAGES (long_form() ? 2000000u : is_sanitized() ? 20000u : 100000u)

static char name[NAME_BYTES];
static atomic_uint received;

static bool is_on_disk(const struct ayre_topic_options *options)
{
	snprintf(name, sizeof(name), "%s/topic", test_directory());
	return ayre_topic_create(options, name, NULL) == 1;
}

#define needs_disk(...) \
	do { \
		if (!is_on_disk(TOPIC(.flags = AYRE_TOPIC_DURABLE, __VA_ARGS__))) \
			return skipped("temporary files are in memory here"); \
	} while (0)

static size_t size_of(uint32_t number)
{
	return number * 7 % 131;
}

static uint64_t safe_messages(struct ayre_publisher *publisher)
{
	int64_t safe = ayre_publisher_safe_messages(publisher);

	require(safe >= 0);
	return (uint64_t)safe;
}

/* --- a stream --- */

static void *receive_all(void *context)
{
	struct ayre_subscriber *subscriber = context;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		receive_pattern(subscriber, size_of(i), i);
		atomic_store(&received, i + 1);
	}
	return NULL;
}

static int stream(enum ayre_topic_sync sync)
{
	struct ayre_subscriber *subscriber;
	struct ayre_publisher *publisher;
	pthread_t reader;

	needs_disk(.ring_bytes = 16384, .extent_bytes = 1u << 20, .sync = sync);
	publisher = publish(PUBLISHER(.flags = AYRE_PUBLISHER_THREAD), name);
	subscriber = subscribe(
		SUBSCRIBER(.flags = sync == AYRE_TOPIC_SYNC_NONE ? 0 : AYRE_SUBSCRIBER_SAFE_ONLY),
		name);
	require(pthread_create(&reader, NULL, receive_all, subscriber) == 0);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		send_pattern(publisher, size_of(i), i);
		if (i % 1000 == 999) {
			require(ayre_publisher_wait_safe(publisher, i - 500, AYRE_NO_DEADLINE) ==
			        0);
			require(safe_messages(publisher) > i - 500);
		}
	}
	/* It has all of it once it is safe, and is woken for it, with nothing sent any more. */
	require(ayre_publisher_sync(publisher) == 0);
	require(safe_messages(publisher) == MESSAGES);
	require(pthread_join(reader, NULL) == 0);
	require(atomic_load(&received) == MESSAGES);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(what_is_safe_arrives_and_nothing_else)
{
	return stream(AYRE_TOPIC_SYNC_GROUP);
}

TOPIC_TEST(where_nothing_is_flushed_it_can_be_asked_for)
{
	return stream(AYRE_TOPIC_SYNC_NONE);
}

TOPIC_TEST(each_is_safe_when_it_is_sent)
{
	struct ayre_publisher *publisher;

	needs_disk(.sync = AYRE_TOPIC_SYNC_EACH);
	publisher = publish(PUBLISHER(.flags = AYRE_PUBLISHER_THREAD), name);
	for (uint32_t i = 0; i < 50; i++) {
		send_pattern(publisher, size_of(i), i);
		require(safe_messages(publisher) == i + 1);
	}
	ayre_publisher_close(publisher);
	remove_topic(name);
	return 0;
}

/* --- told by a descriptor --- */

TOPIC_TEST(a_descriptor_tells_what_has_become_safe)
{
	struct pollfd wait = {.events = POLLIN};
	struct ayre_publisher *publisher;

	needs_disk(.sync = AYRE_TOPIC_SYNC_GROUP);
	publisher = publish(PUBLISHER(.flags = AYRE_PUBLISHER_THREAD), name);
	wait.fd = ayre_publisher_safe_fd(publisher);
	require(wait.fd >= 0);
	for (uint32_t i = 0; i < 20; i++) {
		send_pattern(publisher, size_of(i), i);
		while (safe_messages(publisher) <= i)
			require(poll(&wait, 1, 20000) == 1);
	}
	/* Asked, it says no more until there is more. */
	safe_messages(publisher);
	require(poll(&wait, 1, 50) == 0);
	ayre_publisher_close(publisher);
	publisher = publish(PUBLISHER(.flags = 0), name);
	require(ayre_publisher_safe_fd(publisher) == -EOPNOTSUPP);
	ayre_publisher_close(publisher);
	remove_topic(name);
	return 0;
}

/* --- idle --- */

/* A subscriber that sleeps is woken when it is safe, and not for what is not; what waits takes no time. */
TOPIC_TEST(who_waits_for_what_is_safe_sleeps)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};
	struct ayre_subscriber *subscriber;
	struct ayre_publisher *publisher;
	struct ayre_message message;
	char data[8];

	needs_disk(.sync = AYRE_TOPIC_SYNC_GROUP);
	publisher = publish(PUBLISHER(.flags = 0), name);
	subscriber = subscribe(
		SUBSCRIBER(.flags = AYRE_SUBSCRIBER_SAFE_ONLY, .spin_ns = AYRE_SPIN_NONE), name);
	send_pattern(publisher, 8, 0);
	require(ayre_subscriber_receive_until(subscriber, data, 8, &message,
	                                      now_ns() + 50 * MILLISECOND) == -ETIMEDOUT);
	require(ayre_publisher_sync(publisher) == 0);
	receive_pattern(subscriber, 8, 0);
	require(ayre_subscriber_get_info(subscriber, &info) == 0 && info.sleeps > 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_is_safe_arrives_and_nothing_else),
		counted_test(where_nothing_is_flushed_it_can_be_asked_for),
		counted_test(each_is_safe_when_it_is_sent),
		counted_test(a_descriptor_tells_what_has_become_safe),
		counted_test(who_waits_for_what_is_safe_sleeps),
	};

	use_topic_root();
	return run_counted("durable_thread", tests);
}
