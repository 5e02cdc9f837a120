/*
 * Feeding a stage from memory and capturing what one says into memory, both at once: neither ever
 * waits for the other, because neither waits.
 *
 * Invariant: no more than the bound is kept, whatever comes; and what was not kept is counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "process/pipeline.h"
#include "sys/event.h"
#include "sys/pipe.h"

/* Read at once; a few of them, or a few writes, before others have their turn. */
#define PIECE_BYTES ((size_t)128 * 1024)
#define TURN_PIECES 8

#define FIRST_ROOM ((size_t)64 * 1024)

/* What nobody will take out any more, or not we. */
static size_t get_fill(int fd)
{
	ssize_t fill = ayrei_pipe_fill(fd);

	return fill < 0 ? 0 : (size_t)fill;
}

/* --- feeding --- */

void ayrei_feed_close(struct ayre_pipeline *pipeline, struct ayrei_feed *feed)
{
	if (feed->fd < 0)
		return;
	(void)ayrei_set_remove(pipeline->set, feed->fd);
	feed->fd = ayrei_file_close(feed->fd);
}

void ayrei_feed_process(struct ayre_pipeline *pipeline, struct ayrei_feed *feed)
{
	/* A quick reader must not keep the others waiting, nor the deadline. */
	for (int i = 0; feed->fd >= 0 && i < TURN_PIECES; i++) {
		ssize_t written = 0;

		if (feed->left)
			written = ayrei_pipe_write(feed->fd, feed->bytes, feed->left);
		if (written == -EAGAIN)
			return;
		if (written > 0) {
			feed->bytes += written;
			feed->left -= (size_t)written;
			feed->written += (size_t)written;
		}
		/* A stage that wants no more of it is no error, as with head(1). */
		if (written == -EPIPE)
			feed->unread = get_fill(feed->fd);
		else if (written < 0)
			ayrei_pipeline_note_error(pipeline, (int)written);
		if (written < 0 || feed->left == 0)
			ayrei_feed_close(pipeline, feed);
	}
}

/* --- capturing --- */

void ayrei_capture_free(struct ayrei_capture *capture)
{
	ayrei_file_close(capture->fd);
	ayrei_file_close(capture->write_fd);
	free(capture->buffer);
}

static void close_capture(struct ayre_pipeline *pipeline, struct ayrei_capture *capture)
{
	if (capture->fd < 0)
		return;
	(void)ayrei_set_remove(pipeline->set, capture->fd);
	capture->unread = get_fill(capture->fd);
	capture->fd = ayrei_file_close(capture->fd);
	pipeline->open_flows--;
}

static int make_room(struct ayrei_capture *capture)
{
	size_t room = capture->room ? 2 * capture->room : FIRST_ROOM;
	char *larger;

	if (capture->kept < capture->room || capture->room == capture->bound)
		return 0;
	if (room > capture->bound)
		room = capture->bound;
	larger = realloc(capture->buffer, room);
	if (!larger)
		return -ENOMEM;
	capture->buffer = larger;
	capture->room = room;
	return 0;
}

static size_t lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* There is room: straight to where it stays. */
static ssize_t read_into_buffer(struct ayrei_capture *capture)
{
	size_t room = lesser(capture->room - capture->kept, PIECE_BYTES);
	ssize_t got = ayrei_pipe_read(capture->fd, capture->buffer + capture->kept, room);

	if (got > 0)
		capture->kept += (size_t)got;
	return got;
}

/* It is full and the newest bytes are wanted: over the oldest. */
static ssize_t read_over_oldest(struct ayrei_capture *capture)
{
	size_t room = lesser(capture->bound - capture->first, PIECE_BYTES);
	ssize_t got = ayrei_pipe_read(capture->fd, capture->buffer + capture->first, room);

	if (got > 0)
		capture->first = (capture->first + (size_t)got) % capture->bound;
	return got;
}

/* It is full: whatever comes is too much. */
static ssize_t read_beyond(struct ayre_pipeline *pipeline, struct ayrei_capture *capture)
{
	char scratch[16 * 1024];
	bool one_tells =
		capture->at_bound == AYRE_AT_BOUND_FAIL || capture->at_bound == AYRE_AT_BOUND_STOP;
	ssize_t got = ayrei_pipe_read(capture->fd, scratch, one_tells ? 1 : sizeof(scratch));

	if (got <= 0 || !one_tells)
		return got;
	capture->total += (size_t)got;
	capture->stopped = true;
	if (capture->at_bound == AYRE_AT_BOUND_FAIL) {
		ayrei_pipeline_note_error(pipeline, -EMSGSIZE);
		ayrei_pipeline_terminate(pipeline);
	}
	return 0;
}

static ssize_t read_piece(struct ayre_pipeline *pipeline, struct ayrei_capture *capture)
{
	int result = make_room(capture);

	if (result < 0)
		return result;
	if (capture->kept < capture->room)
		return read_into_buffer(capture);
	if (capture->at_bound == AYRE_AT_BOUND_KEEP_LAST)
		return read_over_oldest(capture);
	return read_beyond(pipeline, capture);
}

void ayrei_capture_process(struct ayre_pipeline *pipeline, struct ayrei_capture *capture)
{
	for (int i = 0; capture->fd >= 0 && i < TURN_PIECES; i++) {
		ssize_t got = read_piece(pipeline, capture);

		if (got == -EAGAIN)
			return;
		if (got > 0) {
			capture->total += (size_t)got;
			continue;
		}
		if (got < 0)
			ayrei_pipeline_note_error(pipeline, (int)got);
		close_capture(pipeline, capture);
	}
}

void ayrei_capture_cut(struct ayre_pipeline *pipeline, struct ayrei_capture *capture)
{
	uint64_t enough;

	if (capture->fd < 0)
		return;
	/* A writer that goes on could keep us reading for ever. */
	enough = capture->total + get_fill(capture->fd);
	do
		ayrei_capture_process(pipeline, capture);
	while (capture->fd >= 0 && capture->total < enough);
	if (capture->fd < 0)
		return;
	pipeline->result.drain_cut = true;
	close_capture(pipeline, capture);
}

static void reverse(char *from, char *to)
{
	while (from < to) {
		char byte = *from;

		*from++ = *--to;
		*to = byte;
	}
}

/* The oldest byte first, in place: what stood in two parts is turned round, part by part. */
static void straighten(struct ayrei_capture *capture)
{
	char *buffer = capture->buffer;

	if (capture->first == 0)
		return;
	reverse(buffer, buffer + capture->first);
	reverse(buffer + capture->first, buffer + capture->kept);
	reverse(buffer, buffer + capture->kept);
	capture->first = 0;
}

ssize_t ayre_pipeline_captured(struct ayre_pipeline *pipeline, int stage, int fd,
                               const char **ret_bytes, uint64_t *ret_total)
{
	for (size_t i = 0; i < pipeline->capture_count; i++) {
		struct ayrei_capture *capture = &pipeline->captures[i];

		if (capture->stage != stage || capture->stage_fd != fd)
			continue;
		straighten(capture);
		*ret_bytes = capture->kept ? capture->buffer : "";
		if (ret_total)
			*ret_total = capture->total;
		return (ssize_t)capture->kept;
	}
	return -EINVAL;
}
