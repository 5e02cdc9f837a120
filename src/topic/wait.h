/*
 * Spinning before sleeping: for how long, learnt from whether it helped. And before spinning, where
 * messages stream: staying away until some have gathered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ayrei_spin {
	int64_t budget_ns; /* to spin before the next sleep */
	bool adapts;
	unsigned int waits; /* in which nothing was spun */
};

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

/* What a stream has brought in from one wait to the next, and what that says of how long to stay away. */
struct ayrei_gathering {
	uint64_t messages, bytes; /* sums, when the last wait began */
	int64_t stay_ns;          /* to stay away now; 0: no stream */
};

/* A wait begins: so much has been read in all, of lanes of which the smallest ring is so large. */
void ayrei_gathering_learn(struct ayrei_gathering *gathering, uint64_t messages, uint64_t bytes,
                           uint64_t ring_bytes);
/* Looks at nothing for as long. */
void ayrei_gathering_stay(const struct ayrei_gathering *gathering, int64_t deadline_ns);
