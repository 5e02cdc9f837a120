/*
 * The module of `ayre bench worker`, and workers that have loaded it.
 *
 * Invariant: of a worker that was asked for on a processor all processes are there, and this one is where
 * it was before.
 */
#include "command/bench_worker.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ECHO_WORDS 8

/* Of one process. */
#define CHILDREN_MAX 64

/* --- the module --- */

const char *bench_worker_module(void)
{
	/* For tests of what is not installed; never for a program with more rights than its user. */
	const char *other = secure_getenv("AYRE_BENCH_MODULE");

	return other ? other : BENCH_MODULE_PATH;
}

static int open_here(const struct ayre_worker_options *options, struct ayre_worker **ret_worker,
                     struct ayre_error *error)
{
	return ayre_worker_open(options, bench_worker_module(), ret_worker, error);
}

/* --- the processor --- */

/* 0: it has ended. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[512] = "";
	const char *rest;
	pid_t parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* Behind the name, which can be anything. */
	rest = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	if (!rest || sscanf(rest, ") %*c %d", &parent) != 1)
		parent = 0;
	fclose(file);
	return parent;
}

struct children {
	pid_t pids[CHILDREN_MAX];
	size_t count;
};

static int find_children(pid_t parent, struct children *ret_children)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;

	ret_children->count = 0;
	if (!directory)
		return -errno;
	while ((entry = readdir(directory)) && ret_children->count < CHILDREN_MAX) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && parent_of(pid) == parent)
			ret_children->pids[ret_children->count++] = pid;
	}
	closedir(directory);
	return 0;
}

static bool is_among(const struct children *children, pid_t pid)
{
	for (size_t i = 0; i < children->count; i++)
		if (children->pids[i] == pid)
			return true;
	return false;
}

static int bind_process(pid_t pid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(pid, sizeof(one), &one) == -1 ? -errno : 0;
}

static pid_t bound_first;

pid_t bench_worker_bound(void)
{
	return bound_first;
}

/* The zygote first: what it makes from then on is bound as well. */
static int bind_zygote(pid_t zygote, int cpu)
{
	struct children processes;
	int result = bind_process(zygote, cpu);

	if (result == 0)
		result = find_children(zygote, &processes);
	for (size_t i = 0; result == 0 && i < processes.count; i++)
		result = bind_process(processes.pids[i], cpu);
	bound_first = result == 0 && processes.count ? processes.pids[0] : 0;
	return result;
}

static int bind_newest(const struct children *before, int cpu)
{
	struct children now;
	int result = find_children(getpid(), &now);

	for (size_t i = 0; result == 0 && i < now.count; i++)
		if (!is_among(before, now.pids[i]))
			return bind_zygote(now.pids[i], cpu);
	return result < 0 ? result : -ESRCH;
}

/*
 * Opened by a process that may use both processors, since a library that finds one alone never
 * spins; and bound afterwards.
 */
static int open_bound(const struct ayre_worker_options *options, int cpu,
                      struct ayre_worker **ret_worker)
{
	struct children before;
	int result = find_children(getpid(), &before);

	if (result == 0)
		result = open_here(options, ret_worker, NULL);
	if (result < 0)
		return result;
	result = bind_newest(&before, cpu);
	if (result < 0)
		ayre_worker_close(*ret_worker);
	return result;
}

int bench_worker_open(const struct ayre_worker_options *options, int cpu,
                      struct ayre_worker **ret_worker)
{
	cpu_set_t before, both;
	int result;

	if (cpu < 0)
		return open_here(options, ret_worker, NULL);
	if (sched_getaffinity(0, sizeof(before), &before) == -1)
		return -errno;
	both = before;
	CPU_SET(cpu, &both);
	if (sched_setaffinity(0, sizeof(both), &both) == -1)
		return -errno;
	result = open_bound(options, cpu, ret_worker);
	(void)sched_setaffinity(0, sizeof(before), &before);
	return result;
}

/* --- what every group asks --- */

const char *bench_worker_missing(void)
{
	static bool is_known;
	static char why[700];
	struct ayre_worker *worker = NULL;
	struct ayre_error error;

	if (!is_known && open_here(NULL, &worker, &error) < 0) {
		int length = snprintf(why, sizeof(why), "no worker can be had: ");

		ayre_error_text(&error, why + length, sizeof(why) - (size_t)length);
	}
	ayre_worker_close(worker);
	is_known = true;
	return why[0] ? why : NULL;
}

int bench_worker_echo(struct ayre_worker *worker)
{
	static uint64_t number;
	uint64_t there[ECHO_WORDS], back[ECHO_WORDS];
	ssize_t got;

	for (int i = 0; i < ECHO_WORDS; i++)
		there[i] = ++number;
	got = ayre_worker_call(worker, "bench_echo", there, sizeof(there), back, sizeof(back));
	if (got < 0)
		return (int)got;
	return got == sizeof(back) && memcmp(there, back, sizeof(back)) == 0 ? 0 : -EBADMSG;
}
