/*
 * The checks of durable records, for loops over many of them: of a short record a call would take as long as the
 * sum. Others call what record.h has.
 */
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "topic/record.h"

static inline uint64_t ayrei_record_check_inline(uint64_t key, uint64_t position, uint64_t header,
                                                 const char *bytes)
{
	uint64_t length = ayrei_record_unpack(header).bytes - sizeof(uint64_t);
	const uint64_t bound[] = {
		XXH3_64bits(bytes + sizeof(uint64_t), length),
		position,
		header,
	};

	return XXH3_64bits_withSeed(bound, sizeof(bound), key);
}

static inline bool ayrei_record_is_whole_inline(uint64_t key, uint64_t position, uint64_t header,
                                                const char *bytes)
{
	uint64_t check;

	memcpy(&check, bytes, sizeof(check));
	return check == ayrei_record_check_inline(key, position, header, bytes);
}
