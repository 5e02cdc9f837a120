/*
 * Kernel calls that fail when a test wants it.
 *
 * Invariant: what is not armed behaves as if it were not wrapped.
 */
#include "support/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIANTS 5

/* The errors that are plausible, each a variant; 0: no more. EINTR where signal(7) allows it. */
static const struct {
	const char *symbol;
	int errors[VARIANTS];
} points[] = {
	{"calloc", {ENOMEM}},
	{"chmod", {EIO, EPERM}},
	{"clone", {EAGAIN, ENOMEM}},
	{"faccessat", {EIO, ENOMEM, EACCES}},
	{"epoll_create1", {EMFILE, ENFILE, ENOMEM}},
	{"epoll_ctl", {ENOMEM, ENOSPC}},
	{"epoll_pwait2", {EINTR}},
	{"eventfd", {EMFILE, ENFILE, ENOMEM}},
	{"pthread_create", {EAGAIN}},
	{"fallocate", {ENOSPC, EIO, EINTR, EOPNOTSUPP}},
	{"fchmod", {EIO, EPERM}},
	{"fchown", {EIO, EPERM}},
	{"lchown", {EIO, EPERM}},
	{"fcntl", {EMFILE, ENOMEM}},
	{"fdopendir", {ENOMEM}},
	{"flock", {ENOLCK, EINTR}},
	{"fopen", {EMFILE, ENOMEM}},
	{"fork", {EAGAIN, ENOMEM}},
	{"fstat", {EIO, ENOMEM}},
	{"fstatat", {EIO, ENOMEM, EACCES}},
	{"fstatfs", {EIO, EINTR}},
	{"fstatvfs", {EIO, EINTR}},
	{"fdatasync", {EIO, ENOSPC, EINTR}},
	{"fsync", {EIO, ENOSPC, EINTR}},
	{"ftok", {ENOENT, EACCES}},
	{"ftruncate", {EIO, EINTR, EFBIG}},
	{"getrandom", {ENOSYS, EINTR}},
	{"inotify_add_watch", {ENOSPC, ENOMEM, EACCES}},
	{"inotify_init1", {EMFILE, ENFILE, ENOMEM}},
	{"ioctl", {ENOTTY, EFAULT}},
	{"kill", {EPERM}},
	{"linkat", {EIO, ENOSPC}},
	{"lseek", {ESPIPE, EOVERFLOW}},
	{"madvise", {ENOMEM, EIO}},
	{"malloc", {ENOMEM}},
	{"memfd_create", {ENOMEM, EMFILE, EINVAL}},
	{"mkdir", {EIO, ENOSPC, EDQUOT}},
	{"mkfifo", {EIO, ENOSPC, EDQUOT}},
	{"mmap", {ENOMEM, EAGAIN}},
	{"mremap", {ENOMEM, EAGAIN}},
	{"msync", {EIO, ENOSPC, ENOMEM}},
	{"open", {EMFILE, ENOMEM, EINTR}},
	{"open unnamed", {EMFILE, EISDIR, EINTR, EOPNOTSUPP}},
	{"openat", {EMFILE, ENOMEM, EINTR}},
	{"pipe2", {EMFILE, ENFILE}},
	{"ppoll", {EINTR, ENOMEM}},
	{"pread", {EIO, EINTR, FAULT_SHORT}},
	{"preadv2", {EINTR, FAULT_SHORT}},
	{"pwrite", {EIO, ENOSPC, EINTR, FAULT_SHORT}},
	{"pwritev2", {EINTR, ENOMEM, FAULT_SHORT}},
	{"read", {EIO, EINTR, ENOMEM}},
	{"readdir", {ENOMEM}},
	{"readlink", {ENOMEM, EACCES}},
	{"realloc", {ENOMEM}},
	{"reallocarray", {ENOMEM}},
	{"renameat2", {EIO, ENOSPC, EINVAL}},
	{"rmdir", {EIO, EBUSY}},
	{"semctl", {EPERM}},
	{"semget", {ENOSPC, ENOMEM}},
	{"recvmsg", {EINTR, ENOMEM}},
	{"semop", {ENOMEM, EINTR, EIDRM}},
	{"sendmsg", {EINTR, ENOBUFS, EAGAIN}},
	{"socketpair", {EMFILE, ENFILE, ENOBUFS}},
	{"shmat", {ENOMEM, EIDRM, EINVAL}},
	{"shmctl", {EPERM, ENOMEM, EIDRM}},
	{"shmget", {ENOSPC, ENOMEM}},
	{"sigaction", {EINVAL}},
	{"sigtimedwait", {EINTR}},
	{"splice", {ENOMEM, EINTR}},
	{"strdup", {ENOMEM}},
	{"symlink", {ENOSPC, EACCES}},
	{"syncfs", {EIO, ENOSPC}},
	/* By what is called; a child of one's own can be waited for and signalled. */
	{"syscall capget", {EPERM}},
	{"syscall capset", {EPERM}},
	{"syscall chdir", {EACCES}},
	{"syscall close_range", {ENOSYS, EPERM}},
	{"syscall landlock_create_ruleset", {ENOSYS, EOPNOTSUPP, EMFILE}},
	{"syscall landlock_restrict_self", {EPERM, E2BIG}},
	{"syscall membarrier", {EPERM, ENOSYS}},
	{"syscall mount", {EPERM, EACCES}},
	{"syscall personality", {EPERM}},
	{"syscall pidfd_open", {EMFILE, ENOMEM}},
	{"syscall pidfd_send_signal", {0}},
	{"syscall pivot_root", {EINVAL, EPERM}},
	{"syscall prctl", {EINVAL, EPERM}},
	{"syscall prlimit64", {EPERM, ENOSYS}},
	{"syscall seccomp", {ENOSYS, EPERM, EINVAL}},
	{"syscall umount2", {EPERM}},
	{"syscall unshare", {EPERM, ENOSYS, ENOSPC}},
	{"syscall waitid", {EINTR}},
	{"tee", {ENOMEM, EINTR}},
	{"timerfd_create", {EMFILE, ENFILE, ENOMEM}},
	{"timerfd_settime", {ECANCELED}},
	{"unlink", {EIO, EACCES}},
	{"wait4", {EINTR}},
	{"waitpid", {EINTR}},
	{"write", {EINTR, ENOMEM, FAULT_SHORT}},
};

