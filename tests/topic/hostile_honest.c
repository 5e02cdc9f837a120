/*
 * The honest ends of a scene.
 *
 * Invariant: each knows what it has to see by itself. A message's size and bytes follow from who sent
 * it and its number, and numbers follow each other.
 */
#include "topic/hostile_world.h"

#include <ayre/guard.h>

/* So much of a hostile message may be asked for: more is a lie that was believed. */
#define MOST_BYTES ((size_t)16 << 20)

struct arena *arena;

static void get_ready(void)
{
	if (arena->guarded)
		require(ayre_guard_install() == 1);
	announce_one_more(&arena->ready);
	await(&arena->phase, RUNNING);
}

int64_t enter_call(struct honest *honest)
{
	int64_t deadline_ns = now_ns() + CALL_NS;

	atomic_store(&honest->due_ns, deadline_ns + SLACK_NS);
	return deadline_ns;
}

void leave_call(struct honest *honest)
{
	atomic_store(&honest->due_ns, 0);
}

/* --- publishing --- */

static uint32_t mix(uint32_t value)
{
	value = (value ^ value >> 16) * 0x45d9f3bu;
	value = (value ^ value >> 16) * 0x45d9f3bu;
	return value ^ value >> 16;
}

static uint32_t pattern_of(unsigned int publisher, uint64_t number)
{
	return publisher << 28 ^ (uint32_t)number;
}

size_t honest_size(unsigned int publisher, uint64_t number)
{
	uint32_t chance = mix(pattern_of(publisher, number) ^ arena->seed);

	if (chance % 128 == 0)
		return ARENA_RING / 4 + chance / 128 % 20000;
	if (chance % 8 == 0)
		return chance / 8 % (ARENA_RING / 4);
	return chance / 8 % 120;
}

static int send_one(struct ayre_publisher *publisher, const void *data, size_t bytes,
                    int64_t deadline_ns)
{
	void *place;
	int result;

	if (bytes % 4 != 0)
		return ayre_publisher_send_until(publisher, data, bytes, deadline_ns);
	result = ayre_publisher_reserve_until(publisher, bytes, &place, deadline_ns);
	if (result < 0)
		return result;
	memcpy(place, data, bytes);
	return ayre_publisher_commit(publisher, bytes);
}

int publish_honestly(void *number)
{
	unsigned int index = (unsigned int)(uintptr_t)number;
	struct honest *me = &arena->publishers[index];
	struct ayre_publisher *publisher = publish(PUBLISHER(.flags = 0), ARENA);
	size_t most = ARENA_RING / 4 + 20000;
	char *data = malloc(most);
	uint64_t sent = 0;

	require(data);
	atomic_store(&me->id, info_of_publisher(publisher).id);
	get_ready();
	while (atomic_load(&arena->phase) == RUNNING) {
		size_t bytes = honest_size(index, sent);
		int result;

		write_pattern(data, bytes, pattern_of(index, sent));
		result = send_one(publisher, data, bytes, enter_call(me));
		leave_call(me);
		if (result == -ETIMEDOUT) {
			atomic_fetch_add(&me->late, 1);
			continue;
		}
		if (result < 0)
			fprintf(stderr, "an honest publisher was told: %s\n", strerror(-result));
		require(result == 0);
		atomic_store(&me->sent_at_ns, (uint64_t)now_ns());
		atomic_store(&me->sent, ++sent);
		/* Others need the processors, too. */
		if (sent % 32 == 0)
			pause_ns(arena->send_pause_ns);
	}
	await(&arena->phase, ENDING);
	ayre_publisher_close(publisher);
	free(data);
	return 0;
}

/* --- subscribing --- */

bool judge_message(struct honest *subscriber, const struct ayre_message *message)
{
	const volatile char *bytes = message->data;

	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++) {
		uint64_t number = atomic_load(&subscriber->taken[i]);

		if (message->publisher != atomic_load(&arena->publishers[i].id))
			continue;
		require(message->sequence == number);
		require(is_message(message, honest_size(i, number), pattern_of(i, number)));
		return true;
	}
	/* Whatever it says, what it is said to be is there to be read. */
	require(message->bytes <= MOST_BYTES);
	for (size_t i = 0; i < message->bytes; i++)
		(void)bytes[i];
	return false;
}

/* After it was judged, and released: until then it can come again. */
static void count_message(struct honest *me, uint64_t publisher)
{
	for (unsigned int i = 0; i < HONEST_PUBLISHERS; i++)
		if (publisher == atomic_load(&arena->publishers[i].id)) {
			atomic_fetch_add(&me->taken[i], 1);
			return;
		}
	atomic_fetch_add(&me->others, 1);
}

/* What a call may say besides success. Bells are rung and formats are broken all the time. */
static void check_result(struct honest *me, ssize_t result)
{
	if (result == -EPROTO)
		atomic_fetch_add(&me->told, 1);
	else if (result == -ETIMEDOUT)
		atomic_fetch_add(&me->late, 1);
	else if (result < 0 && result != -EAGAIN)
		fprintf(stderr, "an honest subscriber was told: %s\n", strerror((int)-result));
	require(result >= 0 || result == -EPROTO || result == -ETIMEDOUT || result == -EAGAIN);
}

