/*
 * ayre bench: how fast it is here, beside what the machine itself gives.
 *
 * Invariant: nothing is printed to standard output before all is measured, so that what is
 * there is a whole report.
 */
#include "command/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "command/output.h"

#define FULL_ROUNDS    9
#define FULL_LEAST_NS  20000000
#define QUICK_ROUNDS   3
#define QUICK_LEAST_NS 4000000

static const struct bench benches[] = {
	{"file", "files read, written and appended to by calls, against mapped ones", "mapped",
         "call", bench_file_run},
	{"log", "messages kept on a disk, against the bare calls and databases", "ayre", "peer",
         bench_log_run},
	{"pipe", "processes started, joined, fed and captured, against shells and libraries",
         "ayre", "peer", bench_pipe_run},
	{"size", "messages of growing size, by shared memory, mapped files, pipes and sockets",
         "ayre", "peer", bench_size_run},
	{"topic", "messages between two processes, against pipes, sockets and queues", "ayre",
         "peer", bench_topic_run},
	{"worker", "calls of code in a jail, against none and against others' jails", "ayre",
         "peer", bench_worker_run},
};

#define BENCH_COUNT COUNT_OF(benches)

struct bench_options {
	bool json, quick;
	const char *plot, *directory;
	struct count_option rounds;
	char *const *names; /* the operands */
	int name_count;
};

static const struct command_option bench_table[] = {
	{"directory", OPTION_DIRECTORY, "DIR", offsetof(struct bench_options, directory),
         "where files are made; TMPDIR, or /var/tmp, if not given"},
	{"json", OPTION_FLAG, NULL, offsetof(struct bench_options, json), "one JSON document"},
	{"plot", OPTION_FILE, "FILE.svg", offsetof(struct bench_options, plot),
         "also draw it, into this file"},
	{"quick", OPTION_FLAG, NULL, offsetof(struct bench_options, quick),
         "a few seconds: smaller files, fewer rounds, wider spread"},
	{"rounds", OPTION_COUNT, "N", offsetof(struct bench_options, rounds),
         "so many, of each benchmark, at most 31"},
};

/* Names of benchmarks, as operands. */
static const char *bench_word(size_t index)
{
	if (index == 0)
		return "all";
	return index <= BENCH_COUNT ? benches[index - 1].name : NULL;
}

/* Of "topic/stream_48" the benchmark's name is what is before the slash. */
static bool is_of(const char *name, const char *bench)
{
	size_t length = strcspn(name, "/");

	return strlen(bench) == length && strncmp(name, bench, length) == 0;
}

static int refuse_name(const char *name)
{
	char known[256] = "all";

	for (size_t i = 0; i < BENCH_COUNT; i++) {
		strncat(known, ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, benches[i].name, sizeof(known) - strlen(known) - 1);
	}
	return output_usage("'%s' is not a benchmark; there are: %s", name, known);
}

/* Each at most once, in the order of the table. */
static int choose(int name_count, char **names, bool wanted[BENCH_COUNT])
{
	for (size_t i = 0; i < BENCH_COUNT; i++)
		wanted[i] = name_count == 0;
	for (int n = 0; n < name_count; n++) {
		bool known = false;

		for (size_t i = 0; i < BENCH_COUNT; i++) {
			if (!is_of(names[n], benches[i].name) && strcmp(names[n], "all") != 0)
				continue;
			wanted[i] = true;
			known = true;
		}
		if (!known)
			return refuse_name(names[n]);
	}
	return EXIT_DONE;
}

static int print_json(const struct bench_machine *machine, struct bench_report *const *reports,
                      size_t report_count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < report_count; i++) {
		if (json_array_append_new(list, bench_report_json(reports[i])) == -1) {
			json_decref(list);
			list = NULL;
		}
	}
	return output_json(json_pack("{s:o, s:o}", "benchmarks", list, "machine",
	                             bench_machine_json(machine)));
}

static int print(const struct bench_options *given, const struct bench_machine *machine,
                 struct bench_report *const *reports, size_t report_count)
{
	int result;

	if (given->json)
		return print_json(machine, reports, report_count);
	result = bench_print_machine(machine, &reports[0]->settings);
	for (size_t i = 0; result == EXIT_DONE && i < report_count; i++)
		result = bench_print_table(reports[i]);
	if (result == EXIT_DONE && report_count > 1)
		result = bench_print_summary(reports, report_count);
	return result;
}

