/*
 * The journal of a durable lane: it trails the lane's ring, and carries what is in it to the disk.
 *
 *        ring                          log                              the disk
 *   visible to subscribers  --carry-->  in the kernel's hands  --flush-->  safe
 *   (position)                          (carried)                          (safe)
 *
 * What is visible outlives the publisher, in the ring; what is safe outlives the machine.
 *
 * Invariant: bytes of the log before `carried` are those that the ring had at the same positions, and the
 * lane's limit is never further than a ring behind that. `safe` moves after a flush that was begun with all
 * before it carried, and that did not fail. After one that failed it never moves again in this journal: the kernel
 * has forgotten which pages it could not write, and would call the next flush a success.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/extent.h"
#include "topic/lane.h"
#include "topic/log.h"

#define AYREI_PIECE_MOST ((uint64_t)256 << 10)

struct ayrei_journal {
	const struct ayrei_topic *topic;
	const struct ayrei_lane *lane; /* its ring, and its layout */
	int file;                      /* log.ID; -1: there is no journal */
	int extent;                    /* the open one */
	uint32_t sync;                 /* enum ayre_topic_sync */
	uint64_t id, key;
	uint64_t begin, header_bytes; /* of the open extent */
	struct ayrei_log_place carried, safe;
	uint64_t index_next; /* the next entry to be written */
	uint64_t
		prepared; /* before this position the open extent was written to, with zeros at least */
	int64_t time_ns; /* the latest that the log tells of, and later than what was stamped */
	int failure;     /* of a flush: for good */
	bool owes_large; /* there may be messages beside the ring that were carried without a flush of theirs */
	struct ayrei_slot_layout slot;
};

static inline bool ayrei_journal_is_open(const struct ayrei_journal *journal)
{
	return journal->file >= 0;
}

/* --- carrying --- */

/*
 * What is carried in a stream ends at multiples of this in the file, as near as records do, so that the next write
 * begins there: the kernel takes memory for its cache in pieces that are as large as they are aligned, and
 * many small ones cost as much as the copy.
 */
static inline uint64_t ayrei_journal_piece_bytes(const struct ayrei_journal *journal)
{
	uint64_t bytes = (journal->lane->mask + 1) / 8;

	return bytes < AYREI_PIECE_MOST ? bytes : AYREI_PIECE_MOST;
}

/* Where the piece of a position in the open extent ends. */
static inline uint64_t ayrei_journal_piece_end(const struct ayrei_journal *journal,
                                               uint64_t position)
{
	uint64_t piece = ayrei_journal_piece_bytes(journal);

	return position + piece - (journal->header_bytes + position - journal->begin) % piece;
}

/*
 * All records that end at this position or before, as far as they are in the ring, but not less than one; puts their
 * checks in. 0; -ENOSPC: another extent does not fit, and all is as it was; or another negative errno.
 */
int ayrei_journal_carry(struct ayrei_journal *journal, uint64_t position);
/*
 * Carries all that is in the ring, and begins another extent where a record that ends there does not fit, so that
 * -ENOSPC comes before it is sent. 0: records that end at *ret_most or before can be carried.
 */
int ayrei_journal_make_room(struct ayrei_journal *journal, uint64_t end, uint64_t *ret_most);
/* Lets the disk begin with what was carried from this position on, while more is carried before the flush. */
void ayrei_journal_begin_flush(const struct ayrei_journal *journal, uint64_t position);
/* Makes everything that was carried safe. 0, or what a flush failed with, this one or one before. */
int ayrei_journal_flush(struct ayrei_journal *journal);

/* --- opening and closing (journal_open.c) --- */

void ayrei_journal_init(struct ayrei_journal *journal);
/*
 * Takes the log of that lane: its lock, and what it says of itself. -EWOULDBLOCK: another has it; -EBADMSG: it
 * is damaged, and left as it is; or another negative errno.
 */
int ayrei_journal_take(struct ayrei_journal *journal, const struct ayrei_topic *topic, uint64_t id);
/*
 * Goes on with a lane whose ring is there and was taken: it says how far it was carried. -ESTALE: that ring is
 * not of this log.
 */
int ayrei_journal_resume(struct ayrei_journal *journal, const struct ayrei_lane *lane);
/* The ring is gone: finds the end of the log, and cuts off what is torn. -EBADMSG: something before it is damaged. */
int ayrei_journal_recover(struct ayrei_journal *journal, struct ayrei_log_place *ret_end);
/* Begins an extent at the end, with another key, for a ring that is new; closed: as was found there. */
int ayrei_journal_restart(struct ayrei_journal *journal, struct ayrei_lane *lane, bool closed);
/* A log for a new lane, whose layout has its id. */
int ayrei_journal_create(struct ayrei_journal *journal, const struct ayrei_topic *topic,
                         struct ayrei_lane *lane);
/* Lets go; what has to be carried and flushed was. Without one, does nothing. */
void ayrei_journal_close(struct ayrei_journal *journal);
/* Without a word. */
void ayrei_journal_abandon(struct ayrei_journal *journal);

/* --- between the two files --- */

/* Writes where the log is into log.ID. */
int ayrei_journal_note(struct ayrei_journal *journal);
/* Begins an extent at what was carried. */
int ayrei_journal_begin_extent(struct ayrei_journal *journal);
/* Gives up what is older than has to be kept. */
void ayrei_journal_retain(struct ayrei_journal *journal);
