#include "topic/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "sys/system.h"
#include "topic/extent.h"
#include "topic/record_check.h"

static uint64_t capacity(const struct ayrei_journal *journal)
{
	return journal->topic->layout.extent_bytes;
}

static bool syncs(const struct ayrei_journal *journal)
{
	return journal->sync != AYRE_TOPIC_SYNC_NONE;
}

/*
 * What a log tells of times never goes back, for they are searched by bisection, and is later than all stamps before.
 * If the clock was set back they stand still until it has come there again.
 */
static int64_t log_time(struct ayrei_journal *journal)
{
	int64_t now_ns = ayrei_realtime_ns();

	if (journal->time_ns < now_ns)
		journal->time_ns = now_ns;
	return journal->time_ns;
}

/* A flush that failed: the kernel takes what it could not write for written, and the next would succeed. */
static int keep_failure(struct ayrei_journal *journal, int result)
{
	if (result < 0)
		journal->failure = result;
	return result;
}

/* --- how far it is --- */

int ayrei_journal_note(struct ayrei_journal *journal)
{
	struct ayrei_slot_layout slot = journal->slot;
	int result;

	slot.flags = journal->safe.closed ? AYREI_SLOT_CLOSED : 0;
	slot.safe = journal->safe.position;
	slot.sequence = journal->safe.sequence;
	result = ayrei_slot_write(journal->file, journal->topic, &slot);
	/* The next attempt writes the same slot: a flush of this one that failed is not taken for done. */
	if (result == 0)
		result = ayrei_file_sync_bytes(journal->file);
	if (result == 0)
		journal->slot = slot;
	return result;
}

/* --- extents --- */

static void fill_head(struct ayrei_journal *journal, struct ayrei_extent_layout *head)
{
	*head = (struct ayrei_extent_layout){
		.magic = AYREI_EXTENT_MAGIC,
		.version = AYREI_TOPIC_VERSION,
		.header_bytes = (uint32_t)ayrei_extent_header_bytes(capacity(journal)),
		.id = journal->id,
		.key = journal->key,
		.begin = journal->carried.position,
		.follows = journal->carried.position,
		.sequence = journal->carried.sequence,
		.capacity_bytes = capacity(journal),
		.ring_bytes = journal->topic->layout.ring_bytes,
		.created_ns = log_time(journal),
	};
	memcpy(head->generation, journal->topic->layout.generation, sizeof(head->generation));
	head->checksum = ayrei_hash(head, offsetof(struct ayrei_extent_layout, checksum));
}

/*
 * One is there that begins at the same place, so nothing in it counts. In one step: there is never none, which
 * would be damage.
 */
static int replace_extent(int fd, const char *path)
{
	char fresh[AYREI_PEER_PATH_BYTES + sizeof(AYREI_EXTENT_NEW)];
	int result;

	snprintf(fresh, sizeof(fresh), "%s" AYREI_EXTENT_NEW, path);
	result = ayrei_file_unlink(fresh);
	if (result == 0 || result == -ENOENT)
		result = ayrei_file_link_unnamed(fd, fresh);
	return result == 0 ? ayrei_file_rename(fresh, path) : result;
}

/*
 * Whole, allocated, and on the disk before it has its name; and its name there before anything tells of it. That is
 * so where nothing else is flushed, too: what a loss of power leaves then is less, but it is a log.
 */
static int make_extent(struct ayrei_journal *journal)
{
	ayrei_auto_fd int fd = ayrei_log_make_file(journal->topic);
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_extent_layout head;
	int result = fd;

	fill_head(journal, &head);
	if (result >= 0)
		result = ayrei_file_allocate_private(fd, head.header_bytes + capacity(journal));
	if (result == 0)
		result = ayrei_file_write_at(fd, &head, sizeof(head), 0);
	if (result == 0)
		result = ayrei_file_sync(fd);
	if (result < 0)
		return result;
	ayrei_extent_path(journal->topic, journal->id, head.begin, path);
	result = ayrei_file_link_unnamed(fd, path);
	if (result == -EEXIST)
		result = replace_extent(fd, path);
	if (result == 0)
		result = keep_failure(journal, ayrei_file_sync(journal->topic->log));
	return result < 0 ? result : ayrei_take_fd(&fd);
}

