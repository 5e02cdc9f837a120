/*
 * Pipelines whose truth is known: each stage is a child that reads a block, works on it, and
 * writes it; how it works says who holds the rest up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/meter.h"

#define MOST_STAGES 8

enum work {
	WORK_NONE,
	WORK_BURN,  /* that much time of a processor */
	WORK_SLEEP, /* nanosleep */
	WORK_READ,  /* from a disk, past the page cache */
	WORK_SYNC,  /* to a disk */
	WORK_STOP,  /* stops itself, for good */
};

struct plan {
	int stages;
	int slow; /* the one that works as below; -1: all do */
	enum work work;
	unsigned int work_us; /* per block */
	size_t block_bytes;
	/* Instead of the child's own loop: a program and its arguments; NULL: none. */
	const char *const *commands[MOST_STAGES];
	bool threads; /* a second thread does all that the slow one does; the first waits for it */
};

struct world {
	const struct plan *plan;
	struct ayrei_meter *meter;
	struct ayrei_meter_stage stages[MOST_STAGES];
	struct ayrei_meter_pipe pipes[MOST_STAGES - 1];
};

/* Can it be done here? A disk, say, that takes O_DIRECT. */
bool plan_is_possible(const struct plan *plan);
void begin_world(struct world *world, const struct plan *plan);
/* So many times a second for so long, the first after a millisecond. */
void watch_world(struct world *world, unsigned int hertz, unsigned int milliseconds);
void end_world(struct world *world);

/* All of it; returns who it is, lately. */
int judge_plan(const struct plan *plan, unsigned int hertz, unsigned int milliseconds);
/* One line for each stage. */
void print_world(const struct world *world);
