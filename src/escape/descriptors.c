/*
 * Attempts on descriptors: those that were left open by mistake, those that wait in a socket, and
 * new ones of every kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "escape/attempt.h"
#include "escape/bait_socket.h"
#include "sys/kernel.h"

static long leaked_file(const struct escape_bait *bait)
{
	char byte;

	return KERNEL(read, bait->leaked_file, &byte, 0);
}

static long leaked_socket(const struct escape_bait *bait)
{
	return KERNEL(write, bait->leaked_socket, "x", 1);
}

static long leaked_high(const struct escape_bait *bait)
{
	char byte;

	return KERNEL(read, bait->leaked_high, &byte, 0);
}

static long standard_error(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(fcntl, STDERR_FILENO, F_GETFD, 0);
}

static long duplicate(const struct escape_bait *bait)
{
	return KERNEL(dup, bait->control);
}

static long duplicate_high(const struct escape_bait *bait)
{
	return KERNEL(dup3, bait->control, bait->leaked_high, 0);
}

static long duplicate_by_fcntl(const struct escape_bait *bait)
{
	return KERNEL(fcntl, bait->control, F_DUPFD, 0);
}

static long new_pipe(const struct escape_bait *bait)
{
	int fds[2];

	(void)bait;
	return KERNEL(pipe2, fds, 0);
}

static long new_memory_file(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(memfd_create, "x", 0);
}

static long new_event(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(eventfd2, 0, 0);
}

static long new_epoll(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(epoll_create1, 0);
}

static long new_timer(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(timerfd_create, CLOCK_MONOTONIC, 0);
}

static long new_signals(const struct escape_bait *bait)
{
	const unsigned long none = 0;

	(void)bait;
	return KERNEL(signalfd4, -1, &none, sizeof(none), 0);
}

/* The host put one there, of the secret. */
static long receive_descriptor(const struct escape_bait *bait)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	long result = KERNEL(recvmsg, bait->control, &message, MSG_DONTWAIT);

	if (result < 0)
		return result;
	return message.msg_controllen > 0 && !(message.msg_flags & MSG_CTRUNC) ? 0 : -EMFILE;
}

static long send_descriptor(const struct escape_bait *bait)
{
	struct escape_message message;

	escape_message_fill(&message, bait->read_only);
	return KERNEL(sendmsg, bait->control, &message.head, MSG_DONTWAIT);
}

/* Whose signals come when the socket has news. */
static long signals_to_host(const struct escape_bait *bait)
{
	return KERNEL(fcntl, bait->control, F_SETOWN, bait->host);
}

static long change_flags(const struct escape_bait *bait)
{
	return KERNEL(fcntl, bait->control, F_SETFL, O_NONBLOCK);
}

static long lock_file(const struct escape_bait *bait)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return KERNEL(fcntl, bait->memory, F_SETLK, &lock);
}

static long control_socket(const struct escape_bait *bait)
{
	int waiting;

	return KERNEL(ioctl, bait->control, FIONREAD, &waiting);
}

static long socket_option(const struct escape_bait *bait)
{
	const int on = 1;

	return KERNEL(setsockopt, bait->control, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

static long peer_identity(const struct escape_bait *bait)
{
	int credentials[3];
	socklen_t length = sizeof(credentials);

	return KERNEL(getsockopt, bait->control, SOL_SOCKET, SO_PEERCRED, credentials, &length);
}

static long copy_in_kernel(const struct escape_bait *bait)
{
	return KERNEL(sendfile, bait->control, bait->read_only, NULL, 1);
}

static long watch_sockets(const struct escape_bait *bait)
{
	/* As many as there are: for that a process without descriptors gets EINVAL. */
	const struct {
		int fd;
		short events, revents;
	} entry = {bait->control, 0, 0};
	const struct timespec now = {0};

	return KERNEL(ppoll, &entry, 1, &now, NULL, 0);
}

static const struct escape_attempt attempts[] = {
	{"leaked-file", leaked_file, NULL},
	{"leaked-socket", leaked_socket, NULL},
	{"leaked-high", leaked_high, NULL},
	{"standard-error", standard_error, NULL},
	{"duplicate", duplicate, NULL},
	{"duplicate-high", duplicate_high, NULL},
	{"duplicate-by-fcntl", duplicate_by_fcntl, NULL},
	{"new-pipe", new_pipe, NULL},
	{"new-memory-file", new_memory_file, NULL},
	{"new-event", new_event, NULL},
	{"new-epoll", new_epoll, NULL},
	{"new-timer", new_timer, NULL},
	{"new-signals", new_signals, NULL},
	{"receive-descriptor", receive_descriptor, NULL},
	{"send-descriptor", send_descriptor, NULL},
	{"signals-to-host", signals_to_host, NULL},
	{"change-flags", change_flags, NULL},
	{"lock-file", lock_file, NULL},
	{"control-socket", control_socket, NULL},
	{"socket-option", socket_option, NULL},
	{"peer-identity", peer_identity, NULL},
	{"copy-in-kernel", copy_in_kernel, NULL},
	{"watch-sockets", watch_sockets, NULL},
};

const struct escape_group escape_descriptors = {"descriptors", attempts, ESCAPE_COUNT_OF(attempts)};
