/*
 * Attempts on what there is only so much of: memory, processor time, disks, timers.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

/* More than any of the battery's limits. */
#define HUGE_BYTES   (4L << 30)
#define LONG_TIME_NS 1300000000L
#define SECOND_NS    1000000000L
#define MEGABYTE     (1L << 20)
#define PIECES       4096

static long map_much(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(mmap, NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static long map_in_pieces(const struct escape_bait *bait)
{
	long result = 0;

	(void)bait;
	for (int i = 0; result >= 0 && i < PIECES; i++)
		result =
			KERNEL(mmap, NULL, MEGABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return result;
}

static long grow_a_map(const struct escape_bait *bait)
{
	long page = KERNEL(mmap, NULL, MEGABYTE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)bait;
	return page < 0 ? page : KERNEL(mremap, page, MEGABYTE, HUGE_BYTES, MREMAP_MAYMOVE);
}

static long grow_the_heap(const struct escape_bait *bait)
{
	long end = KERNEL(brk, 0), wanted = end + HUGE_BYTES;

	(void)bait;
	return KERNEL(brk, wanted) == wanted ? 0 : -ENOMEM;
}

static long lock_memory(const struct escape_bait *bait)
{
	static char page[8192] __attribute__((aligned(4096)));

	(void)bait;
	return KERNEL(mlock, page, sizeof(page));
}

/* A mapping that is born locked. */
static long map_locked(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(mmap, NULL, MEGABYTE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1,
	              0);
}

static long burn_time(const struct escape_bait *bait)
{
	struct timespec used;

	(void)bait;
	do
		(void)KERNEL(clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &used);
	while (used.tv_sec * SECOND_NS + used.tv_nsec < LONG_TIME_NS);
	return 0;
}

static long write_much(const struct escape_bait *bait)
{
	long result = KERNEL(lseek, bait->memory, MEGABYTE, 0);

	return result < 0 ? result : KERNEL(write, bait->memory, "x", 1);
}

static long raise_limit(const struct escape_bait *bait)
{
	struct rlimit limit;
	long result = KERNEL(prlimit64, 0, RLIMIT_STACK, NULL, &limit);

	(void)bait;
	return result < 0 ? result : KERNEL(prlimit64, 0, RLIMIT_STACK, &limit, NULL);
}

static long change_priority(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(setpriority, PRIO_PROCESS, 0, PRIO_MAX - 1);
}

static long make_timer(const struct escape_bait *bait)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	int timer;

	(void)bait;
	return KERNEL(timer_create, CLOCK_MONOTONIC, &event, &timer);
}

static long set_alarm(const struct escape_bait *bait)
{
	const struct itimerval later = {.it_value.tv_sec = 1000};

	(void)bait;
	return KERNEL(setitimer, ITIMER_REAL, &later, NULL);
}

static const struct escape_attempt attempts[] = {
	{"map-much", map_much, NULL},       {"map-in-pieces", map_in_pieces, NULL},
	{"grow-a-map", grow_a_map, NULL},   {"grow-the-heap", grow_the_heap, ESCAPE_OPTIONAL},
	{"lock-memory", lock_memory, NULL}, {"map-locked", map_locked, NULL},
	{"burn-time", burn_time, NULL},     {"write-much", write_much, NULL},
	{"set-limit", raise_limit, NULL},   {"change-priority", change_priority, NULL},
	{"make-timer", make_timer, NULL},   {"set-alarm", set_alarm, NULL},
};

const struct escape_group escape_limits = {"limits", attempts, ESCAPE_COUNT_OF(attempts)};
