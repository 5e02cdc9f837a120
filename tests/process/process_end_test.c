/*
 * The end of a child: how it is told, who else may take the news, and what was used.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The kernel tells twice since Linux 6.15. */
static bool kernel_remembers(void)
{
	static int known = -1;

	if (known < 0) {
		struct ayre_process *process = begin(NULL, ARGUMENTS("true"));
		struct ayre_process_end end = {.size = sizeof(end)};

		waitpid(ayre_process_pid(process), NULL, 0);
		require(ayre_process_wait(process, &end) == 0);
		ayre_process_close(process);
		known = end.outcome == AYRE_OUTCOME_EXITED;
	}
	return known;
}

static const char *exit_with(int status)
{
	static char text[64];

	snprintf(text, sizeof(text), "exit %d", status);
	return text;
}

CHILD_TEST(every_status_is_told)
{
	for (int status = 0; status < 256; status++) {
		struct ayre_process_end end = run(NULL, ARGUMENTS("sh", "-c", exit_with(status)));

		require(end.outcome == AYRE_OUTCOME_EXITED && end.status == status);
		require(end.signal_number == 0 && !end.dumped_core);
		require(end.started_ns > 0 && end.ended_ns >= end.started_ns);
		require(end.ended_ns <= now_ns());
	}
	return 0;
}

CHILD_TEST(every_signal_is_told)
{
	const struct ayre_limit no_core = {RLIMIT_CORE, 0, 0};

	for (int number = 1; number <= SIGRTMAX; number++) {
		struct ayre_process *process;
		struct ayre_process_end end = {.size = sizeof(end)};

		/* Those that stop, do nothing, or are the C library's. */
		if (number == SIGCHLD || number == SIGURG || number == SIGWINCH ||
		    number == SIGCONT || (number >= SIGSTOP && number <= SIGTTOU) ||
		    (number > 31 && number < SIGRTMIN))
			continue;
		process = begin(PROCESS_OPTIONS(.limits = &no_core, .limit_count = 1),
		                ARGUMENTS("sleep", "100"));
		require(ayre_process_signal(process, number) == 0);
		require(ayre_process_wait(process, &end) == 0);
		require(end.outcome == AYRE_OUTCOME_SIGNALED);
		require(end.signal_number == number && end.status == 0);
		ayre_process_close(process);
	}
	return 0;
}

CHILD_TEST(a_dumped_core_is_told)
{
	const struct ayre_limit core = {RLIMIT_CORE, 1u << 26, UINT64_MAX};
	char pattern[4] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	struct ayre_process_end end;

	require(read(fd, pattern, 1) == 1);
	close(fd);
	if (pattern[0] == '|' || pattern[0] == '/')
		return CHILD_SKIPS;
	end = run(PROCESS_OPTIONS(.limits = &core, .limit_count = 1, .directory = test_directory()),
	          ARGUMENTS("sh", "-c", "kill -SEGV $$"));
	require(end.outcome == AYRE_OUTCOME_SIGNALED && end.signal_number == SIGSEGV);
	require(end.dumped_core);
	sweep();
	return 0;
}

CHILD_TEST(waiting_ends_when_it_should)
{
	struct ayre_process *process = begin(NULL, ARGUMENTS("sleep", "0.2"));
	struct ayre_process_end end = {.size = sizeof(end), .status = 77}, again = end, unset = {0};
	int64_t before = now_ns();

	require(ayre_process_try_wait(process, &end) == -EAGAIN);
	require(ayre_process_wait_until(process, 0, &end) == -ETIMEDOUT);
	require(ayre_process_wait_until(process, before + 30000000, &end) == -ETIMEDOUT);
	require(now_ns() - before >= 30000000);
	require(end.status == 77 && end.outcome == AYRE_OUTCOME_RUNNING);
	require(ayre_process_signal(process, 0) == 0);
	require(ayre_process_wait(process, &end) == 0);
	require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 0);
	require(end.ended_ns - end.started_ns >= 190000000);
	/* The same again, also without asking where. */
	require(ayre_process_try_wait(process, &again) == 0);
	require(memcmp(&end, &again, sizeof(end)) == 0);
	require(ayre_process_wait_until(process, 0, NULL) == 0);
	require(ayre_process_wait(process, &unset) == -EINVAL);
	ayre_process_close(process);
	return 0;
}

