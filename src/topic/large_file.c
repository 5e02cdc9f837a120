/*
 * One file beside the ring: made, given its name, made shorter, removed. large.c says what may be done to
 * it when.
 *
 * Invariant: what has its name is a message's worth of bytes that are allocated, all of which were written
 * before.
 */
#include <errno.h>
#include <string.h>

#include "sys/file.h"
#include "sys/map.h"
#include "topic/large.h"

#define LARGE_MODE 0644

int ayrei_large_create(const struct ayrei_topic *topic, uint64_t bytes,
                       struct ayrei_large_draft *ret_draft)
{
	struct ayrei_large_draft draft = {
		.file.bytes = bytes, .fd = ayrei_file_open_unnamed(ayrei_topic_log_prefix(topic))};
	int result = draft.fd;

	if (result >= 0)
		result = ayrei_file_allocate_private(draft.fd, bytes);
	if (result == 0)
		result = ayrei_file_set_mode(draft.fd, LARGE_MODE);
	if (result == 0)
		result = ayrei_shared_map(&draft.file.map, draft.fd, bytes, 0, true, false);
	if (result < 0) {
		ayrei_file_close(draft.fd);
		return result;
	}
	/* All at once is quicker than one by one, and that is all. */
	(void)!ayrei_map_populate(draft.file.map.base, bytes, true);
	*ret_draft = draft;
	return 0;
}

void ayrei_large_remove(struct ayrei_large_file *file, const struct ayrei_large_place *place)
{
	char path[AYREI_PEER_PATH_BYTES];

	(void)!ayrei_file_unlink(
		ayrei_large_path(place->topic, place->lane->id, file->position, path));
	if (file->map.base)
		ayrei_shared_unmap(&file->map);
}

/* By way of the map: what its name leads to may be somebody else's by now. */
bool ayrei_large_shorten(struct ayrei_large_file *file)
{
	uint64_t page = ayrei_page_bytes(), begin = (file->used + page - 1) / page * page,
		 end = (file->bytes + page - 1) / page * page;

	if (!file->map.base || file->used == file->bytes ||
	    (begin < end && ayrei_map_punch((char *)file->map.base + begin, end - begin) < 0))
		return false;
	file->bytes = file->used;
	return true;
}

/* Of one without a name. */
static int link_draft(struct ayrei_large_draft *draft, const char *path, uint64_t used)
{
	int result = 0;

	if (!used || draft->file.bytes / used >= 2) {
		result = ayrei_file_truncate(draft->fd, used);
		draft->file.bytes = used;
	}
	if (result == 0)
		result = ayrei_file_link_unnamed(draft->fd, path);
	/* The name is this record's alone: whoever has put something there can have no use for it. */
	if (result == -EEXIST && ayrei_file_unlink(path) == 0)
		result = ayrei_file_link_unnamed(draft->fd, path);
	return result;
}

/* Somebody has taken its name, or part of it, away: what is written goes into a new one. */
static int replace(const struct ayrei_large_place *place, struct ayrei_large_draft *draft,
                   const char *path, uint64_t used)
{
	struct ayrei_large_draft fresh;
	int result = ayrei_large_create(place->topic, used ? used : 1, &fresh);

	if (result < 0)
		return result;
	memcpy(fresh.file.map.base, draft->file.map.base, used);
	ayrei_large_remove(&draft->file, place);
	ayrei_file_close(draft->fd);
	*draft = fresh;
	return link_draft(draft, path, used);
}

int ayrei_large_name(const struct ayrei_large_place *place, struct ayrei_large_draft *draft,
                     uint64_t position, uint64_t used)
{
	char path[AYREI_PEER_PATH_BYTES], old[AYREI_PEER_PATH_BYTES];
	uint64_t id = place->lane->id;

	ayrei_large_path(place->topic, id, position, path);
	if (ayrei_shared_is_lost(&draft->file.map))
		return replace(place, draft, path, used);
	if (draft->fd >= 0)
		return link_draft(draft, path, used);
	ayrei_large_path(place->topic, id, draft->file.position, old);
	return ayrei_file_rename(old, path) < 0 ? replace(place, draft, path, used) : 0;
}
