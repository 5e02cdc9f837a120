/*
 * Messages between processes that do not trust each other, and at most one descriptor with each.
 *
 * Invariant: a descriptor that was not asked for is not kept: the kernel drops what has no room.
 */
#include "sys/socket.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/result.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
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

int ayrei_socket_send(int fd, const void *message, size_t length, int passed)
{
	union control control = {.bytes = {0}};
	struct iovec part = {(void *)(uintptr_t)message, length};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (passed >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(int));
	}
	sent = AYREI_RESULT(sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT));
	return sent < 0 ? (int)sent : 0;
}

ssize_t ayrei_socket_receive(int fd, void *message, size_t room, int *ret_passed)
{
	union control control;
	struct iovec part = {message, room};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	const struct cmsghdr *found;
	ssize_t length;

	if (ret_passed) {
		*ret_passed = -1;
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
	}
	length = AYREI_RESULT(recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	if (length < 0 || !ret_passed)
		return length;
	found = CMSG_FIRSTHDR(&header);
	if (found && found->cmsg_level == SOL_SOCKET && found->cmsg_type == SCM_RIGHTS &&
	    found->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(ret_passed, CMSG_DATA(found), sizeof(int));
		*ret_passed = ayrei_descriptor_above_standard(*ret_passed);
	}
	return length;
}
