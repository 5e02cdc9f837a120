/*
 * ayre call, and how it tells of an end.
 */
#pragma once

#include <stdbool.h>

#include <ayre.h>

/* The last end, on standard error. Returns the exit code that stands for it. */
int call_report(struct ayre_worker *worker, const char *function, bool json);
