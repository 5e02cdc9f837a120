/*
 * Messages written in place, and several at once: seen when they are committed, and all of a batch or
 * nothing.
 */
#include "topic/topic_world.h"

#define NAME      "reserving"
#define RING_SIZE 4096u

/* --- in place --- */

TOPIC_TEST(what_is_reserved_is_seen_when_it_is_committed)
{
	static const size_t rooms[] = {0, 1, 100, 1000, 5000, 50000};
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint32_t number = 0;

	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++)
		for (size_t part = 0; part <= 2; part++) {
			size_t bytes = rooms[i] * part / 2;
			void *data;

			require(ayre_publisher_reserve(publisher, rooms[i], &data) == 0);
			write_pattern(data, bytes, number);
			nothing_is_there(subscriber);
			/* More than was asked for is refused, and nothing is lost by that. */
			require(ayre_publisher_commit(publisher, rooms[i] + 1) == -EINVAL);
			require(ayre_publisher_commit(publisher, bytes) == 0);
			receive_pattern(subscriber, bytes, number++);
			require(ayre_publisher_commit(publisher, 0) == -EINVAL);
			nothing_is_there(subscriber);
		}
	require(info_of_publisher(publisher).messages == number);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

static struct ayre_publisher *giver;

static void give_up_by_sending(void)
{
	send_number(giver, 1);
}

static void give_up_by_trying(void)
{
	require(try_send_number(giver, 1) == 0);
}

static void give_up_by_batch(void)
{
	uint64_t number = 1;
	const struct iovec batch = {&number, sizeof(number)};

	require(ayre_publisher_send_batch(giver, &batch, 1) == 1);
}

static void give_up_by_reserving(void)
{
	void *data;
	uint64_t number = 1;

	require(ayre_publisher_try_reserve(giver, sizeof(number), &data) == 0);
	memcpy(data, &number, sizeof(number));
	require(ayre_publisher_commit(giver, sizeof(number)) == 0);
}

static void give_up_by_failing(void)
{
	void *data = &data;

	require(ayre_publisher_reserve(giver, SIZE_MAX, &data) == -EMSGSIZE && data == &data);
}

static void give_up_by_failing_to_send(void)
{
	require(ayre_publisher_send(giver, "", SIZE_MAX) == -EMSGSIZE);
}

static void give_up_by_waiting(void)
{
	require(ayre_publisher_wait_subscribers(giver, 1, 0) == 1);
}

TOPIC_TEST(any_other_call_gives_a_reservation_up)
{
	static const struct {
		void (*call)(void);
		bool sends;
	} calls[] = {
		{give_up_by_sending, true},  {give_up_by_trying, true},
		{give_up_by_batch, true},    {give_up_by_reserving, true},
		{give_up_by_failing, false}, {give_up_by_failing_to_send, false},
		{give_up_by_waiting, false},
	};
	struct ayre_subscriber *subscriber;

	giver = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	subscriber = subscribe(NULL, NAME);
	for (size_t i = 0; i < 2 * sizeof(calls) / sizeof(*calls); i++) {
		void *data;

		/* In the ring, and beside it. */
		require(ayre_publisher_reserve(giver, i % 2 ? 100 : 100000, &data) == 0);
		memset(data, 'x', 100);
		calls[i / 2].call();
		if (ayre_publisher_commit(giver, 0) != -EINVAL)
			fprintf(stderr, "call %zu keeps it\n", i);
		require(ayre_publisher_commit(giver, 0) == -EINVAL);
		require(!calls[i / 2].sends || receive_number(subscriber) == 1);
		nothing_is_there(subscriber);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(giver);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(closing_gives_a_reservation_up)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(RING_SIZE), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);

	for (unsigned int i = 0; i < 2; i++) {
		struct ayre_publisher *publisher = publish(NULL, NAME);
		void *data;

		require(ayre_publisher_commit(publisher, 0) == -EINVAL);
		send_number(publisher, i);
		require(ayre_publisher_reserve(publisher, i ? 100 : 100000, &data) == 0);
		memset(data, 'x', 100);
		ayre_publisher_close(publisher);
		require(receive_number(subscriber) == i);
	}
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) == -EPIPE);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* --- batches --- */

#define BATCH 20u
/* Long ones, so that it takes a while to write them. */
#define EACH 2048u

/* Each begins with its number. */
static void make_batch(struct iovec batch[static BATCH], char bytes[static BATCH][EACH],
                       uint64_t first)
{
	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t number = first + i;

		memcpy(bytes[i], &number, sizeof(number));
		batch[i] = (struct iovec){bytes[i], EACH};
	}
}

