/*
 * The handle of an open segment, and what its files share.
 *
 *   segment.c       opening, the dispatch over the backings, what a handle tells
 *   segment_file.c  the backings with a descriptor: shm, file, memfd
 *   place.c         where files are created, and the lock of their creators
 *   segment_sysv.c  System V
 *   view.c          the map: made, grown, refreshed
 *   segment_io.c    copying and sync
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/segment.h>

#include "memory/header.h"
#include "memory/name.h"

struct ayrei_guard_range;

/*
 * base                      base + header_bytes
 * | header (typed only)     | data: size_bytes ... | address space kept free |
 * |<------------------------- mapped_bytes --------------------------------->|
 */
struct ayre_segment {
	enum ayre_backing backing;
	bool read_only;
	bool mirrored;
	bool want_huge;
	bool populate;
	bool in_memory;   /* no disk behind it */
	bool cannot_fail; /* nobody can cut it short: plain copies are safe */
	bool name_synced; /* its directory has been brought to the disk */
	int sync_error;   /* the first failure of write-back; stays */
	int fd;           /* -1 for System V */
	int sysv_id;      /* -1 for the others */
	char *base;       /* NULL while there is nothing to map */
	size_t mapped_bytes;
	size_t reserve_bytes; /* what the caller asked to keep, of data */
	size_t header_bytes;  /* 0: raw */
	size_t size_bytes;
	int64_t created_ns;              /* from the header; -1: raw */
	struct ayrei_guard_range *guard; /* NULL where nothing can be cut away */
	char tag[AYRE_SEGMENT_TAG_MAX + 1];
	char label[]; /* for errors: the name as given */
};

/* One call of ayre_segment_open(): the options at full size, the parsed name. */
struct ayrei_segment_request {
	struct ayre_segment_options options;
	struct ayrei_segment_name name;
	const char *label; /* for errors: the name as given, or "anonymous segment" */
	bool mode_is_default;
	struct ayre_error *error;
};

static inline bool ayrei_segment_wants(const struct ayrei_segment_request *request, uint32_t flags)
{
	return (request->options.flags & flags) == flags;
}

/* Bytes of a segment that the request would create, header and all. */
uint64_t ayrei_segment_total(const struct ayrei_segment_request *request);
/* Bytes of an open segment, header and all. */
static inline uint64_t ayrei_segment_extent(const struct ayre_segment *segment)
{
	return (uint64_t)segment->header_bytes + segment->size_bytes;
}

/* The backings. 1: created, 0: was there. They fill segment, which is zeroed but for its ids. */
int ayrei_segment_open_file(const struct ayrei_segment_request *request,
                            struct ayre_segment *segment);
int ayrei_segment_open_sysv(const struct ayrei_segment_request *request,
                            struct ayre_segment *segment);
int ayrei_segment_open_memory(const struct ayrei_segment_request *request,
                              struct ayre_segment *segment);
int ayrei_segment_adopt_fd(const struct ayrei_segment_request *request,
                           struct ayre_segment *segment, int fd);
int ayrei_segment_remove_file(const struct ayrei_segment_name *name, struct ayre_error *error);
int ayrei_segment_remove_sysv(const struct ayrei_segment_name *name, struct ayre_error *error);

/*
 * Takes an existing segment as the request wants it: raw or typed, its tag, its least size.
 * copy: a private copy of its first bytes, all zero where the segment is shorter. Sets what
 * the handle says of header, size and tag.
 */
int ayrei_segment_accept(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                         const struct ayrei_segment_header *copy, uint64_t total_bytes);
/* What an open handle says of a segment that the request creates. */
void ayrei_segment_adopt_new(const struct ayrei_segment_request *request,
                             struct ayre_segment *segment);
/* Writes the header and calls the caller's initialiser: the data are zero, nobody else sees them. */
int ayrei_segment_initialize(const struct ayrei_segment_request *request,
                             struct ayre_segment *segment);

/* Maps a segment with a descriptor whose header and size are known. */
int ayrei_view_map(const struct ayrei_segment_request *request, struct ayre_segment *segment,
                   bool writable);
/* Unmaps, and detaches from the guard. */
void ayrei_view_unmap(struct ayre_segment *segment);
