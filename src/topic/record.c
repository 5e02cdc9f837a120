/*
 * The checks of durable records.
 */
#include "topic/record.h"

#include "base/hash.h"

uint64_t ayrei_record_check(uint64_t key, uint64_t position, uint64_t header, const char *bytes)
{
	uint64_t length = ayrei_record_unpack(header).bytes - sizeof(uint64_t);
	const uint64_t bound[] = {
		ayrei_hash(bytes + sizeof(uint64_t), length),
		position,
		header,
	};

	return ayrei_hash_seeded(bound, sizeof(bound), key);
}

bool ayrei_record_is_whole(uint64_t key, uint64_t position, uint64_t header, const char *bytes)
{
	uint64_t check;

	memcpy(&check, bytes, sizeof(check));
	return check == ayrei_record_check(key, position, header, bytes);
}
