/*
 * Where a file segment is created, and the lock of its creators.
 */
#pragma once

#include <limits.h>

struct ayrei_place {
	char directory[PATH_MAX];
	char creating[PATH_MAX]; /* "" if the name leaves no room for it */
};

void ayrei_place_find(const char *path, struct ayrei_place *ret_place);

/*
 * Locks place->creating, making it if need be, and waits for a creator that lives. Returns its
 * descriptor or a negative errno: -EACCES, it is another user's.
 */
int ayrei_place_lock(const struct ayrei_place *place);
/* The same, and the file is empty: to be made into the segment itself. */
int ayrei_place_lock_empty(const struct ayrei_place *place);
/* Removes the file, lets the lock go, closes the descriptor. */
void ayrei_place_unlock(const struct ayrei_place *place, int lock);

/* Removes what a dead creator of this path has left, if anything; a living one's stays. */
void ayrei_place_clean(const char *path);
