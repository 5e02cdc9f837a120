/*
 * Records and positions, computed. Both ends compute them from the same numbers, so that no record
 * says where the next one is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "topic/layout.h"

#define AYREI_RECORD_HEADER 8u

struct ayrei_record {
	uint32_t bytes; /* that follow the header */
	uint8_t kind;   /* enum ayrei_record_kind; others are not ours */
	uint8_t flags;
	uint16_t rest; /* 0 */
};

static inline uint64_t ayrei_record_pack(uint32_t bytes, unsigned int kind, unsigned int flags)
{
	return bytes | (uint64_t)kind << 32 | (uint64_t)flags << 40;
}

static inline struct ayrei_record ayrei_record_unpack(uint64_t header)
{
	return (struct ayrei_record){
		.bytes = (uint32_t)header,
		.kind = (uint8_t)(header >> 32),
		.flags = (uint8_t)(header >> 40),
		.rest = (uint16_t)(header >> 48),
	};
}

/*
 * Where the record after this one begins. A record of a cache line or more begins and ends with
 * a line; of smaller ones none lies across two as long as they are of one size. So a short
 * message moves one line between processors, header and all.
 */
static inline uint64_t ayrei_record_end(uint64_t position, uint64_t bytes)
{
	uint64_t span = (AYREI_RECORD_HEADER + bytes + 7) & ~(uint64_t)7;
	uint64_t end = position + span;
	uint64_t left = -end & (AYREI_LINE - 1);
	uint64_t next = span < AYREI_LINE ? span : AYREI_LINE;

	return left < next ? end + left : end;
}

/* The most bytes of one record. With twice that and an eighth kept by a lazy cursor there is room. */
static inline uint64_t ayrei_record_bytes_max(uint64_t ring_bytes)
{
	return ring_bytes / 4;
}

/* Is this what a writer of this format stores? */
static inline bool ayrei_record_is_valid(uint64_t header, uint64_t ring_bytes)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	unsigned int known =
		record.kind == AYREI_RECORD_CLOSED ? AYREI_RECORD_DIED : AYREI_RECORD_STAMPED;
	uint64_t least = (record.flags & AYREI_RECORD_STAMPED ? 8u : 0u) +
	                 (record.kind == AYREI_RECORD_LARGE ? 8u : 0u);

	return record.kind >= AYREI_RECORD_MESSAGE && record.kind <= AYREI_RECORD_CLOSED &&
	       (record.flags & ~known) == 0 && record.rest == 0 && record.bytes >= least &&
	       record.bytes <= ayrei_record_bytes_max(ring_bytes);
}

/* Of a valid record, the size of its message: 0 if it is none. bytes: those behind the header. */
static inline uint64_t ayrei_record_message_bytes(uint64_t header, const char *bytes)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	uint64_t stamp = record.flags & AYREI_RECORD_STAMPED ? 8u : 0u, size;

	switch (record.kind) {
	case AYREI_RECORD_MESSAGE:
		return record.bytes - stamp;
	case AYREI_RECORD_LARGE:
		memcpy(&size, bytes + stamp, sizeof(size));
		return size;
	default:
		return 0;
	}
}
