/*
 * Attempts on other processes of the same user: signals, tracing, their limits and priorities;
 * and on making more of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

/* In a child: 0 once it has ended, so that the attempt is told by its parent alone. */
static long end_child(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid;
}

/* SIGCONT changes nothing in a process that runs. */
static long signal_host(const struct escape_bait *bait)
{
	return KERNEL(kill, bait->host, SIGCONT);
}

static long signal_sibling(const struct escape_bait *bait)
{
	return KERNEL(kill, bait->sibling, SIGCONT);
}

static long signal_everybody(const struct escape_bait *bait)
{
	(void)bait;
	/* Nothing is sent, and it is asked of each. */
	return KERNEL(kill, -1, 0);
}

static long signal_thread(const struct escape_bait *bait)
{
	return KERNEL(tgkill, bait->sibling, bait->sibling, SIGCONT);
}

static long signal_queued(const struct escape_bait *bait)
{
	siginfo_t info = {.si_signo = SIGCONT, .si_code = SI_QUEUE};

	return KERNEL(rt_sigqueueinfo, bait->sibling, SIGCONT, &info);
}

static long pidfd_host(const struct escape_bait *bait)
{
	return KERNEL(pidfd_open, bait->host, 0);
}

static long pidfd_signal(const struct escape_bait *bait)
{
	long fd = KERNEL(pidfd_open, bait->sibling, 0);

	return fd < 0 ? fd : KERNEL(pidfd_send_signal, fd, SIGCONT, NULL, 0);
}

static long pidfd_take_descriptor(const struct escape_bait *bait)
{
	long fd = KERNEL(pidfd_open, bait->sibling, 0);

	return fd < 0 ? fd : KERNEL(pidfd_getfd, fd, bait->leaked_file, 0);
}

static long trace_sibling(const struct escape_bait *bait)
{
	return KERNEL(ptrace, PTRACE_SEIZE, bait->sibling, 0, 0);
}

static long trace_host(const struct escape_bait *bait)
{
	/* Without a stop, and until this process ends. */
	return KERNEL(ptrace, PTRACE_SEIZE, bait->host, 0, 0);
}

static long be_traced(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(ptrace, PTRACE_TRACEME, 0, 0, 0);
}

static long compare_processes(const struct escape_bait *bait)
{
	return KERNEL(kcmp, bait->sibling, bait->sibling, KCMP_VM, 0, 0);
}

static long sibling_limit(const struct escape_bait *bait)
{
	struct rlimit limit;

	return KERNEL(prlimit64, bait->sibling, RLIMIT_NOFILE, NULL, &limit);
}

static long sibling_priority(const struct escape_bait *bait)
{
	/* The least, which is never a favour. */
	return KERNEL(setpriority, PRIO_PROCESS, bait->sibling, PRIO_MAX - 1);
}

static long sibling_affinity(const struct escape_bait *bait)
{
	const unsigned long all[16] = {[0 ... 15] = ~0ul};

	return KERNEL(sched_setaffinity, bait->sibling, sizeof(all), all);
}

static long sibling_scheduler(const struct escape_bait *bait)
{
	const struct sched_param none = {0};

	return KERNEL(sched_setscheduler, bait->sibling, SCHED_OTHER, &none);
}

static long sibling_disk_priority(const struct escape_bait *bait)
{
	return KERNEL(ioprio_set, IOPRIO_WHO_PROCESS, bait->sibling,
	              IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4));
}

static long sibling_locks(const struct escape_bait *bait)
{
	void *head;
	size_t length;

	return KERNEL(get_robust_list, bait->sibling, &head, &length);
}

static long sibling_environment(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, escape_proc(bait->sibling, "environ"), O_RDONLY);
}

static long sibling_command(const struct escape_bait *bait)
{
	return KERNEL(openat, AT_FDCWD, escape_proc(bait->sibling, "cmdline"), O_RDONLY);
}

static long sibling_session(const struct escape_bait *bait)
{
	return KERNEL(getsid, bait->sibling);
}

/*
 * How much processor time it has used: the clocks of others have negative numbers
 * (clock_getcpuclockid(3)).
 */
static long sibling_clock(const struct escape_bait *bait)
{
	const int clock = (int)(~(unsigned int)bait->sibling << 3 | 2);
	struct timespec used;

	return KERNEL(clock_gettime, clock, &used);
}

static long fork_process(const struct escape_bait *bait)
{
	(void)bait;
	return end_child(ayrei_kernel_clone(SIGCHLD));
}

