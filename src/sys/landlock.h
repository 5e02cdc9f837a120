/*
 * Landlock, as verbs on the calling thread. Every one returns zero or more, or a negative errno.
 */
#pragma once

#include <stddef.h>

/* Which ABI the kernel has, from 1. -ENOSYS: none; -EOPNOTSUPP: it is switched off. */
int ayrei_landlock_abi(void);
/*
 * Forbids everything that this ABI knows how to forbid, on all objects, for good: files that are
 * not open yet, TCP, abstract sockets and signals outside. Needs no_new_privs.
 */
int ayrei_landlock_forbid_all(int abi);
/*
 * The same, but that what is at or below these paths can be read; those that are not there are passed
 * over.
 */
int ayrei_landlock_forbid_all_but(int abi, const char *const *readable, size_t count);
