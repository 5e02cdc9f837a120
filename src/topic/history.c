/*
 * Reading a durable lane from its log.
 *
 * A position is the same in the ring and in the log. So whoever was overtaken goes on in the log where it was,
 * and goes back to the ring when it has come near enough to its end.
 *
 * Invariant: what is told of the log is a whole record. Where there is none, the kernel or the lane says whether
 * there has to be one: then it is damaged, is told so once, and passed over; else it is the end.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "topic/log.h"
#include "topic/record_check.h"
#include "topic/subscriber.h"

/* What the ring's reader has while it is not used: no record, ever. */
static const uint64_t nothing[8];
static const struct ayrei_lane_layout no_lane;

void ayrei_source_enter_log(struct ayrei_source *source)
{
	source->is_in_log = true;
	source->known_until = 0;
	source->reader.ring = (const char *)nothing;
	source->reader.mask = 0;
	if (!ayrei_source_layout(source))
		source->reader.layout = &no_lane;
}

static uint64_t ring_bytes(const struct ayre_subscriber *subscriber)
{
	return subscriber->topic.layout.ring_bytes;
}

static void close_extent(struct ayrei_source *source)
{
	source->known_until = 0;
	ayrei_extent_close(&source->extent);
}

static void leave_log(const struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	source->is_in_log = false;
	close_extent(source);
	ayrei_source_set_reader(source, subscriber->topic.layout.header_bytes,
	                        ring_bytes(subscriber));
}

/* A ring that is younger than its log has nothing before the place where it began. */
static bool goes_back_to(const struct ayre_subscriber *subscriber,
                         const struct ayrei_lane_layout *layout, uint64_t position)
{
	struct ayrei_reader reader = {.mask = ring_bytes(subscriber) - 1, .layout = layout};
	struct ayrei_checkpoint oldest;

	return ayrei_reader_checkpoint(&reader, 0, &oldest) == 0 && oldest.position <= position;
}

/*
 * Near its end the ring is read; and where nothing more was carried, it has to be there. 1: it is read from here
 * on; 0: not yet; -EPROTO: it lies.
 */
static int try_ring(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	const struct ayrei_lane_layout *layout = ayrei_source_layout(source);
	uint64_t position = source->reader.position, carried, ahead;

	if (!layout)
		return 0;
	carried = ayrei_load_acquire(&layout->carried);
	ahead = ayrei_load_acquire(&layout->limit) - position;
	if (position < carried &&
	    (ahead > ring_bytes(subscriber) / 2 || !goes_back_to(subscriber, layout, position)))
		return 0;
	if (ahead - 1 > ring_bytes(subscriber) - 1)
		/* It has gone on since. */
		return position < ayrei_load_acquire(&layout->carried)
		               ? 0
		               : ayrei_source_break(subscriber, source);
	leave_log(subscriber, source);
	return 1;
}

/* --- from extent to extent --- */

static void go_to(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                  const struct ayrei_log_place *place)
{
	uint64_t missed = place->sequence - source->reader.sequence;

	/* Numbers that go back are damage too; they are not counted. */
	if (place->sequence > source->reader.sequence) {
		source->missed += missed;
		subscriber->missed += missed;
	}
	source->reader.position = place->position;
	source->reader.sequence = place->sequence;
	source->known_until = 0;
	source->log_end = 0;
}

static int open_extent(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       uint64_t begin)
{
	close_extent(source);
	return ayrei_extent_open(&source->extent, &subscriber->topic, source->id, begin);
}

/*
 * The beginning of the first extent that can be opened, from this one of the list on. -EBADMSG: there are some, and none
 * can be; -ENOENT: there is none.
 */
static int go_to_extent(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                        const struct ayrei_extents *extents, size_t index)
{
	int result, failure = -ENOENT;

	for (; index < extents->count; index++) {
		result = open_extent(subscriber, source, extents->begins[index]);
		if (result == 0) {
			go_to(subscriber, source,
			      &(struct ayrei_log_place){source->extent.begin,
			                                source->extent.sequence, false});
			return 0;
		}
		if (result != -ENOENT && result != -EBADMSG && result != -EPROTO)
			return result;
		if (result != -ENOENT)
			failure = -EBADMSG;
	}
	return failure;
}

