/*
 * Messages between processes that do not trust each other, and a few descriptors with each.
 *
 * Invariant: a descriptor that was not asked for is not kept.
 */
#include "sys/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/result.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(AYREI_SOCKET_PASSED_MAX * sizeof(int))];
};

int ayrei_socket_pair(int ret_fds[2])
{
	int fds[2];
	int result = AYREI_RESULT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));

	if (result < 0)
		return result;
	for (int i = 0; i < 2; i++)
		fds[i] = ayrei_descriptor_above_standard(fds[i]);
	if (fds[0] < 0 || fds[1] < 0) {
		result = fds[0] < 0 ? fds[0] : fds[1];
		for (int i = 0; i < 2; i++)
			ayrei_file_close(fds[i]);
		return result;
	}
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}

int ayrei_socket_send(int fd, const void *message, size_t length, const int *passed, size_t count)
{
	union control control = {.bytes = {0}};
	struct iovec part = {(void *)(uintptr_t)message, length};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (count > AYREI_SOCKET_PASSED_MAX)
		return -EINVAL;
	if (count > 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), passed, count * sizeof(int));
	}
	sent = AYREI_RESULT(sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT));
	return sent < 0 ? (int)sent : 0;
}

/* What came is ours now, whether it is wanted or not. */
static void take_passed(struct msghdr *header, int *ret_passed, size_t count)
{
	const struct cmsghdr *found = CMSG_FIRSTHDR(header);
	size_t came;

	if (!found || found->cmsg_level != SOL_SOCKET || found->cmsg_type != SCM_RIGHTS)
		return;
	came = (found->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < came; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(found) + i * sizeof(int), sizeof(int));
		if (i < count)
			ret_passed[i] = ayrei_descriptor_above_standard(fd);
		else
			ayrei_file_close(fd);
	}
}

ssize_t ayrei_socket_receive(int fd, void *message, size_t room, int *ret_passed, size_t count)
{
	union control control;
	struct iovec part = {message, room};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t length;

	for (size_t i = 0; i < count; i++)
		ret_passed[i] = -1;
	if (count > 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
	}
	length = AYREI_RESULT(recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	if (length >= 0 && count > 0)
		take_passed(&header, ret_passed, count);
	return length;
}

void ayrei_socket_hang_up(int fd)
{
	(void)shutdown(fd, SHUT_RDWR);
}
