/*
 * The subscribers of a topic as one of its publishers knows them: whom to wait for, whom to wake.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topic/directory.h"
#include "topic/lane.h"
#include "topic/shared.h"

struct ayrei_member {
	uint64_t id;
	struct ayrei_shared page; /* its cursor, read-only */
	size_t page_bytes;
	int file;        /* of the cursor: tells whether it lives; -1: it came as descriptors */
	int bell;        /* -1: it cannot be woken */
	size_t entry;    /* which of its entries is about our lane; SIZE_MAX: none was found */
	size_t searched; /* so many of its entries are about others */
	uint64_t floor;  /* the last position that was believed */
	bool counts;     /* we wait for it */
	bool needs_fence;
};

/* What is compared after each message: apart, so that it is close together. */
struct ayrei_watch {
	const uint64_t *ticket;
	uint64_t seen;
};

struct ayrei_members {
	struct ayrei_member *all;
	struct ayrei_watch *watches; /* by the same index */
	size_t count, room;
	int set;        /* their bells, for hang-ups; -1: not made yet */
	uint64_t wakes; /* rings */
	bool safe_only; /* takes in those alone who wait for what is safe */
};

/* Tags in the set, which are ids of members, and this one, which is our own bell. */
#define AYREI_OWN_BELL 0

void ayrei_members_init(struct ayrei_members *members);
void ayrei_members_fini(struct ayrei_members *members);

/*
 * Looks through the directory: takes in who is new, ringing them for a join if wanted, and lets go of who
 * is gone or dead. floor: what a member counts with that has no entry for this lane yet.
 */
int ayrei_members_look(struct ayrei_members *members, const struct ayrei_topic *topic,
                       uint64_t floor, bool ring);
/* Takes in one that came as descriptors, which are duplicated. */
int ayrei_members_adopt(struct ayrei_members *members, const uint8_t *generation, int page,
                        int bell, uint64_t floor);
/* Lets go of those that are dead, of the one with this id or (0) of all. 1: somebody was. */
int ayrei_members_bury(struct ayrei_members *members, const struct ayrei_topic *topic, uint64_t id);

/* Somebody has rung that they leave. Of one that came as descriptors, nobody else can. */
void ayrei_members_part(struct ayrei_members *members, const struct ayrei_topic *topic);
/* Tells them all that we leave. */
void ayrei_members_take_leave(const struct ayrei_members *members);

/* The position of the slowest of those that count: UINT64_MAX if none does. */
uint64_t ayrei_members_floor(struct ayrei_members *members, const struct ayrei_lane *lane);
/* Rings for every odd ticket that was not seen yet. true: somebody was rung. */
bool ayrei_members_wake(struct ayrei_members *members);
bool ayrei_members_need_fence(const struct ayrei_members *members);

/* Has one of the tickets changed? On the way of every message. */
static inline bool ayrei_members_changed(const struct ayrei_members *members)
{
	const struct ayrei_watch *watch = members->watches;
	uint64_t changes = 0;

	for (size_t left = members->count; left > 0; left--, watch++)
		changes |= ayrei_load(watch->ticket) ^ watch->seen;
	return changes != 0;
}