static long fork_hidden(const struct escape_bait *bait)
{
	(void)bait;
	/* Its end is told to nobody. */
	return end_child(ayrei_kernel_clone(CLONE_PARENT_SETTID | CLONE_UNTRACED));
}

static long fork_newly(const struct escape_bait *bait)
{
	struct clone_args arguments = {.exit_signal = SIGCHLD};

	(void)bait;
	return end_child(KERNEL(clone3, &arguments, sizeof(arguments)));
}

static long fork_in_namespace(const struct escape_bait *bait)
{
	(void)bait;
	return end_child(ayrei_kernel_clone(CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD));
}

/* The program's own exit code, 0, says that it ran. */
static long execute_program(const struct escape_bait *bait)
{
	const char *const arguments[] = {"true", NULL}, *const environment[] = {NULL};

	(void)bait;
	return KERNEL(execve, "/bin/true", arguments, environment);
}

static long execute_memory(const struct escape_bait *bait)
{
	static const char script[] = "#!/bin/true\n";
	const char *const arguments[] = {"script", NULL}, *const environment[] = {NULL};
	long fd = KERNEL(memfd_create, "script", 0);

	(void)bait;
	if (fd < 0)
		return fd;
	(void)KERNEL(write, fd, script, sizeof(script) - 1);
	return KERNEL(execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
}

static long new_session(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(setsid, 0);
}

static long new_group(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(setpgid, 0, 0);
}

static long outlive_parent(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static long adopt_orphans(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static long be_dumpable(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long become_other(const struct escape_bait *bait)
{
	long result = KERNEL(setresgid, 65534, 65534, 65534);

	(void)bait;
	/* Whoever may become another user may become any. */
	return result < 0 ? result : KERNEL(setresuid, 65534, 65534, 65534);
}

static long enter_namespace(const struct escape_bait *bait)
{
	long fd = KERNEL(openat, AT_FDCWD, escape_proc(bait->host, "ns/uts"), O_RDONLY);

	return fd < 0 ? fd : KERNEL(setns, fd, 0);
}

static long real_time(const struct escape_bait *bait)
{
	const struct sched_param first = {.sched_priority = 1};

	(void)bait;
	return KERNEL(sched_setscheduler, 0, SCHED_FIFO, &first);
}

static const struct escape_attempt attempts[] = {
	{"signal-host", signal_host, NULL},
	{"signal-sibling", signal_sibling, NULL},
	{"signal-everybody", signal_everybody, NULL},
	{"signal-thread", signal_thread, NULL},
	{"signal-queued", signal_queued, NULL},
	{"pidfd-host", pidfd_host, NULL},
	{"pidfd-signal", pidfd_signal, NULL},
	{"pidfd-take-descriptor", pidfd_take_descriptor, "Yama can refuse it"},
	{"trace-sibling", trace_sibling, "Yama can refuse it"},
	{"trace-host", trace_host, "Yama can refuse it"},
	{"be-traced", be_traced, NULL},
	{"compare-processes", compare_processes, ESCAPE_OPTIONAL},
	{"sibling-limit", sibling_limit, NULL},
	{"sibling-priority", sibling_priority, NULL},
	{"sibling-affinity", sibling_affinity, NULL},
	{"sibling-scheduler", sibling_scheduler, NULL},
	{"sibling-disk-priority", sibling_disk_priority, NULL},
	{"sibling-locks", sibling_locks, NULL},
	{"sibling-environment", sibling_environment, NULL},
	{"sibling-command", sibling_command, NULL},
	{"sibling-session", sibling_session, NULL},
	{"sibling-clock", sibling_clock, NULL},
	{"fork", fork_process, NULL},
	{"fork-hidden", fork_hidden, NULL},
	{"fork-newly", fork_newly, NULL},
	{"fork-in-namespace", fork_in_namespace, "user namespaces can be refused"},
	{"execute-program", execute_program, NULL},
	{"execute-memory", execute_memory, ESCAPE_OPTIONAL},
	{"new-session", new_session, NULL},
	{"new-group", new_group, NULL},
	{"outlive-parent", outlive_parent, NULL},
	{"adopt-orphans", adopt_orphans, NULL},
	{"be-dumpable", be_dumpable, NULL},
	{"become-another-user", become_other, ESCAPE_ROOT},
	{"enter-namespace", enter_namespace, ESCAPE_ROOT},
	{"real-time", real_time, ESCAPE_ROOT},
};

const struct escape_group escape_processes = {"processes", attempts, ESCAPE_COUNT_OF(attempts)};
