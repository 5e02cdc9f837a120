/*
 * Preparing a start.
 *
 * Invariant: nothing here makes a process or changes the host; what was opened is closed again
 * by ayrei_launch_fini(), however far the preparation came.
 */
#include "process/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "process/program.h"
#include "sys/file.h"
#include "sys/pipe.h"

#define KNOWN_FLAGS \
	(AYRE_PROCESS_NEW_GROUP | AYRE_PROCESS_NEW_SESSION | AYRE_PROCESS_DIE_WITH_PARENT)

#define STANDARD_FDS 3

static const char *find_bad_option(const struct ayre_process_options *options)
{
	if (options->flags & ~(uint32_t)KNOWN_FLAGS)
		return "unknown flags";
	if (options->wire_count && !options->wires)
		return "wires without an address";
	if (options->limit_count && !options->limits)
		return "limits without an address";
	for (size_t i = 0; i < options->wire_count; i++) {
		if (options->wires[i].child_fd < 0 || options->wires[i].host_fd < -1)
			return "a wire has a negative descriptor";
		for (size_t j = 0; j < i; j++)
			if (options->wires[j].child_fd == options->wires[i].child_fd)
				return "a descriptor of the child is wired twice";
	}
	for (size_t i = 0; i < options->limit_count; i++)
		if (options->limits[i].soft > options->limits[i].hard)
			return "a soft limit is above the hard one";
	return NULL;
}

static int copy_limits(struct ayrei_launch *launch, const struct ayre_process_options *options)
{
	if (options->limit_count == 0)
		return 0;
	launch->limits = calloc(options->limit_count, sizeof(*launch->limits));
	if (!launch->limits)
		return -ENOMEM;
	for (size_t i = 0; i < options->limit_count; i++)
		launch->limits[i] = (struct ayrei_child_limit){
			.resource = options->limits[i].resource,
			.limit = {.rlim_cur = options->limits[i].soft,
		                  .rlim_max = options->limits[i].hard},
		};
	launch->child.limits = launch->limits;
	launch->child.limit_count = options->limit_count;
	return 0;
}

static int open_directory(struct ayrei_launch *launch, const char *path, struct ayre_error *error)
{
	int fd = ayrei_file_open(path, O_PATH | O_DIRECTORY, 0);

	fd = ayrei_descriptor_above_standard(fd);
	if (fd < 0)
		return ayrei_fail(error, fd, "directory", launch->name, "%s", path);
	launch->directory_fd = fd;
	launch->child.directory_fd = fd;
	return 0;
}

/* The host's own, or a hole that stays one. */
static int wire_standard(struct ayrei_launch *launch, struct ayre_error *error)
{
	int result = 0;

	for (int fd = 0; result == 0 && fd < STANDARD_FDS; fd++)
		result = ayrei_launch_wire(launch, fd, ayrei_descriptor_is_open(fd) ? fd : -1,
		                           error);
	return result;
}

/* What the program will have; 0: what the host has. */
static uint64_t get_stack_bytes(const struct ayre_process_options *options)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < options->limit_count; i++)
		if (options->limits[i].resource == RLIMIT_STACK)
			bytes = options->limits[i].soft;
	return bytes;
}

static int find_program(struct ayrei_launch *launch, const struct ayre_process_options *options,
                        const char *const *arguments, struct ayre_error *error)
{
	const char *const *environment = options->environment;
	int result;

	if (!environment)
		environment = (const char *const *)environ;
	result = ayrei_program_find(options->program ? options->program : arguments[0], environment,
	                            launch->directory_fd, &launch->path, error);
	if (result == 0)
		result = ayrei_program_check_arguments(launch->name, arguments, environment,
		                                       get_stack_bytes(options), error);
	if (result < 0)
		return result;
	launch->child.path = launch->path;
	/* execve(2) takes them so, and changes nothing. */
	launch->child.arguments = (char *const *)(uintptr_t)arguments;
	launch->child.environment = (char *const *)(uintptr_t)environment;
	return 0;
}

static uint32_t to_child_flags(uint32_t flags)
{
	return (flags & AYRE_PROCESS_NEW_GROUP ? AYREI_CHILD_NEW_GROUP : 0) |
	       (flags & AYRE_PROCESS_NEW_SESSION ? AYREI_CHILD_NEW_SESSION : 0) |
	       (flags & AYRE_PROCESS_DIE_WITH_PARENT ? AYREI_CHILD_DIE_WITH_PARENT : 0);
}

