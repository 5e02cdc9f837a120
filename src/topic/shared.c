/*
 * Files of a topic, mapped.
 */
#include "topic/shared.h"

#include <errno.h>

#include "memory/guard_range.h"
#include "sys/file.h"
#include "sys/map.h"

int ayrei_shared_map(struct ayrei_shared *shared, int fd, size_t head_bytes, size_t ring_bytes,
                     bool writable, bool sealed)
{
	size_t bytes = head_bytes + 2 * ring_bytes;
	struct stat status;
	void *base;
	int result = ayrei_file_status(fd, &status);

	if (result < 0)
		return result;
	if ((uint64_t)status.st_size < head_bytes + ring_bytes)
		return -ESTALE;
	result = ring_bytes ? ayrei_map_mirrored(fd, head_bytes, ring_bytes, writable, &base)
	                    : ayrei_map_shared(fd, head_bytes, writable, &base);
	/* Too much is locked (mmap(2)). With us -EAGAIN says that there is nothing to read, or no room. */
	if (result < 0)
		return result == -EAGAIN ? -ENOMEM : result;
	shared->guard = sealed ? NULL : ayrei_guard_watch(base, bytes, writable);
	if (!sealed && !shared->guard) {
		ayrei_unmap(base, bytes);
		return -ENOMEM;
	}
	shared->base = base;
	shared->bytes = bytes;
	return 0;
}

bool ayrei_shared_is_lost(const struct ayrei_shared *shared)
{
	return ayrei_guard_lost(shared->guard);
}

void ayrei_shared_unmap(struct ayrei_shared *shared)
{
	ayrei_guard_forget(shared->guard);
	ayrei_unmap(shared->base, shared->bytes);
	*shared = (struct ayrei_shared){0};
}
