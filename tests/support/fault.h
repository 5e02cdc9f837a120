/*
 * Kernel calls that fail when a test wants it: between libayre.a and the C library stands a
 * wrapper for every call in tests/memory/wrapped.txt (ld --wrap), which can fail, pause, or kill.
 *
 * The wrappers count and act in the whole process, also for what the test itself calls. All of
 * this is inherited by children.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* From now on the nth call (from 1) fails, with one of the errors that this call can have. */
void fault_arm(unsigned int nth, unsigned int variant);
/* How many variants the call with the most of them has. */
unsigned int fault_variants(void);

/* What has happened since fault_arm(). */
struct fault_report {
	unsigned int calls;
	const char *symbol; /* that failed; NULL: none did */
	int error;          /* errno; FAULT_SHORT: it did only a part */
};
#define FAULT_SHORT (-1)
struct fault_report fault_disarm(void);

/* Blocks of memory that are allocated now; the C library's own do not count. */
long fault_blocks(void);

/* Before and after each call, if set. */
extern void (*fault_before_call)(const char *symbol);
extern void (*fault_after_call)(const char *symbol);

/* A file system or kernel that has no O_TMPFILE, or no RENAME_NOREPLACE. */
extern bool fault_no_unnamed_files;
extern bool fault_no_rename_new;
/*
 * A kernel before 6.18 under a host with a fast timer: fallocate(2) on a tmpfs gives up at
 * every signal (EINTR) and undoes what it has, so larger allocations never end. 0: as it is.
 */
extern size_t fault_interrupted_bytes;
/*
 * Flags of preadv2(2) and pwritev2(2) that the kernel does not know: RWF_NOWAIT before 6.4,
 * RWF_NOSIGNAL before 6.18. The library remembers: set them in a child.
 */
extern int fault_unknown_flags;
