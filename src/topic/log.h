/*
 * The logs of a durable topic: their files by name, and how far each is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/log_layout.h"

/* Behind the name of an extent that is about to take the place of another one. */
#define AYREI_EXTENT_NEW ".new"

/* A file of a log by its name. */
struct ayrei_log_name {
	uint64_t id;
	bool is_extent;
	bool is_new;    /* AYREI_EXTENT_NEW: it is nothing yet */
	uint64_t begin; /* of an extent */
};
bool ayrei_log_parse(const char *file, struct ayrei_log_name *ret_name);
const char *ayrei_log_path(const struct ayrei_topic *topic, uint64_t id,
                           char path[AYREI_PEER_PATH_BYTES]);
const char *ayrei_extent_path(const struct ayrei_topic *topic, uint64_t id, uint64_t begin,
                              char path[AYREI_PEER_PATH_BYTES]);
/* Calls visit for every file of a log, until it returns something negative, which is returned. */
int ayrei_log_visit(const struct ayrei_topic *topic,
                    int (*visit)(const struct ayrei_log_name *name, void *context), void *context);

/* The same for every message beside the ring of a lane. */
int ayrei_log_visit_large(const struct ayrei_topic *topic,
                          int (*visit)(const struct ayrei_peer_name *name, uint64_t position,
                                       void *context),
                          void *context);

/* The extents of one log, by where they begin. */
struct ayrei_extents {
	uint64_t *begins;
	size_t count, room;
};
/* On failure there is nothing to let go of. */
int ayrei_extents_list(struct ayrei_extents *extents, const struct ayrei_topic *topic, uint64_t id);
void ayrei_extents_fini(struct ayrei_extents *extents);
/* The index of the last one that begins at or before the position; SIZE_MAX: there is none. */
size_t ayrei_extents_find(const struct ayrei_extents *extents, uint64_t position);

/* A file of a log that has no name yet: with the mode and the group of what publishers write. */
int ayrei_log_make_file(const struct ayrei_topic *topic);

/* What log.ID says. -EBADMSG: neither slot is whole; or another negative errno. */
int ayrei_slot_read(int fd, const struct ayrei_topic *topic, uint64_t id,
                    struct ayrei_slot_layout *ret_slot);
/* Does it say that there was never an extent? Its publisher died, or the machine, before there was one. */
static inline bool ayrei_slot_is_fresh(const struct ayrei_slot_layout *slot)
{
	return slot->first == slot->last && slot->last == slot->safe && slot->sequence == 0;
}
/* Writes the next one, with its number, time and checksum. It is not safe by that. */
int ayrei_slot_write(int fd, const struct ayrei_topic *topic, struct ayrei_slot_layout *slot);
