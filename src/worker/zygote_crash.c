/*
 * The last word of a zygote or worker.
 *
 * Invariant: it is plain numbers in the page of replies, which the host judges; nothing is called that a
 * process in any state could not call.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "worker/zygote.h"

/* Below the lowest page that a stack can have: the kernel keeps others at this distance. */
#define GUARD_BYTES (UINT64_C(1) << 20)

static struct ayrei_replies *page;
static int bell = -1;
static uint64_t stack_low, stack_high;

static void tell(const struct ayrei_crash *crash)
{
	page->crash = *crash;
	page->is_out_of_memory = ayrei_zygote_heap_is_full();
	page->is_out_of_stack =
		crash->has_address && crash->address >= stack_low && crash->address < stack_high;
	__atomic_store_n(&page->has_crashed, 1, __ATOMIC_RELEASE);
	/* At once, and not when all memory has been given back: that takes its time. */
	if (bell >= 0)
		(void)!write(bell, "x", 1);
}

void ayrei_zygote_find_stack(void)
{
	pthread_attr_t attributes;
	void *low;
	size_t bytes;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return;
	if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
		stack_low = (uintptr_t)low - GUARD_BYTES;
		stack_high = (uintptr_t)low + bytes;
	}
	pthread_attr_destroy(&attributes);
}

void ayrei_zygote_tell_crashes_to(struct ayrei_replies *replies, int reply_bell)
{
	page = replies;
	bell = reply_bell;
}

int ayrei_zygote_tell_crashes(struct ayrei_replies *replies)
{
	ayrei_zygote_tell_crashes_to(replies, -1);
	return ayrei_crash_catch(tell);
}
