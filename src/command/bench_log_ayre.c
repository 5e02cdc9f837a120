/*
 * Topics as logs: one in memory, which is the floor of what a publisher pays, and those on a disk.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <ayre.h>

#include "command/bench_log.h"

#define BATCH 512

/*
 * Of one whose thread flushes: the publisher goes on meanwhile, as far as there is room. Where nothing is flushed the
 * ring is as large as that of a topic in memory, for a larger one fits into no cache that is near.
 */
#define THREADED_RING ((uint64_t)4 << 20)

struct topic_log {
	char path[4200];
	struct ayre_publisher *publisher;
	bool waits; /* what has been appended is safe */
};

static int open_topic(const struct log_store_options *options, uint32_t sync, uint32_t flags,
                      void **ret_log)
{
	const struct ayre_topic_options topic = {
		.size = sizeof(topic),
		.sync = sync,
		.ring_bytes = sync == AYRE_TOPIC_SYNC_GROUP && flags & AYRE_PUBLISHER_THREAD
	                              ? THREADED_RING
	                              : 0,
	};
	const struct ayre_publisher_options publisher = {
		.size = sizeof(publisher),
		.flags = flags,
		.topic = &topic,
	};
	struct topic_log *log = calloc(1, sizeof(*log));
	int result;

	if (!log)
		return -ENOMEM;
	snprintf(log->path, sizeof(log->path), "%s", options->path);
	log->waits = options->safe && !(flags & AYRE_PUBLISHER_THREAD);
	result = ayre_publisher_open(&publisher, log->path, &log->publisher, NULL);
	if (result < 0)
		free(log);
	else
		*ret_log = log;
	return result;
}

static int open_volatile(const struct log_store_options *options, void **ret_log)
{
	return open_topic(options, AYRE_TOPIC_SYNC_DEFAULT, 0, ret_log);
}

/* A flush when it is asked for, one for all that has been sent by then. */
static int open_grouped(const struct log_store_options *options, void **ret_log)
{
	return open_topic(options, AYRE_TOPIC_SYNC_GROUP, 0, ret_log);
}

/* A thread of the publisher's flushes, while more is sent. */
static int open_threaded(const struct log_store_options *options, void **ret_log)
{
	return open_topic(options, AYRE_TOPIC_SYNC_GROUP, AYRE_PUBLISHER_THREAD, ret_log);
}

static int open_lazy(const struct log_store_options *options, void **ret_log)
{
	return open_topic(options, AYRE_TOPIC_SYNC_NONE, 0, ret_log);
}

static int open_lazy_threaded(const struct log_store_options *options, void **ret_log)
{
	return open_topic(options, AYRE_TOPIC_SYNC_NONE, AYRE_PUBLISHER_THREAD, ret_log);
}

static void close_topic(void *log)
{
	struct topic_log *topic = log;

	ayre_publisher_close(topic->publisher);
	free(topic);
}

static int append(void *log, uint64_t first, const struct log_message *messages, size_t count)
{
	struct topic_log *topic = log;
	int result = 0;

	(void)first;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = ayre_publisher_send(topic->publisher, messages[i].bytes,
		                             sizeof(messages[i].bytes));
	return result == 0 && topic->waits ? ayre_publisher_sync(topic->publisher) : result;
}

/* Until all of it is safe: of who appends without waiting. */
static int finish(void *log)
{
	return ayre_publisher_sync(((struct topic_log *)log)->publisher);
}

static int send_together(void *log, const struct log_message *messages, size_t count)
{
	struct ayre_publisher *publisher = ((struct topic_log *)log)->publisher;
	struct iovec parts[LOG_BATCH_MAX];
	size_t done = 0;

	for (size_t i = 0; i < count; i++)
		parts[i] = (struct iovec){(void *)(uintptr_t)messages[i].bytes,
		                          sizeof(messages[i].bytes)};
	while (done < count) {
		ssize_t sent = ayre_publisher_send_batch(publisher, parts + done, count - done);

		if (sent < 0)
			return (int)sent;
		done += (size_t)sent;
	}
	return 0;
}

/* As an event loop does: by the descriptor. */
static int64_t await_safe(void *log)
{
	struct ayre_publisher *publisher = ((struct topic_log *)log)->publisher;
	struct pollfd event = {.fd = ayre_publisher_safe_fd(publisher), .events = POLLIN};

	while (poll(&event, 1, -1) == -1)
		if (errno != EINTR)
			return -errno;
	return ayre_publisher_safe_messages(publisher);
}

static int check(const struct ayre_message *message, uint64_t number)
{
	if (message->bytes != LOG_MESSAGE_BYTES || message->sequence != number)
		return -EBADMSG;
	return log_message_check(message->data, number);
}

static int subscribe(const struct topic_log *topic, uint32_t from, int64_t value,
                     struct ayre_subscriber **ret_subscriber)
{
	const struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.flags = AYRE_SUBSCRIBER_LOSSY,
		.from = from,
		.from_value = value,
	};

	return ayre_subscriber_open(&options, topic->path, ret_subscriber, NULL);
}

static int scan(void *log, uint64_t count)
{
	struct ayre_message messages[BATCH];
	struct ayre_subscriber *subscriber;
	int result = subscribe(log, AYRE_FROM_OLDEST, 0, &subscriber);

	if (result < 0)
		return result;
	for (uint64_t number = 0; result == 0 && number < count;) {
		ssize_t got = ayre_subscriber_try_peek_batch(subscriber, messages, BATCH);

		for (ssize_t i = 0; result == 0 && i < got; i++)
			result = check(&messages[i], number++);
		if (got <= 0)
			result = got < 0 ? (int)got : -EBADMSG;
		if (result == 0)
			result = ayre_subscriber_release(subscriber);
	}
	ayre_subscriber_close(subscriber);
	return result;
}

/* Who looks for one message opens a subscriber for it. */
static int find(void *log, uint64_t number)
{
	struct ayre_message message;
	struct ayre_subscriber *subscriber;
	int result = subscribe(log, AYRE_FROM_SEQUENCE, (int64_t)number, &subscriber);

	if (result < 0)
		return result;
	result = ayre_subscriber_try_peek(subscriber, &message);
	if (result == 0)
		result = check(&message, number);
	ayre_subscriber_close(subscriber);
	return result;
}

/* It keeps the newest alone, so there is nothing to look for. */
const struct log_store bench_log_volatile = {
	.open = open_volatile,
	.close = close_topic,
	.append = append,
};

const struct log_store bench_log_ayre = {
	.open = open_grouped,
	.close = close_topic,
	.append = append,
	.scan = scan,
	.find = find,
};

const struct log_store bench_log_ayre_threaded = {
	.open = open_threaded,
	.close = close_topic,
	.append = append,
	.finish = finish,
	.send = send_together,
	.await = await_safe,
	.scan = scan,
	.find = find,
};

const struct log_store bench_log_ayre_lazy = {
	.open = open_lazy,
	.close = close_topic,
	.append = append,
	.scan = scan,
	.find = find,
};

const struct log_store bench_log_ayre_lazy_threaded = {
	.open = open_lazy_threaded,
	.close = close_topic,
	.append = append,
	.finish = finish,
	.scan = scan,
	.find = find,
};
