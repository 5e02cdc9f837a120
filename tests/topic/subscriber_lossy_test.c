/*
 * Those who may miss messages: what they get is whole and in order, what they do not get is counted to
 * the last one, and nobody waits for them.
 */
#include "topic/topic_world.h"

#include <signal.h>

#define NAME "lossy"

static const struct ayre_topic_options *topic(uint64_t ring_bytes)
{
	static struct ayre_topic_options options;

	options = (struct ayre_topic_options){
		.size = sizeof(options),
		.flags = AYRE_TOPIC_LOSSY,
		.ring_bytes = ring_bytes,
	};
	return &options;
}

/* Sizes by the number: every so many more than the ring holds, and these are of three sizes. */
static size_t size_of(uint32_t number, unsigned int every)
{
	return every && number % every == 0 ? 4000 + number % 3 * 1000 : number % 200;
}

struct flood {
	atomic_uint ready, over, go;
	uint64_t sent;
	int64_t pause_ns;
	unsigned int every; /* so many is large; 0: none */
	bool in_place;
	uint64_t received, missed, stale;
};

static int send_without_waiting(void *context)
{
	struct flood *flood = context;
	struct ayre_publisher *publisher =
		publish(PUBLISHER(.topic = topic(4096), .large_bytes = 20000), NAME);
	char bytes[6000];
	uint32_t i = 0;

	await(&flood->go, 1);
	for (; !atomic_load(&flood->over); i++) {
		size_t length = size_of(i, flood->every);

		write_pattern(bytes, length, i);
		require(ayre_publisher_try_send(publisher, bytes, length) == 0);
		/* As fast as can be, and now and then not at all. */
		if (i % 1000 == 0)
			pause_ns(100000);
	}
	flood->sent = i;
	require(info_of_publisher(publisher).waits == 0);
	ayre_publisher_close(publisher);
	return 0;
}

/* true: there was one, and it was whole. */
static bool take_copy(struct ayre_subscriber *subscriber, struct flood *flood, uint64_t *next)
{
	struct ayre_message message;
	char bytes[6000];
	ssize_t got = ayre_subscriber_receive_until(subscriber, bytes, sizeof(bytes), &message,
	                                            in_ms(10000));

	if (got == -EPIPE)
		return false;
	require(got >= 0 && message.sequence >= *next);
	require(is_message(&message, size_of((uint32_t)message.sequence, flood->every),
	                   (uint32_t)message.sequence));
	flood->missed += message.sequence - *next;
	*next = message.sequence + 1;
	flood->received++;
	return true;
}

/* In place: whole, or said to be stale. */
static bool take_in_place(struct ayre_subscriber *subscriber, struct flood *flood, uint64_t *next)
{
	struct ayre_message message;
	int result = ayre_subscriber_peek_until(subscriber, &message, in_ms(10000));
	char bytes[6000];

	if (result == -EPIPE)
		return false;
	require(result == 0 && message.bytes <= sizeof(bytes));
	/* Long enough for some of the files to be used again. */
	if (flood->every && random_below(4) == 0)
		pause_ns(20000);
	memcpy(bytes, message.data, message.bytes);
	result = ayre_subscriber_release(subscriber);
	if (result == -ESTALE) {
		flood->stale++;
		return true;
	}
	message.data = bytes;
	require(result == 0 && message.sequence >= *next);
	require(is_message(&message, size_of((uint32_t)message.sequence, flood->every),
	                   (uint32_t)message.sequence));
	flood->missed += message.sequence - *next;
	*next = message.sequence + 1;
	flood->received++;
	return true;
}

