/*
 * What the tests of confinement share: children that lock themselves down, as root and as an
 * ordinary user, and what can be seen of them from outside.
 */
#pragma once

#include "support/support.h"

#include <ayre/worker.h>

/* A user who is nobody in particular. */
#define ORDINARY 54321

/* The options of a call, with their size set. */
#define CONFINE(...) \
	(&(struct ayre_confine_options){.size = sizeof(struct ayre_confine_options), __VA_ARGS__})

/* Standard error alone, so that what a child requires is told. */
extern const int keep_error[1];
#define KEEP_ERROR .keep = keep_error, .keep_count = 1, .file_bytes = 1 << 20

/* In a child: root becomes an ordinary user; who is one stays it. */
void become_ordinary(void);
/*
 * Runs in a child twice if this is root: as root, and as an ordinary user. Both have to return 0.
 */
void for_each_user(int (*run)(void *context), void *context);
/* In a child: confines it, or fails. */
void confine_now(const struct ayre_confine_options *options, struct ayre_posture *ret_posture);

/* In a child: a filter from outside, which ends it where it makes this call with this first argument. */
#define ANY_ARGUMENT UINT32_MAX
void die_at(int call, uint32_t argument);

/* A field of /proc/PID/status, read as a number in this base. */
unsigned long long status_field(pid_t pid, const char *field, int base);
