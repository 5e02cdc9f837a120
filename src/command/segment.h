/*
 * What the verbs of `ayre segment` share.
 */
#pragma once

#include <ayre.h>

/*
 * Opens a segment for a verb that needs it to be there. Prints the error, with what to do
 * next, and returns NULL.
 */
struct ayre_segment *segment_open_existing(const char *name, uint32_t flags);

/* As ayre_segment_open() with CREATE, and a signal that would end us waits until it is done. */
int segment_create(const struct ayre_segment_options *options, const char *name,
                   struct ayre_segment **ret_segment, struct ayre_error *error);

/* Prints an error of a call that has no struct ayre_error. Returns EXIT_FAILED. */
int segment_fail(const char *name, int code);
/* The same for a missing segment: with what to do next. */
int segment_report(const struct ayre_error *error, const char *name);

/* Syncs; says so when there is no disk to bring the bytes to. Returns an exit code. */
int segment_sync_and_say(struct ayre_segment *segment, const char *name, uint64_t offset,
                         uint64_t length, enum ayre_sync how);
