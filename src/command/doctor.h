/*
 * ayre doctor: what this machine gives ayre. Each part looks at something and adds what it found:
 *
 *   doctor.c            the command, and what it prints
 *   doctor_finding.c    what was found, as it is added up
 *   doctor_memory.c     where segments and topics are
 *   doctor_keep.c       how long it is kept
 *   doctor_group.c      the bounds of a control group
 *   doctor_limits.c     of a process, and of pipes
 *   doctor_kernel.c     what the kernel has, and shows
 *   doctor_confine.c    the layers that confine a worker, and a worker
 *   doctor_leftovers.c  what the dead left
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/error.h>

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_COSTS,   /* it works, and is slower or larger, or promises less */
	DOCTOR_TROUBLE, /* something of ayre's does not work */
	DOCTOR_VERDICTS,
};

struct doctor_finding {
	const char *group, *name;
	enum doctor_verdict verdict;
	char value[200]; /* for people */
	/* The same for programs, where it is a number; else -1. */
	int64_t bytes, count;
	char costs[560], mend[400]; /* sentences, and a command; empty: there is none */
};

struct doctor {
	struct doctor_finding *findings;
	size_t count, room;
	struct doctor_finding spare; /* where there is no memory for another */
	bool fell_short;
};

/* --- what was found --- */

/* Group and name live as long as the program. The finding is borrowed, until the next is added; it is ok so far. */
struct doctor_finding *doctor_add(struct doctor *doctor, const char *group, const char *name);
void doctor_say(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What is wrong with it, and what that costs. The last one counts. */
void doctor_judge(struct doctor_finding *finding, enum doctor_verdict verdict, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
void doctor_mend(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A word as a shell takes it, in quotes where it needs them. Returns text. */
const char *doctor_quote(const char *word, char *text, size_t text_bytes);
/* A call of the library failed that had to work. */
void doctor_judge_error(struct doctor_finding *finding, const struct ayre_error *error);

/* --- files of the kernel --- */

/* The first number in it. false: there is none, or no such file. */
bool doctor_read_number(const char *path, int64_t *ret_number);
/* The first line, without its end; empty: there is none. */
void doctor_read_line(const char *path, char *line, size_t line_bytes);
/* Whether the line of /proc/self/status that begins with it has this number. */
bool doctor_status_is(const char *label, int64_t number);
/* Entries of a directory, less "." and ".."; -1: it cannot be read. */
int64_t doctor_count_entries(const char *directory);

/* --- the parts --- */

void doctor_look_at_memory(struct doctor *doctor);
void doctor_look_at_keeping(struct doctor *doctor);
void doctor_look_at_group(struct doctor *doctor);
void doctor_look_at_limits(struct doctor *doctor);
void doctor_look_at_kernel(struct doctor *doctor);
void doctor_look_at_confinement(struct doctor *doctor);
void doctor_look_at_leftovers(struct doctor *doctor);
