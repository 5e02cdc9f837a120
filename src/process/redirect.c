/*
 * Where the descriptors of stages are sent instead: files, memory, other descriptors.
 *
 * Invariant: a file that was made is known to be ours, and is removed if the start fails; one that
 * was there keeps its bytes until everything else has succeeded.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "process/pipeline.h"
#include "process/plan.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* A file that the plan opened. */
struct ayrei_file {
	int fd; /* -1: handed over */
	const char *path;
	bool made, truncates;
};

bool ayrei_redirect_is_tee(const struct ayrei_redirection *redirection)
{
	return redirection->given.kind == AYRE_REDIRECT_TEE_WRITE ||
	       redirection->given.kind == AYRE_REDIRECT_TEE_APPEND;
}

/* What a fan's output is redirected to gets a copy like the others. */
static int redirect(struct ayre_pipeline *pipeline, int stage, int fd, int source,
                    struct ayre_error *error)
{
	struct ayrei_fan *fan = fd == STDOUT_FILENO ? ayrei_plan_find_fan(pipeline, stage) : NULL;
	int result;

	if (!fan)
		return ayrei_plan_wire(pipeline, stage, fd, source, error);
	result = ayrei_plan_add_sink(pipeline, fan, source, -1, false);
	return result < 0 ? ayrei_plan_fail(pipeline, stage, result, error) : 0;
}

/*
 * Makes it if it is missing, and knows then that it did. Blocks on a named pipe, as a shell does; but
 * not for a copy, which we write ourselves and never wait for.
 */
static int open_output(struct ayrei_file *file, bool append, bool is_copy)
{
	int flags = O_WRONLY | (append ? O_APPEND : 0) | (is_copy ? O_NONBLOCK : 0);
	int fd = ayrei_file_open_blocking(file->path, flags, 0);

	if (fd != -ENOENT)
		return fd;
	fd = ayrei_file_open_blocking(file->path, flags | O_CREAT | O_EXCL, 0666);
	file->made = fd >= 0;
	/* Somebody else made it just now, or it is a symbolic link that leads nowhere yet. */
	if (fd == -EEXIST)
		fd = ayrei_file_open_blocking(file->path, flags | O_CREAT, 0666);
	return fd;
}

static int open_file(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                     struct ayre_error *error)
{
	struct ayrei_file *file = AYREI_APPEND(pipeline->files, pipeline->file_count);
	bool append =
		given->kind == AYRE_REDIRECT_APPEND || given->kind == AYRE_REDIRECT_TEE_APPEND;
	bool is_copy =
		given->kind == AYRE_REDIRECT_TEE_WRITE || given->kind == AYRE_REDIRECT_TEE_APPEND;
	struct stat status;
	int fd, result;

	if (!file)
		return ayrei_fail(error, -ENOMEM, "open", given->path, NULL);
	*file = (struct ayrei_file){.fd = -1, .path = given->path};
	fd = given->kind == AYRE_REDIRECT_READ ? ayrei_file_open_blocking(given->path, O_RDONLY, 0)
	                                       : open_output(file, append, is_copy);
	fd = ayrei_descriptor_above_standard(fd);
	if (fd < 0)
		return ayrei_fail(error, fd, "open", given->path, NULL);
	file->fd = fd;
	result = ayrei_file_status(fd, &status);
	/* It opens for reading, and then every read fails. */
	if (result == 0 && S_ISDIR(status.st_mode))
		result = -EISDIR;
	if (result < 0)
		return ayrei_fail(error, result, "open", given->path, NULL);
	file->truncates =
		(given->kind == AYRE_REDIRECT_WRITE || given->kind == AYRE_REDIRECT_TEE_WRITE) &&
		S_ISREG(status.st_mode) && !file->made;
	return fd;
}

/* A pipe of the host's and a stage's alone. */
static int make_private_pipe(struct ayre_pipeline *pipeline, int fds[2])
{
	uint64_t asked = pipeline->options.pipe_bytes ? pipeline->options.pipe_bytes
	                                              : AYREI_DEFAULT_PIPE_BYTES;
	int result = ayrei_pipe_open(fds);

	if (result == 0)
		(void)ayrei_pipe_ask_capacity(fds[1], asked);
	return result;
}

