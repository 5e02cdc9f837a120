/*
 * Bells. What comes out of one is a hint and nothing more: whoever may ring can write any bytes, any
 * number of them. So what is drained at once is bounded, and the rest is there the next time.
 */
#include "topic/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/system.h"
#include "topic/layout.h"

/*
 * No bell of ours blocks: RWF_NOWAIT, which the streams use, is not for named pipes.
 *
 * Its owner reads; everybody else who can come into the directory rings.
 */
#define BELL_MODE 0622

/* By way of a place, so that what has the name meanwhile is not opened for what it is not. */
static int open_end(const char *path, int flags)
{
	ayrei_auto_fd int place = ayrei_file_open(path, O_PATH | O_NOFOLLOW, 0);
	struct stat status;
	int result = place < 0 ? place : ayrei_file_status(place, &status);

	if (result < 0)
		return result;
	return S_ISFIFO(status.st_mode) ? ayrei_fifo_open(place, flags) : -EMEDIUMTYPE;
}

/*
 * Whatever the umask. By way of a place, too: whoever owns the directory can put a link where the name
 * was, and we may be allowed more than they are.
 */
static int set_mode(const char *path)
{
	ayrei_auto_fd int place = ayrei_file_open(path, O_PATH | O_NOFOLLOW, 0);
	char self[AYREI_SELF_BYTES];
	struct stat status;
	int result = place < 0 ? place : ayrei_file_status(place, &status);

	if (result < 0)
		return result;
	if (!S_ISFIFO(status.st_mode) || status.st_uid != ayrei_user())
		return -EEXIST;
	return ayrei_path_set_mode(ayrei_self_path(place, self), BELL_MODE);
}

/*
 * The owner's lock, and whether it came in time. The race is with ayrei_bell_clear(), between a name
 * that is there and a lock that is not yet:
 *
 *     owner                                  who clears away
 *     makes the name
 *                                            opens it, locks it: it has no owner
 *     opens it; the lock is taken: -EBUSY
 *                                            removes the name
 *
 * or the owner's lock comes after that removal, and the name is not there. A name is never made twice
 * before its file is there, so that what is removed is what was locked; and after that, who clears
 * away leaves it alone, or has the lock of the file.
 */
static int own(int fd, const char *path)
{
	struct stat named, status;
	int result = ayrei_file_try_lock(fd);

	if (result == 0)
		result = ayrei_file_status(fd, &status);
	if (result == 0)
		result = ayrei_path_status(path, false, &named);
	if (result == -EWOULDBLOCK || result == -ENOENT ||
	    (result == 0 && (named.st_ino != status.st_ino || named.st_dev != status.st_dev)))
		return -EBUSY;
	return result;
}

int ayrei_bell_make(const char *path)
{
	ayrei_auto_fd int fd = -1;
	int result;

	(void)!ayrei_file_unlink(path);
	result = ayrei_fifo_make(path, BELL_MODE);
	if (result == 0)
		result = set_mode(path);
	/* With a writing end of our own, or the last to leave would be heard for ever. */
	if (result == 0)
		result = fd = open_end(path, O_RDWR);
	if (result == -ENOENT || result == -EEXIST)
		return -EBUSY;
	if (result >= 0)
		result = own(fd, path);
	if (result < 0 && result != -EBUSY)
		(void)!ayrei_file_unlink(path);
	return result < 0 ? result : ayrei_take_fd(&fd);
}

int ayrei_bell_clear(const char *path, const char *file)
{
	ayrei_auto_fd int fd = open_end(path, O_RDWR);
	int result = fd < 0 ? fd : ayrei_file_try_lock(fd);
	struct stat status;

	if (result == -EWOULDBLOCK)
		return 0;
	/* With the lock: from here on nobody who has yet to give the file its name will. */
	if (result == 0)
		result = ayrei_path_status(file, false, &status);
	if (result != -ENOENT)
		return result;
	result = ayrei_file_unlink(path);
	return result < 0 ? result : 1;
}

int ayrei_bell_reopen(int fd, bool alone)
{
	char self[AYREI_SELF_BYTES];

	if (!alone)
		return ayrei_fifo_open(fd, O_RDWR);
	return ayrei_descriptor_above_standard(
		ayrei_file_open_blocking(ayrei_self_path(fd, self), O_RDONLY, 0));
}

int ayrei_bell_take(int fd, bool hears)
{
	struct stat status;
	int result = ayrei_file_status(fd, &status);

	if (result < 0)
		return result;
	if (!S_ISFIFO(status.st_mode))
		return -EPROTO;
	result = ayrei_fifo_open(fd, hears ? O_RDONLY : O_WRONLY);
	if (result >= 0 || result == -EMFILE || result == -ENFILE || result == -ENOMEM)
		return result;
	/* There is no /proc here, it is another user's, or nobody has the other end. */
	return ayrei_file_duplicate(fd);
}

bool ayrei_bell_close(int fd)
{
	ayrei_auto_fd int other = fd < 0 ? -1 : ayrei_fifo_open(fd, O_WRONLY);
	int ready;

	if (fd < 0)
		return false;
	ayrei_file_close(fd);
	ready = other < 0 ? other : ayrei_wait_for(other, 0, 0);
	return ready < 0 || !((unsigned int)ready & AYREI_HANGUP);
}

int ayrei_bell_open(const char *path)
{
	return open_end(path, O_WRONLY);
}

void ayrei_bell_ring(int fd, char what)
{
	/* -EAGAIN: full of rings. -EPIPE: nobody is there, and the hang-up tells. */
	if (fd >= 0)
		(void)!ayrei_pipe_write(fd, &what, 1);
}

struct ayrei_bell_news ayrei_bell_drain(int fd)
{
	struct ayrei_bell_news news = {0};
	char bytes[512];
	ssize_t got = ayrei_pipe_read(fd, bytes, sizeof(bytes));

	if (got > 0) {
		/* Behind so many rings there may have been no room for another. */
		bool full = (size_t)got == sizeof(bytes);

		news.rung = true;
		news.joined = full || memchr(bytes, AYREI_BELL_JOIN, (size_t)got) != NULL;
		news.left = full || memchr(bytes, AYREI_BELL_LEAVE, (size_t)got) != NULL;
	}
	news.ended = got == 0 || news.left;
	return news;
}
