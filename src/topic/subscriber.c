/*
 * Receiving: the way of every message.
 *
 * Invariant: what is read of a lane is read once into a local, then judged, then used; and what was
 * copied is a message only if the lane says afterwards that it cannot have been overwritten meanwhile.
 * A header that makes no sense is damage only under the same condition: a reader that was overtaken
 * finds payload there.
 */
#include "topic/subscriber.h"

#include <errno.h>

#include "base/options.h"
#include "sys/event.h"
#include "topic/bell.h"

/* --- one record --- */

/* Behind a record: what has to be done now and then. */
static inline void advance(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                           uint64_t position)
{
	uint64_t ring = source->reader.mask + 1;

	source->reader.position = position;
	/* Nobody waits for who reads a log; how far it is, is said before it sleeps. */
	if (__builtin_expect(source->is_in_log, false))
		return;
	if (__builtin_expect(position - source->published >= ring / 8 ||
	                             ayrei_source_is_awaited(source),
	                     false))
		ayrei_source_publish(source, subscriber);
}

/* An empty place, or one that was overtaken while it was empty. */
static inline int empty(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	if (__builtin_expect(!ayrei_reader_is_intact(&source->reader, source->reader.position),
	                     false))
		return ayrei_source_catch_up(subscriber, source) < 0 ? -EPROTO : AYREI_AGAIN;
	/* What was cut away reads as zeros. */
	if (__builtin_expect(ayrei_shared_is_lost(&source->map), false))
		return ayrei_source_break(subscriber, source);
	if (__builtin_expect(ayrei_source_is_awaited(source), false))
		ayrei_source_publish(source, subscriber);
	return AYREI_NOTHING;
}

/* It was left before we came: then its death is none of ours. */
static void note_death(struct ayrei_source *source)
{
	if (ayrei_source_was_closed(source))
		return;
	source->deaths++;
	source->lost_at = source->reader.sequence;
}

static void pass(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                 struct ayrei_record record)
{
	if (record.flags & AYREI_RECORD_DIED)
		note_death(source);
	source->closed_at = ayrei_record_end(source->reader.position, record.bytes);
	advance(subscriber, source, source->closed_at);
}

void ayrei_source_pass_closed(struct ayrei_source *source, struct ayre_subscriber *subscriber)
{
	/* There are never two in a row of an honest publisher. */
	for (int i = 0; i < 2; i++) {
		uint64_t header = ayrei_reader_header(&source->reader);

		if (ayrei_record_unpack(header).kind != AYREI_RECORD_CLOSED ||
		    !ayrei_record_is_valid(header, source->reader.mask + 1) ||
		    !ayrei_reader_is_intact(&source->reader, source->reader.position))
			return;
		pass(subscriber, source, ayrei_record_unpack(header));
	}
}

/* Everything that is no plain message. */
static int look_closer(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       uint64_t header, struct ayre_message *message)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	const char *bytes = source->reader.ring + (source->reader.position & source->reader.mask) +
	                    AYREI_RECORD_HEADER;
	bool valid = ayrei_record_is_valid(header, source->reader.mask + 1);
	struct ayre_message found;

	if (valid)
		ayrei_source_describe(source, header, bytes, &found);
	if (!ayrei_reader_is_intact(&source->reader, source->reader.position))
		return ayrei_source_catch_up(subscriber, source) < 0 ? -EPROTO : AYREI_AGAIN;
	if (!valid || ayrei_shared_is_lost(&source->map))
		return ayrei_source_break(subscriber, source);
	if (record.kind == AYREI_RECORD_CLOSED) {
		pass(subscriber, source, record);
		return AYREI_AGAIN;
	}
	*message = found;
	return AYREI_FOUND;
}

static int look_in_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       struct ayre_message *message, uint64_t *ret_header)
{
	uint64_t first = source->reader.sequence;
	int result = ayrei_source_look_in_log(subscriber, source, message, ret_header);

	if (result == -EBADMSG) {
		subscriber->damaged_publisher = source->id;
		subscriber->damaged_first = first;
		subscriber->damaged_end = source->reader.sequence;
	}
	if (result != AYREI_FOUND || ayrei_record_unpack(*ret_header).kind != AYREI_RECORD_CLOSED)
		return result;
	pass(subscriber, source, ayrei_record_unpack(*ret_header));
	return AYREI_AGAIN;
}

