// Boost.Interprocess message_queue: a queue in shared memory under one mutex. Spinning by its try_
// calls; with priorities, all of them alike. It has one reader for each message, so there is no fan.

#include <boost/interprocess/ipc/message_queue.hpp>

#include "peer.h"

using boost::interprocess::message_queue;

static message_queue *sender, *receiver;
static bool waits; // a stream waits too: its mutex is worse off with somebody who tries all the time

static const char *peer_left_out(const struct peer *peer)
{
	return strcmp(peer->mode, "fan") == 0 ? "a message has one reader" : nullptr;
}

static message_queue *open_queue(const struct peer *peer, const char *channel)
{
	char name[96];

	snprintf(name, sizeof(name), "ayre-peers-boost-%s-%s", peer->run, channel);
	return new message_queue(boost::interprocess::open_or_create, name,
	                         peer->bytes > 4096 ? 16 : 1024, peer->bytes);
}

static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	waits = peer->sleeps || strcmp(peer->mode, "stream") == 0;
	if (sends)
		sender = open_queue(peer, sends);
	if (receives)
		receiver = open_queue(peer, receives);
}

static void peer_close(struct peer *peer)
{
	static const char *const channels[] = {"there", "back"};

	delete sender;
	delete receiver;
	for (int i = 0; peer->is_near && i < 2; i++) {
		char name[96];

		snprintf(name, sizeof(name), "ayre-peers-boost-%s-%s", peer->run, channels[i]);
		message_queue::remove(name);
	}
}

static void peer_send(struct peer *peer, const void *data)
{
	if (waits)
		sender->send(data, peer->bytes, 0);
	else
		while (!sender->try_send(data, peer->bytes, 0))
			peer_turn(peer);
}

static const void *peer_receive(struct peer *peer)
{
	message_queue::size_type got = 0;
	unsigned int priority;

	if (waits)
		receiver->receive(peer->copy, peer->bytes, got, priority);
	else
		while (!receiver->try_receive(peer->copy, peer->bytes, got, priority))
			peer_turn(peer);
	if (got != peer->bytes)
		peer_fail("a message of another size");
	return peer->copy;
}

static void peer_release(struct peer *peer)
{
	(void)peer;
}
