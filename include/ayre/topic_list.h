/*
 * Looking at topics from outside: which there are, who uses one, and what dead processes left.
 *
 * Looking takes no part: nobody is woken, waited for, or held up, and no file is changed. What is
 * told is a snapshot, whose parts are of slightly different moments while the topic is in use.
 *
 * What stands in a topic's files was written by its users, who may lie; it is bounded and copied before
 * it is told. That somebody lives is the kernel's word; a process number is the process's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* --- which there are --- */

/* A snapshot, taken when it was made. */
struct ayre_topic_list;

struct ayre_topic_entry {
	const char *name; /* as ayre_publisher_open() takes it */
	const char *path; /* of its directory; of a durable one, that on the disk */
	/*
	 * Why nobody can open it: damaged, or of a newer ayre. Then nothing is known of it but its owner,
	 * its files, and who uses them. NULL: it is whole.
	 */
	const char *problem;
	const char *tag; /* NULL: it has none */
	uint64_t ring_bytes;
	int64_t created_ns; /* CLOCK_REALTIME */
	uint32_t mode;      /* who may subscribe (r) and publish (w) */
	uint32_t uid, gid;  /* its owner */
	bool lossy;
	uint32_t publishers;      /* lanes; some may have been left */
	uint32_t publishers_live; /* of these: somebody publishes */
	uint32_t subscribers;     /* cursors; those of the dead are not of use to anybody */
	uint32_t subscribers_live;
	uint64_t used_bytes; /* of memory, by all of its files */
	/* --- of a durable one; else 0 --- */
	bool durable;
	uint32_t sync; /* enum ayre_topic_sync */
	uint64_t extent_bytes, retain_bytes;
	int64_t retain_age_ns;
	uint64_t disk_bytes; /* by all of its files there */
	const char
		*memory_path; /* of the directory of its half in memory; NULL: that is not there */
};

/**
 * ayre_topic_list_new() - look for topics
 * @root: the directory that they are in; NULL: that of the names without a slash. Borrowed
 * @ret_list: to be freed with ayre_topic_list_free()
 *
 * A directory that is no topic is left out; a damaged topic is not. No such root: no topics.
 *
 * Returns 0, -EPERM: the default root is not this user's alone, or a negative errno of
 * looking. Since 0.1.
 */
int ayre_topic_list_new(const char *root, struct ayre_topic_list **ret_list,
                        struct ayre_error *error) AYRE_MUST_CHECK;

/** ayre_topic_list_free() - NULL does nothing. Since 0.1. */
void ayre_topic_list_free(struct ayre_topic_list *list);

size_t ayre_topic_list_count(const struct ayre_topic_list *list);

/** ayre_topic_list_entry() - by name, from 0; it belongs to the list. NULL: there is none. Since 0.1. */
const struct ayre_topic_entry *ayre_topic_list_entry(const struct ayre_topic_list *list,
                                                     size_t index);

/** ayre_topic_list_unseen() - directories that this user may not look into. Since 0.1. */
size_t ayre_topic_list_unseen(const struct ayre_topic_list *list);

/* --- one of them --- */

/* Likewise. */
struct ayre_topic_look;

/* A lane: the ring of a publisher, which the next one takes over when it is left. */
struct ayre_topic_publisher {
	uint64_t id;
	/* Why nobody listens to it: its owner may not publish, or it is damaged. NULL: nothing. */
	const char *problem;
	int32_t pid;  /* of the last one who had it, by its own word */
	uint32_t uid; /* of the file */
	bool live;    /* somebody publishes */
	bool closed;  /* the last one has closed it; neither: it died */
	bool waiting; /* for a subscriber to make room */
	int64_t opened_ns;
	uint64_t owners;        /* so many have had it, one after another */
	uint64_t position;      /* where its next record will begin */
	uint64_t messages;      /* sent, ever since it was made */
	uint64_t bytes;         /* gone through its ring, with the headers */
	uint64_t kept_messages; /* those that can still be read */
	uint64_t kept_bytes;    /* of the ring, with what lies beside it */
	uint64_t used_bytes;    /* of memory */
	/*
	 * --- of a durable topic; else 0 ---
	 * What can still be read is then what its log has, and what is not in it yet.
	 */
	bool has_ring; /* false: it is not in memory; then nothing is known of pid, opened_ns and owners */
	uint64_t carried;       /* everything before this position is in its log */
	uint64_t safe;          /* and before this one safe on the disk */
	uint64_t safe_messages; /* messages with a lower number are safe */
	uint64_t extents;       /* files of its log */
	uint64_t disk_bytes;    /* of the disk, with what lies beside it */
};

