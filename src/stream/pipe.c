/*
 * Pipes: opening an anonymous one, and reading and writing of both kinds.
 *
 * Invariant: a try_ call never waits, although the descriptors of an anonymous pipe block, as the
 * programs that inherit them expect; and nothing in here changes a descriptor's flags, which
 * are shared with whoever has inherited it.
 *
 * What waits without a deadline is one plain call of the kernel on an anonymous pipe, so that
 * bulk costs what write(2) costs. Everything else is an attempt that does not wait, and
 * between attempts a poll(2).
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "stream/handle.h"
#include "sys/event.h"
#include "sys/pipe.h"
#include "sys/system.h"

#define DEFAULT_CAPACITY_BYTES (256 * 1024)
#define MODE_BITS              0666u

/* What a message of AYRE_PIPE_MESSAGE_MAX rests on. */
_Static_assert(AYRE_PIPE_MESSAGE_MAX == AYREI_PIPE_WHOLE_BYTES, "the kernel keeps these whole");

int ayrei_pipe_prepare(struct ayre_pipe_options *copy, const struct ayre_pipe_options *given,
                       const char *label, struct ayre_error *error)
{
	int result = ayrei_options_copy(copy, sizeof(*copy), given);

	if (result < 0)
		return ayrei_fail(error, result, "options", label,
		                  "the size field of the options is not set");
	if (copy->mode & ~MODE_BITS)
		return ayrei_fail(error, -EINVAL, "options", label,
		                  "the mode has bits beyond 0666");
	return 0;
}

struct ayre_pipe *ayrei_pipe_new(const struct ayre_pipe_options *options)
{
	struct ayre_pipe *pipe = calloc(1, sizeof(*pipe));

	if (!pipe)
		return NULL;
	pipe->read_fd = pipe->write_fd = pipe->set = -1;
	pipe->keeper = pipe->place = pipe->watch = pipe->timer = -1;
	pipe->capacity_bytes = options->capacity_bytes;
	return pipe;
}

int ayre_pipe_open(const struct ayre_pipe_options *options, struct ayre_pipe **ret_pipe,
                   struct ayre_error *error)
{
	static const char label[] = "anonymous pipe";
	struct ayre_pipe_options copy;
	struct ayre_pipe *pipe;
	int fds[2], result = ayrei_pipe_prepare(&copy, options, label, error);

	if (result < 0)
		return result;
	if (!copy.capacity_bytes)
		copy.capacity_bytes = DEFAULT_CAPACITY_BYTES;
	pipe = ayrei_pipe_new(&copy);
	if (!pipe)
		return ayrei_fail(error, -ENOMEM, "handle", label, NULL);
	result = ayrei_pipe_open(fds);
	if (result < 0) {
		free(pipe);
		return ayrei_fail(error, result, "open", label, NULL);
	}
	pipe->read_fd = fds[0];
	pipe->write_fd = fds[1];
	/* A wish: a user who has many pipes gets small ones. */
	(void)!ayrei_pipe_ask_capacity(pipe->write_fd, copy.capacity_bytes);
	*ret_pipe = pipe;
	return 0;
}

/* --- letting go --- */

bool ayrei_pipe_has_set(const struct ayre_pipe *pipe)
{
	return pipe->set >= 0 && pipe->set_owner == ayrei_own_process();
}

int ayrei_pipe_let_go(struct ayre_pipe *pipe, int fd)
{
	int saved = errno;

	/* By name: where a child has the same end open, closing it would leave it in the set. */
	if (fd >= 0 && ayrei_pipe_has_set(pipe))
		(void)!ayrei_set_remove(pipe->set, fd);
	errno = saved;
	return ayrei_file_close(fd);
}

void ayre_pipe_close_read(struct ayre_pipe *pipe)
{
	int saved = errno;

	pipe->read_fd = ayrei_pipe_let_go(pipe, pipe->read_fd);
	pipe->keeper = ayrei_file_close(pipe->keeper);
	/* Until now the set has waited for the reading end only. */
	if (pipe->write_fd >= 0 && ayrei_pipe_has_set(pipe))
		(void)!ayrei_set_change(pipe->set, pipe->write_fd, AYREI_WRITABLE, 0);
	errno = saved;
}

void ayre_pipe_close_write(struct ayre_pipe *pipe)
{
	pipe->write_fd = ayrei_pipe_let_go(pipe, pipe->write_fd);
	pipe->watch = ayrei_pipe_let_go(pipe, pipe->watch);
	pipe->timer = ayrei_pipe_let_go(pipe, pipe->timer);
	pipe->place = ayrei_file_close(pipe->place);
}

