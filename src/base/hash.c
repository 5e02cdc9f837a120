#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t ayrei_hash(const void *bytes, size_t length)
{
	return XXH3_64bits(bytes, length);
}

uint64_t ayrei_hash_seeded(const void *bytes, size_t length, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, length, seed);
}
