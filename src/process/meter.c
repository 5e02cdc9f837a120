/*
 * The meter of a pipeline: looking, and keeping what was seen.
 *
 * Invariant: sums only grow, and by the same for everything that lives: the time since the last
 * sample. A process that vanishes while it is looked at has ended, and that is all.
 */
#include "process/meter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/meter_keep.h"

/* A stage may be a shell, whose children do its work; and so on, but not for ever. */
#define MOST_CHILDREN 8
#define MOST_DEPTH    4

/* A pipe that is asked about by a poll has no free page: the last may be half used. */
#define NEARLY_FULL 0.75

int ayrei_meter_new(size_t stage_count, size_t pipe_count, struct ayrei_meter **ret_meter)
{
	struct ayrei_meter *meter = calloc(1, sizeof(*meter));

	if (!meter)
		return -ENOMEM;
	meter->stages = calloc(stage_count ? stage_count : 1, sizeof(*meter->stages));
	meter->pipes = calloc(pipe_count ? pipe_count : 1, sizeof(*meter->pipes));
	if (!meter->stages || !meter->pipes) {
		ayrei_meter_free(meter);
		return -ENOMEM;
	}
	meter->stage_count = stage_count;
	meter->pipe_count = pipe_count;
	for (size_t i = 0; i < stage_count; i++) {
		meter->stages[i].activity.directory = -1;
		meter->stages[i].look.read_bytes = meter->stages[i].look.written_bytes = -1;
	}
	for (size_t i = 0; i < pipe_count; i++) {
		meter->pipes[i].fill_bytes = -1;
		meter->pipes[i].fill = -1;
	}
	*ret_meter = meter;
	return 0;
}

void ayrei_meter_free(struct ayrei_meter *meter)
{
	int saved = errno;

	if (!meter)
		return;
	for (size_t i = 0; i < meter->stage_count; i++)
		ayrei_activity_close(&meter->stages[i].activity);
	free(meter->stages);
	free(meter->pipes);
	free(meter);
	errno = saved;
}

/* --- pipes --- */

/* Through a stage that has it as its input or output, and has not put another in its place. */
static ssize_t see_pipe(const struct ayrei_meter *meter, size_t pipe, uint64_t inode, size_t stage,
                        uint64_t *ret_capacity_bytes)
{
	const struct ayrei_kept_stage *kept = &meter->stages[stage];
	ssize_t fill = -ENODEV;

	if (kept->activity.directory < 0)
		return fill;
	if (kept->given.output_pipe == (int)pipe)
		fill = ayrei_activity_pipe_fill(&kept->activity, 1, inode, ret_capacity_bytes);
	if (fill < 0 && kept->given.input_pipe == (int)pipe)
		fill = ayrei_activity_pipe_fill(&kept->activity, 0, inode, ret_capacity_bytes);
	return fill;
}

static void sample_pipe(struct ayrei_meter *meter, size_t pipe,
                        const struct ayrei_meter_pipe *given)
{
	struct ayrei_kept_pipe *kept = &meter->pipes[pipe];
	uint64_t capacity = given->capacity_bytes;
	ssize_t fill = see_pipe(meter, pipe, given->inode, kept->seen_stage, &capacity);

	for (size_t i = 0; fill < 0 && i < meter->stage_count; i++) {
		fill = see_pipe(meter, pipe, given->inode, i, &capacity);
		if (fill >= 0)
			kept->seen_stage = i;
	}
	kept->fill_bytes = fill < 0 ? -1 : fill;
	kept->fill = fill < 0 || !capacity ? -1 : (double)fill / (double)capacity;
	/* A packet pipe, or one that was just made smaller. */
	if (kept->fill > 1)
		kept->fill = 1;
}

/* --- stages --- */

/* For a stage that waits for any of several things. */
static enum ayrei_doing doing_by_fill(const struct ayrei_meter *meter,
                                      const struct ayrei_meter_stage *stage)
{
	if (stage->input_pipe >= 0 && meter->pipes[stage->input_pipe].fill_bytes == 0)
		return AYREI_DOING_INPUT;
	if (stage->output_pipe >= 0 && meter->pipes[stage->output_pipe].fill >= NEARLY_FULL)
		return AYREI_DOING_OUTPUT;
	return AYREI_DOING_OTHER;
}

static bool is_pipe(const struct ayrei_activity *activity, int fd,
                    const struct ayrei_meter_pipe *pipes, int pipe)
{
	return pipe >= 0 && ayrei_activity_is_pipe(activity, fd, pipes[pipe].inode) == 1;
}

struct view {
	const struct ayrei_meter *meter;
	const struct ayrei_meter_stage *stage;
	const struct ayrei_meter_pipe *pipes;
};

