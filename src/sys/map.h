/*
 * Address space and memory files, as verbs. Every one returns zero or more, or a
 * negative errno. Lengths are rounded up to whole pages.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t ayrei_page_bytes(void);

/* Maps length bytes of fd from its start, shared; it may reach beyond the file's end. */
int ayrei_map_shared(int fd, size_t length, bool writable, void **ret_address);
/* Maps length bytes of fd from its start, to be read; whatever is done to the map stays in this process. */
int ayrei_map_private(int fd, size_t length, void **ret_address);
/*
 * Maps head_bytes of fd, then the data_bytes behind them twice in a row. Both are
 * multiples of the page size.
 */
int ayrei_map_mirrored(int fd, size_t head_bytes, size_t data_bytes, bool writable,
                       void **ret_address);
/* Makes a shared map longer or shorter; it may move. */
int ayrei_map_resize(void *address, size_t length, size_t new_length, void **ret_address);
/* NULL or no length does nothing. Keeps errno. */
void ayrei_unmap(void *address, size_t length);

/* A process that this one makes does not have it. */
int ayrei_map_keep_from_children(void *address, size_t length);

/* A wish for transparent huge pages. */
int ayrei_map_want_huge(void *address, size_t length);
/* Bytes of the maps that begin in the range which lie on huge pages, as smaps tells. */
int64_t ayrei_map_huge_bytes(const void *address, size_t length);
/* Faults every page in; -EFAULT where there is nothing behind one, instead of a signal. */
int ayrei_map_populate(void *address, size_t length, bool writable);

/* Punches a hole into the file of a shared map: it reads as zeros, and the size stays. Whole pages. */
int ayrei_map_punch(void *address, size_t length);

/* What msync(2) is asked for. */
enum ayrei_map_sync { AYREI_MAP_SYNC_WAIT, AYREI_MAP_SYNC_ASYNC, AYREI_MAP_SYNC_INVALIDATE };
int ayrei_map_sync(void *address, size_t length, enum ayrei_map_sync how);

/*
 * Puts private zero pages over a part of the address space: what a SIGBUS handler does to
 * let the faulting instruction go on. Async-signal-safe.
 */
int ayrei_map_zeros(void *address, size_t length, bool writable);

/* A file in memory without a name in the file system; name is for people. */
int ayrei_memory_file(const char *name);
/*
 * Against shrinking, further seals and, unless it may grow, growing; and, if sole_writer, against every
 * later writable map.
 */
int ayrei_memory_file_seal(int fd, bool sole_writer, bool may_grow);

enum ayrei_seals {
	AYREI_SEALED_SHRINK = 1,
	AYREI_SEALED_WRITE = 2,
};
/* enum ayrei_seals of a memory file; 0 for any other file. */
int ayrei_memory_file_seals(int fd);
