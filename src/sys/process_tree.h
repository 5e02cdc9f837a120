/*
 * Who descends from whom, as /proc tells it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ayrei_relative {
	pid_t pid, parent, group;
	bool ended;           /* a zombie: nothing to be done about it */
	uint64_t start_ticks; /* with the pid, it is one process and no later one */
};

/*
 * All processes that this user can see, by number. Returns how many; *ret_all is to be freed. A
 * negative errno if /proc does not tell, or tells of another namespace (-EXDEV).
 */
ssize_t ayrei_process_tree(struct ayrei_relative **ret_all);

/* One of them anew. -ESRCH: it is gone. */
int ayrei_process_relative(pid_t pid, struct ayrei_relative *ret_relative);
