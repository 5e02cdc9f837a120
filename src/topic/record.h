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
	uint16_t lag; /* 0 unless it is checked: AYREI_LAG_... */
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
		.lag = (uint16_t)(header >> 48),
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

/* Behind the header: the check, and then the stamp, where they are. */
static inline uint64_t ayrei_record_check_bytes(struct ayrei_record record)
{
	return record.flags & AYREI_RECORD_CHECKED ? 8u : 0u;
}

static inline uint64_t ayrei_record_stamp_bytes(struct ayrei_record record)
{
	return record.flags & AYREI_RECORD_STAMPED ? 8u : 0u;
}

static inline uint64_t ayrei_record_prefix_bytes(struct ayrei_record record)
{
	return ayrei_record_check_bytes(record) + ayrei_record_stamp_bytes(record);
}

/* Is this what a writer of this format stores? */
static inline bool ayrei_record_is_valid(uint64_t header, uint64_t ring_bytes)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	unsigned int known =
		AYREI_RECORD_CHECKED |
		(record.kind == AYREI_RECORD_CLOSED ? AYREI_RECORD_DIED : AYREI_RECORD_STAMPED);
	uint64_t check = ayrei_record_check_bytes(record), least = check;

	least += ayrei_record_stamp_bytes(record);
	/* A size, and if it is checked a hash. */
	if (record.kind == AYREI_RECORD_LARGE)
		least += 8 + check;
	return record.kind >= AYREI_RECORD_MESSAGE && record.kind <= AYREI_RECORD_CLOSED &&
	       (record.flags & ~known) == 0 && (check || record.lag == 0) &&
	       record.bytes >= least && record.bytes <= ayrei_record_bytes_max(ring_bytes);
}

/* Of a record that has a stamp; bytes: those behind the header. */
static inline int64_t ayrei_record_stamp(struct ayrei_record record, const char *bytes)
{
	int64_t time_ns;

	memcpy(&time_ns, bytes + ayrei_record_check_bytes(record), sizeof(time_ns));
	return time_ns;
}

/* The times by which a lane or a log is searched are later than every stamp before them. */
static inline int64_t ayrei_time_after(int64_t time_ns, int64_t stamp_ns)
{
	return stamp_ns < time_ns || stamp_ns == INT64_MAX ? time_ns : stamp_ns + 1;
}

/*
 * Is it a message of a durable lane, stamped or not, that is in the record and has so many bytes at most? Then it is
 * valid where that is no more than a record can have, and needs no closer look than its check.
 */
static inline bool ayrei_record_is_checked_message(uint64_t header, uint64_t most)
{
	const uint64_t plain = AYREI_RECORD_MESSAGE | AYREI_RECORD_CHECKED << 8;
	uint64_t kind = header >> 32 & 0xffff, bytes = (uint32_t)header;

	return (kind == plain && bytes >= sizeof(uint64_t) && bytes <= most) ||
	       (kind == (plain | AYREI_RECORD_STAMPED << 8) && bytes >= 2 * sizeof(uint64_t) &&
	        bytes <= most);
}

/* Of a valid record, the size of its message: 0 if it is none. bytes: those behind the header. */
static inline uint64_t ayrei_record_message_bytes(uint64_t header, const char *bytes)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	uint64_t prefix = ayrei_record_prefix_bytes(record), size;

	switch (record.kind) {
	case AYREI_RECORD_MESSAGE:
		return record.bytes - prefix;
	case AYREI_RECORD_LARGE:
		memcpy(&size, bytes + prefix, sizeof(size));
		return size;
	default:
		return 0;
	}
}

/* --- checked --- */

/*
 * How far behind a record everything was safe when it was written: in steps of 4096 bytes, rounded up, so 0
 * says that all before it was. So a whole record proves of a damaged one before it that it had been safe,
 * and was not torn by the end of the machine.
 */
#define AYREI_LAG_STEP    4096u
#define AYREI_LAG_UNKNOWN 0xffffu /* this far, or more */

static inline uint64_t ayrei_record_lag(uint64_t position, uint64_t safe)
{
	uint64_t steps = (position - safe + AYREI_LAG_STEP - 1) / AYREI_LAG_STEP;

	return (steps < AYREI_LAG_UNKNOWN ? steps : AYREI_LAG_UNKNOWN) << 48;
}

/* Everything before this position had been safe, as a whole record at a position says; 0: it does not say. */
static inline uint64_t ayrei_record_proves(uint64_t position, uint64_t header)
{
	uint64_t lag = ayrei_record_unpack(header).lag, bytes = lag * AYREI_LAG_STEP;

	return lag == AYREI_LAG_UNKNOWN || bytes > position ? 0 : position - bytes;
}

/*
 * The check of a record: of the bytes behind it, and of what it is bound to. The key is random, and another
 * one for each log's beginning anew, so that old bytes never pass for new ones.
 */
uint64_t ayrei_record_check(uint64_t key, uint64_t position, uint64_t header, const char *bytes);
/* Of a valid header that says that it is checked. bytes: those behind the header. */
bool ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header, const char *bytes);
