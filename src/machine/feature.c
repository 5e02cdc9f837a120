/*
 * What the kernel gives, tried by those verbs of src/sys that the library uses itself.
 *
 * Invariant: each attempt is a child's, so that a filter that kills who tries is an answer, and what was opened
 * is closed in any case.
 */
#include <ayre/machine.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ipc.h>

#include "base/cleanup.h"
#include "sys/activity.h"
#include "sys/child.h"
#include "sys/clone.h"
#include "sys/cpu.h"
#include "sys/event.h"
#include "sys/map.h"
#include "sys/pipe.h"
#include "sys/privilege.h"
#include "sys/system.h"
#include "sys/sysv.h"

/* For a child to fall asleep, on a machine that is busy. */
#define PATIENCE_NS INT64_C(1000000000)

static int try_proc(void)
{
	int64_t bytes = ayrei_address_space_bytes();

	return bytes < 0 ? (int)bytes : 0;
}

static int try_memory_file(void)
{
	ayrei_auto_fd int fd = ayrei_memory_file("ayre-probe");

	return fd < 0 ? fd : ayrei_memory_file_seal(fd, true, false);
}

static int try_file_lock(void)
{
	ayrei_auto_fd int fd = ayrei_memory_file("ayre-probe");
	int result = fd < 0 ? fd : ayrei_file_try_own(fd);

	return result < 0 ? result : ayrei_file_disown(fd);
}

static int try_sysv(void)
{
	/* Private, and removed in the next step: nobody can find it. */
	int id = ayrei_sysv_create(IPC_PRIVATE, 1, 0600);
	int lock = id < 0 ? id : ayrei_sysv_remove(id);

	if (lock == 0)
		lock = ayrei_sysv_lock(IPC_PRIVATE);
	if (lock < 0)
		return lock;
	ayrei_sysv_unlock(lock);
	return 0;
}

/* Publishers register, subscribers ask. */
static int try_barrier(void)
{
	int result = ayrei_barrier_register();

	if (result < 0)
		return result;
	return ayrei_barrier_is_known() ? 0 : -ENOSYS;
}

static int try_wait(void)
{
	ayrei_auto_fd int set = ayrei_set_open();
	struct ayrei_event event;

	return set < 0 ? set : ayrei_set_wait(set, &event, 1, 0);
}

static int try_quiet_write(void)
{
	int fds[2], result = ayrei_pipe_open(fds);

	if (result == 0)
		result = (int)ayrei_pipe_write(fds[1], "", 1);
	if (result < 0)
		return result;
	return ayrei_pipe_writes_quietly() ? 0 : -EOPNOTSUPP;
}

static int try_try_io(void)
{
	int fds[2], result = ayrei_pipe_open(fds);

	if (result == 0)
		result = (int)ayrei_pipe_try_write(fds[1], "", 1);
	if (result < 0)
		return result;
	return ayrei_pipe_tries_at_once() ? 0 : -EOPNOTSUPP;
}

static int try_watch(void)
{
	ayrei_auto_fd int place = ayrei_file_open("/", O_PATH, 0);

	return place < 0 ? place : ayrei_watch_opening(place);
}

static int try_process_fd(void)
{
	ayrei_auto_fd int fd = ayrei_child_open(ayrei_own_process());

	return fd < 0 ? fd : ayrei_child_signal(fd, 0);
}

static int try_close_range(void)
{
	return ayrei_descriptors_close_but(NULL, 0);
}

/* A process that waits for the end of our pipe. */
static void __attribute__((noreturn)) sleep_at(const int fds[2])
{
	char byte;

	ayrei_file_close(fds[1]);
	(void)!ayrei_pipe_read(fds[0], &byte, 1);
	ayrei_child_exit(0);
}

/* Until it sleeps: only then is there something to be seen. */
static int look_at(pid_t child)
{
	int64_t end_ns = ayrei_monotonic_ns() + PATIENCE_NS;
	struct ayrei_activity_look look = {0};
	struct ayrei_activity activity;
	int result = ayrei_activity_open(child, &activity);

	if (result < 0)
		return result;
	do
		result = ayrei_activity_look(&activity, &look);
	while (result == 0 && look.blocked == AYREI_BLOCKED_NOT && ayrei_monotonic_ns() < end_ns);
	ayrei_activity_close(&activity);
	if (result < 0)
		return result;
	return look.blocked == AYREI_BLOCKED_HIDDEN || look.read_bytes < 0 ? -EACCES : 0;
}

static int try_observe(void)
{
	int fds[2], result = ayrei_pipe_open(fds);
	pid_t child;

	if (result < 0)
		return result;
	child = ayrei_child_fork();
	if (child == 0)
		sleep_at(fds);
	result = child < 0 ? child : look_at(child);
	ayrei_file_close(fds[1]);
	if (child > 0)
		(void)ayrei_child_await(child);
	return result;
}

static const struct {
	const char *name;
	int (*attempt)(void);
} features[] = {
	[AYRE_FEATURE_PROC] = {"proc", try_proc},
	[AYRE_FEATURE_MEMORY_FILE] = {"memfd", try_memory_file},
	[AYRE_FEATURE_FILE_LOCK] = {"file-lock", try_file_lock},
	[AYRE_FEATURE_SYSV] = {"sysv", try_sysv},
	[AYRE_FEATURE_BARRIER] = {"membarrier", try_barrier},
	[AYRE_FEATURE_WAIT] = {"epoll-pwait2", try_wait},
	[AYRE_FEATURE_QUIET_WRITE] = {"quiet-write", try_quiet_write},
	[AYRE_FEATURE_TRY_IO] = {"try-io", try_try_io},
	[AYRE_FEATURE_WATCH] = {"inotify", try_watch},
	[AYRE_FEATURE_PROCESS_FD] = {"pidfd", try_process_fd},
	[AYRE_FEATURE_CLONE] = {"clone3", ayrei_clone_probe},
	[AYRE_FEATURE_CLOSE_RANGE] = {"close-range", try_close_range},
	[AYRE_FEATURE_OBSERVE] = {"observe", try_observe},
};

#define FEATURE_COUNT (sizeof(features) / sizeof(*features))

const char *ayre_feature_name(enum ayre_feature feature)
{
	return (size_t)feature < FEATURE_COUNT ? features[feature].name : NULL;
}

/* The answer is the exit status, because an attempt may close every descriptor there is. */
static void __attribute__((noreturn)) attempt(enum ayre_feature feature)
{
	int result = features[feature].attempt();

	ayrei_child_exit(result < 0 ? -result : 0);
}

int ayre_feature_probe(enum ayre_feature feature)
{
	struct ayrei_child_end end = {0};
	pid_t child;

	if ((size_t)feature >= FEATURE_COUNT)
		return -EINVAL;
	child = ayrei_child_fork();
	if (child == 0)
		attempt(feature);
	if (child < 0)
		return child;
	ayrei_child_read_status(ayrei_child_await(child), &end);
	return end.signaled ? -EOWNERDEAD : -end.status;
}