static int measure(const struct bench_options *given, const bool wanted[BENCH_COUNT],
                   const struct bench_machine *machine, struct bench_report **reports,
                   size_t *report_count)
{
	int result = EXIT_DONE;

	for (size_t i = 0; result == EXIT_DONE && i < BENCH_COUNT; i++) {
		struct bench_report *report;

		if (!wanted[i])
			continue;
		report = calloc(1, sizeof(*report));
		if (!report)
			return output_fail("%s", strerror(ENOMEM));
		reports[(*report_count)++] = report;
		report->name = benches[i].name;
		report->ours = benches[i].ours;
		report->theirs = benches[i].theirs;
		report->settings.quick = given->quick;
		report->settings.wanted_rounds = (unsigned int)given->rounds.count;
		bench_set_rounds(&report->settings, given->quick ? QUICK_ROUNDS : FULL_ROUNDS);
		report->settings.least_ns = given->quick ? QUICK_LEAST_NS : FULL_LEAST_NS;
		report->settings.directory = given->directory;
		report->settings.names = given->names;
		report->settings.name_count = given->name_count;
		result = benches[i].run(report, machine);
	}
	return result;
}

/* A name with a slash has to have been found. */
static int check_groups(const struct bench_options *given, struct bench_report *const *reports,
                        size_t report_count)
{
	for (int n = 0; n < given->name_count; n++) {
		const char *group = strchr(given->names[n], '/');
		bool found = !group;

		for (size_t r = 0; r < report_count; r++)
			for (size_t i = 0; !found && i < reports[r]->group_count; i++)
				found = is_of(given->names[n], reports[r]->name) &&
				        strcmp(reports[r]->groups[i].group->name, group + 1) == 0;
		if (!found)
			return output_usage("'%s': the benchmark has no such group",
			                    given->names[n]);
	}
	return EXIT_DONE;
}

static int run_bench(void *values, int operand_count, char **operands)
{
	struct bench_options *given = values;
	struct bench_report *reports[BENCH_COUNT] = {0};
	struct bench_machine machine;
	bool wanted[BENCH_COUNT];
	size_t count = 0;
	int result = choose(operand_count, operands, wanted);

	if (result == EXIT_DONE && given->rounds.given &&
	    (given->rounds.count < 1 || given->rounds.count > BENCH_ROUNDS_MAX))
		result = output_usage("--rounds: from 1 to %d", BENCH_ROUNDS_MAX);
	if (result == EXIT_DONE && given->plot)
		result = bench_plot_check(given->plot);
	if (result != EXIT_DONE)
		return result;
	given->names = operands;
	given->name_count = operand_count;
	bench_set_directory(given->directory);
	bench_machine_look(&machine);
	result = measure(given, wanted, &machine, reports, &count);
	if (result == EXIT_DONE)
		result = check_groups(given, reports, count);
	if (result == EXIT_DONE)
		result = print(given, &machine, reports, count);
	if (result == EXIT_DONE && given->plot)
		result = bench_plot_write(given->plot, &machine, reports, count);
	for (size_t i = 0; i < count; i++)
		free(reports[i]);
	return result;
}

const struct command bench_command = {
	.verb = "bench",
	.summary = "Measure this machine: files, logs, pipes, sizes, topics and workers, beside "
		   "what it gives at all",
	.synopsis = "[NAME[/GROUP]]... [--directory DIR] [--json] [--plot FILE.svg] [--quick] "
		    "[--rounds N]",
	.examples = "  ayre bench file                       files, read, written and mapped\n"
		    "  ayre bench log --directory /srv       logs, on that disk\n"
		    "  ayre bench pipe                       pipelines, against shells and others\n"
		    "  ayre bench topic/stream_48            one group of the messages between two "
		    "processes\n"
		    "  ayre bench size --plot size.svg       latency and throughput by size, as a "
		    "picture\n"
		    "  ayre bench all --quick                all there are, and one table of them\n"
		    "  ayre bench file --json | jq '.benchmarks[].floors'\n",
	.options = bench_table,
	.option_count = COUNT_OF(bench_table),
	.most_operands = -1,
	.operand_kinds = {OPERAND_WORD, OPERAND_WORD},
	.operand_word = bench_word,
	.run = run_bench,
	.values_bytes = sizeof(struct bench_options),
};
