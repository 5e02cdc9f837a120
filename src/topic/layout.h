/*
 * What processes share: the files of a topic, byte by byte. docs/FORMAT.md describes them for
 * other readers; each field says who may write it. Little-endian; offsets, never pointers.
 *
 *   topic        what the topic is: by its creator, before anybody can see it
 *   join         one word that changes when a subscriber comes: by subscribers, see below
 *   pub.ID       a lane: by its publisher alone
 *   pub.ID.bell  a named pipe that wakes the publisher
 *   pub.ID.POSITION  a message too large for the ring of that lane, by its publisher
 *   sub.ID       a cursor: by its subscriber alone
 *   sub.ID.bell  a named pipe that wakes the subscriber
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/topic.h>

/* The bytes that belong to one writer, and those that two processors fight for. */
#define AYREI_LINE 64u

#define AYREI_TOPIC_VERSION 1u
#define AYREI_TOPIC_MAGIC   "AYRETOP" /* and its NUL */
#define AYREI_LANE_MAGIC    "AYRELAN"
#define AYREI_CURSOR_MAGIC  "AYRESUB"

#define AYREI_GENERATION_BYTES 16

/* The file `topic`. Written once; its reader copies it first. */
struct ayrei_topic_layout {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;          /* of a lane: where its ring begins */
	uint32_t compatible_features;   /* a reader may ignore those it does not know */
	uint32_t incompatible_features; /* a reader refuses those it does not know */
	int64_t created_ns;             /* CLOCK_REALTIME */
	uint8_t generation
		[AYREI_GENERATION_BYTES]; /* random: tells this topic from its namesakes */
	uint64_t ring_bytes;              /* a power of two, 4096 to 2^40 */
	uint32_t policy;                  /* 1: lossy */
	uint32_t mode;                    /* who may subscribe (r) and publish (w) */
	uint32_t uid, gid;                /* whose mode it is */
	uint32_t tag_bytes;               /* 0: none */
	uint32_t sync;                    /* of a durable one: enum ayre_topic_sync */
	char tag[AYRE_TOPIC_TAG_MAX + 1]; /* the rest is NUL bytes */
	/* Of a durable one; else 0. */
	uint64_t extent_bytes; /* of its lanes' bytes in one file */
	uint64_t retain_bytes; /* so much of each lane is kept; 0: all of it */
	int64_t retain_age_ns; /* and for so long; 0: for ever */
	uint64_t reserved[26]; /* 0 */
	uint64_t checksum;     /* FNV-1a, 64 bits, of the 504 bytes before it */
};

static_assert(sizeof(struct ayrei_topic_layout) == 512, "layout");
static_assert(offsetof(struct ayrei_topic_layout, generation) == 32, "layout");
static_assert(offsetof(struct ayrei_topic_layout, ring_bytes) == 48, "layout");
static_assert(offsetof(struct ayrei_topic_layout, uid) == 64, "layout");
static_assert(offsetof(struct ayrei_topic_layout, tag) == 80, "layout");
static_assert(offsetof(struct ayrei_topic_layout, extent_bytes) == 272, "layout");
static_assert(offsetof(struct ayrei_topic_layout, checksum) == 504, "layout");

#define AYREI_POLICY_LOSSY 1u

/* incompatible_features */
#define AYREI_FEATURE_DURABLE 1u /* its directory is on a disk: see log_layout.h */
#define AYREI_FEATURE_MEMORY  2u /* and this is the half of it that is in memory */

/*
 * The file `join`: the one word in a topic that has more than one writer, each of whom stores a random
 * number there once its file has its name. Who sees it changed looks into the directory: a publisher
 * after each message, a subscriber in between messages. Nothing else is said with it: who spoils it can keep newcomers from being noticed for
 * a while, and can do nothing to those who have been.
 */
struct ayrei_join_layout {
	uint64_t nonce;
};

/*
 * A checkpoint: here a record begins. Its position is 0 while it is being written, and stored last
 * (release). Written by the publisher.
 */