void (*fault_before_call)(const char *symbol);
void (*fault_after_call)(const char *symbol);
bool fault_no_unnamed_files;
bool fault_no_rename_new;
size_t fault_interrupted_bytes;
int fault_unknown_flags;

static bool armed;
static unsigned int wanted_nth, wanted_variant;
static struct fault_report report;

void fault_arm(unsigned int nth, unsigned int variant)
{
	report = (struct fault_report){0};
	wanted_nth = nth;
	wanted_variant = variant;
	armed = true;
}

struct fault_report fault_disarm(void)
{
	armed = false;
	return report;
}

unsigned int fault_variants(void)
{
	return VARIANTS;
}

static int error_of(const char *symbol)
{
	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
		if (strcmp(points[i].symbol, symbol) == 0)
			return wanted_variant < VARIANTS ? points[i].errors[wanted_variant] : 0;
	abort();
}

/* The error of this call, or 0 if it is to go on. */
static int fault_of(const char *symbol)
{
	int error;

	if (fault_before_call)
		fault_before_call(symbol);
	if (!armed || ++report.calls != wanted_nth)
		return 0;
	error = error_of(symbol);
	if (error) {
		report.symbol = symbol;
		report.error = error;
		if (error != FAULT_SHORT)
			errno = error;
	}
	return error;
}

/* Passes the result through, and errno. */
#define AFTER(symbol, result) \
	({ \
		__typeof__(result) after_result = (result); \
		int after_errno = errno; \
		if (fault_after_call) \
			fault_after_call(symbol); \
		errno = after_errno; \
		after_result; \
	})

#define WRAP(type, failure, name, parameters, arguments) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		return fault_of(#name) ? (failure) : AFTER(#name, __real_##name arguments); \
	}

WRAP(int, -1, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, -1, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_ctl, (int set, int operation, int fd, struct epoll_event *event),
     (set, operation, fd, event))