/* Behind what is damaged: by the index, the next extent, or the ring. Nothing there: it ends here. */
static int pass_damage(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	uint64_t position = source->reader.position;
	struct ayrei_log_place place = {position, source->reader.sequence, false};
	struct ayrei_extents extents;
	struct ayrei_log_gap gap;
	int result;

	if (ayrei_extent_is_open(&source->extent) &&
	    ayrei_extent_find_behind(&source->extent, &place, NULL, &gap)) {
		go_to(subscriber, source, &gap.place);
		return -EBADMSG;
	}
	result = ayrei_extents_list(&extents, &subscriber->topic, source->id);
	if (result < 0)
		return result;
	result = go_to_extent(subscriber, source, &extents,
	                      ayrei_extents_find(&extents, position) + 1);
	ayrei_extents_fini(&extents);
	/* Repair has given it up, and said so. */
	if (result == 0 && source->extent.follows == position)
		return AYREI_AGAIN;
	if (result == -EBADMSG)
		result = -ENOENT;
	if (result == -ENOENT && ayrei_source_layout(source)) {
		struct ayrei_log_place before = {position, source->reader.sequence, false};
		bool is_in_ring = goes_back_to(subscriber, ayrei_source_layout(source), position);

		leave_log(subscriber, source);
		if (is_in_ring)
			return AYREI_AGAIN;
		if (ayrei_reader_seek_oldest(&source->reader) < 0)
			return ayrei_source_break(subscriber, source);
		place = (struct ayrei_log_place){source->reader.position, source->reader.sequence,
		                                 false};
		source->reader.sequence = before.sequence;
		go_to(subscriber, source, &place);
		result = 0;
	}
	source->log_end = result == 0 ? 0 : position;
	return result == 0 || result == -ENOENT ? -EBADMSG : result;
}

bool ayrei_source_read_slot(const struct ayre_subscriber *subscriber,
                            const struct ayrei_source *source, struct ayrei_slot_layout *ret_slot)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	ayrei_auto_fd int fd = ayrei_topic_open_regular(
		ayrei_log_path(&subscriber->topic, source->id, path), 0, &status);

	return fd >= 0 && ayrei_slot_read(fd, &subscriber->topic, source->id, ret_slot) == 0;
}

/* Nothing whole is at the position: is this the end, or is something missing? */
static bool is_missing(const struct ayre_subscriber *subscriber, const struct ayrei_source *source)
{
	const struct ayrei_lane_layout *layout = ayrei_source_layout(source);
	uint64_t position = source->reader.position;
	struct ayrei_slot_layout slot;

	if (layout)
		return position < ayrei_load_acquire(&layout->carried);
	return (ayrei_source_read_slot(subscriber, source, &slot) &&
	        (slot.safe > position || slot.last > position)) ||
	       ayrei_extent_is_damaged(&source->extent, position);
}

static int stop_at(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	if (is_missing(subscriber, source))
		return pass_damage(subscriber, source);
	source->log_end = source->reader.position;
	return AYREI_NOTHING;
}

/*
 * Opens the extent that the position is in. AYREI_FOUND; AYREI_AGAIN: what was there was given up, and it goes on
 * at the oldest; AYREI_NOTHING: there is no log; or a negative errno.
 */
static int reach(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	uint64_t position = source->reader.position;
	struct ayrei_slot_layout slot;
	struct ayrei_extents extents;
	size_t index;
	int result;

	if (ayrei_extent_is_open(&source->extent) && position >= source->extent.begin &&
	    position <= source->extent.end)
		return AYREI_FOUND;
	result = ayrei_extents_list(&extents, &subscriber->topic, source->id);
	if (result < 0)
		return result;
	index = ayrei_extents_find(&extents, position);
	if (extents.count == 0) {
		result = stop_at(subscriber, source);
	} else if (index == SIZE_MAX) {
		result = go_to_extent(subscriber, source, &extents, 0);
		if (result == 0)
			result = ayrei_source_read_slot(subscriber, source, &slot) &&
			                         slot.first <= position
			                 ? -EBADMSG
			                 : AYREI_AGAIN;
		else if (result == -ENOENT)
			result = AYREI_AGAIN;
		else if (result == -EBADMSG)
			result = pass_damage(subscriber, source);
	} else {
		result = open_extent(subscriber, source, extents.begins[index]);
		if (result == 0)
			result = AYREI_FOUND;
		else if (result == -ENOENT)
			result = AYREI_AGAIN;
		else if (result == -EBADMSG || result == -EPROTO)
			result = pass_damage(subscriber, source);
	}
	ayrei_extents_fini(&extents);
	return result;
}

