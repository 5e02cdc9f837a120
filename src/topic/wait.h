/*
 * Before spinning, where messages stream: staying away until some have gathered.
 */
#pragma once

#include <stdint.h>

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
