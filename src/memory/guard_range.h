/*
 * The ranges of address space that the guard looks after.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ayrei_guard_range;

/* NULL: no memory. Every open segment that could be cut short is watched, guard or not. */
struct ayrei_guard_range *ayrei_guard_watch(void *address, size_t length, bool writable);
/* NULL range does nothing. */
void ayrei_guard_move(struct ayrei_guard_range *range, void *address, size_t length);
/* Before the range is unmapped. NULL does nothing. */
void ayrei_guard_forget(struct ayrei_guard_range *range);
/* Has a page of it been lost since it was watched? */
bool ayrei_guard_lost(const struct ayrei_guard_range *range);