/* How a subscriber stands to one of the lanes. */
struct ayre_topic_lag {
	uint64_t publisher; /* its id */
	uint64_t position;  /* everything before it is read, or more: it is told now and then */
	uint64_t received;  /* messages */
	uint64_t missed;    /* messages */
	uint64_t messages;  /* yet to be read; those only that are still there */
	uint64_t bytes;     /* of the ring, with what lies beside it */
	bool overtaken;     /* some that it has yet to read are there no more */
};

struct ayre_topic_subscriber {
	uint64_t id;
	const char *problem; /* NULL, or: it is damaged */
	int32_t pid;         /* by its own word */
	uint32_t uid;        /* of the file */
	bool live;
	bool lossy;  /* nobody waits for it: its wish, the topic's, or it may not publish */
	bool asleep; /* or about to be */
	int64_t opened_ns;
	uint64_t received, missed; /* messages, of all lanes */
	uint64_t lag_messages,
		lag_bytes; /* of all lanes, also of those that it has yet to notice */
	const struct ayre_topic_lag *lags; /* by publisher; those that are there */
	size_t lag_count;
};

/**
 * ayre_topic_look_new() - look at one topic
 * @name: of the topic; borrowed
 * @ret_look: to be freed with ayre_topic_look_free()
 *
 * Follows pointers into files of others: see ayre/guard.h.
 *
 * Returns 0, or as ayre_topic_create() for a topic that is there: -ENOENT, -EPROTO,
 * -EPROTONOSUPPORT, -EACCES, ... Since 0.1.
 */
int ayre_topic_look_new(const char *name, struct ayre_topic_look **ret_look,
                        struct ayre_error *error) AYRE_MUST_CHECK;

/** ayre_topic_look_free() - NULL does nothing. Since 0.1. */
void ayre_topic_look_free(struct ayre_topic_look *look);

const struct ayre_topic_entry *ayre_topic_look_entry(const struct ayre_topic_look *look);

/** ayre_topic_look_publisher() - by id, from 0; it belongs to the look. NULL: no more. Since 0.1. */
const struct ayre_topic_publisher *ayre_topic_look_publisher(const struct ayre_topic_look *look,
                                                             size_t index);

/** ayre_topic_look_subscriber() - likewise. Since 0.1. */
const struct ayre_topic_subscriber *ayre_topic_look_subscriber(const struct ayre_topic_look *look,
                                                               size_t index);

/* --- what dead processes left --- */

enum ayre_leftover {
	AYRE_LEFTOVER_SUBSCRIBER = 0, /* a cursor, or a bell, of one that died */
	AYRE_LEFTOVER_BELL = 1,       /* of a publisher that died */
	AYRE_LEFTOVER_MESSAGE = 2,    /* beside a ring, which was never sent or is overwritten */
	AYRE_LEFTOVER_LANE = 3,       /* of one that is gone, without a message in it */
	AYRE_LEFTOVER_TOPIC = 4,      /* who made or removed it died before that was done */
	AYRE_LEFTOVER_CONTENT = 5,    /* a lane of one that is gone, with messages: it stays */
	AYRE_LEFTOVER_REPLIES = 6,    /* of a service, to a client that is gone */
	AYRE_LEFTOVER_MEMORY =
		7, /* the half in memory of a durable topic that is gone from the disk */
};

struct ayre_topic_leftover {
	enum ayre_leftover kind;
	const char *topic; /* as ayre_publisher_open() takes it */
	const char *path;
	uint64_t bytes; /* of memory */
	int code;       /* 0: it is removed, or would be, or is content; or why it could not be */
};

struct ayre_topic_clear_options {
	size_t size;
	const char *root; /* as for ayre_topic_list_new(); borrowed */
	/*
	 * Only this topic, or this half in memory; NULL: all topics of the root, and halves in memory of durable topics
	 * that were in it, or, of the default root, all of this user. Borrowed.
	 */
	const char *name;
	bool dry_run; /* remove nothing, only tell, also of what could not be removed */
	/* Told of each; something negative ends it, and is returned. May be NULL. */
	int (*visit)(const struct ayre_topic_leftover *leftover, void *context);
	void *context;
};

/**
 * ayre_topic_clear() - remove what provably dead processes left
 * @options: borrowed; NULL means all zero
 *
 * That a process is dead is proved by the kernel, which lets go of its locks. Messages are a topic's
 * content, and stay. What belongs to another user is told with the reason why it was not
 * removed. Others may open, use and clear the same topics meanwhile.
 *
 * Returns how many leftovers were removed, or would be; or as ayre_topic_list_new(), or for
 * a name as ayre_topic_look_new(). Since 0.1.
 */
int ayre_topic_clear(const struct ayre_topic_clear_options *options, struct ayre_error *error)
	AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
