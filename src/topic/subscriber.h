/*
 * The handle of a subscriber, and what its files share.
 *
 *   subscriber.c       receiving: the way of every message
 *   subscriber_open.c  a cursor, made and let go
 *   subscriber_wait.c  nothing there: spinning, sleeping, hearing who came and who died
 *   subscriber_large.c beside the ring
 *   history.c          durable: reading from the log; history_seek.c: beginning there
 *   source.c           one lane, as its subscriber stands to it
 *   lane.c             the ring
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <ayre/topic.h>

#include "sys/spin.h"
#include "topic/directory.h"
#include "topic/extent.h"
#include "topic/lane.h"
#include "topic/log_layout.h"
#include "topic/shared.h"
#include "topic/wait.h"

enum ayrei_source_state {
	AYREI_SOURCE_LIVE,   /* somebody publishes, as far as we know */
	AYREI_SOURCE_LEFT,   /* nobody does; there may be something left to read */
	AYREI_SOURCE_BROKEN, /* left alone: it broke the format, or was cut short */
};

struct ayrei_source {
	struct ayrei_reader reader;
	struct ayrei_shared map;
	uint64_t id;
	uint64_t published; /* the position in our cursor's entry */
	uint64_t first,
		missed;      /* the number of its first message for us, and of those missed since */
	uint64_t answered;   /* the value of `waiting` that we rang for */
	uint64_t generation; /* `publishers` of the lane when it was last found live */
	size_t entry;        /* in our cursor */
	int bell;            /* the publisher's: -1: there is none to ring */
	uint32_t uid;        /* whose lane it is: the files beside it have to be, too */
	enum ayrei_source_state state;
	uint64_t closed_at; /* behind the last record that said that its publisher closed */
	uint64_t deaths;    /* publishers that died before the present one came */
	uint64_t lost_at;   /* the number that the last of them would have used next */
	bool counts;        /* its end is one of those that are waited for, with UNTIL_CLOSED */
	/* Of a durable lane. */
	/*
	 * Messages from its position on, and before this one, may be received: in the log they were found whole, and
	 * in the ring they are safe, if that is asked for. 0: nothing is known.
	 */
	uint64_t known_until;
	bool is_in_log;             /* read from there: the ring has gone on, or is not there */
	struct ayrei_extent extent; /* where it is in its log */
	uint64_t log_end;           /* a log without a ring ends there; 0: it was not found yet */
};

struct ayre_subscriber {
	struct ayrei_source *sources;
	size_t source_count, source_room;
	size_t current;       /* whose turn it is */
	unsigned int turn;    /* messages it may still have in a row */
	const uint64_t *join; /* the word in `join`; one of our own where nobody can come */
	uint64_t join_seen;
	bool is_plain;     /* one publisher, and nothing to tell but its messages */
	unsigned int idle; /* attempts that may still find nothing until the bell is looked at */
	struct ayrei_cursor_layout *cursor;

	/* What was peeked and not yet released. */
	size_t peeked_source;
	unsigned int peeked_count;         /* 0: nothing */
	uint64_t peeked_begin, peeked_end; /* positions */
	uint64_t peeked_messages;          /* without those that were no message */
	struct ayrei_shared peeked_large;
	bool peeked_kept;             /* it stays mapped */
	struct ayrei_kept_maps *kept; /* NULL: none */

	struct ayrei_topic topic;
	struct ayrei_shared map; /* of the cursor */
	struct ayrei_shared join_map;
	uint64_t no_join; /* what join points to in a lane without a name */
	struct ayre_subscriber_options options;
	struct ayrei_spin spin;
	struct ayrei_gathering gathering;
	uint64_t id;
	uint64_t missed, sleeps;
	uint64_t *refused; /* lanes that are none, and were told of */
	size_t refused_count;
	uint64_t broken_publisher; /* the last that was told of; UINT64_MAX: none */
	uint64_t damaged_publisher, damaged_first, damaged_end; /* likewise */
	int64_t noticed_ns;    /* when the bell was last looked at */
	unsigned int rotation; /* of ayre_subscribers_wait() */
	int file, bell, set;
	int trouble;      /* to be told once: a lane that cannot be listened to */
	bool looks_again; /* a look through the directory has failed */
	bool has_looked;  /* what is found from now on is new */
	bool was_rung;    /* since it was last found that nobody could */
	bool is_alone;    /* the bell blocks, and ends with the only publisher */
	bool exported;    /* its descriptor was asked for */
	bool waited_for;  /* publishers wait for us */
	bool no_barrier;  /* this process cannot make others pass a fence */
	bool is_durable;
	bool safe_only;
};

/* What an attempt on one source came to, besides a negative errno. */
enum ayrei_attempt { AYREI_NOTHING = 0, AYREI_FOUND = 1, AYREI_AGAIN = 2 };

