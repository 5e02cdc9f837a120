/*
 * Waiting: thin verbs over poll, epoll, timerfd and inotify.
 */
#include "sys/event.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/result.h"

#define SECOND_NS 1000000000

#define MOST_AT_ONCE AYREI_WAIT_ANY_MAX

int64_t ayrei_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* What is left, never negative. */
static struct timespec remaining(int64_t deadline_ns)
{
	int64_t left = deadline_ns - ayrei_monotonic_ns();

	if (left < 0)
		left = 0;
	return (struct timespec){.tv_sec = left / SECOND_NS, .tv_nsec = left % SECOND_NS};
}

static unsigned int from_poll(unsigned int events)
{
	return (events & POLLIN ? AYREI_READABLE : 0) | (events & POLLOUT ? AYREI_WRITABLE : 0) |
	       (events & (POLLHUP | POLLERR) ? AYREI_HANGUP : 0);
}

int ayrei_wait_for(int fd, unsigned int wanted, int64_t deadline_ns)
{
	struct pollfd poll_fd = {
		.fd = fd,
		.events = (short)((wanted & AYREI_READABLE ? POLLIN : 0) |
	                          (wanted & AYREI_WRITABLE ? POLLOUT : 0)),
	};
	int result;

	do {
		struct timespec left;

		if (deadline_ns != INT64_MAX)
			left = remaining(deadline_ns);
		result = ppoll(&poll_fd, 1, deadline_ns == INT64_MAX ? NULL : &left, NULL);
	} while (result == -1 && errno == EINTR);
	if (result == -1)
		return -errno;
	if (poll_fd.revents & POLLNVAL)
		return -EBADF;
	return (int)from_poll((unsigned int)poll_fd.revents);
}

int ayrei_wait_for_any(const int *fds, int count, int64_t deadline_ns)
{
	struct pollfd poll_fds[MOST_AT_ONCE];
	int result;

	if (count > MOST_AT_ONCE)
		return -EINVAL;
	for (int i = 0; i < count; i++)
		poll_fds[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	do {
		struct timespec left;

		if (deadline_ns != INT64_MAX)
			left = remaining(deadline_ns);
		result = ppoll(poll_fds, (nfds_t)count, deadline_ns == INT64_MAX ? NULL : &left,
		               NULL);
	} while (result == -1 && errno == EINTR);
	return result == -1 ? -errno : result;
}

/* --- sets --- */

/* EPOLLIN and the others are POLLIN and the others (epoll_ctl(2)). */
static uint32_t to_epoll(unsigned int wanted)
{
	return (wanted & AYREI_READABLE ? (uint32_t)EPOLLIN : 0) |
	       (wanted & AYREI_WRITABLE ? (uint32_t)EPOLLOUT : 0);
}

int ayrei_set_open(void)
{
	return ayrei_descriptor_above_standard(AYREI_RESULT(epoll_create1(EPOLL_CLOEXEC)));
}

static int control(int set, int operation, int fd, unsigned int wanted, uint64_t tag)
{
	struct epoll_event event = {.events = to_epoll(wanted), .data.u64 = tag};

	return AYREI_RESULT(epoll_ctl(set, operation, fd, &event));
}

int ayrei_set_add(int set, int fd, unsigned int wanted, uint64_t tag)
{
	return control(set, EPOLL_CTL_ADD, fd, wanted, tag);
}

int ayrei_set_change(int set, int fd, unsigned int wanted, uint64_t tag)
{
	return control(set, EPOLL_CTL_MOD, fd, wanted, tag);
}

int ayrei_set_remove(int set, int fd)
{
	return control(set, EPOLL_CTL_DEL, fd, 0, 0);
}

int ayrei_set_wait(int set, struct ayrei_event *events, int most, int64_t deadline_ns)
{
	struct epoll_event ready[MOST_AT_ONCE];
	int count;

	if (most > MOST_AT_ONCE)
		most = MOST_AT_ONCE;
	do {
		struct timespec left = {0};

		if (deadline_ns != INT64_MAX && deadline_ns != 0)
			left = remaining(deadline_ns);
		count = epoll_pwait2(set, ready, most, deadline_ns == INT64_MAX ? NULL : &left,
		                     NULL);
	} while (count == -1 && errno == EINTR);
	if (count == -1)
		return -errno;
	for (int i = 0; i < count; i++)
		events[i] = (struct ayrei_event){ready[i].data.u64, from_poll(ready[i].events)};
	return count;
}

/* --- time --- */

int ayrei_flag_open(void)
{
	return ayrei_descriptor_above_standard(
		AYREI_RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

void ayrei_flag_raise(int flag)
{
	/* Raised already, if it cannot be. */
	(void)!eventfd_write(flag, 1);
}

int ayrei_flag_clear(int flag)
{
	eventfd_t raises;

	return eventfd_read(flag, &raises) == 0;
}

int ayrei_timer_open(void)
{
	return ayrei_descriptor_above_standard(
		AYREI_RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)));
}

int ayrei_timer_set(int timer, int64_t deadline_ns)
{
	struct itimerspec when = {0};

	if (deadline_ns != INT64_MAX) {
		/* All zero would mean never. */
		int64_t at = deadline_ns > 0 ? deadline_ns : 1;

		when.it_value.tv_sec = at / SECOND_NS;
		when.it_value.tv_nsec = at % SECOND_NS;
	}
	return AYREI_RESULT(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL));
}

/* --- names --- */

int ayrei_watch_opening(int place)
{
	int watch = ayrei_descriptor_above_standard(
		AYREI_RESULT(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)));
	char self[AYREI_SELF_BYTES];
	int result;

	if (watch < 0)
		return watch;
	/* Its attributes change when a name of it goes. */
	result = AYREI_RESULT(
		inotify_add_watch(watch, ayrei_self_path(place, self), IN_OPEN | IN_ATTRIB));
	if (result < 0)
		ayrei_file_close(watch);
	return result < 0 ? result : watch;
}

int ayrei_watch_clear(int watch)
{
	_Alignas(struct inotify_event) char events[4096];
	int found = 0;

	while (AYREI_RETRY(read(watch, events, sizeof(events))) > 0)
		found = 1;
	return found;
}
