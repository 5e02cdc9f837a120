/*
 * What the meter keeps: between meter.c, which fills it, and meter_verdict.c, which reads it.
 */
#pragma once

#include "process/meter.h"
#include "sys/activity.h"

/* What a stage was doing at one moment. */
enum ayrei_doing {
	AYREI_DOING_INPUT,
	AYREI_DOING_OUTPUT,
	AYREI_DOING_OTHER,
	AYREI_DOING_RUN,     /* says nothing about the rest of the time */
	AYREI_DOING_NOTHING, /* ended, or not begun */
};
#define AYREI_WAITS 3 /* the first of them */

/* Over some time. */
struct ayrei_stage_sum {
	int64_t time_ns;  /* that it lived */
	int64_t cpu_ns;   /* can be more, with threads */
	int64_t delay_ns; /* ready, but without a processor */
	int64_t seen_ns[AYREI_WAITS];
};

struct ayrei_pipe_sum {
	int64_t time_ns; /* when its fill was known */
	double fill_ns;  /* times 0 to 1 */
};

/*
 * Recent sums are kept in a ring of slots, each of at least SLOT_NS and of at least one sample. So
 * a second is there at any rate of sampling.
 */
#define AYREI_METER_SLOTS     32
#define AYREI_METER_RECENT_NS 1000000000ll
#define AYREI_METER_SLOT_NS   (AYREI_METER_RECENT_NS / AYREI_METER_SLOTS)

struct ayrei_meter_span {
	int64_t begin_ns, end_ns;
	unsigned int samples; /* that count: all but the first */
};

struct ayrei_kept_stage {
	struct ayrei_activity activity;
	struct ayrei_meter_stage given;
	struct ayrei_activity_look now;  /* with its children's added */
	struct ayrei_activity_look look; /* the most that there ever was of each */
	enum ayrei_doing doing;
	bool begun; /* there was a look */
	struct ayrei_stage_sum total;
	struct ayrei_stage_sum slots[AYREI_METER_SLOTS];
};

struct ayrei_kept_pipe {
	int64_t fill_bytes;
	double fill; /* 0 to 1; below 0: not known */
	/* Through whom it could be seen last time. */
	size_t seen_stage;
	struct ayrei_pipe_sum total;
	struct ayrei_pipe_sum slots[AYREI_METER_SLOTS];
};

struct ayrei_meter {
	size_t stage_count, pipe_count;
	struct ayrei_kept_stage *stages;
	struct ayrei_kept_pipe *pipes;
	bool begun;
	struct ayrei_meter_span total;
	struct ayrei_meter_span slots[AYREI_METER_SLOTS];
	unsigned int slot; /* that is being filled */
};

void ayrei_meter_add(struct ayrei_stage_sum *sum, const struct ayrei_stage_sum *sample);