/* Tags in the set: an index of a source + 1, and this one, which is our own bell. */
#define AYREI_SUBSCRIBER_BELL 0

/* As ayrei_publisher_options(). */
int ayrei_subscriber_options(struct ayre_subscriber_options *ret_options,
                             const struct ayre_subscriber_options *given);
/* A handle with nothing in it; NULL: no memory. */
struct ayre_subscriber *ayrei_subscriber_new(const struct ayre_subscriber_options *options);
void ayrei_subscriber_sign(struct ayre_subscriber *subscriber, const uint8_t *generation);
/* Begins to subscribe to a topic that is open, and is taken, on failure too. */
int ayrei_subscriber_open_in(const struct ayre_subscriber_options *options,
                             struct ayrei_topic *topic, struct ayre_subscriber **ret_subscriber,
                             struct ayre_error *error);
/* The set, and in it our bell. */
int ayrei_subscriber_listen(struct ayre_subscriber *subscriber);

/* Sets is_plain, after something that it stands for has changed. */
void ayrei_subscriber_settle(struct ayre_subscriber *subscriber);

/* --- lanes --- */

/* Looks through the directory for lanes that are new, or taken again; tells them that we came if ring. */
int ayrei_subscriber_look(struct ayre_subscriber *subscriber, bool ring);
/*
 * Of a subscriber that has its name now: what was overwritten before a publisher could know of it was not
 * sent to it, and is not missed.
 */
void ayrei_subscriber_arrive(struct ayre_subscriber *subscriber);
/* A lane that came as descriptors, which are duplicated. */
int ayrei_source_adopt(struct ayre_subscriber *subscriber, int lane, int bell, uint64_t ring_bytes);
void ayrei_source_let_go(struct ayre_subscriber *subscriber, struct ayrei_source *source);
/* Its publisher is said to have gone: asks the kernel. */
void ayrei_source_check(struct ayre_subscriber *subscriber, struct ayrei_source *source);
/* It broke the format. Returns -EPROTO. */
int ayrei_source_break(struct ayre_subscriber *subscriber, struct ayrei_source *source);
/* After it was overtaken. 0, or -EPROTO. */
int ayrei_source_catch_up(struct ayre_subscriber *subscriber, struct ayrei_source *source);
/* Says how far we are, and rings if its publisher waits for that. */
void ayrei_source_publish(struct ayrei_source *source, struct ayre_subscriber *subscriber);

/*
 * Goes past records that are no messages, as far as they are there: their publishers closed, or died. What makes
 * no sense stays for whoever reads it.
 */
void ayrei_source_pass_closed(struct ayrei_source *source, struct ayre_subscriber *subscriber);

/* Is somebody waiting for us to read, who has not been told that we have? */
static inline bool ayrei_source_is_awaited(const struct ayrei_source *source)
{
	uint64_t waiting = ayrei_load(&source->reader.layout->waiting);

	return waiting != 0 && waiting != source->answered && source->reader.position >= waiting;
}

/* Does its last record say that its publisher closed? */
static inline bool ayrei_source_was_closed(const struct ayrei_source *source)
{
	return source->closed_at == source->reader.position;
}

static inline uint64_t ayrei_source_received(const struct ayrei_source *source)
{
	return source->reader.sequence - source->first - source->missed;
}

/* Messages of one publisher before the next one's turn. */
#define AYREI_TURN 32u

/* Attempts in vain between two looks at the clock, for whether to look at the bell. */
#define AYREI_IDLE 64u

/* --- beside the ring --- */

/* Can the file of this record have been written over? What was read of it was read before this. */
bool ayrei_source_is_over(const struct ayrei_source *source, uint64_t position);
/*
 * The message at the position of the source: copies it (buffer), or maps it (NULL) until
 * ayrei_subscriber_end_look(). 0; -ENOENT: it is gone; -EMSGSIZE: it is what its record says, and larger than
 * the buffer; -EPROTO: it is not; or another negative errno.
 */
int ayrei_subscriber_fetch_large(struct ayre_subscriber *subscriber,
                                 const struct ayrei_source *source, struct ayre_message *message,
                                 void *buffer, size_t buffer_bytes);
void ayrei_subscriber_end_look(struct ayre_subscriber *subscriber);
/* Lets go of what stays mapped, unless it is being looked at. */
void ayrei_subscriber_forget_maps(struct ayre_subscriber *subscriber);

/* --- the log (history.c) --- */

/* The lane of its ring; NULL: there is no ring. */
static inline const struct ayrei_lane_layout *ayrei_source_layout(const struct ayrei_source *source)
{
	return source->map.base;
}

/* May what is at its position be received? */
static inline bool ayrei_source_may_go_on(const struct ayre_subscriber *subscriber,
                                          const struct ayrei_source *source)
{
	return !subscriber->safe_only || !ayrei_source_layout(source) ||
	       source->reader.position < ayrei_load_acquire(&ayrei_source_layout(source)->safe);
}