/* What is behind the last record goes. Nobody reads there: the next extent is there already. */
static int end_extent(const struct ayrei_journal *journal)
{
	int result = ayrei_file_clear_behind(journal->extent, journal->header_bytes +
	                                                              journal->carried.position -
	                                                              journal->begin);

	return result == 0 && syncs(journal) ? ayrei_file_sync(journal->extent) : result;
}

static void take_extent(struct ayrei_journal *journal, int fd)
{
	ayrei_file_close(journal->extent);
	journal->extent = fd;
	journal->begin = journal->carried.position;
	journal->header_bytes = ayrei_extent_header_bytes(capacity(journal));
	journal->index_next = 0;
	journal->prepared = journal->begin;
	journal->slot.last = journal->begin;
}

int ayrei_journal_begin_extent(struct ayrei_journal *journal)
{
	int fd = make_extent(journal);

	if (fd < 0)
		return fd;
	/* What could not be given back only takes more room than it needs. */
	if (journal->extent >= 0)
		(void)!end_extent(journal);
	take_extent(journal, fd);
	return 0;
}

/* The open one is full. If there is no room for another, all is as it was. */
static int roll(struct ayrei_journal *journal)
{
	int result = syncs(journal) ? ayrei_journal_flush(journal) : 0;

	if (result == 0)
		result = ayrei_journal_begin_extent(journal);
	if (result == 0)
		result = ayrei_journal_note(journal);
	if (result == 0)
		ayrei_journal_retain(journal);
	return result;
}

/* --- carrying --- */

static int sync_path(struct ayrei_journal *journal, const char *path)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);

	return fd < 0 ? fd : keep_failure(journal, ayrei_file_sync(fd));
}

/* Of a message beside the ring: its file is safe before the record that tells of it, or before that is. */
static int settle_large(struct ayrei_journal *journal, uint64_t position)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result;

	if (!syncs(journal)) {
		journal->owes_large = true;
		return 0;
	}
	result = sync_path(journal, ayrei_large_path(journal->topic, journal->id, position, path));
	return result < 0 ? result : keep_failure(journal, ayrei_file_sync(journal->topic->log));
}

/* All entries that the record there is the first for. */
static int write_index(struct ayrei_journal *journal, const struct ayrei_log_place *place)
{
	uint64_t last = (place->position - journal->begin) / AYREI_INDEX_STEP;
	struct ayrei_index_entry entry = {
		.position = place->position,
		.sequence = place->sequence,
		.time_ns = log_time(journal),
	};
	int result = 0;

	entry.check =
		ayrei_hash_seeded(&entry, offsetof(struct ayrei_index_entry, check), journal->key);
	while (result == 0 && journal->index_next <= last) {
		result = ayrei_file_write_at(journal->extent, &entry, sizeof(entry),
		                             AYREI_BLOCK + journal->index_next * sizeof(entry));
		if (result == 0)
			journal->index_next++;
	}
	return result;
}

/*
 * The place for it was kept. It is put in here, for many at once and on whatever processor the journal is, and
 * not while somebody waits for the message.
 */
static void put_check(const struct ayrei_journal *journal, uint64_t position, uint64_t header)
{
	char *bytes = ayrei_lane_bytes(journal->lane, position);
	uint64_t check = ayrei_record_check_inline(journal->key, position, header, bytes);

	memcpy(bytes, &check, sizeof(check));
}

/* Where the record at a position ends; 0: there is none. */
static uint64_t end_of_next(const struct ayrei_journal *journal, uint64_t position)
{
	uint64_t header = ayrei_load_acquire(ayrei_lane_word(journal->lane, position));

	return header ? ayrei_record_end(position, (uint32_t)header) : 0;
}

/* Over the records that the next write has: those that end at `most` or before, and the first. */
__attribute__((flatten)) static int measure(struct ayrei_journal *journal, uint64_t most,
                                            struct ayrei_log_place *place)
{
	uint64_t begin = place->position;
	int result = 0;

