/*
 * The sockets of the bait: listeners of each kind, and the two that an attempt inherits.
 *
 * Invariant: there is one bait at a time in a process.
 */
#include "escape/bait_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG   64
#define LISTENERS 5

static int listeners[LISTENERS] = {-1, -1, -1, -1, -1};
static int ends[2] = {-1, -1};

/* A socket that is bound, and listens if it has connections. -1 and errno. */
static int make_listener(int number, int type, const void *address, socklen_t length)
{
	const struct sockaddr *bound = address;
	int fd = socket(bound->sa_family, type | SOCK_CLOEXEC, 0);

	listeners[number] = fd;
	if (fd == -1 || bind(fd, bound, length) == -1)
		return -1;
	return type == SOCK_DGRAM ? 0 : listen(fd, BACKLOG);
}

static int make_internet(int number, int type, uint16_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);

	if (make_listener(number, type, &address, length) == -1 ||
	    getsockname(listeners[number], (struct sockaddr *)&address, &length) == -1)
		return -1;
	*ret_port = ntohs(address.sin_port);
	return 0;
}

static int make_named(int number, int type, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return make_listener(number, type, &address, sizeof(address));
}

static int make_abstract(int number, struct escape_bait *bait)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length =
		snprintf(bait->abstract, sizeof(bait->abstract), "ayre-escape-%d", (int)getpid());

	memcpy(address.sun_path + 1, bait->abstract, (size_t)length);
	return make_listener(number, SOCK_STREAM, &address,
	                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
	                             (socklen_t)length);
}

int escape_sockets_set(struct escape_bait *bait)
{
	if (make_internet(0, SOCK_STREAM, &bait->tcp_port) == -1 ||
	    make_internet(1, SOCK_DGRAM, &bait->udp_port) == -1 ||
	    make_named(2, SOCK_STREAM, escape_path(bait, "listener")) == -1 ||
	    make_named(3, SOCK_DGRAM, escape_path(bait, "datagrams")) == -1 ||
	    make_abstract(4, bait) == -1)
		return -errno;
	return 0;
}

void escape_sockets_remove(void)
{
	for (int i = 0; i < LISTENERS; i++) {
		if (listeners[i] >= 0)
			close(listeners[i]);
		listeners[i] = -1;
	}
}

void escape_sockets_close_pair(void)
{
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		ends[i] = -1;
	}
}

void escape_message_fill(struct escape_message *message, int fd)
{
	struct cmsghdr *head;

	*message = (struct escape_message){
		.head = {.msg_iov = &message->part,
	                 .msg_iovlen = 1,
	                 .msg_control = message->control,
	                 .msg_controllen = sizeof(message->control)},
		.part = {&message->byte, 1},
		.byte = 'x',
	};
	head = CMSG_FIRSTHDR(&message->head);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
}

/* Through this end to the other, where it waits. */
static void send_descriptor(int end, int fd)
{
	struct escape_message message;

	escape_message_fill(&message, fd);
	(void)!sendmsg(end, &message.head, MSG_DONTWAIT);
}

void escape_sockets_renew(struct escape_bait *bait)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		ends[0] = pair[0];
		bait->control = pair[1];
		send_descriptor(pair[0], bait->leaked_file);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		ends[1] = pair[0];
		bait->leaked_socket = pair[1];
	}
}