WRAP(int, -1, epoll_pwait2,
     (int set, struct epoll_event *events, int most, const struct timespec *timeout,
      const sigset_t *mask),
     (set, events, most, timeout, mask))
WRAP(int, -1, eventfd, (unsigned int count, int flags), (count, flags))
/* Its error is what it returns. */
WRAP(int, errno, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context),
     (thread, attributes, run, context))
WRAP(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, -1, fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
WRAP(int, -1, lchown, (const char *path, uid_t user, gid_t group), (path, user, group))
WRAP(DIR *, NULL, fdopendir, (int fd), (fd))
WRAP(int, -1, flock, (int fd, int how), (fd, how))
WRAP(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
WRAP(pid_t, -1, fork, (void), ())
WRAP(int, -1, fstat, (int fd, struct stat *status), (fd, status))
WRAP(int, -1, fstatat, (int fd, const char *path, struct stat *status, int flags),
     (fd, path, status, flags))
WRAP(int, -1, fstatfs, (int fd, struct statfs *status), (fd, status))
WRAP(int, -1, fstatvfs, (int fd, struct statvfs *status), (fd, status))
WRAP(int, -1, fdatasync, (int fd), (fd))
WRAP(int, -1, fsync, (int fd), (fd))
WRAP(key_t, -1, ftok, (const char *path, int letter), (path, letter))
WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
WRAP(ssize_t, -1, getrandom, (void *bytes, size_t length, unsigned int flags),
     (bytes, length, flags))
WRAP(int, -1, kill, (pid_t pid, int number), (pid, number))
WRAP(int, -1, inotify_add_watch, (int watch, const char *path, uint32_t mask), (watch, path, mask))
WRAP(int, -1, inotify_init1, (int flags), (flags))
WRAP(int, -1, linkat,
     (int from_directory, const char *from, int to_directory, const char *to, int flags),
     (from_directory, from, to_directory, to, flags))
WRAP(off_t, -1, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))
WRAP(int, -1, madvise, (void *address, size_t length, int advice), (address, length, advice))
WRAP(int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, -1, mkfifo, (const char *path, mode_t mode), (path, mode))
WRAP(void *, MAP_FAILED, mmap,
     (void *hint, size_t length, int protection, int flags, int fd, off_t offset),
     (hint, length, protection, flags, fd, offset))
WRAP(int, -1, msync, (void *address, size_t length, int flags), (address, length, flags))
WRAP(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, -1, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask))
WRAP(ssize_t, -1, read, (int fd, void *buffer, size_t length), (fd, buffer, length))
WRAP(struct dirent *, NULL, readdir, (DIR * directory), (directory))
WRAP(int, -1, symlink, (const char *target, const char *path), (target, path))
WRAP(ssize_t, -1, readlink, (const char *path, char *target, size_t length), (path, target, length))
WRAP(int, -1, rmdir, (const char *path), (path))
WRAP(int, -1, semget, (key_t key, int count, int flags), (key, count, flags))
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, -1, semop, (int id, struct sembuf *operations, size_t count), (id, operations, count))
WRAP(void *, (void *)-1, shmat, (int id, const void *hint, int flags), (id, hint, flags))
WRAP(int, -1, shmctl, (int id, int command, struct shmid_ds *status), (id, command, status))
WRAP(int, -1, shmget, (key_t key, size_t size, int flags), (key, size, flags))
WRAP(int, -1, sigaction, (int number, const struct sigaction *action, struct sigaction *before),
     (number, action, before))
WRAP(int, -1, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),
     (set, info, timeout))
WRAP(ssize_t, -1, splice,
     (int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned int flags),
     (from, from_offset, to, to_offset, length, flags))
WRAP(int, -1, syncfs, (int fd), (fd))
WRAP(ssize_t, -1, tee, (int from, int to, size_t length, unsigned int flags),
     (from, to, length, flags))
WRAP(int, -1, timerfd_create, (int clock, int flags), (clock, flags))
WRAP(int, -1, timerfd_settime,
     (int timer, int flags, const struct itimerspec *when, struct itimerspec *before),
     (timer, flags, when, before))
