/*
 * What `ayre pub` and `ayre sub` share: being interrupted, waiting, the forms of messages in a
 * stream.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How messages stand in a stream. */
enum message_form {
	FORM_LINES,  /* a newline behind each */
	FORM_NUL,    /* a NUL byte behind each */
	FORM_FRAMES, /* its length before each: 4 bytes, little-endian */
	FORM_WHOLE,  /* one, from the beginning to the end */
	FORM_JSON,   /* an object and a newline */
};

/* A length in front of a frame; the longest message that has one is UINT32_MAX. */
#define FRAME_HEADER_BYTES 4

/*
 * From here on SIGINT and the like do not end the process, but message_interrupted() says so, and every
 * system call that blocks is ended by -EINTR. As many peers as this user may have can be
 * listened to, and pointers into their files be followed.
 */
void message_begin(void);
/* The signal; 0: none came. */
int message_interrupted(void);
/* At the end, when all is cleaned up: ends by the signal, if one came. Returns the exit code. */
int message_end(int exit_code);

int64_t message_now_ns(void);
/* So much from now on, as far as the clock reaches. */
int64_t message_deadline(int64_t timeout_ns);

/* What a wait came to. */
enum message_wait {
	WAIT_READY,
	WAIT_DEADLINE,
	WAIT_INTERRUPTED,
	WAIT_READER_GONE, /* nobody reads standard output any more */
	WAIT_NO_OUTPUT,   /* it is not open */
};
/* Until the descriptor is ready for events of poll(2); -1: until something else happens. */
enum message_wait message_wait(int fd, short events, int64_t deadline_ns, bool watch_output);