static enum ayrei_doing doing_of(const struct view *view, const struct ayrei_activity *activity,
                                 struct ayrei_activity_look *look, int depth);

/* What it has used is its parent's work. */
static void add_child(struct ayrei_activity_look *look, const struct ayrei_activity_look *child)
{
	look->cpu_ns += child->cpu_ns;
	look->delay_ns += child->delay_ns;
	if (look->read_bytes >= 0 && child->read_bytes >= 0)
		look->read_bytes += child->read_bytes;
	if (look->written_bytes >= 0 && child->written_bytes >= 0)
		look->written_bytes += child->written_bytes;
}

static enum ayrei_doing doing_of_child(const struct view *view, pid_t pid,
                                       struct ayrei_activity_look *look, int depth)
{
	struct ayrei_activity_look child;
	struct ayrei_activity activity;
	enum ayrei_doing doing = AYREI_DOING_NOTHING;

	if (ayrei_activity_open(pid, &activity) < 0)
		return AYREI_DOING_NOTHING;
	if (ayrei_activity_look(&activity, &child) == 0) {
		doing = doing_of(view, &activity, &child, depth);
		add_child(look, &child);
	}
	ayrei_activity_close(&activity);
	return doing;
}

/*
 * Of several, a pipeline of its own mostly, one that runs is the stage running; one at either end
 * that waits for our pipes speaks for those that wait for it.
 */
static enum ayrei_doing doing_of_children(const struct view *view,
                                          const struct ayrei_activity *activity,
                                          struct ayrei_activity_look *look, int depth)
{
	static const enum ayrei_doing first[] = {AYREI_DOING_RUN, AYREI_DOING_OUTPUT,
	                                         AYREI_DOING_INPUT, AYREI_DOING_OTHER};
	bool seen[AYREI_DOING_NOTHING + 1] = {false};
	pid_t children[MOST_CHILDREN];
	int count =
		depth < MOST_DEPTH ? ayrei_activity_children(activity, children, MOST_CHILDREN) : 0;

	for (int i = 0; i < count; i++)
		seen[doing_of_child(view, children[i], look, depth + 1)] = true;
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		if (seen[first[i]])
			return first[i];
	return count < 0 ? doing_by_fill(view->meter, view->stage) : AYREI_DOING_OTHER;
}

static enum ayrei_doing doing_of(const struct view *view, const struct ayrei_activity *activity,
                                 struct ayrei_activity_look *look, int depth)
{
	switch (look->blocked) {
	case AYREI_BLOCKED_NOT:
		return AYREI_DOING_RUN;
	case AYREI_BLOCKED_READ:
		if (is_pipe(activity, look->fd, view->pipes, view->stage->input_pipe))
			return AYREI_DOING_INPUT;
		break;
	case AYREI_BLOCKED_WRITE:
		if (is_pipe(activity, look->fd, view->pipes, view->stage->output_pipe))
			return AYREI_DOING_OUTPUT;
		break;
	case AYREI_BLOCKED_HIDDEN:
	case AYREI_BLOCKED_EITHER:
		return doing_by_fill(view->meter, view->stage);
	case AYREI_BLOCKED_CHILD:
		break;
	case AYREI_BLOCKED_ELSE:
		return AYREI_DOING_OTHER;
	}
	/* A shell that waits for a child, or for what a child of its own writes. */
	return doing_of_children(view, activity, look, depth);
}

static void tell_doing(const struct ayrei_meter *meter, struct ayrei_kept_stage *kept,
                       const struct ayrei_meter_pipe *pipes)
{
	struct view view = {meter, &kept->given, pipes};

	kept->doing = doing_of(&view, &kept->activity, &kept->now, 0);
}

static bool look_again(struct ayrei_kept_stage *kept)
{
	pid_t pid = kept->given.ended ? 0 : kept->given.pid;

	if (kept->activity.directory >= 0 && pid != kept->activity.pid)
		ayrei_activity_close(&kept->activity);
	if (pid <= 0)
		return false;
	if (kept->activity.directory < 0 && ayrei_activity_open(pid, &kept->activity) < 0)
		return false;
	return ayrei_activity_look(&kept->activity, &kept->now) == 0;
}

/* Leaves what there is to say about it now in kept->now and kept->doing. */
static void look_at(struct ayrei_kept_stage *kept, const struct ayrei_meter_stage *given)
{
	kept->given = *given;
	kept->doing = AYREI_DOING_RUN;
	if (look_again(kept))
		return;
	kept->doing = AYREI_DOING_NOTHING;
	ayrei_activity_close(&kept->activity);
	if (kept->begun)
		kept->look.state = 'Z';
}

