/*
 * What the processors give: a line that goes to and fro, and rings that know nothing but an index.
 *
 * Invariant: nothing is left out that a message needs. Each is written whole, read whole and checked, and
 * a ring waits when it is full; there is no name, no death, no sleep and no second reader.
 */
#include "command/bench_topic.h"

/* Until the word is no longer less. -ETIMEDOUT: the other side does nothing. */
TOPIC_INLINE int await(const uint64_t *word, uint64_t least, uint64_t *ret_seen)
{
	for (uint64_t turn = 0; turn < TOPIC_TURNS_MAX; turn++) {
		*ret_seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (__builtin_expect(*ret_seen >= least, true))
			return 0;
	}
	return -ETIMEDOUT;
}

/* --- one line each way, and nothing else --- */

TOPIC_INLINE int line_send(struct topic_end *end)
{
	__atomic_store_n(end->is_near ? &end->lines->there : &end->lines->back, ++end->sent,
	                 __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int line_receive(struct topic_end *end)
{
	uint64_t seen;

	return await(end->is_near ? &end->lines->back : &end->lines->there, ++end->received, &seen);
}

TOPIC_ROUND_TRIPS(line, line_send, line_receive)

const struct topic_way bench_topic_line = {.near = line_near, .far = line_far};

/* The same by who tells the processor that it waits, which leaves the line to the other side for longer. */
TOPIC_INLINE int line_receive_paused(struct topic_end *end)
{
	const uint64_t *word = end->is_near ? &end->lines->back : &end->lines->there;
	uint64_t least = ++end->received;

	for (uint64_t turn = 0; turn < TOPIC_TURNS_MAX; turn++) {
		if (__builtin_expect(__atomic_load_n(word, __ATOMIC_ACQUIRE) >= least, true))
			return 0;
		BENCH_PAUSE;
	}
	return -ETIMEDOUT;
}

TOPIC_ROUND_TRIPS(line_paused, line_send, line_receive_paused)

const struct topic_way bench_topic_line_paused = {
	.near = line_paused_near,
	.far = line_paused_far,
};

/* --- rings --- */

static inline uint64_t slot_bytes(const struct topic_end *end)
{
	return (end->message_bytes + 63) & ~(uint64_t)63;
}

/* A ring of so many slots, a power of two; its writer's index, and its reader's. */
TOPIC_INLINE int ring_send(struct topic_end *end, char *ring, uint64_t *written, uint64_t *read,
                           uint64_t *read_seen)
{
	uint64_t slots = end->parameter, index = end->sent;
	int result;

	if (__builtin_expect(index - *read_seen >= slots, false)) {
		result = await(read, index - slots + 1, read_seen);
		if (result < 0)
			return result;
	}
	topic_write(end, ring + (index & (slots - 1)) * slot_bytes(end));
	__atomic_store_n(written, index + 1, __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int ring_receive(struct topic_end *end, const char *ring, const uint64_t *written,
                              uint64_t *read, uint64_t *written_seen)
{
	uint64_t index = end->received;
	int result;

	if (index >= *written_seen) {
		result = await(written, index + 1, written_seen);
		if (result < 0)
			return result;
	}
	result = topic_check(end, ring + (index & (end->parameter - 1)) * slot_bytes(end));
	__atomic_store_n(read, index + 1, __ATOMIC_RELEASE);
	return result;
}

TOPIC_INLINE int stream_send(struct topic_end *end)
{
	return ring_send(end, end->ring, &end->lines->back, &end->lines->there, &end->peer_seen);
}

TOPIC_INLINE int stream_receive(struct topic_end *end)
{
	return ring_receive(end, end->ring, &end->lines->back, &end->lines->there, &end->peer_seen);
}

TOPIC_STREAM(ring_stream, stream_send, stream_receive)

const struct topic_way bench_topic_ring_stream = {
	.near = ring_stream_near,
	.far = ring_stream_far,
};

/* --- many at a time: an index for each batch --- */

static int ring_batch_far(struct topic_end *end, uint64_t count)
{
	uint64_t slots = end->parameter, last = end->sent + count;
	int result = 0;

	while (result == 0 && end->sent < last) {
		uint64_t most = end->sent + TOPIC_BATCH < last ? end->sent + TOPIC_BATCH : last;

		if (most - end->peer_seen > slots)
			result = await(&end->lines->there, most - slots, &end->peer_seen);
		while (end->sent < most)
			topic_write(end, end->ring + (end->sent & (slots - 1)) * slot_bytes(end));
		__atomic_store_n(&end->lines->back, most, __ATOMIC_RELEASE);
	}
	return result;
}

static int ring_batch_near(struct topic_end *end, uint64_t count)
{
	uint64_t last = end->received + count, written;
	int result = 0;

	while (result == 0 && end->received < last) {
		result = await(&end->lines->back, end->received + 1, &written);
		for (int i = 0; result == 0 && i < TOPIC_BATCH && end->received < written; i++)
			result = topic_check(end,
			                     end->ring + (end->received & (end->parameter - 1)) *
			                                         slot_bytes(end));
		__atomic_store_n(&end->lines->there, end->received, __ATOMIC_RELEASE);
	}
	return result;
}

const struct topic_way bench_topic_ring_batch = {
	.near = ring_batch_near,
	.far = ring_batch_far,
};

/*
 * There and back: a ring each way, whose index is the writer's. Nobody has more than one message on
 * its way, so the answer to a message says that it was read, and no reader's index is needed.
 */
TOPIC_INLINE int round_send(struct topic_end *end)
{
	char *ring = end->ring + (end->is_near ? 0 : TOPIC_RING_BYTES / 2);
	uint64_t index = end->sent;

	topic_write(end, ring + (index & (end->parameter - 1)) * slot_bytes(end));
	__atomic_store_n(end->is_near ? &end->lines->there : &end->lines->back, index + 1,
	                 __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int round_receive(struct topic_end *end)
{
	const char *ring = end->ring + (end->is_near ? TOPIC_RING_BYTES / 2 : 0);
	uint64_t index = end->received, seen;
	int result = await(end->is_near ? &end->lines->back : &end->lines->there, index + 1, &seen);

	return result < 0
	               ? result
	               : topic_check(end, ring + (index & (end->parameter - 1)) * slot_bytes(end));
}

TOPIC_ROUND_TRIPS(ring_round, round_send, round_receive)

const struct topic_way bench_topic_ring_round = {
	.near = ring_round_near,
	.far = ring_round_far,
};

/*
 * There and back, by records that begin with a word that says that they are there: what ours are, without
 * anything that keeps a peer from harming us.
 */
static inline uint64_t *record_at(const struct topic_end *end, bool there, uint64_t index)
{
	char *ring = end->ring + (there ? 0 : TOPIC_RING_BYTES / 2);
	uint64_t bytes = (sizeof(uint64_t) + end->message_bytes + 63) & ~(uint64_t)63;

	return (uint64_t *)(void *)(ring + index % end->parameter * bytes);
}

/* Which record it is says the word, too: the memory is that of the other ways, who leave anything there. */
static inline uint64_t record_word(uint64_t index)
{
	return ~index;
}

TOPIC_INLINE int in_band_send(struct topic_end *end)
{
	uint64_t index = end->sent, *record = record_at(end, end->is_near, index);

	topic_write(end, (char *)(record + 1));
	__atomic_store_n(record, record_word(index), __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int in_band_receive(struct topic_end *end)
{
	uint64_t index = end->received, turn = 0;
	const uint64_t *record = record_at(end, !end->is_near, index);

	while (__atomic_load_n(record, __ATOMIC_ACQUIRE) != record_word(index))
		if (++turn == TOPIC_TURNS_MAX)
			return -ETIMEDOUT;
	memcpy(end->buffer, record + 1, end->message_bytes);
	return topic_check(end, end->buffer);
}

TOPIC_ROUND_TRIPS(in_band, in_band_send, in_band_receive)

const struct topic_way bench_topic_in_band = {.near = in_band_near, .far = in_band_far};

/* --- memcpy: one process alone, the other does nothing --- */

/* From one message to as many places as a ring of its size would have. */
static int copy_near(struct topic_end *end, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		char *to = end->ring + (i & (end->parameter - 1)) * slot_bytes(end);

		topic_write(end, to);
		/* So that the compiler does not see that nobody looks. */
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	return 0;
}

static int copy_far(struct topic_end *end, uint64_t count)
{
	(void)end;
	(void)count;
	return 0;
}

const struct topic_way bench_topic_memcpy = {.near = copy_near, .far = copy_far};
