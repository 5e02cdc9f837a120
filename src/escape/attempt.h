/*
 * What an attempt is.
 */
#pragma once

#include <stddef.h>

#include "escape/bait.h"

struct escape_attempt {
	const char *name;
	/*
	 * In the confined process. Zero or more: it got out; else the negative errno that held
	 * it.
	 */
	long (*run)(const struct escape_bait *bait);
	/* Why it may be held without confinement too; NULL: it is not. */
	const char *alone;
};

struct escape_group {
	const char *name;
	const struct escape_attempt *attempts;
	size_t count;
};

extern const struct escape_group escape_descriptors, escape_files, escape_ipc, escape_kernel,
	escape_limits, escape_memory, escape_network, escape_processes;

/*
 * The number-th of all attempts, from 0, and the group that it is of. NULL: there are not so
 * many.
 */
const struct escape_attempt *escape_attempt_at(size_t number,
                                               const struct escape_group **ret_group);

#define ESCAPE_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Privileges that an ordinary user does not have. */
#define ESCAPE_ROOT "takes a privilege"
/* What a kernel can be built or set up without. */
#define ESCAPE_OPTIONAL "not every kernel gives it"
