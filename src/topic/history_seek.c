/*
 * Where to begin in a durable lane: in its ring, if that goes back far enough, else in its log.
 */
#include <errno.h>

#include "topic/log.h"
#include "topic/subscriber.h"

static void place_at(struct ayrei_source *source, const struct ayrei_log_place *place)
{
	source->reader.position = place->position;
	source->reader.sequence = place->sequence;
	source->reader.closed_at = place->closed ? place->position : 0;
	ayrei_source_enter_log(source);
}

/* The first record from the place on that is wanted, as far as the extent goes. */
static void walk(const struct ayrei_extent *extent, struct ayrei_log_place *place, uint32_t from,
                 int64_t value)
{
	for (;;) {
		uint64_t header = ayrei_extent_header(extent, place->position);
		struct ayrei_record record = ayrei_record_unpack(header);
		int64_t time_ns;

		if (from == AYRE_FROM_SEQUENCE && (int64_t)place->sequence >= value)
			return;
		if (!ayrei_extent_is_whole(extent, place->position, header))
			return;
		if (from == AYRE_FROM_TIME && record.kind != AYREI_RECORD_CLOSED) {
			/* What has no stamp is of the time of its entry in the index. */
			if (!(record.flags & AYREI_RECORD_STAMPED))
				return;
			memcpy(&time_ns,
			       ayrei_extent_bytes(extent, place->position) +
			               ayrei_record_check_bytes(record),
			       sizeof(time_ns));
			if (time_ns >= value)
				return;
		}
		place->closed = record.kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = ayrei_record_end(place->position, (uint32_t)header);
	}
}

/* It is damaged, or was given up meanwhile: what is looked for is not there, and may be behind it. */
static bool is_passed(int result)
{
	return result == -ENOENT || result == -EBADMSG || result == -EPROTO;
}

/* Is the extent at or before what is looked for? Or a negative errno. */
static int is_before(const struct ayrei_topic *topic, uint64_t id, uint64_t begin, uint32_t from,
                     int64_t value)
{
	struct ayrei_extent_layout head;
	int result;

	if (from != AYRE_FROM_SEQUENCE && from != AYRE_FROM_TIME)
		return from == AYRE_FROM_NEXT;
	result = ayrei_extent_read_head(topic, id, begin, &head);
	if (result < 0)
		return is_passed(result) ? 1 : result;
	return from == AYRE_FROM_SEQUENCE ? (int64_t)head.sequence <= value
	                                  : head.created_ns <= value;
}

/* The last extent that is not beyond what is looked for, or else the first: opened. */
static int find_extent(struct ayrei_extent *extent, const struct ayrei_extents *extents,
                       const struct ayrei_topic *topic, uint64_t id, uint32_t from, int64_t value)
{
	size_t least = 0, most = extents->count;

	while (least < most) {
		size_t middle = least + (most - least) / 2;
		int result = is_before(topic, id, extents->begins[middle], from, value);

		if (result < 0)
			return result;
		if (result)
			least = middle + 1;
		else
			most = middle;
	}
	ayrei_extent_close(extent);
	for (size_t i = least ? least - 1 : 0; i < extents->count; i++) {
		int result = ayrei_extent_open(extent, topic, id, extents->begins[i]);

		if (!is_passed(result))
			return result;
	}
	return -ENOENT;
}

static int seek_in_log(const struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       uint32_t from, int64_t value)
{
	struct ayrei_log_place place = {0};
	struct ayrei_extents extents;
	int result = ayrei_extents_list(&extents, &subscriber->topic, source->id);

	if (result < 0)
		return result;
	result =
		find_extent(&source->extent, &extents, &subscriber->topic, source->id, from, value);
	ayrei_extents_fini(&extents);
	if (result == -ENOENT) {
		/* There is no log: it begins where the first one would. */
		place.position = subscriber->topic.layout.ring_bytes;
		place_at(source, &place);
		return 0;
	}
	if (result < 0)
		return result;
	place = (struct ayrei_log_place){source->extent.begin, source->extent.sequence, false};
	if (from == AYRE_FROM_NEXT) {
		place = ayrei_extent_seek(&source->extent, AYREI_BY_POSITION, INT64_MAX);
		ayrei_extent_walk(&source->extent, &place, UINT64_MAX);
	} else if (from != AYRE_FROM_OLDEST) {
		place = ayrei_extent_seek(
			&source->extent,
			from == AYRE_FROM_SEQUENCE ? AYREI_BY_SEQUENCE : AYREI_BY_TIME, value);
		walk(&source->extent, &place, from, value);
	}
	place_at(source, &place);
	return 0;
}

/* Does the ring go back to it? What was sent later is in the ring, too. */
static bool ring_has(const struct ayrei_source *source, uint32_t from, int64_t value)
{
	struct ayrei_checkpoint oldest;

	if (!ayrei_source_layout(source))
		return false;
	if (from == AYRE_FROM_NEXT)
		return true;
	if (from == AYRE_FROM_OLDEST || ayrei_reader_checkpoint(&source->reader, 0, &oldest) < 0)
		return false;
	return from == AYRE_FROM_SEQUENCE ? (int64_t)oldest.sequence <= value
	                                  : oldest.time_ns <= value;
}

int ayrei_source_seek_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                          uint32_t from, int64_t value)
{
	if (from == AYRE_FROM_SEQUENCE && value < 0)
		value = INT64_MAX;
	if (!ring_has(source, from, value))
		return seek_in_log(subscriber, source, from, value);
	switch (from) {
	case AYRE_FROM_SEQUENCE:
		return ayrei_reader_seek_sequence(&source->reader, (uint64_t)value);
	case AYRE_FROM_TIME:
		return ayrei_reader_seek_time(&source->reader, value);
	default:
		return ayrei_reader_seek_next(&source->reader);
	}
}