/* The reader of its ring, at the same place. */
void ayrei_source_set_reader(struct ayrei_source *source, size_t header_bytes, uint64_t ring_bytes);
/* From here on it is read from its log. */
void ayrei_source_enter_log(struct ayrei_source *source);
/* Where to begin in a durable lane, as the options have it. */
int ayrei_source_seek_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                          uint32_t from, int64_t value);
/* What its log.ID says was safe, or was given up. false: it says nothing. */
bool ayrei_source_read_slot(const struct ayre_subscriber *subscriber,
                            const struct ayrei_source *source, struct ayrei_slot_layout *ret_slot);
/* As look() in subscriber.c: enum ayrei_attempt or a negative errno; -EBADMSG: what is damaged is passed over. */
int ayrei_source_look_in_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                             struct ayre_message *message, uint64_t *ret_header);
/* Would that be something else than nothing? */
bool ayrei_source_has_in_log(const struct ayre_subscriber *subscriber,
                             const struct ayrei_source *source);
/* More messages behind the one that was peeked. Returns how many there are with it. */
size_t ayrei_source_peek_on_in_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                                   struct ayre_message *messages, size_t most);
/*
 * Of a record in the log that tells of a message beside the ring. When its file is not there: has retention taken
 * both? And when it is: is it that message?
 */
bool ayrei_source_was_given_up(const struct ayre_subscriber *subscriber,
                               const struct ayrei_source *source);
bool ayrei_source_is_what_was_sent(const struct ayrei_source *source, uint64_t header,
                                   const struct ayre_message *message);
/* A whole record at a place; message->data is NULL if it lies beside the ring. */
static inline void ayrei_source_describe(const struct ayrei_source *source, uint64_t header,
                                         const char *bytes, struct ayre_message *message)
{
	struct ayrei_record record = ayrei_record_unpack(header);

	*message = (struct ayre_message){
		.bytes = ayrei_record_message_bytes(header, bytes),
		.publisher = source->id,
		.sequence = source->reader.sequence,
		.time_ns = -1,
	};
	if (record.kind == AYREI_RECORD_MESSAGE)
		message->data = bytes + ayrei_record_prefix_bytes(record);
	if (record.flags & AYREI_RECORD_STAMPED)
		message->time_ns = ayrei_record_stamp(record, bytes);
}

/* Likewise where ayrei_record_is_checked_message(). */
static inline void ayrei_source_tell(const struct ayrei_source *source, uint64_t header,
                                     const char *bytes, uint64_t sequence,
                                     struct ayre_message *message)
{
	bool is_stamped = header >> 40 & AYREI_RECORD_STAMPED;
	uint64_t prefix = is_stamped ? 2 * sizeof(uint64_t) : sizeof(uint64_t);

	*message = (struct ayre_message){
		.data = bytes + prefix,
		.bytes = (uint32_t)header - prefix,
		.publisher = source->id,
		.sequence = sequence,
		.time_ns = -1,
	};
	if (is_stamped)
		memcpy(&message->time_ns, bytes + sizeof(uint64_t), sizeof(message->time_ns));
}

/* The header of such a message at its position, which may be received, and what is behind it; 0: look closer. */
static inline uint64_t ayrei_source_known(const struct ayrei_source *source, uint64_t ring_bytes,
                                          const char **ret_bytes)
{
	uint64_t position = source->reader.position, most = ayrei_record_bytes_max(ring_bytes);
	uint64_t header;

	if (position >= source->known_until)
		return 0;
	if (source->is_in_log) {
		uint64_t left = source->extent.end - position - AYREI_RECORD_HEADER;

		header = ayrei_extent_header(&source->extent, position);
		*ret_bytes = ayrei_extent_bytes(&source->extent, position);
		most = left < most ? left : most;
	} else {
		header = ayrei_reader_header(&source->reader);
		*ret_bytes = source->reader.ring + (position & source->reader.mask) +
		             AYREI_RECORD_HEADER;
	}
	return ayrei_record_is_checked_message(header, most) ? header : 0;
}

/* --- waiting --- */

/* Is there anything for a try_ call to tell: a message, an end, trouble? */
bool ayrei_subscriber_is_ready(struct ayre_subscriber *subscriber);
/* Somebody has come: looks who. */
void ayrei_subscriber_find_newcomers(struct ayre_subscriber *subscriber);
/* After an attempt found nothing: -EAGAIN, an end, or 0: try again. */
int ayrei_subscriber_rest(struct ayre_subscriber *subscriber);
/* For an attempt that has gone on for too long: -EAGAIN, and the descriptor tells that another is due. */
int ayrei_subscriber_put_off(struct ayre_subscriber *subscriber);
/* Waits until an attempt may find something, or -ETIMEDOUT, or an end. */
int ayrei_subscriber_wait(struct ayre_subscriber *subscriber, int64_t deadline_ns);
