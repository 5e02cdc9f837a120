/*
 * A durable topic, read from its first record to its last.
 *
 * Invariant: what is told to be damaged was safe once: a later record, the next extent or log.ID proves it. What
 * nothing proves is a torn end.
 */
#include "topic/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/options.h"
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

static int tell(struct ayrei_checking *checking, const struct ayrei_flaw *flaw)
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
	return checking->options->visit
	               ? checking->options->visit(&told, checking->options->context)
	               : 0;
}

static int tell_progress(struct ayrei_checking *checking, uint64_t bytes)
{
	checking->bytes_done += bytes;
	return checking->options->progress
	               ? checking->options->progress(checking->bytes_done, checking->bytes_all,
	                                             checking->options->context)
	               : 0;
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
	return tell(checking, &(struct ayrei_flaw){
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
		return tell(checking, &flaw);
	}
	flaw.kind = AYRE_FLAW_RECORD;
	if (flaw.gap.place.position) {
		result = tell(checking, &flaw);
		if (result < 0 || checking->was_parted)
			return result;
		*place = flaw.gap.place;
		return 1;
	}
	if (was_safe && checking->slot.sequence >= place->sequence)
		flaw.gap = (struct ayrei_log_gap){{0, checking->slot.sequence, false}, true};
	return tell(checking, &flaw);
}

/* Where an extent ends: where the next one says that it goes on, or begins by its name if it can say nothing. */
struct end {
	struct ayrei_log_place place;
	bool is_counted; /* its number is known */
};

/* From a place on, to where the next one begins (NULL: it is the last). Leaves the place behind what there is. */
static int check_records(struct ayrei_checking *checking, const struct ayrei_extent *extent,
                         struct ayrei_log_place *place, const struct end *end)
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
			return tell(checking, &flaw);
		}
		result = tell(checking, &flaw);
		if (result < 0 || checking->was_parted)
			return result;
		*place = flaw.gap.place;
	}
}

/* --- one log --- */

static bool is_flawed(int result)
{
	return result == -EBADMSG || result == -EPROTO || result == -ENOENT;
}

/* 1; 0: there is no next one; or a negative errno. */
static int find_end(const struct ayrei_checking *checking, size_t index, struct end *ret_end)
{
	struct ayrei_extent_layout head;
	uint64_t begin;
	int result;

	if (++index >= checking->extents.count)
		return 0;
	begin = checking->extents.begins[index];
	result = ayrei_extent_read_head(checking->topic, checking->id, begin, &head);
	if (result < 0 && !is_flawed(result))
		return result;
	*ret_end = result < 0 ? (struct end){{begin, 0, false}, false}
	                      : (struct end){{head.follows, head.sequence, false}, true};
	return 1;
}

/* One that cannot be read is one flaw, up to where the next one begins. */
static int tell_head(struct ayrei_checking *checking, size_t index, struct ayrei_log_place *place)
{
	struct ayrei_flaw flaw = {
		.kind = AYRE_FLAW_HEAD,
		.file_begin = checking->extents.begins[index],
		.place = {checking->extents.begins[index], place->sequence, false},
	};
	struct end end;
	int result = find_end(checking, index, &end);

	if (result < 0)
		return result;
	*place = flaw.place;
	if (result == 1) {
		if (!end.is_counted)
			end.place.sequence = place->sequence;
		flaw.gap =
			(struct ayrei_log_gap){end.place, end.is_counted && checking->is_counted};
		*place = end.place;
	}
	checking->is_counted = result == 1 && end.is_counted;
	return tell(checking, &flaw);
}

static int check_extent(struct ayrei_checking *checking, size_t index,
                        struct ayrei_log_place *place)
{
	struct end end;
	struct ayrei_extent extent;
	uint64_t file_begin = checking->extents.begins[index];
	int result, has_next;

	result = ayrei_extent_open(&extent, checking->topic, checking->id, file_begin);
	/* Retention has taken it meanwhile. */
	if (result == -ENOENT && checking->is_live)
		return 0;
	if (is_flawed(result))
		return tell_head(checking, index, place);
	if (result < 0)
		return result;
	checking->result->extents++;
	if (place->position < extent.follows) {
		struct ayrei_flaw flaw = {
			.kind = AYRE_FLAW_EXTENT,
			.extent = &extent,
			.place = *place,
			.gap = {{extent.begin, extent.sequence, false}, checking->is_counted},
		};

		result = tell(checking, &flaw);
	}
	*place = (struct ayrei_log_place){extent.begin, extent.sequence, false};
	checking->is_counted = true;
	has_next = find_end(checking, index, &end);
	checking->is_followed = has_next == 1;
	result = result < 0 || has_next >= 0 ? result : has_next;
	/* One that does not follow by itself is told of when it is looked at. */
	if (result >= 0)
		result = check_records(checking, &extent, place,
		                       has_next == 1 && end.place.position <= extent.end ? &end
		                                                                         : NULL);
	ayrei_extent_close(&extent);
	return result < 0 ? result : tell_progress(checking, place->position - file_begin);
}

static int check_state(struct ayrei_checking *checking)
{
	int result =
		ayrei_slot_read(checking->file, checking->topic, checking->id, &checking->slot);

	checking->has_slot = result == 0;
	if (result == -EBADMSG)
		result = tell(checking, &(struct ayrei_flaw){.kind = AYRE_FLAW_STATE,
		                                             .gap = {.is_counted = true}});
	return result;
}

/* Repair has made two of one: the next is the second of them. */
static int find_part(struct ayrei_checking *checking, const struct ayrei_log_place *place,
                     size_t *ret_index)
{
	int result;

	ayrei_extents_fini(&checking->extents);
	result = ayrei_extents_list(&checking->extents, checking->topic, checking->id);
	if (result == 0)
		*ret_index = ayrei_extents_find(&checking->extents, place->position);
	return result;
}

