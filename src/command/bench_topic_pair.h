/*
 * The processes of one group of `ayre bench topic`: what both sides know of each other.
 */
#pragma once

#include "command/bench_topic.h"

struct topic_order {
	uint64_t row, count;
};

struct topic_answer {
	int code;
	int64_t switches; /* against its will, in this sample */
};

/* What is shared before any way is. */
struct topic_memory {
	uint64_t go __attribute__((aligned(128))); /* the number of the sample that may begin */
	struct topic_lines lines[TOPIC_WAYS_MAX];
	char ring[TOPIC_RING_BYTES] __attribute__((aligned(4096)));
};

struct topic_far {
	pid_t pid;
	int orders, answers; /* this process's ends */
};

struct topic_contest {
	const struct topic_plan *plan;
	struct topic_memory *memory;
	struct topic_far fars[TOPIC_FAR_MAX];
	unsigned int far_count;
	int far_cpu; /* -1: there is none */
	uint64_t samples;
	int tries;        /* for a sample */
	int64_t switches; /* of all of them, in the last sample */
	struct topic_quiet *quiet;
	char directory[128];
	struct topic_end near[TOPIC_WAYS_MAX], far[TOPIC_WAYS_MAX];
	int64_t times[TOPIC_TAIL_COUNT];
};

/* So often has this process lost its processor while it could have gone on. */
int64_t bench_topic_count_switches(void);

/* Opens it, if it is not open; closes what is open of it. */
int bench_topic_open_end(struct topic_end *end);
void bench_topic_close_end(struct topic_end *end);

/* Starts the far process with this number, on this processor. */
int bench_topic_fork_far(struct topic_contest *contest, unsigned int number, int cpu);
