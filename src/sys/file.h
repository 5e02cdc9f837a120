/*
 * Files and descriptors, as verbs. Every one returns zero or more, or a
 * negative errno; retries EINTR; makes close-on-exec descriptors only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Opens as open(2) does, never blocking on a FIFO's other end. */
int ayrei_file_open(const char *path, int flags, mode_t mode);
/* The same, but it waits for a FIFO's other end, and the descriptor blocks. */
int ayrei_file_open_blocking(const char *path, int flags, mode_t mode);
/* Closes; -1 does nothing; keeps errno; returns -1, the descriptor that is none. */
int ayrei_file_close(int fd);
/* 1 or 0: was it opened for reading? */
int ayrei_file_is_readable(int fd);
int ayrei_file_duplicate(int fd);
/* To a number that is at least this. */
int ayrei_file_duplicate_above(int fd, int least);

/* A file in a directory that has no name yet (O_TMPFILE), for reading and writing. */
int ayrei_file_open_unnamed(const char *directory);
/* Gives an unnamed file its name: -EEXIST if somebody else has it. */
int ayrei_file_link_unnamed(int fd, const char *path);
/* Renames, but never over another file: -EEXIST. */
int ayrei_file_rename_new(const char *from, const char *to);
/* Renames, in the place of a file that is there. */
int ayrei_file_rename(const char *from, const char *to);
/* Each gets the other's name, in one step. */
int ayrei_file_exchange(const char *one, const char *other);
int ayrei_file_unlink(const char *path);

int ayrei_file_status(int fd, struct stat *ret_status);
int ayrei_path_status(const char *path, bool follow_link, struct stat *ret_status);
/* Does the path lead to what the descriptor is of? 1 or 0; -ENOENT is 0. Or another negative errno. */
int ayrei_file_is_named(int fd, const char *path, bool follow_link);
/* May this user, as it works now, read (R_OK), write (W_OK), execute (X_OK)? 0 or a negative errno. */
int ayrei_path_access(const char *path, int how);
/* May this user take that name out of its directory? 0 or a negative errno. */
int ayrei_path_may_remove(const char *directory, const char *path);
int ayrei_path_set_mode(const char *path, mode_t mode);
/* No link is followed. */
int ayrei_path_set_owner(const char *path, uid_t user, gid_t group);
int ayrei_file_set_mode(int fd, mode_t mode);
/* To a group that this user is in. */
int ayrei_file_set_group(int fd, gid_t gid);
int ayrei_file_truncate(int fd, uint64_t size_bytes);

/*
 * Allocates [0, size_bytes) of a file and makes it that size, or changes nothing
 * that matters: -ENOSPC, or -ENOMEM where only the machine's memory is the limit. -EOPNOTSUPP where the
 * file system cannot promise.
 */
int ayrei_file_allocate(int fd, uint64_t size_bytes);
/* The same for a file that nobody else uses yet: writes zeros where it has to. */
int ayrei_file_allocate_private(int fd, uint64_t size_bytes);
/*
 * Gives back what is behind an offset: it reads as zeros, and the size stays, for whoever has mapped it would die
 * beyond its end.
 */
int ayrei_file_clear_behind(int fd, uint64_t offset);
/* Would there be room for a file of that size? 0, or as ayrei_file_allocate(). */
int ayrei_file_may_fit(int fd, uint64_t size_bytes);

/* Makes zeros of a whole file in memory, and lets go of the memory. */
int ayrei_file_clear(int fd, uint64_t size_bytes);
/* The same of the first part that has memory, up to so many bytes. 1, or 0: none of the file has. */
int ayrei_file_clear_part(int fd, uint64_t most_bytes);

/* Up to length bytes at offset; fewer only at the end of the file. */
ssize_t ayrei_file_read_at(int fd, void *buffer, size_t length, uint64_t offset);
/* All of them, or an error. */
int ayrei_file_write_at(int fd, const void *buffer, size_t length, uint64_t offset);
int ayrei_file_write_zeros(int fd, uint64_t length, uint64_t offset);
/* As read(2). */
ssize_t ayrei_file_read(int fd, void *buffer, size_t length);

/* Where the next read or write of the description begins; an error if it has no such place. */
int64_t ayrei_file_position(int fd);

int ayrei_file_sync(int fd);
/* Its bytes, and what it takes to read them: no times. */
int ayrei_file_sync_bytes(int fd);
/* Lets the disk begin with bytes that a sync will be for. What fails, that sync tells. */
void ayrei_file_begin_sync(int fd, uint64_t offset, uint64_t length);
/* Everything of the file system that this file is on. */
int ayrei_file_sync_all(int fd);
/* Does the file live in memory (tmpfs, ramfs, hugetlbfs), gone with the machine? 1 or 0. */
int ayrei_file_in_memory(int fd);
/*
 * Bytes that are free where the file or directory is: what the machine has to give, if that is memory without
 * another limit. UINT64_MAX if there is no telling.
 */
uint64_t ayrei_file_room(int fd);

/* The path under which this process can open anew what a descriptor is of. Returns path. */
#define AYREI_SELF_BYTES 40
const char *ayrei_self_path(int fd, char path[AYREI_SELF_BYTES]);
/* A symbolic link. -EEXIST: something has that name. */
int ayrei_link_make(const char *target, const char *path);
/* Where it leads. NUL-terminated. -EINVAL: it is no link. */
int ayrei_link_read(const char *path, char *target, size_t target_bytes);
/* The path behind a descriptor, as the kernel tells it in /proc/self/fd. NUL-terminated. */
int ayrei_file_path(int fd, char *path, size_t path_bytes);

/* An exclusive lock that the kernel lets go when the last descriptor is closed. Blocks. */
int ayrei_file_lock(int fd);
/* The same without waiting: -EWOULDBLOCK. */
int ayrei_file_try_lock(int fd);
int ayrei_file_unlock(int fd);

/*
 * Ownership of a file by whoever opened it for writing, until the last descriptor of that opening
 * is closed: the process's death at the latest. -EWOULDBLOCK: it has an owner, or somebody who may only
 * read it has a lock on it, which the next verbs do not take for an owner's.
 */
int ayrei_file_try_own(int fd);
/* Waits until it has no owner. By then it may have another one. */
int ayrei_file_await_unowned(int fd);
/* Ends it now, whoever else has a descriptor of that opening: a child, say, that was forked meanwhile. */
int ayrei_file_disown(int fd);
/* 1: it has an owner; 0: it has none. Any descriptor will do, and nobody is disturbed. */
int ayrei_file_is_owned(int fd);
