#include "power/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *what, int code)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(code));
	exit(EXIT_NO_RESULT);
}

/* --- messages --- */

uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t z = (a + 1) * 0x9e3779b97f4a7c15 ^ (b + 1) * 0xd1b54a32d192ed03;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	return z ^ (z >> 29);
}

uint64_t draw_count(uint64_t sequence, uint64_t life)
{
	return 1 + mix(sequence, life) % AT_ONCE;
}

unsigned char payload_byte(uint64_t sequence, uint64_t life, uint64_t offset)
{
	return (unsigned char)(mix(mix(sequence, life), offset / 8) >> 8 * (offset % 8));
}

/* --- marking --- */

int open_marks(void)
{
	const char *path = getenv("POWER_MARKS");
	int marks = open(path ? path : "", O_WRONLY | O_APPEND | O_CLOEXEC);

	if (marks == -1)
		fail("POWER_MARKS", errno);
	return marks;
}

void mark(int marks, const char *word, uint64_t sequence, uint64_t life)
{
	if (dprintf(marks, "%s %" PRIu64 " %" PRIu64 "\n", word, sequence, life) < 0)
		fail("marks", errno);
}

uint64_t this_life(void)
{
	const char *life = getenv("POWER_LIFE");

	if (!life)
		fail("POWER_LIFE", EINVAL);
	return strtoull(life, NULL, 0);
}

/* --- judging --- */

/* By bits: in which lives it was attempted; in which one, acknowledged. */
static uint64_t attempted[MOST_SEQUENCES], acknowledged[MOST_SEQUENCES];

void read_marks(void)
{
	uint64_t sequence, life;
	char line[128], word[16];

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %" SCNu64 " %" SCNu64, word, &sequence, &life) != 3 ||
		    sequence >= MOST_SEQUENCES || life >= MOST_LIVES)
			exit(EXIT_NO_RESULT);
		attempted[sequence] |= UINT64_C(1) << life;
		if (strcmp(word, "acknowledged") == 0)
			acknowledged[sequence] |= UINT64_C(1) << life;
	}
}

void mark_last(uint64_t sequence)
{
	attempted[sequence] |= UINT64_C(1) << LAST_LIFE;
	acknowledged[sequence] = UINT64_C(1) << LAST_LIFE;
}

int wrong(const char *what, uint64_t sequence, uint64_t life)
{
	printf("%s: message %" PRIu64 " of life %" PRIu64 "\n", what, sequence, life);
	return EXIT_WRONG;
}

int judge_mark(uint64_t sequence, uint64_t life, uint64_t life_before)
{
	if (sequence >= MOST_SEQUENCES || life >= MOST_LIVES ||
	    !(attempted[sequence] & UINT64_C(1) << life))
		return wrong("invented", sequence, life);
	if (acknowledged[sequence] && !(acknowledged[sequence] & UINT64_C(1) << life))
		return wrong("another one was acknowledged", sequence, life);
	return life < life_before ? wrong("back from the dead", sequence, life) : 0;
}

int judge_missing(uint64_t from)
{
	for (uint64_t i = from; i < MOST_SEQUENCES; i++)
		if (acknowledged[i])
			return wrong("lost", i, (uint64_t)__builtin_ctzll(acknowledged[i]));
	return 0;
}

bool was_attempted(uint64_t sequence)
{
	return attempted[sequence] != 0;
}

bool was_acknowledged(uint64_t sequence)
{
	return acknowledged[sequence] != 0;
}
