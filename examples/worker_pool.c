/*
 * The sizes of pictures in files: each is decoded in a process of its own, which has that file and nothing
 * else; four at once.
 *
 *   worker_pool PNG_MODULE.so FILE...
 *
 * Prints a line for each file, in the order in which they are done.
 *
 * Compiled by
 *
 *   cc -o worker_pool worker_pool.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ayre.h>

/* 1: it is under way, as *ret_call; 0: it never will be; -EAGAIN: there is no room for it yet. */
static int begin(struct ayre_worker *worker, const char *name, uint64_t *ret_call)
{
	struct ayre_worker_job job = {
		.size = sizeof(job),
		.function = "decode",
		.flags = AYRE_WORKER_INPUT,
		.input = open(name, O_RDONLY | O_CLOEXEC),
	};
	int result = job.input < 0 ? -errno : ayre_worker_submit(worker, &job, ret_call);

	if (result < 0 && result != -EAGAIN)
		printf("%s: %s\n", name, strerror(-result));
	if (job.input >= 0)
		close(job.input);
	return result == -EAGAIN ? result : result == 0;
}

static void tell(const char *name, const struct ayre_worker_answer *answer)
{
	uint32_t size[2] = {0, 0};
	char text[160];

	/* Its process may still be there, and change them: copied first, and looked at then. */
	if (answer->outcome >= 8)
		memcpy(size, answer->data, sizeof(size));
	if (answer->outcome >= 8 && answer->bytes == 8 + (uint64_t)size[0] * size[1] * 4)
		printf("%s: %u x %u\n", name, size[0], size[1]);
	else if (answer->end.kind != AYRE_WORKER_RUNNING)
		printf("%s: %s\n", name, ayre_worker_end_text(&answer->end, text, sizeof(text)));
	else
		printf("%s: no picture\n", name);
}

static int run(struct ayre_worker *worker, char **names, int count)
{
	struct ayre_worker_answer answer = {.size = sizeof(answer)};
	struct pollfd fd = {.fd = ayre_worker_fd(worker), .events = POLLIN};
	int next = 0, under_way = 0, result = fd.fd;
	uint64_t call;

	while (result >= 0) {
		for (; next < count && result != -EAGAIN; next += result != -EAGAIN) {
			result = begin(worker, names[next], &call);
			under_way += result == 1;
			if (result == 1)
				names[call - 1] = names[next]; /* calls count from 1 */
		}
		if (!under_way && next == count)
			return 0;
		poll(&fd, 1, -1);
		while ((result = ayre_worker_try_collect(worker, &answer)) == 0) {
			tell(names[answer.call - 1], &answer);
			ayre_worker_release(worker, answer.call);
			under_way--;
		}
		if (result == -EAGAIN || result == -ENOMSG)
			result = 0;
	}
	return result;
}

int main(int argument_count, char **arguments)
{
	struct ayre_worker_options options = {.size = sizeof(options), .processes = 4};
	struct ayre_worker *worker;
	struct ayre_error error;
	char text[640];
	int result;

	if (argument_count < 3 || ayre_worker_open(&options, arguments[1], &worker, &error) < 0) {
		puts(argument_count < 3 ? "usage: worker_pool PNG_MODULE.so FILE..."
		                        : ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	result = run(worker, arguments + 2, argument_count - 2);
	if (result < 0)
		fprintf(stderr, "worker_pool: %s\n", strerror(-result));
	ayre_worker_close(worker);
	return result < 0 || fflush(stdout) != 0;
}
