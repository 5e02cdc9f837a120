/*
 * What fault injection is tried on: every operation of ayre, on every kind of segment.
 */
#pragma once

#include "support/open.h"

#include <ayre/segment_list.h>

/* Bytes of a segment, or at least the first of them. */
#define DATA_BYTES 5000

/* Where segments are made, and what the file system there cannot do. */
struct place {
	const char *title;
	enum ayre_backing kind;
	uint64_t size_bytes;
	bool no_unnamed_files;
	bool no_rename_new;
};
extern const struct place places[];
extern const size_t place_count;

/* One run of an operation. What is not NULL at its end is closed. */
struct scene {
	const struct place *place;
	const struct operation *operation;
	char buffer[NAME_BYTES];
	const char *name;               /* NULL: anonymous */
	struct ayre_segment *segment;   /* what the operation works on */
	struct ayre_segment *opened;    /* what it opens; `untouched` before */
	struct ayre_segment_list *list; /* what it lists; NULL before */
	struct ayre_segment_info info;
	char bytes[DATA_BYTES];
	struct ayre_error error;
};

struct operation {
	const char *title;
	void (*prepare)(struct scene *scene);
	int (*run)(struct scene *scene);
	void (*verify)(struct scene *scene);        /* after a success */
	void (*verify_failed)(struct scene *scene); /* after a failure */
	uint32_t flags;
	uint32_t mode;
	const char *tag;
	bool (*fits)(const struct place *place); /* NULL: everywhere */
	bool stays_failed;                       /* a handle that failed fails for good */
};
extern const struct operation operations[];
extern const size_t operation_count;
