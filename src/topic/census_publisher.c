/*
 * One publisher of a topic: its lane, its log if it has one, and how far each subscriber is behind.
 *
 * A durable lane is two things, and either may be missing: its ring, after the machine has started anew, and what of its log is
 * older than has to be kept. So a place is looked for in the ring, which is nearer, and then in the log.
 */
#include <errno.h>
#include <stdlib.h>

#include "topic/census.h"

struct lane {
	const struct ayrei_topic *topic;
	const struct ayrei_file_of_topic *files; /* its own */
	size_t file_count;
	bool has_ring, has_log;
	struct ayrei_lane_view ring;
	struct ayrei_log_view log;
	struct ayrei_lane_place oldest, end;
};

static uint64_t difference(uint64_t more, uint64_t less)
{
	return more > less ? more - less : 0;
}

/* --- bytes --- */

/* What lies beside the ring from a position on. */
static uint64_t beside(const struct lane *lane, uint64_t position)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < lane->file_count; i++)
		if (lane->files[i].part == AYREI_PART_BESIDE && lane->files[i].position >= position)
			bytes += lane->files[i].bytes;
	return bytes;
}

/* Without spares, which are before the files of all messages. */
static uint64_t kept_beside(const struct lane *lane, uint64_t position)
{
	uint64_t least = lane->has_ring ? ayrei_load(&lane->ring.reader.layout->beside) : 0;

	return beside(lane, position > least ? position : least);
}

static void count_bytes(struct ayre_topic_publisher *publisher, const struct lane *lane)
{
	bool is_durable = ayrei_topic_is_durable(lane->topic);

	for (size_t i = 0; i < lane->file_count; i++) {
		const struct ayrei_file_of_topic *file = &lane->files[i];

		if (is_durable && file->part >= AYREI_PART_BESIDE)
			publisher->disk_bytes += file->bytes;
		else if (file->part != AYREI_PART_BELL)
			publisher->used_bytes += file->bytes;
	}
}

/* --- places --- */

/* As ayrei_lane_view_find(). */
static int find(const struct lane *lane, uint64_t position, struct ayrei_lane_place *ret_place)
{
	struct ayrei_lane_place place;
	int in_ring = lane->has_ring ? ayrei_lane_view_find(&lane->ring, position, ret_place) : 0,
	    in_log;

	if (in_ring != 0 || !lane->has_log)
		return in_ring;
	in_log = ayrei_log_view_find(&lane->log, position, &place);
	/* Nothing is carried yet, or all of it is given up. */
	if (in_log == -ENOENT && lane->has_ring)
		return in_ring;
	if (in_log < 0)
		return in_log == -ENOENT ? -EPROTO : in_log;
	/* What is damaged on the way ends it too early; the ring may have more. */
	if (!lane->has_ring || place.position < ret_place->position)
		*ret_place = place;
	return in_log;
}

/* How far this subscriber is behind the end. -EBUSY as the view's. */
static int measure_lag(struct ayre_topic_subscriber *subscriber, const struct lane *lane,
                       const struct ayre_topic_publisher *publisher)
{
	struct ayre_topic_lag wanted = {.publisher = publisher->id}, *lag = NULL;
	struct ayrei_lane_place place;
	int result;

	if (subscriber->lag_count)
		lag = bsearch(&wanted, subscriber->lags, subscriber->lag_count, sizeof(*lag),
		              ayrei_lag_compare);
	if (!lag) {
		/* It has yet to notice that there is this lane. */
		if (subscriber->live && !subscriber->problem) {
			subscriber->lag_messages += publisher->kept_messages;
			subscriber->lag_bytes += publisher->kept_bytes;
		}
		return 0;
	}
	result = find(lane, lag->position, &place);
	if (result < 0)
		return result;
	lag->overtaken = result == 0;
	lag->messages = difference(lane->end.sequence, place.sequence);
	lag->bytes =
		difference(lane->end.position, place.position) + kept_beside(lane, place.position);
	subscriber->lag_messages += lag->messages;
	subscriber->lag_bytes += lag->bytes;
	return 0;
}

