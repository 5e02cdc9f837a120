/*
 * Attempts on objects that processes share by key or name: System V and POSIX.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

#define SEGMENT_BYTES 4096

static long find_segment(const struct escape_bait *bait)
{
	return KERNEL(shmget, bait->segment_key, 0, 0);
}

static long read_segment(const struct escape_bait *bait)
{
	/* Where it is mapped. */
	return KERNEL(shmat, bait->segment, NULL, SHM_RDONLY);
}

static long write_segment(const struct escape_bait *bait)
{
	return KERNEL(shmat, bait->segment, NULL, 0);
}

static long look_at_segment(const struct escape_bait *bait)
{
	struct shmid_ds status;

	return KERNEL(shmctl, bait->segment, IPC_STAT, &status);
}

static long make_segment(const struct escape_bait *bait)
{
	long id = KERNEL(shmget, IPC_PRIVATE, SEGMENT_BYTES, IPC_CREAT | 0600);

	(void)bait;
	if (id >= 0)
		(void)KERNEL(shmctl, id, IPC_RMID, NULL);
	return id;
}

static long find_queue(const struct escape_bait *bait)
{
	return KERNEL(msgget, bait->message_queue_key, 0);
}

static long send_to_queue(const struct escape_bait *bait)
{
	const struct {
		long type;
		char text[8];
	} message = {1, "x"};

	return KERNEL(msgsnd, bait->message_queue, &message, 1, IPC_NOWAIT);
}

static long take_from_queue(const struct escape_bait *bait)
{
	struct {
		long type;
		char text[8];
	} message;

	return KERNEL(msgrcv, bait->message_queue, &message, sizeof(message.text), 0, IPC_NOWAIT);
}

static long make_queue(const struct escape_bait *bait)
{
	long id = KERNEL(msgget, IPC_PRIVATE, IPC_CREAT | 0600);

	(void)bait;
	if (id >= 0)
		(void)KERNEL(msgctl, id, IPC_RMID, NULL);
	return id;
}

static long find_semaphore(const struct escape_bait *bait)
{
	return KERNEL(semget, bait->semaphore_key, 1, 0);
}

static long change_semaphore(const struct escape_bait *bait)
{
	const struct sembuf up = {0, 1, IPC_NOWAIT};

	return KERNEL(semtimedop, bait->semaphore, &up, 1, NULL);
}

static long read_semaphore(const struct escape_bait *bait)
{
	return KERNEL(semctl, bait->semaphore, 0, GETVAL, 0);
}

static long make_semaphore(const struct escape_bait *bait)
{
	long id = KERNEL(semget, IPC_PRIVATE, 1, IPC_CREAT | 0600);

	(void)bait;
	if (id >= 0)
		(void)KERNEL(semctl, id, 0, IPC_RMID, 0);
	return id;
}

static long open_posix_segment(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, bait->shared, O_RDWR);
}

static long open_posix_queue(const struct escape_bait *bait)
{
	return KERNEL(mq_open, bait->queue, O_RDONLY | O_NONBLOCK, 0, NULL);
}

static long send_to_posix_queue(const struct escape_bait *bait)
{
	long queue = KERNEL(mq_open, bait->queue, O_WRONLY | O_NONBLOCK, 0, NULL);

	return queue < 0 ? queue : KERNEL(mq_timedsend, queue, "x", 1, 0, NULL);
}

static long remove_posix_queue(const struct escape_bait *bait)
{
	return KERNEL(mq_unlink, bait->queue);
}

static const struct escape_attempt attempts[] = {
	{"find-segment", find_segment, NULL},
	{"read-segment", read_segment, NULL},
	{"write-segment", write_segment, NULL},
	{"look-at-segment", look_at_segment, NULL},
	{"make-segment", make_segment, NULL},
	{"find-queue", find_queue, NULL},
	{"send-to-queue", send_to_queue, NULL},
	{"take-from-queue", take_from_queue, NULL},
	{"make-queue", make_queue, NULL},
	{"find-semaphore", find_semaphore, NULL},
	{"change-semaphore", change_semaphore, NULL},
	{"read-semaphore", read_semaphore, NULL},
	{"make-semaphore", make_semaphore, NULL},
	{"open-posix-segment", open_posix_segment, NULL},
	{"open-posix-queue", open_posix_queue, ESCAPE_OPTIONAL},
	{"send-to-posix-queue", send_to_posix_queue, ESCAPE_OPTIONAL},
	{"remove-posix-queue", remove_posix_queue, ESCAPE_OPTIONAL},
};

const struct escape_group escape_ipc = {"ipc", attempts, ESCAPE_COUNT_OF(attempts)};
