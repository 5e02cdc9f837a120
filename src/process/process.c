/*
 * One child process.
 *
 * Invariant: the handle owns the child. Until its end has been taken its number cannot be
 * given to another process, and ayre_process_close() leaves neither a process nor a zombie.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "process/end.h"
#include "process/launch.h"
#include "sys/child.h"
#include "sys/event.h"

struct ayre_process {
	pid_t pid;
	int pidfd;
	bool own_group;
	int64_t host_rss_bytes;
	struct ayre_process_end end;
};

static int start(struct ayre_process *process, const struct ayre_process_options *options,
                 const char *const *arguments, struct ayre_error *error)
{
	struct ayrei_launch launch;
	size_t failed;
	int result = ayrei_launch_init(&launch, options, arguments[0], arguments, error);

	if (result == 0)
		result = ayrei_launch_finish(&launch, options, error);
	if (result == 0) {
		process->end = ayrei_end_running(ayrei_monotonic_ns());
		result = ayrei_children_start(&launch.child, 1, &failed);
		if (result < 0)
			ayrei_launch_report(&launch, result, error);
	}
	process->pid = launch.child.pid;
	process->pidfd = launch.child.pidfd;
	process->own_group =
		(options->flags & (AYRE_PROCESS_NEW_GROUP | AYRE_PROCESS_NEW_SESSION)) != 0;
	/* After the start: what the child was counted from. */
	process->host_rss_bytes = ayrei_own_max_rss();
	ayrei_launch_fini(&launch);
	return result;
}

int ayre_process_start(const struct ayre_process_options *options, const char *const *arguments,
                       struct ayre_process **ret_process, struct ayre_error *error)
{
	struct ayre_process_options copy;
	struct ayre_process *process;
	int result = ayrei_options_copy(&copy, sizeof(copy), options);

	if (result < 0 || !arguments || !arguments[0])
		return ayrei_fail(error, -EINVAL, "options", "process", "%s",
		                  result < 0 ? "the options' size is not set"
		                             : "there are no arguments");
	process = calloc(1, sizeof(*process));
	if (!process)
		return ayrei_fail(error, -ENOMEM, "start", arguments[0], NULL);
	result = start(process, &copy, arguments, error);
	if (result < 0) {
		free(process);
		return result;
	}
	*ret_process = process;
	return 0;
}

pid_t ayre_process_pid(const struct ayre_process *process)
{
	return process->pid;
}

int ayre_process_fd(const struct ayre_process *process)
{
	return process->pidfd;
}

int ayre_process_signal(struct ayre_process *process, int signal_number)
{
	/* The kernel would take one for a zombie. */
	if (ayrei_wait_for(process->pidfd, AYREI_READABLE, 0) > 0)
		return -ESRCH;
	return ayrei_child_signal(process->pidfd, signal_number);
}

int ayre_process_signal_group(struct ayre_process *process, int signal_number)
{
	if (!process->own_group)
		return -EINVAL;
	return ayrei_child_signal_group(process->pidfd, process->pid, signal_number);
}

static int take_end(struct ayre_process *process)
{
	int result;

	if (process->end.outcome != AYRE_OUTCOME_RUNNING)
		return 0;
	result = ayrei_end_take(&process->end, process->pid, process->pidfd,
	                        process->host_rss_bytes);
	if (result == 0)
		ayrei_child_reap(process->pidfd);
	return result;
}

int ayre_process_try_wait(struct ayre_process *process, struct ayre_process_end *ret_end)
{
	int result = take_end(process);

	if (result < 0 || !ret_end)
		return result;
	return ayrei_result_copy(ret_end, &process->end, sizeof(process->end));
}

int ayre_process_wait_until(struct ayre_process *process, int64_t deadline_ns,
                            struct ayre_process_end *ret_end)
{
	int result = ayre_process_try_wait(process, ret_end);

	while (result == -EAGAIN) {
		int ready = ayrei_wait_for(process->pidfd, AYREI_READABLE, deadline_ns);

		if (ready < 0)
			return ready;
		if (ready == 0)
			return -ETIMEDOUT;
		result = ayre_process_try_wait(process, ret_end);
	}
	return result;
}

int ayre_process_wait(struct ayre_process *process, struct ayre_process_end *ret_end)
{
	return ayre_process_wait_until(process, INT64_MAX, ret_end);
}

void ayre_process_close(struct ayre_process *process)
{
	int saved = errno;

	if (!process)
		return;
	if (take_end(process) < 0) {
		if (process->own_group)
			(void)ayrei_child_signal_group(process->pidfd, process->pid, SIGKILL);
		(void)ayrei_child_signal(process->pidfd, SIGKILL);
		ayrei_child_reap(process->pidfd);
	}
	ayrei_file_close(process->pidfd);
	free(process);
	errno = saved;
}
