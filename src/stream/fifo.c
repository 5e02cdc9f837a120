/*
 * Named pipes: ends that do not wait for each other.
 *
 * Invariant: ayre_pipe_fd() becomes readable whenever the next attempt has something to do, and an
 * attempt that finds nothing makes it quiet: no loop is busy, and none waits in vain.
 *
 * The reading end. While nobody has written, a writing end of our own (the keeper) keeps the end
 * of file away; it goes when the first bytes have come, so that the end of those who wrote
 * them is seen; and it is taken again when that end has been told. Bytes and hang-up are levels, not
 * events: whichever comes first, the other is still there afterwards.
 *
 * The writing end. Nothing can be polled for a reader, but inotify(7) tells of an opening. The race:
 *
 *   we: open is ENXIO                              we: wait
 *                       reader: opens, is told
 *
 * is decided by the watch, which is older than the first attempt: the opening is in its queue. That
 * queue is emptied only between an attempt that found nobody and another attempt, so no
 * opening is ever thrown away unseen; and what comes of a reader who has left again, or of
 * somebody else's opening, is one attempt that finds nobody.
 *
 * A reader that blocks in open(2), as cat(1) does, has opened nothing yet and nobody is told. Only
 * an attempt finds it, so while nobody reads one is due every RETRY_NS. To hold an end
 * meanwhile, with which such a reader would not block, takes a reading end at least for a
 * moment; other writers would take that for a reader, and lose what they write.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "stream/handle.h"
#include "sys/event.h"
#include "sys/pipe.h"
#include "sys/system.h"

#define DEFAULT_MODE 0600

#define RETRY_NS INT64_C(100000000)

/* --- the name --- */

/* One line for what every call on a name can meet. */
static int fail_on(const char *path, const char *step, int code, struct ayre_error *error)
{
	const char *detail = code == -EMEDIUMTYPE ? "it is no named pipe" : NULL;

	return ayrei_fail(error, code, step, path, detail ? "%s" : NULL, detail);
}

static int no_path(struct ayre_error *error)
{
	return ayrei_fail(error, -EINVAL, "path", "named pipe", "there is no path");
}

int ayre_fifo_create(const struct ayre_pipe_options *options, const char *path,
                     struct ayre_error *error)
{
	struct ayre_pipe_options copy;
	int result;

	if (!path)
		return no_path(error);
	result = ayrei_pipe_prepare(&copy, options, path, error);
	if (result < 0)
		return result;
	result = ayrei_fifo_make(path, copy.mode ? copy.mode : DEFAULT_MODE);
	return result < 0 ? fail_on(path, "create", result, error) : 0;
}

int ayre_fifo_remove(const char *path, struct ayre_error *error)
{
	struct stat status;
	int result;

	if (!path)
		return no_path(error);
	/* Linux cannot remove by descriptor: what takes the name's place just now is not safe. */
	result = ayrei_path_status(path, false, &status);
	if (result == 0 && !S_ISFIFO(status.st_mode))
		result = -EMEDIUMTYPE;
	if (result == 0)
		result = ayrei_file_unlink(path);
	return result < 0 ? fail_on(path, "remove", result, error) : 0;
}

static void wish_capacity(const struct ayre_pipe *pipe, int fd)
{
	if (pipe->capacity_bytes)
		(void)!ayrei_pipe_ask_capacity(fd, pipe->capacity_bytes);
}

/* --- the reading end --- */

/* Takes a writing end of our own, if there is none. */
static int keep(struct ayre_pipe *pipe)
{
	if (pipe->keeper < 0)
		pipe->keeper = ayrei_fifo_open(pipe->read_fd, O_WRONLY);
	return pipe->keeper < 0 ? pipe->keeper : 0;
}

ssize_t ayrei_fifo_take(struct ayre_pipe *pipe, void *buffer, size_t length)
{
	ssize_t got;

	if (!pipe->connected) {
		got = keep(pipe);
		if (got < 0)
			return got;
	}
	got = ayrei_pipe_read(pipe->read_fd, buffer, length);
	if (got > 0 && !pipe->connected) {
		pipe->connected = true;
		pipe->keeper = ayrei_file_close(pipe->keeper);
	}
	if (got == 0) {
		pipe->connected = false;
		/* If that fails, the next attempt says so. */
		(void)!keep(pipe);
	}
	return got;
}

static int open_reading(struct ayre_pipe *pipe, int place, const char *path,
                        struct ayre_error *error)
{
	int result = pipe->read_fd = ayrei_fifo_open(place, O_RDONLY);

	if (result < 0)
		return fail_on(path, "open", result, error);
	result = keep(pipe);
	if (result == -EACCES)
		return ayrei_fail(error, result, "open", path,
		                  "a reading end takes permission to write as well");
	if (result < 0)
		return fail_on(path, "open", result, error);
	result = ayrei_set_add(pipe->set, pipe->read_fd, AYREI_READABLE, 0);
	if (result < 0)
		return fail_on(path, "epoll", result, error);
	wish_capacity(pipe, pipe->read_fd);
	return 0;
}

/* --- the writing end --- */

static int open_for_reader(const struct ayre_pipe *pipe)
{
	int fd = ayrei_fifo_open(pipe->place, O_WRONLY);

	/* What has been told of until now, this second attempt sees. */
	if (fd == -ENXIO && pipe->watch >= 0 && ayrei_watch_clear(pipe->watch))
		fd = ayrei_fifo_open(pipe->place, O_WRONLY);
	return fd;
}

