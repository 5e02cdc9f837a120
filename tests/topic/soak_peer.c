/*
 * The processes of the soak: a publisher and a subscriber, whose ways are drawn at random.
 *
 * Invariant: what a message is follows from its lane and its number, so that whoever receives it knows
 * every byte of it. From 16 bytes on it carries its publisher's incarnation, and its number again.
 */
#include "topic/soak.h"

#include <poll.h>
#include <time.h>

#include "topic/subscriber.h"

#define SMALL_BYTES 16

static char data[SOAK_RING_BYTES + 8];

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "process %d: ", getpid());
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	_exit(1);
}

static void pause_for(struct soak_peer *peer, uint32_t most_us)
{
	atomic_store(&peer->pauses, true);
	nanosleep(&(struct timespec){.tv_nsec = 1 + 1000l * random_below(most_us)}, NULL);
	atomic_store(&peer->pauses, false);
}

/* --- messages --- */

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return value ^ value >> 32;
}

static size_t size_of(uint64_t id, uint64_t sequence)
{
	uint64_t draw = mix(id + sequence * 3), size = draw >> 20;

	switch (draw % 4096) {
	case 0:
		return SOAK_RING_BYTES / 4 + size % (3 * SOAK_RING_BYTES / 4);
	case 1 ... 40:
		return size % (SOAK_RING_BYTES / 4 + 1);
	case 41 ... 300:
		return size % 1500;
	default:
		return size % 97;
	}
}