static int plan_feed(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                     struct ayre_error *error)
{
	struct ayrei_feed *feed = AYREI_APPEND(pipeline->feeds, pipeline->feed_count);
	int fds[2], result;

	if (!feed)
		return ayrei_plan_fail(pipeline, given->stage, -ENOMEM, error);
	*feed = (struct ayrei_feed){.fd = -1,
	                            .read_fd = -1,
	                            .bytes = given->bytes,
	                            .left = given->byte_count,
	                            .stage = given->stage,
	                            .stage_fd = given->fd};
	result = make_private_pipe(pipeline, fds);
	if (result < 0)
		return ayrei_plan_fail(pipeline, given->stage, result, error);
	feed->read_fd = fds[0];
	feed->fd = fds[1];
	if (given->fd == 0)
		pipeline->stages[given->stage].feed = (int)pipeline->feed_count - 1;
	result = ayrei_descriptor_set_blocking(feed->fd, false);
	if (result < 0)
		return ayrei_plan_fail(pipeline, given->stage, result, error);
	return redirect(pipeline, given->stage, given->fd, feed->read_fd, error);
}

static int plan_capture(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                        struct ayre_error *error)
{
	struct ayrei_capture *capture = AYREI_APPEND(pipeline->captures, pipeline->capture_count);
	int fds[2], result;

	if (!capture)
		return ayrei_plan_fail(pipeline, given->stage, -ENOMEM, error);
	*capture = (struct ayrei_capture){.fd = -1,
	                                  .write_fd = -1,
	                                  .bound = given->bound_bytes,
	                                  .at_bound = given->at_bound,
	                                  .stage = given->stage,
	                                  .stage_fd = given->fd};
	result = make_private_pipe(pipeline, fds);
	if (result < 0)
		return ayrei_plan_fail(pipeline, given->stage, result, error);
	capture->fd = fds[0];
	capture->write_fd = fds[1];
	if (given->fd == 1)
		pipeline->stages[given->stage].output_capture = (int)pipeline->capture_count - 1;
	result = ayrei_descriptor_set_blocking(capture->fd, false);
	if (result < 0)
		return ayrei_plan_fail(pipeline, given->stage, result, error);
	return redirect(pipeline, given->stage, given->fd, capture->write_fd, error);
}

/* The host keeps a share of the description, which tells how far the stage has come. */
static void watch_file(struct ayrei_stage *stage, int fd, int file)
{
	if (fd == 0) {
		stage->input_begin = ayrei_file_position(file);
		stage->input_file = ayrei_file_close(stage->input_file);
		if (stage->input_begin >= 0)
			stage->input_file = ayrei_file_duplicate(file);
	}
	if (fd == 1) {
		stage->output_begin = ayrei_file_position(file);
		stage->output_file = ayrei_file_close(stage->output_file);
		if (stage->output_begin >= 0)
			stage->output_file = ayrei_file_duplicate(file);
	}
}

static int plan_file(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                     struct ayre_error *error)
{
	int fd = open_file(pipeline, given, error);

	if (fd < 0)
		return fd;
	if (given->kind == AYRE_REDIRECT_READ || given->kind == AYRE_REDIRECT_WRITE)
		watch_file(&pipeline->stages[given->stage], given->fd, fd);
	return redirect(pipeline, given->stage, given->fd, fd, error);
}

static int plan_tee(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                    struct ayre_error *error)
{
	struct ayrei_fan *fan = ayrei_plan_find_fan(pipeline, given->stage);
	int fd = open_file(pipeline, given, error);
	int result;

	if (fd < 0)
		return fd;
	result = ayrei_plan_add_sink(pipeline, fan, fd, -1, true);
	return result < 0 ? ayrei_plan_fail(pipeline, given->stage, result, error) : 0;
}

static int plan_nothing(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                        struct ayre_error *error)
{
	if (pipeline->null_fd < 0)
		pipeline->null_fd = ayrei_descriptor_above_standard(
			ayrei_file_open_blocking("/dev/null", O_RDWR, 0));
	if (pipeline->null_fd < 0)
		return ayrei_fail(error, pipeline->null_fd, "open", "/dev/null", NULL);
	return redirect(pipeline, given->stage, given->fd, pipeline->null_fd, error);
}