static void raise_to(int64_t *value, int64_t other)
{
	if (other > *value)
		*value = other;
}

/* A child's share comes with the child and goes with it, until its parent has waited for it. */
static void keep_look(struct ayrei_kept_stage *kept)
{
	kept->look.state = kept->now.state;
	raise_to(&kept->look.cpu_ns, kept->now.cpu_ns);
	raise_to(&kept->look.delay_ns, kept->now.delay_ns);
	raise_to(&kept->look.read_bytes, kept->now.read_bytes);
	raise_to(&kept->look.written_bytes, kept->now.written_bytes);
}

void ayrei_meter_add(struct ayrei_stage_sum *sum, const struct ayrei_stage_sum *sample)
{
	sum->time_ns += sample->time_ns;
	sum->cpu_ns += sample->cpu_ns;
	sum->delay_ns += sample->delay_ns;
	for (int i = 0; i < AYREI_WAITS; i++)
		sum->seen_ns[i] += sample->seen_ns[i];
}

static void count_stage(struct ayrei_meter *meter, struct ayrei_kept_stage *kept,
                        int64_t elapsed_ns)
{
	struct ayrei_activity_look before = kept->look;
	struct ayrei_stage_sum sample = {.time_ns = elapsed_ns};

	keep_look(kept);
	if (!kept->begun) {
		kept->begun = true;
		return;
	}
	sample.cpu_ns = kept->look.cpu_ns - before.cpu_ns;
	sample.delay_ns = kept->look.delay_ns - before.delay_ns;
	if (kept->doing < AYREI_WAITS)
		sample.seen_ns[kept->doing] = elapsed_ns;
	ayrei_meter_add(&kept->total, &sample);
	ayrei_meter_add(&kept->slots[meter->slot], &sample);
}

static void count_pipe(struct ayrei_meter *meter, struct ayrei_kept_pipe *kept, int64_t elapsed_ns)
{
	struct ayrei_pipe_sum *sums[] = {&kept->total, &kept->slots[meter->slot]};

	for (int i = 0; i < 2 && kept->fill >= 0; i++) {
		sums[i]->time_ns += elapsed_ns;
		sums[i]->fill_ns += kept->fill * (double)elapsed_ns;
	}
}

/* --- time --- */

static void open_slot(struct ayrei_meter *meter, int64_t now_ns)
{
	unsigned int slot = (meter->slot + 1) % AYREI_METER_SLOTS;

	meter->slot = slot;
	meter->slots[slot] = (struct ayrei_meter_span){now_ns, now_ns, 0};
	for (size_t i = 0; i < meter->stage_count; i++)
		meter->stages[i].slots[slot] = (struct ayrei_stage_sum){0};
	for (size_t i = 0; i < meter->pipe_count; i++)
		meter->pipes[i].slots[slot] = (struct ayrei_pipe_sum){0};
}

/* The time since the last sample. */
static int64_t advance(struct ayrei_meter *meter, int64_t now_ns)
{
	struct ayrei_meter_span *slot = &meter->slots[meter->slot];
	int64_t elapsed_ns;

	if (!meter->begun) {
		meter->begun = true;
		meter->total = *slot = (struct ayrei_meter_span){now_ns, now_ns, 0};
		return 0;
	}
	elapsed_ns = now_ns - meter->total.end_ns;
	if (elapsed_ns <= 0)
		return 0;
	if (slot->end_ns - slot->begin_ns >= AYREI_METER_SLOT_NS) {
		open_slot(meter, slot->end_ns);
		slot = &meter->slots[meter->slot];
	}
	meter->total.end_ns = slot->end_ns = now_ns;
	meter->total.samples++;
	slot->samples++;
	return elapsed_ns;
}

void ayrei_meter_sample(struct ayrei_meter *meter, const struct ayrei_meter_stage *stages,
                        const struct ayrei_meter_pipe *pipes, int64_t now_ns)
{
	int64_t elapsed_ns = advance(meter, now_ns);

	for (size_t i = 0; i < meter->stage_count; i++)
		look_at(&meter->stages[i], &stages[i]);
	/* At once after the states: some of those are told by the fill. */
	for (size_t i = 0; i < meter->pipe_count; i++)
		sample_pipe(meter, i, &pipes[i]);
	for (size_t i = 0; i < meter->stage_count; i++)
		if (meter->stages[i].doing != AYREI_DOING_NOTHING) {
			tell_doing(meter, &meter->stages[i], pipes);
			count_stage(meter, &meter->stages[i], elapsed_ns);
		}
	for (size_t i = 0; i < meter->pipe_count; i++)
		count_pipe(meter, &meter->pipes[i], elapsed_ns);
}
