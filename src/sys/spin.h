/*
 * Spinning before sleeping: for how long, learnt from whether it helped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ayrei_spin {
	int64_t budget_ns; /* to spin before the next sleep */
	bool adapts;
	unsigned int waits; /* in which nothing was spun */
};

/* wanted_ns: 0: as long as it helps; negative: not at all. */
void ayrei_spin_init(struct ayrei_spin *spin, int64_t wanted_ns);
/* A wait ended: while spinning, or only after a sleep. */
void ayrei_spin_learn(struct ayrei_spin *spin, bool helped);

/* One wait. The clock is read every so many turns. */
struct ayrei_spinning {
	int64_t end_ns; /* INT64_MIN: not begun */
	unsigned int turns;
};
/* Another turn? false: it is time to sleep. deadline_ns ends it early. */
bool ayrei_spin_turn(const struct ayrei_spin *spin, struct ayrei_spinning *spinning,
                     int64_t deadline_ns);
