/*
 * A directory for one run of a benchmark, of which nothing is left, however that run ends.
 */
#pragma once

#include <sys/types.h>

struct bench_place {
	char directory[4096];
	pid_t keeper; /* removes it when we have ended */
	int held;     /* closed when we end */
};

/*
 * Makes one in parent, by a name that no topic can have. Returns an exit code; EXIT_FAILED if it was
 * printed why, and then there is nothing to close.
 */
int bench_place_open(const char *parent, struct bench_place *ret_place);
/* Returns when it is removed. */
void bench_place_close(const struct bench_place *place);

/* Where topics are that live in memory: AYRE_DIR, else /dev/shm. */
const char *bench_place_for_topics(void);

/* With all that is in it. */
void bench_place_remove_tree(const char *directory);
