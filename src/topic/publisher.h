/*
 * The handle of a publisher, and what its files share.
 *
 *   publisher.c        sending: the way of every message
 *   publisher_open.c   taking a lane, and letting it go
 *   publisher_wait.c   no room: looking at the cursors, spinning, sleeping
 *   publisher_log.c    durable: taking a log with its lane, and what is safe
 *   lane.c             the ring; large.c: beside the ring
 *   member.c           the subscribers
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/topic.h>

#include "sys/spin.h"
#include "topic/directory.h"
#include "topic/journal.h"
#include "topic/journal_thread.h"
#include "topic/lane.h"
#include "topic/large.h"
#include "topic/member.h"
#include "topic/shared.h"

struct ayre_publisher {
	/* What every message needs. */
	struct ayrei_lane lane;
	struct ayrei_members members;
	const uint64_t *join; /* the word in `join`; one of our own where nobody can come */
	uint64_t join_seen;
	bool is_plain;     /* none of the next six, so that the shortest way will do */
	bool is_plain_log; /* likewise in a durable topic, where nobody waits for each to be safe */
	bool fenced;       /* a full fence follows each message */
	bool checks;       /* each record has a check, and there is a journal */
	bool stamps;
	bool is_reserved;     /* in the ring; a draft is the other way */
	bool was_closed;      /* the lane's last record says that its publisher closed */
	int look_error;       /* what the last look through the directory failed with */
	bool may_unfence;     /* this kernel lets sleepers make us pass a fence */
	unsigned int quiet;   /* messages since somebody was woken, while fenced */
	uint64_t message_max; /* in the ring */
	size_t reserved_bytes;

	/* The rest. */
	struct ayrei_topic topic; /* its directory is -1 where there is no name */
	struct ayrei_shared map, join_map;
	struct ayrei_larges larges;
	struct ayrei_large_draft draft;
	uint64_t large_bytes;
	uint64_t no_join; /* what join points to in a lane without a name */
	struct ayrei_spin spin;
	int file; /* of the lane: its lock says that we live */
	int bell;
	bool lossy;
	bool exported; /* its descriptor was asked for */
	uint64_t waits;
	struct ayrei_journal journal;        /* of a durable lane */
	struct ayrei_journal_thread *thread; /* whose the journal then is; NULL: it is ours */
	uint64_t
		disk_room; /* where each message is made safe, records that end here have room there */
	bool wants_thread;
	uint64_t old_attempts; /* of the thread, for who waits for room */
};

/* Copies what a caller gave, NULL for the defaults. -EINVAL: its size is not set, or a flag is unknown. */
int ayrei_publisher_options(struct ayre_publisher_options *ret_options,
                            const struct ayre_publisher_options *given);
/* A handle with nothing in it; NULL: no memory. */
struct ayre_publisher *ayrei_publisher_new(const struct ayre_publisher_options *options);
/* Begins to publish in a topic that is open, and is taken, on failure too. */
int ayrei_publisher_open_in(const struct ayre_publisher_options *options, struct ayrei_topic *topic,
                            struct ayre_publisher **ret_publisher, struct ayre_error *error);
/* From the moment that the lane, the bell and the members' set are there: the rest of opening. */
int ayrei_publisher_begin(struct ayre_publisher *publisher);

/* Sets is_plain, after one of those that it stands for has changed. */
void ayrei_publisher_settle(struct ayre_publisher *publisher);
/* After a message was committed: wakes who sleeps, looks who came. */
void ayrei_publisher_attend(struct ayre_publisher *publisher);
/* What a call other than commit does with a reservation. */
void ayrei_publisher_give_up(struct ayre_publisher *publisher);
/* Looks through the directory; ring: tells those who are new that we are, too. */
int ayrei_publisher_look(struct ayre_publisher *publisher, bool ring);
/*
 * Waits for the descriptors that tell of subscribers (0: does not wait), and does what they tell. Was
 * there anything?
 */
bool ayrei_publisher_notice(struct ayre_publisher *publisher, int64_t deadline_ns);
/* Room in the ring for a record of so many bytes, without waiting. -EAGAIN. */
int ayrei_publisher_make_room(struct ayre_publisher *publisher, uint64_t bytes);
/* The same, waiting until the deadline. */
int ayrei_publisher_wait_room(struct ayre_publisher *publisher, uint64_t bytes,
                              int64_t deadline_ns);
/* Waits for room beside the ring, and begins a draft. */
int ayrei_publisher_wait_large(struct ayre_publisher *publisher, uint64_t bytes,
                               int64_t deadline_ns);

/* --- durable --- */

/* A lane with its log, taken over or made. */
int ayrei_publisher_take_log(struct ayre_publisher *publisher, struct ayre_error *error);
/* Of a record that will have a check: its header, as it will be checked. */
static inline uint64_t ayrei_publisher_mark(const struct ayre_publisher *publisher,
                                            uint64_t position, uint64_t header)
{
	return header | (uint64_t)AYREI_RECORD_CHECKED << 40 |
	       ayrei_record_lag(position, ayrei_load(&publisher->lane.layout->safe));
}

/* Begins to drive the journal, once the lane and the bell are there. */
int ayrei_publisher_begin_log(struct ayre_publisher *publisher);
uint64_t ayrei_publisher_safe_sequence(const struct ayre_publisher *publisher);
/* What a flush failed with, for good; 0: none did. */
static inline int ayrei_publisher_failure(const struct ayre_publisher *publisher)
{
	return publisher->thread
	               ? (int)__atomic_load_n(&publisher->thread->failure, __ATOMIC_ACQUIRE)
	               : publisher->journal.failure;
}

/*
 * Before one is written that would end there: where each is to be safe it is made sure of here that the disk has room
 * for it, for it cannot be unsent.
 */
int ayrei_publisher_make_disk_room(struct ayre_publisher *publisher, uint64_t end);
/* After a message was committed, where each is to be safe: 0, or why it is not. */
int ayrei_publisher_keep(struct ayre_publisher *publisher);
/* Before the publisher lets go of a lane that says it is closed. */
void ayrei_publisher_end_log(struct ayre_publisher *publisher);

/* --- lanes (publisher_open.c) --- */

/*
 * One that is there: takes it if it is free and sound. 1: taken; 0: there is none, or what is there is no lane of
 * ours; or a negative errno: it may be one.
 */
int ayrei_publisher_try_lane(struct ayre_publisher *publisher, uint64_t id);
/* Lets it go again, untouched. */
void ayrei_publisher_drop_lane(struct ayre_publisher *publisher);
/* A new one, with this id (0: any), position (0: the first) and number; finish: before it has its name. */
struct ayrei_new_lane {
	uint64_t id, position, sequence;
	int (*finish)(struct ayre_publisher *publisher, void *context);
	void *context;
};
int ayrei_publisher_make_lane(struct ayre_publisher *publisher, const struct ayrei_new_lane *what,
                              struct ayre_error *error);
/* Signs a lane that was taken over, and says of the one before what it did not say. -EACCES. */
int ayrei_publisher_succeed(struct ayre_publisher *publisher, struct ayre_error *error);

static inline struct ayrei_large_place ayrei_publisher_place(const struct ayre_publisher *publisher)
{
	return (struct ayrei_large_place){&publisher->topic, publisher->lane.layout};
}
