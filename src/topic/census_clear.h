/*
 * Clearing away, and what its files share.
 *
 *   census_clear.c       a root, a topic, what it has directories for
 *   census_clear_peer.c  the files of one publisher or subscriber
 *   census_clear_half.c  halves in memory of durable topics that are gone
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

/* What an opened topic has of the dead. */
int ayrei_clear_topic(struct ayrei_clearing *clearing, const char *name, struct ayre_error *error);
/* A topic that nobody can open: not whole yet, or not any more. */
int ayrei_clear_unfinished(struct ayrei_clearing *clearing, const char *topic_name,
                           const char *path);
/* Can a directory be removed with what is in it? parent: the one that it is in. */
int ayrei_check_removable(const struct ayrei_topic *topic, bool is_reply, const char *parent,
                          const char *path);

/* The half in memory at this path: 1, or 0: it is none. */
int ayrei_clear_half(struct ayrei_clearing *clearing, const char *name);
/* All of this user, or those whose topics were in this directory. */
int ayrei_clear_halves(struct ayrei_clearing *clearing, const char *root);
