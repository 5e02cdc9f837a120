/*
 * A price ticker, its receiving end; publisher.c is the other.
 *
 *   subscriber [-l] [-o] [-p MILLISECONDS] TOPIC
 *
 * Prints prices as they come, until every publisher that was there has closed. -l: no publisher
 * waits for us, and what we miss is counted; -o: begins with the oldest price that is still there; -p
 * pauses after each, as a slow reader would. Exits with 3 if a publisher died without closing.
 *
 * Compiled by
 *
 *   cc -o subscriber subscriber.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

#include "price.h"

static int usage(void)
{
	fprintf(stderr, "usage: subscriber [-l] [-o] [-p MILLISECONDS] TOPIC\n");
	return 2;
}

static bool read_arguments(int argc, char **argv, struct ayre_subscriber_options *options,
                           long *pause_ms)
{
	int option;

	while ((option = getopt(argc, argv, "lop:")) != -1) {
		if (option == 'l')
			options->flags |= AYRE_SUBSCRIBER_LOSSY;
		else if (option == 'o')
			options->from = AYRE_FROM_OLDEST;
		else if (option == 'p')
			*pause_ms = strtol(optarg, NULL, 10);
		else
			return false;
	}
	return argc - optind == 1;
}

static void pause_for(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	if (ms > 0)
		nanosleep(&time, NULL);
}

static ssize_t receive(struct ayre_subscriber *subscriber, struct price *price)
{
	ssize_t got = ayre_subscriber_try_receive(subscriber, price, sizeof(*price), NULL);

	if (got != -EAGAIN)
		return got;
	/* What was printed is to be seen before we sleep. */
	fflush(stdout);
	return ayre_subscriber_receive(subscriber, price, sizeof(*price), NULL);
}

static void print(const struct price *price)
{
	long long cents = price->cents;

	printf("%.*s %llu: %s%lld.%02lld\n", (int)sizeof(price->what), price->what,
	       (unsigned long long)price->number, cents < 0 ? "-" : "", llabs(cents) / 100,
	       llabs(cents) % 100);
}

/* Until -EPIPE, -EOWNERDEAD, or something that we cannot go on after. */
static ssize_t subscribe(struct ayre_subscriber *subscriber, long pause_ms)
{
	struct price price;

	for (;;) {
		ssize_t got = receive(subscriber, &price);

		if (got == sizeof(price)) {
			print(&price);
			pause_for(pause_ms);
		} else if (got == -EPROTO) {
			/* It is left alone from now on. */
			fprintf(stderr, "subscriber: a publisher breaks the format\n");
		} else {
			return got < 0 ? got : -EBADMSG;
		}
	}
}

static void tell_end(const struct ayre_subscriber *subscriber, ssize_t end)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};

	if (ayre_subscriber_get_info(subscriber, &info) < 0)
		return;
	if (end == -EOWNERDEAD)
		fprintf(stderr, "subscriber: a publisher died after its message %llu\n",
		        (unsigned long long)info.lost_sequence);
	else if (end != -EPIPE)
		fprintf(stderr, "subscriber: %s\n", strerror((int)-end));
	fprintf(stderr, "received %llu, missed %llu\n", (unsigned long long)info.received,
	        (unsigned long long)info.missed);
}

int main(int argc, char **argv)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .tag = PRICE_TAG};
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
		.topic = &topic,
	};
	struct ayre_subscriber *subscriber;
	struct ayre_error error;
	long pause_ms = 0;
	char text[640];
	ssize_t end;

	if (!read_arguments(argc, argv, &options, &pause_ms))
		return usage();
	if (ayre_subscriber_open(&options, argv[optind], &subscriber, &error) < 0) {
		fprintf(stderr, "subscriber: %s\n", ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	end = subscribe(subscriber, pause_ms);
	tell_end(subscriber, end);
	ayre_subscriber_close(subscriber);
	if (fflush(stdout) != 0)
		return 1;
	return end == -EPIPE ? 0 : end == -EOWNERDEAD ? 3 : 1;
}
