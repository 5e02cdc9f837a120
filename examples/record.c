/*
 * A recorder, and its replay: messages of any topic, kept in one on a disk, and sent once more with the pace they had.
 *
 *   record keep TOPIC LOG
 *   record play [-w SUBSCRIBERS] [-f TIME] [-s SPEED] LOG TOPIC
 *
 * keep: LOG is a path on a disk. Ends when every publisher of TOPIC has closed, and says how many messages are safe
 * whenever it has caught up: these are there whatever becomes of it, or of the machine. Run again, it goes on behind them.
 * play: -f begins with what was recorded at TIME (seconds since 1970, with a fraction) or later, -s plays so many times as fast (0: at once), -w
 * waits for so many subscribers first. Exits with 1 if something in LOG is damaged, and plays the rest.
 *
 * Compiled by
 *
 *   cc -o record record.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

struct record {
	struct ayre_subscriber *from;
	struct ayre_publisher *to;
	char *buffer;
	size_t buffer_bytes;
	double speed;
	int64_t first_ns, began_ns; /* of the first message: when it was recorded, and is played */
	bool damaged;
};

static int usage(void)
{
	fprintf(stderr, "usage: record keep TOPIC LOG\n"
	                "       record play [-w SUBSCRIBERS] [-f TIME] [-s SPEED] LOG TOPIC\n");
	return 2;
}

static int fail(const char *what, int code)
{
	fprintf(stderr, "record: %s: %s\n", what, strerror(-code));
	return code;
}

static int fail_opening(const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "record: %s\n", ayre_error_text(error, text, sizeof(text)));
	return error->code;
}

/* --- one message after another --- */

/* Its size; or a negative errno: -EAGAIN, there is none now. */
static ssize_t take(struct record *record, struct ayre_message *message)
{
	for (;;) {
		ssize_t got = ayre_subscriber_try_receive(record->from, record->buffer,
		                                          record->buffer_bytes, message);
		char *grown;

		if (got != -EMSGSIZE)
			return got;
		grown = realloc(record->buffer, (size_t)message->bytes);
		if (!grown)
			return -ENOMEM;
		record->buffer = grown;
		record->buffer_bytes = (size_t)message->bytes;
	}
}

/* What is no end: the others go on. */
static bool is_passed_over(struct record *record, ssize_t code)
{
	struct ayre_subscriber_info info = {.size = sizeof(info)};

	if (code != -EBADMSG && code != -EPROTO)
		return false;
	record->damaged = true;
	if (code == -EBADMSG && ayre_subscriber_get_info(record->from, &info) == 0)
		fprintf(stderr, "record: damaged: messages %llu to %llu\n",
		        (unsigned long long)info.damaged_first,
		        (unsigned long long)info.damaged_end);
	return true;
}

/* --- keeping --- */

static int say_safe(struct record *record)
{
	struct ayre_publisher_info info = {.size = sizeof(info)};
	int result = ayre_publisher_sync(record->to);

	if (result == 0)
		result = ayre_publisher_get_info(record->to, &info);
	if (result < 0)
		return fail("not safe", result);
	printf("%llu safe\n", (unsigned long long)info.safe_messages);
	return fflush(stdout) == 0 ? 0 : fail("standard output", -EIO);
}

static int keep(struct record *record)
{
	struct ayre_subscriber *from = record->from;
	struct ayre_message message;
	bool is_safe = false;

	for (;;) {
		ssize_t got = take(record, &message);
		int result = 0;

		if (got >= 0) {
			result = ayre_publisher_send(record->to, record->buffer, (size_t)got);
			is_safe = false;
			if (result < 0)
				return fail("not kept", result);
			continue;
		}
		/* One flush for all that came together; then there is time to wait. */
		if (!is_safe && got != -EBADMSG && got != -EPROTO) {
			result = say_safe(record);
			is_safe = true;
		}
		if (result == 0 && got == -EAGAIN)
			result = ayre_subscribers_wait(&from, 1, AYRE_NO_DEADLINE);
		if (result < 0)
			return result;
		if (got != -EAGAIN && !is_passed_over(record, got))
			return got == -EPIPE ? 0 : fail("the recorded topic", (int)got);
	}
}

