/*
 * Long copies.
 *
 * Beyond some 2 KiB glibc copies with `rep movsb` where the processor calls that fast. AMD's Zen 3 and 4 do,
 * and move 3.5 GB/s instead of 45 where the destination lies 1 to 63 bytes behind the source within
 * a page (glibc bug 30994; Debian 12 has it). A record in a ring begins 8 bytes behind
 * anything, so there it happens to one long message in 64.
 *
 * Invariant: both ends are read and written within their bounds, whatever else happens to them meanwhile.
 */
#include "sys/copy.h"

#if defined(__x86_64__)

/* Above what glibc's threshold is for these processors. */
#define STRINGS_LEAST 2048

#define GROUP 4

/*
 * Four blocks at a time, to where a line begins; the first and the last four lie where they happen to, and
 * are copied apart.
 */
static void copy_blocks(char *to, const char *from, size_t bytes)
{
	const size_t group = GROUP * sizeof(ayrei_block);
	size_t done = group - ((uintptr_t)to & (group - 1));
	ayrei_block *out = (ayrei_block *)to;
	const ayrei_block *in = (const ayrei_block *)from;

	for (int i = 0; i < GROUP; i++)
		out[i] = in[i];
	for (; done + group <= bytes; done += group) {
		in = (const ayrei_block *)(from + done);
		out = __builtin_assume_aligned(to + done, 64);
		for (int i = 0; i < GROUP; i++)
			out[i] = in[i];
	}
	in = (const ayrei_block *)(from + bytes - group);
	out = (ayrei_block *)(to + bytes - group);
	for (int i = 0; i < GROUP; i++)
		out[i] = in[i];
}

void ayrei_copy_long(void *to, const void *from, size_t bytes)
{
	if (bytes >= STRINGS_LEAST)
		copy_blocks(to, from, bytes);
	else
		memcpy(to, from, bytes);
}

#else

void ayrei_copy_long(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

#endif
