/*
 * Attempts on the network, and on sockets of the same machine.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

#define ADDRESS(address) &(address), sizeof(address)

static struct sockaddr_in here(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static struct sockaddr_un named(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	return address;
}

/* The length counts: what follows the first NUL is the name. */
static socklen_t abstract(const char *name, struct sockaddr_un *ret_address)
{
	size_t length = strlen(name);

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret_address->sun_path + 1, name, length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static long tcp_connect(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(bait->tcp_port);
	long fd = KERNEL(socket, AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? fd : KERNEL(connect, fd, ADDRESS(address));
}

/* Connecting by sending, which some filters forget. */
static long tcp_send_first(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(bait->tcp_port);
	long fd = KERNEL(socket, AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? fd : KERNEL(sendto, fd, "x", 1, MSG_FASTOPEN, ADDRESS(address));
}

static long tcp_listen(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(0);
	long fd = KERNEL(socket, AF_INET, SOCK_STREAM, 0), result;

	(void)bait;
	result = fd < 0 ? fd : KERNEL(bind, fd, ADDRESS(address));
	return result < 0 ? result : KERNEL(listen, fd, 1);
}

static long tcp_listen_unbound(const struct escape_bait *bait)
{
	long fd = KERNEL(socket, AF_INET, SOCK_STREAM, 0);

	(void)bait;
	return fd < 0 ? fd : KERNEL(listen, fd, 1);
}

static long tcp6_socket(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(socket, AF_INET6, SOCK_STREAM, 0);
}

static long mptcp_connect(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(bait->tcp_port);
	long fd = KERNEL(socket, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	return fd < 0 ? fd : KERNEL(connect, fd, ADDRESS(address));
}

static long udp_send(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(bait->udp_port);
	long fd = KERNEL(socket, AF_INET, SOCK_DGRAM, 0);

	return fd < 0 ? fd : KERNEL(sendto, fd, "x", 1, 0, ADDRESS(address));
}

static long udp_bind(const struct escape_bait *bait)
{
	const struct sockaddr_in address = here(0);
	long fd = KERNEL(socket, AF_INET, SOCK_DGRAM, 0);

	(void)bait;
	return fd < 0 ? fd : KERNEL(bind, fd, ADDRESS(address));
}

static long unix_connect(const struct escape_bait *bait)
{
	const struct sockaddr_un address = named(escape_path(bait, "listener"));
	long fd = KERNEL(socket, AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 ? fd : KERNEL(connect, fd, ADDRESS(address));
}

static long unix_connect_abstract(const struct escape_bait *bait)
{
	struct sockaddr_un address;
	socklen_t length = abstract(bait->abstract, &address);
	long fd = KERNEL(socket, AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 ? fd : KERNEL(connect, fd, &address, length);
}

static long unix_send(const struct escape_bait *bait)
{
	const struct sockaddr_un address = named(escape_path(bait, "datagrams"));
	long fd = KERNEL(socket, AF_UNIX, SOCK_DGRAM, 0);

	return fd < 0 ? fd : KERNEL(sendto, fd, "x", 1, MSG_DONTWAIT, ADDRESS(address));
}

static long unix_bind(const struct escape_bait *bait)
{
	const struct sockaddr_un address = named(escape_path(bait, "new"));
	long fd = KERNEL(socket, AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 ? fd : KERNEL(bind, fd, ADDRESS(address));
}

static long unix_bind_abstract(const struct escape_bait *bait)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	long fd = KERNEL(socket, AF_UNIX, SOCK_STREAM, 0);

	(void)bait;
	/* The kernel chooses an abstract name. */
	return fd < 0 ? fd : KERNEL(bind, fd, &address, sizeof(sa_family_t));
}

static long unix_pair(const struct escape_bait *bait)
{
	int fds[2];

	(void)bait;
	return KERNEL(socketpair, AF_UNIX, SOCK_SEQPACKET, 0, fds);
}

static long netlink_routes(const struct escape_bait *bait)
{
	const struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
	} question = {
		.head = {.nlmsg_len = sizeof(question),
	                 .nlmsg_type = RTM_GETLINK,
	                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.rtgen_family = AF_UNSPEC},
	};
	long fd = KERNEL(socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	(void)bait;
	return fd < 0 ? fd : KERNEL(sendto, fd, &question, sizeof(question), 0, NULL, 0);
}

static long netlink_devices(const struct escape_bait *bait)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	long fd = KERNEL(socket, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);

	(void)bait;
	return fd < 0 ? fd : KERNEL(bind, fd, ADDRESS(address));
}

static long raw_socket(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long packet_socket(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(socket, AF_PACKET, SOCK_RAW, 0);
}

static long vsock_socket(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(socket, AF_VSOCK, SOCK_STREAM, 0);
}

static long crypto_socket(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(socket, AF_ALG, SOCK_SEQPACKET, 0);
}

static long network_namespace(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(unshare, CLONE_NEWUSER | CLONE_NEWNET);
}

static const struct escape_attempt attempts[] = {
	{"tcp-connect", tcp_connect, NULL},
	{"tcp-send-first", tcp_send_first, NULL},
	{"tcp-listen", tcp_listen, NULL},
	{"tcp-listen-unbound", tcp_listen_unbound, NULL},
	{"tcp6-socket", tcp6_socket, ESCAPE_OPTIONAL},
	{"mptcp-connect", mptcp_connect, ESCAPE_OPTIONAL},
	{"udp-send", udp_send, NULL},
	{"udp-bind", udp_bind, NULL},
	{"unix-connect", unix_connect, NULL},
	{"unix-connect-abstract", unix_connect_abstract, NULL},
	{"unix-send", unix_send, NULL},
	{"unix-bind", unix_bind, NULL},
	{"unix-bind-abstract", unix_bind_abstract, NULL},
	{"unix-pair", unix_pair, NULL},
	{"netlink-routes", netlink_routes, NULL},
	{"netlink-devices", netlink_devices, ESCAPE_OPTIONAL},
	{"raw-socket", raw_socket, ESCAPE_ROOT},
	{"packet-socket", packet_socket, ESCAPE_ROOT},
	{"vsock-socket", vsock_socket, ESCAPE_OPTIONAL},
	{"crypto-socket", crypto_socket, ESCAPE_OPTIONAL},
	{"network-namespace", network_namespace, "user namespaces can be refused"},
};

const struct escape_group escape_network = {"network", attempts, ESCAPE_COUNT_OF(attempts)};
