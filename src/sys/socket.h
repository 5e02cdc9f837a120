/*
 * Pairs of sockets for messages with descriptors, as verbs. Every one returns zero or more, or a negative
 * errno; makes close-on-exec descriptors only, none of them 0, 1 or 2; none waits.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Two ends of one connection, which keeps the borders of messages. */
int ayrei_socket_pair(int ret_fds[2]);
/* passed: a descriptor that goes with it; -1: none. -EPIPE: nobody is at the other end. */
int ayrei_socket_send(int fd, const void *message, size_t length, int passed);
/*
 * One message: its length, cut to the room there is; 0: the other end is gone. ret_passed: the descriptor
 * that came with it, or -1; NULL: none is taken.
 */
ssize_t ayrei_socket_receive(int fd, void *message, size_t room, int *ret_passed);
