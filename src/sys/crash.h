/*
 * The signals that a process dies of by its own doing, caught on a stack of their own, so that it can say
 * which one it was.
 */
#pragma once

#include <stdint.h>

struct ayrei_crash {
	int32_t signal;      /* SIGSYS: a system call that a filter caught */
	int32_t code;        /* sigaction(2), si_code */
	int32_t system_call; /* -1: none */
	uint32_t has_address;
	uint64_t address; /* that could not be reached */
};

/*
 * From now on, at the first such signal of each number, tell() is called, and may call nothing that is not
 * async-signal-safe; then the process dies of it. Those that other processes send count, too.
 */
int ayrei_crash_catch(void (*tell)(const struct ayrei_crash *crash));
