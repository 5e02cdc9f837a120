/*
 * The posture: which layers could be had.
 *
 * Invariant: what is told was done, by a child, and not concluded from versions.
 */
#include "worker/confine.h"

#include <errno.h>

#include "base/error.h"
#include "base/options.h"
#include "sys/child.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* What the child tells. */
struct answer {
	int32_t result;
	struct ayre_posture posture;
	struct ayre_error error;
};

static void __attribute__((noreturn)) tell(int fd)
{
	const struct ayre_confine_options options = {
		.size = sizeof(options),
		.without = AYRE_LAYERS_MANDATORY,
		.keep = &fd,
		.keep_count = 1,
	};
	struct answer answer = {.posture = {.size = sizeof(answer.posture)}};

	answer.result = ayre_confine(&options, &answer.posture, &answer.error);
	ayrei_child_exit_telling(fd, &answer, sizeof(answer));
}

static int hear(int fd, struct answer *ret_answer, struct ayre_error *error)
{
	ssize_t length = ayrei_file_read(fd, ret_answer, sizeof(*ret_answer));

	if (length < 0)
		return ayrei_fail(error, (int)length, "read", "posture", NULL);
	if ((size_t)length < sizeof(*ret_answer))
		return ayrei_fail(error, -EPIPE, "read", "posture",
		                  "the process that tries it ended before it could tell");
	if (ret_answer->result < 0 && error)
		*error = ret_answer->error;
	return ret_answer->result;
}

int ayre_posture_probe(struct ayre_posture *ret_posture, struct ayre_error *error)
{
	struct answer answer;
	int fds[2], result;
	pid_t child;

	if (ret_posture->size < sizeof(size_t))
		return ayrei_fail(error, -EINVAL, "probe", "posture", "a size is not set");
	result = ayrei_pipe_open(fds);
	if (result < 0)
		return ayrei_fail(error, result, "pipe", "posture", NULL);
	child = ayrei_child_fork();
	if (child == 0)
		tell(fds[1]);
	ayrei_file_close(fds[1]);
	result = child < 0 ? ayrei_fail(error, child, "fork", "posture", NULL)
	                   : hear(fds[0], &answer, error);
	ayrei_file_close(fds[0]);
	if (child > 0)
		ayrei_child_await(child);
	if (result == 0)
		result = ayrei_result_copy(ret_posture, &answer.posture, sizeof(answer.posture));
	return result;
}