WRAP(int, -1, unlink, (const char *path), (path))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds))
WRAP(pid_t, -1, wait4, (pid_t pid, int *status, int options, struct rusage *usage),
     (pid, status, options, usage))
WRAP(pid_t, -1, waitpid, (pid_t pid, int *status, int options), (pid, status, options))

static long blocks;

long fault_blocks(void)
{
	return blocks;
}

/* As WRAP, for what allocates a new block if `is_new`. */
#define WRAP_MEMORY(type, name, parameters, arguments, is_new) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		bool counts = (is_new); \
		type memory_made = fault_of(#name) ? NULL : AFTER(#name, __real_##name arguments); \
\
		blocks += counts && memory_made; \
		return memory_made; \
	}

WRAP_MEMORY(void *, calloc, (size_t count, size_t size), (count, size), true)
WRAP_MEMORY(void *, malloc, (size_t size), (size), true)
WRAP_MEMORY(void *, realloc, (void *memory, size_t size), (memory, size), !memory)
WRAP_MEMORY(void *, reallocarray, (void *memory, size_t count, size_t size), (memory, count, size),
            !memory)
WRAP_MEMORY(char *, strdup, (const char *text), (text), true)

void __real_free(void *memory);
void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
	blocks -= memory != NULL;
	__real_free(memory);
}

ssize_t __real_pread(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t length, off_t offset)
{
	int fault = fault_of("pread");

	if (fault == FAULT_SHORT)
		length = (length + 1) / 2;
	else if (fault)
		return -1;
	return AFTER("pread", __real_pread(fd, buffer, length, offset));
}

ssize_t __real_pwrite(int fd, const void *buffer, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buffer, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
	int fault = fault_of("pwrite");

	if (fault == FAULT_SHORT)
		length = (length + 1) / 2;
	else if (fault)
		return -1;
	return AFTER("pwrite", __real_pwrite(fd, buffer, length, offset));
}

ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
	int fault = fault_of("write");

	if (fault == FAULT_SHORT)
		length = (length + 1) / 2;
	else if (fault)
		return -1;
	return AFTER("write", __real_write(fd, bytes, length));
}

/* As WRAP, of one vector, for the flags that an older kernel does not know. */
#define WRAP_VECTOR(name) \
	ssize_t __real_##name(int fd, const struct iovec *vector, int count, off_t offset, \
	                      int flags); \
	ssize_t __wrap_##name(int fd, const struct iovec *vector, int count, off_t offset, \
	                      int flags); \
	ssize_t __wrap_##name(int fd, const struct iovec *vector, int count, off_t offset, \
	                      int flags) \
	{ \
		int fault = fault_of(#name); \
		struct iovec part = *vector; \
\
		if (fault == FAULT_SHORT) \
			part.iov_len = (part.iov_len + 1) / 2; \
		else if (fault) \
			return -1; \
		if (flags & fault_unknown_flags) { \
			errno = EOPNOTSUPP; \
			return -1; \
		} \
		return AFTER(#name, __real_##name(fd, &part, count, offset, flags)); \
	}

WRAP_VECTOR(preadv2)
WRAP_VECTOR(pwritev2)

int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (fault_of("fallocate"))
		return -1;
	if (fault_interrupted_bytes && (size_t)length > fault_interrupted_bytes) {
		errno = EINTR;
		return -1;
	}
	return AFTER("fallocate", __real_fallocate(fd, mode, offset, length));
}

int __real_renameat2(int from_directory, const char *from, int to_directory, const char *to,
                     unsigned int flags);
int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to,
                     unsigned int flags);
int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to,
                     unsigned int flags)
{
	if (fault_of("renameat2"))
		return -1;
	if (fault_no_rename_new) {
		errno = EINVAL;
		return -1;
	}
	return AFTER("renameat2", __real_renameat2(from_directory, from, to_directory, to, flags));
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
	mode_t mode;
	va_list arguments;

	va_start(arguments, flags);
	mode = (flags & O_CREAT) || unnamed ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (fault_of(unnamed ? "open unnamed" : "open"))
		return -1;
	if (unnamed && fault_no_unnamed_files) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return AFTER("open", __real_open(path, flags, mode));
}

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...)
{
	mode_t mode;
	va_list arguments;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return fault_of("openat") ? -1
	                          : AFTER("openat", __real_openat(directory, path, flags, mode));
}

