/*
 * From a module to a zygote that is to load it, and its end.
 *
 * Invariant: the zygote begins with five descriptors, three of them of /dev/null, and no environment; nothing
 * else of the host is there. On failure nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/child.h"
#include "sys/clone.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/socket.h"
#include "sys/system.h"
#include "worker/worker.h"

#define SECOND_NS    INT64_C(1000000000)
#define SHARED_SPARE (UINT64_C(1) << 20)
#define NUMBER_BYTES 24

/* --- what is shared --- */

/* What a zygote gets, and we keep nothing of but our end of the socket and a map of the page. */
struct zygote_ends {
	int fds[AYREI_CHANNEL_END];
	struct ayrei_replies *word;
};

static int share(struct ayre_worker *worker, struct zygote_ends *ends, struct ayre_error *error)
{
	int pair[2], *fds = ends->fds;
	void *map = NULL;
	int result = ayrei_socket_pair(pair);

	if (result == 0) {
		worker->socket = pair[0];
		fds[AYREI_CHANNEL_SOCKET] = pair[1];
		result = fds[AYREI_CHANNEL_WORD] =
			ayrei_channel_file("ayre-word", AYREI_CHANNEL_HEAD, false, &map);
		ends->word = map;
	}
	if (result >= 0)
		result = ayrei_worker_make_slots(worker);
	if (result < 0)
		return ayrei_fail(error, result, "create", "memory of a worker", NULL);
	for (int i = 0; result >= 0 && i <= 2; i++)
		result = fds[i] = ayrei_file_open("/dev/null", O_RDWR, 0);
	return result >= 0
	               ? 0
	               : ayrei_fail(error, result, "open", "/dev/null",
	                            "a worker has it for standard input and output: there has "
	                            "to be one that this user can open, on a mount with devices");
}

static void let_go(struct zygote_ends *ends)
{
	for (int i = 0; i < AYREI_CHANNEL_END; i++)
		ayrei_file_close(ends->fds[i]);
	ayrei_unmap(ends->word, AYREI_CHANNEL_HEAD);
}

/* --- the zygote --- */

static const char *program(void)
{
	/* For tests of what is not installed; never for a program with more rights than its user. */
	const char *other = secure_getenv("AYRE_ZYGOTE");

	return other ? other : AYREI_ZYGOTE_PATH;
}

static int start_zygote(struct ayre_worker *worker, const struct zygote_ends *ends,
                        char *const *arguments, struct ayre_error *error)
{
	char *const environment[] = {NULL};
	struct ayrei_child_wire wires[AYREI_CHANNEL_END];
	struct ayrei_child child = {
		.path = program(),
		.arguments = arguments,
		.environment = environment,
		.directory_fd = -1,
		.wires = wires,
		.wire_count = AYREI_CHANNEL_END,
		.flags = AYREI_CHILD_NEW_SESSION,
		.host = ayrei_own_process(),
	};
	size_t failed;
	int result;

	for (int i = 0; i < AYREI_CHANNEL_END; i++)
		wires[i] = (struct ayrei_child_wire){.target = i, .source = ends->fds[i]};
	result = ayrei_children_start(&child, 1, &failed);
	if (result < 0)
		return ayrei_fail(error, result, ayrei_child_step_name(child.step), child.path,
		                  "the helper program of workers cannot be started");
	worker->keeper = child.pidfd;
	worker->is_lost = false;
	return 0;
}

/*
 * Absolute, since the zygote is elsewhere; the kernel's word for what a path leads to, which it has in /proc.
 * NULL: the error says why.
 */
static char *path_of(const char *path, int flags, mode_t type, struct ayre_error *error)
{
	ayrei_auto_free char *found = malloc(PATH_MAX);
	ayrei_auto_fd int fd = ayrei_file_open(path, flags, 0);
	struct stat status;
	int result = fd < 0 ? fd : !found ? -ENOMEM : ayrei_file_status(fd, &status);

	if (result == 0 && type && (status.st_mode & S_IFMT) != type)
		result = -ELIBBAD;
	if (result < 0) {
		ayrei_fail(error, result, "open", path, NULL);
		return NULL;
	}
	result = ayrei_file_path(fd, found, PATH_MAX);
	if (result == 0)
		return ayrei_take_pointer(found);
	ayrei_fail(error, result, "open", path, "%s",
	           result == -ENOENT ? "where it lies is read from /proc: mount it" : "");
	return NULL;
}

static void free_arguments(char **arguments, size_t count)
{
	for (size_t i = AYREI_ZYGOTE_MODULE; arguments && i < count; i++)
		free(arguments[i]);
	free(arguments);
}

static char *number_text(uint64_t number)
{
	char *text = malloc(NUMBER_BYTES);

	if (text)
		snprintf(text, NUMBER_BYTES, "%" PRIu64, number);
	return text;
}

static int pass_failure(struct ayre_error *error, const struct ayre_error *failure)
{
	if (error)
		*error = *failure;
	return failure->code;
}

