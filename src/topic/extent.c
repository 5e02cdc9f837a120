#include "topic/extent.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "topic/directory_make.h"
#include "topic/lane.h"
#include "topic/log.h"

/* --- opening --- */

static bool is_extent(const struct ayrei_extent_layout *head, const struct ayrei_topic *topic,
                      uint64_t id, uint64_t begin)
{
	return memcmp(head->magic, AYREI_EXTENT_MAGIC, sizeof(head->magic)) == 0 &&
	       head->version == AYREI_TOPIC_VERSION &&
	       head->checksum == ayrei_hash(head, offsetof(struct ayrei_extent_layout, checksum)) &&
	       memcmp(head->generation, topic->layout.generation, sizeof(head->generation)) == 0 &&
	       head->id == id && head->begin == begin && begin % 8 == 0 && begin <= INT64_MAX &&
	       head->follows <= begin && head->sequence <= INT64_MAX &&
	       head->capacity_bytes >= AYREI_LEAST_EXTENT &&
	       head->capacity_bytes <= AYREI_MOST_EXTENT &&
	       head->header_bytes == ayrei_extent_header_bytes(head->capacity_bytes) &&
	       head->ring_bytes == topic->layout.ring_bytes;
}

static int open_file(const struct ayrei_topic *topic, uint64_t id, uint64_t begin,
                     struct ayrei_extent_layout *ret_head, struct stat *ret_status)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd =
		ayrei_topic_open_regular(ayrei_extent_path(topic, id, begin, path), 0, ret_status);
	ssize_t got;

	if (fd < 0)
		return fd;
	if (!ayrei_topic_may_publish(topic, ret_status))
		return -EPROTO;
	got = ayrei_file_read_at(fd, ret_head, sizeof(*ret_head), 0);
	if (got < 0)
		return (int)got;
	return got == sizeof(*ret_head) && is_extent(ret_head, topic, id, begin) &&
	                       (uint64_t)ret_status->st_size >= ret_head->header_bytes
	               ? ayrei_take_fd(&fd)
	               : -EBADMSG;
}

int ayrei_extent_open(struct ayrei_extent *extent, const struct ayrei_topic *topic, uint64_t id,
                      uint64_t begin)
{
	struct ayrei_extent_layout head;
	struct ayrei_shared map = {.base = NULL};
	struct stat status;
	ayrei_auto_fd int fd = open_file(topic, id, begin, &head, &status);
	uint64_t bytes;
	int result;

	if (fd < 0)
		return fd;
	bytes = (uint64_t)status.st_size;
	if (bytes > head.header_bytes + head.capacity_bytes)
		bytes = head.header_bytes + head.capacity_bytes;
	result = ayrei_shared_map(&map, fd, bytes, 0, false, false);
	/* Cut short meanwhile. */
	if (result < 0)
		return result == -ESTALE ? -EBADMSG : result;
	*extent = (struct ayrei_extent){
		.map = map,
		.bytes = (const char *)map.base + head.header_bytes,
		.id = id,
		.key = head.key,
		.begin = begin,
		.sequence = head.sequence,
		.follows = head.follows,
		.end = begin + (bytes - head.header_bytes) / 8 * 8,
		.ring_bytes = head.ring_bytes,
		.created_ns = head.created_ns,
		.header_bytes = head.header_bytes,
		.entries = ayrei_index_entries(head.capacity_bytes),
	};
	return 0;
}

int ayrei_extent_read_head(const struct ayrei_topic *topic, uint64_t id, uint64_t begin,
                           struct ayrei_extent_layout *ret_head)
{
	struct ayrei_extent_layout head;
	struct stat status;
	ayrei_auto_fd int fd = open_file(topic, id, begin, &head, &status);

	if (fd < 0)
		return fd;
	*ret_head = head;
	return 0;
}

void ayrei_extent_close(struct ayrei_extent *extent)
{
	if (ayrei_extent_is_open(extent))
		ayrei_shared_unmap(&extent->map);
	*extent = (struct ayrei_extent){.id = 0};
}

/* --- records --- */

uint64_t ayrei_extent_walk(const struct ayrei_extent *extent, struct ayrei_log_place *place,
                           uint64_t until)
{
	uint64_t header = 0;

	while (place->position < until) {
		header = ayrei_extent_header(extent, place->position);
		if (!ayrei_extent_is_whole(extent, place->position, header))
			return header;
		place->closed = ayrei_record_unpack(header).kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = ayrei_record_end(place->position, (uint32_t)header);
	}
	return 0;
}

/* --- the index --- */

bool ayrei_extent_entry(const struct ayrei_extent *extent, uint64_t index,
                        struct ayrei_index_entry *ret_entry)
{
	const char *at = (const char *)extent->map.base + AYREI_BLOCK + index * sizeof(*ret_entry);
	uint64_t least = extent->begin + index * AYREI_INDEX_STEP;

	memcpy(ret_entry, at, sizeof(*ret_entry));
	return ret_entry->position >= least && ret_entry->position < extent->end &&
	       ret_entry->position % 8 == 0 && ret_entry->sequence >= extent->sequence &&
	       ret_entry->sequence <= INT64_MAX &&
	       ret_entry->check == ayrei_hash_seeded(ret_entry,
	                                             offsetof(struct ayrei_index_entry, check),
	                                             extent->key);
}

