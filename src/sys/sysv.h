/*
 * System V shared memory, as verbs. Every one returns zero or more, or a negative
 * errno; an id that is removed by now is -EIDRM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the kernel's table says of one segment; its own words, no process can write them. */
struct ayrei_sysv_status {
	key_t key; /* 0 when the segment is removed and only its users keep it */
	int id;
	uint32_t mode; /* permission bits */
	bool removed;
	uint64_t size_bytes;
	uint64_t resident_bytes; /* from the table only; else 0 */
	uint64_t attached_count;
	uint32_t uid, gid;
	pid_t creator, last;
	int64_t changed_ns; /* CLOCK_REALTIME, whole seconds: the latest of attach, detach, change */
};

/* The key of a path and a letter (ftok(3)). */
int ayrei_sysv_key(const char *path, int letter, key_t *ret_key);
/* The id that a key has now: -ENOENT. */
int ayrei_sysv_find(key_t key);
/* A new segment of zeros: -EEXIST if the key has one. */
int ayrei_sysv_create(key_t key, uint64_t size_bytes, uint32_t mode);
int ayrei_sysv_attach(int id, bool writable, void **ret_address);
void ayrei_sysv_detach(void *address);
int ayrei_sysv_status(int id, struct ayrei_sysv_status *ret_status);
int ayrei_sysv_set_mode(int id, uint32_t mode);
int ayrei_sysv_remove(int id);
/* The largest size that the kernel allows (shmmax); 0 if it does not say. */
uint64_t ayrei_sysv_limit(void);

/*
 * The whole table, also of segments that this user may not look into. Returns the
 * number of entries; *ret_entries is to be freed.
 */
ssize_t ayrei_sysv_table(struct ayrei_sysv_status **ret_entries);
/* One entry of the table, which all may read: also of a segment that this user may not ask of. */
int ayrei_sysv_look_up(int id, struct ayrei_sysv_status *ret_status);

/*
 * A lock under a key: one System V semaphore whose value is the number of holders and
 * which the kernel undoes when the holder dies (SEM_UNDO). It exists only while it is
 * held or waited for. Returns the id to give back to ayrei_sysv_unlock(). Blocks.
 */
int ayrei_sysv_lock(key_t key);
void ayrei_sysv_unlock(int lock);
/* Is there a lock, held or left by a dead holder? */
bool ayrei_sysv_lock_exists(key_t key);
/* Removes what a dead holder has left of the lock, if anything; a living one's stays. */
void ayrei_sysv_lock_clean(key_t key);
