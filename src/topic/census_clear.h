/*
 * Clearing away, and what its files share.
 *
 *   census_clear.c       a root, a topic, what it has directories for
 *   census_clear_peer.c  the files of one publisher or subscriber
 */
#pragma once

#include <limits.h>

#include "topic/census.h"

struct ayrei_clearing {
	struct ayre_topic_clear_options options;
	/* The topic that it is about now. */
	const struct ayrei_topic *topic;
	char directory[PATH_MAX];
	int count;   /* of what was removed */
	int stopped; /* what the caller's function has ended it with */
};

/* Each returns something negative if that is to end it. */
int ayrei_clearing_tell(struct ayrei_clearing *clearing, enum ayre_leftover kind, const char *topic,
                        const char *path, uint64_t bytes, int code);

/* The files of one peer. */
int ayrei_clear_publisher(struct ayrei_clearing *clearing, const struct ayrei_file_of_topic *files,
                          size_t count);
int ayrei_clear_subscriber(struct ayrei_clearing *clearing, const struct ayrei_file_of_topic *files,
                           size_t count);
