/*
 * What is on the disk of a durable topic, byte by byte; docs/FORMAT.md describes it for other readers. A file
 * has one writer, the publisher of the lane, which has a lock on log.ID as long as it lives.
 *
 *   topic             what the topic is, as in memory
 *   log.ID            how far the log of the lane ID is: two slots, written in turn
 *   log.ID.POSITION   an extent: the lane's bytes from that position on, as they were in its ring
 *   pub.ID.POSITION   a message beside the ring
 *
 * Positions are the lane's. A record is never split between extents; the next one begins where the one before it
 * ends, and is there only when that is complete. Numbers in names are 16 hexadecimal digits.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "topic/layout.h"

#define AYREI_LOG_MAGIC    "AYRELOG" /* and its NUL */
#define AYREI_EXTENT_MAGIC "AYREEXT"

/* A part of a disk that is written at once, and read from one page. */
#define AYREI_BLOCK 4096u

#define AYREI_SLOTS 2u

/*
 * A slot of log.ID: the first bytes of a block of its own. The one with the higher number that is whole
 * counts. Written when a publisher opens or closes and when an extent begins, after what it tells of is
 * safe.
 */
struct ayrei_slot_layout {
	char magic[8];
	uint32_t version;
	uint32_t flags; /* AYREI_SLOT_... */
	uint8_t generation[AYREI_GENERATION_BYTES];
	uint64_t id;
	uint64_t number;   /* from 1; it is in the slot number % 2 */
	uint64_t first;    /* where the oldest extent begins: what was before was given up */
	uint64_t last;     /* where the newest one begins */
	uint64_t safe;     /* everything before this position was safe */
	uint64_t sequence; /* the number of the message there */
	int64_t time_ns;   /* when it was written */
	uint64_t reserved[52];
	uint64_t checksum; /* XXH3, 64 bits, of the 504 bytes before it */
};

#define AYREI_SLOT_CLOSED \
	1u /* by a publisher that said so; what it had sent is all before `safe` */

static_assert(sizeof(struct ayrei_slot_layout) == 512, "layout");
static_assert(offsetof(struct ayrei_slot_layout, id) == 32, "layout");
static_assert(offsetof(struct ayrei_slot_layout, time_ns) == 80, "layout");

/* The head of an extent: written once, before the file has its name. */
struct ayrei_extent_layout {
	char magic[8];
	uint32_t version;
	uint32_t
		header_bytes; /* where the lane's bytes begin: a multiple of 4096; the index is before it */
	uint8_t generation[AYREI_GENERATION_BYTES];
	uint64_t id;
	uint64_t key;            /* of the checks of its records, and of its index */
	uint64_t begin;          /* the position of its first byte, as in its name */
	uint64_t sequence;       /* of the first message in it */
	uint64_t capacity_bytes; /* that it has room for behind its head */
	uint64_t ring_bytes;     /* of the lane: a record has at most a quarter of it */
	int64_t created_ns;
	uint64_t
		follows; /* where the one before it ends: `begin`, or less if repair gave up what was between */
	uint64_t reserved[51];
	uint64_t checksum; /* XXH3, 64 bits, of the 504 bytes before it */
};

static_assert(sizeof(struct ayrei_extent_layout) == 512, "layout");
static_assert(offsetof(struct ayrei_extent_layout, created_ns) == 80, "layout");

/*
 * The index, from byte 4096 of an extent on: entry i is of the first record that begins at
 * begin + i * AYREI_INDEX_STEP or later. What is not whole, or not there, is no entry: one walks.
 */
struct ayrei_index_entry {
	uint64_t position;
	uint64_t sequence;
	int64_t time_ns; /* when it was written: no record behind it is older than the entry before it */
	uint64_t check; /* XXH3, 64 bits, of the 24 bytes before it, seeded with the key */
};

#define AYREI_INDEX_STEP ((uint64_t)64 << 10)

static_assert(sizeof(struct ayrei_index_entry) == 32, "layout");

/* How many entries an extent of so much room has. */
static inline uint64_t ayrei_index_entries(uint64_t capacity_bytes)
{
	return (capacity_bytes + AYREI_INDEX_STEP - 1) / AYREI_INDEX_STEP;
}

static inline uint64_t ayrei_extent_header_bytes(uint64_t capacity_bytes)
{
	uint64_t index = ayrei_index_entries(capacity_bytes) * sizeof(struct ayrei_index_entry);

	return AYREI_BLOCK + (index + AYREI_BLOCK - 1) / AYREI_BLOCK * AYREI_BLOCK;
}
