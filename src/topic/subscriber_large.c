/*
 * Receiving what lies beside the ring.
 *
 * Invariant: bytes of a file are a message only if `beside` of the lane, looked at after them, is not
 * behind its record (large.c). Whatever else is odd about a file is damage only under the same
 * condition.
 *
 * A publisher uses its files again and again. So what was mapped to be read stays mapped, with
 * the pages that were faulted in, and is found again by the file's identity, which is no other
 * file's as long as it is mapped. Who keeps a map keeps a file's memory, so there is a bound, and what
 * has not been used for long is let go. No map gives way to another one: where files are
 * used in turn and there are too many, the one that was used longest ago is the next that is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/file.h"
#include "topic/subscriber.h"

#define KEPT_MAPS  128u
#define KEPT_BYTES ((uint64_t)64 << 20)
/* A map that was not used by so many messages is let go. */
#define KEPT_TURNS 256u

struct ayrei_kept_map {
	dev_t device;
	ino_t inode;
	uint64_t turn; /* when it was used last */
	struct ayrei_shared map;
};

struct ayrei_kept_maps {
	size_t count;
	uint64_t bytes, turn;
	struct ayrei_kept_map all[KEPT_MAPS];
};

bool ayrei_source_is_over(const struct ayrei_source *source, uint64_t position)
{
	ayrei_fence_loads();
	return ayrei_load(&source->reader.layout->beside) > position;
}

/* --- maps that are kept --- */

static void forget(struct ayrei_kept_maps *kept, size_t index)
{
	struct ayrei_kept_map *map = &kept->all[index];

	kept->bytes -= map->map.bytes;
	ayrei_shared_unmap(&map->map);
	*map = kept->all[--kept->count];
}

static void forget_before(struct ayrei_kept_maps *kept, uint64_t turn)
{
	for (size_t i = kept->count; i-- > 0;)
		if (kept->all[i].turn < turn)
			forget(kept, i);
}

void ayrei_subscriber_forget_maps(struct ayre_subscriber *subscriber)
{
	/* What is being looked at is a copy of one of them: not now, then. */
	if (!subscriber->kept || subscriber->peeked_large.base)
		return;
	forget_before(subscriber->kept, UINT64_MAX);
	free(subscriber->kept);
	subscriber->kept = NULL;
}

/* NULL: it is not kept, or not enough of it. */
static const struct ayrei_shared *find_map(struct ayrei_kept_maps *kept, const struct stat *status,
                                           uint64_t bytes)
{
	for (size_t i = 0; i < kept->count; i++) {
		struct ayrei_kept_map *map = &kept->all[i];

		if (map->inode != status->st_ino || map->device != status->st_dev)
			continue;
		if (map->map.bytes < bytes || ayrei_shared_is_lost(&map->map)) {
			forget(kept, i);
			return NULL;
		}
		map->turn = kept->turn;
		return &map->map;
	}
	return NULL;
}

/* true: it is one of those that are kept from here on. */
static bool keep_map(struct ayre_subscriber *subscriber, const struct stat *status,
                     const struct ayrei_shared *map)
{
	struct ayrei_kept_maps *kept = subscriber->kept;

	if (!kept)
		kept = subscriber->kept = calloc(1, sizeof(*kept));
	if (!kept || kept->count == KEPT_MAPS || map->bytes > KEPT_BYTES - kept->bytes)
		return false;
	kept->all[kept->count++] =
		(struct ayrei_kept_map){status->st_dev, status->st_ino, kept->turn, *map};
	kept->bytes += map->bytes;
	return true;
}

/* --- its file --- */

/*
 * As much as there has to be is there: a size alone costs nothing, and would be waited for room for. The
 * file may be larger: it was there before the message.
 */
static bool is_sound(const struct ayrei_source *source, const struct stat *status, uint64_t bytes)
{
	return S_ISREG(status->st_mode) && status->st_uid == source->uid &&
	       (uint64_t)status->st_size >= bytes && (uint64_t)status->st_blocks * 512 >= bytes;
}

static int open_file(const struct ayrei_source *source, const char *path, uint64_t bytes,
                     struct stat *ret_status)
{
	ayrei_auto_fd int fd = ayrei_topic_open_regular(path, bytes, ret_status);

