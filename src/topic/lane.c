/*
 * The slow half of a lane: the limit, checkpoints, and finding one's way in a ring.
 *
 * Invariant: the limit is at most ring_bytes beyond the slowest cursor that counts, and every byte
 * that was ever stored lies before it. At least one checkpoint that is whole lies in the last
 * ring_bytes before the limit: a new one is written before the one before it can be overwritten.
 *
 * What a reader finds in a lane was written by somebody who may lie. It is read once, bounded, and
 * no walk is longer than a ring.
 */
#include "topic/lane.h"

#include <errno.h>
#include <string.h>

#include "sys/system.h"

bool ayrei_lane_is_of(const struct ayrei_lane_layout *lane, const uint8_t *generation, uint64_t id,
                      uint64_t header_bytes, uint64_t ring_bytes)
{
	return memcmp(lane->magic, AYREI_LANE_MAGIC, sizeof(lane->magic)) == 0 &&
	       lane->version == AYREI_TOPIC_VERSION && lane->header_bytes == header_bytes &&
	       memcmp(lane->generation, generation, sizeof(lane->generation)) == 0 &&
	       lane->id == id && lane->ring_bytes == ring_bytes;
}

static uint64_t ring_bytes(uint64_t mask)
{
	return mask + 1;
}

/* --- the writer --- */

static void write_checkpoint(struct ayrei_lane *lane)
{
	uint64_t chunk = ring_bytes(lane->mask) / AYREI_CHUNKS;
	struct ayrei_checkpoint *slot =
		&lane->layout->checkpoints[lane->position / chunk % AYREI_CHECKPOINTS];
	int64_t now_ns = ayrei_realtime_ns();

	/* If the clock was set back, it stands still until it has come there again. */
	if (lane->time_ns < now_ns)
		lane->time_ns = now_ns;
	/* Whoever reads the slot meanwhile finds it empty before, between, or after. */
	ayrei_store(&slot->position, 0);
	ayrei_fence_stores();
	ayrei_store(&slot->sequence, lane->sequence);
	__atomic_store_n(&slot->time_ns, lane->time_ns, __ATOMIC_RELAXED);
	ayrei_store_release(&slot->position, lane->position);
	lane->checkpoint = lane->position;
}

int ayrei_lane_extend(struct ayrei_lane *lane, uint64_t bytes, uint64_t floor)
{
	uint64_t chunk = ring_bytes(lane->mask) / AYREI_CHUNKS;
	uint64_t needed = ayrei_record_end(lane->position, bytes) + AYREI_LANE_SLACK;
	uint64_t limit = needed + chunk;

	if (floor != UINT64_MAX && limit > floor + ring_bytes(lane->mask))
		limit = floor + ring_bytes(lane->mask);
	if (limit < needed)
		return -EAGAIN;
	/* Before the limit: a reader must never find the last checkpoint overwritten and no newer one. */
	if (lane->position - lane->checkpoint >= chunk)
		write_checkpoint(lane);
	if (limit > lane->limit) {
		lane->limit = limit;
		ayrei_store_release(&lane->layout->limit, limit);
		ayrei_fence_stores();
	}
	return 0;
}

void ayrei_lane_begin(struct ayrei_lane *lane, uint64_t position, uint64_t sequence)
{
	lane->position = position;
	lane->sequence = sequence;
	write_checkpoint(lane);
	lane->limit = lane->position + AYREI_LANE_SLACK;
	ayrei_store(&lane->layout->limit, lane->limit);
}

/* --- walking --- */

/* 1: went over a record, whose header this was; 0: there is none; -ESTALE: overtaken; -EPROTO. */
static int step(struct ayrei_reader *reader, uint64_t *ret_header)
{
	uint64_t header = ayrei_reader_header(reader);
	bool fits = ayrei_record_is_valid(header, ring_bytes(reader->mask));

	if (!ayrei_reader_is_intact(reader, reader->position))
		return -ESTALE;
	if (header == 0)
		return 0;
	if (!fits)
		return -EPROTO;
	reader->position = ayrei_record_end(reader->position, (uint32_t)header);
	if (ayrei_record_unpack(header).kind != AYREI_RECORD_CLOSED)
		reader->sequence++;
	else
		reader->closed_at = reader->position;
	*ret_header = header;
	return 1;
}

