/*
 * Namespaces that the calling process moves into, as verbs. Every one returns zero or more, or a
 * negative errno.
 */
#pragma once

#include <stdbool.h>

/*
 * A user namespace of its own in which the user keeps its number, and in it those of mounts,
 * System V and POSIX IPC, host names and control groups; and, if network, of networks, which
 * takes longest. Only for a process with one thread.
 */
int ayrei_namespaces_enter(bool network);
/* In a user namespace that is new: the numbers of user and group are what they were outside. Needs /proc. */
int ayrei_user_keep(unsigned int user, unsigned int group);
/*
 * The root becomes an empty directory that nobody can write. Needs /proc, and a mount namespace
 * of our own.
 */
int ayrei_root_empty(void);
