/*
 * ayre bench topic: messages between two processes. Here: the order of the groups, and what is said
 * of the processors.
 */
#include "command/bench_topic.h"

#include <inttypes.h>
#include <stdio.h>

#include "command/bench_place.h"
#include "command/command.h"

#define FULL_ROUNDS    31
#define FULL_LEAST_NS  8000000
#define QUICK_ROUNDS   5
#define QUICK_LEAST_NS 2000000

/* Are the two processors two threads of one core? false also where it cannot be known. */
static bool are_siblings(int one, int other)
{
	char path[96], line[256] = "";
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
	         one);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file))
		for (char *word = strtok(line, ",\n"); word; word = strtok(NULL, ",\n")) {
			int first, last;
			int got = sscanf(word, "%d-%d", &first, &last);

			found |= got == 2 ? first <= other && other <= last
			                  : got == 1 && first == other;
		}
	if (file)
		fclose(file);
	return found;
}

void bench_topic_tell_circumstances(struct bench_report *report,
                                    const struct bench_machine *machine,
                                    const struct topic_quiet *quiet)
{
	int far = bench_topic_far_cpu(machine);

	if (far < 0) {
		snprintf(report->note, sizeof(report->note), "all on processor %d", machine->cpu);
		return;
	}
	snprintf(report->note, sizeof(report->note),
	         "processes on processors %d and %d, %s; of %" PRIu64 " samples %" PRIu64
	         " were taken again because other programs interrupted them, and %" PRIu64
	         " stayed so",
	         machine->cpu, far,
	         are_siblings(machine->cpu, far) ? "two threads of one core" : "two cores",
	         quiet->samples, quiet->repeated, quiet->interrupted);
}

void bench_topic_settle(struct bench_report *report)
{
	bench_set_rounds(&report->settings, report->settings.quick ? QUICK_ROUNDS : FULL_ROUNDS);
	report->settings.least_ns = report->settings.quick ? QUICK_LEAST_NS : FULL_LEAST_NS;
}

static int run_plans(struct bench_report *report, const struct bench_machine *machine,
                     const char *directory)
{
	struct topic_quiet quiet = {0};
	int result = EXIT_DONE;

	for (size_t i = 0; result == EXIT_DONE && i < bench_topic_plan_count; i++)
		result = bench_topic_run_plan(report, machine, &bench_topic_plans[i], directory,
		                              &quiet);
	for (size_t i = 0; result == EXIT_DONE && i < bench_topic_fan_plan_count; i++)
		result = bench_topic_run_plan(report, machine, &bench_topic_fan_plans[i], directory,
		                              &quiet);
	if (result == EXIT_DONE)
		result = bench_topic_run_open(report, directory);
	bench_topic_tell_circumstances(report, machine, &quiet);
	return result;
}

int bench_topic_run(struct bench_report *report, const struct bench_machine *machine)
{
	struct bench_place place;
	int result = bench_place_open(bench_place_for_topics(), &place);

	if (result != EXIT_DONE)
		return result;
	bench_topic_settle(report);
	result = run_plans(report, machine, place.directory);
	bench_place_close(&place);
	return result;
}
