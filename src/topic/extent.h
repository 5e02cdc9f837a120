/*
 * One extent of a log, as somebody reads it.
 *
 * What is in it was written by somebody who may lie, or by a machine that ended: every number is judged, and
 * a record is believed if its check is right.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/lane.h"
#include "topic/log_layout.h"
#include "topic/record.h"
#include "topic/shared.h"

struct ayrei_extent {
	struct ayrei_shared map; /* nothing: it is not open */
	const char *bytes;       /* what has the position `begin` */
	uint64_t id, key, begin, sequence, follows;
	uint64_t end; /* there is nothing at or behind this position: the file is no longer */
	uint64_t ring_bytes;
	int64_t created_ns;
	uint64_t header_bytes, entries;
};

/*
 * -ENOENT: it is not there; -EBADMSG: its head is damaged; -EPROTO: it is none of one who may publish; or
 * another negative errno. On failure there is nothing to close.
 */
int ayrei_extent_open(struct ayrei_extent *extent, const struct ayrei_topic *topic, uint64_t id,
                      uint64_t begin);
void ayrei_extent_close(struct ayrei_extent *extent);
/* The head alone, which is not mapped for that. Errors likewise. */
int ayrei_extent_read_head(const struct ayrei_topic *topic, uint64_t id, uint64_t begin,
                           struct ayrei_extent_layout *ret_head);

static inline bool ayrei_extent_is_open(const struct ayrei_extent *extent)
{
	return extent->map.base != NULL;
}

/* What stands at a position: a record's header, if there is room for one; else 0. */
static inline uint64_t ayrei_extent_header(const struct ayrei_extent *extent, uint64_t position)
{
	const void *word = extent->bytes + (position - extent->begin);

	if (position < extent->begin || position >= extent->end)
		return 0;
	return ayrei_load_acquire(word);
}
/* Its bytes, behind the header. */
static inline const char *ayrei_extent_bytes(const struct ayrei_extent *extent, uint64_t position)
{
	return extent->bytes + (position - extent->begin) + AYREI_RECORD_HEADER;
}
/* Is there a record with this header, all of it and whole? Then it may be used. */
static inline bool ayrei_extent_is_whole(const struct ayrei_extent *extent, uint64_t position,
                                         uint64_t header)
{
	uint64_t left = extent->end - position - AYREI_RECORD_HEADER;

	return ayrei_record_is_valid(header, extent->ring_bytes) && (uint32_t)header <= left &&
	       ayrei_record_unpack(header).flags & AYREI_RECORD_CHECKED &&
	       ayrei_record_is_whole(extent->key, position, header,
	                             ayrei_extent_bytes(extent, position));
}

/* A place in a log. */
struct ayrei_log_place {
	uint64_t position, sequence;
	bool closed; /* the record before it says that its publisher closed */
};

/*
 * From a place over whole records as far as they go, or to `until`. The header there, which is of none that is
 * whole, is returned: 0 if nothing was written there.
 */
uint64_t ayrei_extent_walk(const struct ayrei_extent *extent, struct ayrei_log_place *place,
                           uint64_t until);

/* The entries of the index that are whole, by number: false if this one is not. */
bool ayrei_extent_entry(const struct ayrei_extent *extent, uint64_t index,
                        struct ayrei_index_entry *ret_entry);
enum ayrei_index_by { AYREI_BY_POSITION, AYREI_BY_SEQUENCE, AYREI_BY_TIME };
/* The last place in the index that is not beyond the value; its beginning, if there is none. */
struct ayrei_log_place ayrei_extent_seek(const struct ayrei_extent *extent, enum ayrei_index_by by,
                                         int64_t value);
/* The latest that it tells of before a position: when it was begun, of the index, and of stamps. */
int64_t ayrei_extent_latest_time(const struct ayrei_extent *extent, uint64_t position);

/*
 * Looks behind a place where no whole record is: is there one that proves that what is missing was safe
 * once? true: it is damage; false: it is the end, torn perhaps.
 */
bool ayrei_extent_is_damaged(const struct ayrei_extent *extent, uint64_t position);
/*
 * The first whole record behind such a place, and its number, as far as the index or `next`, where the next extent
 * begins (NULL: there is none), tell; else one more than at the place. false: there is none.
 */
struct ayrei_log_gap {
	struct ayrei_log_place place;
	bool is_counted; /* its number is known */
};
bool ayrei_extent_find_behind(const struct ayrei_extent *extent,
                              const struct ayrei_log_place *broken,
                              const struct ayrei_log_place *next, struct ayrei_log_gap *ret_gap);
