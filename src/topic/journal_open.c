/*
 * Taking a log, and letting it go.
 *
 * Invariant: whoever writes a log has the lock on log.ID, which the kernel lets go when they die. Where a log
 * ends is found by its records, and never cut before one that is whole; where more is missing than can have
 * been torn, the log is left as it is, for whoever repairs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/map.h"
#include "sys/system.h"
#include "topic/extent.h"
#include "topic/journal.h"

void ayrei_journal_init(struct ayrei_journal *journal)
{
	*journal = (struct ayrei_journal){.file = -1, .extent = -1};
}

void ayrei_journal_abandon(struct ayrei_journal *journal)
{
	ayrei_file_close(journal->extent);
	/* A child that was forked meanwhile has it too. */
	if (journal->file >= 0)
		(void)!ayrei_file_disown(journal->file);
	ayrei_file_close(journal->file);
	ayrei_journal_init(journal);
}

void ayrei_journal_close(struct ayrei_journal *journal)
{
	if (!ayrei_journal_is_open(journal))
		return;
	if (journal->failure == 0)
		(void)!ayrei_journal_note(journal);
	ayrei_journal_abandon(journal);
}

/* --- taking --- */

int ayrei_journal_take(struct ayrei_journal *journal, const struct ayrei_topic *topic, uint64_t id)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	int result = ayrei_topic_take_file(ayrei_log_path(topic, id, path));

	if (result < 0)
		return result;
	journal->file = result;
	result = ayrei_file_status(journal->file, &status);
	if (result == 0 && (!S_ISREG(status.st_mode) || status.st_uid != ayrei_user()))
		result = -EPERM;
	if (result < 0)
		return result;
	journal->topic = topic;
	journal->id = id;
	journal->sync = topic->layout.sync;
	result = ayrei_slot_read(journal->file, topic, id, &journal->slot);
	journal->time_ns = journal->slot.time_ns;
	return result;
}

/* --- going on --- */

/* The last extent, for writing: that of the slot, or one that its publisher had no time to note. */
static int find_last(const struct ayrei_journal *journal, uint64_t *ret_begin)
{
	struct ayrei_extents extents;
	int result = ayrei_extents_list(&extents, journal->topic, journal->id);

	if (result < 0)
		return result;
	result = extents.count ? 0 : -EBADMSG;
	if (result == 0)
		*ret_begin = extents.begins[extents.count - 1];
	ayrei_extents_fini(&extents);
	return result == 0 && *ret_begin < journal->slot.last ? -EBADMSG : result;
}

static int open_last(struct ayrei_journal *journal, struct ayrei_extent *extent)
{
	char path[AYREI_PEER_PATH_BYTES];
	uint64_t begin;
	int result = find_last(journal, &begin);

	if (result == 0)
		result = ayrei_extent_open(extent, journal->topic, journal->id, begin);
	if (result < 0)
		return result == -ENOENT || result == -EPROTO ? -EBADMSG : result;
	result = ayrei_file_open(ayrei_extent_path(journal->topic, journal->id, begin, path),
	                         O_RDWR | O_NOFOLLOW, 0);
	if (result < 0) {
		ayrei_extent_close(extent);
		return result;
	}
	ayrei_file_close(journal->extent);
	journal->extent = result;
	journal->begin = begin;
	journal->header_bytes = extent->header_bytes;
	journal->key = extent->key;
	journal->slot.last = begin;
	return 0;
}

/*
 * What was carried and is not known to be safe is given to the kernel once more: a flush may have failed, and
 * then it takes these pages for clean.
 */
static int carry_again(struct ayrei_journal *journal, const struct ayrei_extent *extent,
                       uint64_t safe)
{
	uint64_t begin = safe > extent->begin ? safe : extent->begin;
	const char *bytes = extent->bytes + (begin - extent->begin);

	if (begin >= journal->carried.position)
		return 0;
	return ayrei_file_write_at(journal->extent, bytes, journal->carried.position - begin,
	                           journal->header_bytes + begin - extent->begin);
}

/* What is before a position. -ESTALE: no record ends there. */
static int find_place(const struct ayrei_extent *extent, uint64_t position,
                      struct ayrei_log_place *ret_place)
{
	*ret_place = ayrei_extent_seek(extent, AYREI_BY_POSITION, (int64_t)position);
	(void)ayrei_extent_walk(extent, ret_place, position);
	return ret_place->position == position ? 0 : -ESTALE;
}

/* Whatever the clock says by now: nothing that is behind it is earlier. */
static void note_time(struct ayrei_journal *journal, const struct ayrei_extent *extent)
{
	int64_t time_ns = ayrei_extent_latest_time(extent, journal->carried.position);

	if (journal->time_ns < time_ns)
		journal->time_ns = time_ns;
}

/* Where the lane says that it is. What is safe can be in an earlier extent: that much is, by its slot. */
static int find_lane(struct ayrei_journal *journal, const struct ayrei_extent *extent)
{
	const struct ayrei_lane_layout *layout = journal->lane->layout;
	uint64_t carried = ayrei_load(&layout->carried), safe = ayrei_load(&layout->safe);
	int result = find_place(extent, carried, &journal->carried);

	journal->index_next = (carried - extent->begin + AYREI_INDEX_STEP - 1) / AYREI_INDEX_STEP;
	journal->safe = (struct ayrei_log_place){safe, journal->slot.sequence, false};
	if (result == 0 && safe >= extent->begin)
		result = find_place(extent, safe, &journal->safe);
	if (result == 0)
		note_time(journal, extent);
	return result;
}

