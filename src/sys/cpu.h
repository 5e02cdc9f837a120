/*
 * The processor, as verbs: orders between memory accesses that no atomic access carries by itself, and
 * a pause while spinning. For code that shares memory with other processes.
 */
#pragma once

#include <stdbool.h>

/*
 * ThreadSanitizer knows no fences. Under it each is a read-modify-write of one word that all
 * threads share, which orders at least as much.
 */
#if defined(__SANITIZE_THREAD__)
#define AYREI_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AYREI_THREAD_SANITIZER 1
#endif
#endif

#ifdef AYREI_THREAD_SANITIZER
extern unsigned int ayrei_fence_word;
#define AYREI_FENCE(order) ((void)__atomic_fetch_add(&ayrei_fence_word, 1, __ATOMIC_SEQ_CST))
#else
#define AYREI_FENCE(order) __atomic_thread_fence(order)
#endif

/* Stores before it are seen before stores after it. */
static inline void ayrei_fence_stores(void)
{
	AYREI_FENCE(__ATOMIC_RELEASE);
}

/* Loads before it are done before loads after it. */
static inline void ayrei_fence_loads(void)
{
	AYREI_FENCE(__ATOMIC_ACQUIRE);
}

/* Everything before it is seen by others before anything after it is done. */
static inline void ayrei_fence_full(void)
{
	AYREI_FENCE(__ATOMIC_SEQ_CST);
}

/*
 * The compiler's order only: the processor may still do a load before an earlier store is
 * seen. Enough where the other side makes us pass a full fence (ayrei_barrier_others()).
 */
static inline void ayrei_fence_compiler(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/*
 * Asks for the line of this address, to be written soon. Where a store has to take a line from another
 * processor, all later stores wait behind it; this does not. Any address will do. x86-64 processors
 * that do not know the instruction take it for none.
 */
static inline void ayrei_prefetch_write(const void *address)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#elif defined(__aarch64__)
	__asm__ volatile("prfm pstl1keep, %0" : : "Q"(*(const char *)address));
#endif
}

/* To be read soon. An address that is not mapped does nothing. */
static inline void ayrei_prefetch_read(const void *address)
{
	__builtin_prefetch(address, 0, 3);
}

static inline void ayrei_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/*
 * A full fence on every processor that runs a process which is registered: what a plain store and
 * a later plain load there were doing is done. membarrier(2), Linux 4.16.
 */
int ayrei_barrier_register(void);
int ayrei_barrier_others(void);
/* Can this process do the latter? A filter can forbid it. */
bool ayrei_barrier_is_known(void);
