/*
 * The bait: files, sockets, queues, memory and processes that an ordinary process of this user
 * can reach.
 *
 * Invariant: whatever was made is removed by escape_bait_remove(), also when the making stopped
 * half-way.
 */
#include "escape/bait.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "escape/bait_socket.h"
#include "sys/kernel.h"

#define MEMORY_BYTES 65536
#define HIGH_FD      200
#define KEY_TRIES    100
#define PATHS        4

/* A socket's path, which lies deeper, has 108 bytes. */
#define PLACE_MAX 60

const char *escape_path(const struct escape_bait *bait, const char *name)
{
	static char paths[PATHS][sizeof(bait->directory) + 32];
	static unsigned int next;
	char *path = paths[next++ % PATHS];

	snprintf(path, sizeof(paths[0]), "%s/%s", bait->directory, name);
	return path;
}

const char *escape_proc(pid_t pid, const char *what)
{
	static char path[64];

	if (pid == 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%s", what);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return path;
}

static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	int result = fd == -1 || write(fd, "secret", 6) != 6 ? -errno : 0;

	if (fd != -1)
		close(fd);
	return result;
}

static int make_files(struct escape_bait *bait)
{
	const char *place = getenv("AYRE_DIR");
	int result;

	if (!place || strlen(place) > PLACE_MAX)
		place = "/dev/shm";
	snprintf(bait->directory, sizeof(bait->directory), "%s/ayre-escape-XXXXXX", place);
	if (!mkdtemp(bait->directory)) {
		bait->directory[0] = '\0';
		return -errno;
	}
	/* Beside it, as POSIX has them. */
	snprintf(bait->shared, sizeof(bait->shared), "%.*s.shared", PLACE_MAX + 24,
	         bait->directory);
	result = make_file(bait->shared);
	if (result == 0)
		result = make_file(escape_path(bait, "secret"));
	if (result == 0 && symlink("secret", escape_path(bait, "link")) == -1)
		result = -errno;
	if (result == 0)
		bait->leaked_file = open(escape_path(bait, "secret"), O_RDONLY);
	return result < 0 || bait->leaked_file != -1 ? result : -errno;
}

/* A key that is nobody else's: a few are tried, from one that other runs do not begin at. */
static int make_by_key(int *ret_key, int (*make)(key_t key))
{
	int result = -EEXIST;

	for (int i = 0; result == -EEXIST && i < KEY_TRIES; i++) {
		*ret_key = 0x61000000 + (int)getpid() * KEY_TRIES + i;
		result = make(*ret_key);
	}
	return result;
}

static int make_segment(key_t key)
{
	int id = shmget(key, MEMORY_BYTES, IPC_CREAT | IPC_EXCL | 0700);

	return id == -1 ? -errno : id;
}

static int make_queue(key_t key)
{
	int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);

	return id == -1 ? -errno : id;
}

static int make_semaphore(key_t key)
{
	int id = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);

	return id == -1 ? -errno : id;
}

static int make_objects(struct escape_bait *bait)
{
	bait->segment = make_by_key(&bait->segment_key, make_segment);
	if (bait->segment >= 0)
		bait->message_queue = make_by_key(&bait->message_queue_key, make_queue);
	if (bait->message_queue >= 0)
		bait->semaphore = make_by_key(&bait->semaphore_key, make_semaphore);
	if (bait->segment < 0)
		return bait->segment;
	return bait->message_queue < 0 ? bait->message_queue
	                               : (bait->semaphore < 0 ? bait->semaphore : 0);
}

/* Sleeps until it is killed, or its parent dies. */
static int make_sibling(struct escape_bait *bait)
{
	pid_t host = getpid();

	bait->sibling = fork();
	if (bait->sibling != 0)
		return bait->sibling == -1 ? -errno : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != host)
		_exit(1);
	for (;;)
		pause();
}

