/*
 * Messages to standard output, by write(2) itself: from where they lie, or from an outbox.
 *
 * Invariant: every byte is written, or it is said that it was not, and what was the matter.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"
#include "command/sub.h"

/* Two parts a message; the kernel takes 1024 of them. */
#define MESSAGES_A_WRITE 512

static enum sub_write fail_write(int code)
{
	if (code == EPIPE)
		return WRITE_READER_GONE;
	/* What we were to write is no longer there. */
	if (code == EFAULT)
		output_fail("a publisher has cut its messages away while they were written out: "
		            "the last of the output is incomplete");
	else
		output_fail("standard output: %s", strerror(code));
	return WRITE_FAILED;
}

static enum sub_write write_parts(struct iovec *parts, size_t count)
{
	while (count) {
		ssize_t put = writev(STDOUT_FILENO, parts, (int)count);

		if (message_interrupted())
			return WRITE_INTERRUPTED;
		if (put < 0 && errno == EAGAIN)
			message_wait(STDOUT_FILENO, POLLOUT, AYRE_NO_DEADLINE, false);
		else if (put < 0 && errno != EINTR)
			return fail_write(errno);
		for (; count && put >= 0 && (size_t)put >= parts->iov_len; parts++, count--)
			put -= (ssize_t)parts->iov_len;
		if (count && put > 0) {
			parts->iov_base = (char *)parts->iov_base + put;
			parts->iov_len -= (size_t)put;
		}
	}
	return WRITE_DONE;
}

/* --- the forms --- */

size_t sub_header_bytes(enum message_form form)
{
	return form == FORM_FRAMES ? FRAME_HEADER_BYTES : 0;
}

size_t sub_trailer_bytes(enum message_form form)
{
	return form == FORM_LINES || form == FORM_NUL ? 1 : 0;
}

static bool put_length(unsigned char header[FRAME_HEADER_BYTES], uint64_t bytes)
{
	if (bytes > UINT32_MAX) {
		output_fail("a message of %" PRIu64 " bytes is too long for a frame", bytes);
		return false;
	}
	for (int i = 0; i < FRAME_HEADER_BYTES; i++)
		header[i] = (unsigned char)(bytes >> 8 * i);
	return true;
}

bool sub_put_around(enum message_form form, char *begin, uint64_t bytes)
{
	if (form == FORM_FRAMES)
		return put_length((unsigned char *)begin, bytes);
	begin[bytes] = form == FORM_NUL ? '\0' : '\n';
	return true;
}

void sub_put(enum message_form form, struct sub_outbox *outbox, const struct ayre_message *message)
{
	size_t header = sub_header_bytes(form), bytes = (size_t)message->bytes;
	char *begin = outbox->bytes + outbox->used;

	if (bytes)
		memcpy(begin + header, message->data, bytes);
	sub_put_around(form, begin, bytes);
	outbox->used += header + bytes + sub_trailer_bytes(form);
}

enum sub_write sub_write_messages(enum message_form form, const struct ayre_message *messages,
                                  size_t count)
{
	static unsigned char headers[MESSAGES_A_WRITE][FRAME_HEADER_BYTES];
	struct iovec parts[2 * MESSAGES_A_WRITE];
	static char newline = '\n', nul;
	enum sub_write result = WRITE_DONE;

	while (count && result == WRITE_DONE) {
		size_t part = count < MESSAGES_A_WRITE ? count : MESSAGES_A_WRITE;

		for (size_t i = 0; i < part; i++) {
			struct iovec *own = &parts[2 * i];
			struct iovec bytes = {(void *)(uintptr_t)messages[i].data,
			                      (size_t)messages[i].bytes};

			if (form == FORM_FRAMES) {
				if (!put_length(headers[i], messages[i].bytes))
					return WRITE_FAILED;
				own[0] = (struct iovec){headers[i], FRAME_HEADER_BYTES};
				own[1] = bytes;
			} else {
				own[0] = bytes;
				own[1] = (struct iovec){form == FORM_NUL ? &nul : &newline, 1};
			}
		}
		result = write_parts(parts, 2 * part);
		messages += part;
		count -= part;
	}
	return result;
}

/* --- the outbox --- */

bool sub_outbox_extend(struct sub_outbox *outbox, size_t bytes)
{
	size_t room = outbox->room ? outbox->room : 64 * 1024;
	char *grown;

	while (room - outbox->used < bytes && room <= SIZE_MAX / 4)
		room *= 2;
	if (room == outbox->room)
		return true;
	grown = room - outbox->used < bytes ? NULL : realloc(outbox->bytes, room);
	if (!grown) {
		output_fail("a message of %zu bytes: %s", bytes, strerror(ENOMEM));
		return false;
	}
	outbox->bytes = grown;
	outbox->room = room;
	return true;
}

enum sub_write sub_outbox_write(struct sub_outbox *outbox)
{
	struct iovec part = {outbox->bytes, outbox->used};

	if (outbox->used == 0)
		return WRITE_DONE;
	outbox->used = 0;
	return write_parts(&part, 1);
}

/* --- JSON --- */

static json_t *base64(const unsigned char *bytes, size_t count)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t length = 0;
	char *text = malloc((count + 2) / 3 * 4 + 1);
	json_t *value;

	if (!text)
		return NULL;
	for (size_t i = 0; i < count; i += 3) {
		unsigned int group = (unsigned int)bytes[i] << 16;

		group |= i + 1 < count ? (unsigned int)bytes[i + 1] << 8 : 0;
		group |= i + 2 < count ? bytes[i + 2] : 0;
		text[length++] = letters[group >> 18];
		text[length++] = letters[group >> 12 & 63];
		text[length++] = i + 1 < count ? letters[group >> 6 & 63] : '=';
		text[length++] = i + 2 < count ? letters[group & 63] : '=';
	}
	value = json_stringn(text, length);
	free(text);
	return value;
}

static json_t *message_json(const struct ayre_message *message, uint64_t missed)
{
	size_t length = (size_t)message->bytes;
	/* It is NULL, too, if this is no UTF-8. */
	json_t *text = json_stringn(length ? message->data : "", length);
	json_t *body = text ? text : base64(message->data, length);
	char publisher[20];
	json_t *object;

	snprintf(publisher, sizeof(publisher), "%016" PRIx64, message->publisher);
	object =
		json_pack("{s:s, s:I, s:o, s:I, s:o}", "publisher", publisher, "sequence",
	                  (json_int_t)message->sequence, "time_ns",
	                  message->time_ns < 0 ? json_null() : json_integer(message->time_ns),
	                  "size_bytes", (json_int_t)message->bytes, text ? "text" : "base64", body);
	if (object && missed &&
	    json_object_set_new(object, "missed", json_integer((json_int_t)missed)) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

int sub_put_json(struct sub_outbox *outbox, const struct ayre_message *message, uint64_t missed)
{
	json_t *object = message_json(message, missed);
	char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
	size_t length = line ? strlen(line) : 0;
	int result = EXIT_FAILED;

	json_decref(object);
	if (!line)
		return output_fail("a message of %" PRIu64 " bytes: %s", message->bytes,
		                   strerror(ENOMEM));
	if (sub_outbox_extend(outbox, length + 1)) {
		memcpy(outbox->bytes + outbox->used, line, length);
		outbox->bytes[outbox->used + length] = '\n';
		outbox->used += length + 1;
		result = EXIT_DONE;
	}
	free(line);
	return result;
}
