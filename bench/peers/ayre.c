/*
 * ayre in the same harness as its peers.
 */
#include "peer.h"

#include <sys/stat.h>

#include <ayre.h>

static struct ayre_publisher *publisher;
static struct ayre_subscriber *subscriber;
static char directory[64];

static const char *peer_left_out(const struct peer *peer)
{
	(void)peer;
	return NULL;
}

static void topic_path(const struct peer *peer, const char *channel, char path[128])
{
	snprintf(directory, sizeof(directory), "/dev/shm/.ayre-peers-%s", peer->run);
	(void)mkdir(directory, 0700);
	snprintf(path, 128, "%s/%s", directory, channel);
}

static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	struct ayre_topic_options topic = {.size = sizeof(topic)};
	struct ayre_subscriber_options subscriber_options = {.size = sizeof(subscriber_options)};
	struct ayre_publisher_options publisher_options = {.size = sizeof(publisher_options)};
	char path[128];

	if (peer->bytes > topic.ring_bytes / 4 && peer->bytes > 256 << 10)
		topic.ring_bytes = 16 * peer->bytes;
	subscriber_options.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED;
	publisher_options.topic = subscriber_options.topic = &topic;
	publisher_options.spin_ns = peer->sleeps ? AYRE_SPIN_NONE : AYRE_SPIN_FOREVER;
	/* Of a stream as of anything else unless told otherwise; an answer is wanted at once. */
	subscriber_options.spin_ns =
		sends || peer->sleeps ? publisher_options.spin_ns : AYRE_SPIN_ADAPT;
	if (receives) {
		topic_path(peer, receives, path);
		errno = -ayre_subscriber_open(&subscriber_options, path, &subscriber, NULL);
		if (errno)
			peer_fail("ayre_subscriber_open");
	}
	if (sends) {
		topic_path(peer, sends, path);
		errno = -ayre_publisher_open(&publisher_options, path, &publisher, NULL);
		if (errno)
			peer_fail("ayre_publisher_open");
		if (ayre_publisher_wait_subscribers(publisher, peer->readers,
		                                    peer_now_ns() + INT64_C(10000000000)) < 0)
			peer_fail("ayre_publisher_wait_subscribers");
	}
}

/* The near one closes last, and takes away what is left. */
static void peer_close(struct peer *peer)
{
	static const char *const channels[] = {"there", "back"};

	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	for (int i = 0; peer->is_near && i < 2; i++) {
		char path[128];

		topic_path(peer, channels[i], path);
		(void)!ayre_topic_remove(path, true, NULL);
	}
	if (peer->is_near)
		rmdir(directory);
}

static void peer_send(struct peer *peer, const void *data)
{
	errno = -ayre_publisher_send(publisher, data, peer->bytes);
	if (errno)
		peer_fail("ayre_publisher_send");
}

static bool copies_out(const struct peer *peer)
{
	return peer->sleeps || peer->bytes <= 64;
}

/* Several share a processor: who finds nothing gives it up. */
static ssize_t receive_by_turns(struct peer *peer, struct ayre_message *message)
{
	ssize_t got;

	do {
		got = copies_out(peer) ? ayre_subscriber_try_receive(subscriber, peer->copy,
		                                                     peer->bytes, message)
		                       : ayre_subscriber_try_peek(subscriber, message);
		if (got == -EAGAIN)
			peer_turn(peer);
	} while (got == -EAGAIN);
	return got;
}

/* Small ones are copied out, large ones read in place: what a user would do. A dead publisher ends it. */
static const void *peer_receive(struct peer *peer)
{
	struct ayre_message message;
	ssize_t got;

	if (peer->readers > 1 && !peer->sleeps)
		got = receive_by_turns(peer, &message);
	else if (copies_out(peer))
		got = ayre_subscriber_receive(subscriber, peer->copy, peer->bytes, &message);
	else
		got = ayre_subscriber_peek(subscriber, &message);
	errno = got < 0 ? (int)-got : 0;
	if (errno)
		peer_fail("receiving");
	return message.data;
}

static void peer_release(struct peer *peer)
{
	if (!copies_out(peer) && ayre_subscriber_release(subscriber) < 0)
		peer_fail("ayre_subscriber_release");
}
