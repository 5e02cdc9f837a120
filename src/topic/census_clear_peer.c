/*
 * What a publisher or subscriber that died left, cleared away.
 *
 * Invariant: a file is removed only while nobody can be, or become, its owner. What proves that:
 *
 *   sub.ID           nobody has its lock. It had one before it had its name, and no other process
 *                    ever makes that name
 *   sub.ID.bell      likewise, its cursor's; or, if that is not there, the bell's own lock, taken by us
 *                    (the race is drawn in bell.c)
 *   pub.ID.bell      of a durable lane: the lock of its log, taken by us. Nothing else of such a lane is cleared away: its
 *                    log is the topic's content, and its ring may have what is in no log yet
 *   pub.ID.bell, pub.ID.POSITION, pub.ID
 *                    the lane's lock, taken by us: publishers take a lane over by it. They then look
 *                    whether it still has its name, so that a lane which is removed is taken by nobody
 *
 * While we have the lock of a lane, others see it owned. A publisher takes another one, and a
 * subscriber believes in no owner without a bell (source.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "topic/bell.h"
#include "topic/census_clear.h"
#include "topic/log.h"

/* --- telling --- */

/* Of a file of the topic. */
static int tell_file(struct ayrei_clearing *clearing, enum ayre_leftover kind,
                     const struct ayrei_file_of_topic *file, uint64_t bytes, int code)
{
	char own[AYREI_PEER_PATH_BYTES], path[PATH_MAX + AYREI_PEER_PATH_BYTES];

	ayrei_files_path(clearing->topic, file, own);
	snprintf(path, sizeof(path), "%s%s", clearing->directory, strrchr(own, '/'));
	return ayrei_clearing_tell(clearing, kind, clearing->topic->label, path, bytes, code);
}

/* Somebody else was quicker: then there is nothing to tell. */
static int remove_file(struct ayrei_clearing *clearing, enum ayre_leftover kind,
                       const struct ayrei_file_of_topic *file)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result;

	ayrei_files_path(clearing->topic, file, path);
	result = clearing->options.dry_run ? ayrei_path_may_remove(clearing->topic->prefix, path)
	                                   : ayrei_file_unlink(path);
	return result == -ENOENT ? 0 : tell_file(clearing, kind, file, file->bytes, result);
}

/* --- bells without a file --- */

/* files: the bell, and perhaps others of a lane that is not there: they are in nobody's way. */
static int clear_bell(struct ayrei_clearing *clearing, const struct ayrei_file_of_topic *bell)
{
	enum ayre_leftover kind =
		bell->kind == AYREI_PEER_PUBLISHER ? AYRE_LEFTOVER_BELL : AYRE_LEFTOVER_SUBSCRIBER;
	char path[AYREI_PEER_PATH_BYTES], file[AYREI_PEER_PATH_BYTES];
	int result;

	if (bell->part != AYREI_PART_BELL)
		return 0;
	ayrei_files_path(clearing->topic, bell, path);
	ayrei_peer_path(clearing->topic, bell->kind, bell->id, "", file);
	if (clearing->options.dry_run) {
		/* Nobody reads it. */
		result = ayrei_bell_open(path);
		if (result >= 0)
			ayrei_file_close(result);
		result = result == -ENXIO;
		if (result == 1 && ayrei_path_access(path, R_OK | W_OK) < 0)
			result = -EACCES;
		if (result == 1 && ayrei_path_may_remove(clearing->topic->prefix, path) < 0)
			result = -EPERM;
	} else {
		result = ayrei_bell_clear(path, file);
	}
	if (result == 0 || result == -ENOENT)
		return 0;
	return tell_file(clearing, kind, bell, bell->bytes, result < 0 ? result : 0);
}

/* --- subscribers --- */

int ayrei_clear_subscriber(struct ayrei_clearing *clearing, const struct ayrei_file_of_topic *files,
                           size_t count)
{
	int result = 0;

	if (files->part != AYREI_PART_SELF)
		return clear_bell(clearing, files);
	if (ayrei_peer_is_live(clearing->topic, AYREI_PEER_SUBSCRIBER, files->id) != 0)
		return 0;
	/* The cursor last: as long as it is there, the rest can be judged by it. */
	for (size_t i = count; result >= 0 && i-- > 0;)
		result = remove_file(clearing, AYRE_LEFTOVER_SUBSCRIBER, &files[i]);
	return result;
}

/* --- lanes --- */

/* In a dry run only whether it could be taken; nobody is disturbed. */
static int try_take(const struct ayrei_clearing *clearing, const char *path)
{
	return clearing->options.dry_run ? ayrei_path_access(path, R_OK | W_OK)
	                                 : ayrei_topic_take_file(path);
}

