/*
 * One output, several inputs: every byte of the source goes to every sink, and none is copied
 * where pipes can share pages.
 *
 * tee(2) makes what is in the source appear in another pipe without consuming it, always from the
 * source's beginning, and only as much as there is room for. So each sink has a queue, a pipe as
 * large as the source, and a batch goes: when all queues are empty, tee the source into each;
 * consume from the source what all of them got; move each queue on to its sink at that sink's
 * pace. A queue that took more than the others did (its pages lie differently) skips so much of
 * the next batch.
 *
 *	source  abcdef      queue 1  abcdef          queue 2  abcd
 *	                    skip 0, then 2 (e, f)    skip 0
 *	consume abcd
 *	source  efgh        queue 1  efgh -> gh      queue 2  efgh
 *
 * Invariant: a sink has been given, or has in its queue, exactly the bytes of the source up to what
 * was consumed, and skip bytes more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/pipeline.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"

#define ALL_BYTES ((size_t)1 << 30) /* more than any pipe holds */
#define COPY_BYTES \
	((size_t)4096) /* what a terminal or socket that has room takes without waiting */
#define TURN_BATCHES 16

/* splice(2) waits for sockets, whatever it is told, and does not take terminals. */
static bool is_spliced_to(int fd)
{
	struct stat status;

	return ayrei_file_status(fd, &status) == 0 &&
	       (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

int ayrei_sink_open(struct ayrei_sink *sink, uint64_t capacity_bytes)
{
	int result = ayrei_pipe_open(sink->queue);

	sink->copies = !is_spliced_to(sink->fd);
	if (result == 0)
		(void)ayrei_pipe_ask_capacity(sink->queue[1], capacity_bytes);
	for (int end = 0; result == 0 && end < 2; end++)
		result = ayrei_descriptor_set_blocking(sink->queue[end], false);
	return result;
}

static void close_queue(struct ayrei_sink *sink)
{
	free(sink->held);
	sink->held = NULL;
	for (int end = 0; end < 2; end++)
		sink->queue[end] = ayrei_file_close(sink->queue[end]);
}

void ayrei_fan_free(struct ayrei_fan *fan)
{
	for (size_t i = 0; i < fan->sink_count; i++) {
		ayrei_file_close(fan->sinks[i].fd);
		close_queue(&fan->sinks[i]);
	}
	ayrei_file_close(fan->source);
	free(fan->sinks);
}

int ayrei_fan_watch(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];

	if (pipeline->null_fd < 0)
		pipeline->null_fd = ayrei_descriptor_above_standard(
			ayrei_file_open_blocking("/dev/null", O_RDWR, 0));
	if (pipeline->null_fd < 0)
		return pipeline->null_fd;
	fan->watches = true;
	return ayrei_set_add(pipeline->set, fan->source, AYREI_READABLE,
	                     ayrei_tag(AYREI_PARTY_FAN, index));
}

/* --- a sink --- */

static int watch_sink(struct ayre_pipeline *pipeline, size_t fan, struct ayrei_sink *sink,
                      bool waits)
{
	uint64_t tag = ayrei_tag(AYREI_PARTY_FAN, fan);
	int result;

	if (sink->waits == waits)
		return 0;
	sink->waits = waits;
	if (waits)
		result = ayrei_set_add(pipeline->set, sink->fd, AYREI_WRITABLE, tag);
	else
		result = ayrei_set_remove(pipeline->set, sink->fd);
	if (result < 0)
		sink->waits = false;
	return result;
}

static void close_sink(struct ayre_pipeline *pipeline, size_t fan, struct ayrei_sink *sink)
{
	(void)watch_sink(pipeline, fan, sink, false);
	sink->fd = ayrei_file_close(sink->fd);
	sink->queued = 0;
	close_queue(sink);
}

/* The next bytes out of the queue. Returns how many are held. */
static ssize_t hold_bytes(struct ayrei_sink *sink)
{
	ssize_t got;

	if (sink->held_begin < sink->held_end)
		return (ssize_t)(sink->held_end - sink->held_begin);
	if (!sink->held)
		sink->held = malloc(COPY_BYTES);
	if (!sink->held)
		return -ENOMEM;
	got = ayrei_pipe_read(sink->queue[0], sink->held, COPY_BYTES);
	sink->held_begin = 0;
	sink->held_end = got > 0 ? (size_t)got : 0;
	return got;
}

/* For files that splice(2) does not take: terminals, sockets, files open for appending. */
static ssize_t copy_on(struct ayrei_sink *sink)
{
	ssize_t held, written;
	/* A description that we share may block: then only what poll says there is room for. */
	int ready = ayrei_wait_for(sink->fd, AYREI_WRITABLE, 0);

	if (ready < 0)
		return ready;
	if (!(ready & (int)(AYREI_WRITABLE | AYREI_HANGUP)))
		return -EAGAIN;
	held = hold_bytes(sink);
	if (held <= 0)
		return held;
	written = ayrei_pipe_write(sink->fd, sink->held + sink->held_begin, (size_t)held);
	if (written > 0)
		sink->held_begin += (size_t)written;
	return written;
}

static ssize_t move_on(struct ayrei_sink *sink)
{
	ssize_t moved;

	if (!sink->copies) {
		moved = ayrei_pipe_splice(sink->queue[0], sink->fd, sink->queued);
		if (moved != -EINVAL && moved != -EOPNOTSUPP)
			return moved;
		sink->copies = true;
	}
	return copy_on(sink);
}

/* As far as it takes it. One that is gone, or full, is passed over from then on. */
static void drain_queue(struct ayre_pipeline *pipeline, size_t fan, struct ayrei_sink *sink)
{
	int result;

	while (sink->fd >= 0 && sink->queued) {
		ssize_t moved = move_on(sink);

		if (moved > 0) {
			sink->queued -= (size_t)moved;
			if (sink->pipe >= 0)
				pipeline->pipes[sink->pipe].moved += (uint64_t)moved;
			continue;
		}
		if (moved == -EAGAIN)
			break;
		if (moved != -EPIPE)
			ayrei_pipeline_note_error(pipeline, moved < 0 ? (int)moved : -EIO);
		close_sink(pipeline, fan, sink);
	}
	if (sink->fd < 0)
		return;
	/* Without that nobody would ever say that there is room. */
	result = watch_sink(pipeline, fan, sink, sink->queued > 0);
	if (result < 0 && sink->queued > 0) {
		ayrei_pipeline_note_error(pipeline, result);
		close_sink(pipeline, fan, sink);
	}
}

/* --- the source --- */

/* Lets go of bytes in a pipe that somebody has already. */
static ssize_t discard(const struct ayre_pipeline *pipeline, int fd, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t moved = ayrei_pipe_splice(fd, pipeline->null_fd, length - done);

		if (moved <= 0)
			return moved < 0 ? moved : -EIO;
		done += (size_t)moved;
	}
	return (ssize_t)done;
}

