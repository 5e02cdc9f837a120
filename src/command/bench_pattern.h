/*
 * What the benchmarks read and write: 64-bit words whose sum is known without having read them,
 * so that a reader that skipped a byte, or read an old one, is found out.
 *
 * The word with the number i is (i + salt) * PATTERN_FACTOR, modulo 2^64: another salt,
 * other bytes everywhere. A buffer here is aligned to 16 bytes and is whole words.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PATTERN_WORD sizeof(uint64_t)

/* Writes the words from number first on. */
void pattern_fill(void *to, size_t bytes, uint64_t first, uint64_t salt);

/* Reads every byte. */
uint64_t pattern_sum(const void *from, size_t bytes);

/* What pattern_sum() finds where pattern_fill() was, without looking. */
uint64_t pattern_expect(size_t bytes, uint64_t first, uint64_t salt);

/* One word; and a sequence of numbers that no cache foresees, but that can be had again. */
static inline uint64_t pattern_word(uint64_t number, uint64_t salt)
{
	return (number + salt) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t pattern_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 32;
}
