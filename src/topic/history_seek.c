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

		if (from == AYRE_FROM_SEQUENCE && (int64_t)place->sequence >= value)
			return;
		if (!ayrei_extent_is_whole(extent, place->position, header))
			return;
		if (from == AYRE_FROM_TIME && record.kind != AYREI_RECORD_CLOSED) {
			/* What has no stamp is of the time of its entry in the index. */
			if (!(record.flags & AYREI_RECORD_STAMPED))
				return;
			if (ayrei_record_stamp(
				    record, ayrei_extent_bytes(extent, place->position)) >= value)
				return;
		}
		place->closed = record.kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = ayrei_record_end(place->position, (uint32_t)header);
	}
}

/* What is looked for, and where. */
struct seeking {
	const struct ayrei_topic *topic;
	uint64_t id;
	const struct ayrei_extents *extents;
	uint32_t from;
	int64_t value;
};

/* It is damaged, or was given up meanwhile. */
static bool is_passed(int result)
{
	return result == -ENOENT || result == -EBADMSG || result == -EPROTO;
}

static bool is_within(const struct ayrei_extent_layout *head, uint32_t from, int64_t value)
{
	switch (from) {
	case AYRE_FROM_SEQUENCE:
		return (int64_t)head->sequence <= value;
	case AYRE_FROM_TIME:
		return head->created_ns <= value;
	default:
		return true;
	}
}

/*
 * Of the extents from `least` to *index, the last whose head can be read. 1: it does not begin behind what is looked
 * for; 0: it does; -ENOENT: there is none; or another negative errno.
 */
static int probe(const struct seeking *seeking, size_t least, size_t *index)
{
	struct ayrei_extent_layout head;
	int result;

	while (is_passed(result = ayrei_extent_read_head(seeking->topic, seeking->id,
	                                                 seeking->extents->begins[*index], &head)))
		if ((*index)-- == least)
			return -ENOENT;
	return result < 0 ? result : is_within(&head, seeking->from, seeking->value);
}

/*
 * Opens the last extent that can be read and does not begin behind what is looked for. One that cannot be read tells
 * nothing: whoever goes on from the one before it is told of it. -ENOENT: there is none.
 */
static int open_extent(const struct seeking *seeking, struct ayrei_extent *extent)
{
	size_t least = 0, most = seeking->extents->count, found = SIZE_MAX;

	while (least < most) {
		size_t middle = least + (most - least) / 2, index = middle;
		int result = probe(seeking, least, &index);

		if (result < 0 && result != -ENOENT)
			return result;
		if (result == 0) {
			most = index;
			continue;
		}
		least = middle + 1;
		if (result == 1)
			found = index;
	}
	ayrei_extent_close(extent);
	return found == SIZE_MAX ? -ENOENT
	                         : ayrei_extent_open(extent, seeking->topic, seeking->id,
	                                             seeking->extents->begins[found]);
}

/* The number of the first message from this extent of the list on that can be read; 0: there is none. */
static uint64_t first_number(const struct seeking *seeking, size_t index)
{
	struct ayrei_extent_layout head;

	for (; index < seeking->extents->count; index++)
		if (ayrei_extent_read_head(seeking->topic, seeking->id,
		                           seeking->extents->begins[index], &head) == 0)
			return head.sequence;
	return 0;
}

/* Where the log begins, whether that can be read or not. */
static uint64_t oldest_position(const struct ayre_subscriber *subscriber,
                                const struct ayrei_source *source,
                                const struct ayrei_extents *extents)
{
	struct ayrei_slot_layout slot;

	if (ayrei_source_read_slot(subscriber, source, &slot))
		return slot.first;
	return extents->count ? extents->begins[0] : subscriber->topic.layout.ring_bytes;
}

/*
 * Goes there, and opens the extent if it can. If not, whoever begins there is told of it; which number it has is not known
 * then, but where it is the first of all: it is one less than that of what can be read.
 */
static int seek_oldest(const struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       const struct seeking *seeking, struct ayrei_log_place *ret_place)
{
	struct ayrei_log_place place = {
		.position = oldest_position(subscriber, source, seeking->extents)};
	size_t index = ayrei_extents_find(seeking->extents, place.position);
	int result;

	ayrei_extent_close(&source->extent);
	result = ayrei_extent_open(&source->extent, seeking->topic, seeking->id, place.position);
	if (result < 0 && !is_passed(result))
		return result;
	if (result == 0) {
		place.sequence = source->extent.sequence;
	} else if (place.position != subscriber->topic.layout.ring_bytes) {
		place.sequence = first_number(seeking, index == SIZE_MAX ? 0 : index);
		place.sequence -= place.sequence > 0;
	}
	*ret_place = place;
	return 0;
}

static int seek_in_log(const struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       uint32_t from, int64_t value)
{
	struct ayrei_log_place place = {0};
	struct ayrei_extents extents;
	const struct seeking seeking = {&subscriber->topic, source->id, &extents, from, value};
	int result = ayrei_extents_list(&extents, &subscriber->topic, source->id);

	if (result < 0)
		return result;
	result = from == AYRE_FROM_OLDEST ? -ENOENT : open_extent(&seeking, &source->extent);
	if (is_passed(result)) {
		result = seek_oldest(subscriber, source, &seeking, &place);
	} else if (result == 0 && from == AYRE_FROM_NEXT) {
		place = ayrei_extent_seek(&source->extent, AYREI_BY_POSITION, INT64_MAX);
		ayrei_extent_walk(&source->extent, &place, UINT64_MAX);
	} else if (result == 0) {
		place = ayrei_extent_seek(
			&source->extent,
			from == AYRE_FROM_SEQUENCE ? AYREI_BY_SEQUENCE : AYREI_BY_TIME, value);
		walk(&source->extent, &place, from, value);
	}
	ayrei_extents_fini(&extents);
	if (result == 0)
		place_at(source, &place);
	return result;
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