struct batches {
	atomic_uint ready;
	unsigned int count;
};

/* Who sees the first of a batch sees all of it. */
static int look_at_batches(void *context)
{
	struct batches *batches = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(1 << 20), .spin_ns = AYRE_SPIN_FOREVER), NAME);
	struct ayre_message messages[BATCH];

	announce(&batches->ready, 1);
	for (uint64_t i = 0; i < batches->count; i++) {
		require(ayre_subscriber_peek(subscriber, messages) == 0);
		require(ayre_subscriber_try_peek_batch(subscriber, messages, BATCH) == BATCH);
		for (uint64_t j = 0; j < BATCH; j++) {
			uint64_t number;

			require(messages[j].bytes == EACH);
			memcpy(&number, messages[j].data, sizeof(number));
			require(number == i * BATCH + j && messages[j].sequence == number);
		}
		require(ayre_subscriber_release(subscriber) == 0);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

static void send_batches(uint32_t flags)
{
	struct batches *batches = share_memory(sizeof(*batches));
	struct ayre_publisher *publisher;
	struct iovec batch[BATCH];
	static char bytes[BATCH][EACH];
	pid_t child;

	batches->count = long_form() ? 1000000 : 20000;
	child = start_child(look_at_batches, batches);
	await(&batches->ready, 1);
	publisher = publish(PUBLISHER(.flags = flags), NAME);
	for (uint64_t i = 0; i < batches->count; i++) {
		ssize_t sent = 0;

		make_batch(batch, bytes, i * BATCH);
		/* Only whole ones, here: room for one is waited for. */
		while (sent == 0) {
			void *room;

			require(ayre_publisher_reserve(publisher, BATCH * (EACH + 64), &room) == 0);
			sent = ayre_publisher_send_batch(publisher, batch, BATCH);
		}
		require(sent == BATCH);
	}
	require(end_of(child) == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(batches, sizeof(*batches));
}

TOPIC_TEST(a_batch_appears_at_once)
{
	send_batches(0);
	send_batches(AYRE_PUBLISHER_STAMP);
	return 0;
}

TOPIC_TEST(a_batch_that_does_not_fit_goes_in_parts)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	static char bytes[BATCH][400];
	struct iovec batch[BATCH];
	size_t sent = 0, received = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		write_pattern(bytes[i], sizeof(bytes[i]), i);
		batch[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
	}
	while (received < BATCH) {
		if (sent < BATCH) {
			ssize_t more =
				ayre_publisher_send_batch(publisher, batch + sent, BATCH - sent);

			require(more >= 1 && more < (ssize_t)BATCH);
			sent += (size_t)more;
		}
		receive_pattern(subscriber, sizeof(bytes[0]), (uint32_t)received++);
		require(received <= sent);
	}
	nothing_is_there(subscriber);
	require(ayre_publisher_send_batch(publisher, batch, 0) == 0);
	require(ayre_publisher_send_batch(publisher, NULL, 0) == 0);
	nothing_is_there(subscriber);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_batch_may_have_messages_that_travel_beside_the_ring)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(RING_SIZE)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	static char large[20000];
	char a = 'a', b = 'b', c = 'c';
	struct iovec batch[] = {{&a, 1}, {&b, 1}, {large, sizeof(large)}, {&c, 1}};
	const size_t count = sizeof(batch) / sizeof(*batch);
	char byte;

	write_pattern(large, sizeof(large), 9);
	for (size_t sent = 0; sent < count;) {
		ssize_t more = ayre_publisher_send_batch(publisher, batch + sent, count - sent);

		require(more >= 1);
		sent += (size_t)more;
	}
	require(ayre_subscriber_receive(subscriber, &byte, 1, NULL) == 1 && byte == 'a');
	require(ayre_subscriber_receive(subscriber, &byte, 1, NULL) == 1 && byte == 'b');
	receive_pattern(subscriber, sizeof(large), 9);
	require(ayre_subscriber_receive(subscriber, &byte, 1, NULL) == 1 && byte == 'c');
	batch[0].iov_len = SIZE_MAX;
	require(ayre_publisher_send_batch(publisher, batch, 1) == -EMSGSIZE);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_is_reserved_is_seen_when_it_is_committed),
		counted_test(any_other_call_gives_a_reservation_up),
		counted_test(closing_gives_a_reservation_up),
		counted_test(a_batch_appears_at_once),
		counted_test(a_batch_that_does_not_fit_goes_in_parts),
		counted_test(a_batch_may_have_messages_that_travel_beside_the_ring),
	};

	use_topic_root();
	return run_counted("in place and in batches", tests);
}
