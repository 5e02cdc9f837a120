/*
 * The guard: a SIGBUS inside a segment becomes an error on that segment.
 *
 * Invariant: the handler reads the table of ranges without a lock, and what it reads of one
 * range belongs together. A thread can be stopped by SIGBUS anywhere, also inside
 * ayrei_guard_watch(), so the handler can wait for nobody. Each range therefore has a version,
 * odd while the range is being changed, and the handler looks at it twice:
 *
 *    thread 1 moves a range            thread 2 faults at X, between the two places
 *    from above X ...                  end: above X
 *    version 3, begin and end, 4
 *    ... to below X                    begin: below X; so X is inside? version 2 is now 4: again
 *
 * Without the version, zeros would be put over memory of the host's. A range that is odd is none:
 * a segment belongs to one thread, so nobody touches it while its owner moves it. A range is
 * forgotten before its addresses are unmapped, so the handler never sees addresses that have
 * become another's. All accesses are sequentially consistent: none of this is on anybody's way.
 */
#include <ayre/guard.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "memory/guard_range.h"
#include "sys/map.h"

struct ayrei_guard_range {
	atomic_uint version;
	_Atomic(uintptr_t) begin;
	_Atomic(uintptr_t) end; /* begin: nothing to watch */
	atomic_bool writable;
	atomic_bool lost;
	bool taken;                     /* under the lock */
	struct ayrei_guard_range *next; /* set before it is published, then never */
};

static _Atomic(struct ayrei_guard_range *) ranges; /* only ever grows, at its head */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before; /* whom the guard took over from */
static bool installed;          /* under the lock */

static struct ayrei_guard_range *take_slot(void)
{
	struct ayrei_guard_range *range = atomic_load(&ranges);

	while (range && range->taken)
		range = range->next;
	if (!range) {
		range = calloc(1, sizeof(*range));
		if (!range)
			return NULL;
		range->next = atomic_load(&ranges);
		atomic_store(&ranges, range);
	}
	range->taken = true;
	return range;
}

struct ayrei_guard_range *ayrei_guard_watch(void *address, size_t length, bool writable)
{
	struct ayrei_guard_range *range;

	pthread_mutex_lock(&lock);
	range = take_slot();
	pthread_mutex_unlock(&lock);
	if (!range)
		return NULL;
	atomic_store(&range->writable, writable);
	atomic_store(&range->lost, false);
	ayrei_guard_move(range, address, length);
	return range;
}

void ayrei_guard_move(struct ayrei_guard_range *range, void *address, size_t length)
{
	if (!range)
		return;
	atomic_fetch_add(&range->version, 1);
	atomic_store(&range->begin, (uintptr_t)address);
	atomic_store(&range->end, (uintptr_t)address + length);
	atomic_fetch_add(&range->version, 1);
}

void ayrei_guard_forget(struct ayrei_guard_range *range)
{
	if (!range)
		return;
	ayrei_guard_move(range, NULL, 0);
	pthread_mutex_lock(&lock);
	range->taken = false;
	pthread_mutex_unlock(&lock);
}

bool ayrei_guard_lost(const struct ayrei_guard_range *range)
{
	return range && atomic_load(&range->lost);
}

static bool contains(struct ayrei_guard_range *range, uintptr_t address)
{
	unsigned int version;
	bool inside;

	do {
		version = atomic_load(&range->version);
		inside =
			address >= atomic_load(&range->begin) && address < atomic_load(&range->end);
	} while (atomic_load(&range->version) != version);
	return inside && version % 2 == 0;
}

/* Puts a page of zeros where the fault was. false: not a range of ours. */
static bool mend(uintptr_t address)
{
	size_t page = ayrei_page_bytes();
	struct ayrei_guard_range *range = atomic_load(&ranges);

	while (range && !contains(range, address))
		range = range->next;
	if (!range)
		return false;
	/* Marked first: a thread that reads the zeros finds the mark. */
	atomic_store(&range->lost, true);
	return ayrei_map_zeros((void *)(address - address % page), page,
	                       atomic_load(&range->writable)) == 0;
}

/* As if the guard were not there: the handler before it, or the default, which ends us. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(number, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(number);
	} else if (info->si_code > 0 || before.sa_handler == SIG_DFL) {
		/* The fault happens again when we return, without us; one that was sent does not. */
		struct sigaction fatal = {.sa_handler = SIG_DFL};

		sigaction(SIGBUS, &fatal, NULL);
		if (info->si_code <= 0)
			raise(SIGBUS);
	}
}

static void handle(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	/* A signal that was sent by a process (si_code <= 0) has no address. */
	bool mended = info->si_code > 0 && mend((uintptr_t)info->si_addr);

	if (!mended)
		pass_on(number, info, context);
	errno = saved;
}

/* 0 if SIGBUS comes to us first; -EBUSY if the host has put another handler there since. */
static int is_on_top(void)
{
	struct sigaction current;

	if (sigaction(SIGBUS, NULL, &current) == -1)
		return -errno;
	return (current.sa_flags & SA_SIGINFO) && current.sa_sigaction == handle ? 0 : -EBUSY;
}

int ayre_guard_install(void)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int result = 0;

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&lock);
	if (installed) {
		/* Not twice: a handler on top that chains to us would be chained to by us. */
		result = is_on_top();
	} else {
		/* Known before the handler can run, which is as soon as it is installed. */
		result = sigaction(SIGBUS, NULL, &before);
		if (result == 0)
			result = sigaction(SIGBUS, &action, NULL);
		result = result == 0 ? 1 : -errno;
		installed = result == 1;
	}
	pthread_mutex_unlock(&lock);
	return result;
}

int ayre_guard_remove(void)
{
	int result = -ENOENT;

	pthread_mutex_lock(&lock);
	if (installed) {
		result = is_on_top();
		if (result == 0)
			result = sigaction(SIGBUS, &before, NULL) == 0 ? 0 : -errno;
		installed = result != 0;
	}
	pthread_mutex_unlock(&lock);
	return result;
}
