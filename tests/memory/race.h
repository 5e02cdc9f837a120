/*
 * Many processes that open one name at once: how the segment is made, and what each of them saw.
 */
#pragma once

#include "support/open.h"

#define MOST_PROCESSES 200

/* How a segment is made. */
struct manner {
	const char *title;
	uint64_t size_bytes;
	const char *tag;
	bool initialized;
	bool slowly;
	bool no_unnamed_files;
	bool no_rename_new;
	unsigned int processes;
};
enum { RAW, TYPED, SLOWLY, LARGE, RENAMED, LINKED };

struct outcome {
	int result;
	pid_t maker; /* as the bytes say; 0: raw */
	bool whole;
};

/* What all processes of a race share. */
struct arena {
	const struct manner *manner;
	char name[NAME_BYTES];
	atomic_uint round;
	atomic_uint done;
	atomic_bool stop;
	atomic_uint initialized; /* how often an initialiser ran */
	pid_t pids[MOST_PROCESSES];
	struct outcome outcomes[MOST_PROCESSES];
};

/* One contender. */
struct contender {
	struct arena *arena;
	unsigned int index;
};

/* manner: RAW and so on. */
struct arena *make_arena(void **state, unsigned int manner);
void drop_arena(struct arena *arena);
/* Creates or opens, and looks at every byte at once. */
struct outcome open_and_look(struct arena *arena);
/*
 * For fault_before_call: between the system calls of a contender, so that each can be the one
 * that others get between.
 */
void yield_sometimes(const char *symbol);
/* When a race that began now has had its time. */
int64_t end_of_budget(void);
