/*
 * System V shared memory and the lock beside it: thin verbs over the system calls.
 *
 * Invariant of the lock: only its holder removes it. A waiter whose semaphore is
 * removed (EIDRM) begins again, so at any time all who want the lock of a key meet at
 * one semaphore:
 *
 *    A holds, B waits        A removes        C comes
 *    sem 7: value 1          sem 7 is gone    sem 8 is new, C holds it
 *                            B: EIDRM, finds sem 8, waits for C
 *
 * Were a semaphore removed by one who does not hold it, B could hold sem 7 while C
 * holds sem 8.
 */
#include "sys/sysv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "sys/result.h"

#define PERMISSION_BITS 0777

int ayrei_sysv_key(const char *path, int letter, key_t *ret_key)
{
	key_t key = ftok(path, letter);

	if (key == -1)
		return -errno;
	*ret_key = key;
	return 0;
}

int ayrei_sysv_find(key_t key)
{
	return AYREI_RESULT(shmget(key, 0, 0));
}

int ayrei_sysv_create(key_t key, uint64_t size_bytes, uint32_t mode)
{
	return AYREI_RESULT(shmget(key, size_bytes, (int)(IPC_CREAT | IPC_EXCL | mode)));
}

/* An id that was removed is -EIDRM or, once its slot is free, -EINVAL. */
static int gone(int result)
{
	return result == -EINVAL ? -EIDRM : result;
}

int ayrei_sysv_attach(int id, bool writable, void **ret_address)
{
	void *address = shmat(id, NULL, writable ? 0 : SHM_RDONLY);

	/* shmat(2) returns -1 as a pointer. */
	if (address == (void *)-1)
		return gone(-errno);
	*ret_address = address;
	return 0;
}

void ayrei_sysv_detach(void *address)
{
	int saved = errno;

	shmdt(address);
	errno = saved;
}

static int64_t latest_ns(int64_t a, int64_t b, int64_t c)
{
	int64_t latest = a > b ? a : b;

	return (latest > c ? latest : c) * 1000000000;
}

int ayrei_sysv_status(int id, struct ayrei_sysv_status *ret_status)
{
	struct shmid_ds status;
	int result = AYREI_RESULT(shmctl(id, IPC_STAT, &status));

	if (result < 0)
		return gone(result);
	*ret_status = (struct ayrei_sysv_status){
		.key = status.shm_perm.__key,
		.id = id,
		.mode = status.shm_perm.mode & PERMISSION_BITS,
		.removed = status.shm_perm.mode & SHM_DEST,
		.size_bytes = status.shm_segsz,
		.attached_count = status.shm_nattch,
		.uid = status.shm_perm.uid,
		.gid = status.shm_perm.gid,
		.creator = status.shm_cpid,
		.last = status.shm_lpid,
		.changed_ns = latest_ns(status.shm_atime, status.shm_dtime, status.shm_ctime),
	};
	return 0;
}

int ayrei_sysv_set_mode(int id, uint32_t mode)
{
	struct shmid_ds status;
	int result = AYREI_RESULT(shmctl(id, IPC_STAT, &status));

	if (result < 0)
		return result;
	status.shm_perm.mode = (unsigned short)mode;
	return AYREI_RESULT(shmctl(id, IPC_SET, &status));
}

int ayrei_sysv_remove(int id)
{
	return gone(AYREI_RESULT(shmctl(id, IPC_RMID, NULL)));
}

uint64_t ayrei_sysv_limit(void)
{
	struct shminfo limits;

	if (shmctl(0, IPC_INFO, (struct shmid_ds *)&limits) == -1)
		return 0;
	return limits.shmmax;
}

