/*
 * Opening segments in tests: options in one line, and a call that checks what every call of
 * ayre promises.
 */
#pragma once

#include "support/support.h"

#include <ayre/segment.h>

#define OPTIONS(...) \
	(&(struct ayre_segment_options){.size = sizeof(struct ayre_segment_options), __VA_ARGS__})

/*
 * Opens; checks that a failure touches no output and is told in full. ret_segment may be NULL:
 * then what was opened is closed at once.
 */
int try_open(const struct ayre_segment_options *options, const char *name,
             struct ayre_segment **ret_segment);
/* For tests in a table of backings: the name of segment 0, and the kind. */
const char *name_of(void **state, char name[static NAME_BYTES]);
enum ayre_backing kind_of(void **state);

/* For run_in_child(): writes one byte through the pointer. */
int store_into(void *data);
/* A child that loads from there lives, and one that stores dies. */
void assert_read_only(void *data);
