/*
 * The meter of a pipeline: what its sums say.
 *
 * The bottleneck is the stage that works most while the others wait for it. Work is the time on a
 * processor and the time that it sleeps, or waits for a disk, of its own accord: what it would also
 * take without neighbours. Ready without a processor is neither work nor wait: on a
 * machine that is busy everybody has that, and mostly those who run for moments only. A stage is
 * named if all of this is so, over the last second or over all that was sampled:
 *
 *	there are two stages or more, and FEWEST_SAMPLES over SHORTEST_NS
 *	it works, for LEAST_WORK of the time (a crowded machine leaves it no more)
 *	it waits for its own neighbours for MOST_WAIT of the time at most
 *	every other stage works less, by LEAST_LEAD of what it does
 *
 * Else nobody is: stages that are about equally slow, or processors of which there are too few for
 * all, are not one stage's fault. A stage that has ended did nothing for the rest of the time.
 *
 * Invariant: nothing here changes the meter.
 */
#include <stdlib.h>

#include "process/meter_keep.h"

#define FEWEST_SAMPLES 4
#define SHORTEST_NS    150000000ll
#define LEAST_WORK     0.05
#define MOST_WAIT      0.5
#define LEAST_LEAD     0.3

/* On the average; see guess_wait(). */
#define MEAN_EMPTY 0.05
#define MEAN_FULL  0.75

static bool is_recent(const struct ayrei_meter *meter, int slot)
{
	return meter->slots[slot].samples &&
	       meter->slots[slot].end_ns > meter->total.end_ns - AYREI_METER_RECENT_NS;
}

static struct ayrei_stage_sum stage_sum(const struct ayrei_meter *meter, size_t stage, bool recent)
{
	const struct ayrei_kept_stage *kept = &meter->stages[stage];
	struct ayrei_stage_sum sum = {0};

	if (!recent)
		return kept->total;
	for (int slot = 0; slot < AYREI_METER_SLOTS; slot++)
		if (is_recent(meter, slot))
			ayrei_meter_add(&sum, &kept->slots[slot]);
	return sum;
}

static double pipe_fill(const struct ayrei_meter *meter, size_t pipe, bool recent)
{
	const struct ayrei_kept_pipe *kept = &meter->pipes[pipe];
	struct ayrei_pipe_sum sum = {0};

	if (!recent)
		sum = kept->total;
	for (int slot = 0; recent && slot < AYREI_METER_SLOTS; slot++)
		if (is_recent(meter, slot)) {
			sum.time_ns += kept->slots[slot].time_ns;
			sum.fill_ns += kept->slots[slot].fill_ns;
		}
	return sum.time_ns ? sum.fill_ns / (double)sum.time_ns : -1;
}

static struct ayrei_meter_span span_of(const struct ayrei_meter *meter, bool recent)
{
	struct ayrei_meter_span span = {meter->total.end_ns, meter->total.end_ns, 0};

	if (!recent)
		return meter->total;
	for (int slot = 0; slot < AYREI_METER_SLOTS; slot++)
		if (is_recent(meter, slot)) {
			span.samples += meter->slots[slot].samples;
			if (meter->slots[slot].begin_ns < span.begin_ns)
				span.begin_ns = meter->slots[slot].begin_ns;
		}
	return span;
}

/* --- shares --- */

/* Of 1, the time that it was seen. */
struct split {
	double cpu, running; /* running: and ready, without a processor */
	double waits[AYREI_WAITS];
};

/*
 * A stage that wakes often for a moment may never be seen asleep: whatever wakes it does so while
 * the meter has the processor, and it stands ready then. Its pipes tell why it sleeps.
 */
static enum ayrei_doing guess_wait(const struct ayrei_meter *meter,
                                   const struct ayrei_meter_stage *stage, bool recent)
{
	double input =
		stage->input_pipe < 0 ? -1 : pipe_fill(meter, (size_t)stage->input_pipe, recent);
	double output =
		stage->output_pipe < 0 ? -1 : pipe_fill(meter, (size_t)stage->output_pipe, recent);

	if (input >= 0 && input < MEAN_EMPTY)
		return AYREI_DOING_INPUT;
	return output > MEAN_FULL ? AYREI_DOING_OUTPUT : AYREI_DOING_OTHER;
}

static double at_most_one(double share)
{
	return share > 1 ? 1 : share;
}

