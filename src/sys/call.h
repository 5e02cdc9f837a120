/*
 * System calls by number: zero or more, or a negative errno. For src/sys alone.
 *
 * In the library they go through syscall(3), so that tests can stand before it. In the zygote's program they
 * are inline: a worker is a fresh copy of it, to which each page of the C library that it runs into costs a
 * page fault, and those are most of what a start takes.
 */
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/raw.h"
#include "sys/result.h"

#ifdef AYREI_INLINE_CALLS
#define AYREI_CALL_OF_FIVE(number, a, b, c, d, e, ...) \
	ayrei_raw_call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define AYREI_CALL(...) AYREI_CALL_OF_FIVE(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#else
#define AYREI_CALL(...) AYREI_RESULT(syscall(__VA_ARGS__))
#endif