struct ayrei_checkpoint {
	uint64_t position;
	uint64_t sequence; /* of the message at or after it */
	int64_t time_ns;   /* CLOCK_REALTIME when it was written */
	uint64_t reserved; /* 0 */
};

#define AYREI_CHECKPOINTS 32u
/* A checkpoint is due whenever so much of the ring has been filled: half of them are in the ring. */
#define AYREI_CHUNKS 16u

/*
 * The first page of a lane; behind it, at header_bytes, the ring. All of it is written by
 * the lane's publisher alone, and everybody else maps it read-only.
 *
 * Positions count bytes ever since the lane was made, beginning at ring_bytes; position P is
 * at P mod ring_bytes in the ring.
 */
struct ayrei_lane_layout {
	/* Line 0: written once, before the file has its name. */
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint8_t generation[AYREI_GENERATION_BYTES]; /* the topic's */
	uint64_t id;                                /* as in the name; random */
	uint64_t ring_bytes;
	int64_t created_ns;
	uint64_t reserved_0;

	/* Line 1: written when a publisher takes the lane. For people: nobody believes it. */
	uint64_t publishers; /* so many have had it */
	int64_t opened_ns;
	int32_t pid;
	uint32_t uid;
	uint64_t key; /* of a durable lane's checks, see ayrei_record_check(); else 0 */
	uint64_t reserved_1[4];

	/* Line 2: what subscribers look at besides the ring. */
	/*
	 * The publisher may be writing anywhere before this position, so what is more than ring_bytes
	 * before it may be spoilt. Stored before the bytes that it allows are.
	 */
	uint64_t limit;
	/*
	 * 0, or: the publisher sleeps until the slowest cursor is at this position. Stored before
	 * it looks at the cursors a last time (full fence between).
	 */
	uint64_t waiting;
	/*
	 * 1: the publisher executes a full fence after each header that it stores. 0: it does not, and
	 * who goes to sleep has to make it pass one.
	 */
	uint64_t fenced;
	uint64_t looks; /* so often has it looked through the directory, to the end */
	/*
	 * Of a service (service.h): requests of this lane that were cancelled in it, so far. Stored
	 * (release) after the message that says so.
	 */
	uint64_t cancels;
	/*
	 * Files beside the ring, of records before this position, are no messages any more, whatever is in
	 * them. Stored before their bytes are changed.
	 */
	uint64_t beside;
	/*
	 * Of a durable lane: records before `carried` are in its log, and those before `safe` are on the disk,
	 * whatever becomes of the machine. Stored (release) after they are.
	 */
	uint64_t carried;
	uint64_t safe;

	uint64_t reserved_3[40];
	struct ayrei_checkpoint checkpoints[AYREI_CHECKPOINTS]; /* at 512 */
	uint64_t reserved_4[320];
};

static_assert(sizeof(struct ayrei_lane_layout) == 4096, "layout");
static_assert(offsetof(struct ayrei_lane_layout, id) == 32, "layout");
static_assert(offsetof(struct ayrei_lane_layout, publishers) == 64, "layout");
static_assert(offsetof(struct ayrei_lane_layout, limit) == 128, "layout");
static_assert(offsetof(struct ayrei_lane_layout, waiting) == 136, "layout");
static_assert(offsetof(struct ayrei_lane_layout, fenced) == 144, "layout");
static_assert(offsetof(struct ayrei_lane_layout, looks) == 152, "layout");
static_assert(offsetof(struct ayrei_lane_layout, cancels) == 160, "layout");
static_assert(offsetof(struct ayrei_lane_layout, beside) == 168, "layout");
static_assert(offsetof(struct ayrei_lane_layout, key) == 88, "layout");
static_assert(offsetof(struct ayrei_lane_layout, carried) == 176, "layout");
static_assert(offsetof(struct ayrei_lane_layout, checkpoints) == 512, "layout");

/* One lane as its subscriber stands to it. */
struct ayrei_cursor_entry {
	uint64_t lane;     /* its id; stored last (release); 0: not in use */
	uint64_t position; /* everything before it is read; stored with release, now and then */
	uint64_t received; /* messages */
	uint64_t missed;   /* messages */
};