/* Has retention given up what was at the position? It says so before it does, and goes on at what is there. */
static bool pass_given_up(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	uint64_t position = source->reader.position;
	struct ayrei_slot_layout slot;
	struct ayrei_extents extents;
	int result;

	if (!ayrei_source_read_slot(subscriber, source, &slot) || slot.first <= position ||
	    ayrei_extents_list(&extents, &subscriber->topic, source->id) < 0)
		return false;
	result = go_to_extent(subscriber, source, &extents,
	                      ayrei_extents_find(&extents, position) + 1);
	ayrei_extents_fini(&extents);
	return result == 0;
}

/* No whole record is at the position, in the extent that it is in. */
static int stop(struct ayre_subscriber *subscriber, struct ayrei_source *source)
{
	uint64_t position = source->reader.position;
	struct ayrei_extent next;
	int result;

	if (position != source->extent.begin) {
		result = ayrei_extent_open(&next, &subscriber->topic, source->id, position);
		if (result == 0) {
			close_extent(source);
			source->extent = next;
			return AYREI_AGAIN;
		}
		/* There was never one with this name that had no head. */
		if (result == -EBADMSG)
			return pass_damage(subscriber, source);
		if (result != -ENOENT && result != -EPROTO)
			return result;
		if (result == -ENOENT && pass_given_up(subscriber, source))
			return AYREI_AGAIN;
	}
	return stop_at(subscriber, source);
}

/* --- receiving --- */

bool ayrei_source_was_given_up(const struct ayre_subscriber *subscriber,
                               const struct ayrei_source *source)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	return ayrei_path_status(ayrei_extent_path(&subscriber->topic, source->id,
	                                           source->extent.begin, path),
	                         false, &status) == -ENOENT;
}

bool ayrei_source_is_what_was_sent(const struct ayrei_source *source, uint64_t header,
                                   const struct ayre_message *message)
{
	const char *told = ayrei_extent_bytes(&source->extent, source->reader.position) +
	                   ayrei_record_prefix_bytes(ayrei_record_unpack(header)) +
	                   sizeof(message->bytes);
	uint64_t hash;

	memcpy(&hash, told, sizeof(hash));
	return hash == ayrei_hash(message->data, message->bytes);
}

/*
 * So far ahead of the record that is hashed its followers are fetched: by itself a processor does that only up to
 * the end of a page, and each header is waited for.
 */
#define AHEAD 8192

/* So much is looked over at once before the first message of it is received. It stays in the nearest cache. */
#define WINDOW 4096

/* What a walk over records needs of their extent, in registers. */
struct walk {
	const char *bytes;
	uint64_t begin, end, until, key, most;
};

/* As far as what is there may be received. */
static struct walk begin_walk(const struct ayre_subscriber *subscriber,
                              const struct ayrei_source *source)
{
	const struct ayrei_extent *extent = &source->extent;
	const struct ayrei_lane_layout *layout = ayrei_source_layout(source);
	struct walk walk = {
		.bytes = extent->bytes,
		.begin = extent->begin,
		.end = extent->end,
		.until = extent->end,
		.key = extent->key,
		.most = ayrei_record_bytes_max(extent->ring_bytes),
	};

	if (subscriber->safe_only && layout) {
		uint64_t safe = ayrei_load_acquire(&layout->safe);

		walk.until = safe < walk.until ? safe : walk.until;
	}
	return walk;
}

/*
 * The header of the message at a position before the end, if that is one, and in a whole record; 0: look closer.
 * known_until: what is before it was found whole.
 */
