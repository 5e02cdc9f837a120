/*
 * The ends of processes, by pidfd: nobody else's child is waited for, and a number that was given
 * to another process is never signalled.
 */
#include "sys/child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/raw.h"
#include "sys/result.h"

/* linux/pidfd.h: GET_INFO since Linux 6.13, EXIT since 6.15, signals to a group since 6.9. */
struct kernel_info {
	uint64_t mask, cgroup_id;
	int32_t pid, thread_group, parent;
	uint32_t ids[8];
	int32_t exit_code; /* as wait(2) has it */
};
#define GET_INFO     _IOWR(0xff, 11, struct kernel_info)
#define INFO_EXIT    (1u << 3)
#define SIGNAL_GROUP (1u << 2)

#define SECOND_NS      1000000000
#define MICROSECOND_NS 1000
#define KILOBYTE       1024

int ayrei_child_open(pid_t pid)
{
	return ayrei_descriptor_above_standard((int)AYREI_RESULT(syscall(SYS_pidfd_open, pid, 0)));
}

int ayrei_child_signal(int pidfd, int number)
{
	return (int)AYREI_RESULT(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0));
}

int ayrei_child_signal_group(int pidfd, pid_t pid, int number)
{
	int result = (int)AYREI_RESULT(
		syscall(SYS_pidfd_send_signal, pidfd, number, NULL, SIGNAL_GROUP));

	if (result != -EINVAL)
		return result;
	/* An older kernel knows the group by its number only, which is its own until it is reaped. */
	result = ayrei_child_signal(pidfd, 0);
	return result < 0 ? result : AYREI_RESULT(kill(-pid, number));
}

static int64_t to_ns(const struct timeval *time)
{
	return (int64_t)time->tv_sec * SECOND_NS + (int64_t)time->tv_usec * MICROSECOND_NS;
}

static void set_usage(struct ayrei_child_end *end, const struct rusage *usage)
{
	end->user_ns = to_ns(&usage->ru_utime);
	end->system_ns = to_ns(&usage->ru_stime);
	end->max_rss_bytes = (int64_t)usage->ru_maxrss * KILOBYTE;
	end->voluntary_switches = usage->ru_nvcsw;
	end->involuntary_switches = usage->ru_nivcsw;
}

void ayrei_child_read_status(int status, struct ayrei_child_end *end)
{
	end->signaled = WIFSIGNALED(status);
	end->dumped_core = end->signaled && WCOREDUMP(status);
	end->status = end->signaled ? WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * The kernel keeps it with the pidfd after the process is reaped. While it is being reaped it is
 * nobody's to wait for any more, and not yet told there: -EAGAIN.
 */
static int ask_kernel(int pidfd, struct ayrei_child_end *end)
{
	struct kernel_info info = {0};
	bool told = false;

	/*
	 * The kernel looks for the news first and for the process then; of one that was gone by
	 * then it knows the next time.
	 */
	for (int i = 0; !told && info.parent != getpid() && i < 2; i++) {
		info = (struct kernel_info){.mask = INFO_EXIT};
		told = ioctl(pidfd, GET_INFO, &info) == 0 && info.mask & INFO_EXIT;
	}
	if (!told && info.parent == getpid())
		return -EAGAIN;
	*end = (struct ayrei_child_end){.user_ns = -1,
	                                .system_ns = -1,
	                                .max_rss_bytes = -1,
	                                .voluntary_switches = -1,
	                                .involuntary_switches = -1};
	if (told)
		ayrei_child_read_status(info.exit_code, end);
	else
		end->lost = true;
	return 0;
}

/* The system call has a fifth argument, which waitid(3) hides. */
static long wait_for_end(int pidfd, int options, siginfo_t *ret_info, struct rusage *ret_usage)
{
	return AYREI_RESULT(
		syscall(SYS_waitid, P_PIDFD, pidfd, ret_info, WEXITED | options, ret_usage));
}

int ayrei_child_look(int pidfd, struct ayrei_child_end *ret_end)
{
	struct ayrei_child_end end = {0};
	struct rusage usage;
	siginfo_t info = {0};
	long result = wait_for_end(pidfd, WNOHANG | WNOWAIT, &info, &usage);

	if (result == 0 && info.si_pid == 0)
		return -EAGAIN;
	if (result == -ECHILD)
		result = ask_kernel(pidfd, &end);
	else if (result == 0) {
		set_usage(&end, &usage);
		end.signaled = info.si_code != CLD_EXITED;
		end.dumped_core = info.si_code == CLD_DUMPED;
		end.status = info.si_status;
	}
	if (result == 0)
		*ret_end = end;
	return (int)result;
}

void ayrei_child_reap(int pidfd)
{
	siginfo_t info;

	(void)wait_for_end(pidfd, 0, &info, NULL);
}

void ayrei_child_abandon(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)AYREI_RETRY(waitpid(pid, NULL, 0));
}

