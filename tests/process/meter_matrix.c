/*
 * How often the meter names the right stage: a matrix of pipelines whose truth is known, watched
 * for a second each. Not a test, but what the meter's figures come from.
 * usage: meter_matrix [HERTZ [BUSY-PROCESSES]]
 */
#include "process/meter_world.h"
#include "support/support.h"

static const char *const works[] = {
	[WORK_BURN] = "burns", [WORK_SLEEP] = "sleeps", [WORK_READ] = "reads a disk",
	[WORK_SYNC] = "syncs", [WORK_STOP] = "stopped",
};

static const struct {
	enum work work;
	unsigned int work_us;
	size_t block_bytes;
	bool equal; /* also as the work of all */
} kinds[] = {
	{WORK_BURN, 30, 512, true},      {WORK_BURN, 100, 4096, true},
	{WORK_BURN, 1000, 65536, true},  {WORK_SLEEP, 100, 512, true},
	{WORK_SLEEP, 1000, 65536, true}, {WORK_SLEEP, 60000, 4096, true},
	{WORK_READ, 200, 4096, false},   {WORK_SYNC, 1000, 65536, false},
	{WORK_STOP, 0, 4096, false},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static unsigned int hertz = 20, right, all, wrong_name;

/* Other programs that want the processors. */
__attribute__((noreturn)) static int hog(void *context)
{
	(void)context;
	for (;;)
		continue;
}

static void try_plan(const struct plan *plan)
{
	int found;

	if (!plan_is_possible(plan))
		return;
	all++;
	found = judge_plan(plan, hertz, 1000);
	right += found == plan->slow;
	wrong_name += found != plan->slow && found != -1;
	if (found != plan->slow)
		printf("miss: %d stages, block %zu, %d %s %u us: found %d\n", plan->stages,
		       plan->block_bytes, plan->slow, works[plan->work], plan->work_us, found);
}

static void try_places(int stages, size_t kind)
{
	const int places[] = {0, stages - 1, stages / 2, -1};
	struct plan plan = {
		.stages = stages,
		.work = kinds[kind].work,
		.work_us = kinds[kind].work_us,
		.block_bytes = kinds[kind].block_bytes,
	};

	for (int i = 0; i < 3 + kinds[kind].equal; i++) {
		if (i == 2 && stages == 2)
			continue;
		plan.slow = places[i];
		try_plan(&plan);
	}
}

int main(int count, char **arguments)
{
	int hogs = count > 2 ? atoi(arguments[2]) : 0;

	if (count > 1)
		hertz = (unsigned int)atoi(arguments[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < hogs; i++)
		start_child(hog, NULL);
	for (int stages = 2; stages <= 6; stages++)
		for (size_t kind = 0; kind < KINDS; kind++)
			try_places(stages, kind);
	printf("%u of %u right, %u named a wrong one, at %u Hz beside %d busy processes\n", right,
	       all, wrong_name, hertz, hogs);
	end_children();
	return right * 100 < all * 95;
}