static int measure(struct ayre_topic_publisher *publisher, struct lane *lane)
{
	int result = find(lane, 0, &lane->oldest);

	if (result >= 0)
		result = find(lane, AYREI_LANE_END, &lane->end);
	if (result < 0)
		return result;
	publisher->position = lane->end.position;
	publisher->closed = !publisher->live && lane->end.closed;
	publisher->messages = lane->end.sequence;
	publisher->bytes = difference(lane->end.position, lane->topic->layout.ring_bytes);
	publisher->kept_messages = difference(lane->end.sequence, lane->oldest.sequence);
	publisher->kept_bytes = difference(lane->end.position, lane->oldest.position) +
	                        kept_beside(lane, lane->oldest.position);
	return 0;
}

/* What of it is in its log, and safe. Without a ring, all of it is: what was not is gone with the machine. */
static int measure_log(struct ayre_topic_publisher *publisher, const struct lane *lane)
{
	const struct ayrei_lane_layout *layout = lane->ring.reader.layout;
	struct ayrei_lane_place place = lane->end;
	int result;

	publisher->extents = lane->log.extent_count;
	publisher->carried = lane->has_ring ? ayrei_load(&layout->carried) : lane->end.position;
	publisher->safe = lane->has_ring ? ayrei_load(&layout->safe) : lane->end.position;
	/* It has gone on since the end was looked for. */
	if (publisher->safe < lane->end.position) {
		result = find(lane, publisher->safe, &place);
		if (result < 0)
			return result;
	}
	publisher->safe_messages = place.sequence;
	return 0;
}

/* --- one of them --- */

static int open_lane(struct lane *lane, uint64_t id)
{
	int result = 0, ring = -ENOENT;

	if (lane->files->part == AYREI_PART_SELF)
		ring = ayrei_lane_view_open(&lane->ring, lane->topic, id);
	if (ring < 0 && ring != -ENOENT)
		return ring;
	lane->has_ring = ring == 0;
	if (ayrei_topic_is_durable(lane->topic))
		result =
			ayrei_log_view_open(&lane->log, lane->topic, lane->files, lane->file_count);
	else
		result = -ENOENT;
	lane->has_log = result == 0;
	if (result < 0 && result != -ENOENT && lane->has_ring)
		ayrei_lane_view_close(&lane->ring);
	return result == -ENOENT && lane->has_ring ? 0 : result;
}

int ayrei_look_publisher(struct ayre_topic_publisher *publisher,
                         struct ayre_topic_subscriber *subscribers, size_t subscriber_count,
                         const struct ayrei_topic *topic, const struct ayrei_file_of_topic *files,
                         size_t count)
{
	struct lane lane = {.topic = topic, .files = files, .file_count = count};
	int result = open_lane(&lane, files->id);

	if (result < 0)
		return result;
	*publisher = (struct ayre_topic_publisher){
		.id = files->id,
		.problem = lane.has_ring ? lane.ring.problem : lane.log.problem,
		.uid = lane.has_ring ? lane.ring.status.st_uid : lane.log.uid,
		.live = lane.has_ring ? lane.ring.live : lane.log.live,
		.has_ring = lane.has_ring,
	};
	count_bytes(publisher, &lane);
	if (publisher->problem)
		return 0;
	if (lane.has_ring) {
		const struct ayrei_lane_layout *layout = lane.ring.reader.layout;

		publisher->pid = layout->pid;
		publisher->opened_ns = layout->opened_ns;
		publisher->owners = ayrei_load(&layout->publishers);
		publisher->waiting = lane.ring.live && ayrei_load(&layout->waiting) != 0;
	}
	result = measure(publisher, &lane);
	if (result == 0 && lane.has_log)
		result = measure_log(publisher, &lane);
	for (size_t i = 0; result >= 0 && i < subscriber_count; i++)
		result = measure_lag(&subscribers[i], &lane, publisher);
	if (result == -EPROTO)
		publisher->problem = "it is damaged";
	else if (result == -EBUSY)
		publisher->problem = "it writes too fast to be looked at";
	if (lane.has_ring)
		ayrei_lane_view_close(&lane.ring);
	return 0;
}
