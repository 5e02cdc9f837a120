/*
 * Pipes: thin verbs over the system calls, a write that raises no signal, and reads and writes
 * that do not wait although the descriptor, which a child may share, would.
 *
 * Invariant: the calling thread's signal mask and pending signals are after a write what they
 * were before, and no descriptor's flags are changed on the way.
 */
#include "sys/pipe.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/event.h"
#include "sys/file.h"
#include "sys/result.h"
#include "sys/signal.h"

/* linux/fs.h, Linux 6.18; Debian 12's headers are older. */
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

_Static_assert(AYREI_PIPE_WHOLE_BYTES == PIPE_BUF, "what the C library says of this kernel");

#define FIRST_FREE 3

/* A power of two, as the kernel rounds up to one. */
#define MOST_CAPACITY (1 << 30)

int ayrei_descriptor_above_standard(int fd)
{
	int moved;

	if (fd < 0 || fd >= FIRST_FREE)
		return fd;
	moved = AYREI_RESULT(fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE));
	ayrei_file_close(fd);
	return moved;
}

int ayrei_descriptor_is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

int ayrei_pipe_open(int ret_fds[2])
{
	int fds[2], result = AYREI_RESULT(pipe2(fds, O_CLOEXEC));

	if (result < 0)
		return result;
	fds[0] = ayrei_descriptor_above_standard(fds[0]);
	fds[1] = ayrei_descriptor_above_standard(fds[1]);
	result = fds[0] < 0 ? fds[0] : fds[1];
	if (result < 0) {
		ayrei_file_close(fds[0]);
		ayrei_file_close(fds[1]);
		return result;
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

ssize_t ayrei_pipe_capacity(int fd)
{
	return AYREI_RESULT(fcntl(fd, F_GETPIPE_SZ));
}

ssize_t ayrei_pipe_ask_capacity(int fd, uint64_t capacity_bytes)
{
	/* The kernel takes an int, and refuses what is beyond its limits with EPERM. */
	int wanted = capacity_bytes > MOST_CAPACITY ? MOST_CAPACITY : (int)capacity_bytes;
	ssize_t had = ayrei_pipe_capacity(fd), granted;

	do {
		granted = AYREI_RESULT(fcntl(fd, F_SETPIPE_SZ, wanted));
		wanted /= 2;
	} while (granted < 0 && wanted > had && had > 0);
	return granted >= 0 ? granted : had;
}

ssize_t ayrei_pipe_fill(int fd)
{
	int fill, result = AYREI_RESULT(ioctl(fd, FIONREAD, &fill));

	return result < 0 ? result : fill;
}

int ayrei_descriptor_is_blocking(int fd)
{
	int flags = AYREI_RESULT(fcntl(fd, F_GETFL));

	return flags < 0 ? flags : !(flags & O_NONBLOCK);
}

int ayrei_descriptor_set_blocking(int fd, bool blocking)
{
	int flags = AYREI_RESULT(fcntl(fd, F_GETFL));

	if (flags < 0)
		return flags;
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return AYREI_RESULT(fcntl(fd, F_SETFL, flags));
}

/* What this kernel turned out not to have: found out at the first use, for good. */
static atomic_bool no_quiet_writes; /* RWF_NOSIGNAL, Linux 6.18 */
static atomic_bool no_nowait;       /* RWF_NOWAIT on anonymous pipes, Linux 6.4 */

static bool is_missing(const atomic_bool *feature)
{
	return atomic_load_explicit(feature, memory_order_relaxed);
}

static void note_missing(atomic_bool *feature)
{
	atomic_store_explicit(feature, true, memory_order_relaxed);
}

static bool is_unknown(ssize_t result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS;
}

static ssize_t write_with(int fd, const void *bytes, size_t length, int flags)
{
	struct iovec vector = {(void *)(uintptr_t)bytes, length};

	return AYREI_RESULT(pwritev2(fd, &vector, 1, -1, flags));
}

/* For kernels before 6.18. A write that put some bytes before the last reader left raises it too. */
static ssize_t write_masked(int fd, const void *bytes, size_t length, int flags)
{
	struct ayrei_signal_hold hold;
	ssize_t result;

	ayrei_sigpipe_hold(&hold);
	result = flags ? write_with(fd, bytes, length, flags)
	               : AYREI_RESULT(write(fd, bytes, length));
	ayrei_sigpipe_release(&hold);
	return result;
}

/* flags: 0 or RWF_NOWAIT, of which -EOPNOTSUPP says that this descriptor does not know it. */
static ssize_t write_quietly(int fd, const void *bytes, size_t length, int flags)
{
	ssize_t result;

	if (!is_missing(&no_quiet_writes)) {
		result = write_with(fd, bytes, length, flags | RWF_NOSIGNAL);
		if (!is_unknown(result))
			return result;
	}
	result = write_masked(fd, bytes, length, flags);
	/* Then it was the other flag. */
	if (!is_unknown(result))
		note_missing(&no_quiet_writes);
	return result;
}

bool ayrei_pipe_writes_quietly(void)
{
	return !is_missing(&no_quiet_writes);
}

bool ayrei_pipe_tries_at_once(void)
{
	return !is_missing(&no_nowait);
}

ssize_t ayrei_pipe_write(int fd, const void *bytes, size_t length)
{
	return write_quietly(fd, bytes, length, 0);
}

/*
 * For kernels before 6.4. Writable means a free page, and that much does not block, unless another
 * writer of the same pipe takes the page in between.
 */
static ssize_t write_polled(int fd, const void *bytes, size_t length)
{
	size_t done = 0;
	ssize_t result = 0;

	while (result >= 0 && done < length) {
		size_t part = length - done < AYREI_PIPE_WHOLE_BYTES ? length - done
		                                                     : AYREI_PIPE_WHOLE_BYTES;

		result = ayrei_wait_for(fd, AYREI_WRITABLE, 0);
		if (result == 0)
			result = -EAGAIN;
		if (result > 0)
			result = write_quietly(fd, (const char *)bytes + done, part, 0);
		if (result > 0)
			done += (size_t)result;
	}
	return done ? (ssize_t)done : result;
}

ssize_t ayrei_pipe_try_write(int fd, const void *bytes, size_t length)
{
	ssize_t result;

	if (!is_missing(&no_nowait)) {
		result = write_quietly(fd, bytes, length, RWF_NOWAIT);
		if (!is_unknown(result))
			return result;
		note_missing(&no_nowait);
	}
	return write_polled(fd, bytes, length);
}

ssize_t ayrei_pipe_read(int fd, void *buffer, size_t length)
{
	return AYREI_RESULT(read(fd, buffer, length));
}

ssize_t ayrei_pipe_try_read(int fd, void *buffer, size_t length)
{
	struct iovec vector = {buffer, length};
	ssize_t result;

	if (!is_missing(&no_nowait)) {
		result = AYREI_RESULT(preadv2(fd, &vector, 1, -1, RWF_NOWAIT));
		if (!is_unknown(result))
			return result;
		note_missing(&no_nowait);
	}
	result = ayrei_wait_for(fd, AYREI_READABLE, 0);
	if (result == 0)
		return -EAGAIN;
	return result < 0 ? result : ayrei_pipe_read(fd, buffer, length);
}

ssize_t ayrei_pipe_tee(int from, int to, size_t length)
{
	return AYREI_RESULT(tee(from, to, length, SPLICE_F_NONBLOCK));
}

ssize_t ayrei_pipe_splice(int from, int to, size_t length)
{
	return AYREI_RESULT(
		splice(from, NULL, to, NULL, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
}

int ayrei_fifo_make(const char *path, mode_t mode)
{
	return AYREI_RESULT(mkfifo(path, mode));
}

int ayrei_fifo_find(const char *path)
{
	/* O_PATH opens nothing, whatever it is: a device would notice. */
	int place = ayrei_descriptor_above_standard(ayrei_file_open(path, O_PATH, 0));
	struct stat status;
	int result;

	if (place < 0)
		return place;
	result = ayrei_file_status(place, &status);
	if (result == 0 && !S_ISFIFO(status.st_mode))
		result = -EMEDIUMTYPE;
	if (result < 0)
		ayrei_file_close(place);
	return result < 0 ? result : place;
}

int ayrei_fifo_open(int place, int flags)
{
	char self[AYREI_SELF_BYTES];

	return ayrei_descriptor_above_standard(
		ayrei_file_open(ayrei_self_path(place, self), flags | O_NONBLOCK, 0));
}
