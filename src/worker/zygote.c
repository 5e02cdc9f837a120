/*
 * The helper program of ayre_worker_open(): loads one module, and makes a worker of itself whenever the
 * host asks for one.
 *
 * usage: ayre-zygote MODULE MEMORY CPU WITHOUT [READ]...
 *
 * Invariant: nothing of the module runs before all that can be given up then has been. It is one
 * thread, which has at most one worker, and ends when the host's end of the socket does: then the
 * kernel ends the worker.
 */
#include "worker/zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/privilege.h"
#include "sys/socket.h"
#include "sys/system.h"

static void __attribute__((noreturn)) give_up(const struct ayre_error *error)
{
	struct ayrei_report report = {.kind = AYREI_REPORT_FAILED, .error = *error};

	(void)!ayrei_socket_send(AYREI_CHANNEL_SOCKET, &report, sizeof(report), -1);
	_exit(EXIT_FAILURE);
}

static void __attribute__((noreturn)) give_up_at(const char *step, int code)
{
	struct ayre_error error;

	ayrei_fail(&error, code, step, "zygote", NULL);
	give_up(&error);
}

static void *map_file(int fd, bool writable, size_t *ret_bytes)
{
	struct stat status;
	void *address;
	int result = ayrei_file_status(fd, &status);

	if (result == 0)
		result = ayrei_map_shared(fd, (size_t)status.st_size, writable, &address);
	if (result < 0)
		give_up_at("map", result);
	*ret_bytes = (size_t)status.st_size;
	return address;
}

/* The host's numbers. */
static void read_arguments(struct ayrei_zygote *zygote, int count, char **arguments)
{
	if (count < AYREI_ZYGOTE_READS) {
		fprintf(stderr, "ayre-zygote: it is for ayre_worker_open(3) to start\n");
		exit(EXIT_FAILURE);
	}
	zygote->module = arguments[AYREI_ZYGOTE_MODULE];
	zygote->memory_bytes = strtoull(arguments[AYREI_ZYGOTE_MEMORY], NULL, 10);
	zygote->cpu_seconds = (uint32_t)strtoul(arguments[AYREI_ZYGOTE_CPU], NULL, 10);
	zygote->without = (uint32_t)strtoul(arguments[AYREI_ZYGOTE_WITHOUT], NULL, 10);
	zygote->reads = (const char *const *)arguments + AYREI_ZYGOTE_READS;
	zygote->read_count = (size_t)(count - AYREI_ZYGOTE_READS);
}

static void begin(struct ayrei_zygote *zygote)
{
	struct ayre_error error;
	int result = zygote->address_space = ayrei_address_space_open();

	if (result >= 0)
		result = chdir("/") == -1 ? -errno : 0;
	if (result < 0)
		give_up_at("begin", result);
	zygote->pid = ayrei_own_process();
	zygote->requests = map_file(AYREI_CHANNEL_REQUESTS, false, &zygote->requests_bytes);
	zygote->replies = map_file(AYREI_CHANNEL_REPLIES, true, &zygote->replies_bytes);
	result = ayrei_zygote_tell_crashes(zygote->replies);
	if (result < 0)
		give_up_at("signals", result);
	if (ayrei_zygote_lock(zygote, &error) < 0)
		give_up(&error);
}

static void load(struct ayrei_zygote *zygote)
{
	struct ayre_error error;

	zygote->handle = dlopen(zygote->module, RTLD_NOW | RTLD_LOCAL);
	if (!zygote->handle) {
		const char *reason = dlerror();

		ayrei_fail(&error, -ELIBBAD, "load", zygote->module, "%s", reason ? reason : "");
		give_up(&error);
	}
}

/* --- orders --- */

/* A worker and its pidfd; -1: there is none. */
struct child {
	pid_t pid;
	int pidfd;
};

static void report(const struct ayrei_report *report, int passed)
{
	if (ayrei_socket_send(AYREI_CHANNEL_SOCKET, report, sizeof(*report), passed) < 0)
		_exit(EXIT_FAILURE);
}

static void start_worker(const struct ayrei_zygote *zygote, const struct ayrei_order *order,
                         struct child *child)
{
	struct ayrei_report started = {.kind = AYREI_REPORT_STARTED};

	child->pid = ayrei_child_fork_watched(&child->pidfd);
	if (child->pid == 0)
		ayrei_zygote_serve(zygote, order->call);
	if (child->pid < 0) {
		started.code = child->pid;
		child->pidfd = -1;
	}
	report(&started, child->pidfd);
}

static void end_worker(struct child *child)
{
	struct ayrei_report ended = {.kind = AYREI_REPORT_ENDED};

	if (ayrei_child_take(child->pid, &ended.status, &ended.cpu_ns, &ended.max_rss_bytes) < 0)
		return;
	child->pidfd = ayrei_file_close(child->pidfd);
	report(&ended, -1);
}

static void take_order(const struct ayrei_zygote *zygote, struct child *child)
{
	struct ayrei_order order;
	ssize_t length = ayrei_socket_receive(AYREI_CHANNEL_SOCKET, &order, sizeof(order), NULL);

	if (length == -EAGAIN)
		return;
	/* The host is gone, or wants one too many. */
	if (length != (ssize_t)sizeof(order) || child->pidfd >= 0)
		_exit(EXIT_SUCCESS);
	start_worker(zygote, &order, child);
}

static void __attribute__((noreturn)) take_orders(const struct ayrei_zygote *zygote)
{
	struct child child = {.pidfd = -1};

	for (;;) {
		/* A worker's end comes before the next order. */
		int fds[] = {AYREI_CHANNEL_SOCKET, child.pidfd};

		if (ayrei_wait_for_any(fds, child.pidfd < 0 ? 1 : 2, INT64_MAX) < 0)
			_exit(EXIT_FAILURE);
		if (child.pidfd >= 0)
			end_worker(&child);
		take_order(zygote, &child);
	}
}

int main(int argument_count, char **arguments)
{
	struct ayrei_zygote zygote = {0};
	const struct ayrei_report loaded = {.kind = AYREI_REPORT_LOADED};

	read_arguments(&zygote, argument_count, arguments);
	begin(&zygote);
	load(&zygote);
	report(&loaded, -1);
	take_orders(&zygote);
}