static inline uint64_t next_whole(const struct walk *walk, uint64_t known_until, uint64_t position)
{
	const char *at = walk->bytes + (position - walk->begin);
	uint64_t header = ayrei_load_acquire((const void *)at);
	uint64_t left = walk->end - position - AYREI_RECORD_HEADER;

	ayrei_prefetch_read(at + AHEAD);
	ayrei_prefetch_read(at + AHEAD + AYREI_LINE);
	if (!ayrei_record_is_checked_message(header, left < walk->most ? left : walk->most))
		return 0;
	return position < known_until || ayrei_record_is_whole_inline(walk->key, position, header,
	                                                              at + AYREI_RECORD_HEADER)
	               ? header
	               : 0;
}

/* Looks over the messages that come next, so that most of them are received the short way. */
__attribute__((flatten)) static void look_ahead(const struct ayre_subscriber *subscriber,
                                                struct ayrei_source *source)
{
	struct walk walk = begin_walk(subscriber, source);
	uint64_t position = source->reader.position, until = position + WINDOW, header;

	if (until > walk.until)
		until = walk.until;
	while (position < until && (header = next_whole(&walk, 0, position)) != 0)
		position = ayrei_record_end(position, (uint32_t)header);
	source->known_until = position;
}

/* What is at its position, if it may be received: its header, whole. 0: there is none. */
static uint64_t next_header(const struct ayrei_source *source)
{
	uint64_t position = source->reader.position,
		 header = ayrei_extent_header(&source->extent, position);

	return header && ayrei_extent_is_whole(&source->extent, position, header) ? header : 0;
}

/* Whatever is at the position, where nothing is known of it. */
static int look_closer(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                       struct ayre_message *message, uint64_t *ret_header)
{
	int result = try_ring(subscriber, source);
	const char *bytes;
	uint64_t header;

	if (result != 0)
		return result < 0 ? result : AYREI_AGAIN;
	if (!ayrei_source_may_go_on(subscriber, source) ||
	    (source->log_end && source->log_end == source->reader.position &&
	     !ayrei_source_layout(source)))
		return AYREI_NOTHING;
	result = reach(subscriber, source);
	if (result != AYREI_FOUND)
		return result;
	look_ahead(subscriber, source);
	header = ayrei_source_known(source, ring_bytes(subscriber), &bytes);
	if (!header)
		header = next_header(source);
	if (!header)
		return stop(subscriber, source);
	*ret_header = header;
	ayrei_source_describe(source, header,
	                      ayrei_extent_bytes(&source->extent, source->reader.position),
	                      message);
	return AYREI_FOUND;
}

int ayrei_source_look_in_log(struct ayre_subscriber *subscriber, struct ayrei_source *source,
                             struct ayre_message *message, uint64_t *ret_header)
{
	const char *bytes;
	uint64_t header = ayrei_source_known(source, ring_bytes(subscriber), &bytes);

	if (!header)
		return look_closer(subscriber, source, message, ret_header);
	*ret_header = header;
	ayrei_source_tell(source, header, bytes, source->reader.sequence, message);
	return AYREI_FOUND;
}

bool ayrei_source_has_in_log(const struct ayre_subscriber *subscriber,
                             const struct ayrei_source *source)
{
	/* Whatever it is: an attempt finds out. Without a ring it has an end, which is known then. */
	return ayrei_source_may_go_on(subscriber, source) &&
	       (ayrei_source_layout(source) || source->log_end == 0 ||
	        source->log_end != source->reader.position);
}

/* Each is hashed where it lies; the sums of one and the next overlap, if nothing stands between them. */
__attribute__((flatten)) size_t ayrei_source_peek_on_in_log(struct ayre_subscriber *subscriber,
                                                            struct ayrei_source *source,
                                                            struct ayre_message *messages,
                                                            size_t most)
{
	uint64_t position = subscriber->peeked_end, sequence = source->reader.sequence;
	struct walk walk = begin_walk(subscriber, source);
	size_t count = 1;

	while (count < most && position < walk.until) {
		const char *bytes = walk.bytes + (position - walk.begin);
		uint64_t header = next_whole(&walk, source->known_until, position);

		if (!header)
			break;
		ayrei_source_tell(source, header, bytes + AYREI_RECORD_HEADER, sequence + count,
		                  &messages[count]);
		count++;
		position = ayrei_record_end(position, (uint32_t)header);
	}
	subscriber->peeked_end = position;
	if (source->known_until < position)
		source->known_until = position;
	return count;
}