/* --- playing --- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Until it is due. A clock that was set back while it was recorded makes nobody wait. */
static void pace(struct record *record, int64_t time_ns)
{
	int64_t due_ns;
	struct timespec due;

	if (record->speed <= 0 || time_ns < 0)
		return;
	if (record->began_ns == 0) {
		record->began_ns = now_ns();
		record->first_ns = time_ns;
	}
	due_ns = record->began_ns + (int64_t)((double)(time_ns - record->first_ns) / record->speed);
	due = (struct timespec){due_ns / 1000000000, due_ns % 1000000000};
	if (due_ns > now_ns())
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
			;
}

static int play(struct record *record, unsigned int subscribers)
{
	struct ayre_subscriber *from = record->from;
	struct ayre_message message;
	int result = ayre_publisher_wait_subscribers(record->to, subscribers, AYRE_NO_DEADLINE);

	while (result >= 0) {
		ssize_t got = take(record, &message);

		if (got >= 0) {
			pace(record, message.time_ns);
			result = ayre_publisher_send(record->to, record->buffer, (size_t)got);
		} else if (got == -EAGAIN) {
			result = ayre_subscribers_wait(&from, 1, AYRE_NO_DEADLINE);
		} else if (!is_passed_over(record, got)) {
			/* A recorder that died left what was safe. */
			return got == -EPIPE || got == -EOWNERDEAD ? 0 : fail("log", (int)got);
		}
	}
	return fail("not sent", result);
}

/* --- both --- */

static int run(const struct ayre_subscriber_options *from, const char *from_name,
               const struct ayre_publisher_options *to, const char *to_name, unsigned int wait,
               double speed)
{
	struct record record = {.speed = speed};
	struct ayre_error error;
	int result = ayre_publisher_open(to, to_name, &record.to, &error);

	if (result == 0)
		result = ayre_subscriber_open(from, from_name, &record.from, &error);
	if (result < 0)
		result = fail_opening(&error);
	else
		result = to->flags & AYRE_PUBLISHER_STAMP ? keep(&record) : play(&record, wait);
	ayre_subscriber_close(record.from);
	ayre_publisher_close(record.to);
	free(record.buffer);
	return result < 0 || record.damaged;
}

int main(int argc, char **argv)
{
	struct ayre_topic_options log = {.size = sizeof(log), .flags = AYRE_TOPIC_DURABLE};
	struct ayre_subscriber_options from = {
		.size = sizeof(from),
		.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
		.from = AYRE_FROM_OLDEST,
	};
	struct ayre_publisher_options to = {.size = sizeof(to)};
	bool plays = argc > 1 && strcmp(argv[1], "play") == 0;
	unsigned int subscribers = 0;
	double speed = 1;
	int option;

	if (argc < 2 || (!plays && strcmp(argv[1], "keep") != 0))
		return usage();
	while ((option = getopt(argc - 1, argv + 1, plays ? "w:f:s:" : "")) != -1) {
		if (option == 'w') {
			subscribers = (unsigned int)strtoul(optarg, NULL, 10);
		} else if (option == 'f') {
			from.from = AYRE_FROM_TIME;
			from.from_value = (int64_t)(strtod(optarg, NULL) * 1e9);
		} else if (option == 's') {
			speed = strtod(optarg, NULL);
		} else {
			return usage();
		}
	}
	if (argc - 1 - optind != 2)
		return usage();
	if (plays) {
		from.flags |= AYRE_SUBSCRIBER_EXISTING;
	} else {
		to.flags = AYRE_PUBLISHER_STAMP;
		to.topic = &log;
	}
	return run(&from, argv[optind + 1], &to, argv[optind + 2], subscribers, speed);
}
