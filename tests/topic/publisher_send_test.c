/*
 * Sending: every size, in order, whole and once; with stamps, and with what is told of it.
 */
#include "topic/topic_world.h"

#define NAME      "sending"
#define RING_SIZE 4096u

/* --- sizes --- */

static size_t sizes[1000];
static size_t size_count;

static void add_sizes(size_t from, size_t to)
{
	for (size_t size = from; size <= to; size++)
		sizes[size_count++] = size;
}

/* All short ones, and those at the edges: of a record in the ring, of the ring, of three rings. */
static void choose_sizes(void)
{
	size_count = 0;
	add_sizes(0, 300);
	add_sizes(RING_SIZE / 4 - 40, RING_SIZE / 4 + 40);
	add_sizes(RING_SIZE - 20, RING_SIZE + 20);
	add_sizes(3 * RING_SIZE - 4, 3 * RING_SIZE + 4);
	add_sizes(100000, 100003);
}

struct way {
	uint32_t publisher_flags, subscriber_flags;
	bool in_place;
	atomic_uint ready;
};

static int receive_every_size(void *context)
{
	struct way *way = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(RING_SIZE), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	struct ayre_message message;
	char byte;

	announce(&way->ready, 1);
	for (uint32_t i = 0; i < size_count; i++) {
		if (!way->in_place) {
			receive_pattern(subscriber, sizes[i], i);
			continue;
		}
		require(ayre_subscriber_peek(subscriber, &message) == 0);
		require(is_message(&message, sizes[i], i) && message.sequence == i);
		require((message.time_ns != -1) == (way->publisher_flags != 0));
		require(ayre_subscriber_release(subscriber) == 0);
	}
	require(ayre_subscriber_receive(subscriber, &byte, 1, NULL) == -EPIPE);
	ayre_subscriber_close(subscriber);
	return 0;
}

static void send_every_size(uint32_t flags, bool in_place)
{
	struct way *way = share_memory(sizeof(*way));
	struct ayre_publisher *publisher;
	pid_t child;

	choose_sizes();
	*way = (struct way){.publisher_flags = flags, .in_place = in_place};
	child = start_child(receive_every_size, way);
	await(&way->ready, 1);
	publisher = publish(PUBLISHER(.flags = flags), NAME);
	for (uint32_t i = 0; i < size_count; i++) {
		void *data;

		if (!in_place) {
			send_pattern(publisher, sizes[i], i);
			continue;
		}
		require(ayre_publisher_reserve(publisher, sizes[i], &data) == 0);
		require((uintptr_t)data % 8 == 0);
		write_pattern(data, sizes[i], i);
		require(ayre_publisher_commit(publisher, sizes[i]) == 0);
	}
	require(info_of_publisher(publisher).messages == size_count);
	ayre_publisher_close(publisher);
	require(end_of(child) == 0);
	remove_topic(NAME);
	unshare_memory(way, sizeof(*way));
}

TOPIC_TEST(every_size_arrives_as_it_was_sent)
{
	send_every_size(0, false);
	return 0;
}

TOPIC_TEST(every_size_arrives_in_place)
{
	send_every_size(0, true);
	return 0;
}

TOPIC_TEST(every_size_arrives_with_a_stamp)
{
	send_every_size(AYRE_PUBLISHER_STAMP, false);
	send_every_size(AYRE_PUBLISHER_STAMP, true);
	return 0;
}

/* --- order --- */

#define ORDERED 300000u

static int receive_in_order(void *context)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(1 << 16)), NAME);
	struct ayre_message message;
	uint64_t number;

	announce((atomic_uint *)context, 1);
	for (uint64_t i = 0; i < ORDERED; i++) {
		require(ayre_subscriber_receive(subscriber, &number, sizeof(number), &message) ==
		        8);
		require(number == i && message.sequence == i && message.time_ns == -1);
	}
	nothing_is_there(subscriber);
	require(info_of_subscriber(subscriber).received == ORDERED);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(messages_arrive_in_order_and_once)
{
	atomic_uint *ready = share_memory(sizeof(*ready));
	pid_t child = start_child(receive_in_order, ready);
	struct ayre_publisher *publisher;

	await(ready, 1);
	publisher = publish(NULL, NAME);
	for (uint64_t i = 0; i < ORDERED; i++)
		send_number(publisher, i);
	require(end_of(child) == 0);
	ayre_publisher_close(publisher);
	unshare_memory(ready, sizeof(*ready));
	remove_topic(NAME);
	return 0;
}

/* --- what is known of them --- */

TOPIC_TEST(a_stamp_is_the_time_of_sending)
{
	struct ayre_publisher *plain = publish(NULL, NAME);
	struct ayre_publisher *stamping = publish(PUBLISHER(.flags = AYRE_PUBLISHER_STAMP), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message message;
	uint64_t number;

	for (uint64_t i = 0; i < 100; i++) {
		int64_t before = realtime_ns();

		send_number(stamping, i);
		require(ayre_subscriber_receive(subscriber, &number, 8, &message) == 8);
		require(message.time_ns >= before && message.time_ns <= realtime_ns());
		send_number(plain, i);
		require(ayre_subscriber_receive(subscriber, &number, 8, &message) == 8);
		require(message.time_ns == -1 && number == i);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(stamping);
	ayre_publisher_close(plain);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(the_largest_message_is_told)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	uint64_t most = ayre_publisher_message_max(publisher);
	void *data;

	require(most >= UINT64_C(1) << 40);
	require(ayre_publisher_send(publisher, "", most + 1) == -EMSGSIZE);
	require(ayre_publisher_try_send(publisher, "", most + 1) == -EMSGSIZE);
	require(ayre_publisher_reserve(publisher, most + 1, &data) == -EMSGSIZE);
	require(info_of_publisher(publisher).messages == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(what_a_publisher_tells_of_itself)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	struct ayre_subscriber *subscriber;
	struct ayre_publisher_info info = {.size = offsetof(struct ayre_publisher_info, messages)};
	char last[NAME_BYTES];

	require(ayre_publisher_get_info(publisher, &info) == 0);
	require(count_peers(NAME, "pub.", "", last) == 1);
	require(strtoull(last + 4, NULL, 16) == info.id && info.ring_bytes == 0);
	require(ayre_publisher_get_info(publisher, &(struct ayre_publisher_info){0}) == -EINVAL);
	require(info_of_publisher(publisher).subscribers == 0);
	subscriber = subscribe(NULL, NAME);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(1000)) == 1);
	require(info_of_publisher(publisher).subscribers == 1);
	require(ayre_publisher_wait_subscribers(publisher, 2, 0) == -ETIMEDOUT);
	require(ayre_publisher_wait_subscribers(publisher, 0, 0) == 1);
	send_number(publisher, 1);
	info = info_of_publisher(publisher);
	require(info.messages == 1 && info.ring_bytes == RING_SIZE && info.waits == 0);
	ayre_subscriber_close(subscriber);
	require(ayre_publisher_wait_subscribers(publisher, 0, 0) == 0);
	ayre_publisher_close(publisher);
	ayre_publisher_close(NULL);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_size_arrives_as_it_was_sent),
		counted_test(every_size_arrives_in_place),
		counted_test(every_size_arrives_with_a_stamp),
		counted_test(messages_arrive_in_order_and_once),
		counted_test(a_stamp_is_the_time_of_sending),
		counted_test(the_largest_message_is_told),
		counted_test(what_a_publisher_tells_of_itself),
	};

	use_topic_root();
	return run_counted("sending", tests);
}