static int read_what_is_left(void *context)
{
	struct flood *flood = context;
	struct ayre_subscriber *subscriber = subscribe(
		SUBSCRIBER(.topic = topic(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	struct ayre_subscriber_info info;
	uint64_t next = 0;

	announce(&flood->ready, 1);
	while (flood->in_place ? take_in_place(subscriber, flood, &next)
	                       : take_copy(subscriber, flood, &next))
		if (flood->pause_ns && random_below(50) == 0)
			pause_ns(flood->pause_ns);
	info = info_of_subscriber(subscriber);
	require(info.received == flood->received);
	/* Also those behind the last one that came. */
	require(info.missed >= flood->missed);
	flood->missed = info.missed;
	ayre_subscriber_close(subscriber);
	return 0;
}

static void flood_over(const char *what, struct flood with)
{
	struct flood *flood = share_memory(sizeof(*flood));
	pid_t reader, writer;
	int stops = long_form() ? 1000 : 20;

	*flood = with;
	reader = start_child(read_what_is_left, flood);
	await(&flood->ready, 1);
	writer = start_child(send_without_waiting, flood);
	announce(&flood->go, 1);
	for (int i = 0; i < stops; i++) {
		pause_ns(5 * MILLISECOND);
		/* One that does not run at all for a while. */
		kill(reader, SIGSTOP);
		pause_ns(random_below(20) * MILLISECOND / 4);
		kill(reader, SIGCONT);
	}
	atomic_store(&flood->over, 1);
	require(end_of(writer) == 0);
	require(end_of(reader) == 0);
	print_message("# %s: %llu sent, %llu received, %llu missed, %llu stale\n", what,
	              (unsigned long long)flood->sent, (unsigned long long)flood->received,
	              (unsigned long long)flood->missed, (unsigned long long)flood->stale);
	require(flood->received + flood->missed == flood->sent);
	require(flood->received > 0 && flood->missed > 0);
	unshare_memory(flood, sizeof(*flood));
	remove_topic(NAME);
}

TOPIC_TEST(copies_are_whole_and_gaps_are_exact)
{
	flood_over("copies", (struct flood){0});
	return 0;
}

TOPIC_TEST(copies_are_whole_for_a_slow_reader)
{
	flood_over("copies, slow", (struct flood){.pause_ns = MILLISECOND});
	return 0;
}

TOPIC_TEST(looks_in_place_are_whole_or_stale)
{
	flood_over("in place", (struct flood){.in_place = true});
	flood_over("in place, slow", (struct flood){.in_place = true, .pause_ns = MILLISECOND});
	return 0;
}

TOPIC_TEST(large_ones_are_whole_or_missed)
{
	flood_over("large", (struct flood){.every = 31});
	flood_over("large, in place", (struct flood){.every = 31, .in_place = true});
	/* Where the ring tells of more than there are files. */
	flood_over("only large", (struct flood){.every = 1});
	flood_over("only large, in place", (struct flood){.every = 1, .in_place = true});
	return 0;
}

/* --- without a race --- */

TOPIC_TEST(every_count_of_messages_is_told_exactly)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(.topic = topic(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint64_t sent = 0, received = 0, next = 0;

	for (uint64_t round = 1; round < 600; round++) {
		struct ayre_message message;
		uint64_t number;

		for (uint64_t i = 0; i < round; i++)
			send_number(publisher, sent++);
		while (ayre_subscriber_try_receive(subscriber, &number, 8, &message) == 8) {
			require(number == message.sequence && number >= next);
			next = number + 1;
			received++;
		}
		require(next == sent);
		require(info_of_subscriber(subscriber).received == received);
		require(info_of_subscriber(subscriber).missed == sent - received);
		/* What certainly fits into the ring is not missed. */
		require(round > 220 || sent == received);
	}
	require(sent > received);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Half a ring is still to come for one who was overtaken, so that it is not at once again. */
TOPIC_TEST(one_that_was_overtaken_gets_half_a_ring)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(.topic = topic(1 << 16)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint64_t sent = 0, number;

	for (int round = 0; round < 20; round++) {
		while (sent < 10000u * (unsigned int)(round + 1))
			send_number(publisher, sent++);
		number = receive_number(subscriber);
		require(sent - number >= 4096 / 2 - 4096 / 8 && sent - number <= 4096 / 2);
		while (number + 1 < sent)
			require(receive_number(subscriber) == ++number);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* A lane that comes and is full before it is found: its first messages count as missed, too. */
TOPIC_TEST(what_went_before_a_lane_was_found_is_counted)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(.topic = topic(4096)), NAME);
	struct ayre_publisher *publisher = publish(NULL, NAME);
	struct ayre_message message;
	uint64_t number, received = 0;

	for (uint64_t i = 0; i < 10000; i++)
		send_number(publisher, i);
	while (ayre_subscriber_receive_until(subscriber, &number, 8, &message, in_ms(20)) == 8)
		received++;
	require(number == 9999);
	require(info_of_subscriber(subscriber).received == received);
	require(info_of_subscriber(subscriber).missed == 10000 - received);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Beside one for whom it waits. */
TOPIC_TEST(a_lossy_subscriber_of_a_reliable_topic_misses_alone)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *lossy = subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_LOSSY), NAME);
	struct ayre_subscriber *reliable = subscribe(NULL, NAME);
	uint64_t number = 0, next = 0;

	for (uint64_t i = 0; i < 5000; i++) {
		send_number(publisher, i);
		require(receive_number(reliable) == i);
	}
	while (ayre_subscriber_try_receive(lossy, &number, 8, NULL) == 8) {
		require(number >= next);
		next = number + 1;
	}
	require(next == 5000);
	require(info_of_subscriber(lossy).received + info_of_subscriber(lossy).missed == 5000);
	require(info_of_subscriber(lossy).missed > 4000);
	require(info_of_subscriber(reliable).missed == 0);
	ayre_subscriber_close(reliable);
	ayre_subscriber_close(lossy);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* What is overwritten while it is looked at is missed: the rest comes. */
TOPIC_TEST(a_batch_that_was_overwritten_is_stale)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(.topic = topic(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	struct ayre_message messages[16], message;
	uint64_t number;

	for (uint64_t i = 0; i < 16; i++)
		send_number(publisher, i);
	require(ayre_subscriber_try_peek_batch(subscriber, messages, 16) == 16);
	for (uint64_t i = 16; i < 1016; i++)
		send_number(publisher, i);
	require(ayre_subscriber_release(subscriber) == -ESTALE);
	require(ayre_subscriber_release(subscriber) == -EINVAL);
	require(ayre_subscriber_try_receive(subscriber, &number, 8, &message) == 8);
	require(message.sequence == number && number > 16);
	require(info_of_subscriber(subscriber).missed == number);
	while (number < 1015)
		require(receive_number(subscriber) == ++number);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(copies_are_whole_and_gaps_are_exact),
		counted_test(copies_are_whole_for_a_slow_reader),
		counted_test(looks_in_place_are_whole_or_stale),
		counted_test(large_ones_are_whole_or_missed),
		counted_test(every_count_of_messages_is_told_exactly),
		counted_test(one_that_was_overtaken_gets_half_a_ring),
		counted_test(what_went_before_a_lane_was_found_is_counted),
		counted_test(a_lossy_subscriber_of_a_reliable_topic_misses_alone),
		counted_test(a_batch_that_was_overwritten_is_stale),
	};

	use_topic_root();
	return run_counted("lossy topics", tests);
}