/* Of a ring what is said of its next record is true of all that there will be, or of all that is safe by now. */
static void note_known(const struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	source->known_until = subscriber->safe_only
	                              ? ayrei_load_acquire(&ayrei_source_layout(source)->safe)
	                              : UINT64_MAX;
}

/* Looks at the next record. AYREI_FOUND: *message is set but for data if it lies beside the ring. */
static inline int look(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       struct ayre_message *message, uint64_t *ret_header)
{
	uint64_t header = ayrei_reader_header(&source->reader);

	if (__builtin_expect(subscriber->is_durable, false)) {
		if (source->is_in_log)
			return look_in_log(subscriber, source, message, ret_header);
		if (!ayrei_source_may_go_on(subscriber, source))
			return AYREI_NOTHING;
		note_known(subscriber, source);
	}
	if (header == 0)
		return empty(subscriber, source);
	*ret_header = header;
	message->publisher = source->id;
	message->sequence = source->reader.sequence;
	/* A plain message is its length and this. */
	if (__builtin_expect(header >> 32 == AYREI_RECORD_MESSAGE &&
	                             (uint32_t)header <=
	                                     ayrei_record_bytes_max(source->reader.mask + 1),
	                     true)) {
		message->data = source->reader.ring +
		                (source->reader.position & source->reader.mask) +
		                AYREI_RECORD_HEADER;
		message->bytes = (uint32_t)header;
		message->time_ns = -1;
		return AYREI_FOUND;
	}
	return look_closer(subscriber, source, header, message);
}

/* --- whose turn it is --- */

/* Goes round the sources from the current one until one has something. */
static inline int find(struct ayre_subscriber *subscriber, struct ayre_message *message,
                       uint64_t *ret_header)
{
	size_t left = subscriber->source_count;
	int none = AYREI_NOTHING;

	while (left-- > 0) {
		struct ayrei_source *source = &subscriber->sources[subscriber->current];
		int result = AYREI_AGAIN;

		/* Overtaken, or closed: a few times are enough, the others are waiting. */
		for (int i = 0; result == AYREI_AGAIN && i < 4; i++)
			result = source->state == AYREI_SOURCE_BROKEN
			                 ? AYREI_NOTHING
			                 : look(subscriber, source, message, ret_header);
		if (result < 0 || (result == AYREI_FOUND && subscriber->turn > 0))
			return result;
		/* What it has is not known yet. */
		if (result == AYREI_AGAIN)
			none = AYREI_AGAIN;
		/* It has had its turn: to be come back to, if nobody else has anything. */
		if (result == AYREI_FOUND)
			left++;
		subscriber->turn = AYREI_TURN;
		if (++subscriber->current == subscriber->source_count)
			subscriber->current = 0;
	}
	return none;
}

/*
 * So often does one call begin anew because of what a publisher did meanwhile. One that is overtaken again
 * and again by an honest one gets on; one that is led on for ever does not.
 */
#define ATTEMPTS 64

/* As find(), and tells what else there is to tell. */
static inline int find_or_tell(struct ayre_subscriber *subscriber, struct ayre_message *message,
                               uint64_t *ret_header)
{
	int result;

	if (__builtin_expect(subscriber->peeked_count != 0, false))
		subscriber->peeked_count = 0;
	if (__builtin_expect(subscriber->peeked_large.base != NULL, false))
		ayrei_subscriber_end_look(subscriber);
	/* Who is never idle hears of newcomers all the same. */
	if (subscriber->turn == 0 && ayrei_load(subscriber->join) != subscriber->join_seen)
		ayrei_subscriber_find_newcomers(subscriber);
	for (int i = 0; i < ATTEMPTS; i++) {
		result = find(subscriber, message, ret_header);
		if (__builtin_expect(result == AYREI_NOTHING, false))
			result = ayrei_subscriber_rest(subscriber);
		if (__builtin_expect(result != 0 && result != AYREI_AGAIN, true))
			return result;
	}
	return ayrei_subscriber_put_off(subscriber);
}

/* --- beside the ring --- */

/* It was removed, or written over: it counts as missed. */
static void skip_missing(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                         uint64_t end)
{
	source->missed++;
	subscriber->missed++;
	source->reader.sequence++;
	advance(subscriber, source, end);
}

