/*
 * Pairs of sockets for messages with descriptors, as verbs. Every one returns zero or more, or a negative
 * errno; makes close-on-exec descriptors only, none of them 0, 1 or 2; none waits.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Two ends of one connection, which keeps the borders of messages. */
int ayrei_socket_pair(int ret_fds[2]);
/* With a message go up to so many descriptors. */
#define AYREI_SOCKET_PASSED_MAX 8

/* passed: the descriptors that go with it. -EPIPE: nobody is at the other end. */
int ayrei_socket_send(int fd, const void *message, size_t length, const int *passed, size_t count);
/*
 * One message: its length, cut to the room there is; 0: the other end is gone. ret_passed: the descriptors
 * that came with it, -1 for each of @count that did not; none is taken beyond.
 */
ssize_t ayrei_socket_receive(int fd, void *message, size_t room, int *ret_passed, size_t count);
/* Nothing goes either way any more, which the other end is told as a hang-up. The descriptor stays. */
void ayrei_socket_hang_up(int fd);