/* Into one queue. Returns how much of the source it has then, from the source's beginning. */
static ssize_t offer(const struct ayre_pipeline *pipeline, struct ayrei_fan *fan,
                     struct ayrei_sink *sink)
{
	ssize_t got = ayrei_pipe_tee(fan->source, sink->queue[1], ALL_BYTES);
	size_t known;

	if (got <= 0)
		return got;
	known = sink->skip < (size_t)got ? sink->skip : (size_t)got;
	if (known && discard(pipeline, sink->queue[0], known) < 0)
		return -EIO;
	sink->queued += (size_t)got - known;
	return (size_t)got < sink->skip ? (ssize_t)sink->skip : got;
}

static void close_source(struct ayre_pipeline *pipeline, struct ayrei_fan *fan)
{
	if (fan->source < 0)
		return;
	if (fan->watches)
		(void)ayrei_set_remove(pipeline->set, fan->source);
	fan->watches = false;
	fan->source = ayrei_file_close(fan->source);
}

/* A copy that goes to a file is nobody who could have enough, unless there is nothing else. */
static bool has_readers(const struct ayrei_fan *fan)
{
	bool copies_only = true, copy = false;

	for (size_t i = 0; i < fan->sink_count; i++) {
		bool open = fan->sinks[i].fd >= 0;

		if (open && !fan->sinks[i].is_copy)
			return true;
		copies_only &= fan->sinks[i].is_copy;
		copy |= open;
	}
	return copies_only && copy;
}

static bool is_queued(const struct ayrei_fan *fan)
{
	for (size_t i = 0; i < fan->sink_count; i++)
		if (fan->sinks[i].queued)
			return true;
	return false;
}

/*
 * Offers what is in the source to every sink, and consumes what all have. Returns how much; 0 at the
 * end; -EAGAIN: there is nothing.
 */
