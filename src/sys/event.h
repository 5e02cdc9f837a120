/*
 * Waiting for descriptors, names and time, as verbs. Every one returns zero or more, or a negative
 * errno; makes close-on-exec descriptors only, none of them 0, 1 or 2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t ayrei_monotonic_ns(void);

#define AYREI_READABLE 1u
#define AYREI_WRITABLE 2u
#define AYREI_HANGUP   4u /* the other end is gone: always told */

/*
 * Waits until the descriptor is ready for what is wanted, or the absolute deadline (INT64_MAX:
 * none). Returns what it is ready for; 0 when the deadline has passed.
 */
int ayrei_wait_for(int fd, unsigned int wanted, int64_t deadline_ns);

/* Waits until one of them is readable. Returns how many are. */
#define AYREI_WAIT_ANY_MAX 160
int ayrei_wait_for_any(const int *fds, int count, int64_t deadline_ns);

/* A set of descriptors that is one: readable when one of its members is ready. Level-triggered. */
int ayrei_set_open(void);
/* wanted may be 0: hang-ups only. */
int ayrei_set_add(int set, int fd, unsigned int wanted, uint64_t tag);
int ayrei_set_change(int set, int fd, unsigned int wanted, uint64_t tag);
int ayrei_set_remove(int set, int fd);

struct ayrei_event {
	uint64_t tag;
	unsigned int ready;
};

/* Those that are ready now, or by the absolute deadline (0: do not wait). Returns how many. */
int ayrei_set_wait(int set, struct ayrei_event *events, int most, int64_t deadline_ns);

/* Readable since it was raised, until it is cleared. */
int ayrei_flag_open(void);
void ayrei_flag_raise(int flag);
/* 1: it had been raised. */
int ayrei_flag_clear(int flag);

/* Readable from a time on; none to begin with. */
int ayrei_timer_open(void);
/* deadline_ns: absolute, CLOCK_MONOTONIC; INT64_MAX: never. */
int ayrei_timer_set(int timer, int64_t deadline_ns);

/*
 * Readable when somebody may have opened the file, or removed its name, since ayrei_watch_clear().
 * Takes permission to read it. Who waits in open(2) for a FIFO's other end has not opened it.
 */
int ayrei_watch_opening(int place);
/* 1: there was something to clear. */
int ayrei_watch_clear(int watch);
