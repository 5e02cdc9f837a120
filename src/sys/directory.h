/*
 * Directories, as verbs. Every one returns zero or more, or a negative errno.
 */
#pragma once

#include <dirent.h>
#include <sys/types.h>

/* -EEXIST: something has that name. The umask applies. */
int ayrei_directory_make(const char *path, mode_t mode);
/* An empty one. */
int ayrei_directory_remove(const char *path);
/* path: relative to the directory descriptor parent, unless it is absolute. */
int ayrei_directory_open(int parent, const char *path, DIR **ret_directory);
/*
 * Returns 1 and the next entry, borrowed until the next call; 0 at the end. "." and ".." are
 * left out.
 */
int ayrei_directory_next(DIR *directory, const struct dirent **ret_entry);
/* NULL does nothing; keeps errno; returns NULL. */
DIR *ayrei_directory_close(DIR *directory);