/* Does what the lane says of itself agree with its log? */
static bool is_lane_of(const struct ayrei_extent *extent, const struct ayrei_lane *lane)
{
	uint64_t carried = ayrei_load(&lane->layout->carried);

	return lane->layout->key == extent->key && carried >= extent->begin &&
	       carried <= extent->end && carried <= lane->position &&
	       lane->position - carried <= lane->mask + 1 &&
	       ayrei_load(&lane->layout->safe) <= carried;
}

int ayrei_journal_resume(struct ayrei_journal *journal, const struct ayrei_lane *lane)
{
	struct ayrei_extent extent = {.id = 0};
	int result = open_last(journal, &extent);

	if (result < 0)
		return result;
	journal->lane = lane;
	result = is_lane_of(&extent, lane) ? find_lane(journal, &extent) : -ESTALE;
	if (result == 0)
		result = carry_again(journal, &extent, journal->safe.position);
	journal->owes_large = journal->sync == AYRE_TOPIC_SYNC_NONE;
	ayrei_extent_close(&extent);
	return result;
}

/* --- without its ring --- */

/* From what is known to be safe, if that is in the last extent; else from its beginning. */
static struct ayrei_log_place known_place(const struct ayrei_journal *journal,
                                          const struct ayrei_extent *extent)
{
	const struct ayrei_slot_layout *slot = &journal->slot;

	if (slot->safe >= extent->begin && slot->safe <= extent->end &&
	    slot->sequence >= extent->sequence)
		return (struct ayrei_log_place){slot->safe, slot->sequence,
		                                slot->flags & AYREI_SLOT_CLOSED};
	return (struct ayrei_log_place){extent->begin, extent->sequence, false};
}

static int find_end(struct ayrei_journal *journal, const struct ayrei_extent *extent)
{
	struct ayrei_log_place place = known_place(journal, extent);

	ayrei_extent_walk(extent, &place, extent->end);
	if (place.position < journal->slot.safe || ayrei_extent_is_damaged(extent, place.position))
		return -EBADMSG;
	journal->carried = journal->safe = place;
	note_time(journal, extent);
	return 0;
}

/*
 * What is torn goes, and what was allocated ahead: the next extent has it, under another key. What stays is taken for
 * safe from here on, so it is made so, though it was read: it may only be in the kernel's memory yet.
 */
static int cut(const struct ayrei_journal *journal)
{
	int result = ayrei_file_clear_behind(journal->extent, journal->header_bytes +
	                                                              journal->carried.position -
	                                                              journal->begin);

	return result == 0 ? ayrei_file_sync(journal->extent) : result;
}

/* One whose first publisher died before it had an extent. */
static bool is_empty(const struct ayrei_journal *journal)
{
	struct ayrei_extents extents;
	bool result = ayrei_slot_is_fresh(&journal->slot) &&
	              ayrei_extents_list(&extents, journal->topic, journal->id) == 0;

	if (result) {
		result = extents.count == 0;
		ayrei_extents_fini(&extents);
	}
	return result;
}

int ayrei_journal_recover(struct ayrei_journal *journal, struct ayrei_log_place *ret_end)
{
	struct ayrei_extent extent = {.id = 0};
	int result;

	if (is_empty(journal)) {
		*ret_end = (struct ayrei_log_place){journal->slot.safe, 0, true};
		return 0;
	}
	result = open_last(journal, &extent);
	if (result < 0)
		return result;
	result = find_end(journal, &extent);
	ayrei_extent_close(&extent);
	if (result == 0)
		result = cut(journal);
	if (result == 0)
		*ret_end = journal->carried;
	journal->extent = ayrei_file_close(journal->extent);
	return result;
}

static int draw_key(struct ayrei_journal *journal)
{
	int result = 0;

	journal->key = 0;
	while (result == 0 && journal->key == 0)
		result = ayrei_random(&journal->key, sizeof(journal->key));
	return result;
}

int ayrei_journal_restart(struct ayrei_journal *journal, struct ayrei_lane *lane, bool closed)
{
	int result = draw_key(journal);

	journal->lane = lane;
	journal->carried = journal->safe =
		(struct ayrei_log_place){lane->position, lane->sequence, closed};
	if (result == 0)
		result = ayrei_journal_begin_extent(journal);
	if (result == 0)
		result = ayrei_journal_note(journal);
	if (result < 0)
		return result;
	lane->layout->key = journal->key;
	ayrei_store(&lane->layout->safe, lane->position);
	ayrei_store_release(&lane->layout->carried, lane->position);
	return 0;
}

/* The log has its name before it has an extent: an extent without a log would be nobody's. */
static int name_log(struct ayrei_journal *journal)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = ayrei_journal_note(journal);

	if (result == 0)
		result = ayrei_file_link_unnamed(journal->file,
		                                 ayrei_log_path(journal->topic, journal->id, path));
	return result == 0 ? ayrei_file_sync(journal->topic->log) : result;
}

int ayrei_journal_create(struct ayrei_journal *journal, const struct ayrei_topic *topic,
                         struct ayrei_lane *lane)
{
	int result = ayrei_log_make_file(topic);

	if (result < 0)
		return result;
	journal->file = result;
	journal->topic = topic;
	journal->id = lane->layout->id;
	journal->sync = topic->layout.sync;
	journal->slot.id = journal->id;
	journal->slot.first = journal->slot.last = lane->position;
	journal->safe = (struct ayrei_log_place){lane->position, lane->sequence, true};
	result = ayrei_file_allocate_private(journal->file, AYREI_SLOTS * AYREI_BLOCK);
	if (result == 0)
		result = ayrei_file_try_own(journal->file);
	if (result == 0)
		result = name_log(journal);
	return result == 0 ? ayrei_journal_restart(journal, lane, true) : result;
}
