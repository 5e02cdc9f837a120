/*
 * XXH3, 64 bits, by libxxhash's header: nothing of it is linked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t ayrei_hash(const void *bytes, size_t length);
/* With a seed; for short texts. */
uint64_t ayrei_hash_seeded(const void *bytes, size_t length, uint64_t seed);
