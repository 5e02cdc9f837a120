/*
 * Looking through one extent, record by record, and telling what is wrong.
 *
 * Invariant: what is told to be damaged was safe once: a later record, the next extent or log.ID proves it. What
 * nothing proves is a torn end.
 */
#include "topic/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "topic/directory_make.h"
#include "topic/durable.h"
#include "topic/lane.h"

/* --- telling --- */

#define FILE_BYTES 64

static uint64_t offset_of(const struct ayrei_flaw *flaw)
{
	const struct ayrei_extent *extent = flaw->extent;

	return extent && (flaw->kind == AYRE_FLAW_RECORD || flaw->kind == AYRE_FLAW_TORN)
	               ? extent->header_bytes + flaw->place.position - extent->begin
	               : 0;
}

static void name_file(const struct ayrei_checking *checking, const struct ayrei_flaw *flaw,
                      char name[static FILE_BYTES])
{
	switch (flaw->kind) {
	case AYRE_FLAW_STATE:
		snprintf(name, FILE_BYTES, "log.%016" PRIx64, checking->id);
		break;
	case AYRE_FLAW_LARGE:
		snprintf(name, FILE_BYTES, "pub.%016" PRIx64 ".%016" PRIx64, checking->id,
		         flaw->place.position);
		break;
	default:
		snprintf(name, FILE_BYTES, "log.%016" PRIx64 ".%016" PRIx64, checking->id,
		         flaw->extent ? flaw->extent->begin : flaw->file_begin);
	}
}

int ayrei_tell_flaw(struct ayrei_checking *checking, const struct ayrei_flaw *flaw)
{
	const struct ayrei_log_gap *gap = &flaw->gap;
	struct ayre_topic_flaw told = {
		.kind = flaw->kind,
		.publisher = checking->id,
		.offset = offset_of(flaw),
		.position = flaw->place.position,
		.sequence = flaw->place.sequence,
		.messages =
			gap->is_counted ? gap->place.sequence - flaw->place.sequence : UINT64_MAX,
		.bytes = gap->place.position ? gap->place.position - flaw->place.position
	                                     : flaw->bytes,
	};
	char name[FILE_BYTES];
	int result = checking->repairs ? ayrei_repair(checking, flaw) : 0;

	if (result < 0)
		return result;
	told.repaired = result == 1;
	name_file(checking, flaw, name);
	told.file = name;
	if (flaw->kind == AYRE_FLAW_TORN)
		checking->result->torn++;
	else
		checking->result->flaws++;
	/* Only what is negative ends it. */
	result = checking->options->visit
	                 ? checking->options->visit(&told, checking->options->context)
	                 : 0;
	return result < 0 ? result : 0;
}

/* --- messages beside the ring --- */

/* 1, 0, or why it cannot be told. */
static int is_large_whole(const struct ayrei_checking *checking, const struct ayrei_extent *extent,
                          uint64_t position, uint64_t header)
{
	const char *bytes = ayrei_extent_bytes(extent, position) +
	                    ayrei_record_prefix_bytes(ayrei_record_unpack(header));
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_shared map = {.base = NULL};
	struct stat status;
	uint64_t told[2];
	ayrei_auto_fd int fd = -1;
	int result;

	memcpy(told, bytes, sizeof(told));
	fd = ayrei_topic_open_regular(
		ayrei_large_path(checking->topic, checking->id, position, path), told[0], &status);
	if (fd < 0)
		return fd == -ENOENT || fd == -EPROTO ? 0 : fd;
	if (told[0] == 0)
		return told[1] == ayrei_hash(NULL, 0);
	result = ayrei_shared_map(&map, fd, told[0], 0, false, false);
	/* Cut short meanwhile. */
	if (result < 0)
		return result == -ESTALE ? 0 : result;
	result = ayrei_hash(map.base, told[0]) == told[1] && !ayrei_shared_is_lost(&map);
	ayrei_shared_unmap(&map);
	return result;
}

static int check_large(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                       const struct ayrei_log_place *place, uint64_t header)
{
	int result = is_large_whole(checking, extent, place->position, header);

	if (result != 0)
		return result < 0 ? result : 0;
	return ayrei_tell_flaw(checking, &(struct ayrei_flaw){
						 .kind = AYRE_FLAW_LARGE,
						 .place = *place,
						 .gap = {{0, place->sequence + 1, false}, true},
					 });
}

/* --- one extent --- */

