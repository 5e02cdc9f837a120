/*
 * A price ticker, its sending end; subscriber.c is the other. Any number of both may run at once, and come
 * and leave as they like.
 *
 *   publisher [-l] [-w SUBSCRIBERS] [-p MILLISECONDS] TOPIC WHAT COUNT
 *
 * Sends COUNT prices of WHAT. A reliable topic waits for the slowest of its subscribers; -l makes a
 * lossy one, if it is missing, which waits for nobody. -w waits for so many subscribers first, -p
 * pauses after each price.
 *
 * Compiled by
 *
 *   cc -o publisher publisher.c $(pkg-config --cflags --libs ayre)
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

#include "price.h"

struct ticker {
	unsigned int subscribers; /* to wait for */
	long pause_ms;
	const char *topic, *what;
	uint64_t count;
};

static int usage(void)
{
	fprintf(stderr, "usage: publisher [-l] [-w SUBSCRIBERS] [-p MILLISECONDS] "
	                "TOPIC WHAT COUNT\n");
	return 2;
}

static bool read_arguments(int argc, char **argv, struct ticker *ticker,
                           struct ayre_topic_options *topic)
{
	int option;

	while ((option = getopt(argc, argv, "lw:p:")) != -1) {
		if (option == 'l')
			topic->flags |= AYRE_TOPIC_LOSSY;
		else if (option == 'w')
			ticker->subscribers = (unsigned int)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			ticker->pause_ms = strtol(optarg, NULL, 10);
		else
			return false;
	}
	if (argc - optind != 3)
		return false;
	ticker->topic = argv[optind];
	ticker->what = argv[optind + 1];
	ticker->count = strtoull(argv[optind + 2], NULL, 10);
	return true;
}

static void pause_for(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	if (ms > 0)
		nanosleep(&time, NULL);
}

/* Up or down by ten cents at the most. */
static void change(struct price *price)
{
	price->number++;
	price->cents += (int64_t)(price->number * 7919 % 21) - 10;
}

static int publish(struct ayre_publisher *publisher, const struct ticker *ticker)
{
	struct price price = {.cents = 10000};
	int result = ayre_publisher_wait_subscribers(publisher, ticker->subscribers,
	                                             ticker->subscribers ? AYRE_NO_DEADLINE : 0);

	memcpy(price.what, ticker->what, strnlen(ticker->what, sizeof(price.what)));
	while (result >= 0 && price.number < ticker->count) {
		change(&price);
		/* Waits, in a reliable topic, while somebody has a whole ring to read. */
		result = ayre_publisher_send(publisher, &price, sizeof(price));
		pause_for(ticker->pause_ms);
	}
	if (result < 0)
		fprintf(stderr, "publisher: %s: %s\n", ticker->topic, strerror(-result));
	return result < 0;
}

int main(int argc, char **argv)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .tag = PRICE_TAG};
	struct ayre_publisher_options options = {.size = sizeof(options), .topic = &topic};
	struct ayre_publisher_info info = {.size = sizeof(info)};
	struct ayre_publisher *publisher;
	struct ticker ticker = {0};
	struct ayre_error error;
	char text[640];
	int failed;

	if (!read_arguments(argc, argv, &ticker, &topic))
		return usage();
	if (ayre_publisher_open(&options, ticker.topic, &publisher, &error) < 0) {
		fprintf(stderr, "publisher: %s\n", ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	failed = publish(publisher, &ticker);
	if (ayre_publisher_get_info(publisher, &info) == 0)
		printf("woke subscribers %llu times, waited for them %llu times\n",
		       (unsigned long long)info.wakes, (unsigned long long)info.waits);
	/* Without this, subscribers are told that we died. */
	ayre_publisher_close(publisher);
	return failed || fflush(stdout) != 0;
}
