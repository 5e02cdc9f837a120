/*
 * The directory of a topic: its name, what it says of itself, and the files in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/topic.h>

#include "sys/file.h"
#include "topic/layout.h"

/* An open one. Of a durable one there are two directories: see durable.h. */
struct ayrei_topic {
	int directory;                 /* in memory */
	int log;                       /* on the disk; -1: it is not durable */
	char prefix[AYREI_SELF_BYTES]; /* a path to it that stays right when it is renamed */
	char log_prefix[AYREI_SELF_BYTES];
	struct ayrei_topic_layout layout;
	char *label; /* for errors: the name as given */
};

#define AYREI_NO_TOPIC ((struct ayrei_topic){.directory = -1, .log = -1})

static inline bool ayrei_topic_is_durable(const struct ayrei_topic *topic)
{
	return topic->log >= 0;
}

/* Where its logs are: of one that was found, not opened, its directory. */
static inline int ayrei_topic_log(const struct ayrei_topic *topic)
{
	return topic->log >= 0 ? topic->log : topic->directory;
}

static inline const char *ayrei_topic_log_prefix(const struct ayrei_topic *topic)
{
	return topic->log >= 0 ? topic->log_prefix : topic->prefix;
}

/* "PREFIX/pub.0123456789abcdef.bell", and what else there is. */
#define AYREI_PEER_PATH_BYTES (AYREI_SELF_BYTES + 64)

/* In the half in memory of a durable topic, a link to the directory on the disk. */
#define AYREI_HOME "home"

/* In the name, ".NAME.ayre-creating.01234567", of a topic that is not whole yet. */
#define AYREI_UNFINISHED        ".ayre-creating."
#define AYREI_UNFINISHED_DIGITS 8

enum ayrei_peer_kind {
	AYREI_PEER_PUBLISHER,
	AYREI_PEER_SUBSCRIBER,
};

/* The path of a topic by its name, and of the folder that it is in; PATH_MAX bytes each. */
int ayrei_topic_path(const char *name, char *path, char *parent, struct ayre_error *error);

/* Has a file that is no path the name of a topic that is not whole yet, or not any more? */
bool ayrei_topic_is_unfinished(const char *file);

/* The folder of the topics that have no slash in their name, which may not exist. */
int ayrei_topic_root(char *path, struct ayre_error *error);
/* No other one was asked for. */
bool ayrei_topic_has_default_root(void);
/* It may be there already. */
int ayrei_topic_make_root(const char *root, struct ayre_error *error);
/* -EPERM: the default one is not this user's alone. */
int ayrei_topic_check_root(const char *root, const char *label, struct ayre_error *error);

/*
 * Opens a topic; makes it, unless it has to exist. 1: this call made it. On failure
 * there is nothing to close.
 */
int ayrei_topic_open(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     const char *name, bool existing, struct ayre_error *error);
/* One that is there, to look at it: of a durable one whose half in memory is not there, the directory is -1. */
int ayrei_topic_look(struct ayrei_topic *topic, const char *name, struct ayre_error *error);
/* Opens the directory of that name, whatever it may be: the layout stays all zero. */
int ayrei_topic_find(struct ayrei_topic *topic, const char *name, struct ayre_error *error);
/* Takes its name away, so that nobody finds it, and removes it. -ENOENT: somebody else was quicker. */
int ayrei_topic_take_away(const struct ayrei_topic *topic);
/* All that a topic has in it, and then itself, by this path. */
int ayrei_topic_remove_all(const struct ayrei_topic *topic, const char *path);
/* What was never opened is left alone: directory is -1. */
void ayrei_topic_close(struct ayrei_topic *topic);

/* suffix: "", ".bell". Returns path. */
const char *ayrei_peer_path(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id,
                            const char *suffix, char path[AYREI_PEER_PATH_BYTES]);
/* Of a message beside the ring. */
const char *ayrei_large_path(const struct ayrei_topic *topic, uint64_t id, uint64_t position,
                             char path[AYREI_PEER_PATH_BYTES]);

/* May the owner of this file publish, as the topic's mode has it? */
bool ayrei_topic_may_publish(const struct ayrei_topic *topic, const struct stat *file);

/* A file of a topic by its name: what kind, whose, and what else follows. */
struct ayrei_peer_name {
	enum ayrei_peer_kind kind;
	uint64_t id;
	const char *suffix; /* "": the file itself; ".bell"; ".0123456789abcdef" */
};
bool ayrei_peer_parse(const char *file, struct ayrei_peer_name *ret_name);

/*
 * Calls visit for every file of a peer, of either kind, until it returns something negative, which is
 * returned.
 */
int ayrei_topic_visit(const struct ayrei_topic *topic,
                      int (*visit)(const struct ayrei_peer_name *name, void *context),
                      void *context);

/*
 * Opens a file of a peer for reading. -EPROTO if it is no regular file, smaller than least_bytes, or
 * cannot be opened for a reason that its owner can bring about; -ENOENT, -EMFILE, -ENFILE, -ENOMEM.
 */
int ayrei_topic_open_regular(const char *path, uint64_t least_bytes, struct stat *ret_status);
int ayrei_peer_open(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id,
                    uint64_t least_bytes, struct stat *ret_status);
/* A lane or a log by its name, for its lock: -EWOULDBLOCK, or -ENOENT, another has the name by now. */
int ayrei_topic_take_file(const char *path);
/* Is it there, and does its owner live? 1 or 0, or what opening it failed with. */
int ayrei_peer_is_live(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id);

/*
 * A file of our own that has no name yet: allocated, readable for whoever may come into the directory,
 * owned (ayrei_file_try_own()).
 */
int ayrei_peer_make(const struct ayrei_topic *topic, uint64_t bytes, struct ayre_error *error);

struct ayrei_shared;
/*
 * Maps the word in `join`, read-only, once the file is as long as it has to be. *ret_word points into it.
 * -EPROTO: it is missing, or no file that we may write. 0 and *ret_word as it was: somebody cuts it short
 * again and again.
 */
int ayrei_topic_map_join(const struct ayrei_topic *topic, struct ayrei_shared *shared,
                         const uint64_t **ret_word);
/*
 * Tells each peer of the other kind that we leave, those too that know us though we have never looked for
 * them: where nothing else does.
 */
void ayrei_topic_take_leave(const struct ayrei_topic *topic, enum ayrei_peer_kind kind);

/* Changes it: somebody has come, and has a name. */
int ayrei_topic_announce(const struct ayrei_topic *topic);
