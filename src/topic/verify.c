/*
 * A durable topic, read from its first record to its last: its logs, and the extents of each.
 *
 * Invariant: one damage is told of once: whatever an extent has been told to lack, the next one begins behind it.
 */
#include "topic/verify.h"

#include <errno.h>

#include "base/error.h"
#include "base/options.h"
#include "topic/directory_make.h"

static int tell_progress(struct ayrei_checking *checking, uint64_t bytes)
{
	checking->bytes_done += bytes;
	return checking->options->progress
	               ? checking->options->progress(checking->bytes_done, checking->bytes_all,
	                                             checking->options->context)
	               : 0;
}

/* --- one log --- */

static bool is_flawed(int result)
{
	return result == -EBADMSG || result == -EPROTO || result == -ENOENT;
}

/* 1; 0: there is no next one; or a negative errno. */
static int find_end(const struct ayrei_checking *checking, size_t index,
                    struct ayrei_extent_end *ret_end)
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
	*ret_end = result < 0
	                   ? (struct ayrei_extent_end){{begin, 0, false}, false}
	                   : (struct ayrei_extent_end){{head.follows, head.sequence, false}, true};
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
	struct ayrei_extent_end end;
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
	return ayrei_tell_flaw(checking, &flaw);
}

static int check_extent(struct ayrei_checking *checking, size_t index,
                        struct ayrei_log_place *place)
{
	struct ayrei_extent_end end;
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

		result = ayrei_tell_flaw(checking, &flaw);
	}
	*place = (struct ayrei_log_place){extent.begin, extent.sequence, false};
	checking->is_counted = true;
	has_next = find_end(checking, index, &end);
	checking->is_followed = has_next == 1;
	result = result < 0 || has_next >= 0 ? result : has_next;
	/* One that does not follow by itself is told of when it is looked at. */
	if (result >= 0)
		result = ayrei_check_records(
			checking, &extent, place,
			has_next == 1 && end.place.position <= extent.end ? &end : NULL);
	ayrei_extent_close(&extent);
	return result < 0 ? result : tell_progress(checking, place->position - file_begin);
}

static int check_state(struct ayrei_checking *checking)
{
	int result =
		ayrei_slot_read(checking->file, checking->topic, checking->id, &checking->slot);

	checking->has_slot = result == 0;
	if (result == -EBADMSG)
		result = ayrei_tell_flaw(
			checking,
			&(struct ayrei_flaw){.kind = AYRE_FLAW_STATE, .gap = {.is_counted = true}});
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
		result =
			ayrei_tell_flaw(checking, &(struct ayrei_flaw){.kind = AYRE_FLAW_EXTENT,
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
		result = ayrei_tell_flaw(checking, &(struct ayrei_flaw){.kind = AYRE_FLAW_STATE});
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
