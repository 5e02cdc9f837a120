/*
 * Looking through logs, and what its files share.
 *
 *   verify.c         each log, extent by extent
 *   verify_extent.c  one extent: what is whole, and what is not
 *   repair.c         what can be done about it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ayre/topic_log.h>

#include "topic/extent.h"
#include "topic/log.h"

/* One log. */
struct ayrei_checking {
	const struct ayrei_topic *topic;
	const struct ayre_topic_check_options *options;
	struct ayre_topic_check_result *result;
	uint64_t bytes_all, bytes_done;
	uint64_t id;
	int file;     /* log.ID; for repair, its lock is ours */
	bool repairs; /* and not only tells */
	bool is_live; /* somebody writes it */
	bool was_parted; /* the extent that was looked at ends at a gap now, and another one goes on behind it */
	bool is_counted;  /* the number at the place that is looked at is known */
	bool is_followed; /* there is an extent behind the one that is looked at */
	bool has_slot;
	struct ayrei_slot_layout slot;
	struct ayrei_extents extents;
};

/* What to tell of a flaw, and what to do about it. */
struct ayrei_flaw {
	enum ayre_flaw kind;
	const struct ayrei_extent *extent; /* that it is in; NULL: none */
	uint64_t file_begin;          /* of the extent's file, where that is what it is about */
	struct ayrei_log_place place; /* where it begins */
	struct ayrei_log_gap gap;     /* and where it ends: position 0, nowhere */
	uint64_t bytes;
};

/* Does what can be done. 1: repaired; 0: it cannot be; or a negative errno. */
int ayrei_repair(struct ayrei_checking *checking, const struct ayrei_flaw *flaw);

/* Counts it, repairs it if that is wanted, and tells the host, whose negative answer is returned. */
int ayrei_tell_flaw(struct ayrei_checking *checking, const struct ayrei_flaw *flaw);
/* Where an extent ends: where the next one says that it goes on, or begins by its name if it can say nothing. */
struct ayrei_extent_end {
	struct ayrei_log_place place;
	bool is_counted; /* its number is known */
};

/* From a place on, to its end (NULL: it is the last). Leaves the place behind what there is. */
int ayrei_check_records(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                        struct ayrei_log_place *place, const struct ayrei_extent_end *end);