/* As ayrei_subscriber_fetch_large(); -ENOENT, -EBADMSG: it is skipped. */
static int fetch_large(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       uint64_t header, struct ayre_message *message, void *buffer,
                       size_t buffer_bytes)
{
	int result =
		ayrei_subscriber_fetch_large(subscriber, source, message, buffer, buffer_bytes);

	/* What is still in the ring was in memory all the time. */
	if (source->is_in_log) {
		if (result == -ENOENT && !ayrei_source_was_given_up(subscriber, source))
			result = -EBADMSG;
		if (result == 0 && !ayrei_source_is_what_was_sent(source, header, message))
			result = -EBADMSG;
	}
	if (result == -EBADMSG)
		ayrei_subscriber_end_look(subscriber);
	if (result == -ENOENT || result == -EBADMSG)
		skip_missing(subscriber, source,
		             ayrei_record_end(source->reader.position, (uint32_t)header));
	return result == -EPROTO ? ayrei_source_break(subscriber, source) : result;
}

/* --- receiving --- */

static inline void take(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                        uint64_t header)
{
	source->reader.sequence++;
	subscriber->turn--;
	advance(subscriber, source, ayrei_record_end(source->reader.position, (uint32_t)header));
}

/* Is what lies in the ring still what was found? 0; -ENOENT: overtaken, and placed where it goes on. */
static int confirm(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	if (__builtin_expect(source->is_in_log, false))
		return ayrei_shared_is_lost(&source->extent.map)
		               ? ayrei_source_break(subscriber, source)
		               : 0;
	if (!ayrei_reader_is_intact(&source->reader, source->reader.position))
		return ayrei_source_catch_up(subscriber, source) < 0 ? -EPROTO : -ENOENT;
	return ayrei_shared_is_lost(&source->map) ? ayrei_source_break(subscriber, source) : 0;
}

/* Copies a message in the ring. 0, -EMSGSIZE, or as confirm(). */
static int fetch_small(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       struct ayre_message *message, void *buffer, size_t buffer_bytes)
{
	bool fits = message->bytes <= buffer_bytes;
	int result;

	if (fits) {
		ayrei_copy(buffer, message->data, message->bytes);
		message->data = buffer;
	}
	result = confirm(subscriber, source);
	return result == 0 && !fits ? -EMSGSIZE : result;
}

static ssize_t receive_any(struct ayre_subscriber *subscriber, void *buffer, size_t buffer_bytes,
                           struct ayre_message *ret_message)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		struct ayre_message message;
		uint64_t header;
		int result = find_or_tell(subscriber, &message, &header);
		struct ayrei_source *source;
		bool is_beside;

		if (result < 0)
			return result;
		source = &subscriber->sources[subscriber->current];
		is_beside = message.data == NULL;
		result = is_beside
		                 ? fetch_large(subscriber, source, header, &message, buffer,
		                               buffer_bytes)
		                 : fetch_small(subscriber, source, &message, buffer, buffer_bytes);
		if (result == -ENOENT)
			continue;
		if (result == -EMSGSIZE)
			message.data = NULL;
		if (result == 0)
			take(subscriber, source, header);
		/* It is its file that its publisher may wait for, which is no matter of eighths of a ring. */
		if (result == 0 && is_beside)
			ayrei_source_publish(source, subscriber);
		if (ret_message && (result == 0 || result == -EMSGSIZE))
			*ret_message = message;
		return result < 0 ? result : (ssize_t)message.bytes;
	}
	return ayrei_subscriber_put_off(subscriber);
}

/* What is known to come next of the publisher whose turn it is: its header; 0: a closer look is needed. */
static inline uint64_t known(const struct ayre_subscriber *subscriber, struct ayre_message *message)
{
	const struct ayrei_source *source = &subscriber->sources[subscriber->current];
	const char *bytes;
	uint64_t header = ayrei_source_known(source, subscriber->topic.layout.ring_bytes, &bytes);

	if (__builtin_expect(header != 0, true))
		ayrei_source_tell(source, header, bytes, source->reader.sequence, message);
	return header;
}