static int check_log(struct ayrei_checking *checking)
{
	struct ayrei_log_place place = {0};
	size_t first = 0;
	int result = ayrei_extents_list(&checking->extents, checking->topic, checking->id);

	if (result == 0)
		result = check_state(checking);
	checking->result->logs++;
	if (checking->has_slot) {
		place.position = checking->slot.first;
		/* Given up, but there: its publisher died before it was removed. */
		while (first < checking->extents.count &&
		       checking->extents.begins[first] < place.position)
			first++;
	}
	if (result == 0 && first == checking->extents.count && checking->has_slot &&
	    !ayrei_slot_is_fresh(&checking->slot))
		result = tell(checking, &(struct ayrei_flaw){.kind = AYRE_FLAW_EXTENT,
		                                             .file_begin = place.position,
		                                             .place = place});
	/* How many were given up before, nothing says. */
	checking->is_counted =
		checking->has_slot && place.position == checking->topic->layout.ring_bytes;
	if (first < checking->extents.count && !checking->has_slot)
		place.position = checking->extents.begins[first];
	for (size_t i = first; result == 0 && i < checking->extents.count; i++) {
		checking->was_parted = false;
		result = check_extent(checking, i, &place);
		if (result == 0 && checking->was_parted)
			result = find_part(checking, &place, &i);
	}
	ayrei_extents_fini(&checking->extents);
	return result;
}

/* --- all of them --- */

static int open_log(struct ayrei_checking *checking)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	bool wants = checking->repairs;
	int result;

	ayrei_log_path(checking->topic, checking->id, path);
	if (!wants) {
		result = checking->file = ayrei_topic_open_regular(path, 0, &status);
		if (result >= 0)
			result = ayrei_file_is_owned(checking->file);
		checking->is_live = result == 1;
		return result < 0 ? result : 0;
	}
	result = ayrei_topic_take_file(path);
	if (result < 0)
		return result == -EWOULDBLOCK ? -EBUSY : result;
	checking->file = result;
	return 0;
}

/* Extents whose log.ID is gone are nobody's: told of once, with the first of them. */
static int check_orphan(struct ayrei_checking *checking, const struct ayrei_log_name *name)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	int result =
		ayrei_path_status(ayrei_log_path(checking->topic, name->id, path), false, &status);

	if (result != -ENOENT)
		return result;
	checking->id = name->id;
	result = ayrei_extents_list(&checking->extents, checking->topic, name->id);
	if (result == 0 && checking->extents.count && checking->extents.begins[0] == name->begin)
		result = tell(checking, &(struct ayrei_flaw){.kind = AYRE_FLAW_STATE});
	ayrei_extents_fini(&checking->extents);
	return result;
}

static int visit(const struct ayrei_log_name *name, void *context)
{
	struct ayrei_checking *checking = context;
	int result;

	if (name->is_extent)
		return check_orphan(checking, name);
	checking->id = name->id;
	checking->is_live = false;
	result = open_log(checking);
	if (result == 0)
		result = check_log(checking);
	if (checking->file >= 0 && checking->repairs)
		(void)!ayrei_file_disown(checking->file);
	checking->file = ayrei_file_close(checking->file);
	return result;
}

static int measure(const struct ayrei_log_name *name, void *context)
{
	struct ayrei_checking *checking = context;
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	if (name->is_extent &&
	    ayrei_path_status(ayrei_extent_path(checking->topic, name->id, name->begin, path),
	                      false, &status) == 0)
		checking->bytes_all += (uint64_t)status.st_size;
	return 0;
}

static int check(const char *name, const struct ayre_topic_check_options *given, bool repairs,
                 struct ayre_topic_check_result *ret_result, struct ayre_error *error)
{
	struct ayre_topic_check_result counts = {.size = sizeof(counts)};
	struct ayre_topic_check_options options;
	struct ayrei_topic topic;
	struct ayrei_checking checking = {
		.topic = &topic, .options = &options, .result = &counts, .file = -1};
	int result;

	if (!name || ayrei_options_copy(&options, sizeof(options), given) < 0)
		return ayrei_fail(error, -EINVAL, "options", name ? name : "topic",
		                  "there is no name, or their size is not set");
	checking.repairs = repairs && !options.dry_run;
	result = ayrei_topic_find(&topic, name, error);
	if (result < 0)
		return result;
	result = ayrei_topic_read_layout(&topic, error);
	if (result == 0 && !(topic.layout.incompatible_features & AYREI_FEATURE_DURABLE))
		result = ayrei_fail(error, -EOPNOTSUPP, "topic", name,
		                    "it is not durable: there is no log to look through");
	if (result == 0) {
		result = ayrei_log_visit(&topic, measure, &checking);
		if (result == 0)
			result = ayrei_log_visit(&topic, visit, &checking);
		if (result == -EBUSY)
			ayrei_fail(error, result, "repair", name, "somebody publishes to it");
		else if (result < 0)
			ayrei_fail(error, result, repairs ? "repair" : "verify", name, NULL);
	}
	if (result >= 0 && ret_result)
		result = ayrei_result_copy(ret_result, &counts, sizeof(counts));
	ayrei_topic_close(&topic);
	return result < 0 ? result : counts.flaws > 0;
}

int ayre_topic_verify(const char *name, const struct ayre_topic_check_options *options,
                      struct ayre_topic_check_result *ret_result, struct ayre_error *error)
{
	return check(name, options, false, ret_result, error);
}

int ayre_topic_repair(const char *name, const struct ayre_topic_check_options *options,
                      struct ayre_topic_check_result *ret_result, struct ayre_error *error)
{
	return check(name, options, true, ret_result, error);
}
