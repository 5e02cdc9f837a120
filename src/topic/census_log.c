/*
 * One log, looked at from outside.
 *
 * Invariant: an extent is mapped only as long as it is looked at, and what is told of it are whole records. No walk is
 * longer than from one entry of the index to the next, where the index is whole.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "topic/census.h"
#include "topic/extent.h"
#include "topic/log.h"

int ayrei_log_view_open(struct ayrei_log_view *view, const struct ayrei_topic *topic,
                        const struct ayrei_file_of_topic *files, size_t count)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	struct stat status;
	size_t first = 0;
	int result;

	*view = (struct ayrei_log_view){.topic = topic, .id = files->id};
	fd = ayrei_topic_open_regular(ayrei_log_path(topic, view->id, path), 0, &status);
	if (fd < 0)
		return fd;
	view->uid = status.st_uid;
	view->live = ayrei_file_is_owned(fd) == 1;
	result = ayrei_slot_read(fd, topic, view->id, &view->slot);
	if (result < 0 && result != -EBADMSG)
		return result;
	if (result < 0)
		view->problem = "its log does not say how far it is";
	/* What was given up, and is there: whoever gave it up died before it was removed. */
	while (first < count &&
	       (files[first].part != AYREI_PART_EXTENT || files[first].position < view->slot.first))
		first++;
	view->extents = files + first;
	view->extent_count = count - first;
	return 0;
}

/* The last extent that begins at or before a position, or the first. */
static size_t choose(const struct ayrei_log_view *view, uint64_t position)
{
	size_t least = 0, most = view->extent_count;

	while (least < most) {
		size_t middle = least + (most - least) / 2;

		if (view->extents[middle].position <= position)
			least = middle + 1;
		else
			most = middle;
	}
	return least ? least - 1 : 0;
}

int ayrei_log_view_find(const struct ayrei_log_view *view, uint64_t position,
                        struct ayrei_lane_place *ret_place)
{
	/* Given up meanwhile, or damaged: behind it. */
	for (size_t i = choose(view, position); i < view->extent_count; i++) {
		struct ayrei_extent extent;
		struct ayrei_log_place place;
		int result = ayrei_extent_open(&extent, view->topic, view->id,
		                               view->extents[i].position);

		if (result == -ENOENT || result == -EBADMSG || result == -EPROTO)
			continue;
		if (result < 0)
			return result;
		place = ayrei_extent_seek(&extent, AYREI_BY_POSITION,
		                          position > INT64_MAX ? INT64_MAX : (int64_t)position);
		ayrei_extent_walk(&extent, &place, position);
		*ret_place =
			(struct ayrei_lane_place){place.position, place.sequence, place.closed};
		/* It is the extent before that ends with it. */
		ret_place->closed |=
			view->slot.flags & AYREI_SLOT_CLOSED && view->slot.safe == place.position;
		result = extent.begin <= position;
		ayrei_extent_close(&extent);
		return result;
	}
	return -ENOENT;
}
