/*
 * The sockets of the bait.
 */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "escape/bait.h"

/* Those that listen. 0 or a negative errno; what was made stays until escape_sockets_remove(). */
int escape_sockets_set(struct escape_bait *bait);
void escape_sockets_remove(void);
/*
 * Those that an attempt is given: one that is kept, with a descriptor waiting in it, and one that
 * leaks.
 */
void escape_sockets_renew(struct escape_bait *bait);
/* The battery's ends of them. */
void escape_sockets_close_pair(void);

/* A byte, and with it a descriptor, for sendmsg(2): &message.head. It points into itself. */
struct escape_message {
	struct msghdr head;
	struct iovec part;
	char control[CMSG_SPACE(sizeof(int))];
	char byte;
};
void escape_message_fill(struct escape_message *message, int fd);