int ayrei_reader_checkpoint(const struct ayrei_reader *reader, uint64_t least,
                            struct ayrei_checkpoint *ret_checkpoint)
{
	uint64_t ring = ring_bytes(reader->mask),
		 limit = ayrei_load_acquire(&reader->layout->limit);
	struct ayrei_checkpoint best = {0};

	/* So far no lane gets. Below, nothing that is computed from a position overflows. */
	if (limit > INT64_MAX)
		return -ENOENT;
	if (limit > ring && least < limit - ring)
		least = limit - ring;
	for (unsigned int i = 0; i < AYREI_CHECKPOINTS; i++) {
		const struct ayrei_checkpoint *slot = &reader->layout->checkpoints[i];
		struct ayrei_checkpoint copy = {.position = ayrei_load_acquire(&slot->position)};

		copy.sequence = ayrei_load(&slot->sequence);
		copy.time_ns = __atomic_load_n(&slot->time_ns, __ATOMIC_RELAXED);
		ayrei_fence_loads();
		if (copy.position == 0 || copy.position != ayrei_load(&slot->position) ||
		    copy.position % 8 != 0 || copy.position < least || copy.position >= limit ||
		    copy.sequence > INT64_MAX)
			continue;
		if (best.position == 0 || copy.position < best.position)
			best = copy;
	}
	if (best.position == 0)
		return -ENOENT;
	*ret_checkpoint = best;
	return 0;
}

static int seek_checkpoint(struct ayrei_reader *reader, uint64_t least)
{
	struct ayrei_checkpoint checkpoint;
	int result = ayrei_reader_checkpoint(reader, least, &checkpoint);

	if (result == 0) {
		reader->position = checkpoint.position;
		reader->sequence = checkpoint.sequence;
	}
	return result;
}

/* The newest checkpoint: the last of those that follow each other, of which there are only so many. */
static int seek_newest_checkpoint(struct ayrei_reader *reader)
{
	if (seek_checkpoint(reader, 0) < 0)
		return -EPROTO;
	for (unsigned int i = 0; i < AYREI_CHECKPOINTS; i++)
		if (seek_checkpoint(reader, reader->position + 1) < 0)
			break;
	return 0;
}

/* A writer that overtakes us again and again moves a whole ring meanwhile; one that lies, ends here. */
#define ATTEMPTS 64
/* Likewise, where an attempt is a walk through the ring. */
#define WALKS 4

int ayrei_reader_seek_oldest(struct ayrei_reader *reader)
{
	for (int i = 0; i < ATTEMPTS; i++)
		if (seek_checkpoint(reader, 0) == 0 &&
		    ayrei_reader_is_intact(reader, reader->position))
			return 0;
	return -EPROTO;
}

int ayrei_reader_seek_next(struct ayrei_reader *reader)
{
	/* Nothing lies beyond the limit: what does later was sent later. */
	uint64_t header, limit = ayrei_load_acquire(&reader->layout->limit);

	for (int i = 0; i < WALKS; i++) {
		int result = seek_newest_checkpoint(reader);
		uint64_t end = reader->position + ring_bytes(reader->mask);

		while (result >= 0 && reader->position < limit && reader->position < end) {
			result = step(reader, &header);
			if (result == 0)
				break;
		}
		if (result >= 0)
			return 0;
		if (result == -EPROTO)
			return result;
	}
	return seek_newest_checkpoint(reader);
}

/* Goes on as long as wanted says so of the record ahead. */
static int walk(struct ayrei_reader *reader, uint64_t least,
                bool (*wanted)(const struct ayrei_reader *, uint64_t header, int64_t value),
                int64_t value)
{
	for (int i = 0; i < WALKS; i++) {
		uint64_t header, end;
		int result = seek_checkpoint(reader, least);

		/* No checkpoint there: from the oldest. */
		if (result == -ENOENT)
			result = ayrei_reader_seek_oldest(reader);
		if (result < 0)
			return result;
		end = reader->position + 2 * ring_bytes(reader->mask);
		do {
			header = ayrei_reader_header(reader);
			if (header && wanted(reader, header, value))
				return 0;
			result = step(reader, &header);
		} while (result == 1 && reader->position < end);
		if (result != -ESTALE)
			return result < 0 ? result : 0;
		least = 0;
	}
	return ayrei_reader_seek_oldest(reader);
}

static bool has_sequence(const struct ayrei_reader *reader, uint64_t header, int64_t value)
{
	(void)header;
	return reader->sequence >= (uint64_t)value;
}

