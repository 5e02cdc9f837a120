/*
 * nng over ipc: pair0, with the deepest buffers it takes. Its own threads carry the messages, so it
 * does not spin; its publisher drops what a subscriber has no room for, so there is no fan.
 */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "peer.h"

static nng_socket sender = NNG_SOCKET_INITIALIZER, receiver = NNG_SOCKET_INITIALIZER;
static nng_msg *message;

static const char *peer_left_out(const struct peer *peer)
{
	if (strcmp(peer->mode, "round") == 0)
		return "its threads carry the messages: it cannot spin";
	return strcmp(peer->mode, "fan") == 0 ? "its publisher drops messages" : NULL;
}

static void check(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, nng_strerror(result));
	exit(EXIT_FAILURE);
}

static nng_socket open_pair(void)
{
	nng_socket socket;

	check(nng_pair0_open(&socket), "nng_pair0_open");
	check(nng_socket_set_int(socket, NNG_OPT_SENDBUF, 8192), NNG_OPT_SENDBUF);
	check(nng_socket_set_int(socket, NNG_OPT_RECVBUF, 8192), NNG_OPT_RECVBUF);
	check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), NNG_OPT_RECVMAXSZ);
	return socket;
}

static void path_of(const struct peer *peer, const char *channel, char path[96])
{
	snprintf(path, 96, "ipc:///tmp/.ayre-peers-nng-%s-%s", peer->run, channel);
}

/* The sender listens. */
static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	char path[96];

	if (sends) {
		sender = open_pair();
		path_of(peer, sends, path);
		check(nng_listen(sender, path, NULL, 0), "nng_listen");
	}
	if (receives) {
		int result;

		receiver = open_pair();
		path_of(peer, receives, path);
		while ((result = nng_dial(receiver, path, NULL, 0)) == NNG_ECONNREFUSED ||
		       result == NNG_ENOENT)
			usleep(1000);
		check(result, "nng_dial");
	}
}

static void peer_close(struct peer *peer)
{
	(void)peer;
	if (nng_socket_id(sender) > 0)
		nng_close(sender);
	if (nng_socket_id(receiver) > 0)
		nng_close(receiver);
}

static void peer_send(struct peer *peer, const void *data)
{
	check(nng_send(sender, (void *)(uintptr_t)data, peer->bytes, 0), "nng_send");
}

static const void *peer_receive(struct peer *peer)
{
	check(nng_recvmsg(receiver, &message, 0), "nng_recvmsg");
	if (nng_msg_len(message) != peer->bytes)
		peer_fail("a message of another size");
	return nng_msg_body(message);
}

static void peer_release(struct peer *peer)
{
	(void)peer;
	nng_msg_free(message);
}
