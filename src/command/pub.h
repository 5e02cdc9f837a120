/*
 * Sending from the command line, and what its files share.
 *
 *   pub.c        the command; sending one message, or several, when there is room
 *   pub_input.c  standard input, cut into messages
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <ayre.h>

#include "command/message.h"

struct sending {
	struct ayre_publisher *publisher;
	const char *topic;
	bool has_timeout;
	int64_t timeout_ns;
	size_t ring_max; /* a longer message goes beside the ring */
	uint32_t sync;   /* enum ayre_topic_sync; 0: it is not durable */
};

/* Each returns an exit code; on an interruption, EXIT_FAILED, and says nothing. */

/* Waits for room, and gives the place where a message of up to so many bytes is to be written. */
int pub_reserve(struct sending *sending, size_t bytes, void **ret_place);
int pub_commit(struct sending *sending, size_t bytes);
int pub_send(struct sending *sending, const void *bytes, size_t length);
int pub_send_all(struct sending *sending, const struct iovec *messages, size_t count);
/* Of a durable topic: before we wait for something else, or end, what was sent is made safe. */
int pub_settle(struct sending *sending);

/* Sends standard input, to its end. */
int pub_input(struct sending *sending, enum message_form form);
