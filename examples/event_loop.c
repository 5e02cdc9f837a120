/*
 * One thread, one epoll(7) loop: two topics, standard input and a clock.
 *
 *   event_loop PRICES ROOM NAME
 *
 * Prints how many prices went through PRICES (see publisher.c), once a second; prints what others say in
 * ROOM; and says there, as NAME, what comes on standard input, line by line, to its end. Several of
 * these in one room talk to each other.
 *
 * Nothing here waits but epoll_wait(2). If the room is full, because somebody in it does not read, the
 * line waits until ayre_publisher_fd() tells that it may be tried again; the prices go on.
 *
 * Compiled by
 *
 *   cc -o event_loop event_loop.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ayre.h>

#include "price.h"

/* Messages of one topic in a row. What is left keeps its descriptor readable, and has the next turn. */
#define TURN 16

enum source { PRICES, ROOM, INPUT, OWN_ROOM, CLOCK };

struct desk {
	int epoll, clock;
	const char *name;
	struct ayre_subscriber *prices, *room;
	struct ayre_publisher *own; /* our voice in the room */
	uint64_t own_id;
	unsigned long long price_count;
	uint32_t lost; /* publishers of prices that died, as last told */
	/* What was typed: whole lines wait until they are said. */
	char typed[1024];
	size_t typed_bytes;
	bool room_is_full; /* a line waits, and standard input with it */
	bool input_ended;
	int failure;
};

static int complain(const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "event_loop: %s\n", ayre_error_text(error, text, sizeof(text)));
	return 1;
}

static void watch(struct desk *desk, int fd, enum source source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

	/* -EPERM: a file, which is always ready and cannot be waited for. */
	if (epoll_ctl(desk->epoll, EPOLL_CTL_ADD, fd, &event) == -1)
		desk->failure = -errno;
}

static void unwatch(struct desk *desk, int fd)
{
	if (epoll_ctl(desk->epoll, EPOLL_CTL_DEL, fd, NULL) == -1)
		desk->failure = -errno;
}

/* --- listening --- */

static bool may_go_on(struct desk *desk, ssize_t got)
{
	if (got == -EPROTO)
		printf("somebody breaks the format, and is ignored\n");
	else if (got < 0 && got != -EAGAIN)
		desk->failure = (int)got;
	return got >= 0;
}

static void count_prices(struct desk *desk)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};
	struct price price;
	ssize_t got = 0;

	for (int i = 0; i < TURN && may_go_on(desk, got); i++) {
		got = ayre_subscriber_try_receive(desk->prices, &price, sizeof(price), NULL);
		desk->price_count += got == sizeof(price);
	}
	/* A death makes the descriptor readable as well. */
	if (ayre_subscriber_get_info(desk->prices, &info) == 0 && info.publishers_lost > desk->lost)
		printf("a publisher of prices died after its message %llu\n",
		       (unsigned long long)info.lost_sequence);
	desk->lost = info.publishers_lost;
}

static void listen_to_room(struct desk *desk)
{
	char text[sizeof(desk->typed) + 64];
	struct ayre_message message;
	ssize_t got = 0;

	for (int i = 0; i < TURN && may_go_on(desk, got); i++) {
		got = ayre_subscriber_try_receive(desk->room, text, sizeof(text), &message);
		if (got > 0 && message.publisher != desk->own_id)
			printf("%.*s\n", (int)got, text);
	}
}

/* --- talking --- */

/* We wait for room, or for more to say, and never for both. */
static void set_full(struct desk *desk, bool full)
{
	int out = full ? STDIN_FILENO : ayre_publisher_fd(desk->own);
	int in = full ? ayre_publisher_fd(desk->own) : STDIN_FILENO;

	if (desk->room_is_full == full)
		return;
	desk->room_is_full = full;
	unwatch(desk, out);
	watch(desk, in, full ? OWN_ROOM : INPUT);
}

static int say_line(struct desk *desk, size_t bytes)
{
	char text[sizeof(desk->typed) + 64];
	int length =
		snprintf(text, sizeof(text), "%.32s: %.*s", desk->name, (int)bytes, desk->typed);

	return ayre_publisher_try_send(desk->own, text, (size_t)length);
}

/* Says the lines that are whole; stops at one that the room has no place for. */
static void say(struct desk *desk)
{
	char *end;

	while (desk->failure == 0 && (end = memchr(desk->typed, '\n', desk->typed_bytes))) {
		int result = say_line(desk, (size_t)(end - desk->typed));

		set_full(desk, result == -EAGAIN);
		if (result == -EAGAIN)
			return;
		if (result < 0)
			desk->failure = result;
		desk->typed_bytes -= (size_t)(end + 1 - desk->typed);
		memmove(desk->typed, end + 1, desk->typed_bytes);
	}
}

