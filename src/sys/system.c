/*
 * Time, randomness, identity, memory: thin verbs over the system calls.
 */
#include "sys/system.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "sys/result.h"

int64_t ayrei_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int ayrei_random(void *bytes, size_t length)
{
	/* Up to 256 bytes come whole (getrandom(2)). */
	ssize_t got = AYREI_RESULT(getrandom(bytes, length, 0));

	if (got < 0)
		return (int)got;
	return (size_t)got == length ? 0 : -EIO;
}

uint32_t ayrei_user(void)
{
	return geteuid();
}

int32_t ayrei_own_process(void)
{
	return getpid();
}

uint64_t ayrei_memory_available(void)
{
	uint64_t kilobytes, available = UINT64_MAX, swap = 0;
	char line[128];
	FILE *info = fopen("/proc/meminfo", "re");

	if (!info)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), info)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1)
			available = kilobytes * 1024;
		else if (sscanf(line, "SwapFree: %" SCNu64, &kilobytes) == 1)
			swap = kilobytes * 1024;
	}
	fclose(info);
	return available == UINT64_MAX ? available : available + swap;
}

int ayrei_processors_usable(void)
{
	cpu_set_t set;

	/* A machine of more than the set has room for has more than one. */
	return sched_getaffinity(0, sizeof(set), &set) == -1 ? 2 : CPU_COUNT(&set);
}