int ayrei_launch_init(struct ayrei_launch *launch, const struct ayre_process_options *options,
                      const char *name, const char *const *arguments, struct ayre_error *error)
{
	const char *bad = find_bad_option(options);
	int result;

	*launch = (struct ayrei_launch){
		.name = name,
		.directory_fd = -1,
		.nothing_fd = -1,
		.child = {.directory_fd = -1,
	                  .pidfd = -1,
	                  .flags = to_child_flags(options->flags),
	                  .host = getpid()},
	};
	if (bad)
		return ayrei_fail(error, -EINVAL, "options", name, "%s", bad);
	result = copy_limits(launch, options);
	if (result < 0)
		return ayrei_fail(error, result, "options", name, NULL);
	if (options->directory)
		result = open_directory(launch, options->directory, error);
	if (result == 0 && arguments)
		result = find_program(launch, options, arguments, error);
	return result == 0 ? wire_standard(launch, error) : result;
}

void ayrei_launch_fini(struct ayrei_launch *launch)
{
	int saved = errno;

	ayrei_file_close(launch->directory_fd);
	ayrei_file_close(launch->nothing_fd);
	free(launch->path);
	free(launch->wires);
	free(launch->limits);
	errno = saved;
}

static int reserve_wire(struct ayrei_launch *launch)
{
	size_t room = launch->wire_room ? 2 * launch->wire_room : 4;
	struct ayrei_child_wire *wires;

	if (launch->wire_count < launch->wire_room)
		return 0;
	wires = reallocarray(launch->wires, room, sizeof(*wires));
	if (!wires)
		return -ENOMEM;
	launch->wires = wires;
	launch->wire_room = room;
	return 0;
}

/* O_PATH: there is something at that number, and neither read nor write takes it. */
static int open_nothing(struct ayrei_launch *launch)
{
	if (launch->nothing_fd < 0)
		launch->nothing_fd =
			ayrei_descriptor_above_standard(ayrei_file_open("/dev/null", O_PATH, 0));
	return launch->nothing_fd;
}

int ayrei_launch_wire(struct ayrei_launch *launch, int target, int source, struct ayre_error *error)
{
	int result = reserve_wire(launch);

	if (result == 0 && source < 0)
		source = result = open_nothing(launch);
	if (result < 0)
		return ayrei_fail(error, result, "wire", launch->name, NULL);
	for (size_t i = 0; i < launch->wire_count; i++)
		if (launch->wires[i].target == target) {
			launch->wires[i].source = source;
			return 0;
		}
	launch->wires[launch->wire_count++] = (struct ayrei_child_wire){target, source};
	return 0;
}

int ayrei_launch_finish(struct ayrei_launch *launch, const struct ayre_process_options *options,
                        struct ayre_error *error)
{
	for (size_t i = 0; i < options->wire_count; i++) {
		const struct ayre_wire *wire = &options->wires[i];
		int result;

		if (wire->host_fd >= 0 && !ayrei_descriptor_is_open(wire->host_fd))
			return ayrei_fail(error, -EBADF, "wire", launch->name,
			                  "descriptor %d of the host is not open", wire->host_fd);
		result = ayrei_launch_wire(launch, wire->child_fd, wire->host_fd, error);
		if (result < 0)
			return result;
	}
	launch->child.wires = launch->wires;
	launch->child.wire_count = launch->wire_count;
	return 0;
}

int ayrei_launch_report(const struct ayrei_launch *launch, int code, struct ayre_error *error)
{
	enum ayrei_child_step step = launch->child.step;
	const char *detail = NULL;

	if (code == -ECANCELED)
		detail = "it was killed before all were ready";
	if (step == AYREI_STEP_CLONE && code == -EAGAIN)
		detail = "this user, or the machine, has no processes left";
	if (step == AYREI_STEP_EXECUTE && code == -ENOENT)
		detail = "its dynamic loader or interpreter is missing";
	if (step == AYREI_STEP_WIRE && code == -EBADF)
		detail = "beyond the limit of open files";
	return ayrei_fail(error, code, ayrei_child_step_name(step), launch->name,
	                  detail ? "%s" : NULL, detail);
}
