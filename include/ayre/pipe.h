/*
 * Pipes: bytes in order, one way, from one process to another.
 *
 * Two kinds with the same calls. An anonymous pipe is a pair of descriptors, of
 * which a child inherits one. A named pipe (a FIFO) is a file that two processes
 * which know nothing of each other open; here both ends are asynchronous: opening
 * never blocks, and a peer that comes late, leaves, or comes back is an event.
 *
 * What every call keeps:
 *  - SIGPIPE never reaches the caller, whose signal settings stay as they are:
 *    a write that nobody can read any more returns -EPIPE.
 *  - A descriptor is close-on-exec from birth, and never 0, 1 or 2.
 *  - A call waits, or does not, as its name says, whether or not the descriptor
 *    blocks; and no descriptor's flags are changed, which children would see.
 *
 * A handle belongs to one thread at a time. A child of fork(2) may use its copy of an
 * anonymous pipe's handle and close either end; with that of a named pipe it can do
 * nothing but ayre_pipe_close().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>

AYRE_BEGIN_DECLARATIONS

/* An open pipe, local to this process: both ends of an anonymous one, or one end of a named one. */
struct ayre_pipe;

/*
 * A message of up to so many bytes is never mixed with those of other writers,
 * and never written in part (pipe(7), PIPE_BUF on Linux).
 */
#define AYRE_PIPE_MESSAGE_MAX 4096

struct ayre_pipe_options {
	size_t size;
	/*
	 * The capacity that is wanted, in bytes; 0: 256 KiB, which carried three
	 * times as much as the kernel's 64 KiB and is a quarter of what one user
	 * may ask for. A wish: see ayre_pipe_capacity(). A named pipe is left
	 * as it is with 0, because it is not this process's alone.
	 */
	uint64_t capacity_bytes;
	/* For ayre_fifo_create(): permission bits, of 0666; 0: 0600. The umask applies. */
	uint32_t mode;
};

/**
 * ayre_pipe_open() - a new anonymous pipe
 * @options: borrowed; NULL means all zero
 * @ret_pipe: to be closed with ayre_pipe_close()
 *
 * Returns 0, or
 *   -EMFILE, -ENFILE  no descriptors are left
 *   -ENOMEM           no memory
 *   -EINVAL           an option that can never be right
 * Since 0.1.
 */