/*
 * A ticket is drawn for every sleep: odd, its subscriber may be asleep; even, it is awake. Stored before it
 * looks at the lanes a last time. A publisher rings once for an odd ticket that it has not seen.
 */
struct ayrei_ticket_line {
	uint64_t ticket;
	uint64_t reserved[7];
};

#define AYREI_TICKET_LINES 32u

/*
 * The file of a subscriber. Written by it alone; everybody else maps it read-only. It grows by
 * whole pages; the entries that it then has room for are in use once `entry_count` says so.
 */
struct ayrei_cursor_layout {
	/* Line 0: written once, before the file has its name. */
	char magic[8];
	uint32_t version;
	uint32_t header_bytes; /* where the entries begin: 2176 */
	uint8_t generation[AYREI_GENERATION_BYTES];
	uint64_t id;
	int64_t opened_ns;
	int32_t pid; /* for people */
	uint32_t uid;
	uint64_t flags; /* AYREI_CURSOR_... */

	/* Line 1. */
	uint64_t entry_count; /* stored with release */
	uint64_t reserved_1[7];

	/*
	 * Its ticket is in line ID mod 32 of these, the others are 0. A publisher looks at the tickets of all its
	 * subscribers after each message; at one place in all their pages, they would all be in one
	 * set of the processor's cache, which has room for eight.
	 */
	struct ayrei_ticket_line tickets[AYREI_TICKET_LINES];
	struct ayrei_cursor_entry entries[60];
};

static_assert(sizeof(struct ayrei_cursor_layout) == 4096, "layout");
static_assert(offsetof(struct ayrei_cursor_layout, id) == 32, "layout");
static_assert(offsetof(struct ayrei_cursor_layout, flags) == 56, "layout");
static_assert(offsetof(struct ayrei_cursor_layout, tickets) == 128, "layout");
static_assert(offsetof(struct ayrei_cursor_layout, entry_count) == 64, "layout");
static_assert(offsetof(struct ayrei_cursor_layout, entries) == 2176, "layout");

/* id: known from its name, never read from the page. */
static inline uint64_t *ayrei_cursor_ticket(struct ayrei_cursor_layout *cursor, uint64_t id)
{
	return &cursor->tickets[id % AYREI_TICKET_LINES].ticket;
}

#define AYREI_CURSOR_LOSSY 1u /* no publisher waits for it */
#define AYREI_CURSOR_NEEDS_FENCE \
	2u /* it cannot make others pass a fence: publishers shall be fenced */

#define AYREI_CURSOR_SAFE_ONLY 4u /* it waits for what is safe */

/* What is written into a bell. */
#define AYREI_BELL_MESSAGE 'm' /* something to read, or room to write */
#define AYREI_BELL_JOIN    'j' /* somebody came: look through the directory */
#define AYREI_BELL_LEAVE   'l' /* somebody closed: ask about each whose end was not told yet */

/*
 * A record: a header word, then its bytes, 8-byte aligned. Stored with release, the header word
 * is what makes the record exist; 0: not yet.
 *
 *   bits  0..31  bytes that follow the header
 *   bits 32..39  kind
 *   bits 40..47  flags
 *   bits 48..63  0; if it is checked, how far back it was safe when this was written, see below
 */
enum ayrei_record_kind {
	AYREI_RECORD_MESSAGE = 1,
	AYREI_RECORD_LARGE =
		2, /* its bytes are the size (8 bytes) of the file pub.ID.POSITION; if it is
	                          * checked, behind it the hash (8 bytes) of what is in the file */
	AYREI_RECORD_CLOSED = 3, /* its publisher has closed */
};
#define AYREI_RECORD_STAMPED 1u /* its first 8 bytes are a time, CLOCK_REALTIME in ns */
/* Of a closed one: it died without a word, and whoever took the lane over says so. */
#define AYREI_RECORD_DIED 2u
/* Of a durable lane: its first 8 bytes, before the stamp, are a check of the others (ayrei_record_check()). */
#define AYREI_RECORD_CHECKED 4u

/* What a publisher keeps free behind its last record: room to say that it closes, or that it died. */
#define AYREI_LANE_SLACK 32u
