/*
 * Messages by topics: copied in and out, or written and read in place; spinning or asleep.
 *
 * Invariant: both sides know each other before the first message, so none is missed; and receiving ends when
 * the other process does.
 */
#include "command/bench_topic.h"

#include <stdio.h>

/* --- open --- */

static void topic_path(const struct topic_end *end, bool there, char path[256])
{
	snprintf(path, 256, "%s/row%zu-%s", end->directory, end->row, there ? "there" : "back");
}

static int subscribe(struct topic_end *end, int64_t spin_ns)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .ring_bytes = end->parameter};
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.topic = &topic,
		.spin_ns = spin_ns,
		.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
	};
	char path[256];

	topic_path(end, !end->is_near, path);
	return ayre_subscriber_open(&options, path, &end->subscriber, NULL);
}

static int publish(struct topic_end *end, int64_t spin_ns)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .ring_bytes = end->parameter};
	struct ayre_publisher_options options = {
		.size = sizeof(options),
		.topic = &topic,
		.spin_ns = spin_ns,
	};
	char path[256];
	int result;

	topic_path(end, end->is_near, path);
	result = ayre_publisher_open(&options, path, &end->publisher, NULL);
	if (result == 0)
		result = ayre_publisher_wait_subscribers(end->publisher, 1,
		                                         bench_topic_now_ns() + TOPIC_DEADLINE_NS);
	return result < 0 ? result : 0;
}

/* To listen first is what both have to do, so that each finds the other. */
static int open_both(struct topic_end *end, int64_t spin_ns)
{
	int result = subscribe(end, spin_ns);

	return result < 0 ? result : publish(end, spin_ns);
}

static int open_spinning(struct topic_end *end)
{
	return open_both(end, AYRE_SPIN_FOREVER);
}

static int open_asleep(struct topic_end *end)
{
	return open_both(end, AYRE_SPIN_NONE);
}

static int open_adaptive(struct topic_end *end)
{
	return open_both(end, AYRE_SPIN_ADAPT);
}

/* The far one publishes, the near one subscribes. */
static int open_one_way(struct topic_end *end, int64_t spin_ns)
{
	return end->is_near ? subscribe(end, spin_ns) : publish(end, spin_ns);
}

static int open_stream(struct topic_end *end)
{
	return open_one_way(end, AYRE_SPIN_ADAPT);
}

static int open_spinning_stream(struct topic_end *end)
{
	return open_one_way(end, AYRE_SPIN_FOREVER);
}

static void close_both(struct topic_end *end)
{
	ayre_publisher_close(end->publisher);
	ayre_subscriber_close(end->subscriber);
}

/* --- copied --- */

TOPIC_INLINE int send_copy(struct topic_end *end)
{
	end->message[0] = end->sent++;
	return ayre_publisher_send(end->publisher, end->message, end->message_bytes);
}

TOPIC_INLINE int check_copy(struct topic_end *end, ssize_t got)
{
	if (got < 0)
		return (int)got;
	return (uint64_t)got == end->message_bytes ? topic_check(end, end->buffer) : -EBADMSG;
}

TOPIC_INLINE int receive_copy(struct topic_end *end)
{
	ssize_t got = -EAGAIN;

	for (uint64_t turn = 0; got == -EAGAIN && turn < TOPIC_TURNS_MAX; turn++)
		got = ayre_subscriber_try_receive(end->subscriber, end->buffer, end->message_bytes,
		                                  NULL);
	return check_copy(end, got);
}

/* By the call that waits, as its options say; without a deadline, as those of its peers. */
TOPIC_INLINE int receive_waiting(struct topic_end *end)
{
	return check_copy(end, ayre_subscriber_receive(end->subscriber, end->buffer,
	                                               end->message_bytes, NULL));
}

/* As one who does not want to wait for ever. */
TOPIC_INLINE int receive_in_time(struct topic_end *end)
{
	int64_t deadline_ns = bench_topic_now_ns() + TOPIC_DEADLINE_NS;

	return check_copy(end,
	                  ayre_subscriber_receive_until(end->subscriber, end->buffer,
	                                                end->message_bytes, NULL, deadline_ns));
}

TOPIC_ROUND_TRIPS(copied, send_copy, receive_copy)
TOPIC_ROUND_TRIPS(in_time, send_copy, receive_in_time)
TOPIC_ROUND_TRIPS(waiting, send_copy, receive_waiting)
TOPIC_STREAM(stream_copied, send_copy, receive_waiting)

const struct topic_way bench_topic_copied = {
	.open = open_spinning,
	.close = close_both,
	.near = copied_near,
	.far = copied_far,
};