static uint64_t word_at(uint64_t seed, size_t i)
{
	return (seed + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(char *to, size_t bytes, uint64_t id, uint64_t sequence, uint64_t incarnation)
{
	uint64_t seed = mix(id ^ mix(sequence) ^ (bytes < SMALL_BYTES ? 0 : incarnation << 40));
	size_t i;

	for (i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word = word_at(seed, i);

		memcpy(to + i, &word, 8);
	}
	for (; i < bytes; i++)
		to[i] = (char)word_at(seed, i);
	if (bytes >= SMALL_BYTES) {
		memcpy(to, &incarnation, 8);
		memcpy(to + 8, &sequence, 8);
	}
}

/* The incarnation is read from it, and has to be one that was. */
static bool is_right(const char *bytes, size_t size, uint64_t id, uint64_t sequence,
                     uint64_t *ret_incarnation)
{
	uint64_t incarnation = 0, seed, word;
	size_t i = 0;

	if (size != size_of(id, sequence))
		return false;
	if (size >= SMALL_BYTES) {
		memcpy(&incarnation, bytes, 8);
		memcpy(&word, bytes + 8, 8);
		if (word != sequence)
			return false;
		*ret_incarnation = incarnation;
		i = SMALL_BYTES;
	}
	seed = mix(id ^ mix(sequence) ^ (size < SMALL_BYTES ? 0 : incarnation << 40));
	for (; i + 8 <= size; i += 8) {
		memcpy(&word, bytes + i, 8);
		if (word != word_at(seed, i))
			return false;
	}
	for (; i < size; i++)
		if (bytes[i] != (char)word_at(seed, i))
			return false;
	return true;
}

/* --- the publisher --- */

struct sender {
	struct ayre_publisher *publisher;
	struct soak_peer *peer;
	struct soak_lane *lane;
	uint64_t id, sequence, incarnation, large;
};

static void count_sent(struct sender *sender, uint64_t count)
{
	sender->sequence += count;
	atomic_store_explicit(&sender->lane->sent, sender->sequence, memory_order_release);
	atomic_fetch_add_explicit(&sender->peer->count, count, memory_order_relaxed);
}

static void send_copy(struct sender *sender)
{
	size_t bytes = size_of(sender->id, sender->sequence);
	int result;

	fill(data, bytes, sender->id, sender->sequence, sender->incarnation);
	result = ayre_publisher_send(sender->publisher, data, bytes);
	if (result < 0)
		wrong("send: %s", strerror(-result));
	sender->large += bytes > SOAK_RING_BYTES / 4;
	count_sent(sender, 1);
}

static void send_in_place(struct sender *sender)
{
	size_t bytes = size_of(sender->id, sender->sequence), more = random_below(64);
	void *room;
	int result;

	/* More than is needed, where that is still in the ring. */
	if (bytes + more > SOAK_RING_BYTES / 8)
		more = 0;
	result = ayre_publisher_reserve(sender->publisher, bytes + more, &room);
	if (result == 0) {
		fill(room, bytes, sender->id, sender->sequence, sender->incarnation);
		result = ayre_publisher_commit(sender->publisher, bytes);
	}
	if (result < 0)
		wrong("reserve and commit: %s", strerror(-result));
	sender->large += bytes > SOAK_RING_BYTES / 4;
	count_sent(sender, 1);
}

static void send_batch(struct sender *sender)
{
	struct iovec batch[SOAK_BATCH];
	size_t at = 0, count = 0;
	ssize_t result;

	for (; count < SOAK_BATCH; count++) {
		size_t bytes = size_of(sender->id, sender->sequence + count);

		if (at + bytes > sizeof(data))
			break;
		fill(data + at, bytes, sender->id, sender->sequence + count, sender->incarnation);
		batch[count] = (struct iovec){data + at, bytes};
		at += bytes;
	}
	result = ayre_publisher_send_batch(sender->publisher, batch, count);
	if (result <= 0)
		wrong("batch of %zu: %zd", count, result);
	count_sent(sender, (uint64_t)result);
}

/* What an earlier one was told is sent is there; what it was sending when it died may be. */
static void take_lane(struct sender *sender)
{
	struct ayre_publisher_info info = {.size = sizeof(info)};
	uint64_t sent;

	require(ayre_publisher_get_info(sender->publisher, &info) == 0);
	sender->id = info.id;
	sender->sequence = info.messages;
	sender->lane =
		&soak->lanes[sender->peer->topic][soak_lane_of(sender->peer->topic, info.id)];
	sent = atomic_load(&sender->lane->sent);
	if (info.messages < sent || info.messages > sent + SOAK_BATCH)
		wrong("lane %016lx: %lu were sent, and %lu are there", (unsigned long)info.id,
		      (unsigned long)sent, (unsigned long)info.messages);
	atomic_store(&sender->lane->sent, info.messages);
	sender->incarnation = 1 + atomic_fetch_add(&soak->incarnations, 1);
	atomic_store(&sender->lane->incarnation, sender->incarnation);
}

static bool is_read_by_all(const struct sender *sender)
{
	unsigned int lane = (unsigned int)(sender->lane - soak->lanes[SOAK_CAREFUL]);

	for (unsigned int i = 0; i < SOAK_PEERS; i++) {
		const struct soak_peer *peer = &soak->peers[i];

		if (peer->pid && !peer->publishes && peer->topic == SOAK_CAREFUL &&
		    atomic_load(&peer->begun) && !soak_has_all(peer, lane))
			return false;
	}
	return true;
}

/* And for as long as it takes a subscriber to be just about to sleep. */
static void wait_for_readers(struct sender *sender)
{
	unsigned int turns = 0;

	atomic_store(&sender->peer->pauses, true);
	while (!is_read_by_all(sender) && !atomic_load(&soak->stop))
		if (++turns % 256 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
	for (uint32_t i = random_below(random_below(2) ? 1024 : 8192); i-- > 0;)
		__asm__ volatile("" : : : "memory");
	atomic_fetch_add_explicit(&soak->careful, 1, memory_order_relaxed);
	atomic_store(&sender->peer->pauses, false);
}

static const int64_t spins[] = {AYRE_SPIN_ADAPT, AYRE_SPIN_NONE, AYRE_SPIN_ADAPT, 20000};

int soak_publish(struct soak_peer *peer)
{
	static void (*const ways[])(struct sender *) = {send_copy, send_in_place, send_batch};
	void (*way)(struct sender *) = ways[random_below(3)];
	struct ayre_publisher_options options = {
		.size = sizeof(options),
		.flags = random_below(4) ? 0 : AYRE_PUBLISHER_STAMP,
		.spin_ns = spins[random_below(4)],
		.large_bytes = random_below(2) ? 0 : 200000,
	};
	struct ayre_publisher_info info = {.size = sizeof(info)};
	struct sender sender = {.peer = peer};
	uint64_t life = 1u << random_below(22);
	int result =
		ayre_publisher_open(&options, soak_topic(peer->topic), &sender.publisher, NULL);

	if (result < 0)
		wrong("publisher: %s", strerror(-result));
	take_lane(&sender);
	while (!atomic_load(&soak->stop) && atomic_load(&peer->count) < life) {
		uint32_t burst = 1u << random_below(peer->topic == SOAK_CAREFUL ? 3 : 14);

		while (burst-- > 0 && !atomic_load_explicit(&soak->stop, memory_order_relaxed))
			way(&sender);
		if (peer->topic == SOAK_CAREFUL)
			wait_for_readers(&sender);
		else
			pause_for(peer, random_below(8) ? 50 : 5000);
	}
	require(ayre_publisher_get_info(sender.publisher, &info) == 0);
	if (info.messages != sender.sequence)
		wrong("it has sent to %lu, and says %lu", (unsigned long)sender.sequence,
		      (unsigned long)info.messages);
	atomic_fetch_add(&soak->wakes, info.wakes);
	atomic_fetch_add(&soak->waits, info.waits);
	atomic_fetch_add(&soak->large, sender.large);
	ayre_publisher_close(sender.publisher);
	return 0;
}

/* --- the subscriber --- */

struct receiver {
	struct ayre_subscriber *subscriber;
	struct soak_peer *peer;
	bool may_miss;
	uint64_t gaps; /* messages */
	unsigned int gaps_in[SOAK_LANES];
	uint64_t incarnations[SOAK_LANES];
	unsigned int lane; /* the last one's place */
	uint64_t id;
};

/* Where it began in this lane: no call tells, and what it missed is counted from there. */
static uint64_t first_of(const struct receiver *receiver)
{
	const struct ayre_subscriber *subscriber = receiver->subscriber;

	for (size_t i = 0; i < subscriber->source_count; i++)
		if (subscriber->sources[i].id == receiver->id)
			return subscriber->sources[i].first;
	wrong("lane %016lx: unknown", (unsigned long)receiver->id);
}

/*
 * What may miss may have gaps. Another one may have one in each lane, where it began: of a publisher that
 * was just then moving its limit, by a sixteenth of the ring and the largest message, and has seen
 * only afterwards that somebody came.
 */
#define MOST_AT_BEGIN (SOAK_RING_BYTES * 5 / 16 / 8)

static void see_gap(struct receiver *receiver, uint64_t expected, uint64_t sequence)
{
	if (sequence < expected)
		wrong("lane %016lx: %lu again, or too late, %lu is expected",
		      (unsigned long)receiver->id, (unsigned long)sequence,
		      (unsigned long)expected);
	if (!receiver->may_miss) {
		if (receiver->gaps_in[receiver->lane]++ > 0 ||
		    expected - first_of(receiver) > MOST_AT_BEGIN)
			wrong("lane %016lx: %lu, and %lu is expected", (unsigned long)receiver->id,
			      (unsigned long)sequence, (unsigned long)expected);
		atomic_fetch_add(&soak->late, 1);
	}
	receiver->gaps += sequence - expected;
}

static void see(struct receiver *receiver, const struct ayre_message *message)
{
	uint64_t expected, incarnation = 0;

	if (message->publisher != receiver->id) {
		receiver->id = message->publisher;
		receiver->lane = soak_lane_of(receiver->peer->topic, receiver->id);
	}
	expected =
		atomic_load_explicit(&receiver->peer->next[receiver->lane], memory_order_relaxed);
	if (expected == SOAK_NONE)
		expected = first_of(receiver);
	if (message->sequence != expected)
		see_gap(receiver, expected, message->sequence);
	if (!is_right(message->data, message->bytes, message->publisher, message->sequence,
	              &incarnation))
		wrong("lane %016lx: wrong bytes in %lu, of %lu bytes", (unsigned long)receiver->id,
		      (unsigned long)message->sequence, (unsigned long)message->bytes);
	if (incarnation && incarnation < receiver->incarnations[receiver->lane])
		wrong("lane %016lx: %lu comes from an earlier publisher",
		      (unsigned long)receiver->id, (unsigned long)message->sequence);
	if (incarnation)
		receiver->incarnations[receiver->lane] = incarnation;
}

static void count_seen(struct receiver *receiver, uint64_t sequence)
{
	atomic_store_explicit(&receiver->peer->next[receiver->lane], sequence + 1,
	                      memory_order_release);
	atomic_fetch_add_explicit(&receiver->peer->count, 1, memory_order_relaxed);
}

static int take_copy(struct receiver *receiver)
{
	struct ayre_message message;
	ssize_t got = ayre_subscriber_receive(receiver->subscriber, data, sizeof(data), &message);

	if (got < 0)
		return (int)got;
	see(receiver, &message);
	count_seen(receiver, message.sequence);
	return 0;
}

/* Of one that may miss, what was looked at counts only if it then stood still. */
static int take_in_place(struct receiver *receiver)
{
	struct ayre_message message, copy;
	int result = ayre_subscriber_peek(receiver->subscriber, &message);

	if (result < 0)
		return result;
	if (message.bytes > sizeof(data))
		wrong("%lu bytes", (unsigned long)message.bytes);
	copy = message;
	copy.data = data;
	memcpy(data, message.data, message.bytes);
	result = ayre_subscriber_release(receiver->subscriber);
	if (result == -ESTALE && receiver->may_miss)
		return 0;
	if (result < 0)
		wrong("release: %s", strerror(-result));
	see(receiver, &copy);
	count_seen(receiver, copy.sequence);
	return 0;
}

static int take_several(struct receiver *receiver)
{
	struct ayre_message messages[16];
	static char copies[16][2048];
	ssize_t count = ayre_subscriber_try_peek_batch(receiver->subscriber, messages, 16);
	int result;

	if (count == -EAGAIN)
		return take_in_place(receiver);
	if (count < 0)
		return (int)count;
	for (ssize_t i = 0; i < count && receiver->may_miss; i++) {
		/* It could change while it is looked at: to be received alone. */
		if (messages[i].bytes > sizeof(copies[i]))
			return take_copy(receiver);
		memcpy(copies[i], messages[i].data, messages[i].bytes);
		messages[i].data = copies[i];
	}
	if (!receiver->may_miss)
		for (ssize_t i = 0; i < count; i++) {
			see(receiver, &messages[i]);
			count_seen(receiver, messages[i].sequence);
		}
	result = ayre_subscriber_release(receiver->subscriber);
	if (result == 0 && receiver->may_miss)
		for (ssize_t i = 0; i < count; i++) {
			see(receiver, &messages[i]);
			count_seen(receiver, messages[i].sequence);
		}
	if (result < 0 && (result != -ESTALE || !receiver->may_miss))
		wrong("release of %zd: %s", count, strerror(-result));
	return 0;
}

/* In an event loop. */
static int take_by_descriptor(struct receiver *receiver)
{
	struct pollfd wait = {.fd = ayre_subscriber_fd(receiver->subscriber), .events = POLLIN};
	struct ayre_message message;
	ssize_t got;

	while ((got = ayre_subscriber_try_receive(receiver->subscriber, data, sizeof(data),
	                                          &message)) == -EAGAIN)
		poll(&wait, 1, -1);
	if (got < 0)
		return (int)got;
	see(receiver, &message);
	count_seen(receiver, message.sequence);
	return 0;
}

static uint64_t missed_by(const struct receiver *receiver)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};

	require(ayre_subscriber_get_info(receiver->subscriber, &info) == 0);
	return info.missed;
}

/* Until there is nothing more to read. false: there always was. */
static bool read_on(struct receiver *receiver)
{
	struct ayre_message message;

	for (int i = 0; i < 5000; i++) {
		ssize_t got = ayre_subscriber_try_receive(receiver->subscriber, data, sizeof(data),
		                                          &message);

		if (got < 0)
			return got == -EAGAIN || got == -EPIPE || got == -EOWNERDEAD;
		see(receiver, &message);
		count_seen(receiver, message.sequence);
	}
	return false;
}

/*
 * What is missing in the numbers is what it says it missed, as soon as it has read what follows: when it
 * is overtaken, it has counted before it reads.
 */
static void check_missed(struct receiver *receiver)
{
	for (int i = 0; i < 100; i++) {
		if (read_on(receiver) && missed_by(receiver) == receiver->gaps) {
			atomic_fetch_add(&soak->checked_ends, 1);
			return;
		}
		pause_for(receiver->peer, 200);
	}
	if (read_on(receiver))
		wrong("%lu are missing, and it says %lu", (unsigned long)receiver->gaps,
		      (unsigned long)missed_by(receiver));
}

/* Nobody publishes any more: everything that was sent is here. */
static void check_all(const struct receiver *receiver)
{
	const struct soak_peer *peer = receiver->peer;

	for (unsigned int i = 0; i < SOAK_LANES; i++) {
		const struct soak_lane *lane = &soak->lanes[peer->topic][i];

		if (!soak_has_all(peer, i))
			wrong("lane %016lx: %lu were sent, and the next to come is %ld",
			      (unsigned long)atomic_load(&lane->id),
			      (unsigned long)atomic_load(&lane->sent),
			      (long)atomic_load(&peer->next[i]));
	}
}

/* What a lane has by now need not be received; of one that is not there yet, everything has to be. */
static void look_who_is_there(struct soak_peer *peer)
{
	for (unsigned int i = 0; i < SOAK_LANES; i++) {
		const struct soak_lane *lane = &soak->lanes[peer->topic][i];

		atomic_store(&peer->next[i], SOAK_NONE);
		atomic_store(&peer->base[i],
		             atomic_load(&lane->id) ? atomic_load(&lane->sent) : SOAK_NONE);
	}
}

static int open_receiver(struct receiver *receiver)
{
	bool lossy = random_below(3) == 0;
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED | (lossy ? AYRE_SUBSCRIBER_LOSSY : 0),
		.from = random_below(2) ? AYRE_FROM_NEXT : AYRE_FROM_OLDEST,
		.spin_ns = spins[random_below(4)],
	};
	int result;

	/* Or it would seldom be about to sleep. */
	if (receiver->peer->topic == SOAK_CAREFUL && random_below(4))
		options.spin_ns = AYRE_SPIN_NONE;
	receiver->may_miss = lossy || receiver->peer->topic == SOAK_LOSSY;
	result = ayre_subscriber_open(&options, soak_topic(receiver->peer->topic),
	                              &receiver->subscriber, NULL);
	look_who_is_there(receiver->peer);
	atomic_store(&receiver->peer->pauses, false);
	atomic_store(&receiver->peer->begun, true);
	return result;
}

