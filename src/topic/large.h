/*
 * Messages that are too large for a ring: each a file of its own beside the lane, which a record
 * in the ring tells of. Its name ends with the position of that record.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/lane.h"

struct ayrei_large_file {
	uint64_t position, bytes;
};

/* Those of one publisher that still have their names, in the order of their positions. */
struct ayrei_larges {
	struct ayrei_large_file *files;
	size_t first, count, room; /* files[first] to files[first + count - 1] */
	uint64_t bytes;            /* of all of them */
};

void ayrei_larges_fini(struct ayrei_larges *larges);
/* Takes over what an earlier publisher of the lane left; removes what no record tells of. */
int ayrei_larges_recover(struct ayrei_larges *larges, const struct ayrei_topic *topic,
                         const struct ayrei_lane *lane);
/* Removes the oldest ones, of records before this position, until so many bytes are left. */
void ayrei_larges_trim(struct ayrei_larges *larges, const struct ayrei_topic *topic, uint64_t lane,
                       uint64_t before, uint64_t bytes_left);
/* There is one more, whose record is about to be written. */
int ayrei_larges_add(struct ayrei_larges *larges, uint64_t position, uint64_t bytes);

/* A file for a message, without a name: allocated and mapped for writing. */
struct ayrei_large_draft {
	int fd; /* -1: there is none */
	void *data;
	size_t bytes; /* mapped */
};
int ayrei_large_begin(const struct ayrei_topic *topic, size_t bytes,
                      struct ayrei_large_draft *ret_draft);
/* Gives it its name, cut to what was written. What is not finished is given up. */
int ayrei_large_finish(struct ayrei_large_draft *draft, const struct ayrei_topic *topic,
                       uint64_t lane, uint64_t position, size_t bytes);
void ayrei_large_give_up(struct ayrei_large_draft *draft);
