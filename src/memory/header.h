/*
 * The header in front of a typed segment: a layout that processes share.
 * docs/FORMAT.md describes it for other readers.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/segment.h>

#define AYREI_SEGMENT_MAGIC   "AYRESEG" /* and its NUL: 8 bytes */
#define AYREI_SEGMENT_VERSION 1u

/* The header takes a multiple of this, so that the data begin on a page. */
#define AYREI_SEGMENT_HEADER_UNIT 4096u

/*
 * Little-endian. Written once, by the creator, before the segment has a name; never
 * again by anybody. Whoever reads it copies it first, because whoever may write the
 * segment can write this too.
 */
struct ayrei_segment_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;              /* where the data begin */
	uint32_t compatible_features;       /* a reader may ignore those it does not know */
	uint32_t incompatible_features;     /* a reader refuses those it does not know */
	int64_t created_ns;                 /* CLOCK_REALTIME */
	uint8_t generation[16];             /* random: tells this segment from its namesakes */
	uint32_t tag_bytes;                 /* 1 to AYRE_SEGMENT_TAG_MAX */
	uint32_t reserved[3];               /* 0 */
	char tag[AYRE_SEGMENT_TAG_MAX + 1]; /* the rest is NUL bytes */
};

static_assert(sizeof(struct ayrei_segment_header) == 256, "layout");
static_assert(offsetof(struct ayrei_segment_header, version) == 8, "layout");
static_assert(offsetof(struct ayrei_segment_header, header_bytes) == 12, "layout");
static_assert(offsetof(struct ayrei_segment_header, compatible_features) == 16, "layout");
static_assert(offsetof(struct ayrei_segment_header, incompatible_features) == 20, "layout");
static_assert(offsetof(struct ayrei_segment_header, created_ns) == 24, "layout");
static_assert(offsetof(struct ayrei_segment_header, generation) == 32, "layout");
static_assert(offsetof(struct ayrei_segment_header, tag_bytes) == 48, "layout");
static_assert(offsetof(struct ayrei_segment_header, reserved) == 52, "layout");
static_assert(offsetof(struct ayrei_segment_header, tag) == 64, "layout");

/* What a new header of this machine takes: the unit, or a page if that is larger. */
uint32_t ayrei_segment_header_bytes(void);

/* Fills a header that nobody else sees yet. tag fits. Returns 0 or a negative errno. */
int ayrei_segment_header_init(struct ayrei_segment_header *header, const char *tag);

/*
 * Judges a private copy of a segment's first bytes. total_bytes: of the whole segment.
 * Returns 1 and the header is to be trusted; 0, there is none and the segment is raw;
 * -EPROTO, it is damaged, and *ret_problem says how.
 */
int ayrei_segment_header_check(const struct ayrei_segment_header *copy, uint64_t total_bytes,
                               const char **ret_problem);
