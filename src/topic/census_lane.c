/*
 * One lane, looked at from outside.
 *
 * Invariant: the map is read-only and guarded, every header is judged by a copy, and no walk is longer
 * than the ring. A place was whole when it was walked over: otherwise it is looked for again.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "topic/census.h"

int ayrei_lane_view_open(struct ayrei_lane_view *view, const struct ayrei_topic *topic, uint64_t id)
{
	const struct ayrei_topic_layout *layout = &topic->layout;
	ayrei_auto_fd int fd = -1;
	int result;

	*view = (struct ayrei_lane_view){0};
	/* Too short for a lane: damaged, but there. */
	fd = ayrei_peer_open(topic, AYREI_PEER_PUBLISHER, id, 0, &view->status);
	if (fd < 0)
		return fd;
	view->live = ayrei_file_is_owned(fd) == 1;
	if (!ayrei_topic_may_publish(topic, &view->status))
		view->problem = "its owner may not publish";
	else if ((uint64_t)view->status.st_size != layout->header_bytes + layout->ring_bytes)
		view->problem = "it is damaged (size)";
	if (view->problem)
		return 0;
	result = ayrei_shared_map(&view->map, fd, layout->header_bytes, layout->ring_bytes, false,
	                          false);
	if (result < 0)
		return result;
	view->reader = (struct ayrei_reader){
		.ring = (const char *)view->map.base + layout->header_bytes,
		.mask = layout->ring_bytes - 1,
		.layout = view->map.base,
	};
	if (!ayrei_lane_is_of(view->reader.layout, layout->generation, id, layout->header_bytes,
	                      layout->ring_bytes)) {
		view->problem = "it is damaged";
		ayrei_lane_view_close(view);
	}
	return 0;
}

void ayrei_lane_view_close(struct ayrei_lane_view *view)
{
	ayrei_shared_unmap(&view->map);
}

/* The last checkpoint at or before a position. 1, or 0 and the oldest that there is; -EPROTO. */
static int find_checkpoint(const struct ayrei_reader *reader, uint64_t position,
                           struct ayrei_checkpoint *ret_checkpoint)
{
	struct ayrei_checkpoint checkpoint;
	uint64_t least = 0;
	int result = -EPROTO;

	/* A writer that goes on and on has no more of them than there are. */
	for (unsigned int i = 0; i < 2 * AYREI_CHECKPOINTS; i++) {
		if (ayrei_reader_checkpoint(reader, least, &checkpoint) < 0)
			break;
		if (checkpoint.position > position && result == 1)
			break;
		*ret_checkpoint = checkpoint;
		if (checkpoint.position > position)
			return 0;
		least = checkpoint.position + 1;
		result = 1;
	}
	return result;
}

/* From a checkpoint. 0; -ESTALE: it was overwritten meanwhile; -EPROTO. */
static int walk(const struct ayrei_reader *reader, uint64_t position,
                struct ayrei_lane_place *place)
{
	struct ayrei_reader at = *reader;
	uint64_t begin = place->position;

	while (place->position < position && place->position - begin <= reader->mask) {
		uint64_t header;

		at.position = place->position;
		header = ayrei_reader_header(&at);
		if (!ayrei_reader_is_intact(&at, at.position))
			return -ESTALE;
		if (header == 0)
			return 0;
		if (!ayrei_record_is_valid(header, reader->mask + 1))
			return -EPROTO;
		place->closed = ayrei_record_unpack(header).kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = ayrei_record_end(at.position, (uint32_t)header);
	}
	return 0;
}

/* A writer that overtakes us so often has written as many rings meanwhile. */
#define ATTEMPTS 8

int ayrei_lane_view_find(const struct ayrei_lane_view *view, uint64_t position,
                         struct ayrei_lane_place *ret_place)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		struct ayrei_checkpoint checkpoint;
		int found = find_checkpoint(&view->reader, position, &checkpoint), result;

		if (found < 0)
			return found;
		*ret_place =
			(struct ayrei_lane_place){checkpoint.position, checkpoint.sequence, false};
		result = found ? walk(&view->reader, position, ret_place) : 0;
		if (ayrei_shared_is_lost(&view->map))
			return -EPROTO;
		if (result != -ESTALE)
			return result < 0 ? result : found;
	}
	return -EBUSY;
}
