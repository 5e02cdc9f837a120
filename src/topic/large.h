/*
 * Messages that are too large for a ring: each in a file beside the lane, which a record in the ring
 * tells of. Its name ends with the position of that record. A file that has been read is used again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/lane.h"
#include "topic/shared.h"

struct ayrei_large_file {
	uint64_t position; /* its name ends with it */
	uint64_t bytes;    /* that it has room for, and takes */
	uint64_t used;     /* of them, by its message */
	struct ayrei_shared
		map; /* ours, for writing; of an earlier publisher's, or of too many, none */
};

/* So many spares at the most, however small they are. */
#define AYREI_SPARES 64u

/* Those of one publisher that have a name. */
struct ayrei_larges {
	struct ayrei_large_file *files; /* with a message, in the order of their positions */
	size_t first, count, room;      /* files[first] to files[first + count - 1] */
	struct ayrei_large_file
		spares[AYREI_SPARES]; /* without: the last one was in use most recently */
	size_t spare_count;
	uint64_t bytes;     /* of all of them */
	size_t mapped;      /* so many of them are */
	size_t idle;        /* spares that were never taken in the last so many */
	unsigned int takes; /* attempts to take one */
};

/* Where they lie. */
struct ayrei_large_place {
	const struct ayrei_topic *topic;
	struct ayrei_lane_layout *lane;
};

/* A file that a message is being written to. */
struct ayrei_large_draft {
	struct ayrei_large_file file; /* not mapped: there is none */
	int fd;                       /* it has no name yet; -1: it was a spare */
};

/* Leaves the files as they are. */
void ayrei_larges_fini(struct ayrei_larges *larges);
/* Takes over what an earlier publisher of the lane left; removes what no record tells of. */
int ayrei_larges_recover(struct ayrei_larges *larges, const struct ayrei_topic *topic,
                         const struct ayrei_lane *lane);
/* Removes those of records before this position. */
void ayrei_larges_remove(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before);
/* Removes the spares. */
void ayrei_larges_drop_spares(struct ayrei_larges *larges, const struct ayrei_large_place *place);

/* Those of records before this position are over; one of them may be of use. */
void ayrei_larges_expire(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before);
/* Makes spares of the oldest, of records before this position, until so many bytes have messages. */
void ayrei_larges_retire(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before, uint64_t bytes_left);
/* Takes a spare for a message of so many bytes, if one fits. */
bool ayrei_larges_take(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                       uint64_t bytes, struct ayrei_large_draft *ret_draft);
/*
 * One step towards fewer bytes: a spare is removed, or the oldest file becomes one if its record is
 * before this position, or files are made as short as their messages. false: there is none left.
 */
bool ayrei_larges_give_way(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                           uint64_t before);

/* Gives it its name; its record is about to be written. What is not finished is given up. */
int ayrei_larges_finish(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                        struct ayrei_large_draft *draft, uint64_t position, uint64_t used);
void ayrei_larges_give_up(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                          struct ayrei_large_draft *draft);

static inline bool ayrei_large_is_begun(const struct ayrei_large_draft *draft)
{
	return draft->file.map.base != NULL;
}

/* --- one --- */

/* A new one, without a name: allocated and mapped for writing. */
int ayrei_large_create(const struct ayrei_topic *topic, uint64_t bytes,
                       struct ayrei_large_draft *ret_draft);
/* Gives a draft its name, with so many bytes that were written. */
int ayrei_large_name(const struct ayrei_large_place *place, struct ayrei_large_draft *draft,
                     uint64_t position, uint64_t used);
/* Gives up what its message does not need. false: nothing, or it cannot be done. */
bool ayrei_large_shorten(struct ayrei_large_file *file);
/* One that is no message: its name, and our map. */
void ayrei_large_remove(struct ayrei_large_file *file, const struct ayrei_large_place *place);
