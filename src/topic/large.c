/*
 * Messages beside the ring.
 *
 * Invariant: a file has its name before the record that tells of it exists, and is removed only when that
 * record can no longer be read, or nobody who counts still has to read it. So a reader that finds
 * the record and not the file has been overtaken.
 */
#include "topic/large.h"

#include <errno.h>
#include <stdlib.h>

#include "sys/file.h"
#include "sys/map.h"

#define LARGE_MODE 0644

void ayrei_larges_fini(struct ayrei_larges *larges)
{
	free(larges->files);
	*larges = (struct ayrei_larges){0};
}

int ayrei_larges_add(struct ayrei_larges *larges, uint64_t position, uint64_t bytes)
{
	if (larges->first && larges->first + larges->count == larges->room) {
		memmove(larges->files, larges->files + larges->first,
		        larges->count * sizeof(*larges->files));
		larges->first = 0;
	}
	if (larges->count == larges->room) {
		size_t room = larges->room ? 2 * larges->room : 8;
		void *grown = reallocarray(larges->files, room, sizeof(*larges->files));

		if (!grown)
			return -ENOMEM;
		larges->files = grown;
		larges->room = room;
	}
	larges->files[larges->first + larges->count++] = (struct ayrei_large_file){position, bytes};
	larges->bytes += bytes;
	return 0;
}

void ayrei_larges_trim(struct ayrei_larges *larges, const struct ayrei_topic *topic, uint64_t lane,
                       uint64_t before, uint64_t bytes_left)
{
	char path[AYREI_PEER_PATH_BYTES];

	while (larges->count && larges->bytes > bytes_left &&
	       larges->files[larges->first].position < before) {
		const struct ayrei_large_file *oldest = &larges->files[larges->first];

		(void)!ayrei_file_unlink(ayrei_large_path(topic, lane, oldest->position, path));
		larges->bytes -= oldest->bytes;
		larges->first++;
		larges->count--;
	}
}

/* --- after an earlier publisher --- */

struct recovery {
	struct ayrei_larges *larges;
	const struct ayrei_topic *topic;
	const struct ayrei_lane *lane;
};

static int visit(const struct ayrei_peer_name *name, void *context)
{
	const struct recovery *recovery = context;
	char path[AYREI_PEER_PATH_BYTES], *end;
	struct stat status;
	uint64_t position;

	if (name->kind != AYREI_PEER_PUBLISHER || name->id != recovery->lane->layout->id ||
	    name->suffix[0] != '.' || strlen(name->suffix) != 17)
		return 0;
	position = strtoull(name->suffix + 1, &end, 16);
	if (*end)
		return 0;
	ayrei_large_path(recovery->topic, name->id, position, path);
	/* Its record was never written, or is gone. */
	if (position >= recovery->lane->position ||
	    position + recovery->lane->mask + 1 < recovery->lane->limit) {
		(void)!ayrei_file_unlink(path);
		return 0;
	}
	if (ayrei_path_status(path, false, &status) < 0)
		return 0;
	return ayrei_larges_add(recovery->larges, position, (uint64_t)status.st_size);
}

static int compare(const void *a, const void *b)
{
	const struct ayrei_large_file *one = a, *other = b;

	return one->position < other->position ? -1 : one->position > other->position;
}

int ayrei_larges_recover(struct ayrei_larges *larges, const struct ayrei_topic *topic,
                         const struct ayrei_lane *lane)
{
	struct recovery recovery = {larges, topic, lane};
	int result = ayrei_topic_visit(topic, visit, &recovery);

	if (larges->count)
		qsort(larges->files, larges->count, sizeof(*larges->files), compare);
	return result;
}

/* --- one --- */

int ayrei_large_begin(const struct ayrei_topic *topic, size_t bytes,
                      struct ayrei_large_draft *ret_draft)
{
	struct ayrei_large_draft draft = {.fd = ayrei_file_open_unnamed(topic->prefix),
	                                  .bytes = bytes};
	int result = draft.fd;

	if (result >= 0)
		result = ayrei_file_allocate_private(draft.fd, bytes);
	if (result == 0)
		result = ayrei_file_set_mode(draft.fd, LARGE_MODE);
	if (result == 0)
		result = ayrei_map_shared(draft.fd, bytes, true, &draft.data);
	/* Too much is locked (mmap(2)); -EAGAIN would say that somebody has to read first. */
	if (result == -EAGAIN)
		result = -ENOMEM;
	if (result < 0) {
		ayrei_file_close(draft.fd);
		return result;
	}
	*ret_draft = draft;
	return 0;
}

int ayrei_large_finish(struct ayrei_large_draft *draft, const struct ayrei_topic *topic,
                       uint64_t lane, uint64_t position, size_t bytes)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = bytes == draft->bytes ? 0 : ayrei_file_truncate(draft->fd, bytes);

	ayrei_large_path(topic, lane, position, path);
	if (result == 0)
		result = ayrei_file_link_unnamed(draft->fd, path);
	/* The name is this record's alone: whoever has put something there can have no use for it. */
	if (result == -EEXIST && ayrei_file_unlink(path) == 0)
		result = ayrei_file_link_unnamed(draft->fd, path);
	ayrei_large_give_up(draft);
	return result;
}

void ayrei_large_give_up(struct ayrei_large_draft *draft)
{
	ayrei_unmap(draft->data, draft->bytes);
	ayrei_file_close(draft->fd);
	*draft = (struct ayrei_large_draft){.fd = -1};
}