/* Of exactly the size that a call is told, so that a byte behind it is found. */
static void receive_one(struct honest *me, struct ayre_subscriber *subscriber)
{
	static size_t bytes = 64;
	struct ayre_message message = {0};
	char *buffer = malloc(bytes);
	ssize_t result;

	require(buffer);
	result = ayre_subscriber_receive_until(subscriber, buffer, bytes, &message, enter_call(me));
	leave_call(me);
	if (result == -EMSGSIZE) {
		require(message.bytes > bytes && message.bytes <= MOST_BYTES);
		bytes = message.bytes;
	} else {
		check_result(me, result);
		bytes = random_below(4) ? bytes : 64;
	}
	if (result >= 0) {
		require((size_t)result == message.bytes);
		judge_message(me, &message);
		count_message(me, message.publisher);
	}
	free(buffer);
}

static void release(struct honest *me, struct ayre_subscriber *subscriber,
                    const struct ayre_message *messages, ssize_t count)
{
	int result = ayre_subscriber_release(subscriber);

	require(result == 0 || result == -ESTALE);
	for (ssize_t i = 0; result == 0 && i < count; i++)
		count_message(me, messages[i].publisher);
}

static void peek_one(struct honest *me, struct ayre_subscriber *subscriber)
{
	struct ayre_message message;
	int result = ayre_subscriber_peek_until(subscriber, &message, enter_call(me));

	if (result == 0) {
		judge_message(me, &message);
		release(me, subscriber, &message, 1);
	}
	leave_call(me);
	check_result(me, result);
}

/* Only the first is judged in full: the numbers of the others follow from it. */
static void peek_several(struct honest *me, struct ayre_subscriber *subscriber)
{
	struct ayre_message messages[16];
	ssize_t count;

	enter_call(me);
	count = ayre_subscriber_try_peek_batch(subscriber, messages, 16);
	for (ssize_t i = 0; i < count; i++) {
		require(messages[i].publisher == messages[0].publisher);
		require(messages[i].sequence == messages[0].sequence + (uint64_t)i);
		if (i == 0)
			judge_message(me, &messages[0]);
		for (size_t byte = 0; i > 0 && byte < messages[i].bytes; byte++)
			(void)((const volatile char *)messages[i].data)[byte];
	}
	if (count > 0)
		release(me, subscriber, messages, count);
	leave_call(me);
	check_result(me, count);
}

static void wait_and_try(struct honest *me, struct ayre_subscriber *subscriber)
{
	struct ayre_message message;
	int result = ayre_subscribers_wait(&subscriber, 1, enter_call(me));

	if (result == 0) {
		char small[64];
		ssize_t got =
			ayre_subscriber_try_receive(subscriber, small, sizeof(small), &message);

		if (got >= 0) {
			judge_message(me, &message);
			count_message(me, message.publisher);
		}
		check_result(me, got == -EMSGSIZE ? 0 : got);
	}
	leave_call(me);
	check_result(me, result);
}

int subscribe_honestly(void *number)
{
	static void (*const ways[])(struct honest *, struct ayre_subscriber *) = {
		receive_one, receive_one, peek_one, peek_several, wait_and_try};
	unsigned int index = (unsigned int)(uintptr_t)number;
	struct honest *me = &arena->subscribers[index];
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), ARENA);

	atomic_store(&me->id, info_of_subscriber(subscriber).id);
	random_seed(arena->seed + 100 + index);
	get_ready();
	while (atomic_load(&arena->phase) < ENDING)
		ways[random_below(sizeof(ways) / sizeof(*ways))](me, subscriber);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* --- coming and going --- */

/* Where it begins is found by walking, in lanes of hostile ones too. */
static void visit_as_subscriber(struct honest *me)
{
	enum ayre_from from = random_below(4);
	int64_t value = from == AYRE_FROM_TIME ? INT64_MAX : random_below(1000);
	struct ayre_subscriber *subscriber;

	enter_call(me);
	subscriber = subscribe(SUBSCRIBER(.from = from, .from_value = value,
	                                  .flags = AYRE_SUBSCRIBER_LOSSY * random_below(2)),
	                       ARENA);
	leave_call(me);
	for (unsigned int i = random_below(20); i > 0; i--) {
		struct ayre_message message;
		int result = ayre_subscriber_peek_until(subscriber, &message, enter_call(me));

		for (size_t byte = 0; result == 0 && byte < message.bytes; byte++)
			(void)((const volatile char *)message.data)[byte];
		if (result == 0 && random_below(8))
			(void)!ayre_subscriber_release(subscriber);
		leave_call(me);
		check_result(me, result);
	}
	ayre_subscriber_close(subscriber);
}

/* It may take over a lane that a hostile one has left, and still writes. */
static void visit_as_publisher(struct honest *me)
{
	struct ayre_publisher *publisher;
	char data[3 * ARENA_RING];

	write_pattern(data, sizeof(data), 1);
	enter_call(me);
	publisher = publish(PUBLISHER(.flags = 0), ARENA);
	leave_call(me);
	for (unsigned int i = random_below(50); i > 0; i--) {
		size_t bytes = random_below(10) ? random_below(100) : random_below(sizeof(data));
		int result = ayre_publisher_send_until(publisher, data, bytes, enter_call(me));

		leave_call(me);
		if (result < 0 && result != -ETIMEDOUT)
			fprintf(stderr, "a visitor was told: %s\n", strerror(-result));
		require(result == 0 || result == -ETIMEDOUT);
	}
	ayre_publisher_close(publisher);
}

int come_and_go(void *number)
{
	struct honest *me = &arena->visitor;

	(void)number;
	random_seed(arena->seed + 200);
	get_ready();
	while (atomic_load(&arena->phase) == RUNNING) {
		if (random_below(3))
			visit_as_subscriber(me);
		else
			visit_as_publisher(me);
		atomic_fetch_add(&me->sent, 1);
		pause_ns(random_below(1000) * 1000);
	}
	await(&arena->phase, ENDING);
	return 0;
}