/* One line of /proc/sysvipc/shm; its first line names the columns. */
static bool parse_line(const char *line, struct ayrei_sysv_status *ret_status)
{
	int key, id;
	unsigned int mode, uid, gid, creator_uid, creator_gid;
	int creator, last;
	long long size, attached, attach_time, detach_time, change_time, resident, swapped;
	int fields =
		sscanf(line, "%d %d %o %lld %d %d %lld %u %u %u %u %lld %lld %lld %lld %lld", &key,
	               &id, &mode, &size, &creator, &last, &attached, &uid, &gid, &creator_uid,
	               &creator_gid, &attach_time, &detach_time, &change_time, &resident, &swapped);

	if (fields < 15)
		return false;
	*ret_status = (struct ayrei_sysv_status){
		.key = key,
		.id = id,
		.mode = mode & PERMISSION_BITS,
		.removed = mode & SHM_DEST,
		.size_bytes = (uint64_t)size,
		.resident_bytes = (uint64_t)resident,
		.attached_count = (uint64_t)attached,
		.uid = uid,
		.gid = gid,
		.creator = creator,
		.last = last,
		.changed_ns = latest_ns(attach_time, detach_time, change_time),
	};
	return true;
}

ssize_t ayrei_sysv_table(struct ayrei_sysv_status **ret_entries)
{
	struct ayrei_sysv_status *entries = NULL;
	size_t count = 0, room = 0;
	char line[512];
	FILE *table = fopen("/proc/sysvipc/shm", "re");

	if (!table)
		return -errno;
	while (fgets(line, sizeof(line), table)) {
		struct ayrei_sysv_status status;

		if (!parse_line(line, &status))
			continue;
		if (count == room) {
			struct ayrei_sysv_status *larger;

			room = room ? 2 * room : 64;
			larger = reallocarray(entries, room, sizeof(*entries));
			if (!larger) {
				free(entries);
				fclose(table);
				return -ENOMEM;
			}
			entries = larger;
		}
		entries[count++] = status;
	}
	fclose(table);
	*ret_entries = entries;
	return (ssize_t)count;
}

int ayrei_sysv_look_up(int id, struct ayrei_sysv_status *ret_status)
{
	struct ayrei_sysv_status *entries;
	ssize_t count = ayrei_sysv_table(&entries);
	int result = -EIDRM;

	if (count < 0)
		return (int)count;
	for (ssize_t i = 0; i < count; i++) {
		if (entries[i].id != id)
			continue;
		*ret_status = entries[i];
		result = 0;
	}
	free(entries);
	return result;
}

/* Both or neither: wait until nobody holds it, and hold it. */
static int take(int lock, short flags)
{
	struct sembuf operations[] = {
		{.sem_num = 0, .sem_op = 0, .sem_flg = flags},
		{.sem_num = 0, .sem_op = 1, .sem_flg = (short)(flags | SEM_UNDO)},
	};

	return AYREI_RESULT(semop(lock, operations, 2));
}

int ayrei_sysv_lock(key_t key)
{
	for (;;) {
		/* Linux makes semaphores with the value 0 (semget(2), NOTES). */
		int lock = AYREI_RESULT(semget(key, 1, IPC_CREAT | 0666));
		int result;

		if (lock < 0)
			return lock;
		result = take(lock, 0);
		if (result == 0)
			return lock;
		/* Removed by its holder, before or while we waited. */
		if (result != -EIDRM && result != -EINVAL)
			return result;
	}
}

void ayrei_sysv_unlock(int lock)
{
	struct sembuf release = {.sem_num = 0, .sem_op = -1, .sem_flg = SEM_UNDO};

	/* Another user's semaphore, left by a dead process, is not ours to remove. */
	if (semctl(lock, 0, IPC_RMID) == -1)
		AYREI_RETRY(semop(lock, &release, 1));
}

bool ayrei_sysv_lock_exists(key_t key)
{
	return AYREI_RESULT(semget(key, 1, 0)) >= 0;
}

void ayrei_sysv_lock_clean(key_t key)
{
	int lock = AYREI_RESULT(semget(key, 1, 0));

	if (lock >= 0 && take(lock, IPC_NOWAIT) == 0)
		ayrei_sysv_unlock(lock);
}
