/*
 * Copying. Most messages are short, and a call would cost more than what it does; some are long, and there a
 * C library can be slow.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Sixteen bytes at any address, by way of a register. */
typedef char ayrei_block __attribute__((vector_size(16), aligned(1), may_alias));

/* The most that is copied without a call. */
#define AYREI_COPY_SHORT_MAX 64u

/*
 * memcpy(3) of up to AYREI_COPY_SHORT_MAX bytes: blocks that may overlap, in as few stores as can be, and no
 * call.
 */
static inline void ayrei_copy_short(void *to, const void *from, size_t bytes)
{
	ayrei_block *out = to, *out_end = (ayrei_block *)((char *)to + bytes);
	const ayrei_block *in = from;
	const ayrei_block *in_end = (const ayrei_block *)((const char *)from + bytes);

	if (bytes > 32) {
		ayrei_block first = in[0], second = in[1], last = in_end[-1];

		if (bytes > 48) {
			ayrei_block third = in[2];

			out[2] = third;
		}
		out[0] = first;
		out[1] = second;
		out_end[-1] = last;
	} else if (bytes >= 16) {
		ayrei_block first = in[0], last = in_end[-1];

		out[0] = first;
		out_end[-1] = last;
	} else if (bytes >= 8) {
		uint64_t first, last;

		memcpy(&first, from, 8);
		memcpy(&last, (const char *)in_end - 8, 8);
		memcpy(to, &first, 8);
		memcpy((char *)out_end - 8, &last, 8);
	} else {
		for (size_t i = 0; i < bytes; i++)
			((char *)to)[i] = ((const char *)from)[i];
	}
}

/* memcpy(3), of a rate that does not hang on where the two begin. */
void ayrei_copy_long(void *to, const void *from, size_t bytes);

static inline void ayrei_copy(void *to, const void *from, size_t bytes)
{
	if (bytes > AYREI_COPY_SHORT_MAX)
		ayrei_copy_long(to, from, bytes);
	else
		ayrei_copy_short(to, from, bytes);
}
