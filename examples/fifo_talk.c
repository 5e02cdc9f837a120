/*
 * Two processes over a named pipe in asynchronous mode (system S9): neither end ever blocks to wait
 * for the other, whoever comes first, leaves, or comes back.
 *
 *   fifo_talk PATH say COUNT       says a line every 50 milliseconds, to whoever listens
 *   fifo_talk PATH listen COUNT    prints what it hears, until speakers have left COUNT times
 *
 * Each has one loop over poll(2), and its own work to do meanwhile: here, to count ticks of a clock.
 * PATH is made if it is missing. What nobody listens to is dropped, and counted.
 *
 * Compiled by
 *
 *   cc -o fifo_talk fifo_talk.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ayre.h>

#define TICK_NS (50 * 1000 * 1000)

struct talk {
	struct ayre_pipe *pipe;
	long wanted;
	long said, dropped;
	long heard, left; /* bytes, and how many times the speakers have */
	long ticks;       /* the work */
	int failure;
};

static int complain(const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "fifo_talk: %s\n", ayre_error_text(error, text, sizeof(text)));
	return 1;
}

/* One line, if somebody listens and has room. */
static void say(struct talk *talk)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "line %ld of %ld\n",
	                      talk->said + talk->dropped + 1, talk->wanted);
	int result = ayre_pipe_try_send(talk->pipe, line, (size_t)length);

	if (result == -EPIPE) {
		printf("the listener has left\n");
		/* The next may be here already. */
		result = ayre_pipe_try_send(talk->pipe, line, (size_t)length);
	}
	if (result == 0)
		talk->said++;
	else if (result == -EAGAIN)
		talk->dropped++;
	else
		talk->failure = result;
}

/* All that is there: the descriptor stays readable until then, so it could also be a part. */
static void listen_to(struct talk *talk)
{
	char bytes[4096];
	ssize_t got = ayre_pipe_try_read(talk->pipe, bytes, sizeof(bytes));

	if (got > 0) {
		talk->heard += got;
		printf("%.*s", (int)got, bytes);
	} else if (got == 0) {
		talk->left++;
		printf("the speakers have left\n");
	} else if (got != -EAGAIN) {
		talk->failure = (int)got;
	}
}

static void tick(struct talk *talk, int clock)
{
	unsigned long long count;

	if (read(clock, &count, sizeof(count)) == sizeof(count))
		talk->ticks += (long)count;
}

static int open_clock(void)
{
	struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};
	int clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (clock >= 0 && timerfd_settime(clock, 0, &every, NULL) == -1) {
		close(clock);
		return -1;
	}
	return clock;
}

/* A speaker speaks by the clock; a listener is told when there is something to hear. */
static void run(struct talk *talk, int clock, int speaks)
{
	struct pollfd events[] = {
		{.fd = clock, .events = POLLIN},
		{.fd = speaks ? -1 : ayre_pipe_fd(talk->pipe), .events = POLLIN},
	};

	while (talk->failure == 0 && talk->left < talk->wanted &&
	       talk->said + talk->dropped < talk->wanted) {
		if (poll(events, 2, -1) == -1 && errno != EINTR)
			talk->failure = -errno;
		if (events[1].revents)
			listen_to(talk);
		if (events[0].revents) {
			tick(talk, clock);
			if (speaks)
				say(talk);
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	int speaks = argc == 4 && strcmp(argv[2], "say") == 0, clock, result;
	struct talk talk = {0};
	struct ayre_error error;

	if (!speaks && (argc != 4 || strcmp(argv[2], "listen") != 0)) {
		fprintf(stderr, "usage: fifo_talk PATH say COUNT | listen COUNT\n");
		return 2;
	}
	talk.wanted = strtol(argv[3], NULL, 10);
	result = ayre_fifo_create(NULL, argv[1], &error);
	if (result < 0 && result != -EEXIST)
		return complain(&error);
	/* Never blocks, whether or not the other is there. */
	if (ayre_fifo_open(NULL, argv[1], speaks ? AYRE_FIFO_WRITE : AYRE_FIFO_READ, &talk.pipe,
	                   &error) < 0)
		return complain(&error);
	clock = open_clock();
	if (clock < 0) {
		perror("fifo_talk: clock");
		return 1;
	}
	run(&talk, clock, speaks);
	if (talk.failure)
		fprintf(stderr, "fifo_talk: %s: %s\n", argv[1], strerror(-talk.failure));
	if (speaks)
		printf("said %ld, dropped %ld, in %ld ticks\n", talk.said, talk.dropped,
		       talk.ticks);
	else
		printf("heard %ld bytes in %ld ticks\n", talk.heard, talk.ticks);
	close(clock);
	ayre_pipe_close(talk.pipe);
	return talk.failure || ferror(stdout) || fflush(stdout) != 0;
}
