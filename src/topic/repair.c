/*
 * What can be done about a flaw.
 *
 * Invariant: at each step what was whole can be read, and none of it is removed before it is safe elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "sys/system.h"
#include "topic/verify.h"

static int read_head(int fd, struct ayrei_extent_layout *head)
{
	ssize_t got = ayrei_file_read_at(fd, head, sizeof(*head), 0);

	return got < 0 ? (int)got : got == sizeof(*head) ? 0 : -EBADMSG;
}

static int write_head(int fd, struct ayrei_extent_layout *head)
{
	head->checksum = ayrei_hash(head, offsetof(struct ayrei_extent_layout, checksum));
	return ayrei_file_write_at(fd, head, sizeof(*head), 0);
}

static int open_extent(const struct ayrei_checking *checking, uint64_t begin)
{
	char path[AYREI_PEER_PATH_BYTES];

	return ayrei_file_open(ayrei_extent_path(checking->topic, checking->id, begin, path),
	                       O_RDWR | O_NOFOLLOW, 0);
}

static int cut_off(const struct ayrei_checking *checking, const struct ayrei_extent *extent,
                   uint64_t position)
{
	ayrei_auto_fd int fd = open_extent(checking, extent->begin);
	int result = fd;

	if (result >= 0)
		result = ayrei_file_clear_behind(fd,
		                                 extent->header_bytes + position - extent->begin);
	return result == 0 ? ayrei_file_sync(fd) : result;
}

/* What is behind the gap becomes an extent of its own, which says that it follows what is before the gap. */
static int copy_rest(const struct ayrei_checking *checking, const struct ayrei_extent *extent,
                     const struct ayrei_log_place *place, uint64_t follows)
{
	ayrei_auto_fd int old = open_extent(checking, extent->begin);
	ayrei_auto_fd int fd = ayrei_log_make_file(checking->topic);
	struct ayrei_extent_layout head;
	char path[AYREI_PEER_PATH_BYTES];
	int result = old < 0 ? old : fd;

	if (result >= 0)
		result = read_head(old, &head);
	if (result < 0)
		return result;
	head.begin = place->position;
	head.sequence = place->sequence;
	head.follows = follows;
	result = write_head(fd, &head);
	if (result == 0)
		result = ayrei_file_write_at(fd, extent->bytes + (place->position - extent->begin),
		                             extent->end - place->position, extent->header_bytes);
	if (result == 0)
		result = ayrei_file_sync(fd);
	if (result == 0)
		result =
			ayrei_file_link_unnamed(fd, ayrei_extent_path(checking->topic, checking->id,
		                                                      place->position, path));
	return result == 0 ? ayrei_file_sync(ayrei_topic_log(checking->topic)) : result;
}

/* Of the extent that a flaw of kind EXTENT is before: it follows what there is. */
static int follow(const struct ayrei_checking *checking, const struct ayrei_flaw *flaw)
{
	ayrei_auto_fd int fd = open_extent(checking, flaw->extent->begin);
	struct ayrei_extent_layout head;
	int result = fd < 0 ? fd : read_head(fd, &head);

	if (result < 0)
		return result;
	head.follows = flaw->place.position;
	result = write_head(fd, &head);
	return result == 0 ? ayrei_file_sync(fd) : result;
}

/* Says no more than the extents do: nothing of it is known to have been safe. */
static int write_state(struct ayrei_checking *checking)
{
	const struct ayrei_extents *extents = &checking->extents;
	struct ayrei_slot_layout slot = {.id = checking->id};
	int result;

	/* Nothing to tell of, or nowhere to. */
	if (extents->count == 0 || checking->file < 0)
		return -ENOENT;
	slot.first = extents->begins[0];
	slot.last = extents->begins[extents->count - 1];
	result = ayrei_slot_write(checking->file, checking->topic, &slot);
	if (result == 0)
		result = ayrei_slot_write(checking->file, checking->topic, &slot);
	return result == 0 ? ayrei_file_sync(checking->file) : result;
}

/* What log.ID says was safe and is not there is given up. */
static int lower_state(struct ayrei_checking *checking, const struct ayrei_log_place *place)
{
	struct ayrei_slot_layout slot = checking->slot;
	int result;

	if (!checking->has_slot || slot.safe <= place->position)
		return 0;
	slot.safe = place->position;
	slot.sequence = place->sequence;
	slot.flags = 0;
	result = ayrei_slot_write(checking->file, checking->topic, &slot);
	if (result == 0)
		result = ayrei_file_sync(checking->file);
	if (result == 0)
		checking->slot = slot;
	return result;
}

static int mend_records(struct ayrei_checking *checking, const struct ayrei_flaw *flaw)
{
	const struct ayrei_log_gap *gap = &flaw->gap;
	int result = 0;

	if (gap->place.position)
		result = copy_rest(checking, flaw->extent, &gap->place, flaw->place.position);
	else
		result = lower_state(checking, &flaw->place);
	if (result == 0)
		result = cut_off(checking, flaw->extent, flaw->place.position);
	checking->was_parted = result == 0 && gap->place.position;
	return result;
}

int ayrei_repair(struct ayrei_checking *checking, const struct ayrei_flaw *flaw)
{
	int result;

	switch (flaw->kind) {
	case AYRE_FLAW_TORN:
		result = cut_off(checking, flaw->extent, flaw->place.position);
		break;
	case AYRE_FLAW_RECORD:
		result = mend_records(checking, flaw);
		break;
	case AYRE_FLAW_EXTENT:
		result = flaw->extent ? follow(checking, flaw) : -ENOENT;
		break;
	case AYRE_FLAW_STATE:
		result = write_state(checking);
		break;
	default:
		return 0;
	}
	if (result == -ENOENT)
		return 0;
	return result < 0 ? result : 1;
}
