/*
 * What fault injection is tried on: every operation on topics that asks the kernel or the heap for
 * something.
 */
#pragma once

#include "topic/topic_world.h"

#define SCENE_NAME  "scene"
#define LARGE_BYTES 20000u
#define SCENE_RING  4096u

/* One run of an operation. What is not NULL (or -1) at its end is closed. */
struct scene {
	const struct operation *operation;
	struct ayre_publisher *publisher;   /* what it works on */
	struct ayre_subscriber *subscriber; /* likewise */
	struct ayre_publisher *newcomer;    /* who has to be noticed */
	struct ayre_subscriber *audience;
	struct ayre_ends ends;
	struct ayre_publisher *published; /* what it opens; `untouched` before */
	struct ayre_subscriber *subscribed;
	struct ayre_ends made; /* likewise */
	uint64_t expected;     /* the number that the subscriber receives next */
	char bytes[LARGE_BYTES];
	struct ayre_error error;
};

struct operation {
	const char *title;
	void (*prepare)(struct scene *scene);
	int (*run)(struct scene *scene);
	void (*verify)(struct scene *scene); /* after a success */
	/*
	 * WORKS: a handle may keep what it learnt before a call failed. OPENS: a failure leaves nothing at
	 * all. REMOVES: what cannot be removed stays, without its name. CLOSES: nothing is told.
	 */
	enum { WORKS, OPENS, REMOVES, CLOSES } kind;
};
extern const struct operation operations[];
extern const size_t operation_count;

/* What is not opened yet. */
#define NO_PUBLISHER  ((struct ayre_publisher *)(uintptr_t)operations)
#define NO_SUBSCRIBER ((struct ayre_subscriber *)(uintptr_t)operations)