static int plan_host_fd(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                        struct ayre_error *error)
{
	if (!ayrei_descriptor_is_open(given->host_fd))
		return ayrei_fail(error, -EBADF, "wire", pipeline->stages[given->stage].name,
		                  "descriptor %d of the host is not open", given->host_fd);
	return redirect(pipeline, given->stage, given->fd, given->host_fd, error);
}

static int plan_same(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                     struct ayre_error *error)
{
	const struct ayrei_launch *launch = &pipeline->stages[given->stage].launch;

	for (size_t i = 0; i < launch->wire_count; i++)
		if (launch->wires[i].target == given->host_fd)
			return redirect(pipeline, given->stage, given->fd, launch->wires[i].source,
			                error);
	return ayrei_fail(error, -EBADF, "wire", pipeline->stages[given->stage].name,
	                  "the stage has no descriptor %d", given->host_fd);
}

static int plan_redirection(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                            struct ayre_error *error)
{
	switch (given->kind) {
	case AYRE_REDIRECT_READ:
	case AYRE_REDIRECT_WRITE:
	case AYRE_REDIRECT_APPEND:
		return plan_file(pipeline, given, error);
	case AYRE_REDIRECT_FD:
		return plan_host_fd(pipeline, given, error);
	case AYRE_REDIRECT_SAME:
		return plan_same(pipeline, given, error);
	case AYRE_REDIRECT_NOTHING:
		return plan_nothing(pipeline, given, error);
	case AYRE_REDIRECT_FEED:
		return plan_feed(pipeline, given, error);
	case AYRE_REDIRECT_CAPTURE:
		return plan_capture(pipeline, given, error);
	case AYRE_REDIRECT_TEE_WRITE:
	case AYRE_REDIRECT_TEE_APPEND:
		return plan_tee(pipeline, given, error);
	}
	return -EINVAL;
}

/* Inputs before outputs: what is missing is found before anything is made. */
static bool is_output(const struct ayre_redirection *given)
{
	return given->kind == AYRE_REDIRECT_WRITE || given->kind == AYRE_REDIRECT_APPEND ||
	       given->kind == AYRE_REDIRECT_TEE_WRITE || given->kind == AYRE_REDIRECT_TEE_APPEND;
}

int ayrei_plan_redirections(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = 0;

	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; result >= 0 && i < pipeline->redirection_count; i++) {
			const struct ayre_redirection *given = &pipeline->redirections[i].given;
			int turn = given->kind == AYRE_REDIRECT_SAME ? 2 : is_output(given);

			if (turn == pass && !ayrei_plan_is_replaced(pipeline, i))
				result = plan_redirection(pipeline, given, error);
			if (result < 0 && pipeline->failed_stage < 0)
				pipeline->failed_stage = given->stage;
		}
	return result;
}

/* --- files --- */

bool ayrei_pipeline_truncates(const struct ayre_pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->file_count; i++)
		if (pipeline->files[i].truncates)
			return true;
	return false;
}

int ayrei_pipeline_truncate(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->file_count; i++) {
		const struct ayrei_file *file = &pipeline->files[i];
		int result;

		if (!file->truncates)
			continue;
		result = ayrei_file_truncate(file->fd, 0);
		if (result < 0)
			return ayrei_fail(error, result, "truncate", file->path, NULL);
	}
	return 0;
}

/* Not what somebody else has put there meanwhile. */
static void unmake(const struct ayrei_file *file)
{
	struct stat ours, there;

	if (ayrei_file_status(file->fd, &ours) == 0 &&
	    ayrei_path_status(file->path, false, &there) == 0 && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		(void)ayrei_file_unlink(file->path);
}

void ayrei_redirect_close(struct ayre_pipeline *pipeline, bool undo)
{
	for (size_t i = 0; i < pipeline->file_count; i++) {
		struct ayrei_file *file = &pipeline->files[i];

		if (undo && file->made)
			unmake(file);
		file->fd = ayrei_file_close(file->fd);
	}
}