void ayre_pipe_close(struct ayre_pipe *pipe)
{
	if (!pipe)
		return;
	/* In this order, so that the set need not be told of what is about to be closed. */
	ayre_pipe_close_write(pipe);
	ayre_pipe_close_read(pipe);
	ayrei_file_close(pipe->set);
	ayrei_cleanup_free(&pipe);
}

/* --- the ends --- */

int ayre_pipe_read_fd(const struct ayre_pipe *pipe)
{
	return pipe->read_fd >= 0 ? pipe->read_fd : -EBADF;
}

int ayre_pipe_write_fd(const struct ayre_pipe *pipe)
{
	return pipe->write_fd >= 0 ? pipe->write_fd : -EBADF;
}

static int check_reading(const struct ayre_pipe *pipe)
{
	return pipe->read_fd >= 0 ? 0 : -EBADF;
}

static int check_writing(const struct ayre_pipe *pipe)
{
	return pipe->write_fd >= 0 || pipe->place >= 0 ? 0 : -EBADF;
}

/*
 * Of an anonymous pipe, whose ends mostly go to children, it is made when it is asked for. Both ends
 * are in it from the beginning, so that a later ayre_pipe_close_read() cannot fail.
 */
static int make_set(const struct ayre_pipe *pipe)
{
	ayrei_auto_fd int set = ayrei_set_open();
	int result = set;

	if (result >= 0 && pipe->read_fd >= 0)
		result = ayrei_set_add(set, pipe->read_fd, AYREI_READABLE, 0);
	if (result >= 0 && pipe->write_fd >= 0)
		result = ayrei_set_add(set, pipe->write_fd, pipe->read_fd >= 0 ? 0 : AYREI_WRITABLE,
		                       0);
	return result < 0 ? result : ayrei_take_fd(&set);
}

int ayre_pipe_fd(struct ayre_pipe *pipe)
{
	int set;

	if (check_reading(pipe) < 0 && check_writing(pipe) < 0)
		return -EBADF;
	if (!pipe->end && !ayrei_pipe_has_set(pipe)) {
		set = make_set(pipe);
		if (set < 0)
			return set;
		ayrei_file_close(pipe->set);
		pipe->set = set;
		pipe->set_owner = ayrei_own_process();
	}
	return pipe->set;
}

/* An end that is open now, to ask the kernel about the pipe. */
static int any_end(const struct ayre_pipe *pipe)
{
	if (pipe->read_fd >= 0)
		return pipe->read_fd;
	if (pipe->write_fd >= 0)
		return pipe->write_fd;
	return check_writing(pipe) < 0 ? -EBADF : -EAGAIN;
}

ssize_t ayre_pipe_capacity(const struct ayre_pipe *pipe)
{
	int fd = any_end(pipe);

	return fd < 0 ? fd : ayrei_pipe_capacity(fd);
}

ssize_t ayre_pipe_fill(const struct ayre_pipe *pipe)
{
	int fd = any_end(pipe);

	return fd < 0 ? fd : ayrei_pipe_fill(fd);
}

/* --- attempts, and the waits between them --- */

static ssize_t take(struct ayre_pipe *pipe, void *buffer, size_t length)
{
	return pipe->end ? ayrei_fifo_take(pipe, buffer, length)
	                 : ayrei_pipe_try_read(pipe->read_fd, buffer, length);
}

static ssize_t put(struct ayre_pipe *pipe, const void *bytes, size_t length)
{
	return pipe->end ? ayrei_fifo_put(pipe, bytes, length)
	                 : ayrei_pipe_try_write(pipe->write_fd, bytes, length);
}

/* 0: it is worth another attempt. */
static int wait_until(const struct ayre_pipe *pipe, int fd, unsigned int wanted,
                      int64_t deadline_ns)
{
	int ready = pipe->end ? ayrei_wait_for(pipe->set, AYREI_READABLE, deadline_ns)
	                      : ayrei_wait_for(fd, wanted, deadline_ns);

	if (ready == 0)
		return -ETIMEDOUT;
	return ready < 0 ? ready : 0;
}

/* --- reading --- */

static int check_read(const struct ayre_pipe *pipe, size_t length)
{
	int result = check_reading(pipe);

	return result == 0 && length == 0 ? -EINVAL : result;
}