/* The short way in a durable topic, in its ring and in its log. */
__attribute__((noinline)) static ssize_t receive_known(struct ayre_subscriber *subscriber,
                                                       void *buffer, size_t buffer_bytes,
                                                       struct ayre_message *ret_message)
{
	struct ayrei_source *source = &subscriber->sources[subscriber->current];
	struct ayre_message message;
	uint64_t header = known(subscriber, &message);
	int result;

	if (__builtin_expect(header == 0, false))
		return receive_any(subscriber, buffer, buffer_bytes, ret_message);
	result = fetch_small(subscriber, source, &message, buffer, buffer_bytes);
	if (__builtin_expect(result < 0, false))
		return result == -EPROTO
		               ? result
		               : receive_any(subscriber, buffer, buffer_bytes, ret_message);
	if (ret_message)
		*ret_message = message;
	take(subscriber, source, header);
	return (ssize_t)message.bytes;
}

/*
 * The shortest way: a short plain message of the publisher whose turn it is, or nothing from the only one
 * there is. Everything else goes the long way.
 */
static inline ssize_t try_receive(struct ayre_subscriber *subscriber, void *buffer,
                                  size_t buffer_bytes, struct ayre_message *ret_message)
{
	struct ayrei_source *source;
	uint64_t header, position, bytes;

	if (__builtin_expect(subscriber->turn == 0 || subscriber->peeked_count, false))
		return receive_any(subscriber, buffer, buffer_bytes, ret_message);
	source = &subscriber->sources[subscriber->current];
	position = source->reader.position;
	header = ayrei_reader_header(&source->reader);
	bytes = (uint32_t)header;
	if (__builtin_expect(header >> 32 != AYREI_RECORD_MESSAGE || bytes > AYREI_COPY_SHORT_MAX ||
	                             bytes > buffer_bytes,
	                     false)) {
		if (header == 0 && subscriber->is_plain && subscriber->idle > 1 &&
		    ayrei_reader_is_intact(&source->reader, position) &&
		    !ayrei_source_is_awaited(source)) {
			subscriber->idle--;
			return -EAGAIN;
		}
		return subscriber->is_durable
		               ? receive_known(subscriber, buffer, buffer_bytes, ret_message)
		               : receive_any(subscriber, buffer, buffer_bytes, ret_message);
	}
	ayrei_copy_short(buffer,
	                 source->reader.ring + (position & source->reader.mask) +
	                         AYREI_RECORD_HEADER,
	                 bytes);
	if (__builtin_expect(!ayrei_reader_is_intact(&source->reader, position) ||
	                             ayrei_shared_is_lost(&source->map) ||
	                             source->state == AYREI_SOURCE_BROKEN,
	                     false))
		return receive_any(subscriber, buffer, buffer_bytes, ret_message);
	if (ret_message)
		*ret_message = (struct ayre_message){
			.data = buffer,
			.bytes = bytes,
			.publisher = source->id,
			.sequence = source->reader.sequence,
			.time_ns = -1,
		};
	take(subscriber, source, header);
	return (ssize_t)bytes;
}

ssize_t ayre_subscriber_try_receive(struct ayre_subscriber *subscriber, void *buffer,
                                    size_t buffer_bytes, struct ayre_message *ret_message)
{
	return try_receive(subscriber, buffer, buffer_bytes, ret_message);
}

/* A wait that ended although there was nothing ends at the deadline too: a publisher can bring that about. */
static int wait_again(struct ayre_subscriber *subscriber, int64_t deadline_ns, unsigned int *waits)
{
	if (++*waits > 1 && deadline_ns <= ayrei_monotonic_ns())
		return -ETIMEDOUT;
	return ayrei_subscriber_wait(subscriber, deadline_ns);
}

ssize_t ayre_subscriber_receive_until(struct ayre_subscriber *subscriber, void *buffer,
                                      size_t buffer_bytes, struct ayre_message *ret_message,
                                      int64_t deadline_ns)
{
	unsigned int waits = 0;

	for (;;) {
		ssize_t result = try_receive(subscriber, buffer, buffer_bytes, ret_message);

		if (result == -EAGAIN)
			result = wait_again(subscriber, deadline_ns, &waits);
		else
			return result;
		if (result < 0)
			return result;
	}
}