CHILD_TEST(an_older_callers_struct_is_not_overrun)
{
	struct ayre_process *process = begin(NULL, ARGUMENTS("sh", "-c", "exit 3"));
	struct ayre_process_end end = {.size = offsetof(struct ayre_process_end, signal_number),
	                               .signal_number = 1234};

	require(ayre_process_wait(process, &end) == 0);
	require(end.status == 3 && end.signal_number == 1234);
	ayre_process_close(process);
	return 0;
}

/* Ended, whether waited for or not, it takes no signal. */
CHILD_TEST(no_signal_reaches_what_has_ended)
{
	struct ayre_process *process =
		begin(PROCESS_OPTIONS(.flags = AYRE_PROCESS_NEW_GROUP), ARGUMENTS("true"));
	struct pollfd ended = {.fd = ayre_process_fd(process), .events = POLLIN};

	require(poll(&ended, 1, -1) == 1);
	require(ayre_process_signal(process, SIGTERM) == -ESRCH);
	require(ayre_process_wait(process, NULL) == 0);
	require(ayre_process_signal(process, SIGTERM) == -ESRCH);
	require(ayre_process_signal_group(process, SIGTERM) == -ESRCH);
	ayre_process_close(process);
	return 0;
}

CHILD_TEST(closing_kills_and_reaps)
{
	struct ayre_process *process = begin(NULL, ARGUMENTS("sleep", "100"));
	pid_t pid = ayre_process_pid(process);
	int ends[2];
	struct ayre_wire wire;
	char byte;

	ayre_process_close(process);
	require(kill(pid, 0) == -1 && errno == ESRCH);
	ayre_process_close(NULL);

	require(pipe2(ends, O_CLOEXEC) == 0);
	wire = (struct ayre_wire){1, ends[1]};
	process = begin(
		PROCESS_OPTIONS(.wires = &wire, .wire_count = 1, .flags = AYRE_PROCESS_NEW_SESSION),
		ARGUMENTS("sh", "-c", "sleep 100 & sleep 100 & echo; wait"));
	close(ends[1]);
	require(read(ends[0], &byte, 1) == 1);
	errno = 1234;
	ayre_process_close(process);
	require(errno == 1234);
	/* With its group: nobody holds the pipe any more. */
	require(read(ends[0], &byte, 1) == 0);
	close(ends[0]);
	return 0;
}

/* --- other people's waiting --- */

static void check_stolen(struct ayre_process_end end, int status)
{
	if (kernel_remembers())
		require(end.outcome == AYRE_OUTCOME_EXITED && end.status == status);
	else
		require(end.outcome == AYRE_OUTCOME_LOST);
	require(end.user_ns == -1 && end.read_bytes == -1 && end.max_rss_bytes == -1);
}

CHILD_TEST(a_host_may_ignore_its_children)
{
	(void)kernel_remembers();
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 500; i++)
		check_stolen(run(NULL, ARGUMENTS("sh", "-c", exit_with(i % 256))), i % 256);
	signal(SIGCHLD, SIG_DFL);
	return 0;
}

static atomic_bool stealing;

static void *steal(void *argument)
{
	(void)argument;
	while (stealing)
		waitpid(-1, NULL, 0);
	return NULL;
}

/* Who is first takes it; and a program that is started meanwhile is not disturbed. */
CHILD_TEST(a_host_may_wait_for_all_children)
{
	pthread_t thief;
	unsigned int stolen = 0;

	(void)kernel_remembers();
	stealing = true;
	require(pthread_create(&thief, NULL, steal, NULL) == 0);
	for (int i = 0; i < 500; i++) {
		struct ayre_process_end end = run(NULL, ARGUMENTS("sh", "-c", exit_with(i % 256)));

		if (end.user_ns == -1) {
			check_stolen(end, i % 256);
			stolen++;
		} else {
			require(end.outcome == AYRE_OUTCOME_EXITED && end.status == i % 256);
		}
	}
	stealing = false;
	pthread_join(thief, NULL);
	require(stolen > 0);
	return 0;
}

