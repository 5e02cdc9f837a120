/*
 * Pipes, as verbs. Every one returns zero or more, or a negative errno; makes close-on-exec
 * descriptors only, none of them 0, 1 or 2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Up to so many bytes a write puts all or nothing, and never mixed with another's (PIPE_BUF). */
#define AYREI_PIPE_WHOLE_BYTES 4096

/* fds[0] reads, fds[1] writes; both block. */
int ayrei_pipe_open(int ret_fds[2]);
/* Asks for a capacity, and for less if that is refused; returns what the pipe has then. */
ssize_t ayrei_pipe_ask_capacity(int fd, uint64_t capacity_bytes);
ssize_t ayrei_pipe_capacity(int fd);
/* Bytes in it now. */
ssize_t ayrei_pipe_fill(int fd);

/* Moves a descriptor that is 0, 1 or 2 out of the way; fd may be a negative errno. Closes it if that fails. */
int ayrei_descriptor_above_standard(int fd);
/* 1 or 0. */
int ayrei_descriptor_is_open(int fd);
/* For this end alone: the other has a file description of its own. */
int ayrei_descriptor_set_blocking(int fd, bool blocking);
/* 1 or 0. */
int ayrei_descriptor_is_blocking(int fd);

/* As write(2), but a pipe without a reader is -EPIPE and no signal. */
ssize_t ayrei_pipe_write(int fd, const void *bytes, size_t length);
/* As read(2). */
ssize_t ayrei_pipe_read(int fd, void *buffer, size_t length);
/* The same for an anonymous pipe, without waiting, whether or not the descriptor blocks: -EAGAIN. */
ssize_t ayrei_pipe_try_write(int fd, const void *bytes, size_t length);
ssize_t ayrei_pipe_try_read(int fd, void *buffer, size_t length);

/* Have the calls above found, so far, all that they look for in the kernel? Else they do without. */
bool ayrei_pipe_writes_quietly(void);
bool ayrei_pipe_tries_at_once(void);

/* Makes what is in one pipe appear in another too, without consuming it. Never blocks. */
ssize_t ayrei_pipe_tee(int from, int to, size_t length);
/* Moves bytes from a pipe to a pipe or file. Never blocks on either pipe. */
ssize_t ayrei_pipe_splice(int from, int to, size_t length);

/* A named pipe. */
int ayrei_fifo_make(const char *path, mode_t mode);
/* A descriptor that stands for it and opens neither end; -EMEDIUMTYPE: it is something else. */
int ayrei_fifo_find(const char *path);
/* One end, O_RDONLY or O_WRONLY, of the pipe that this descriptor is of. Never blocks, nor does it. */
int ayrei_fifo_open(int place, int flags);
