/*
 * Receiving at the command line, and what its files share.
 *
 *   sub.c        the command; the next message, or several, waiting for them
 *   sub_from.c   where to begin
 *   sub_write.c  messages to standard output
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre.h>

#include "command/message.h"

/* --from: a word, a number, or a time. Prints what is wrong; returns EXIT_DONE or EXIT_USAGE. */
int sub_parse_from(const char *text, struct ayre_subscriber_options *options);

/* What a write came to; in two cases nothing is to be said. */
enum sub_write {
	WRITE_DONE,
	WRITE_FAILED, /* and it was said why */
	WRITE_INTERRUPTED,
	WRITE_READER_GONE,
};

/* Messages as they lie, which have to stand still until this returns. Not as JSON. */
enum sub_write sub_write_messages(enum message_form form, const struct ayre_message *messages,
                                  size_t count);

/* Bytes that are collected, to be written together. */
struct sub_outbox {
	char *bytes; /* to be freed */
	size_t used, room;
};

/* Room for so many bytes more. false: there is no memory. */
bool sub_outbox_extend(struct sub_outbox *outbox, size_t bytes);
enum sub_write sub_outbox_write(struct sub_outbox *outbox);

/* In each form, what stands before a message and behind it. */
size_t sub_header_bytes(enum message_form form);
size_t sub_trailer_bytes(enum message_form form);
/* A message with both of them, for which there is room. */
void sub_put(enum message_form form, struct sub_outbox *outbox, const struct ayre_message *message);
/* Both of them, around the bytes, which are in their place already. false: it is too long for a frame. */
bool sub_put_around(enum message_form form, char *begin, uint64_t bytes);
/* A message as an object on a line. missed: before it, if there were any. Prints what is wrong. */
int sub_put_json(struct sub_outbox *outbox, const struct ayre_message *message, uint64_t missed);