	while (result == 0) {
		uint64_t header =
			ayrei_load_acquire(ayrei_lane_word(journal->lane, place->position));
		struct ayrei_record record = ayrei_record_unpack(header);
		uint64_t end = ayrei_record_end(place->position, record.bytes);

		if (header == 0 || (end > most && place->position > begin))
			break;
		put_check(journal, place->position, header);
		if (record.flags & AYREI_RECORD_STAMPED && record.kind != AYREI_RECORD_CLOSED)
			journal->time_ns = ayrei_time_after(
				journal->time_ns,
				ayrei_record_stamp(
					record, ayrei_lane_bytes(journal->lane, place->position)));
		if (place->position >= journal->begin + journal->index_next * AYREI_INDEX_STEP)
			result = write_index(journal, place);
		if (result == 0 && record.kind == AYREI_RECORD_LARGE)
			result = settle_large(journal, place->position);
		place->closed = record.kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = end;
	}
	return result;
}

/* A write: to the end of a piece, of the extent, or to the position. */
static int carry_piece(struct ayrei_journal *journal, uint64_t position)
{
	struct ayrei_log_place place = journal->carried;
	uint64_t begin = place.position, most = ayrei_journal_piece_end(journal, begin);
	int result;

	if (most > journal->begin + capacity(journal))
		most = journal->begin + capacity(journal);
	result = measure(journal, most < position ? most : position, &place);
	if (result == 0)
		result = ayrei_file_write_at(journal->extent, ayrei_lane_word(journal->lane, begin),
		                             place.position - begin,
		                             journal->header_bytes + begin - journal->begin);
	if (result == 0) {
		journal->carried = place;
		ayrei_store_release(&journal->lane->layout->carried, place.position);
	}
	return result;
}

int ayrei_journal_carry(struct ayrei_journal *journal, uint64_t position)
{
	uint64_t first = journal->carried.position;
	int result = journal->failure;

	while (result == 0 && journal->carried.position < position) {
		uint64_t begin = journal->carried.position, end = end_of_next(journal, begin);

		if (end == 0 || (end > position && begin > first))
			break;
		result = end > journal->begin + capacity(journal) ? roll(journal)
		                                                  : carry_piece(journal, position);
	}
	return result;
}

int ayrei_journal_make_room(struct ayrei_journal *journal, uint64_t end, uint64_t *ret_most)
{
	int result = ayrei_journal_carry(journal, journal->lane->position);

	if (result == 0 && end > journal->begin + capacity(journal))
		result = roll(journal);
	if (result == 0)
		*ret_most = journal->begin + capacity(journal);
	return result;
}

void ayrei_journal_begin_flush(const struct ayrei_journal *journal, uint64_t position)
{
	/* Another extent was begun: the one before it is safe. */
	if (position < journal->begin)
		position = journal->begin;
	if (position < journal->carried.position)
		ayrei_file_begin_sync(journal->extent,
		                      journal->header_bytes + position - journal->begin,
		                      journal->carried.position - position);
}

/*
 * The first write to a block that was only allocated makes the file system write down that it has bytes now, which
 * takes another write, and as long again as the flush. So where little is flushed at a time zeros go ahead, for
 * many flushes. Much at a time is better written once.
 */
#define LITTLE ((uint64_t)64 << 10)

static void prepare(struct ayrei_journal *journal)
{
	uint64_t begin = journal->carried.position, room = journal->begin + capacity(journal);
	uint64_t end = ayrei_journal_piece_end(journal, begin + ayrei_journal_piece_bytes(journal));

	if (begin < journal->prepared || begin - journal->safe.position > LITTLE || begin >= room)
		return;
	if (end > room)
		end = room;
	/* If it fails, so will the flush, or nothing is lost. */
	if (ayrei_file_write_zeros(journal->extent, end - begin,
	                           journal->header_bytes + begin - journal->begin) == 0)
		journal->prepared = end;
}

/* --- flushing --- */

/* What was begun, and left, without a flush. An extent that was given up meanwhile owes nothing. */
static int settle_extents(struct ayrei_journal *journal)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_extents extents;
	int result = ayrei_extents_list(&extents, journal->topic, journal->id);

	if (result < 0)
		return result;
	for (size_t i = 0; result == 0 && i + 1 < extents.count; i++) {
		if (extents.begins[i + 1] <= journal->safe.position)
			continue;
		result = sync_path(journal, ayrei_extent_path(journal->topic, journal->id,
		                                              extents.begins[i], path));
		result = result == -ENOENT ? 0 : result;
	}
	ayrei_extents_fini(&extents);
	return result;
}