/* It was reaped, and close() must neither hang nor signal whoever has its number now. */
CHILD_TEST(closing_what_was_taken_hits_nobody)
{
	struct ayre_process *process =
		begin(PROCESS_OPTIONS(.flags = AYRE_PROCESS_NEW_GROUP), ARGUMENTS("true"));
	pid_t pid = ayre_process_pid(process), other;
	int status;

	require(waitpid(pid, NULL, 0) == pid);
	/* One that has the number anew, as a group's. */
	int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (last >= 0) {
		dprintf(last, "%d", pid - 1);
		close(last);
	}
	other = fork();
	if (other == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(other, other);
	require(ayre_process_signal_group(process, SIGTERM) == -ESRCH);
	ayre_process_close(process);
	require(waitpid(other, &status, WNOHANG) == 0);
	kill(other, SIGKILL);
	require(waitpid(other, &status, 0) == other);
	return other == pid ? 0 : CHILD_SKIPS;
}

/* --- what was used --- */

CHILD_TEST(usage_is_what_the_kernel_counted)
{
	struct ayre_process_end end = run(
		NULL, ARGUMENTS("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"));
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const struct ayre_wire wire = {1, null};

	require(end.user_ns + end.system_ns > 20000000);
	require(end.user_ns + end.system_ns < 2 * (end.ended_ns - end.started_ns) + 20000000);
	end = run(NULL, ARGUMENTS("sleep", "0.05"));
	require(end.user_ns + end.system_ns < 40000000);
	require(end.voluntary_switches >= 1 && end.involuntary_switches >= 0);
	end = run(PROCESS_OPTIONS(.wires = &wire, .wire_count = 1),
	          ARGUMENTS("dd", "if=/dev/zero", "bs=1234", "count=1000", "status=none"));
	require(end.written_bytes == 1234000);
	require(end.read_bytes >= 1234000 && end.read_bytes < 1234000 + 100000);
	close(null);
	return 0;
}

#define BIG_BYTES (256u << 20)

CHILD_TEST(peak_memory_is_the_childs_or_unknown)
{
	void *big;
	struct ayre_process_end end;

	/* More than any host of this test has so far, sanitizers included. */
	end = run(NULL, ARGUMENTS("dd", "if=/dev/zero", "of=/dev/null", "bs=600M", "count=1",
	                          "status=none"));
	require(end.max_rss_bytes >= 600ll << 20);
	require(end.max_rss_bytes < 700ll << 20);
	big = mmap(NULL, BIG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(big != MAP_FAILED);
	memset(big, 1, BIG_BYTES);
	for (int i = 0; i < 100; i++)
		require(run(NULL, ARGUMENTS("true")).max_rss_bytes == -1);
	munmap(big, BIG_BYTES);
	/* The host's peak stays. */
	for (int i = 0; i < 100; i++)
		require(run(NULL, ARGUMENTS("true")).max_rss_bytes == -1);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_status_is_told),
		counted_test(every_signal_is_told),
		counted_test(a_dumped_core_is_told),
		counted_test(waiting_ends_when_it_should),
		counted_test(an_older_callers_struct_is_not_overrun),
		counted_test(no_signal_reaches_what_has_ended),
		counted_test(closing_kills_and_reaps),
		counted_test(a_host_may_ignore_its_children),
		counted_test(a_host_may_wait_for_all_children),
		counted_test(closing_what_was_taken_hits_nobody),
		counted_test(usage_is_what_the_kernel_counted),
		counted_test(peak_memory_is_the_childs_or_unknown),
	};

	become_probe(argc, argv);
	return run_counted("process_end", tests);
}
