/*
 * A file of a topic, mapped: by its writer, or by somebody who only reads it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct ayrei_guard_range;

struct ayrei_shared {
	void *base; /* NULL: nothing is mapped */
	size_t bytes;
	struct ayrei_guard_range *guard; /* NULL: nobody can cut it short */
};

/*
 * head_bytes, and then, unless it is 0, ring_bytes twice in a row. sealed: it cannot be cut short. A
 * file that is shorter than that is -ESTALE.
 */
int ayrei_shared_map(struct ayrei_shared *shared, int fd, size_t head_bytes, size_t ring_bytes,
                     bool writable, bool sealed);
/* Was a page of it cut away under us? Only with the guard installed do we live to be asked. */
bool ayrei_shared_is_lost(const struct ayrei_shared *shared);
/* What is not mapped is left alone. */
void ayrei_shared_unmap(struct ayrei_shared *shared);