static bool is_too_long(const struct desk *desk)
{
	return desk->typed_bytes == sizeof(desk->typed) - 1 &&
	       !memchr(desk->typed, '\n', desk->typed_bytes);
}

static void read_input(struct desk *desk)
{
	ssize_t got = read(STDIN_FILENO, desk->typed + desk->typed_bytes,
	                   sizeof(desk->typed) - 1 - desk->typed_bytes);

	desk->input_ended = got <= 0;
	if (got > 0)
		desk->typed_bytes += (size_t)got;
	/* The last line may have no end; one that is too long is said in parts. */
	if (desk->typed_bytes && (got <= 0 || is_too_long(desk)))
		desk->typed[desk->typed_bytes++] = '\n';
	say(desk);
}

/* --- the loop --- */

static void tell_prices(struct desk *desk)
{
	if (desk->price_count)
		printf("%llu prices\n", desk->price_count);
	desk->price_count = 0;
}

static void tick(struct desk *desk)
{
	unsigned long long times;

	if (read(desk->clock, &times, sizeof(times)) == sizeof(times))
		tell_prices(desk);
}

static void attend(struct desk *desk, enum source source)
{
	switch (source) {
	case PRICES:
		count_prices(desk);
		break;
	case ROOM:
		listen_to_room(desk);
		break;
	case INPUT:
		read_input(desk);
		break;
	case OWN_ROOM:
		say(desk);
		break;
	case CLOCK:
		tick(desk);
		break;
	}
}

static void run(struct desk *desk)
{
	struct epoll_event events[8];

	while (desk->failure == 0 && (!desk->input_ended || desk->room_is_full)) {
		int count = epoll_wait(desk->epoll, events, 8, -1);

		if (count == -1 && errno != EINTR)
			desk->failure = -errno;
		for (int i = 0; i < count; i++)
			attend(desk, (enum source)events[i].data.u32);
		fflush(stdout);
	}
}

/* --- opening --- */

static int open_topics(struct desk *desk, const char *prices, const char *room)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .tag = PRICE_TAG};
	struct ayre_subscriber_options options = {.size = sizeof(options), .topic = &topic};
	struct ayre_publisher_options to = {.size = sizeof(to), .topic = &topic};
	struct ayre_publisher_info info = {.size = sizeof(info)};
	struct ayre_error error;

	if (ayre_subscriber_open(&options, prices, &desk->prices, &error) < 0)
		return complain(&error);
	topic = (struct ayre_topic_options){.size = sizeof(topic), .tag = "lines"};
	if (ayre_subscriber_open(&options, room, &desk->room, &error) < 0)
		return complain(&error);
	if (ayre_publisher_open(&to, room, &desk->own, &error) < 0)
		return complain(&error);
	if (ayre_publisher_get_info(desk->own, &info) == 0)
		desk->own_id = info.id;
	return 0;
}

static void open_loop(struct desk *desk)
{
	struct itimerspec every = {{1, 0}, {1, 0}};

	desk->epoll = epoll_create1(EPOLL_CLOEXEC);
	desk->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (desk->epoll == -1 || desk->clock == -1 ||
	    timerfd_settime(desk->clock, 0, &every, NULL) == -1)
		desk->failure = -errno;
	watch(desk, desk->clock, CLOCK);
	watch(desk, STDIN_FILENO, INPUT);
	watch(desk, ayre_subscriber_fd(desk->prices), PRICES);
	watch(desk, ayre_subscriber_fd(desk->room), ROOM);
}

int main(int argc, char **argv)
{
	struct desk desk = {.epoll = -1, .clock = -1};
	int failed;

	if (argc != 4) {
		fprintf(stderr, "usage: event_loop PRICES ROOM NAME\n");
		return 2;
	}
	desk.name = argv[3];
	failed = open_topics(&desk, argv[1], argv[2]);
	if (!failed) {
		open_loop(&desk);
		run(&desk);
		tell_prices(&desk);
	}
	if (desk.failure)
		fprintf(stderr, "event_loop: %s\n", strerror(-desk.failure));
	ayre_publisher_close(desk.own);
	ayre_subscriber_close(desk.room);
	ayre_subscriber_close(desk.prices);
	close(desk.clock);
	close(desk.epoll);
	return failed || desk.failure || fflush(stdout) != 0;
}