ssize_t ayre_pipe_try_read(struct ayre_pipe *pipe, void *buffer, size_t length)
{
	int result = check_read(pipe, length);

	return result < 0 ? result : take(pipe, buffer, length);
}

ssize_t ayre_pipe_read_until(struct ayre_pipe *pipe, void *buffer, size_t length,
                             int64_t deadline_ns)
{
	ssize_t result = check_read(pipe, length);

	while (result == 0) {
		ssize_t got = take(pipe, buffer, length);

		if (got != -EAGAIN)
			return got;
		result = wait_until(pipe, pipe->read_fd, AYREI_READABLE, deadline_ns);
	}
	return result;
}

ssize_t ayre_pipe_read(struct ayre_pipe *pipe, void *buffer, size_t length)
{
	ssize_t got = check_read(pipe, length);

	if (got == 0 && !pipe->end)
		got = ayrei_pipe_read(pipe->read_fd, buffer, length);
	/* Named; or whoever shares our end has made it one that does not block. */
	else if (got == 0)
		got = -EAGAIN;
	return got == -EAGAIN ? ayre_pipe_read_until(pipe, buffer, length, AYRE_NO_DEADLINE) : got;
}

/* --- writing --- */

static int check_write(const struct ayre_pipe *pipe, size_t length)
{
	int result = check_writing(pipe);

	return result == 0 && length > SSIZE_MAX ? -EINVAL : result;
}

ssize_t ayre_pipe_try_write(struct ayre_pipe *pipe, const void *bytes, size_t length)
{
	int result = check_write(pipe, length);

	return result < 0 ? result : put(pipe, bytes, length);
}

/* What stopped a write that had put some bytes: they are told now, the reason by the next call. */
static ssize_t stop(struct ayre_pipe *pipe, size_t done, ssize_t reason)
{
	if (done == 0)
		return reason;
	/* A named pipe that loses its reader says so once, and would not say it again. */
	if (pipe->end && reason == -EPIPE)
		pipe->owed = -EPIPE;
	return (ssize_t)done;
}

ssize_t ayre_pipe_write_until(struct ayre_pipe *pipe, const void *bytes, size_t length,
                              int64_t deadline_ns)
{
	ssize_t result = check_write(pipe, length);
	size_t done = 0;

	if (result < 0)
		return result;
	/* At least once: a named pipe's empty write waits for a reader. */
	for (;;) {
		result = put(pipe, (const char *)bytes + done, length - done);
		if (result >= 0)
			done += (size_t)result;
		if (result >= 0 && done == length)
			return (ssize_t)done;
		if (result == -EAGAIN)
			result = wait_until(pipe, pipe->write_fd, AYREI_WRITABLE, deadline_ns);
		if (result < 0)
			return stop(pipe, done, result);
	}
}

ssize_t ayre_pipe_write(struct ayre_pipe *pipe, const void *bytes, size_t length)
{
	ssize_t result = check_write(pipe, length);
	size_t done = 0;

	if (result < 0)
		return result;
	if (pipe->end)
		return ayre_pipe_write_until(pipe, bytes, length, AYRE_NO_DEADLINE);
	while (result >= 0 && done < length) {
		result =
			ayrei_pipe_write(pipe->write_fd, (const char *)bytes + done, length - done);
		if (result > 0)
			done += (size_t)result;
		/* Whoever shares our end has made it one that does not block. */
		else if (result == -EAGAIN)
			result = wait_until(pipe, pipe->write_fd, AYREI_WRITABLE, AYRE_NO_DEADLINE);
	}
	return result < 0 ? stop(pipe, done, result) : (ssize_t)done;
}

static int check_message(size_t length)
{
	if (length == 0)
		return -EINVAL;
	return length > AYRE_PIPE_MESSAGE_MAX ? -EMSGSIZE : 0;
}

/* Up to that length the kernel puts all or nothing. */
static int whole(ssize_t result)
{
	return result < 0 ? (int)result : 0;
}

int ayre_pipe_send(struct ayre_pipe *pipe, const void *message, size_t length)
{
	int result = check_message(length);

	return result < 0 ? result : whole(ayre_pipe_write(pipe, message, length));
}

int ayre_pipe_try_send(struct ayre_pipe *pipe, const void *message, size_t length)
{
	int result = check_message(length);

	return result < 0 ? result : whole(ayre_pipe_try_write(pipe, message, length));
}
