/*
 * The helper program of ayre_worker_open(): loads one module, and makes a worker of itself whenever the
 * host asks for one.
 *
 * usage: ayre-zygote MODULE MEMORY SHARED CPU WITHOUT [READ]...
 *
 * Invariant: nothing of the module runs before all that can be given up then has been. It is one
 * thread, which has nothing of what it passes on to its workers, and ends when the host's end of the socket
 * does: then the kernel ends the workers.
 */
#include "worker/zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/privilege.h"
#include "sys/socket.h"
#include "sys/system.h"

#define PATIENCE_NS 1000000

static void __attribute__((noreturn)) give_up(const struct ayre_error *error)
{
	struct ayrei_report report = {.kind = AYREI_REPORT_FAILED, .error = *error};

	(void)!ayrei_socket_send(AYREI_CHANNEL_SOCKET, &report, sizeof(report), NULL, 0);
	_exit(EXIT_FAILURE);
}

static void __attribute__((noreturn)) give_up_at(const char *step, int code)
{
	struct ayre_error error;

	ayrei_fail(&error, code, step, "zygote", NULL);
	give_up(&error);
}

void *ayrei_zygote_map(int fd, size_t bytes, bool writable)
{
	void *address;
	int result = ayrei_map_shared(fd, bytes, writable, &address);

	if (result < 0)
		give_up_at("map", result);
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
	zygote->shared_bytes = strtoull(arguments[AYREI_ZYGOTE_SHARED], NULL, 10);
	zygote->cpu_seconds = (uint32_t)strtoul(arguments[AYREI_ZYGOTE_CPU], NULL, 10);
	zygote->without = (uint32_t)strtoul(arguments[AYREI_ZYGOTE_WITHOUT], NULL, 10);
	zygote->reads = (const char *const *)arguments + AYREI_ZYGOTE_READS;
	zygote->read_count = (size_t)(count - AYREI_ZYGOTE_READS);
}

static void begin(struct ayrei_zygote *zygote)
{
	struct ayre_error error;
	int result;

	ayrei_zygote_find_stack();
	result = ayrei_zygote_keep(zygote);
	if (result == 0)
		result = zygote->address_space = ayrei_address_space_open();
	if (result >= 0)
		result = chdir("/") == -1 ? -errno : 0;
	if (result < 0)
		give_up_at("begin", result);
	zygote->pid = ayrei_own_process();
	zygote->word = ayrei_zygote_map(AYREI_CHANNEL_WORD, AYREI_CHANNEL_HEAD, true);
	/* What belongs to the zygote is not for its workers. */
	result = ayrei_map_keep_from_children(zygote->word, AYREI_CHANNEL_HEAD);
	if (result == 0)
		result = ayrei_zygote_tell_crashes(zygote->word);
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
	zygote->mapped_bytes = ayrei_address_space_read(zygote->address_space);
	zygote->address_space = ayrei_file_close(zygote->address_space);
}

ayrei_module_function *ayrei_zygote_find(struct ayrei_zygote *zygote, const char *name)
{
	if (!zygote->function || strcmp(zygote->function_name, name) != 0) {
		*(void **)&zygote->function = name[0] ? dlsym(zygote->handle, name) : NULL;
		strcpy(zygote->function_name, name);
	}
	return zygote->function;
}

/* --- orders --- */

/* By slot: a worker and its pidfd; 0: there is none. */
struct child {
	pid_t pid;
	int pidfd;
};

static struct child children[AYREI_SLOTS_MAX];

void ayrei_zygote_report(const struct ayrei_report *report, const int *passed)
{
	int result;

	/* As much as there can be is under way to the host, which has to take some of it first. */
	while ((result = ayrei_socket_send(AYREI_CHANNEL_SOCKET, report, sizeof(*report), passed,
	                                   passed ? 1 : 0)) == -EAGAIN ||
	       result == -ETOOMANYREFS)
		if (ayrei_wait_for(AYREI_CHANNEL_SOCKET, 0, ayrei_monotonic_ns() + PATIENCE_NS) > 0)
			break;
	if (result < 0)
		_exit(EXIT_FAILURE);
}

static void start_worker(struct ayrei_zygote *zygote, const struct ayrei_order *order,
                         const int *fds)
{
	struct child *child = &children[order->slot];
	struct ayrei_report started = {.kind = AYREI_REPORT_STARTED, .slot = order->slot};
	int pidfd = -1;
	pid_t pid;

	(void)!ayrei_zygote_find(zygote, order->function);
	pid = ayrei_child_fork_watched(&pidfd);
	if (pid == 0)
		ayrei_zygote_serve(zygote, order, fds);
	if (pid < 0)
		started.code = pid;
	else
		*child = (struct child){.pid = pid, .pidfd = pidfd};
	ayrei_zygote_report(&started, pid < 0 ? NULL : &pidfd);
}

static void tell_end(pid_t pid, struct ayrei_report *ended)
{
	for (uint32_t i = 0; i < AYREI_SLOTS_MAX; i++) {
		if (children[i].pid != pid)
			continue;
		ayrei_file_close(children[i].pidfd);
		children[i].pid = 0;
		ended->slot = i;
		ayrei_zygote_report(ended, NULL);
	}
}

static void tell_ends(void)
{
	struct ayrei_report ended = {.kind = AYREI_REPORT_ENDED};
	pid_t pid;

	while ((pid = ayrei_child_take_any(&ended.status, &ended.cpu_ns, &ended.max_rss_bytes)) > 0)
		tell_end(pid, &ended);
}

static void take_order(struct ayrei_zygote *zygote)
{
	struct ayrei_order order;
	int fds[AYREI_ORDER_FDS];
	ssize_t length = ayrei_socket_receive(AYREI_CHANNEL_SOCKET, &order, sizeof(order), fds,
	                                      AYREI_ORDER_FDS);

	if (length == -EAGAIN)
		return;
	/* The host is gone, or wants one too many. */
	if (length != (ssize_t)sizeof(order) || order.slot >= AYREI_SLOTS_MAX ||
	    children[order.slot].pid ||
	    strnlen(order.function, AYREI_FUNCTION_BYTES) == AYREI_FUNCTION_BYTES)
		_exit(EXIT_SUCCESS);
	start_worker(zygote, &order, fds);
	for (int i = 0; i < AYREI_ORDER_FDS; i++)
		ayrei_file_close(fds[i]);
}

static void __attribute__((noreturn)) take_orders(struct ayrei_zygote *zygote)
{
	for (;;) {
		int fds[1 + AYREI_SLOTS_MAX] = {AYREI_CHANNEL_SOCKET};
		int count = 1;

		for (int i = 0; i < AYREI_SLOTS_MAX; i++)
			if (children[i].pid)
				fds[count++] = children[i].pidfd;
		if (ayrei_wait_for_any(fds, count, INT64_MAX) < 0)
			_exit(EXIT_FAILURE);
		/* A worker's end comes before the next order for its slot. */
		if (count > 1)
			tell_ends();
		take_order(zygote);
	}
}

int main(int argument_count, char **arguments)
{
	struct ayrei_zygote zygote = {0};
	const struct ayrei_report loaded = {.kind = AYREI_REPORT_LOADED};

	read_arguments(&zygote, argument_count, arguments);
	begin(&zygote);
	load(&zygote);
	ayrei_zygote_report(&loaded, NULL);
	take_orders(&zygote);
}