/* False: it was never seen. */
static bool split_time(const struct ayrei_meter *meter, size_t stage, bool recent,
                       struct split *ret_split)
{
	struct ayrei_stage_sum sum = stage_sum(meter, stage, recent);
	struct split split = {0};
	int64_t seen = 0;

	if (!sum.time_ns)
		return false;
	for (int i = 0; i < AYREI_WAITS; i++)
		seen += sum.seen_ns[i];
	if (!seen)
		seen = sum.seen_ns[guess_wait(meter, &meter->stages[stage].given, recent)] = 1;
	split.cpu = at_most_one((double)sum.cpu_ns / (double)sum.time_ns);
	split.running = at_most_one((double)(sum.cpu_ns + sum.delay_ns) / (double)sum.time_ns);
	for (int i = 0; i < AYREI_WAITS; i++)
		split.waits[i] = (1 - split.running) * (double)sum.seen_ns[i] / (double)seen;
	*ret_split = split;
	return true;
}

void ayrei_meter_shares(const struct ayrei_meter *meter, size_t stage, bool recent,
                        struct ayre_stage_shares *ret_shares)
{
	struct ayre_stage_shares shares = {0};
	struct split split;

	if (split_time(meter, stage, recent, &split)) {
		shares.input = (uint16_t)(split.waits[AYREI_DOING_INPUT] * 1000);
		shares.output = (uint16_t)(split.waits[AYREI_DOING_OUTPUT] * 1000);
		shares.other = (uint16_t)(split.waits[AYREI_DOING_OTHER] * 1000);
		shares.running = (uint16_t)(1000 - shares.input - shares.output - shares.other);
	}
	*ret_shares = shares;
}

char ayrei_meter_state(const struct ayrei_meter *meter, size_t stage)
{
	return meter->stages[stage].look.state;
}

int64_t ayrei_meter_read_bytes(const struct ayrei_meter *meter, size_t stage)
{
	return meter->stages[stage].look.read_bytes;
}

int64_t ayrei_meter_written_bytes(const struct ayrei_meter *meter, size_t stage)
{
	return meter->stages[stage].look.written_bytes;
}

int64_t ayrei_meter_fill(const struct ayrei_meter *meter, size_t pipe)
{
	return meter->pipes[pipe].fill_bytes;
}

double ayrei_meter_mean_fill(const struct ayrei_meter *meter, size_t pipe)
{
	const struct ayrei_kept_pipe *kept = &meter->pipes[pipe];

	/* Of a single sample, which has no time to its weight, there is no other mean. */
	if (kept->total.time_ns == 0 && kept->fill >= 0)
		return kept->fill;
	return pipe_fill(meter, pipe, false);
}

/* --- the bottleneck --- */

static bool is_enough(const struct ayrei_meter *meter, const struct ayrei_meter_span *span)
{
	return meter->stage_count > 1 && span->samples >= FEWEST_SAMPLES &&
	       span->end_ns - span->begin_ns >= SHORTEST_NS;
}

/* Of the time of the whole, of which it may have lived a part only. */
static void weigh_stage(const struct ayrei_meter *meter, size_t stage, bool recent,
                        const struct ayrei_meter_span *span, double *ret_work, double *ret_wait)
{
	double lived = (double)stage_sum(meter, stage, recent).time_ns;
	double part = lived / (double)(span->end_ns - span->begin_ns);
	struct split split = {0};

	(void)split_time(meter, stage, recent, &split);
	*ret_work = part * (split.cpu + split.waits[AYREI_DOING_OTHER]);
	*ret_wait = part * (split.waits[AYREI_DOING_INPUT] + split.waits[AYREI_DOING_OUTPUT]);
}

int ayrei_meter_bottleneck(const struct ayrei_meter *meter, bool recent)
{
	struct ayrei_meter_span span = span_of(meter, recent);
	double most = 0, second = 0, wait_of_most = 0;
	int found = -1;

	if (!is_enough(meter, &span))
		return -1;
	for (size_t i = 0; i < meter->stage_count; i++) {
		double work, wait;

		weigh_stage(meter, i, recent, &span, &work, &wait);
		if (work > most) {
			second = most;
			most = work;
			wait_of_most = wait;
			found = (int)i;
		} else if (work > second) {
			second = work;
		}
	}
	if (most < LEAST_WORK || wait_of_most > MOST_WAIT || most - second < LEAST_LEAD * most)
		return -1;
	return found;
}
