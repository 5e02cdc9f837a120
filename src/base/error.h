/*
 * How a call of several steps reports: ayrei_fail() fills the caller's
 * struct ayre_error, which may be NULL, and returns the code.
 */
#pragma once

#include <ayre/error.h>

/*
 * Sets every field; detail is a printf format or NULL. code is negative.
 * Returns code, so that a failing step is one statement: return ayrei_fail(...).
 */
int ayrei_fail(struct ayre_error *error, int code, const char *step, const char *object,
               const char *detail, ...) __attribute__((format(printf, 5, 6)));
