/*
 * A lane: a ring of records, seen from its writer and from a reader. Nothing here knows files,
 * names, or waiting; both ends are memory that somebody mapped.
 *
 * The protocol. `next` is where the record behind this one will begin.
 *
 *      writer                                   reader, at position P
 *   1  limit = beyond next, if it is not yet    a  h = header at P        (acquire)
 *      -- fence: stores --                         h == 0: nothing yet
 *   2  header at next = 0                       b  copies the bytes
 *   3  the bytes                                   -- fence: loads --
 *   4  header at P = h            (release)     c  limit > P + ring_bytes: it was overwritten
 *
 * Were 2 left out, or done after 4, the reader would go on from P to next and take what an earlier lap
 * left there for a record:
 *
 *      writer: 4 stores h                       reader: a, b, c; P = next
 *                                               reader: a finds a number that was payload once
 *      writer: 2 clears it, too late
 *
 * Were 1 done after 3, a reader could copy bytes that are being overwritten and still find the old
 * limit in c. The limit moves in steps of a sixteenth of the ring, so that the line it is in
 * stays with its readers.
 *
 * A writer that dies anywhere leaves the header at its position 0: 4 is the only step that makes
 * a record, and its own 2 has cleared the next. So the next writer finds the end by walking.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sys/copy.h"
#include "sys/cpu.h"
#include "topic/layout.h"
#include "topic/record.h"

/* A word of shared memory. */
static inline uint64_t ayrei_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t ayrei_load_acquire(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void ayrei_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void ayrei_store_release(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* --- the writer --- */

struct ayrei_lane {
	char *ring; /* twice in a row */
	uint64_t mask;
	uint64_t position; /* of the next record */
	uint64_t limit;    /* as in the layout */
	uint64_t sequence; /* of the next message */
	struct ayrei_lane_layout *layout;
	uint64_t checkpoint; /* position of the newest */
	int64_t time_ns; /* later than every stamp, as far as is known; no checkpoint has a later one */
};

static inline uint64_t *ayrei_lane_word(const struct ayrei_lane *lane, uint64_t position)
{
	return (uint64_t *)(void *)(lane->ring + (position & lane->mask));
}

static inline char *ayrei_lane_bytes(const struct ayrei_lane *lane, uint64_t position)
{
	return lane->ring + (position & lane->mask) + AYREI_RECORD_HEADER;
}

/* Is there room, by the limit that is published, for a record of so many bytes and what may follow? */
static inline bool ayrei_lane_fits(const struct ayrei_lane *lane, uint64_t bytes)
{
	return ayrei_record_end(lane->position, bytes) + AYREI_LANE_SLACK <= lane->limit;
}

/*
 * Step 3: what lies in the line of the header comes last. A reader that waits looks there again and again, and
 * would take the line away between its first bytes and its header.
 */
static inline void ayrei_lane_copy(void *to, const void *from, size_t bytes)
{
	size_t first = AYREI_LINE - ((uintptr_t)to & (AYREI_LINE - 1));

	if (bytes > AYREI_COPY_SHORT_MAX) {
		ayrei_copy((char *)to + first, (const char *)from + first, bytes - first);
		ayrei_fence_compiler();
		ayrei_copy_short(to, from, first);
	} else {
		ayrei_copy_short(to, from, bytes);
	}
}

/* Steps 2 and 4, around a 3 that is done: the record at the writer's position exists. */
static inline void ayrei_lane_commit(struct ayrei_lane *lane, uint64_t header)
{
	uint64_t end = ayrei_record_end(lane->position, (uint32_t)header);

	ayrei_store(ayrei_lane_word(lane, end), 0);
	ayrei_store_release(ayrei_lane_word(lane, lane->position), header);
	/* What step 2 of the next one, if it is as long, will have to take from a reader's cache. */
	ayrei_prefetch_write(ayrei_lane_word(lane, end + (end - lane->position)));
	lane->position = end;
}

/*
 * Moves the limit so that a record of so many bytes fits, but not beyond what floor, the slowest
 * cursor that has to be waited for (UINT64_MAX: nobody), allows. -EAGAIN: that is too little.
 */
int ayrei_lane_extend(struct ayrei_lane *lane, uint64_t bytes, uint64_t floor);
/*
 * A new lane: the layout and the ring are zeros that nobody else sees yet. Its first record has this position,
 * ring_bytes or more, and its first message this number.
 */
void ayrei_lane_begin(struct ayrei_lane *lane, uint64_t position, uint64_t sequence);
/* Whether its head says that it is this lane, of this generation and these sizes. */
bool ayrei_lane_is_of(const struct ayrei_lane_layout *lane, const uint8_t *generation, uint64_t id,
                      uint64_t header_bytes, uint64_t ring_bytes);
/*
 * A lane that an earlier writer left, possibly in the middle of a step. Returns 0, or -EPROTO: it
 * is damaged. ret_closed: the last record says that it was closed.
 */
int ayrei_lane_recover(struct ayrei_lane *lane, bool *ret_closed);

/* --- a reader --- */

struct ayrei_reader {
	const char *ring; /* twice in a row */
	uint64_t mask;
	uint64_t position; /* of the next record to read */
	uint64_t sequence; /* its message's */
	const struct ayrei_lane_layout *layout;
	uint64_t closed_at; /* behind the last record walked over that said so; 0: none did */
};

static inline uint64_t ayrei_reader_header(const struct ayrei_reader *reader)
{
	const void *word = reader->ring + (reader->position & reader->mask);

	return ayrei_load_acquire(word);
}

/*
 * Step c, for what was read at this position: is it what the writer wrote? It lies before the limit, too,
 * by more than nothing: a ring that is full of records would lead its readers round and round.
 */
static inline bool ayrei_reader_is_intact(const struct ayrei_reader *reader, uint64_t position)
{
	ayrei_fence_loads();
	return ayrei_load(&reader->layout->limit) - position - 1 <= reader->mask;
}

/* A place in a lane where a record begins. */
struct ayrei_place_in_lane {
	uint64_t position, sequence;
	int64_t time_ns;
};

/*
 * The checkpoint that lies at or after a position (0: the oldest that can still be read), the
 * oldest of them. -ENOENT: there is none.
 */
int ayrei_reader_checkpoint(const struct ayrei_reader *reader, uint64_t least,
                            struct ayrei_checkpoint *ret_checkpoint);
/* Places the reader at the oldest message; -EPROTO: the writer breaks the format. */
int ayrei_reader_seek_oldest(struct ayrei_reader *reader);
/* At the end, as it was when this was called. Likewise. */
int ayrei_reader_seek_next(struct ayrei_reader *reader);
int ayrei_reader_seek_sequence(struct ayrei_reader *reader, uint64_t sequence);
int ayrei_reader_seek_time(struct ayrei_reader *reader, int64_t time_ns);
/*
 * After it was overtaken: places it where half a ring is still to come. Returns 0 and the number of
 * messages that were missed, or -EPROTO.
 */
int ayrei_reader_catch_up(struct ayrei_reader *reader, uint64_t *ret_missed);