	if (fd < 0)
		return fd;
	return is_sound(source, ret_status, bytes) ? ayrei_take_fd(&fd) : -EPROTO;
}

/* Also what is mapped already, with nothing opened. */
static bool is_kept(struct ayre_subscriber *subscriber, const struct ayrei_source *source,
                    const char *path, uint64_t bytes)
{
	struct ayrei_kept_maps *kept = subscriber->kept;
	const struct ayrei_shared *map;
	struct stat status;

	if (!kept)
		return false;
	if (++kept->turn % KEPT_TURNS == 0)
		forget_before(kept, kept->turn - KEPT_TURNS);
	if (ayrei_path_status(path, false, &status) < 0 || !is_sound(source, &status, bytes))
		return false;
	map = find_map(kept, &status, bytes);
	if (!map)
		return false;
	subscriber->peeked_large = *map;
	subscriber->peeked_kept = true;
	return true;
}

static int map_file(struct ayre_subscriber *subscriber, const struct ayrei_source *source,
                    const char *path, uint64_t bytes)
{
	ayrei_auto_fd int fd = -1;
	struct stat status;
	uint64_t size;
	int result;

	if (is_kept(subscriber, source, path, bytes))
		return 0;
	fd = open_file(source, path, bytes, &status);
	if (fd < 0 || bytes == 0)
		return fd < 0 ? fd : 0;
	/* All of it, for messages to come: one that is much larger says so at nobody's cost. */
	size = (uint64_t)status.st_size / 2 <= bytes ? (uint64_t)status.st_size : bytes;
	result = ayrei_shared_map(&subscriber->peeked_large, fd, size, 0, false, false);
	/* So much is locked (mmap(2)), or mapped: what we keep is not missing now. */
	if (result == -ENOMEM && subscriber->kept) {
		ayrei_subscriber_forget_maps(subscriber);
		result = ayrei_shared_map(&subscriber->peeked_large, fd, bytes, 0, false, false);
	}
	if (result == 0)
		subscriber->peeked_kept = keep_map(subscriber, &status, &subscriber->peeked_large);
	return result;
}

/* That it is too large for a buffer is said of what is there. */
static int measure_file(const struct ayrei_source *source, const char *path, uint64_t bytes)
{
	struct stat status;
	ayrei_auto_fd int fd = open_file(source, path, bytes, &status);

	return fd < 0 ? fd : -EMSGSIZE;
}

/* Out of pages that are mapped already it takes a quarter of what read(2) takes. */
static int copy_map(struct ayre_subscriber *subscriber, uint64_t bytes, void *buffer)
{
	int result;

	memcpy(buffer, subscriber->peeked_large.base, bytes);
	result = ayrei_shared_is_lost(&subscriber->peeked_large) ? -EPROTO : 0;
	ayrei_subscriber_end_look(subscriber);
	return result;
}

int ayrei_subscriber_fetch_large(struct ayre_subscriber *subscriber,
                                 const struct ayrei_source *source, struct ayre_message *message,
                                 void *buffer, size_t buffer_bytes)
{
	uint64_t position = source->reader.position;
	char path[AYREI_PEER_PATH_BYTES];
	int result;

	if (subscriber->topic.directory < 0)
		return -EPROTO;
	ayrei_large_path(&subscriber->topic, source->id, position, path);
	result = message->bytes > buffer_bytes ? measure_file(source, path, message->bytes)
	                                       : map_file(subscriber, source, path, message->bytes);
	if (result == 0 && buffer && message->bytes)
		result = copy_map(subscriber, message->bytes, buffer);
	/* Before it is judged: who writes over it may give up what that message needed. */
	if (ayrei_source_is_over(source, position)) {
		ayrei_subscriber_end_look(subscriber);
		return -ENOENT;
	}
	message->data = buffer ? buffer : subscriber->peeked_large.base;
	return result == -ESTALE ? -EPROTO : result;
}

void ayrei_subscriber_end_look(struct ayre_subscriber *subscriber)
{
	if (subscriber->peeked_kept)
		subscriber->peeked_large = (struct ayrei_shared){0};
	else
		ayrei_shared_unmap(&subscriber->peeked_large);
	subscriber->peeked_kept = false;
}