const struct topic_way bench_topic_asleep = {
	.open = open_asleep,
	.close = close_both,
	.near = waiting_near,
	.far = waiting_far,
};

const struct topic_way bench_topic_asleep_in_time = {
	.open = open_asleep,
	.close = close_both,
	.near = in_time_near,
	.far = in_time_far,
};

const struct topic_way bench_topic_adaptive = {
	.open = open_adaptive,
	.close = close_both,
	.near = waiting_near,
	.far = waiting_far,
};

const struct topic_way bench_topic_stream_copied = {
	.open = open_stream,
	.close = close_both,
	.near = stream_copied_near,
	.far = stream_copied_far,
};

/* Each message at once, and fewer of them. */
const struct topic_way bench_topic_stream_spinning = {
	.open = open_spinning_stream,
	.close = close_both,
	.near = stream_copied_near,
	.far = stream_copied_far,
};

/* --- in place --- */

TOPIC_INLINE int send_place(struct topic_end *end)
{
	void *data;
	int result = ayre_publisher_reserve(end->publisher, end->message_bytes, &data);

	if (result < 0)
		return result;
	topic_write(end, data);
	return ayre_publisher_commit(end->publisher, end->message_bytes);
}

TOPIC_INLINE int read_place(struct topic_end *end, int result, const struct ayre_message *message)
{
	int released;

	if (result < 0)
		return result;
	result = message->bytes == end->message_bytes ? topic_check(end, message->data) : -EBADMSG;
	released = ayre_subscriber_release(end->subscriber);
	return result < 0 ? result : released;
}

TOPIC_INLINE int receive_place(struct topic_end *end)
{
	struct ayre_message message;
	int result = -EAGAIN;

	for (uint64_t turn = 0; result == -EAGAIN && turn < TOPIC_TURNS_MAX; turn++)
		result = ayre_subscriber_try_peek(end->subscriber, &message);
	return read_place(end, result, &message);
}

TOPIC_INLINE int receive_place_waiting(struct topic_end *end)
{
	struct ayre_message message;

	return read_place(end, ayre_subscriber_peek(end->subscriber, &message), &message);
}

TOPIC_ROUND_TRIPS(placed, send_place, receive_place)
TOPIC_STREAM(stream_placed, send_copy, receive_place_waiting)

const struct topic_way bench_topic_placed = {
	.open = open_spinning,
	.close = close_both,
	.near = placed_near,
	.far = placed_far,
};

/* Copied in, because what is sent lies somewhere before it is sent; read in place. */
const struct topic_way bench_topic_stream_placed = {
	.open = open_stream,
	.close = close_both,
	.near = stream_placed_near,
	.far = stream_placed_far,
};

/* --- several at once --- */

static int batch_near(struct topic_end *end, uint64_t count)
{
	struct ayre_message messages[TOPIC_BATCH];
	int result = 0;

	for (uint64_t done = 0, turn = 0; result == 0 && done < count;) {
		uint64_t left = count - done;
		ssize_t got = ayre_subscriber_try_peek_batch(
			end->subscriber, messages, left < TOPIC_BATCH ? left : TOPIC_BATCH);

		if (got == -EAGAIN && ++turn < TOPIC_TURNS_MAX)
			continue;
		if (got < 0)
			return (int)got;
		for (ssize_t i = 0; result == 0 && i < got; i++)
			result = messages[i].bytes == end->message_bytes
			                 ? topic_check(end, messages[i].data)
			                 : -EBADMSG;
		done += (uint64_t)got;
		if (result == 0)
			result = ayre_subscriber_release(end->subscriber);
	}
	return result;
}

static int batch_far(struct topic_end *end, uint64_t count)
{
	uint64_t words = end->message_bytes / sizeof(uint64_t);
	struct iovec messages[TOPIC_BATCH];

	for (uint64_t done = 0; done < count;) {
		uint64_t left = count - done, wanted = left < TOPIC_BATCH ? left : TOPIC_BATCH;
		ssize_t sent;

		for (uint64_t i = 0; i < wanted; i++) {
			uint64_t *message = end->message + i * words;

			message[0] = end->sent + i;
			messages[i] = (struct iovec){message, end->message_bytes};
		}
		sent = ayre_publisher_send_batch(end->publisher, messages, wanted);
		if (sent < 0)
			return (int)sent;
		end->sent += (uint64_t)sent;
		done += (uint64_t)sent;
	}
	return 0;
}

const struct topic_way bench_topic_stream_batch = {
	.open = open_stream,
	.close = close_both,
	.near = batch_near,
	.far = batch_far,
};
