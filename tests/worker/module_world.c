/*
 * Opening modules of the tests.
 */
#include "worker/module_world.h"

#include <errno.h>
#include <poll.h>

const char *module_path(const char *name, char path[static 512])
{
	const char *directory = getenv("MODULE_DIR");

	require(directory);
	snprintf(path, 512, "%s/%s.so", directory, name);
	return path;
}

struct ayre_worker *open_module(const struct ayre_worker_options *options, const char *name)
{
	struct ayre_worker *worker = NULL;
	struct ayre_error error;
	char path[512], text[640];

	if (ayre_worker_open(options, module_path(name, path), &worker, &error) < 0)
		dprintf(STDERR_FILENO, "%s\n", ayre_error_text(&error, text, sizeof(text)));
	require(worker);
	return worker;
}

ssize_t call_text(struct ayre_worker *worker, const char *function, const char *text,
                  char reply[static 4096])
{
	return ayre_worker_call(worker, function, text, strlen(text), reply, 4096);
}

uint32_t call_number(struct ayre_worker *worker, const char *function)
{
	char room[65536];
	uint32_t number;

	require(ayre_worker_call(worker, function, "x", 1, room, sizeof(room)) == sizeof(number));
	memcpy(&number, room, sizeof(number));
	return number;
}

int submit_job(struct ayre_worker *worker, const struct ayre_worker_job *job, uint64_t *ret_call)
{
	struct pollfd fd = {.fd = ayre_worker_fd(worker), .events = POLLIN};
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	int result;

	while ((result = ayre_worker_submit(worker, job, ret_call)) == -EAGAIN) {
		require(poll(&fd, 1, 5000) == 1);
		result = ayre_worker_try_collect(worker, &answer);
		require(result == -EAGAIN || result == -ENOMSG);
	}
	return result;
}

struct ayre_worker_end end_of_worker(const struct ayre_worker *worker)
{
	struct ayre_worker_end end = {.size = sizeof(end)};

	require(ayre_worker_last_end(worker, &end) == 0);
	return end;
}

struct ayre_worker_info info_of_worker(const struct ayre_worker *worker)
{
	struct ayre_worker_info info = {.size = sizeof(info)};

	require(ayre_worker_get_info(worker, &info) == 0);
	return info;
}

pid_t first_child_of(pid_t parent)
{
	char path[64];
	FILE *file;
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "re");
	if (file && fscanf(file, "%d", &child) != 1)
		child = 0;
	if (file)
		fclose(file);
	return (pid_t)child;
}

pid_t zygote_of(pid_t host)
{
	pid_t keeper = first_child_of(host);

	return keeper > 0 ? first_child_of(keeper) : 0;
}