/* With one more argument, which a word holds whatever it is. */
#define WRAP_WORD(name, first_type, second_type) \
	int __real_##name(first_type first, second_type second, ...); \
	int __wrap_##name(first_type first, second_type second, ...); \
	int __wrap_##name(first_type first, second_type second, ...) \
	{ \
		va_list arguments; \
		long word; \
\
		va_start(arguments, second); \
		word = va_arg(arguments, long); \
		va_end(arguments); \
		return fault_of(#name) ? -1 : AFTER(#name, __real_##name(first, second, word)); \
	}

WRAP_WORD(fcntl, int, int)
WRAP_WORD(ioctl, int, unsigned long)

int __real_semctl(int id, int number, int command, ...);
int __wrap_semctl(int id, int number, int command, ...);
int __wrap_semctl(int id, int number, int command, ...)
{
	/* Removing takes no argument; the library does nothing else. */
	return fault_of("semctl") ? -1 : AFTER("semctl", __real_semctl(id, number, command));
}

/* By what is called. Others are the tests' own: NULL. */
static const char *name_of_syscall(long number)
{
	switch (number) {
	case SYS_capget:
		return "syscall capget";
	case SYS_capset:
		return "syscall capset";
	case SYS_chdir:
		return "syscall chdir";
	case SYS_close_range:
		return "syscall close_range";
	case SYS_landlock_create_ruleset:
		return "syscall landlock_create_ruleset";
	case SYS_landlock_restrict_self:
		return "syscall landlock_restrict_self";
	case SYS_membarrier:
		return "syscall membarrier";
	case SYS_mount:
		return "syscall mount";
	case SYS_personality:
		return "syscall personality";
	case SYS_pidfd_open:
		return "syscall pidfd_open";
	case SYS_pidfd_send_signal:
		return "syscall pidfd_send_signal";
	case SYS_pivot_root:
		return "syscall pivot_root";
	case SYS_prctl:
		return "syscall prctl";
	case SYS_prlimit64:
		return "syscall prlimit64";
	case SYS_seccomp:
		return "syscall seccomp";
	case SYS_umount2:
		return "syscall umount2";
	case SYS_unshare:
		return "syscall unshare";
	case SYS_waitid:
		return "syscall waitid";
	default:
		return NULL;
	}
}

/*
 * Six arguments, each a word, as the kernel has them. Who gave fewer is read beyond them, as
 * syscall(2) itself does, and a sanitizer is not to mind.
 */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...) __attribute__((no_sanitize("address")));
long __wrap_syscall(long number, ...)
{
	const char *symbol = name_of_syscall(number);
	long words[6], result;
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		words[i] = va_arg(arguments, long);
	va_end(arguments);
	if (symbol && fault_of(symbol))
		return -1;
	result = __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
	return symbol ? AFTER(symbol, result) : result;
}

int __real_clone(int (*run)(void *argument), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*run)(void *argument), void *stack, int flags, void *argument, ...);
int __wrap_clone(int (*run)(void *argument), void *stack, int flags, void *argument, ...)
{
	void *parent_word, *thread, *child_word;
	va_list arguments;

	va_start(arguments, argument);
	parent_word = va_arg(arguments, void *);
	thread = va_arg(arguments, void *);
	child_word = va_arg(arguments, void *);
	va_end(arguments);
	return fault_of("clone") ? -1
	                         : AFTER("clone", __real_clone(run, stack, flags, argument,
	                                                       parent_word, thread, child_word));
}

void *__real_mremap(void *address, size_t length, size_t new_length, int flags, ...);
void *__wrap_mremap(void *address, size_t length, size_t new_length, int flags, ...);
void *__wrap_mremap(void *address, size_t length, size_t new_length, int flags, ...)
{
	return fault_of("mremap")
	               ? MAP_FAILED
	               : AFTER("mremap", __real_mremap(address, length, new_length, flags));
}