static bool is_within(const struct ayrei_index_entry *entry, enum ayrei_index_by by, int64_t value)
{
	switch (by) {
	case AYREI_BY_POSITION:
		return (int64_t)entry->position <= value;
	case AYREI_BY_SEQUENCE:
		return (int64_t)entry->sequence <= value;
	default:
		return entry->time_ns <= value;
	}
}

/*
 * The last entry that is not beyond the value; false: there is none. Entries are written from the first on, so
 * that what is not there is behind what is; a damaged one only makes the way longer.
 */
static bool find_entry(const struct ayrei_extent *extent, enum ayrei_index_by by, int64_t value,
                       struct ayrei_index_entry *ret_entry)
{
	uint64_t least = 0, most = extent->entries;
	struct ayrei_index_entry entry;
	bool found = false;

	while (least < most) {
		uint64_t middle = least + (most - least) / 2;

		if (ayrei_extent_entry(extent, middle, &entry) && is_within(&entry, by, value)) {
			*ret_entry = entry;
			found = true;
			least = middle + 1;
		} else {
			most = middle;
		}
	}
	return found;
}

struct ayrei_log_place ayrei_extent_seek(const struct ayrei_extent *extent, enum ayrei_index_by by,
                                         int64_t value)
{
	struct ayrei_index_entry entry = {extent->begin, extent->sequence, 0, 0};

	(void)find_entry(extent, by, value, &entry);
	return (struct ayrei_log_place){entry.position, entry.sequence, false};
}

int64_t ayrei_extent_latest_time(const struct ayrei_extent *extent, uint64_t position)
{
	struct ayrei_index_entry entry = {.position = extent->begin};
	int64_t time_ns = extent->created_ns;

	if (find_entry(extent, AYREI_BY_POSITION, (int64_t)position, &entry) &&
	    entry.time_ns > time_ns)
		time_ns = entry.time_ns;
	for (uint64_t at = entry.position; at < position;) {
		uint64_t header = ayrei_extent_header(extent, at);
		struct ayrei_record record = ayrei_record_unpack(header);

		if (!ayrei_extent_is_whole(extent, at, header))
			break;
		if (record.flags & AYREI_RECORD_STAMPED && record.kind != AYREI_RECORD_CLOSED)
			time_ns = ayrei_time_after(
				time_ns,
				ayrei_record_stamp(record, ayrei_extent_bytes(extent, at)));
		at = ayrei_record_end(at, record.bytes);
	}
	return time_ns;
}

/* --- looking ahead --- */

/*
 * What looks like a header has to be hashed to be known for one, and who fills messages with such words can
 * make that as long as they like; so it ends after so many bytes. Zeros, which are most of what an open extent
 * has, cost nothing.
 */
#define HASHED_MOST ((uint64_t)1 << 30)

/* The next whole record from a position on: its header, or 0. */
static uint64_t find_whole(const struct ayrei_extent *extent, uint64_t *position, uint64_t *hashed)
{
	for (; *position < extent->end && *hashed < HASHED_MOST; *position += 8) {
		uint64_t header = ayrei_extent_header(extent, *position);

		if (header == 0 || !ayrei_record_is_valid(header, extent->ring_bytes))
			continue;
		*hashed += (uint32_t)header;
		if (ayrei_extent_is_whole(extent, *position, header))
			return header;
	}
	return 0;
}

bool ayrei_extent_is_damaged(const struct ayrei_extent *extent, uint64_t position)
{
	uint64_t hashed = 0, at = position + 8, header;

	while ((header = find_whole(extent, &at, &hashed)) != 0) {
		if (ayrei_record_proves(at, header) > position)
			return true;
		at = ayrei_record_end(at, (uint32_t)header);
	}
	return false;
}

/* Its number, from that of a place that the whole records behind it lead to. */
static bool count_back(const struct ayrei_extent *extent, struct ayrei_log_place *place,
                       const struct ayrei_log_place *known)
{
	struct ayrei_log_place at = {place->position, 0, false};

	ayrei_extent_walk(extent, &at, known->position);
	if (at.position != known->position || at.sequence > known->sequence)
		return false;
	place->sequence = known->sequence - at.sequence;
	return true;
}

bool ayrei_extent_find_behind(const struct ayrei_extent *extent,
                              const struct ayrei_log_place *broken,
                              const struct ayrei_log_place *next, struct ayrei_log_gap *ret_gap)
{
	struct ayrei_log_place place = {.position = broken->position + 8};
	struct ayrei_index_entry entry;
	uint64_t hashed = 0;

	*ret_gap = (struct ayrei_log_gap){.is_counted = false};
	if (!find_whole(extent, &place.position, &hashed))
		return false;
	for (uint64_t i = (place.position - extent->begin) / AYREI_INDEX_STEP;
	     !ret_gap->is_counted && i < extent->entries; i++)
		if (ayrei_extent_entry(extent, i, &entry) && entry.position >= place.position)
			ret_gap->is_counted = count_back(
				extent, &place,
				&(struct ayrei_log_place){entry.position, entry.sequence, false});
	if (!ret_gap->is_counted && next)
		ret_gap->is_counted = count_back(extent, &place, next);
	if (!ret_gap->is_counted || place.sequence < broken->sequence)
		place.sequence = broken->sequence + 1;
	ret_gap->place = place;
	return true;
}