static int fill_arguments(const struct ayre_worker_options *options, const char *module,
                          char **arguments, struct ayre_error *error)
{
	static char name[] = "ayre-zygote";
	struct ayre_error failure;

	arguments[AYREI_ZYGOTE_NAME] = name;
	arguments[AYREI_ZYGOTE_MODULE] = path_of(module, O_RDONLY, S_IFREG, &failure);
	if (!arguments[AYREI_ZYGOTE_MODULE])
		return pass_failure(error, &failure);
	arguments[AYREI_ZYGOTE_MEMORY] = number_text(options->memory_bytes);
	/* And of each a page, and more. */
	arguments[AYREI_ZYGOTE_SHARED] = number_text(options->request_max + options->reply_max +
	                                             options->input_max + SHARED_SPARE);
	arguments[AYREI_ZYGOTE_CPU] =
		number_text((uint64_t)((options->cpu_ns + SECOND_NS - 1) / SECOND_NS));
	arguments[AYREI_ZYGOTE_WITHOUT] = number_text(options->without);
	for (int i = AYREI_ZYGOTE_MEMORY; i < AYREI_ZYGOTE_READS; i++)
		if (!arguments[i])
			return ayrei_fail(error, -ENOMEM, "open", module, NULL);
	for (size_t i = 0; i < options->read_count; i++) {
		arguments[AYREI_ZYGOTE_READS + i] = path_of(options->reads[i], O_PATH, 0, &failure);
		if (!arguments[AYREI_ZYGOTE_READS + i])
			return pass_failure(error, &failure);
	}
	return 0;
}

/* --- the whole --- */

static struct ayre_worker *new_worker(const struct ayre_worker_options *options)
{
	struct ayre_worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	*worker = (struct ayre_worker){
		.options = *options,
		.socket = -1,
		.keeper = -1,
		.is_lost = true,
		.set = -1,
		.timer = -1,
	};
	worker->end.system_call = -1;
	worker->options.reads = NULL;
	worker->options.read_count = 0;
	/* On one processor who spins keeps the other from running. */
	if (ayrei_processors_usable() < 2)
		worker->options.spin_ns = AYRE_SPIN_NONE;
	ayrei_spin_init(&worker->spin, worker->options.spin_ns);
	return worker;
}

static int begin(struct ayre_worker *worker, char *const *arguments, int64_t deadline_ns,
                 struct ayre_error *error)
{
	const char *module = arguments[AYREI_ZYGOTE_MODULE];
	struct zygote_ends ends = {.word = NULL};
	int result;

	for (int i = 0; i < AYREI_CHANNEL_END; i++)
		ends.fds[i] = -1;
	result = share(worker, &ends, error);
	if (result == 0)
		result = start_zygote(worker, &ends, arguments, error);
	for (int i = 0; i < AYREI_CHANNEL_END; i++)
		ends.fds[i] = ayrei_file_close(ends.fds[i]);
	if (result == 0)
		result = ayrei_worker_await_module(worker, ends.word, module, deadline_ns, error);
	let_go(&ends);
	return result;
}

static int open_with(const struct ayre_worker_options *options, char *const *arguments,
                     struct ayre_worker **ret_worker, struct ayre_error *error)
{
	int64_t now_ns = ayrei_monotonic_ns(), deadline_ns = AYRE_NO_DEADLINE;
	const char *module = arguments[AYREI_ZYGOTE_MODULE];
	struct ayre_worker *worker = new_worker(options);
	int result;

	if (!worker)
		return ayrei_fail(error, -ENOMEM, "open", module, NULL);
	if (options->load_timeout_ns < AYRE_NO_DEADLINE - now_ns)
		deadline_ns = now_ns + options->load_timeout_ns;
	result = begin(worker, arguments, deadline_ns, error);
	if (result == 0)
		result = ayrei_worker_await_process(worker, module, deadline_ns, error);
	if (result < 0) {
		ayre_worker_close(worker);
		return result;
	}
	*ret_worker = worker;
	return 0;
}

int ayre_worker_open(const struct ayre_worker_options *given, const char *module,
                     struct ayre_worker **ret_worker, struct ayre_error *error)
{
	struct ayre_worker_options options;
	size_t count;
	char **arguments;
	int result = module ? ayrei_worker_take_options(&options, given) : -EINVAL;

	if (result < 0)
		return ayrei_fail(error, result, "options", module ? module : "worker", NULL);
	count = AYREI_ZYGOTE_READS + options.read_count;
	arguments = calloc(count + 1, sizeof(*arguments));
	if (!arguments)
		return ayrei_fail(error, -ENOMEM, "open", module, NULL);
	result = fill_arguments(&options, module, arguments, error);
	if (result == 0)
		result = open_with(&options, arguments, ret_worker, error);
	free_arguments(arguments, count);
	return result;
}

/* By their parent, so that they are not left to whoever takes orphans. */
static void end_processes(struct ayre_worker *worker)
{
	int64_t soon = ayrei_monotonic_ns() + SECOND_NS;
	bool are_there;

	worker->options.spares = 0;
	do {
		are_there = false;
		for (uint32_t i = 0; i < worker->slot_count; i++) {
			ayrei_process_kill(&worker->slots[i]);
			are_there |= worker->slots[i].state != AYREI_PROCESS_NONE;
		}
	} while (are_there && ayrei_worker_hear(worker, soon) == 0);
	ayrei_worker_abandon(worker);
	if (worker->keeper >= 0)
		ayrei_child_reap(worker->keeper);
}

void ayre_worker_close(struct ayre_worker *worker)
{
	int saved = errno;

	if (!worker)
		return;
	end_processes(worker);
	ayrei_file_close(worker->keeper);
	ayrei_file_close(worker->socket);
	ayrei_file_close(worker->set);
	ayrei_file_close(worker->timer);
	ayrei_worker_free_slots(worker);
	free(worker->poisons);
	free(worker);
	errno = saved;
}
