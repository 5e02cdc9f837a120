/*
 * The process of the next call.
 *
 * Invariant: the zygote reports in a fixed order, started and ended by turns. What does not fit, or is no
 * report, makes the zygote one that is not spoken with again: it may be what a constructor made of it.
 */
#include <errno.h>
#include <signal.h>

#include "base/cleanup.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/socket.h"
#include "worker/worker.h"

void ayrei_worker_kill(struct ayre_worker *worker)
{
	worker->is_doomed = worker->state == AYREI_WORKER_STARTING;
	if (worker->state != AYREI_WORKER_ALIVE)
		return;
	(void)!ayrei_child_signal(worker->process, SIGKILL);
	worker->state = AYREI_WORKER_ENDING;
}

void ayrei_worker_abandon(struct ayre_worker *worker)
{
	if (worker->state != AYREI_WORKER_GONE) {
		(void)!ayrei_child_signal_group(worker->zygote, worker->zygote_pid, SIGKILL);
		(void)!ayrei_child_signal(worker->zygote, SIGKILL);
	}
	worker->state = AYREI_WORKER_GONE;
	worker->process = ayrei_file_close(worker->process);
}

static int lose(struct ayre_worker *worker)
{
	ayrei_worker_abandon(worker);
	worker->end = (struct ayre_worker_end){
		.kind = AYRE_WORKER_LOST,
		.system_call = -1,
		.call = worker->is_used ? worker->info.calls : 0,
		.cpu_ns = -1,
		.max_rss_bytes = -1,
	};
	worker->info.ends++;
	return -ENOTCONN;
}

static int hear_started(struct ayre_worker *worker, const struct ayrei_report *report,
                        int take_pidfd)
{
	ayrei_auto_fd int pidfd = take_pidfd;

	if (report->code < 0) {
		worker->state = AYREI_WORKER_NONE;
		worker->info.processes--;
		return worker->is_doomed ? 0 : report->code;
	}
	/* It is one, and of a process that we may end. */
	if (pidfd < 0 || ayrei_child_signal(pidfd, 0) == -EBADF)
		return lose(worker);
	worker->process = ayrei_take_fd(&pidfd);
	worker->state = AYREI_WORKER_ALIVE;
	if (worker->is_doomed)
		ayrei_worker_kill(worker);
	return 0;
}

static void hear_ended(struct ayre_worker *worker, const struct ayrei_report *report)
{
	bool was_killed = worker->state == AYREI_WORKER_ENDING;

	worker->process = ayrei_file_close(worker->process);
	worker->state = AYREI_WORKER_NONE;
	/* Whoever killed it has said why. */
	if (was_killed)
		return;
	worker->end = (struct ayre_worker_end){
		.call = worker->is_used ? worker->info.calls : 0,
		.cpu_ns = report->cpu_ns,
		.max_rss_bytes = report->max_rss_bytes,
	};
	ayrei_worker_judge(worker, report->status, &worker->end);
	worker->info.ends++;
}

int ayrei_worker_hear(struct ayre_worker *worker, int64_t deadline_ns)
{
	struct ayrei_report report;
	ayrei_auto_fd int passed = -1;
	ssize_t length;
	int ready;

	if (worker->state == AYREI_WORKER_GONE)
		return -ENOTCONN;
	ready = ayrei_wait_for(worker->socket, AYREI_READABLE, deadline_ns);
	if (ready <= 0)
		return ready < 0 ? ready : -ETIMEDOUT;
	length = ayrei_socket_receive(worker->socket, &report, sizeof(report), &passed);
	if (length != (ssize_t)sizeof(report))
		return lose(worker);
	if (report.kind == AYREI_REPORT_STARTED && worker->state == AYREI_WORKER_STARTING)
		return hear_started(worker, &report, ayrei_take_fd(&passed));
	if (report.kind != AYREI_REPORT_ENDED ||
	    (worker->state != AYREI_WORKER_ALIVE && worker->state != AYREI_WORKER_ENDING))
		return lose(worker);
	hear_ended(worker, &report);
	return 0;
}

static int start(struct ayre_worker *worker)
{
	const struct ayrei_order order = {.call = worker->requests->call};
	/* What the process before has left is not for this one. */
	int result = ayrei_file_clear(worker->replies_file, worker->replies_bytes);

	if (result < 0)
		return result;
	if (ayrei_socket_send(worker->socket, &order, sizeof(order), -1) < 0)
		return lose(worker);
	worker->state = AYREI_WORKER_STARTING;
	worker->is_used = false;
	worker->is_doomed = false;
	worker->info.processes++;
	return 0;
}

/* What there is to hear of a process that is kept, without waiting. */
static int hear_all(struct ayre_worker *worker)
{
	int result = 0;

	while (result == 0 && worker->state != AYREI_WORKER_NONE)
		result = ayrei_worker_hear(worker, 0);
	return result == -ETIMEDOUT ? 0 : result;
}

int ayrei_worker_provide(struct ayre_worker *worker, int64_t deadline_ns)
{
	bool is_kept = worker->options.flags & AYRE_WORKER_KEEP;
	int result = hear_all(worker);

	if (worker->is_used && !is_kept)
		ayrei_worker_kill(worker);
	while (result == 0 && (worker->state == AYREI_WORKER_ENDING ||
	                       (worker->state == AYREI_WORKER_STARTING && worker->is_doomed)))
		result = ayrei_worker_hear(worker, deadline_ns);
	if (result == 0 && worker->state == AYREI_WORKER_NONE)
		result = start(worker);
	return result;
}

int ayrei_worker_wait(struct ayre_worker *worker, int64_t deadline_ns)
{
	const int fds[] = {worker->socket, worker->reply_bell};
	int ready = ayrei_wait_for_any(fds, 2, deadline_ns);
	char bytes[64];

	if (ready <= 0)
		return ready < 0 ? ready : -ETIMEDOUT;
	/* A hint, of which there may be any number. */
	(void)!ayrei_pipe_try_read(worker->reply_bell, bytes, sizeof(bytes));
	ready = ayrei_wait_for(worker->socket, AYREI_READABLE, 0);
	return ready > 0 ? ayrei_worker_hear(worker, 0) : ready;
}