/* Over whole records, to `until` at the most; also what they tell of beside the ring. */
static int walk(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                struct ayrei_log_place *place, uint64_t until)
{
	int result = 0;

	while (result == 0 && place->position < until) {
		uint64_t position = place->position, header = ayrei_extent_header(extent, position);
		struct ayrei_record record = ayrei_record_unpack(header);

		if (!ayrei_extent_is_whole(extent, position, header))
			return 0;
		if (record.kind == AYREI_RECORD_LARGE)
			result = check_large(checking, extent, place, header);
		place->closed = record.kind == AYREI_RECORD_CLOSED;
		place->sequence += !place->closed;
		place->position = ayrei_record_end(position, (uint32_t)header);
		checking->result->messages += !place->closed;
		checking->result->bytes += place->position - position;
	}
	return result;
}

/* How far a lane that somebody writes was carried when it was looked at. 0: that is not to be had. */
static uint64_t carried_of(const struct ayrei_checking *checking)
{
	struct ayrei_topic half = AYREI_NO_TOPIC;
	struct ayrei_shared map = {.base = NULL};
	char path[PATH_MAX];
	struct stat status;
	uint64_t carried = 0;
	int fd;

	if (ayrei_durable_path(checking->topic, ayrei_topic_log(checking->topic), path) < 0 ||
	    ayrei_topic_open_directory(&half, path, true, NULL) < 0)
		return 0;
	fd = ayrei_peer_open(&half, AYREI_PEER_PUBLISHER, checking->id,
	                     sizeof(struct ayrei_lane_layout), &status);
	if (fd >= 0 &&
	    ayrei_shared_map(&map, fd, sizeof(struct ayrei_lane_layout), 0, false, false) == 0) {
		const struct ayrei_lane_layout *layout = map.base;

		carried = ayrei_load_acquire(&layout->carried);
		ayrei_shared_unmap(&map);
	}
	ayrei_file_close(fd);
	ayrei_file_close(half.directory);
	return carried;
}

/*
 * What is behind the last record that is whole: nothing, what is torn, or what proves that it was safe. 1: there is
 * more to look at, and the place is where.
 */
static int check_end(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                     struct ayrei_log_place *place)
{
	struct ayrei_flaw flaw = {.kind = AYRE_FLAW_TORN, .extent = extent, .place = *place};
	bool was_safe = checking->has_slot && checking->slot.safe > place->position;
	int result;

	/* Whoever writes it was not done; or the extent behind it tells that one is not there. */
	if (checking->is_live || (checking->is_followed && place->position == extent->end))
		return 0;
	if (ayrei_extent_find_behind(extent, place, NULL, &flaw.gap))
		flaw.bytes = flaw.gap.place.position - place->position;
	else if (was_safe)
		flaw.bytes = checking->slot.safe - place->position;
	else if (ayrei_extent_header(extent, place->position) == 0)
		return 0;
	if (!was_safe && !ayrei_extent_is_damaged(extent, place->position)) {
		flaw.gap = (struct ayrei_log_gap){.is_counted = false};
		return ayrei_tell_flaw(checking, &flaw);
	}
	flaw.kind = AYRE_FLAW_RECORD;
	if (flaw.gap.place.position) {
		result = ayrei_tell_flaw(checking, &flaw);
		if (result < 0 || checking->was_parted)
			return result;
		*place = flaw.gap.place;
		return 1;
	}
	if (was_safe && checking->slot.sequence >= place->sequence)
		flaw.gap = (struct ayrei_log_gap){{0, checking->slot.sequence, false}, true};
	return ayrei_tell_flaw(checking, &flaw);
}

int ayrei_check_records(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                        struct ayrei_log_place *place, const struct ayrei_extent_end *end)
{
	const struct ayrei_log_place *next = end ? &end->place : NULL;
	bool is_counted = end && end->is_counted;
	uint64_t until = next ? next->position : UINT64_MAX, carried = 0;
	int result;

	if (!next && checking->is_live) {
		carried = carried_of(checking);
		until = carried ? carried : until;
	}
	for (;;) {
		struct ayrei_flaw flaw = {.kind = AYRE_FLAW_RECORD, .extent = extent};

		result = walk(checking, extent, place, until);
		if (result < 0 || place->position >= until)
			return result;
		if (!next && !carried) {
			result = check_end(checking, extent, place);
			if (result == 1)
				continue;
			return result;
		}
		flaw.place = *place;
		/* To the end of the extent: what is behind it begins with the next one. */
		if (!ayrei_extent_find_behind(extent, place, is_counted ? next : NULL, &flaw.gap) ||
		    flaw.gap.place.position >= until) {
			flaw.bytes = until - place->position;
			flaw.gap = (struct ayrei_log_gap){
				{0, is_counted ? next->sequence : 0, false}, is_counted};
			*place = is_counted
			                 ? *next
			                 : (struct ayrei_log_place){until, place->sequence, false};
			checking->is_counted = is_counted;
			return ayrei_tell_flaw(checking, &flaw);
		}
		result = ayrei_tell_flaw(checking, &flaw);
		if (result < 0 || checking->was_parted)
			return result;
		*place = flaw.gap.place;
	}
}