ssize_t ayre_subscriber_receive(struct ayre_subscriber *subscriber, void *buffer,
                                size_t buffer_bytes, struct ayre_message *ret_message)
{
	return ayre_subscriber_receive_until(subscriber, buffer, buffer_bytes, ret_message,
	                                     AYRE_NO_DEADLINE);
}

/* --- in place --- */

static inline void note_peeked(struct ayre_subscriber *subscriber, uint64_t header)
{
	const struct ayrei_source *source = &subscriber->sources[subscriber->current];

	subscriber->peeked_source = subscriber->current;
	subscriber->peeked_count = 1;
	subscriber->peeked_begin = source->reader.position;
	subscriber->peeked_end = ayrei_record_end(source->reader.position, (uint32_t)header);
}

static int peek_any(struct ayre_subscriber *subscriber, struct ayre_message *ret_message)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		struct ayre_message message;
		uint64_t header;
		int result = find_or_tell(subscriber, &message, &header);
		struct ayrei_source *source;

		if (result < 0)
			return result;
		source = &subscriber->sources[subscriber->current];
		result = message.data ? confirm(subscriber, source)
		                      : fetch_large(subscriber, source, header, &message, NULL,
		                                    SIZE_MAX);
		if (result == -ENOENT)
			continue;
		if (result < 0)
			return result;
		note_peeked(subscriber, header);
		*ret_message = message;
		return 0;
	}
	return ayrei_subscriber_put_off(subscriber);
}

/* The short way in a durable topic, as for receiving. */
__attribute__((noinline)) static int peek_known(struct ayre_subscriber *subscriber,
                                                struct ayre_message *ret_message)
{
	struct ayrei_source *source = &subscriber->sources[subscriber->current];
	struct ayre_message message;
	uint64_t header = known(subscriber, &message);
	int result;

	if (__builtin_expect(header == 0, false))
		return peek_any(subscriber, ret_message);
	result = confirm(subscriber, source);
	if (__builtin_expect(result < 0, false))
		return result == -EPROTO ? result : peek_any(subscriber, ret_message);
	*ret_message = message;
	note_peeked(subscriber, header);
	return 0;
}

/* The shortest way, as for receiving: a plain message of the publisher whose turn it is. */
int ayre_subscriber_try_peek(struct ayre_subscriber *subscriber, struct ayre_message *ret_message)
{
	const struct ayrei_source *source;
	uint64_t header;

	if (__builtin_expect(subscriber->turn == 0 || subscriber->peeked_count, false))
		return peek_any(subscriber, ret_message);
	source = &subscriber->sources[subscriber->current];
	header = ayrei_reader_header(&source->reader);
	if (__builtin_expect(
		    header >> 32 != AYREI_RECORD_MESSAGE ||
			    (uint32_t)header > ayrei_record_bytes_max(source->reader.mask + 1) ||
			    source->state == AYREI_SOURCE_BROKEN ||
			    !ayrei_reader_is_intact(&source->reader, source->reader.position),
		    false))
		return subscriber->is_durable ? peek_known(subscriber, ret_message)
		                              : peek_any(subscriber, ret_message);
	*ret_message = (struct ayre_message){
		.data = source->reader.ring + (source->reader.position & source->reader.mask) +
	                AYREI_RECORD_HEADER,
		.bytes = (uint32_t)header,
		.publisher = source->id,
		.sequence = source->reader.sequence,
		.time_ns = -1,
	};
	note_peeked(subscriber, header);
	return 0;
}

int ayre_subscriber_peek_until(struct ayre_subscriber *subscriber, struct ayre_message *ret_message,
                               int64_t deadline_ns)
{
	unsigned int waits = 0;

	for (;;) {
		int result = ayre_subscriber_try_peek(subscriber, ret_message);

		if (result == -EAGAIN)
			result = wait_again(subscriber, deadline_ns, &waits);
		else
			return result;
		if (result < 0)
			return result;
	}
}

int ayre_subscriber_peek(struct ayre_subscriber *subscriber, struct ayre_message *ret_message)
{
	return ayre_subscriber_peek_until(subscriber, ret_message, AYRE_NO_DEADLINE);
}

