/*
 * ayre bench topic: messages between two processes. Here: where the topics are, and that nothing is
 * left of them.
 *
 * Invariant: the directory is removed however this process ends. A keeper waits at a pipe for its
 * end, which even SIGKILL brings about, and removes what is there.
 */
#include "command/bench_topic.h"

#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"

/* Short samples, and more of them: the processors' neighbours change by the second. */
#define FULL_ROUNDS    31
#define FULL_LEAST_NS  8000000
#define QUICK_ROUNDS   5
#define QUICK_LEAST_NS 2000000

/* --- the directory --- */

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *position)
{
	(void)status;
	(void)flag;
	(void)position;
	(void)remove(path);
	return 0;
}

void bench_topic_remove_tree(const char *directory)
{
	(void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct keeper {
	pid_t pid;
	int held; /* closed when we end */
};

static __attribute__((noreturn)) void keep(const char *directory, int watched)
{
	sigset_t all;
	char byte;

	/* Signals are for the whole group of processes; this one goes last. */
	(void)setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	while (read(watched, &byte, sizeof(byte)) < 0)
		;
	bench_topic_remove_tree(directory);
	_exit(0);
}

static int start_keeper(struct keeper *keeper, const char *directory)
{
	int ends[2];

	if (pipe(ends) == -1)
		return -errno;
	keeper->pid = fork();
	if (keeper->pid == 0) {
		close(ends[1]);
		keep(directory, ends[0]);
	}
	close(ends[0]);
	keeper->held = ends[1];
	return keeper->pid < 0 ? -errno : 0;
}

static void end_keeper(const struct keeper *keeper)
{
	close(keeper->held);
	waitpid(keeper->pid, NULL, 0);
}

/* Where topics are; by a name that no topic can have. */
static int make_directory(char *directory, size_t directory_bytes)
{
	const char *given = getenv("AYRE_DIR");

	if (snprintf(directory, directory_bytes, "%s/.ayre-bench-XXXXXX",
	             given && given[0] ? given : "/dev/shm") >= (int)directory_bytes)
		return output_fail("AYRE_DIR: %s", strerror(ENAMETOOLONG));
	if (!mkdtemp(directory))
		return output_fail("%s: %s", directory, strerror(errno));
	return EXIT_DONE;
}

/* --- all of it --- */

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

static void tell_circumstances(struct bench_report *report, const struct bench_machine *machine,
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
	tell_circumstances(report, machine, &quiet);
	return result;
}

int bench_topic_run(struct bench_report *report, const struct bench_machine *machine)
{
	struct keeper keeper = {.held = -1};
	char directory[96];
	int code, result = make_directory(directory, sizeof(directory));

	if (result != EXIT_DONE)
		return result;
	report->settings.rounds = report->settings.quick ? QUICK_ROUNDS : FULL_ROUNDS;
	report->settings.least_ns = report->settings.quick ? QUICK_LEAST_NS : FULL_LEAST_NS;
	code = start_keeper(&keeper, directory);
	if (code < 0) {
		bench_topic_remove_tree(directory);
		return output_fail("%s: %s", directory, strerror(-code));
	}
	result = run_plans(report, machine, directory);
	end_keeper(&keeper);
	return result;
}
