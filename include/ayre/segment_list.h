/*
 * Every shared segment on the machine, ayre's or not, and who has it mapped.
 *
 * System V segments come from the kernel's own table, POSIX segments from
 * /dev/shm, anonymous ones and mapped files from the maps of the processes.
 * Shared maps count; a private map of a file shares nothing.
 *
 * Looking changes nothing. Files are opened for reading, if at all, and none
 * that the calling process has open itself. Only a System V segment that was
 * asked for by name is attached, for a moment and read-only, because there is
 * no other way to its tag; the kernel notes the time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>
#include <ayre/segment.h>

AYRE_BEGIN_DECLARATIONS

/* A snapshot, taken when it was made. */
struct ayre_segment_list;

/* A process that has a segment mapped shared. */
struct ayre_segment_user {
	pid_t pid;
	uint32_t uid;          /* effective user */
	bool writable;         /* at least one of its maps of the segment is */
	char command[16];      /* the kernel's short name of it */
	uint64_t mapped_bytes; /* address space of all its maps of it, whole pages */
	int64_t started_ns;    /* CLOCK_REALTIME: when the process began, so not mapped before */
};

struct ayre_segment_entry {
	enum ayre_backing backing;
	/*
	 * A name that ayre_segment_open() takes ("sysv:0x52000001", "shm:x",
	 * "file:/tmp/x"). Some have none: a memfd is "memfd:" and what its maker
	 * called it, a private System V segment is "sysv:0x00000000". Removed:
	 * the name it had. Any byte but NUL may stand in a name.
	 */
	const char *name;
	/*
	 * The name does not lead to it any more, or not from here (the maps of a
	 * process in another mount namespace): it lives in its users.
	 */
	bool removed;
	/*
	 * Of a typed segment whose header could be read; else NULL. System V:
	 * only of the one that was asked for by name.
	 */
	const char *tag;
	/*
	 * The whole of it, with any header. If it has no name and this user may
	 * not look at it (a process that maps it has closed its descriptor): as
	 * far as it is mapped, and mode and resident_bytes are 0, the owner
	 * UINT32_MAX.
	 */
	uint64_t size_bytes;
	uint64_t resident_bytes; /* in memory or, for a file on a disk, allocated there */
	uint32_t mode;           /* permission bits */
	uint32_t uid;            /* owner */
	uint32_t gid;
	int64_t key;             /* System V: the key, 0 if it is private or removed; else -1 */
	int64_t id;              /* System V: the id; else -1 */
	uint64_t attached_count; /* System V: the kernel's count; else the maps that were found */
	uint64_t device;         /* else: where the inode is */
	uint64_t inode;
	int64_t changed_ns; /* CLOCK_REALTIME: last change the kernel noticed; -1: not known */
	const struct ayre_segment_user *users; /* by pid */
	size_t user_count;
};

struct ayre_segment_list_options {
	size_t size;
	/* Which backings to look for: bits 1 << AYRE_BACKING_...; 0: all. */
	uint32_t backings;
	/*
	 * Only this segment; borrowed; NULL: all. Only its own backing is looked for.
	 */
	const char *name;
};

/**
 * ayre_segment_list_new() - look
 * @options: borrowed; NULL means all zero
 * @ret_list: to be freed with ayre_segment_list_free()
 *
 * Processes that come or go while it looks may be missed. Maps of processes in
 * another IPC namespace do not count for System V segments of this one. A file
 * with several names is one segment.
 *
 * Returns 0, or
 *   -ENOENT  options->name names nothing
 *   -EINVAL  options->name or options->backings can never be right
 *   -EISDIR, -ELOOP, -ENODEV  options->name is a directory, a link in /dev/shm,
 *            or another thing that is no segment
 *   -ENOMEM  no memory
 * or a negative errno from reading /proc or /dev/shm. Since 0.1.
 */
int ayre_segment_list_new(const struct ayre_segment_list_options *options,
                          struct ayre_segment_list **ret_list, struct ayre_error *error)
	AYRE_MUST_CHECK;

/** ayre_segment_list_free() - and all entries with it; NULL does nothing */
void ayre_segment_list_free(struct ayre_segment_list *list);

/** ayre_segment_list_count() - how many segments were found */
size_t ayre_segment_list_count(const struct ayre_segment_list *list);

/**
 * ayre_segment_list_entry() - one of them
 * @index: from 0; sorted by backing, then by name
 *
 * Borrowed from the list; NULL beyond the end.
 */
const struct ayre_segment_entry *ayre_segment_list_entry(const struct ayre_segment_list *list,
                                                         size_t index);

/**
 * ayre_segment_list_unseen() - processes whose maps this user may not read
 *
 * Not among them: those that a /proc mounted with hidepid=2 does not even show.
 */
size_t ayre_segment_list_unseen(const struct ayre_segment_list *list);

AYRE_END_DECLARATIONS