static int settle_owed(const struct ayrei_peer_name *name, uint64_t position, void *context)
{
	struct ayrei_journal *journal = context;
	char path[AYREI_PEER_PATH_BYTES];

	if (name->id != journal->id || position < journal->safe.position ||
	    position >= journal->carried.position)
		return 0;
	return sync_path(journal, ayrei_large_path(journal->topic, journal->id, position, path));
}

/* Where nothing is flushed unless it is asked for, other files than the open extent can be behind. */
static int settle_others(struct ayrei_journal *journal)
{
	int result = journal->safe.position < journal->begin ? settle_extents(journal) : 0;

	if (result < 0 || !journal->owes_large)
		return result;
	result = ayrei_log_visit_large(journal->topic, settle_owed, journal);
	if (result == 0)
		result = keep_failure(journal, ayrei_file_sync(journal->topic->log));
	journal->owes_large = result < 0;
	return result;
}

int ayrei_journal_flush(struct ayrei_journal *journal)
{
	int result = journal->failure;

	if (result < 0 || journal->safe.position == journal->carried.position)
		return result;
	result = settle_others(journal);
	if (result < 0)
		return result;
	prepare(journal);
	result = keep_failure(journal, ayrei_file_sync_bytes(journal->extent));
	if (result < 0)
		return result;
	journal->safe = journal->carried;
	ayrei_store_release(&journal->lane->layout->safe, journal->safe.position);
	return 0;
}

/* --- retention --- */

struct shedding {
	const struct ayrei_topic *topic;
	uint64_t id, first;
};

/* A message beside the ring whose record has gone. */
static int shed_large(const struct ayrei_peer_name *name, uint64_t position, void *context)
{
	const struct shedding *shedding = context;
	char path[AYREI_PEER_PATH_BYTES];

	if (name->id == shedding->id && position < shedding->first)
		(void)!ayrei_file_unlink(
			ayrei_large_path(shedding->topic, name->id, position, path));
	return 0;
}

/* How many of the oldest may go: never the open one. */
static size_t count_old(const struct ayrei_journal *journal, const struct ayrei_extents *extents)
{
	const struct ayrei_topic_layout *layout = &journal->topic->layout;
	int64_t now_ns = ayrei_realtime_ns();
	size_t count = 0;

	while (count + 1 < extents->count) {
		uint64_t next = extents->begins[count + 1];
		struct ayrei_extent_layout head;

		if (layout->retain_bytes &&
		    journal->carried.position - next >= layout->retain_bytes) {
			count++;
			continue;
		}
		if (!layout->retain_age_ns ||
		    ayrei_extent_read_head(journal->topic, journal->id, next, &head) < 0 ||
		    now_ns - head.created_ns < layout->retain_age_ns)
			break;
		count++;
	}
	return count;
}

/* That it could not be done is no matter of whoever publishes: it is tried again with the next extent. */
void ayrei_journal_retain(struct ayrei_journal *journal)
{
	const struct ayrei_topic_layout *layout = &journal->topic->layout;
	struct shedding shedding = {journal->topic, journal->id, 0};
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_extents extents;
	size_t count;

	if ((!layout->retain_bytes && !layout->retain_age_ns) ||
	    ayrei_extents_list(&extents, journal->topic, journal->id) < 0)
		return;
	count = count_old(journal, &extents);
	if (count) {
		shedding.first = journal->slot.first = extents.begins[count];
		/* First that they are given up, so that nobody takes them for lost. */
		if (ayrei_journal_note(journal) == 0) {
			for (size_t i = 0; i < count; i++)
				(void)!ayrei_file_unlink(ayrei_extent_path(
					journal->topic, journal->id, extents.begins[i], path));
			(void)!ayrei_log_visit_large(journal->topic, shed_large, &shedding);
		}
	}
	ayrei_extents_fini(&extents);
}
