/*
 * What is left of a disk when the power goes.
 *
 * A disk promises that what it had before a flush is there after it, and that a sector is written
 * whole or not at all. Nothing else: what came since may be there or not, in any order, in parts.
 */
#include <string.h>

#include "power/crash.h"

const char *const crash_kinds[CRASH_KINDS] = {
	[CRASH_PREFIX] = "prefix",
	[CRASH_TORN] = "torn",
	[CRASH_SUBSET] = "subset",
	[CRASH_SHREDS] = "shreds",
};

uint64_t crash_random(uint64_t *stream)
{
	uint64_t z = *stream += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t crash_below(uint64_t *stream, uint64_t limit)
{
	return crash_random(stream) % limit;
}

enum fate { NOTHING, WHOLE, PARTS };

static bool changes_disk(const struct event *event)
{
	return event->kind == EVENT_WRITE || event->kind == EVENT_ZERO;
}

static void apply(const struct event *event, struct image *image, uint64_t from, uint64_t to)
{
	image_write(image, event->offset + from, event->bytes ? event->bytes + from : NULL,
	            to - from);
}

/* Each unit, counted on the disk, with a chance of a half: or those up to one, as a disk would
 * that writes upwards. */
static void apply_parts(const struct event *event, struct image *image, size_t unit,
                        uint64_t *stream)
{
	bool upwards = crash_below(stream, 2);
	uint64_t end = crash_below(stream, event->length), from, to;

	for (from = 0; from < event->length; from = to) {
		to = (event->offset + from) / unit * unit + unit - event->offset;
		to = to < event->length ? to : event->length;
		if (upwards ? to <= end : crash_below(stream, 2) == 1)
			apply(event, image, from, to);
	}
}

static enum fate choose(enum crash_kind kind, unsigned int number, unsigned int first,
                        uint64_t share, uint64_t *stream)
{
	switch (kind) {
	case CRASH_PREFIX:
		return number < first ? WHOLE : NOTHING;
	case CRASH_TORN:
		return number < first ? WHOLE : number == first ? PARTS : NOTHING;
	case CRASH_SUBSET:
		return crash_below(stream, 8) < share ? WHOLE : NOTHING;
	case CRASH_SHREDS:
	default:
		return (enum fate)crash_below(stream, 3);
	}
}

void crash_apply(struct crash *crash, const struct event_log *log, struct image *image)
{
	uint64_t stream = crash->stream;
	unsigned int first;
	uint64_t share;

	crash->kind = (enum crash_kind)crash_below(&stream, CRASH_KINDS);
	crash->unit = crash_below(&stream, 2) ? CRASH_PAGE : CRASH_SECTOR;
	crash->pending = crash->whole = crash->torn = 0;
	for (size_t i = crash->flushed; i < crash->event; i++)
		crash->pending += changes_disk(&log->events[i]);
	/* All of them whole is a prefix, too; for a torn one, one has to be left. */
	first = crash->pending + (crash->kind == CRASH_PREFIX);
	first = first ? (unsigned int)crash_below(&stream, first) : 0;
	share = 1 + crash_below(&stream, 7);
	for (size_t i = crash->flushed, number = 0; i < crash->event; i++) {
		const struct event *event = &log->events[i];

		if (!changes_disk(event))
			continue;
		switch (choose(crash->kind, (unsigned int)number++, first, share, &stream)) {
		case NOTHING:
			break;
		case WHOLE:
			apply(event, image, 0, event->length);
			crash->whole++;
			break;
		case PARTS:
			apply_parts(event, image, crash->unit, &stream);
			crash->torn++;
			break;
		}
	}
}
