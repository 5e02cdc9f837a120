/*
 * What both programs of a log for crash_points have in common: marks of what was attempted and acknowledged, in which
 * life, and a judgement by them.
 *
 * A mark is a line: "attempted SEQUENCE LIFE", "acknowledged SEQUENCE LIFE". What a message is, and how long, follows from
 * these two numbers, so that no other memory of what was written is needed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { EXIT_WRONG = 1, EXIT_USAGE, EXIT_NO_RESULT };

/* Says what, and why, and ends without a result. */
_Noreturn void fail(const char *what, int code);

/* --- messages --- */

#define AT_ONCE 4 /* most messages to a flush */

uint64_t mix(uint64_t a, uint64_t b);
/* How many are sent before the next flush. */
uint64_t draw_count(uint64_t sequence, uint64_t life);
unsigned char payload_byte(uint64_t sequence, uint64_t life, uint64_t offset);

/* --- marking --- */

/* $POWER_MARKS. */
int open_marks(void);
void mark(int marks, const char *word, uint64_t sequence, uint64_t life);
/* $POWER_LIFE */
uint64_t this_life(void);

/* --- judging --- */

#define MOST_SEQUENCES 4096
#define MOST_LIVES     64

/* Those on standard input. */
void read_marks(void);
/* By whoever looks, in a life that nobody else has: attempted and acknowledged. */
#define LAST_LIFE (MOST_LIVES - 1)
void mark_last(uint64_t sequence);
/* Says what of which message is wrong: EXIT_WRONG. */
int wrong(const char *what, uint64_t sequence, uint64_t life);
/* May this message be there, behind one of that life? 0 or EXIT_WRONG. */
int judge_mark(uint64_t sequence, uint64_t life, uint64_t life_before);
/* Is one missing that was acknowledged, from this one on? 0 or EXIT_WRONG. */
int judge_missing(uint64_t from);
bool was_attempted(uint64_t sequence);
bool was_acknowledged(uint64_t sequence);
