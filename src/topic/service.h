/*
 * Services: what client and server share. docs/FORMAT.md describes the bytes for other readers.
 *
 * A service is the directory of a reliable topic. In it, besides what a topic has:
 *
 *   pub.LANE             requests: one lane for each client, by the client alone
 *   sub.ID               the server's cursor (and those of others who only look on)
 *   server               who serves: by the server, which owns the file as a peer owns its own
 *   reply.LANE.SESSION/  a topic of the client's own, in which the server publishes the replies to the
 *                        requests of that lane; SESSION is `publishers` of the lane; 16 digits each
 *
 * Why one server at a time: every subscriber gets every request, so of two servers both would execute
 * it, or both would have to agree who does, which is a lock in another place. Here the lock is
 * taken once, and its owner's death is proved by the kernel as everybody's is.
 *
 * Why a reply topic for each client: only its client can read it, so that nobody waits for anybody
 * else's reading; and who answers into it is known by the lane that a request came by, which nobody
 * else can write. A request names neither: a client that lies can reach no other client's replies.
 *
 * Why the number of a call is that of its message in the lane: both ends count it, so that it needs no
 * bytes; and it goes on when a lane is taken over, so that what an earlier client of the lane asked, or
 * an earlier server answered, has a number that no later call has.
 *
 * So a request of 48 bytes and its reply are one cache line each, the record's header included.
 *
 * Who executes what. The new server subscribes after the lock is its own, so after its predecessor's
 * end, from what is sent next on:
 *
 *     client                   old server              new server
 *     sends r
 *                              receives r, dies
 *                                                      owns `server`, subscribes: r is behind it
 *
 * Were the order the other way, r could lie ahead of it, and would be executed twice. And the client
 * sends to a server only once `server` has its cursor's id, which is stored after it subscribed: what
 * is sent after that is ahead of it. What was sent too early for the new one and too late for the old
 * has ended with -EOWNERDEAD by the old one's death; were it received after all, its reply has a number
 * that nobody waits for.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/service.h>

#include "topic/directory.h"
#include "topic/lane.h"
#include "topic/shared.h"

/* --- messages --- */

/*
 * A request: this word, by the client, and then the caller's bytes.
 *
 *   bits  0..61  of a call: its deadline, CLOCK_MONOTONIC in ns; 0: none
 *                of a cancellation: the number of the call
 *   bits 62..63  kind
 */
struct ayrei_request_layout {
	uint64_t word;
};

enum ayrei_request_kind {
	AYREI_REQUEST_CALL = 0,
	AYREI_REQUEST_CANCEL = 1, /* the word is all of it */
};

#define AYREI_REQUEST_KIND  62
#define AYREI_REQUEST_VALUE ((UINT64_C(1) << AYREI_REQUEST_KIND) - 1)

/*
 * A reply: this word, by the server, and then its bytes.
 *
 *   bits  0..51  the number of the call
 *   bits 52..63  0, or the error with which the server failed; then there are no bytes
 */
struct ayrei_reply_layout {
	uint64_t word;
};

#define AYREI_REPLY_STATUS     52
#define AYREI_REPLY_CALL       ((UINT64_C(1) << AYREI_REPLY_STATUS) - 1)
#define AYREI_REPLY_STATUS_MAX 4095

static_assert(sizeof(struct ayrei_request_layout) == 8, "layout");
static_assert(sizeof(struct ayrei_reply_layout) == 8, "layout");

#define AYREI_SERVICE_RING ((uint64_t)256 << 10)
/* What was read is of no use to anybody later: less of it is kept beside the ring than in a topic. */
#define AYREI_SERVICE_LARGE ((uint64_t)8 << 20)

static inline uint64_t ayrei_service_large(const struct ayrei_topic *topic)
{
	uint64_t rings = 4 * topic->layout.ring_bytes;

	return rings > AYREI_SERVICE_LARGE ? rings : AYREI_SERVICE_LARGE;
}

struct ayre_publisher;
/* Sends a message of a word and some bytes. deadline_ns: AYREI_AT_ONCE: -EAGAIN. */
int ayrei_service_put(struct ayre_publisher *publisher, uint64_t word, const void *data,
                      size_t bytes, int64_t deadline_ns);