static ssize_t take_batch(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];
	size_t common = ALL_BYTES;
	ssize_t got = 0;

	for (size_t i = 0; i < fan->sink_count; i++) {
		struct ayrei_sink *sink = &fan->sinks[i];

		if (sink->fd < 0)
			continue;
		got = offer(pipeline, fan, sink);
		/* The end and the empty pipe are the same for all. */
		if (got <= 0)
			return got;
		if ((size_t)got < common)
			common = (size_t)got;
		/* What it has beyond the others is settled below. */
		sink->skip = (size_t)got;
	}
	for (size_t i = 0; i < fan->sink_count; i++)
		if (fan->sinks[i].fd >= 0)
			fan->sinks[i].skip -= common;
	pipeline->pipes[fan->pipe].moved += common;
	fan->left_bytes -= common < fan->left_bytes ? common : fan->left_bytes;
	return discard(pipeline, fan->source, common);
}

/* --- the whole --- */

static void drain_all(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];

	for (size_t i = 0; i < fan->sink_count; i++)
		drain_queue(pipeline, index, &fan->sinks[i]);
	/* Nobody wants it any more: the stage shall know. */
	if (!has_readers(fan))
		close_source(pipeline, fan);
}

/* The source is listened to only when there is somewhere to put what comes. */
static void watch_source(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];
	bool watch = fan->source >= 0 && !is_queued(fan);
	int result;

	if (fan->source < 0 || watch == fan->watches)
		return;
	if (watch)
		result = ayrei_set_add(pipeline->set, fan->source, AYREI_READABLE,
		                       ayrei_tag(AYREI_PARTY_FAN, index));
	else
		result = ayrei_set_remove(pipeline->set, fan->source);
	if (result == 0) {
		fan->watches = watch;
	} else if (watch) {
		ayrei_pipeline_note_error(pipeline, result);
		close_source(pipeline, fan);
	}
}

static void finish_fan(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];

	if (fan->source >= 0 || is_queued(fan))
		return;
	for (size_t i = 0; i < fan->sink_count; i++)
		if (fan->sinks[i].fd >= 0)
			close_sink(pipeline, index, &fan->sinks[i]);
	if (fan->sink_count) {
		pipeline->open_flows--;
		fan->sink_count = 0;
	}
}

void ayrei_fan_process(struct ayre_pipeline *pipeline, size_t index)
{
	struct ayrei_fan *fan = &pipeline->fans[index];

	drain_all(pipeline, index);
	for (int i = 0; i < TURN_BATCHES && fan->source >= 0 && !is_queued(fan); i++) {
		ssize_t got = take_batch(pipeline, index);

		if (got == -EAGAIN)
			break;
		if (got < 0)
			ayrei_pipeline_note_error(pipeline, (int)got);
		if (got <= 0)
			close_source(pipeline, fan);
		drain_all(pipeline, index);
	}
	if (fan->cut && fan->source >= 0 && fan->left_bytes == 0) {
		pipeline->result.drain_cut = true;
		close_source(pipeline, fan);
	}
	watch_source(pipeline, index);
	finish_fan(pipeline, index);
}

/* What its reader does not take is lost: whoever still holds the other end is no stage. */
static void cut_sinks(struct ayre_pipeline *pipeline, size_t index, bool in_haste)
{
	struct ayrei_fan *fan = &pipeline->fans[index];

	for (size_t i = 0; i < fan->sink_count; i++) {
		struct ayrei_sink *sink = &fan->sinks[i];

		if (sink->fd < 0 || (sink->pipe < 0 && !in_haste))
			continue;
		pipeline->result.drain_cut |= sink->queued > 0;
		close_sink(pipeline, index, sink);
	}
}

void ayrei_fan_cut(struct ayre_pipeline *pipeline, size_t index, bool in_haste)
{
	struct ayrei_fan *fan = &pipeline->fans[index];
	ssize_t fill = fan->source < 0 ? 0 : ayrei_pipe_fill(fan->source);

	/* A writer that goes on could keep us reading for ever. */
	if (!fan->cut)
		fan->left_bytes = fill < 0 ? 0 : (size_t)fill;
	fan->cut = true;
	ayrei_fan_process(pipeline, index);
	cut_sinks(pipeline, index, in_haste);
	if (in_haste && fan->source >= 0) {
		pipeline->result.drain_cut = true;
		close_source(pipeline, fan);
	}
	ayrei_fan_process(pipeline, index);
}
