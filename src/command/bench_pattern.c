/*
 * Filling and summing memory as fast as the processor does it.
 *
 * Invariant: the loops are bound by memory and not by arithmetic, since the floors are made of
 * them. So they take 16 bytes at a time, which x86-64 and arm64 all have, and keep four such
 * vectors, each in a variable of its own (an array would live on the stack).
 */
#include "command/bench_pattern.h"

typedef uint64_t vector __attribute__((vector_size(16), may_alias));

#define LANES 2 /* words of a vector */
#define WORDS 8 /* of four vectors: a turn of a loop */

static vector two_words(uint64_t first, uint64_t salt)
{
	return (vector){pattern_word(first, salt), pattern_word(first + 1, salt)};
}

void pattern_fill(void *to, size_t bytes, uint64_t first, uint64_t salt)
{
	uint64_t *words = to;
	size_t count = bytes / PATTERN_WORD, turns = count / WORDS;
	const vector step = two_words(WORDS, 0) - two_words(0, 0);
	vector a = two_words(first, salt), b = two_words(first + LANES, salt);
	vector c = two_words(first + 2 * LANES, salt), d = two_words(first + 3 * LANES, salt);
	vector *at = to;

	for (size_t i = 0; i < turns; i++, at += 4) {
		at[0] = a;
		at[1] = b;
		at[2] = c;
		at[3] = d;
		a += step;
		b += step;
		c += step;
		d += step;
	}
	for (size_t i = turns * WORDS; i < count; i++)
		words[i] = pattern_word(first + i, salt);
}

uint64_t pattern_sum(const void *from, size_t bytes)
{
	const uint64_t *words = from;
	size_t count = bytes / PATTERN_WORD, turns = count / WORDS;
	vector a = {0}, b = {0}, c = {0}, d = {0};
	const vector *at = from;
	uint64_t sum = 0;

	for (size_t i = 0; i < turns; i++, at += 4) {
		a += at[0];
		b += at[1];
		c += at[2];
		d += at[3];
	}
	a += b + c + d;
	for (size_t i = turns * WORDS; i < count; i++)
		sum += words[i];
	return sum + a[0] + a[1];
}

uint64_t pattern_expect(size_t bytes, uint64_t first, uint64_t salt)
{
	uint64_t count = bytes / PATTERN_WORD;

	/* count words that begin with the number first: first * count + (0 + 1 + ...). */
	return pattern_word(first * count + count * (count - 1) / 2, salt * count);
}