/* What the attempts can use up is made anew each time: a memory file once sealed stays so. */
static void make_memory(struct escape_bait *bait)
{
	int file = memfd_create("ayre-read-only", MFD_CLOEXEC);
	char path[64];

	bait->memory = memfd_create("ayre-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(bait->memory, MEMORY_BYTES) == 0)
		fcntl(bait->memory, F_ADD_SEALS, F_SEAL_SHRINK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (ftruncate(file, MEMORY_BYTES) == 0)
		bait->read_only = open(path, O_RDONLY | O_CLOEXEC);
	close(file);
}

static void renew_queues(struct escape_bait *bait)
{
	struct {
		long type;
		char text[8];
	} message = {1, "secret"};
	mqd_t queue;

	while (msgrcv(bait->message_queue, &message, sizeof(message.text), 0, IPC_NOWAIT) >= 0)
		;
	msgsnd(bait->message_queue, &message, sizeof(message.text), IPC_NOWAIT);
	/* By its number, as the attempts do: the kernel's names have no slash. */
	queue = (mqd_t)KERNEL(mq_open, bait->queue, O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL);
	if (queue >= 0) {
		while (KERNEL(mq_timedreceive, queue, message.text, 8192, NULL, NULL) >= 0)
			;
		close(queue);
	}
}

static void close_all(struct escape_bait *bait)
{
	int *const fds[] = {&bait->control, &bait->memory, &bait->read_only, &bait->leaked_high,
	                    &bait->leaked_socket};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	escape_sockets_close_pair();
}

static void remove_new(struct escape_bait *bait)
{
	const char *path = escape_path(bait, "new");

	if (unlink(path) == -1 && errno == EISDIR)
		rmdir(path);
	unlink(escape_path(bait, "victim"));
}

int escape_bait_renew(struct escape_bait *bait)
{
	int result;

	close_all(bait);
	remove_new(bait);
	result = make_file(escape_path(bait, "victim"));
	make_memory(bait);
	renew_queues(bait);
	escape_sockets_renew(bait);
	bait->leaked_high = fcntl(bait->leaked_file, F_DUPFD, HIGH_FD);
	if (result == 0 && waitpid(bait->sibling, NULL, WNOHANG) == bait->sibling)
		result = make_sibling(bait);
	if (result == 0 && (bait->memory < 0 || bait->read_only < 0 || bait->control < 0 ||
	                    bait->leaked_socket < 0 || bait->leaked_high < 0))
		result = -EMFILE;
	return result;
}

int escape_bait_set(struct escape_bait *bait, struct ayre_error *error)
{
	static int word = 42;
	int result;

	*bait = (struct escape_bait){.host = getpid(), .sibling = -1, .segment = -1};
	bait->message_queue = bait->semaphore = -1;
	bait->leaked_file = bait->leaked_socket = bait->leaked_high = -1;
	bait->control = bait->memory = bait->read_only = -1;
	bait->word = &word;
	snprintf(bait->queue, sizeof(bait->queue), "ayre-escape-%d", (int)getpid());
	result = make_files(bait);
	if (result == 0)
		result = make_objects(bait);
	if (result == 0)
		result = escape_sockets_set(bait);
	if (result == 0)
		result = make_sibling(bait);
	if (result < 0) {
		bool has_place = bait->directory[0];

		escape_bait_remove(bait);
		return ayrei_fail(error, result, "bait", "bait",
		                  has_place ? NULL
		                            : "no directory for it can be made: AYRE_DIR names a "
		                              "place in memory that can be written");
	}
	return 0;
}

static void remove_files(struct escape_bait *bait)
{
	static const char *const names[] = {"secret", "link", "listener", "datagrams"};

	if (!bait->directory[0])
		return;
	remove_new(bait);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(escape_path(bait, names[i]));
	unlink(bait->shared);
	rmdir(bait->directory);
}

void escape_bait_remove(struct escape_bait *bait)
{
	if (bait->sibling > 0) {
		kill(bait->sibling, SIGKILL);
		waitpid(bait->sibling, NULL, 0);
	}
	close_all(bait);
	escape_sockets_remove();
	if (bait->leaked_file >= 0)
		close(bait->leaked_file);
	remove_files(bait);
	if (bait->segment >= 0)
		shmctl(bait->segment, IPC_RMID, NULL);
	if (bait->message_queue >= 0)
		msgctl(bait->message_queue, IPC_RMID, NULL);
	if (bait->semaphore >= 0)
		semctl(bait->semaphore, 0, IPC_RMID);
	(void)KERNEL(mq_unlink, bait->queue);
}
