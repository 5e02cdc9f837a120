/*
 * The map of a segment that has a descriptor: made, refreshed, resized.
 *
 * Invariant: [base, base + header_bytes + size_bytes) lies inside the map, and was inside
 * the file when size_bytes was last set. A page of the map beyond the file's end is address
 * space that was reserved: it becomes memory, in every process at once, when the
 * file grows under it.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "memory/guard_range.h"
#include "memory/handle.h"
#include "sys/file.h"
#include "sys/map.h"

static size_t whole_pages(uint64_t bytes)
{
	size_t page = ayrei_page_bytes();

	return (size_t)((bytes + page - 1) / page * page);
}

/* Address space for the bytes that are there and those the caller wants to have room for. */
static size_t wanted_length(const struct ayre_segment *segment)
{
	size_t data = segment->size_bytes > segment->reserve_bytes ? segment->size_bytes
	                                                           : segment->reserve_bytes;

	/* An empty file is mapped once there is something in it. */
	return data ? whole_pages((uint64_t)segment->header_bytes + data) : 0;
}

static int map_plain(struct ayre_segment *segment, bool writable)
{
	void *base;
	size_t length = wanted_length(segment);
	int result;

	if (length == 0)
		return 0;
	result = ayrei_map_shared(segment->fd, length, writable, &base);
	if (result < 0)
		return result;
	segment->base = base;
	segment->mapped_bytes = length;
	return 0;
}

static int map_mirrored(struct ayre_segment *segment, bool writable)
{
	void *base;
	int result;

	if (segment->size_bytes == 0 || segment->size_bytes % ayrei_page_bytes() != 0)
		return -EINVAL;
	result = ayrei_map_mirrored(segment->fd, segment->header_bytes, segment->size_bytes,
	                            writable, &base);
	if (result < 0)
		return result;
	segment->base = base;
	segment->mapped_bytes = segment->header_bytes + 2 * segment->size_bytes;
	return 0;
}

/* Only the bytes that are there: behind them is address space that nothing backs yet. */
static int apply_wishes(const struct ayre_segment *segment, bool writable)
{
	size_t length = segment->mirrored ? segment->mapped_bytes
	                                  : whole_pages(ayrei_segment_extent(segment));

	/* A kernel without transparent huge pages says -EINVAL; a wish may fail. */
	if (segment->want_huge)
		(void)!ayrei_map_want_huge(segment->base, segment->mapped_bytes);
	return segment->populate ? ayrei_map_populate(segment->base, length, writable) : 0;
}

int ayrei_view_map(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                   bool writable)
{
	int result =
		segment->mirrored ? map_mirrored(segment, writable) : map_plain(segment, writable);

	if (result == -EINVAL && segment->mirrored)
		return ayrei_fail(request->error, result, "map", request->label,
		                  "a mirrored segment is whole pages, and this one has %zu bytes",
		                  segment->size_bytes);
	if (result < 0)
		return ayrei_fail(request->error, result, "map", request->label, NULL);
	if (!segment->base)
		return 0;
	result = apply_wishes(segment, writable);
	/* Instead of the signal that a touch would have raised. */
	if (result == -EFAULT)
		result = -ENOSPC;
	if (result < 0)
		return ayrei_fail(request->error, result, "populate", request->label, NULL);
	if (!segment->cannot_fail) {
		segment->guard = ayrei_guard_watch(segment->base, segment->mapped_bytes, writable);
		if (!segment->guard)
			return ayrei_fail(request->error, -ENOMEM, "guard", request->label, NULL);
	}
	return 0;
}

void ayrei_view_unmap(struct ayre_segment *segment)
{
	ayrei_guard_forget(segment->guard);
	ayrei_unmap(segment->base, segment->mapped_bytes);
	segment->guard = NULL;
	segment->base = NULL;
	segment->mapped_bytes = 0;
}

