/*
 * The handle of an open pipe, and what its two files share.
 *
 *   pipe.c   opening an anonymous one, and what both kinds have: reading, writing, waiting
 *   fifo.c   named ones: the other end that comes and goes
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/pipe.h>

/*
 * An anonymous pipe has two ends, until one of them is closed. A named one has the end that it
 * was opened for:
 *
 *   reading   nobody has written yet      read_fd, keeper
 *             from the first byte on      read_fd, connected
 *   writing   nobody reads                place, watch, timer
 *             a reader has it open        place, watch, timer, write_fd
 */
struct ayre_pipe {
	enum ayre_fifo_end end; /* 0: anonymous */
	int read_fd;            /* -1: closed */
	int write_fd;           /* -1: closed, or a named pipe that nobody reads */
	int set;                /* what ayre_pipe_fd() gives; -1: nobody has asked for it */
	int32_t set_owner;      /* the process that made the set, which its forks share */
	int keeper;             /* a writing end of our own, which keeps the end of file away */
	int place;              /* stands for the named pipe; -1: its writing end is closed */
	int watch;              /* readable when somebody has opened it; -1: not permitted */
	int timer;              /* readable when it is time to look for a reader */
	bool connected;         /* the reading end: bytes have come, and their end has not */
	int owed;               /* what stopped a write that had put some bytes: not told yet */
	uint64_t capacity_bytes;
};

/* Copies the options at full size, and refuses what can never be. */
int ayrei_pipe_prepare(struct ayre_pipe_options *copy, const struct ayre_pipe_options *given,
                       const char *label, struct ayre_error *error);
/* All its descriptors are -1. NULL: no memory. */
struct ayre_pipe *ayrei_pipe_new(const struct ayre_pipe_options *options);

/* One attempt, which does not wait. As ayre_pipe_try_read(), and ayre_pipe_try_write(). */
ssize_t ayrei_fifo_take(struct ayre_pipe *pipe, void *buffer, size_t length);
ssize_t ayrei_fifo_put(struct ayre_pipe *pipe, const void *bytes, size_t length);

/*
 * A set of our own? In a child that was forked, it is the parent's as well: to take an end that
 * the child closes out of it would blind the parent.
 */
bool ayrei_pipe_has_set(const struct ayre_pipe *pipe);
/* Takes a descriptor out of the set, if it is in there, and closes it. Returns -1. */
int ayrei_pipe_let_go(struct ayre_pipe *pipe, int fd);
