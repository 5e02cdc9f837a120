/*
 * Tracing a child.
 */
#include "support/trace.h"

#include <sched.h>
#include <signal.h>

bool go_on(pid_t child, enum __ptrace_request how)
{
	int status;

	if (ptrace(how, child, NULL, NULL) == -1)
		return false;
	status = end_of(child);
	return WIFSTOPPED(status);
}

void read_edge(pid_t child, struct edge *edge)
{
	struct __ptrace_syscall_info info = {0};

	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0);
	edge->entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	edge->exit = info.op == PTRACE_SYSCALL_INFO_EXIT;
	edge->instruction = info.instruction_pointer;
	if (!edge->entry)
		return;
	edge->number = info.entry.nr;
	memcpy(edge->arguments, info.entry.args, sizeof(edge->arguments));
}

void kill_traced(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	/* It may have to be seen stopping once more. */
	do
		status = end_of(child);
	while (WIFSTOPPED(status));
	assert_killed_by(status, SIGKILL);
}

void stay_on_this_processor(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}