/* Unstamped messages are of the time of their checkpoint, which the walk has begun at. */
static bool has_time(const struct ayrei_reader *reader, uint64_t header, int64_t value)
{
	struct ayrei_record record = ayrei_record_unpack(header);
	const char *bytes = reader->ring + (reader->position & reader->mask) + AYREI_RECORD_HEADER;

	if (record.kind == AYREI_RECORD_CLOSED)
		return false;
	return !(record.flags & AYREI_RECORD_STAMPED) || ayrei_record_stamp(record, bytes) >= value;
}

/* The last checkpoint before what is looked for, by `before`. 0: there is none, begin at the oldest. */
static uint64_t last_checkpoint(const struct ayrei_reader *reader,
                                bool (*before)(const struct ayrei_checkpoint *, int64_t),
                                int64_t value)
{
	struct ayrei_checkpoint checkpoint;
	uint64_t best = 0, least = 0;

	for (unsigned int i = 0; i < AYREI_CHECKPOINTS; i++) {
		if (ayrei_reader_checkpoint(reader, least, &checkpoint) < 0 ||
		    !before(&checkpoint, value))
			break;
		best = checkpoint.position;
		least = checkpoint.position + 1;
	}
	return best;
}

static bool sequence_is_before(const struct ayrei_checkpoint *checkpoint, int64_t value)
{
	return checkpoint->sequence <= (uint64_t)value;
}

static bool time_is_before(const struct ayrei_checkpoint *checkpoint, int64_t value)
{
	return checkpoint->time_ns <= value;
}

int ayrei_reader_seek_sequence(struct ayrei_reader *reader, uint64_t sequence)
{
	int64_t value = sequence > INT64_MAX ? INT64_MAX : (int64_t)sequence;

	return walk(reader, last_checkpoint(reader, sequence_is_before, value), has_sequence,
	            value);
}

int ayrei_reader_seek_time(struct ayrei_reader *reader, int64_t time_ns)
{
	return walk(reader, last_checkpoint(reader, time_is_before, time_ns), has_time, time_ns);
}

int ayrei_reader_catch_up(struct ayrei_reader *reader, uint64_t *ret_missed)
{
	uint64_t ring = ring_bytes(reader->mask), before = reader->sequence;
	uint64_t limit = ayrei_load_acquire(&reader->layout->limit);
	struct ayrei_reader found = *reader;

	if (seek_checkpoint(&found, limit - ring / 2) < 0 && ayrei_reader_seek_oldest(&found) < 0)
		return -EPROTO;
	/* Forwards, always: what was overtaken lies more than a ring behind the limit. */
	if (found.position <= reader->position || found.sequence < before)
		return -EPROTO;
	*reader = found;
	*ret_missed = found.sequence - before;
	return 0;
}

int ayrei_lane_recover(struct ayrei_lane *lane, bool *ret_closed)
{
	struct ayrei_reader reader = {
		.ring = lane->ring,
		.mask = lane->mask,
		.layout = lane->layout,
	};
	struct ayrei_checkpoint checkpoint;
	uint64_t header = 0;
	int result;

	if (seek_newest_checkpoint(&reader) < 0)
		return -EPROTO;
	if (ayrei_reader_checkpoint(&reader, reader.position, &checkpoint) < 0)
		return -EPROTO;
	lane->checkpoint = checkpoint.position;
	lane->time_ns = checkpoint.time_ns;
	*ret_closed = false;
	lane->limit = ayrei_load(&lane->layout->limit);
	if (lane->limit > reader.position + ring_bytes(lane->mask))
		return -EPROTO;
	lane->position = reader.position;
	while ((result = step(&reader, &header)) == 1 && reader.position < lane->limit) {
		struct ayrei_record record = ayrei_record_unpack(header);

		*ret_closed = record.kind == AYREI_RECORD_CLOSED;
		if (record.flags & AYREI_RECORD_STAMPED && !*ret_closed)
			lane->time_ns = ayrei_time_after(
				lane->time_ns,
				ayrei_record_stamp(record, ayrei_lane_bytes(lane, lane->position)));
		lane->position = reader.position;
	}
	if (result != 0)
		return -EPROTO;
	lane->sequence = reader.sequence;
	return lane->position + 16 <= lane->limit ? 0 : -EPROTO;
}