int soak_subscribe(struct soak_peer *peer)
{
	static int (*const ways[])(struct receiver *) = {take_copy, take_in_place, take_several,
	                                                 take_by_descriptor};
	int (*way)(struct receiver *) = ways[random_below(4)];
	struct ayre_subscriber_info info = {.size = sizeof(info)};
	static struct receiver receiver;
	uint64_t life = 1u << random_below(24);
	int result;

	receiver.peer = peer;
	result = open_receiver(&receiver);
	if (result < 0)
		wrong("subscriber: %s", strerror(-result));
	while (atomic_load(&peer->count) < life) {
		for (uint32_t burst = 1u << random_below(16); burst-- > 0 && result == 0;)
			result = way(&receiver);
		if (result < 0 && result != -EPIPE && result != -EOWNERDEAD)
			wrong("receive: %s", strerror(-result));
		if (result < 0 && atomic_load(&soak->stop))
			break;
		/* All publishers are gone for a moment: others come. */
		pause_for(peer, result < 0 ? 1000 : random_below(8) ? 50 : 3000);
		result = 0;
	}
	if (result < 0)
		check_all(&receiver);
	check_missed(&receiver);
	require(ayre_subscriber_get_info(receiver.subscriber, &info) == 0);
	atomic_fetch_add(&soak->missed, info.missed);
	atomic_fetch_add(&soak->sleeps, info.sleeps);
	ayre_subscriber_close(receiver.subscriber);
	return 0;
}