pid_t ayrei_child_fork(void)
{
	/* No signal at its end, and no new stack. */
	return (pid_t)ayrei_raw_call(SYS_clone, 0, 0, 0, 0, 0);
}

pid_t ayrei_child_fork_watched(int *ret_pidfd)
{
	return (pid_t)ayrei_raw_call(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, (long)ret_pidfd, 0, 0);
}

pid_t ayrei_child_take_any(int *ret_status, int64_t *ret_cpu_ns, int64_t *ret_max_rss_bytes)
{
	struct rusage usage;
	pid_t taken = AYREI_RESULT(wait4(-1, ret_status, WNOHANG, &usage));

	if (taken <= 0)
		return taken < 0 ? taken : -EAGAIN;
	*ret_cpu_ns = to_ns(&usage.ru_utime) + to_ns(&usage.ru_stime);
	*ret_max_rss_bytes = (int64_t)usage.ru_maxrss * KILOBYTE;
	return taken;
}

void ayrei_child_tell(int fd, const void *message, size_t length)
{
	(void)!write(fd, message, length);
}

void ayrei_child_exit_telling(int fd, const void *message, size_t length)
{
	ayrei_child_tell(fd, message, length);
	_exit(0);
}

void ayrei_child_exit(int status)
{
	_exit(status);
}

int ayrei_child_await(pid_t pid)
{
	int status = 0;

	(void)AYREI_RETRY(waitpid(pid, &status, __WCLONE));
	return status;
}

static int64_t find_number(const char *text, const char *label)
{
	const char *place = strstr(text, label);
	long long number;

	return place && sscanf(place + strlen(label), "%lld", &number) == 1 ? number : -1;
}

static ssize_t read_table(const char *path, char *text, size_t room)
{
	int fd = ayrei_file_open(path, O_RDONLY, 0);
	ssize_t length;

	if (fd < 0)
		return fd;
	length = ayrei_file_read(fd, text, room - 1);
	ayrei_file_close(fd);
	if (length >= 0)
		text[length] = '\0';
	return length;
}

/* clock_getcpuclockid(3): the clock of a process is a number made of its own. */
static clockid_t clock_of(pid_t pid)
{
	return (clockid_t)((~(unsigned int)pid << 3) | 2);
}

/* -ESRCH: it has been reaped, or is of another namespace. */
static int64_t pid_of(int pidfd)
{
	char path[64], text[512];
	ssize_t length;
	int64_t pid;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	length = read_table(path, text, sizeof(text));
	if (length < 0)
		return length;
	pid = find_number(text, "\nPid:");
	return pid > 0 ? pid : -ESRCH;
}

int64_t ayrei_child_cpu_ns(int pidfd)
{
	struct timespec time;
	int64_t pid = pid_of(pidfd);

	if (pid < 0)
		return pid;
	return clock_gettime(clock_of((pid_t)pid), &time) == -1
	               ? -errno
	               : (int64_t)time.tv_sec * SECOND_NS + time.tv_nsec;
}

/* proc_pid_stat(5): the third field, behind a name that can hold anything. */
static int state_of(pid_t pid)
{
	char path[64], text[512];
	const char *end;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	length = read_table(path, text, sizeof(text));
	if (length < 0)
		return (int)length;
	end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : -EPROTO;
}

int ayrei_child_await_stop(int pidfd, int64_t deadline_ns)
{
	int64_t pid = pid_of(pidfd);
	int state;

	if (pid == -ESRCH)
		return 0;
	if (pid < 0)
		return (int)pid;
	for (;;) {
		state = state_of((pid_t)pid);
		if (state < 0 && state != -ENOENT && state != -ESRCH)
			return state;
		/* The number is its own for as long as the descriptor says so: look there again. */
		if (pid_of(pidfd) == -ESRCH || state == 'T' || state == 'Z' || state == 'X')
			return 0;
		if (ayrei_monotonic_ns() >= deadline_ns)
			return -ETIMEDOUT;
		sched_yield();
	}
}

int ayrei_child_bytes(pid_t pid, int64_t *ret_read, int64_t *ret_written)
{
	char path[64], text[512];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	length = read_table(path, text, sizeof(text));
	if (length < 0)
		return (int)length;
	*ret_read = find_number(text, "rchar: ");
	*ret_written = find_number(text, "wchar: ");
	return 0;
}

int64_t ayrei_own_max_rss(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (int64_t)usage.ru_maxrss * KILOBYTE;
}
