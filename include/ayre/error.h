/*
 * What went wrong, in a form that travels: across a function, a pipe, a process.
 *
 * Every call of ayre that can fail returns a negative errno value. Calls of
 * several steps also take a struct ayre_error (or NULL) and say there which
 * step failed on which object, and, where ayre knows it, why and what to do.
 *
 * One value has one meaning in the whole library:
 *
 *   -EAGAIN       nothing to take, or no room to put: try later
 *   -EPIPE        the other end is gone
 *   -ETIMEDOUT    the deadline passed
 *   -EPROTO       malformed bytes from another process
 *   -EMSGSIZE     what is asked for is larger than what is there
 *   -ERANGE       an offset and length outside the object
 *   -ESTALE       the object was cut short or replaced under its user
 *   -EMEDIUMTYPE  the object is of another type than the caller expects
 *   -EOPNOTSUPP   this kind of object cannot do that
 *   -EINVAL       an argument that can never be right
 *
 * Every other value is the kernel's own, from the step that is named.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ayre/api.h>

/* No deadline, where one is asked for: wait for as long as it takes. */
#define AYRE_NO_DEADLINE INT64_MAX

/* How long to try before sleeping, where a call waits. */
#define AYRE_SPIN_ADAPT   0 /* up to 50 microseconds, less where that seldom helps */
#define AYRE_SPIN_NONE    (-1)
#define AYRE_SPIN_FOREVER INT64_MAX

AYRE_BEGIN_DECLARATIONS

/*
 * Fixed size and plain bytes, without pointers, so that it can be copied,
 * kept, and sent to another process as it is. Every text ends with a NUL
 * byte; a text that is too long is cut at a character's boundary.
 */
struct ayre_error {
	int32_t code;     /* negative errno value; 0: no error */
	char step[28];    /* what was being done: "open", "allocate" */
	char object[224]; /* what to: "shm:greeting" */
	char detail[256]; /* why, and what helps; empty where the code says it all */
};

/**
 * ayre_error_text() - an error as one line for people
 * @error: borrowed
 * @text: where the line goes; always NUL-terminated if @text_bytes > 0
 * @text_bytes: room there; 640 is enough for any error
 *
 * The line is "OBJECT: MESSAGE" or "OBJECT: MESSAGE: DETAIL", without a
 * newline. MESSAGE is the C library's text for the code, or ayre's own where the
 * code has one of the meanings above that the C library's text would hide.
 *
 * Returns @text. Never fails. Since 0.1.
 */
const char *ayre_error_text(const struct ayre_error *error, char *text, size_t text_bytes);

AYRE_END_DECLARATIONS
