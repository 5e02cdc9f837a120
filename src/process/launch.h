/*
 * From a caller's options to what the kernel needs: all that can be found out, opened and
 * refused before a process is made.
 */
#pragma once

#include <ayre/process.h>

#include "sys/clone.h"

struct ayrei_launch {
	struct ayrei_child child; /* to be started; points into the rest */
	const char *name;         /* for errors; borrowed */
	char *path;
	int directory_fd;
	int nothing_fd; /* what an end that has no descriptor is wired to; -1: not needed yet */
	struct ayrei_child_wire *wires;
	size_t wire_count, wire_room;
	struct ayrei_child_limit *limits;
};

/*
 * options: as the caller gave them, copied to full size; what they point to must outlive the
 * launch. arguments: NULL for a function. The launch is to be finished also if this fails.
 */
int ayrei_launch_init(struct ayrei_launch *launch, const struct ayre_process_options *options,
                      const char *name, const char *const *arguments, struct ayre_error *error);
void ayrei_launch_fini(struct ayrei_launch *launch);

/* Wires a descriptor of the child; what was wired there before is not any more. source: -1: none. */
int ayrei_launch_wire(struct ayrei_launch *launch, int target, int source,
                      struct ayre_error *error);
/* The options' own wires, which stand over all others; makes the child ready to be started. */
int ayrei_launch_finish(struct ayrei_launch *launch, const struct ayre_process_options *options,
                        struct ayre_error *error);
/* An error of ayrei_children_start() or ayrei_child_prepare(), in words. */
int ayrei_launch_report(const struct ayrei_launch *launch, int code, struct ayre_error *error);