static int clear_durable_lane(struct ayrei_clearing *clearing,
                              const struct ayrei_file_of_topic *files, size_t count)
{
	const struct ayrei_file_of_topic *bell = NULL;
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	int result;

	for (size_t i = 0; i < count; i++)
		if (files[i].part == AYREI_PART_BELL)
			bell = &files[i];
	if (!bell || ayrei_peer_is_live(clearing->topic, AYREI_PEER_PUBLISHER, bell->id) == 1)
		return 0;
	result = try_take(clearing, ayrei_log_path(clearing->topic, bell->id, path));
	if (!clearing->options.dry_run)
		fd = result;
	if (result == -EWOULDBLOCK || result == -ENOENT)
		return 0;
	return result < 0 ? tell_file(clearing, AYRE_LEFTOVER_BELL, bell, bell->bytes, result)
	                  : remove_file(clearing, AYRE_LEFTOVER_BELL, bell);
}

struct range {
	struct ayrei_lane_place oldest, end;
	uint64_t least; /* what was before it is overwritten, or a spare */
};

static int find_range(const struct ayrei_lane_view *view, struct range *range)
{
	uint64_t limit, beside, ring = view->reader.mask + 1;
	int result;

	if (view->problem)
		return -EPROTO;
	limit = ayrei_load(&view->reader.layout->limit);
	beside = ayrei_load(&view->reader.layout->beside);
	range->least = limit > ring ? limit - ring : 0;
	if (beside > range->least)
		range->least = beside;
	result = ayrei_lane_view_find(view, 0, &range->oldest);
	return result < 0 ? result : ayrei_lane_view_find(view, AYREI_LANE_END, &range->end);
}

/* What is in a lane that nobody publishes in. */
static int clear_content(struct ayrei_clearing *clearing, const struct range *range,
                         const struct ayrei_file_of_topic *files, size_t count)
{
	uint64_t kept = files->bytes;
	int result = 0;

	for (size_t i = 1; result >= 0 && i < count; i++) {
		uint64_t position = files[i].position;

		if (files[i].part != AYREI_PART_BESIDE)
			continue;
		if (position >= range->end.position || position < range->least)
			result = remove_file(clearing, AYRE_LEFTOVER_MESSAGE, &files[i]);
		else
			kept += files[i].bytes;
	}
	if (result < 0)
		return result;
	return range->oldest.sequence == range->end.sequence
	               ? remove_file(clearing, AYRE_LEFTOVER_LANE, files)
	               : tell_file(clearing, AYRE_LEFTOVER_CONTENT, files, kept, 0);
}

static int clear_owned_lane(struct ayrei_clearing *clearing,
                            const struct ayrei_file_of_topic *files, size_t count)
{
	struct ayrei_lane_view view;
	struct range range;
	int result = 0;

	if (count > 1 && files[1].part == AYREI_PART_BELL)
		result = remove_file(clearing, AYRE_LEFTOVER_BELL, &files[1]);
	if (result < 0)
		return result;
	result = ayrei_lane_view_open(&view, clearing->topic, files->id);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	/* One that is damaged is left as it is: nobody knows what is in it. */
	if (find_range(&view, &range) >= 0)
		result = clear_content(clearing, &range, files, count);
	ayrei_lane_view_close(&view);
	return result;
}

/* Is there anything to be done for which it has to be ours? A bell, a file beside it, or no message. */
static int wants_clearing(const struct ayrei_topic *topic, const struct ayrei_file_of_topic *files,
                          size_t count)
{
	struct ayrei_lane_view view;
	struct range range;
	int result;

	if (count > 1)
		return 1;
	result = ayrei_lane_view_open(&view, topic, files->id);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	result = find_range(&view, &range) >= 0 && range.oldest.sequence == range.end.sequence;
	ayrei_lane_view_close(&view);
	return result;
}

int ayrei_clear_publisher(struct ayrei_clearing *clearing, const struct ayrei_file_of_topic *files,
                          size_t count)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	int result;

	if (ayrei_topic_is_durable(clearing->topic))
		return clear_durable_lane(clearing, files, count);
	if (files->part != AYREI_PART_SELF)
		return clear_bell(clearing, files);
	if (ayrei_peer_is_live(clearing->topic, AYREI_PEER_PUBLISHER, files->id) != 0)
		return 0;
	result = wants_clearing(clearing->topic, files, count);
	if (result < 0)
		return result;
	if (result == 0)
		return clear_owned_lane(clearing, files, count);
	result = try_take(clearing, ayrei_peer_path(clearing->topic, AYREI_PEER_PUBLISHER,
	                                            files->id, "", path));
	if (!clearing->options.dry_run)
		fd = result;
	if (result == -EWOULDBLOCK || result == -ENOENT)
		return 0;
	/* Another user's. */
	if (result < 0)
		return tell_file(clearing, AYRE_LEFTOVER_LANE, files, files->bytes, result);
	return clear_owned_lane(clearing, files, count);
}
