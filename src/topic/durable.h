/*
 * A durable topic is two directories. On the disk, under its name: what it is, and the logs of its lanes
 * (log.h). In memory: rings, cursors, bells, as of any topic, in
 *
 *   /dev/shm/ayre-log-UID-0123456789abcdef
 *
 * where the digits are of the topic's generation and of which directory on which disk it is: a copy of
 * a topic is another one. It is made by the topic's owner, or by root for them, when it is missing: after a
 * machine has started anew it is. The link `home` in it leads to the directory on the disk, for people and for whoever clears
 * away what is of no use; nothing is believed because of it.
 */
#pragma once

#include <inttypes.h>
#include <limits.h>

#include "topic/directory.h"

/* Its directory is that on the disk, its description read: opens the half in memory, too. */
int ayrei_durable_open(struct ayrei_topic *topic, struct ayre_error *error);
/* The same, but makes nothing: if the half in memory is not there, the directory is -1 from here on. */
int ayrei_durable_find(struct ayrei_topic *topic, struct ayre_error *error);
/* Where the half in memory is of the topic whose directory on the disk this is. */
int ayrei_durable_path(const struct ayrei_topic *topic, int log, char path[static PATH_MAX]);
/*
 * In which directory, and by what names: that of a user is behind the prefix, which is given to
 * snprintf(3) with it, in 16 hexadecimal digits.
 */
#define AYREI_HALVES      "/dev/shm"
#define AYREI_HALF_PREFIX "ayre-log-%" PRIu32 "-"
/* In a half that is being made, of this topic: where that is on the disk. */
int ayrei_durable_link_home(const struct ayrei_topic *half, const struct ayrei_topic *whole);
/* One that root makes for somebody becomes theirs. */
int ayrei_durable_give(const struct ayrei_topic *half);
/* What happened in that folder is on the disk. */
int ayrei_durable_settle(const char *folder);