/* Nobody reads. Can anybody come? After the watch was cleared: the name goes before it is told. */
static int absent(const struct ayre_pipe *pipe)
{
	struct stat status;
	int result = ayrei_file_status(pipe->place, &status);
	bool stale = result == 0 && status.st_nlink == 0;

	if (result == 0)
		result = ayrei_timer_set(pipe->timer,
		                         stale ? INT64_MAX : ayrei_monotonic_ns() + RETRY_NS);
	if (result < 0)
		return result;
	return stale ? -ESTALE : -EAGAIN;
}

/* What is waited for while nobody reads, and not while somebody does. */
static void wait_for_openings(const struct ayre_pipe *pipe, bool wait)
{
	if (pipe->watch >= 0)
		(void)!ayrei_set_change(pipe->set, pipe->watch, wait ? AYREI_READABLE : 0, 0);
	/* At once: whoever comes next may have come already. */
	(void)!ayrei_timer_set(pipe->timer, wait ? 0 : INT64_MAX);
}

/* 0: there is a reader. */
static int reach(struct ayre_pipe *pipe)
{
	ayrei_auto_fd int fd = open_for_reader(pipe);
	int result;

	if (fd < 0)
		return fd == -ENXIO ? absent(pipe) : fd;
	result = ayrei_set_add(pipe->set, fd, AYREI_WRITABLE, 0);
	if (result < 0)
		return result;
	wait_for_openings(pipe, false);
	wish_capacity(pipe, fd);
	pipe->write_fd = ayrei_take_fd(&fd);
	return 0;
}

static void lose(struct ayre_pipe *pipe)
{
	pipe->write_fd = ayrei_pipe_let_go(pipe, pipe->write_fd);
	wait_for_openings(pipe, true);
}

ssize_t ayrei_fifo_put(struct ayre_pipe *pipe, const void *bytes, size_t length)
{
	ssize_t result = pipe->owed;

	pipe->owed = 0;
	if (result == 0 && pipe->write_fd < 0)
		result = reach(pipe);
	if (result < 0)
		return result;
	result = ayrei_pipe_write(pipe->write_fd, bytes, length);
	if (result == -EPIPE)
		lose(pipe);
	return result;
}

/* Who may write but not read may not watch: then there are only the attempts. */
static int watch(struct ayre_pipe *pipe)
{
	int result = pipe->watch = ayrei_watch_opening(pipe->place);

	if (result == -EACCES)
		return 0;
	return result < 0 ? result : ayrei_set_add(pipe->set, pipe->watch, AYREI_READABLE, 0);
}

static int open_writing(struct ayre_pipe *pipe, int *place, const char *path,
                        struct ayre_error *error)
{
	int result;

	pipe->place = ayrei_take_fd(place);
	result = watch(pipe);
	if (result == -EMFILE)
		return ayrei_fail(error, result, "watch", path,
		                  "no descriptors, or no inotify instances, are left "
		                  "(fs.inotify.max_user_instances)");
	if (result < 0)
		return fail_on(path, "watch", result, error);
	result = pipe->timer = ayrei_timer_open();
	if (result >= 0)
		result = ayrei_set_add(pipe->set, pipe->timer, AYREI_READABLE, 0);
	if (result < 0)
		return fail_on(path, "timer", result, error);
	result = reach(pipe);
	return result < 0 && result != -EAGAIN ? fail_on(path, "open", result, error) : 0;
}

/* --- both --- */

static int open_end(struct ayre_pipe *pipe, const char *path, struct ayre_error *error)
{
	ayrei_auto_fd int place = ayrei_fifo_find(path);

	if (place < 0)
		return fail_on(path, "open", place, error);
	pipe->set = ayrei_set_open();
	if (pipe->set < 0)
		return fail_on(path, "epoll", pipe->set, error);
	pipe->set_owner = ayrei_own_process();
	return pipe->end == AYRE_FIFO_READ ? open_reading(pipe, place, path, error)
	                                   : open_writing(pipe, &place, path, error);
}

int ayre_fifo_open(const struct ayre_pipe_options *options, const char *path,
                   enum ayre_fifo_end end, struct ayre_pipe **ret_pipe, struct ayre_error *error)
{
	struct ayre_pipe_options copy;
	struct ayre_pipe *pipe;
	int result;

	if (!path)
		return no_path(error);
	result = ayrei_pipe_prepare(&copy, options, path, error);
	if (result < 0)
		return result;
	if (end != AYRE_FIFO_READ && end != AYRE_FIFO_WRITE)
		return ayrei_fail(error, -EINVAL, "end", path, "it is neither of the two ends");
	pipe = ayrei_pipe_new(&copy);
	if (!pipe)
		return ayrei_fail(error, -ENOMEM, "handle", path, NULL);
	pipe->end = end;
	result = open_end(pipe, path, error);
	if (result < 0) {
		ayre_pipe_close(pipe);
		return result;
	}
	*ret_pipe = pipe;
	return 0;
}

int ayre_fifo_is_connected(const struct ayre_pipe *pipe)
{
	int ready;

	if (pipe->end == AYRE_FIFO_READ)
		return pipe->connected;
	if (pipe->end != AYRE_FIFO_WRITE || pipe->write_fd < 0)
		return 0;
	ready = ayrei_wait_for(pipe->write_fd, 0, 0);
	return ready >= 0 && !((unsigned int)ready & AYREI_HANGUP);
}