/* Messages in the ring, stamped or not: they need no closer look. */
static inline bool is_simple(uint64_t header, uint64_t ring)
{
	uint64_t kind = header >> 32;

	return (uint32_t)header <= ayrei_record_bytes_max(ring) &&
	       (kind == AYREI_RECORD_MESSAGE ||
	        (kind == (AYREI_RECORD_MESSAGE | AYREI_RECORD_STAMPED << 8) &&
	         (uint32_t)header >= sizeof(int64_t)));
}

static inline void tell_simple(const struct ayrei_source *source, uint64_t header,
                               const char *bytes, uint64_t sequence, struct ayre_message *message)
{
	int64_t time_ns = -1;
	uint64_t stamp = header >> 32 == AYREI_RECORD_MESSAGE ? 0 : sizeof(time_ns);

	if (stamp)
		memcpy(&time_ns, bytes, sizeof(time_ns));
	*message = (struct ayre_message){
		.data = bytes + stamp,
		.bytes = (uint32_t)header - stamp,
		.publisher = source->id,
		.sequence = sequence,
		.time_ns = time_ns,
	};
}

/* More of the same lane behind the first. */
static size_t peek_on(struct ayre_subscriber *subscriber, struct ayre_message *messages,
                      size_t most)
{
	struct ayrei_source *source = &subscriber->sources[subscriber->peeked_source];
	struct ayrei_reader reader = source->reader;
	size_t count = 1;

	if (source->is_in_log)
		return ayrei_source_peek_on_in_log(subscriber, source, messages, most);

	for (; count < most; count++) {
		const char *bytes;
		uint64_t header, end;

		reader.position = subscriber->peeked_end;
		header = ayrei_reader_header(&reader);
		end = ayrei_record_end(reader.position, (uint32_t)header);
		bytes = reader.ring + (reader.position & reader.mask) + AYREI_RECORD_HEADER;
		if (end - subscriber->peeked_begin > (reader.mask + 1) / 2)
			break;
		if (is_simple(header, reader.mask + 1))
			tell_simple(source, header, bytes, reader.sequence + count,
			            &messages[count]);
		else if (reader.position < source->known_until &&
		         ayrei_record_is_checked_message(header,
		                                         ayrei_record_bytes_max(reader.mask + 1)))
			ayrei_source_tell(source, header, bytes, reader.sequence + count,
			                  &messages[count]);
		else
			break;
		subscriber->peeked_end = end;
	}
	return count;
}

ssize_t ayre_subscriber_try_peek_batch(struct ayre_subscriber *subscriber,
                                       struct ayre_message *messages, size_t most)
{
	int result;

	if (most == 0)
		return -EINVAL;
	result = ayre_subscriber_try_peek(subscriber, messages);
	if (result < 0)
		return result;
	if (!subscriber->peeked_large.base)
		subscriber->peeked_count = (unsigned int)peek_on(subscriber, messages,
		                                                 most > 1u << 20 ? 1u << 20 : most);
	return subscriber->peeked_count;
}

int ayre_subscriber_release(struct ayre_subscriber *subscriber)
{
	struct ayrei_source *source;
	uint64_t count = subscriber->peeked_count;
	bool is_beside = subscriber->peeked_large.base != NULL, lost;
	int result;

	if (count == 0)
		return -EINVAL;
	source = &subscriber->sources[subscriber->peeked_source];
	lost = ayrei_shared_is_lost(&subscriber->peeked_large);
	if (__builtin_expect(is_beside, false))
		ayrei_subscriber_end_look(subscriber);
	subscriber->peeked_count = 0;
	result = confirm(subscriber, source);
	/* Also where pages of it are lost: whoever writes over it may not need them. */
	if (__builtin_expect(is_beside, false) && result == 0 &&
	    ayrei_source_is_over(source, subscriber->peeked_begin)) {
		skip_missing(subscriber, source, subscriber->peeked_end);
		result = -ENOENT;
	}
	if (__builtin_expect(lost && result == 0, false))
		result = ayrei_source_break(subscriber, source);
	if (__builtin_expect(result < 0, false))
		return -ESTALE;
	source->reader.sequence += count;
	subscriber->turn -= count < subscriber->turn ? (unsigned int)count : subscriber->turn;
	advance(subscriber, source, subscriber->peeked_end);
	if (__builtin_expect(is_beside, false))
		ayrei_source_publish(source, subscriber);
	return 0;
}
