/*
 * Signals, groups and sessions: what a child begins with, what reaches it, and what the host
 * notices of it: nothing.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

static char report[REPORT_BYTES];

#define BIT(number) (1ull << ((number)-1))

/* --- what a child begins with --- */

CHILD_TEST(no_signal_is_blocked_in_a_child)
{
	sigset_t all, before, after;

	sigfillset(&all);
	require(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	require(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
	probe(PROCESS_OPTIONS(), report);
	require(says(report, "blocked 0000000000000000"));
	require(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
	require(memcmp(&before, &after, 8) == 0);
	return 0;
}

CHILD_TEST(what_is_ignored_stays_so_but_for_three)
{
	unsigned long long expected = 0;

	for (int number = 1; number <= SIGRTMAX; number++) {
		if (number == SIGKILL || number == SIGSTOP || (number > 31 && number < SIGRTMIN))
			continue;
		/* A sanitizer in the probe takes these for itself. */
		if (number == SIGSEGV || number == SIGBUS || number == SIGFPE)
			continue;
		require(signal(number, SIG_IGN) != SIG_ERR);
		if (number != SIGPIPE && number != SIGXFSZ && number != SIGCHLD)
			expected |= BIT(number);
	}
	signal(SIGCHLD, SIG_DFL);
	probe(PROCESS_OPTIONS(), report);
	require(says(report, "ignored %016llx", expected));
	for (int number = 1; number <= SIGRTMAX; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0 && expected & BIT(number))
			require(action.sa_handler == SIG_IGN);
	}
	return 0;
}

/* Without clone3(2), as under a seccomp filter of a container that says ENOSYS, or EPERM. */
static void forbid_clone3(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Signals to every process of the group, children among them, and handlers that say who runs. */
static atomic_int foreign_handlers, own_handlers;
static pid_t host;

static void note(int number)
{
	(void)number;
	if (getpid() == host)
		atomic_fetch_add(&own_handlers, 1);
	else
		atomic_fetch_add(&foreign_handlers, 1);
}

static int start_under_a_storm(void *context)
{
	struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
	struct itimerval fast = {{0, 50}, {0, 50}};
	struct sigaction now;
	sigset_t before, after;
	int *error = context;
	pid_t sender;

	setpgid(0, 0);
	host = getpid();
	if (*error)
		forbid_clone3(*error);
	/* SIGURG and SIGWINCH do nothing by default, so children survive them. */
	require(sigaction(SIGURG, &action, NULL) == 0);
	require(sigaction(SIGWINCH, &action, NULL) == 0);
	require(sigaction(SIGALRM, &action, NULL) == 0);
	require(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
	sender = fork();
	if (sender == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGURG, SIG_IGN);
		signal(SIGWINCH, SIG_IGN);
		for (;;) {
			kill(0, SIGURG);
			kill(0, SIGWINCH);
			usleep(20);
		}
	}
	require(setitimer(ITIMER_REAL, &fast, NULL) == 0);
	for (int i = 0; i < 150; i++) {
		struct ayre_process_end end = run(NULL, ARGUMENTS("true"));

		require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 0);
		fails(PROCESS_OPTIONS(.directory = "/none"), ARGUMENTS("true"), "directory",
		      -ENOENT);
	}
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	memset(&fast, 0, sizeof(fast));
	require(setitimer(ITIMER_REAL, &fast, NULL) == 0);
	/* The children share this memory: a handler in one of them would be counted here. */
	require(foreign_handlers == 0);
	require(own_handlers > 0);
	require(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
	require(memcmp(&before, &after, 8) == 0);
	require(sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == note);
	return 0;
}

static void no_handler_runs_in_a_child(void **state)
{
	static const int errors[] = {0, ENOSYS, EPERM};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_exited(run_in_child(start_under_a_storm, (void *)(uintptr_t)&errors[i]));
}

static int probe_without_clone3(void *context)
{
	struct sigaction action = {.sa_handler = note};

	forbid_clone3(*(int *)context);
	require(sigaction(SIGUSR1, &action, NULL) == 0);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	probe(PROCESS_OPTIONS(.flags = AYRE_PROCESS_NEW_GROUP), report);
	require(says(report, "blocked 0000000000000000"));
	require(strstr(report, "ignored ") && !says(report, "ignored 0000000000000000"));
	/* execve(2) resets handlers: a child that ends by the signal had none. */
	require(run(NULL, ARGUMENTS("sh", "-c", "kill -USR1 $$")).signal_number == SIGUSR1);
	require(run(NULL, ARGUMENTS("sh", "-c", "kill -PIPE $$")).signal_number == SIGPIPE);
	require(run(NULL, ARGUMENTS("sh", "-c", "kill -HUP $$; exit 4")).status == 4);
	return 0;
}

static void clone3_may_be_forbidden(void **state)
{
	static const int errors[] = {ENOSYS, EPERM};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_exited(run_in_child(probe_without_clone3, (void *)(uintptr_t)&errors[i]));
}

/* --- groups and sessions --- */

static int number_after(const char *label)
{
	const char *place = strstr(report, label);

	require(place != NULL);
	return atoi(place + strlen(label));
}

CHILD_TEST(groups_and_sessions_are_as_asked)
{
	const struct {
		uint32_t flags;
		bool group, session;
	} cases[] = {
		{0, false, false},
		{AYRE_PROCESS_NEW_GROUP, true, false},
		{AYRE_PROCESS_NEW_SESSION, true, true},
		{AYRE_PROCESS_NEW_SESSION | AYRE_PROCESS_NEW_GROUP, true, true},
	};

	/* Many times: the host and the child both set the group. */
	for (size_t i = 0; i < 400; i++) {
		bool group = cases[i % 4].group, session = cases[i % 4].session;
		int child;

		probe(PROCESS_OPTIONS(.flags = cases[i % 4].flags), report);
		child = number_after("\npid ");
		require(number_after("\ngroup ") == (group ? child : getpgrp()));
		require(number_after("\nsession ") == (session ? child : getsid(0)));
	}
	return 0;
}

CHILD_TEST(a_group_is_signalled_as_a_whole)
{
	int pipe_ends[2];
	struct ayre_process *process;
	struct ayre_process_end end = {.size = sizeof(end)};
	struct ayre_wire wire;
	char byte;

	require(pipe2(pipe_ends, O_CLOEXEC) == 0);
	wire = (struct ayre_wire){1, pipe_ends[1]};
	process = begin(
		PROCESS_OPTIONS(.wires = &wire, .wire_count = 1, .flags = AYRE_PROCESS_NEW_GROUP),
		ARGUMENTS("sh", "-c", "sleep 100 & sleep 100 & echo; wait"));
	close(pipe_ends[1]);
	require(read(pipe_ends[0], &byte, 1) == 1);
	require(ayre_process_signal_group(process, SIGTERM) == 0);
	/* All of them had the pipe. */
	require(read(pipe_ends[0], &byte, 1) == 0);
	require(ayre_process_wait(process, &end) == 0);
	require(end.outcome == AYRE_OUTCOME_SIGNALED && end.signal_number == SIGTERM);
	ayre_process_close(process);
	close(pipe_ends[0]);

	process = begin(NULL, ARGUMENTS("sleep", "100"));
	require(ayre_process_signal_group(process, SIGTERM) == -EINVAL);
	ayre_process_close(process);
	return 0;
}

/* The leader has ended and been waited for; its number may be another's, but the group is its own. */
CHILD_TEST(a_group_outlives_its_leader)
{
	int pipe_ends[2];
	struct ayre_process *process;
	struct ayre_wire wire;
	char byte;

	/* Whom the leader leaves comes to us. */
	require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);

	require(pipe2(pipe_ends, O_CLOEXEC) == 0);
	wire = (struct ayre_wire){1, pipe_ends[1]};
	process = begin(
		PROCESS_OPTIONS(.wires = &wire, .wire_count = 1, .flags = AYRE_PROCESS_NEW_GROUP),
		ARGUMENTS("sh", "-c", "sleep 100 & exit 0"));
	close(pipe_ends[1]);
	require(ayre_process_wait(process, NULL) == 0);
	require(ayre_process_signal(process, SIGTERM) == -ESRCH);
	if (ayre_process_signal_group(process, SIGTERM) == 0) {
		require(read(pipe_ends[0], &byte, 1) == 0);
		require(wait(NULL) > 0);
		require(ayre_process_signal_group(process, SIGTERM) == -ESRCH);
	}
	ayre_process_close(process);
	close(pipe_ends[0]);
	return 0;
}

/* --- the host dies, or stops --- */

struct family {
	atomic_uint ready;
	atomic_int pid;
};

static int start_and_be_killed(void *context)
{
	struct family *family = context;
	struct ayre_process *process = begin(PROCESS_OPTIONS(.flags = AYRE_PROCESS_DIE_WITH_PARENT),
	                                     ARGUMENTS("sleep", "100"));

	family->pid = ayre_process_pid(process);
	announce(&family->ready, 1);
	pause();
	return 0;
}

static void a_child_dies_with_its_host(void **state)
{
	struct family *family = share_memory(sizeof(*family));
	pid_t parent;
	int pidfd;
	siginfo_t info;

	(void)state;
	/* Its orphans come to us. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	parent = start_child(start_and_be_killed, family);
	await(&family->ready, 1);
	pidfd = (int)syscall(SYS_pidfd_open, family->pid, 0);
	assert_true(pidfd >= 0);
	kill(parent, SIGKILL);
	end_of(parent);
	/* P_PIDFD; a minute is the test's own deadline. */
	assert_int_equal(waitid((idtype_t)3, (id_t)pidfd, &info, WEXITED), 0);
	assert_int_equal(info.si_status, SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	close(pidfd);
	unshare_memory(family, sizeof(*family));
}

CHILD_TEST(without_the_flag_nothing_is_left_of_the_way_there)
{
	probe(PROCESS_OPTIONS(), report);
	require(says(report, "death 0"));
	probe(PROCESS_OPTIONS(.flags = AYRE_PROCESS_DIE_WITH_PARENT), report);
	require(says(report, "death %d", SIGKILL));
	return 0;
}

/* A stopped child is waited for, and goes on. */
CHILD_TEST(a_stopped_child_still_runs)
{
	struct ayre_process *process = begin(NULL, ARGUMENTS("sleep", "100"));
	struct ayre_process_end end = {.size = sizeof(end)};

	require(ayre_process_signal(process, SIGSTOP) == 0);
	require(ayre_process_wait_until(process, now_ns() + 20000000, &end) == -ETIMEDOUT);
	require(ayre_process_signal(process, SIGTERM) == 0);
	require(ayre_process_try_wait(process, &end) == -EAGAIN);
	require(ayre_process_signal(process, SIGCONT) == 0);
	require(ayre_process_wait(process, &end) == 0);
	require(end.signal_number == SIGTERM);
	ayre_process_close(process);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(no_signal_is_blocked_in_a_child),
		counted_test(what_is_ignored_stays_so_but_for_three),
		counted_test(no_handler_runs_in_a_child),
		counted_test(clone3_may_be_forbidden),
		counted_test(groups_and_sessions_are_as_asked),
		counted_test(a_group_is_signalled_as_a_whole),
		counted_test(a_group_outlives_its_leader),
		counted_test(a_child_dies_with_its_host),
		counted_test(without_the_flag_nothing_is_left_of_the_way_there),
		counted_test(a_stopped_child_still_runs),
	};

	become_probe(argc, argv);
	return run_counted("process_signal", tests);
}