/* After size_bytes has grown: a map that reaches that far. 1: it has moved. */
static int extend(struct ayre_segment *segment)
{
	struct ayrei_segment_request quiet = {.label = segment->label};
	size_t length = wanted_length(segment);
	void *base;
	int result;

	if (length <= segment->mapped_bytes)
		return 0;
	if (!segment->base) {
		result = ayrei_view_map(&quiet, segment, !segment->read_only);
		return result < 0 ? result : 1;
	}
	/* The addresses it leaves may be somebody else's the next moment. */
	ayrei_guard_move(segment->guard, NULL, 0);
	result = ayrei_map_resize(segment->base, segment->mapped_bytes, length, &base);
	if (result == 0) {
		result = segment->base != (char *)base;
		segment->base = base;
		segment->mapped_bytes = length;
	}
	ayrei_guard_move(segment->guard, segment->base, segment->mapped_bytes);
	return result;
}

int ayre_segment_refresh(struct ayre_segment *segment)
{
	struct stat status;
	size_t before = segment->size_bytes;
	uint64_t total;
	int result;

	if (segment->fd < 0)
		return 0;
	result = ayrei_file_status(segment->fd, &status);
	if (result < 0)
		return result;
	total = (uint64_t)status.st_size;
	if (total < ayrei_segment_extent(segment))
		return -ESTALE;
	if (total == ayrei_segment_extent(segment))
		return 0;
	if (segment->mirrored)
		return -EOPNOTSUPP;
	segment->size_bytes = (size_t)(total - segment->header_bytes);
	result = extend(segment);
	if (result < 0)
		segment->size_bytes = before;
	return result;
}

static int grow(struct ayre_segment *segment, uint64_t total, struct ayre_error *error)
{
	int result = ayrei_file_allocate(segment->fd, total);

	if (result == -ENOSPC || result == -ENOMEM)
		return ayrei_fail(error, result, "allocate", segment->label,
		                  "%" PRIu64 " bytes more asked for, %" PRIu64 " are free",
		                  total - ayrei_segment_extent(segment),
		                  ayrei_file_room(segment->fd));
	if (result == -EOPNOTSUPP)
		return ayrei_fail(error, result, "allocate", segment->label,
		                  "this file system cannot promise space to a file in use");
	if (result < 0)
		return ayrei_fail(error, result, "allocate", segment->label, NULL);
	result = ayre_segment_refresh(segment);
	if (result < 0)
		return ayrei_fail(error, result, "map", segment->label, NULL);
	return result;
}

static int shrink(struct ayre_segment *segment, uint64_t total, struct ayre_error *error)
{
	int result = ayrei_file_truncate(segment->fd, total);

	if (result == -EPERM)
		return ayrei_fail(error, result, "truncate", segment->label,
		                  "an anonymous segment is sealed against shrinking");
	if (result < 0)
		return ayrei_fail(error, result, "truncate", segment->label, NULL);
	segment->size_bytes = (size_t)(total - segment->header_bytes);
	return 0;
}

int ayre_segment_resize(struct ayre_segment *segment, uint64_t size_bytes, struct ayre_error *error)
{
	uint64_t total = segment->header_bytes + size_bytes;

	if (segment->fd < 0)
		return ayrei_fail(
			error, -EOPNOTSUPP, "resize", segment->label,
			"a System V segment has one size for life: remove it and make it anew");
	if (segment->mirrored)
		return ayrei_fail(error, -EOPNOTSUPP, "resize", segment->label,
		                  "a mirrored segment has one size for life");
	if (segment->read_only)
		return ayrei_fail(error, -EACCES, "resize", segment->label,
		                  "the handle is read-only");
	if (size_bytes == 0 || size_bytes > INT64_MAX / 2)
		return ayrei_fail(error, -EINVAL, "resize", segment->label,
		                  "a segment has 1 byte or more");
	/*
	 * Against this handle's view, not against the file: one who asks for more than it has
	 * must never cut off what another process has just added.
	 */
	if (total < ayrei_segment_extent(segment))
		return shrink(segment, total, error);
	return grow(segment, total, error);
}
