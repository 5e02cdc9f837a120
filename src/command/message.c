/*
 * Being interrupted, and waiting.
 *
 * Invariant: a signal that ends us is noticed by whatever we wait for, whenever it comes. A call that
 * blocks is ended by the signal itself; one that was about to begin, by the alarm that follows.
 */
#include "command/message.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"

static volatile sig_atomic_t ended_by;

static void handle(int number)
{
	if (!ended_by)
		ended_by = number;
	/* Again and again, until we have ended. */
	alarm(1);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void message_begin(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	struct sigaction action = {.sa_handler = handle}, before;

	raise_descriptor_limit();
	/* Without it, a file cut short by its owner ends us, and nobody else. */
	(void)!ayre_guard_install();
	/* The files that we made are to be removed first. */
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < COUNT_OF(signals); i++) {
		/* What nohup(1) and the like have switched off stays off. */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

int message_interrupted(void)
{
	return ended_by;
}

int message_end(int exit_code)
{
	int number = ended_by;

	if (number) {
		signal(number, SIG_DFL);
		raise(number);
	}
	return exit_code;
}

int64_t message_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t message_deadline(int64_t timeout_ns)
{
	int64_t now = message_now_ns();

	return timeout_ns > AYRE_NO_DEADLINE - now ? AYRE_NO_DEADLINE : now + timeout_ns;
}

/* What poll(2) takes: rounded up, so that it is not asked again and again at the end. */
static int left_ms(int64_t deadline_ns)
{
	int64_t left;

	if (deadline_ns == AYRE_NO_DEADLINE)
		return -1;
	left = (deadline_ns - message_now_ns() + 999999) / 1000000;
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

enum message_wait message_wait(int fd, short events, int64_t deadline_ns, bool watch_output)
{
	/* Of standard output only that its reader has gone, which poll(2) tells unasked. */
	struct pollfd watched[] = {
		{.fd = fd, .events = events},
		{.fd = watch_output ? STDOUT_FILENO : -1},
	};

	for (;;) {
		int ready = poll(watched, COUNT_OF(watched), left_ms(deadline_ns));

		if (ended_by)
			return WAIT_INTERRUPTED;
		if (ready > 0 && watched[1].revents & POLLNVAL)
			return WAIT_NO_OUTPUT;
		if (ready > 0 && watched[1].revents)
			return WAIT_READER_GONE;
		if (ready > 0)
			return WAIT_READY;
		if (deadline_ns <= message_now_ns())
			return WAIT_DEADLINE;
	}
}
