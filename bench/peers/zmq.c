/*
 * ZeroMQ over ipc: a pair for one reader; XPUB, told not to drop, and SUB for several. Its own
 * threads carry the messages, so it does not spin.
 */
#include <zmq.h>

#include "peer.h"

#define DEEP 10000 /* messages that may be on their way on each side */

static void *context, *sender, *receiver;
static zmq_msg_t message;

static const char *peer_left_out(const struct peer *peer)
{
	return strcmp(peer->mode, "round") == 0 ? "its threads carry the messages: it cannot spin"
	                                        : NULL;
}

static void check(int result, const char *what)
{
	if (result < 0)
		peer_fail(what);
}

static void *open_socket(int type)
{
	void *socket = zmq_socket(context, type);
	int deep = DEEP, one = 1, none = 0;

	if (!socket)
		peer_fail("zmq_socket");
	check(zmq_setsockopt(socket, ZMQ_SNDHWM, &deep, sizeof(deep)), "ZMQ_SNDHWM");
	check(zmq_setsockopt(socket, ZMQ_RCVHWM, &deep, sizeof(deep)), "ZMQ_RCVHWM");
	check(zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none)), "ZMQ_LINGER");
	if (type == ZMQ_XPUB) {
		check(zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &one, sizeof(one)), "NODROP");
		/* Every subscription is told, not only the first of its kind. */
		check(zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &one, sizeof(one)), "VERBOSE");
	}
	if (type == ZMQ_SUB)
		check(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0), "ZMQ_SUBSCRIBE");
	return socket;
}

static void path_of(const struct peer *peer, const char *channel, char path[96])
{
	snprintf(path, 96, "ipc:///tmp/.ayre-peers-zmq-%s-%s", peer->run, channel);
}

/* The sender binds. It knows its subscribers when they have told it what they want. */
static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	bool fan = strcmp(peer->mode, "fan") == 0;
	/* Large ones are two to three times as fast with this, small ones slower, and a wake much. */
	bool is_free = fan || peer->bytes > 4096;
	char path[96], told[16];

	context = zmq_ctx_new();
	peer_set_free(peer, is_free);
	zmq_msg_init(&message);
	if (sends) {
		sender = open_socket(fan ? ZMQ_XPUB : ZMQ_PAIR);
		path_of(peer, sends, path);
		check(zmq_bind(sender, path), "zmq_bind");
	}
	if (receives) {
		receiver = open_socket(fan ? ZMQ_SUB : ZMQ_PAIR);
		path_of(peer, receives, path);
		check(zmq_connect(receiver, path), "zmq_connect");
	}
	peer_set_free(peer, false);
	for (unsigned int i = 0; sends && fan && i < peer->readers; i++)
		check(zmq_recv(sender, told, sizeof(told), 0), "zmq_recv");
}

static void peer_close(struct peer *peer)
{
	static const char *const channels[] = {"there", "back"};

	zmq_msg_close(&message);
	if (sender)
		zmq_close(sender);
	if (receiver)
		zmq_close(receiver);
	zmq_ctx_term(context);
	for (int i = 0; peer->is_near && i < 2; i++) {
		char path[96];

		path_of(peer, channels[i], path);
		unlink(path + strlen("ipc://"));
	}
}

static void peer_send(struct peer *peer, const void *data)
{
	check(zmq_send(sender, data, peer->bytes, 0), "zmq_send");
}

static const void *peer_receive(struct peer *peer)
{
	check(zmq_msg_recv(&message, receiver, 0), "zmq_msg_recv");
	if (zmq_msg_size(&message) != peer->bytes)
		peer_fail("a message of another size");
	return zmq_msg_data(&message);
}

/* The next receive lets go of it. */
static void peer_release(struct peer *peer)
{
	(void)peer;
}
