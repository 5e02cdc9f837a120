/*
 * The posture: which layers could be had.
 *
 * Invariant: what is told was done, by a child, and not concluded from versions.
 */
#include "worker/confine.h"

#include <errno.h>
#include <signal.h>

#include "base/error.h"
#include "base/options.h"
#include "sys/child.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* What the child tells: before each layer that it tries it, and at last how it went. */
struct answer {
	int32_t result;  /* 0 or a negative errno; 1: it has just begun */
	uint32_t trying; /* enum ayre_layer */
	struct ayre_posture posture;
	struct ayre_error error;
};

static void tell_begin(const struct ayrei_confinement *confinement, uint32_t layer)
{
	const struct answer answer = {.result = 1, .trying = layer};

	ayrei_child_tell(confinement->begin_fd, &answer, sizeof(answer));
}

static void __attribute__((noreturn)) tell(int fd)
{
	struct ayrei_confinement confinement = {
		.options = {.without = AYRE_LAYERS_MANDATORY, .keep = &fd, .keep_count = 1},
		.tries_all = true,
		.begin = tell_begin,
		.begin_fd = fd,
	};
	struct answer answer = {.result = 0};

	answer.result = ayrei_confine_alone(&confinement, &answer.error);
	answer.posture = confinement.posture;
	ayrei_child_exit_telling(fd, &answer, sizeof(answer));
}

/* Its last word. A pipe keeps together what is no longer than PIPE_BUF. */
static int hear(int fd, struct answer *ret_answer)
{
	struct answer answer;
	ssize_t length;

	*ret_answer = (struct answer){.result = 1};
	do {
		length = ayrei_file_read(fd, &answer, sizeof(answer));
		if (length == (ssize_t)sizeof(answer))
			*ret_answer = answer;
	} while (length == (ssize_t)sizeof(answer) && answer.result > 0);
	return length < 0 ? (int)length : 0;
}

/* It ended, and was not through. */
static int explain(const struct answer *answer, int status, struct ayre_error *error)
{
	const char *layer = ayre_layer_name(answer->trying);
	struct ayrei_child_end end = {0};

	ayrei_child_read_status(status, &end);
	if (!end.signaled)
		return ayrei_fail(error, -EPIPE, "confine", layer ? layer : "posture",
		                  "the process that tries it ended before it could tell");
	return ayrei_fail(error, -EPIPE, "confine", layer ? layer : "posture",
	                  "the process that tries it was killed by signal %d%s", end.status,
	                  end.status == SIGSYS
	                          ? ": a filter from outside, a container's, does not allow it"
	                          : "");
}

static int judge(const struct answer *answer, int status, struct ayre_error *error)
{
	if (answer->result > 0)
		return explain(answer, status, error);
	if (answer->result < 0 && error)
		*error = answer->error;
	return answer->result;
}

int ayre_posture_probe(struct ayre_posture *ret_posture, struct ayre_error *error)
{
	struct answer answer;
	int fds[2], result, status = 0;
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
	result = child < 0 ? child : hear(fds[0], &answer);
	ayrei_file_close(fds[0]);
	if (child > 0)
		status = ayrei_child_await(child);
	if (result < 0)
		return ayrei_fail(error, result, child < 0 ? "fork" : "read", "posture", NULL);
	result = judge(&answer, status, error);
	if (result == 0)
		result = ayrei_result_copy(ret_posture, &answer.posture, sizeof(answer.posture));
	return result;
}
