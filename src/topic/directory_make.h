/*
 * What opening a topic and making one share.
 */
#pragma once

#include "topic/directory.h"

#define AYREI_LEAST_RING ((uint64_t)4096)
#define AYREI_MOST_RING  ((uint64_t)1 << 40)

#define AYREI_LEAST_EXTENT ((uint64_t)64 << 10)
#define AYREI_MOST_EXTENT  ((uint64_t)1 << 40)

/* Sets the directory and the prefix. A word is no link to somewhere else. -ENOENT is not told. */
int ayrei_topic_open_directory(struct ayrei_topic *topic, const char *path, bool is_named_by_word,
                               struct ayre_error *error);
/* What it says of itself, judged. */
int ayrei_topic_read_layout(struct ayrei_topic *topic, struct ayre_error *error);

/* Of a description: over all of it but the sum itself. */
uint64_t ayrei_topic_checksum(const struct ayrei_topic_layout *layout);

/* What can never be. */
int ayrei_topic_check_options(const struct ayre_topic_options *options, const char *label,
                              struct ayre_error *error);
/*
 * Makes it: on a disk a durable one, without the half that is in memory; with whole, that half of it. 1, or
 * -EEXIST: somebody was quicker, or it has to be tried again; in both cases nothing is told.
 */
int ayrei_topic_make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     const char *path, const char *parent, const struct ayrei_topic *whole,
                     struct ayre_error *error);
