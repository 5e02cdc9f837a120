/*
 * A creator to be killed: a traced child that creates a segment, and those who come after it.
 */
#pragma once

#include "support/trace.h"

/* How the segment is made. */
struct manner {
	const char *title;
	uint64_t size_bytes;
	uint32_t mode;
	bool no_unnamed_files;
	bool no_rename_new;
	bool unprivileged;  /* as a user whom modes can keep out */
	bool uninitialized; /* no callback, so that there is less to do and to lock */
};

enum {
	SMALL,
	LARGE,
	RENAMED,
	LINKED,
	DENYING,
	DENYING_LINKED,
	DENYING_UNNAMED,
	ZEROS,
	ZEROS_RENAMED,
	ZEROS_LINKED
};

struct attempt {
	const struct manner *manner;
	char name[NAME_BYTES];
};

/* Makes ready for children of this manner. */
void prepare(void **state, struct attempt *attempt, unsigned int manner);
/* Can this machine trace at all? */
bool is_traceable(struct attempt *attempt);
/* A child that stands where it is about to open the segment; 0: this machine cannot trace. */
pid_t start_victim(struct attempt *attempt, struct edge *edge);
/* Has it opened the segment? */
bool is_through(const struct edge *edge);
/*
 * After a kill: whoever comes next has the segment whole within a second; once it is removed,
 * nothing is left. twice: another one then makes it anew, while the first still uses it.
 */
void assert_next_has_it(struct attempt *attempt, const struct counts *before, bool twice);
/* Where a child was killed on the way to something else. */
void clear_after(struct attempt *attempt);

/* So many of assert_next_has_it(). */
extern unsigned int kills;
/* Where the last one was, until the test has passed. */
extern char where[128];
int report_where(void **state);
#define kill_test(function, kind) \
	{ \
#function ", " #kind, function, count_setup, report_where, \
			(void *)(uintptr_t)&backings[AYRE_BACKING_##kind - 1] \
	}
