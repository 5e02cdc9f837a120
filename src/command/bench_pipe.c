/*
 * ayre bench pipe: what it costs to start programs, to join them, and to bring bytes through them.
 * Here: what is made before, the order of the groups, and how the others are run.
 *
 * Invariant: each row's programs do the same work and their output is checked; nobody is bound to a
 * processor, because nobody would be in use.
 */
#include "command/bench_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"

#define GIGABYTE ((uint64_t)1 << 30)
#define MEGABYTE ((uint64_t)1 << 20)

#define FULL_FILE    (4 * GIGABYTE)
#define FULL_FAN     (2 * GIGABYTE)
#define FULL_MEMORY  (1 * GIGABYTE)
#define FULL_BALLAST (4 * GIGABYTE)
#define QUICK_SHARE  16

/* --- the others --- */

static const char *const peer_programs[] = {
	[PEER_DASH] = "dash", [PEER_BASH] = "bash",   [PEER_PYTHON] = "python3",
	[PEER_PV] = "pv",     [PEER_BWRAP] = "bwrap", [PEER_FIREJAIL] = "firejail",
};

static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	char candidate[4096];

	for (const char *next = path; next && *next; next += strspn(next, ":")) {
		int length = (int)strcspn(next, ":");

		snprintf(candidate, sizeof(candidate), "%.*s/%s", length, next, program);
		if (access(candidate, X_OK) == 0)
			return true;
		next += length;
	}
	return false;
}

const char *bench_peer_missing(enum pipe_peer peer)
{
	static const char *const reasons[] = {
		[PEER_DASH] = "dash is not installed",
		[PEER_BASH] = "bash is not installed",
		[PEER_PYTHON] = "python3 is not installed",
		[PEER_PV] = "pv is not installed",
		[PEER_BWRAP] = "bwrap is not installed",
		[PEER_FIREJAIL] = "firejail is not installed",
	};

	return is_in_path(peer_programs[peer]) ? NULL : reasons[peer];
}

static size_t read_all(int fd, char *text, size_t text_bytes)
{
	size_t length = 0;
	ssize_t got;

	while (length + 1 < text_bytes &&
	       (got = read(fd, text + length, text_bytes - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	return length;
}

int bench_peer_run(const char *const *arguments, char *text, size_t text_bytes)
{
	posix_spawn_file_actions_t actions;
	int ends[2], code, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	code = posix_spawnp(&pid, arguments[0], &actions, NULL, (char *const *)(uintptr_t)arguments,
	                    environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (code == 0) {
		(void)read_all(ends[0], text, text_bytes);
		waitpid(pid, &status, 0);
		code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	} else {
		code = -code;
	}
	close(ends[0]);
	return code;
}

int bench_check_numbers(const char *text, uint64_t number, size_t count)
{
	size_t found = 0;
	char *rest;

	for (;; found++) {
		uint64_t one;

		text += strspn(text, " \n");
		if (!*text)
			break;
		one = strtoull(text, &rest, 10);
		if (rest == text || one != number)
			return -EBADMSG;
		text = rest;
	}
	return found == count ? 0 : -EBADMSG;
}

/* --- what is made before --- */

/* Holes read as zeros and take page cache like anything else, and no disk. */
static int open_file(struct pipe_bench *bench)
{
	char buffer[128 * 1024];
	uint64_t done = 0;
	ssize_t got;

	bench->file = bench_open_unnamed(bench_directory());
	if (bench->file < 0)
		return bench->file;
	if (ftruncate(bench->file, (off_t)bench->file_bytes) == -1)
		return -errno;
	while ((got = pread(bench->file, buffer, sizeof(buffer), (off_t)done)) > 0)
		done += (uint64_t)got;
	snprintf(bench->path, sizeof(bench->path), "/proc/%d/fd/%d", getpid(), bench->file);
	return done == bench->file_bytes ? 0 : -EIO;
}

static void *map_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int prepare(struct pipe_bench *bench)
{
	bench->memory = map_memory(bench->memory_bytes);
	if (!bench->memory)
		return -ENOMEM;
	memset(bench->memory, 'x', bench->memory_bytes);
	return open_file(bench);
}

static void let_go(struct pipe_bench *bench)
{
	if (bench->file >= 0)
		close(bench->file);
	if (bench->memory)
		munmap(bench->memory, bench->memory_bytes);
	if (bench->ballast)
		munmap(bench->ballast, bench->ballast_bytes);
}

/* A quarter of what there is at the most: it is to stay in memory. */
static uint64_t affordable(const struct bench_machine *machine, uint64_t bytes, bool quick)
{
	uint64_t wanted = quick ? bytes / QUICK_SHARE : bytes;

	while (wanted > 16 * MEGABYTE && wanted > machine->available_bytes / 4)
		wanted /= 2;
	return wanted;
}

int bench_pipe_run(struct bench_report *report, const struct bench_machine *machine)
{
	static const struct bench_group *const groups[] = {
		&bench_start_group,       &bench_start_long_group, &bench_copy_group,
		&bench_meter_group,       &bench_fan_group,        &bench_feed_group,
		&bench_start_large_group, /* the last: the host stays large */
	};
	bool quick = report->settings.quick;
	struct pipe_bench bench = {
		.machine = machine,
		.file = -1,
		.file_bytes = affordable(machine, FULL_FILE, quick),
		.fan_bytes = affordable(machine, FULL_FAN, quick),
		.memory_bytes = affordable(machine, FULL_MEMORY, quick),
		.ballast_bytes = affordable(machine, FULL_BALLAST, quick),
	};
	int result;

	bench_machine_unbind(machine);
	report->file_bytes = bench.file_bytes;
	snprintf(report->note, sizeof(report->note), "programs on whatever processor they are put");
	result = prepare(&bench);
	result = result < 0 ? output_fail("preparing: %s", strerror(-result)) : EXIT_DONE;
	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(groups); i++) {
		uint64_t bytes = groups[i] == &bench_fan_group    ? bench.fan_bytes
		                 : groups[i] == &bench_feed_group ? bench.memory_bytes
		                                                  : bench.file_bytes;

		result = bench_run_group(report, groups[i], &bench, bytes);
	}
	let_go(&bench);
	bench_machine_bind(machine);
	return result;
}
