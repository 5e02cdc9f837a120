/*
 * System calls without the C library: for code that runs in the host's memory but is not the
 * host, where errno and cancellation belong to somebody else. For src/sys alone.
 */
#pragma once

/* What no_sanitize("thread") leaves in place with clang: atomics, and the way into functions. */
#if __has_attribute(disable_sanitizer_instrumentation)
#define AYREI_UNOBSERVED __attribute__((disable_sanitizer_instrumentation))
#else
#define AYREI_UNOBSERVED
#endif

/* Such code is not instrumented either: a sanitizer's tables belong to the host's threads. */
#define AYREI_BARE \
	AYREI_UNOBSERVED __attribute__((no_sanitize("address"), no_sanitize("undefined"), \
	                                no_sanitize("thread"), no_stack_protector))

/* Returns what the kernel returns: zero or more, or a negative errno. */
AYREI_BARE static inline long ayrei_raw_call(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
	                 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
	                 : "memory");
	return x0;
#else
#error "ayre knows the system calls of x86-64 and arm64"
#endif
}
