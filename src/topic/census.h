/*
 * Looking at topics from outside, and what its files share.
 *
 *   census.c        the files of a topic; the topics of a root
 *   census_list.c   the list of topics
 *   census_lane.c   one lane: who has it, how far it is
 *   census_log.c    one log: from where, and how far
 *   census_look.c   one topic: its subscribers, and all of it
 *   census_publisher.c  its publishers, and how far subscribers are behind each
 *   census_clear.c  what dead processes left; see census_clear.h
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <ayre/topic_list.h>

#include "topic/directory.h"
#include "topic/lane.h"
#include "topic/log_layout.h"
#include "topic/shared.h"

/* --- the files of a topic --- */

enum ayrei_part {
	AYREI_PART_SELF,   /* the lane or the cursor */
	AYREI_PART_BELL,   /* its bell */
	AYREI_PART_BESIDE, /* a message beside the ring */
	AYREI_PART_LOG,    /* log.ID of a durable lane */
	AYREI_PART_EXTENT, /* and a part of it */
};

struct ayrei_file_of_topic {
	enum ayrei_peer_kind kind;
	uint64_t id;
	enum ayrei_part part;
	uint64_t
		position; /* of the record that tells of it, if it lies beside the ring; where an extent begins */
	uint64_t
		bytes; /* of memory, or of the disk: of a durable topic, all but the first two kinds */
};

struct ayrei_files {
	struct ayrei_file_of_topic *all; /* by kind, id, part and position */
	size_t count, room;
	/* Of memory and of the disk, with those that are no peer's. */
	uint64_t bytes, disk_bytes;
};

/* On failure there is nothing to let go of. */
int ayrei_files_read(struct ayrei_files *files, const struct ayrei_topic *topic);
void ayrei_files_fini(struct ayrei_files *files);
/* Where the next peer's files begin. */
size_t ayrei_files_next_peer(const struct ayrei_files *files, size_t index);
const char *ayrei_files_path(const struct ayrei_topic *topic,
                             const struct ayrei_file_of_topic *file,
                             char path[AYREI_PEER_PATH_BYTES]);

/* Its texts are its own. */
int ayrei_entry_fill(struct ayre_topic_entry *entry, const struct ayrei_topic *topic,
                     const struct ayrei_files *files, const char *problem);
void ayrei_entry_fini(struct ayre_topic_entry *entry);

/*
 * Calls visit with the name of every directory in the root that may be a topic, as ayre_publisher_open()
 * takes it, until it returns something negative, which is returned.
 */
int ayrei_root_visit(const char *root, int (*visit)(const char *name, void *context), void *context,
                     struct ayre_error *error);

/* --- one lane --- */

struct ayrei_lane_view {
	struct ayrei_shared map;
	struct ayrei_reader reader;
	struct stat status;
	bool live;
	const char *problem; /* why nobody listens to it; then nothing is mapped */
};

/* A place in a lane, or in its log. */
struct ayrei_lane_place {
	uint64_t position, sequence;
	bool closed; /* the record before it says that its publisher closed */
};

#define AYREI_LANE_END UINT64_MAX

/* -ENOENT: it is gone; or it cannot be opened or mapped. */
int ayrei_lane_view_open(struct ayrei_lane_view *view, const struct ayrei_topic *topic,
                         uint64_t id);
void ayrei_lane_view_close(struct ayrei_lane_view *view);
/*
 * The first record at or after a position, or the end. 1: found; 0: what lay there is overwritten, and
 * this is the oldest that is there; -EPROTO: it is damaged; -EBUSY: its writer is too quick for us.
 */
int ayrei_lane_view_find(const struct ayrei_lane_view *view, uint64_t position,
                         struct ayrei_lane_place *ret_place);

/* --- one log --- */

struct ayrei_log_view {
	const struct ayrei_topic *topic;
	const struct ayrei_file_of_topic *extents; /* by where they begin: those that count */
	size_t extent_count;
	uint64_t id;
	uint32_t uid;
	bool live;           /* somebody writes it */
	const char *problem; /* NULL, or: it is damaged */
	struct ayrei_slot_layout slot;
};

/* files: those of its lane. -ENOENT: it has no log; or it cannot be opened. */
int ayrei_log_view_open(struct ayrei_log_view *view, const struct ayrei_topic *topic,
                        const struct ayrei_file_of_topic *files, size_t count);
/*
 * The first whole record at or after a position, or the end. 1: found; 0: what lay there was given up, and this is the
 * oldest that is there; -ENOENT: there is none; or another negative errno.
 */
int ayrei_log_view_find(const struct ayrei_log_view *view, uint64_t position,
                        struct ayrei_lane_place *ret_place);

/* --- one publisher --- */

/*
 * files: those of its lane. Adds to how far the subscribers, whose lags are sorted, are behind. -ENOENT, -EPROTO, -EACCES: it is
 * nobody's.
 */
int ayrei_look_publisher(struct ayre_topic_publisher *publisher,
                         struct ayre_topic_subscriber *subscribers, size_t subscriber_count,
                         const struct ayrei_topic *topic, const struct ayrei_file_of_topic *files,
                         size_t count);
/* Of the lags of one subscriber. */
int ayrei_lag_compare(const void *left, const void *right);
