/*
 * Fault injection: the n-th call of the C library that can fail does fail, for every n, while a
 * process is started, waited for and closed.
 *
 * What has to hold whatever fails: the result is that error, or a success that is one; outputs
 * are untouched by a failure; nothing is left behind, no child least of all; and it then succeeds.
 */
#include "process/probe.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "support/fault.h"

static struct ayre_process *const untouched = (struct ayre_process *)&untouched;

static const struct ayre_limit limit = {RLIMIT_CORE, 0, 0};
static const struct ayre_wire wires[] = {{7, 1}, {1, 2}, {2, -1}};

static int start(struct ayre_process **ret_process, struct ayre_error *error)
{
	return ayre_process_start(PROCESS_OPTIONS(.directory = "/", .wires = wires, .wire_count = 3,
	                                          .limits = &limit, .limit_count = 1,
	                                          .flags = AYRE_PROCESS_NEW_GROUP),
	                          ARGUMENTS("sh", "-c", "exit 3"), ret_process, error);
}

/* A descriptor of which fcntl(2) does not tell counts as one that is not open. */
static bool is_told(int result, const struct fault_report *report)
{
	return result == -report->error ||
	       (result == -EBADF && strcmp(report->symbol, "fcntl") == 0);
}

static bool inject_into_start(unsigned int nth, unsigned int variant)
{
	struct counts before = take_counts(), after;
	long blocks = fault_blocks();
	struct ayre_process *process = untouched;
	struct ayre_error error = {0};
	struct fault_report report;
	int result;

	fault_arm(nth, variant);
	result = start(&process, &error);
	report = fault_disarm();
	if (result < 0) {
		if (!report.symbol || !is_told(result, &report))
			dprintf(2, "start: call %u, %s fails with %d: %d\n", nth,
			        report.symbol ? report.symbol : "none", report.error, result);
		require(report.symbol != NULL);
		require(is_told(result, &report));
		require(error.code == result && error.step[0]);
		require(process == untouched);
	} else {
		struct ayre_process_end end = {.size = sizeof(end)};

		require(ayre_process_wait(process, &end) == 0);
		require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 3);
		ayre_process_close(process);
	}
	after = take_counts();
	require(memcmp(&before, &after, sizeof(before)) == 0);
	require(fault_blocks() == blocks);
	return report.calls >= nth;
}

static bool inject_into_wait(unsigned int nth, unsigned int variant)
{
	struct ayre_process_end end = {.size = sizeof(end), .status = 77}, initial = end;
	struct ayre_process *process;
	struct fault_report report;
	int result;

	require(start(&process, NULL) == 0);
	fault_arm(nth, variant);
	result = ayre_process_wait(process, &end);
	report = fault_disarm();
	if (result < 0) {
		require(report.symbol && result == -report.error);
		require(memcmp(&end, &initial, sizeof(end)) == 0);
		require(ayre_process_wait(process, &end) == 0);
	}
	require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 3);
	ayre_process_close(process);
	return report.calls >= nth;
}

static bool inject_into_close(unsigned int nth, unsigned int variant)
{
	struct counts before = take_counts(), after;
	long blocks = fault_blocks();
	struct ayre_process *process =
		begin(PROCESS_OPTIONS(.flags = AYRE_PROCESS_NEW_GROUP), ARGUMENTS("sleep", "100"));
	struct fault_report report;

	fault_arm(nth, variant);
	ayre_process_close(process);
	report = fault_disarm();
	after = take_counts();
	require(memcmp(&before, &after, sizeof(before)) == 0);
	require(fault_blocks() == blocks);
	return report.calls >= nth;
}

static void inject_everywhere(bool (*inject)(unsigned int nth, unsigned int variant))
{
	for (unsigned int variant = 0; variant < fault_variants(); variant++)
		for (unsigned int nth = 1; inject(nth, variant);)
			nth++;
}

static int survive_all(void *context)
{
	(void)context;
	inject_everywhere(inject_into_start);
	inject_everywhere(inject_into_wait);
	inject_everywhere(inject_into_close);
	return 0;
}

CHILD_TEST(every_fault_is_survived)
{
	return survive_all(NULL);
}

/* ayre's descriptors have to be moved then, which can fail too. */
static int survive_without_input(void *context)
{
	close(0);
	return survive_all(context);
}

/* The older system call stands in, which is the C library's. */
static int survive_without_clone3(void *context)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

	require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	return survive_all(context);
}

static void every_fault_is_survived_in_odd_hosts(void **state)
{
	(void)state;
	assert_exited(run_in_child(survive_without_input, NULL));
	assert_exited(run_in_child(survive_without_clone3, NULL));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		counted_test(every_fault_is_survived),
		counted_test(every_fault_is_survived_in_odd_hosts),
	};

	become_probe(argc, argv);
	return run_counted("process_fault", tests);
}
