/*
 * The meter: what the stages of a pipeline are doing, and which of them holds the rest up, seen
 * from outside. No byte of theirs is touched.
 *
 * For each stage the meter keeps how much of the time it ran, waited for its input pipe, waited for
 * its output pipe, or did something else (slept, waited for a disk, was stopped). Running is
 * taken from the kernel's own account, to the nanosecond; what it waits for the rest of the time is
 * what it was seen waiting for, sample by sample.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/pipeline.h>

struct ayrei_meter;

struct ayrei_meter_stage {
	pid_t pid;  /* a child that is not yet waited for; 0: none yet */
	bool ended; /* nothing of it is looked at any more */
	/* The pipes that were its descriptors 0 and 1 at the start; -1: none of ours. */
	int input_pipe;
	int output_pipe;
};

struct ayrei_meter_pipe {
	uint64_t inode;
	uint64_t capacity_bytes;
};

/* 0 or -ENOMEM. Opens descriptors only in ayrei_meter_sample(), all close-on-exec: five a stage. */
int ayrei_meter_new(size_t stage_count, size_t pipe_count, struct ayrei_meter **ret_meter);
/* NULL does nothing; keeps errno. */
void ayrei_meter_free(struct ayrei_meter *meter);

/*
 * Looks at everything once. As many stages and pipes as the meter was made for.
 * now_ns: of a clock that never goes back (CLOCK_MONOTONIC). Each sample counts for the time since the
 * one before it, so any rate will do, also a changing one; the first only says where to begin.
 * What cannot be seen (a set-uid stage, no descriptors left) counts as far as it can.
 */
void ayrei_meter_sample(struct ayrei_meter *meter, const struct ayrei_meter_stage *stages,
                        const struct ayrei_meter_pipe *pipes, int64_t now_ns);

/* recent: of the last second that was sampled. They add up to 1000; all 0: never sampled. */
void ayrei_meter_shares(const struct ayrei_meter *meter, size_t stage, bool recent,
                        struct ayre_stage_shares *ret_shares);
/* When last sampled: R, S, D, T; Z: ended; 0: never. */
char ayrei_meter_state(const struct ayrei_meter *meter, size_t stage);
/*
 * By all its calls of read and write when last sampled, also of files, and while the program was being
 * loaded; but not by splice, sendfile or maps. -1: not known.
 */
int64_t ayrei_meter_read_bytes(const struct ayrei_meter *meter, size_t stage);
int64_t ayrei_meter_written_bytes(const struct ayrei_meter *meter, size_t stage);
/* When last sampled; -1: could not be. */
int64_t ayrei_meter_fill(const struct ayrei_meter *meter, size_t pipe);
/* 0 to 1; below 0: never sampled. */
double ayrei_meter_mean_fill(const struct ayrei_meter *meter, size_t pipe);

/*
 * The stage that holds the rest up, or -1: none alone, or too little was seen. The rule is at the
 * head of meter_verdict.c.
 */
int ayrei_meter_bottleneck(const struct ayrei_meter *meter, bool recent);