int ayre_pipe_open(const struct ayre_pipe_options *options, struct ayre_pipe **ret_pipe,
                   struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_pipe_close() - let go of what this process has of the pipe
 *
 * NULL does nothing. A named pipe keeps its name. Since 0.1.
 */
void ayre_pipe_close(struct ayre_pipe *pipe);

/**
 * ayre_pipe_close_read(), ayre_pipe_close_write() - let go of one end
 *
 * Whoever wants to see the other process's end of file closes his own writing
 * end first. Closing what is closed does nothing. Since 0.1.
 */
void ayre_pipe_close_read(struct ayre_pipe *pipe);
void ayre_pipe_close_write(struct ayre_pipe *pipe);

/**
 * ayre_pipe_read_fd(), ayre_pipe_write_fd() - the ends, to be wired to a child
 *
 * Borrowed, close-on-exec. Those of an anonymous pipe block, as a child expects; a
 * child that makes its own otherwise makes this one so, too, which no call here minds.
 * Those of a named pipe do not block, and the writing one changes when its reader
 * leaves: wait with ayre_pipe_fd() instead.
 *
 * Returns the descriptor, or -EBADF if this handle has no such end now.
 * Since 0.1.
 */
int ayre_pipe_read_fd(const struct ayre_pipe *pipe) AYRE_MUST_CHECK;
int ayre_pipe_write_fd(const struct ayre_pipe *pipe) AYRE_MUST_CHECK;

/**
 * ayre_pipe_fd() - the descriptor to wait with, in poll, epoll or an event loop
 *
 * Readable (POLLIN) when this handle's try_ calls have something to do: bytes or
 * the end of them to read, room to write, a peer that came or left. Level-triggered.
 * It stays the same for the handle's life. A handle with both ends of an
 * anonymous pipe waits for its reading end; one with a writing end is ready
 * whenever there is room, so take it into a loop only while there is something
 * to write. Once in a while it is ready and the attempt finds nothing (-EAGAIN).
 *
 * Returns the descriptor, or -EBADF if both ends are closed; the first call for an
 * anonymous pipe makes it, and can fail with -EMFILE, -ENFILE or -ENOMEM. Since 0.1.
 */
int ayre_pipe_fd(struct ayre_pipe *pipe) AYRE_MUST_CHECK;

/**
 * ayre_pipe_read() - take bytes, waiting for the first
 * ayre_pipe_try_read() - the same without waiting
 * ayre_pipe_read_until() - the same, until @deadline_ns (absolute, CLOCK_MONOTONIC)
 * @buffer: borrowed; up to @length bytes
 *
 * As many as are there, at least one.
 *
 * Returns the number of bytes, or
 *   0           the end: every writer has closed. A named pipe says so once
 *               for each time that its writers, one of whom had written, have left;
 *               then it waits for the next. Who opens it before this call is made
 *               goes on where they stopped, and no end is seen
 *   -EAGAIN     try: nothing there now (a named pipe: or nobody yet)
 *   -ETIMEDOUT  until: the deadline passed
 *   -EBADF      the reading end is closed, or this handle only writes
 *   -EINVAL     @length is 0
 * Since 0.1.
 */
ssize_t ayre_pipe_read(struct ayre_pipe *pipe, void *buffer, size_t length) AYRE_MUST_CHECK;
ssize_t ayre_pipe_try_read(struct ayre_pipe *pipe, void *buffer, size_t length) AYRE_MUST_CHECK;
ssize_t ayre_pipe_read_until(struct ayre_pipe *pipe, void *buffer, size_t length,
                             int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_pipe_write() - put bytes, all of them, waiting for room
 * ayre_pipe_try_write() - as many as there is room for now
 * ayre_pipe_write_until() - all of them, or as many as went by @deadline_ns
 *
 * A named pipe without a reader has no room: its write waits for one to come, also one of
 * no bytes, which does nothing else. What its readers have left unread is lost
 * when they leave, and the kernel does not say how much.
 *
 * Writes of more than AYRE_PIPE_MESSAGE_MAX bytes may mix with those of other writers;
 * ayre_pipe_send() never does.
 *
 * Returns the number of bytes; fewer than @length: something then stopped it, which
 * the next call returns. Or, when nothing was written,
 *   -EPIPE      every reader has closed. A named pipe says so once for each
 *               time that its readers have left; then it waits for the next
 *   -EAGAIN     try: no room now (a named pipe: or nobody yet)
 *   -ETIMEDOUT  until: the deadline passed
 *   -EBADF      the writing end is closed, or this handle only reads
 *   -EINVAL     @length is beyond SSIZE_MAX
 *   -ESTALE     a named pipe: nobody reads, and its name is gone, so that nobody
 *               can come any more. Whatever has the name now has to be opened anew
 * or, for a named pipe, what opening it for a new reader failed with. Since 0.1.
 */
ssize_t ayre_pipe_write(struct ayre_pipe *pipe, const void *bytes, size_t length) AYRE_MUST_CHECK;
ssize_t ayre_pipe_try_write(struct ayre_pipe *pipe, const void *bytes, size_t length)
	AYRE_MUST_CHECK;
ssize_t ayre_pipe_write_until(struct ayre_pipe *pipe, const void *bytes, size_t length,
                              int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_pipe_send() - put a message in one piece, waiting for room
 * ayre_pipe_try_send() - in one piece, or not at all
 * @length: 1 to AYRE_PIPE_MESSAGE_MAX
 *
 * Writers who all send share a pipe without ever splitting a message. The pipe
 * keeps no boundaries: how long a message is, its bytes have to say.
 *
 * Returns 0; -EMSGSIZE if it is longer than the kernel keeps in one piece, -EINVAL
 * if it is empty; else as the writes do. Since 0.1.
 */
int ayre_pipe_send(struct ayre_pipe *pipe, const void *message, size_t length) AYRE_MUST_CHECK;
int ayre_pipe_try_send(struct ayre_pipe *pipe, const void *message, size_t length) AYRE_MUST_CHECK;

/**
 * ayre_pipe_capacity() - how many bytes the pipe can hold, as the kernel granted
 *
 * A multiple of the page size. A user who has many pipes gets small ones (8 KiB;
 * pipe(7), pipe-user-pages-soft). The kernel counts pages, not bytes: many small
 * writes can fill a pipe before it holds this much.
 *
 * Returns the capacity, -EAGAIN: a named pipe's writing end without a reader, or -EBADF:
 * both ends are closed. Since 0.1.
 */
ssize_t ayre_pipe_capacity(const struct ayre_pipe *pipe) AYRE_MUST_CHECK;

/** ayre_pipe_fill() - how many bytes are in the pipe now; errors as ayre_pipe_capacity() */
ssize_t ayre_pipe_fill(const struct ayre_pipe *pipe) AYRE_MUST_CHECK;

/* Which end of a named pipe. */
enum ayre_fifo_end {
	AYRE_FIFO_READ = 1,
	AYRE_FIFO_WRITE = 2,
};

/**
 * ayre_fifo_create() - make a named pipe
 * @options: borrowed; NULL means all zero
 *
 * Returns 0, -EEXIST if something has that name, -EINVAL if the mode has bits beyond
 * 0666, or another negative errno of mkfifo(3). Since 0.1.
 */
int ayre_fifo_create(const struct ayre_pipe_options *options, const char *path,
                     struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_fifo_open() - open one end of a named pipe, whether or not the other is there
 * @end: which
 * @ret_pipe: to be closed with ayre_pipe_close()
 *
 * Never blocks. A symbolic link is followed. A writing end that has no reader is told
 * (inotify(7)) when one opens the pipe, and the next call connects it. Nothing tells of a
 * reader that blocks in open(2) until a writer comes, as cat(1) does: for it an
 * attempt is due every tenth of a second. Who may write the pipe but not read it
 * is told of no reader, and depends on these attempts.
 *
 * A reading end holds a writing end of its own while it has no writer, so that neither
 * the end of file nor a busy loop is seen before somebody has written; a program that
 * reads the same pipe beside it sees no end of file in that time. So it takes
 * permission to write as well.
 *
 * The handle is for the pipe that has the name now. A reading end whose name is removed
 * is not told; a writing end is, with -ESTALE, once nobody reads.
 *
 * Returns 0, or
 *   -ENOENT       no such name
 *   -EMEDIUMTYPE  it is no named pipe
 *   -EMFILE       no descriptors, or no inotify instances, are left
 *   -EACCES       its mode forbids it
 *   -EINVAL       an option or @end that can never be right
 * Since 0.1.
 */
int ayre_fifo_open(const struct ayre_pipe_options *options, const char *path,
                   enum ayre_fifo_end end, struct ayre_pipe **ret_pipe, struct ayre_error *error)
	AYRE_MUST_CHECK;

/**
 * ayre_fifo_is_connected() - has a peer been seen that has not left?
 *
 * Returns 1 or 0. A writing end is connected from the attempt that found a reader
 * until all have left. A reading end is connected from the first bytes that were read
 * to the end that ayre_pipe_read() tells. An anonymous pipe: 0. Since 0.1.
 */
int ayre_fifo_is_connected(const struct ayre_pipe *pipe);

/**
 * ayre_fifo_remove() - remove the name
 *
 * Who has it open goes on. Returns 0, -ENOENT, -EMEDIUMTYPE if the name is of something
 * else, which stays, or another negative errno of unlink(2). Since 0.1.
 */
int ayre_fifo_remove(const char *path, struct ayre_error *error) AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