#define AYREI_AT_ONCE INT64_MIN

/* --- the file `server` --- */

#define AYREI_SERVER_MAGIC "AYRESRV"

/*
 * One line. Made by the first server, before the file has its name; written by the server, which owns
 * it; it stays when that is gone. It counts only if it belongs to the topic's user, or to root.
 */
struct ayrei_server_layout {
	char magic[8];
	uint32_t version; /* the topic's */
	uint32_t reserved_0;
	uint8_t generation[AYREI_GENERATION_BYTES]; /* the topic's */
	/*
	 * The id of the server's cursor. Stored with release, when the server would miss nothing that is
	 * sent from then on. 0: there is none. Whether that server lives, its cursor says.
	 */
	uint64_t subscriber;
	uint64_t servers;  /* so many have there been */
	int64_t opened_ns; /* CLOCK_REALTIME; for people, like the next two */
	int32_t pid;
	uint32_t uid;
};

static_assert(sizeof(struct ayrei_server_layout) == AYREI_LINE, "layout");
static_assert(offsetof(struct ayrei_server_layout, generation) == 16, "layout");
static_assert(offsetof(struct ayrei_server_layout, subscriber) == 32, "layout");

/* May this user's files say who serves, and what it answers? */
static inline bool ayrei_service_trusts(const struct ayrei_topic *topic, uint32_t uid)
{
	return uid == topic->layout.uid || uid == 0;
}

/*
 * Opens the topic of a service, with its defaults. On failure there is nothing to close.
 */
int ayrei_service_open(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                       const char *name, bool existing, struct ayre_error *error);

/* Owns `server`, made if it is missing: a descriptor, or -EBUSY, unless wait. */
int ayrei_server_file_take(const struct ayrei_topic *topic, bool wait, struct ayre_error *error);
/* For a client, read-only. -ENOENT: there is none that counts. */
int ayrei_server_file_map(const struct ayrei_topic *topic, struct ayrei_shared *ret_shared);

/* --- reply topics --- */

/* Returns path. */
const char *ayrei_reply_path(const struct ayrei_topic *topic, uint64_t lane, uint64_t session,
                             char path[AYREI_PEER_PATH_BYTES]);
bool ayrei_reply_parse(const char *file, uint64_t *ret_lane, uint64_t *ret_session);
/* Is it the name of one, or of one that is being made? */
bool ayrei_reply_has_name(const char *file);
/* Removes it with what is in it: nobody uses it any more, or shall. */
int ayrei_reply_remove(const struct ayrei_topic *topic, uint64_t lane, uint64_t session);
/*
 * Removes those that nobody needs: of clients that are dead; all: also of those that live, and
 * whatever a client that died while it made one has left. Returns how many, or a negative errno.
 */
int ayrei_replies_clear(const struct ayrei_topic *topic, bool all);
/* Of this lane, whose owner we are: those of earlier sessions. */
int ayrei_replies_clear_lane(const struct ayrei_topic *topic, uint64_t lane);

/* --- outstanding calls --- */

struct ayrei_outstanding {
	uint64_t number;
	uint64_t server;     /* a client's: the cursor of the one it was sent to */
	int64_t deadline_ns; /* a client's */
	bool is_over; /* a client's: it ended, and has to be told; a server's: it was cancelled */
	int result, status; /* of one that is over, as in struct ayre_reply_info */
	void *data;         /* its reply, which is the entry's; NULL: none */
	uint64_t bytes;
};

/* In the order of their numbers: all[first] to all[first + count - 1]. */
struct ayrei_calls {
	struct ayrei_outstanding *all;
	size_t first, count, room;
};

void ayrei_calls_fini(struct ayrei_calls *calls);
/* Makes room for one more, which the next ayrei_calls_add() takes and cannot fail. */
int ayrei_calls_reserve(struct ayrei_calls *calls);
/* Its number is larger than all others'. */
void ayrei_calls_add(struct ayrei_calls *calls, const struct ayrei_outstanding *call);
/* NULL: there is none with this number. */
struct ayrei_outstanding *ayrei_calls_find(const struct ayrei_calls *calls, uint64_t number);
void ayrei_calls_remove(struct ayrei_calls *calls, struct ayrei_outstanding *call);
