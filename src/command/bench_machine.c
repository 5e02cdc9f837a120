/*
 * The machine, in general terms, and the place where `ayre bench` makes its files.
 *
 * Invariant: no file of ours has a name, from the first moment on or, where the file system
 * knows no unnamed files, from the second, which no signal can come between.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command/bench.h"

static const char *set_directory;

void bench_set_directory(const char *directory)
{
	set_directory = directory;
}

const char *bench_directory(void)
{
	const char *given = set_directory ? set_directory : getenv("TMPDIR");

	return given && given[0] ? given : "/var/tmp";
}

static int open_and_unlink(const char *directory)
{
	sigset_t all, before;
	char path[4096];
	int fd, code;

	if (snprintf(path, sizeof(path), "%s/.ayre-bench-XXXXXX", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	fd = mkostemp(path, O_CLOEXEC);
	code = fd < 0 ? -errno : fd;
	if (fd >= 0)
		unlink(path);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

int bench_open_unnamed(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return open_and_unlink(directory);
	return fd < 0 ? -errno : fd;
}

/* Always the same one; the last, because the first is where most interrupts go. */
static int choose_cpu(const cpu_set_t *allowed)
{
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET(cpu, allowed))
			return cpu;
	return -1;
}

void bench_machine_bind(const struct bench_machine *machine)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	if (machine->cpu >= 0)
		CPU_SET(machine->cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

void bench_machine_unbind(const struct bench_machine *machine)
{
	(void)sched_setaffinity(0, sizeof(machine->allowed), &machine->allowed);
}

uint64_t bench_available_bytes(void)
{
	uint64_t kilobytes = 0;
	char line[128];
	FILE *info = fopen("/proc/meminfo", "re");

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1)
			break;
	if (info)
		fclose(info);
	return kilobytes * 1024;
}

/* "always [madvise] never": the word in brackets. */
void bench_read_choice(const char *path, char *word, size_t word_bytes)
{
	char line[128] = "", *begin, *end;
	FILE *file = fopen(path, "re");

	word[0] = '\0';
	if (!file)
		return;
	begin = fgets(line, sizeof(line), file) ? strchr(line, '[') : NULL;
	end = begin ? strchr(begin, ']') : NULL;
	if (end)
		snprintf(word, word_bytes, "%.*s", (int)(end - begin - 1), begin + 1);
	fclose(file);
}

/* By the mount that has the directory's device; its type is the word behind " - ". */
static void find_file_system(dev_t device, char *type, size_t type_bytes)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	snprintf(type, type_bytes, "unknown");
	while (mounts && fgets(line, sizeof(line), mounts)) {
		unsigned int one, two;
		const char *rest = strstr(line, " - ");

		if (!rest || sscanf(line, "%*d %*d %u:%u", &one, &two) != 2 ||
		    one != major(device) || two != minor(device))
			continue;
		snprintf(type, type_bytes, "%.*s", (int)strcspn(rest + 3, " "), rest + 3);
		break;
	}
	if (mounts)
		fclose(mounts);
}

static int64_t find_read_ahead(dev_t device)
{
	int64_t kilobytes = -1;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(device),
	         minor(device));
	file = fopen(path, "re");
	if (file && fscanf(file, "%" SCNd64, &kilobytes) != 1)
		kilobytes = -1;
	if (file)
		fclose(file);
	return kilobytes < 0 ? -1 : kilobytes * 1024;
}

void bench_machine_look(struct bench_machine *ret_machine)
{
	struct bench_machine machine = {
		.cpu_count = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN),
		.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
		.available_bytes = bench_available_bytes(),
		.read_ahead_bytes = -1,
		.cpu = -1,
	};
	struct utsname names;
	struct stat status;

	machine.memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * machine.page_bytes;
	if (uname(&names) == 0) {
		snprintf(machine.architecture, sizeof(machine.architecture), "%.31s",
		         names.machine);
		snprintf(machine.kernel, sizeof(machine.kernel), "%.63s", names.release);
	}
	bench_read_choice("/sys/kernel/mm/transparent_hugepage/enabled", machine.huge_pages,
	                  sizeof(machine.huge_pages));
	bench_read_choice("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
	                  machine.shared_huge_pages, sizeof(machine.shared_huge_pages));
	if (stat(bench_directory(), &status) == 0) {
		find_file_system(status.st_dev, machine.file_system, sizeof(machine.file_system));
		machine.read_ahead_bytes = find_read_ahead(status.st_dev);
	}
	if (sched_getaffinity(0, sizeof(machine.allowed), &machine.allowed) == 0)
		machine.cpu = choose_cpu(&machine.allowed);
	bench_machine_bind(&machine);
	*ret_machine = machine;
}
