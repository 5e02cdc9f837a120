/*
 * Who writes where: the connections and redirections of a pipeline become pipes, files and wires.
 *
 * Invariant: everything that can fail without a process has been tried when the plan stands, and
 * nothing of anybody's has been changed: outputs are emptied by ayrei_pipeline_truncate(), the last
 * step before the start, and files that had to be made are removed again if it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "process/pipeline.h"
#include "sys/file.h"
#include "sys/pipe.h"

/* A file that the plan opened. */
struct ayrei_file {
	int fd; /* -1: handed over */
	const char *path;
	bool made, truncates;
};

static bool is_tee(const struct ayrei_redirection *redirection)
{
	return redirection->given.kind == AYRE_REDIRECT_TEE_WRITE ||
	       redirection->given.kind == AYRE_REDIRECT_TEE_APPEND;
}

/* Is there one among those from this number on? */
static bool is_redirected_from(const struct ayre_pipeline *pipeline, size_t begin, int stage,
                               int fd)
{
	for (size_t i = begin; i < pipeline->redirection_count; i++) {
		const struct ayrei_redirection *redirection = &pipeline->redirections[i];

		if (redirection->given.stage == stage && redirection->given.fd == fd &&
		    !is_tee(redirection))
			return true;
	}
	return false;
}

static bool is_redirected(const struct ayre_pipeline *pipeline, int stage, int fd)
{
	return is_redirected_from(pipeline, 0, stage, fd);
}

/* The last one counts; copies add up. */
static bool is_replaced(const struct ayre_pipeline *pipeline, size_t index)
{
	const struct ayrei_redirection *one = &pipeline->redirections[index];

	return !is_tee(one) &&
	       is_redirected_from(pipeline, index + 1, one->given.stage, one->given.fd);
}

static bool has_source(const struct ayre_pipeline *pipeline, int stage)
{
	for (size_t i = 0; i < pipeline->connection_count; i++)
		if (pipeline->connections[i].to == stage)
			return true;
	return is_redirected(pipeline, stage, 0);
}

/* Who says nothing else reads what the stage before it writes. */
static int connect_neighbours(struct ayre_pipeline *pipeline)
{
	for (int i = 1; i < (int)pipeline->stage_count; i++) {
		struct ayrei_connection *connection;

		if (has_source(pipeline, i))
			continue;
		connection = AYREI_APPEND(pipeline->connections, pipeline->connection_count);
		if (!connection)
			return -ENOMEM;
		*connection = (struct ayrei_connection){i - 1, i};
	}
	return 0;
}

static size_t count_sinks(const struct ayre_pipeline *pipeline, int stage)
{
	size_t count = 0, tees = 0;

	for (size_t i = 0; i < pipeline->redirection_count; i++)
		tees += pipeline->redirections[i].given.stage == stage &&
		        is_tee(&pipeline->redirections[i]);
	if (!is_redirected(pipeline, stage, 1))
		for (size_t i = 0; i < pipeline->connection_count; i++)
			count += pipeline->connections[i].from == stage;
	/* A copy, and where it would have gone without. */
	return tees ? tees + (count ? count : 1) : count;
}

/* --- pipes --- */

static int make_pipe(struct ayre_pipeline *pipeline, int from, int to, size_t *ret_index)
{
	struct ayrei_pipe *pipe = AYREI_APPEND(pipeline->pipes, pipeline->pipe_count);
	struct stat status;
	ssize_t granted;
	int result;

	if (!pipe)
		return -ENOMEM;
	*pipe = (struct ayrei_pipe){.from = from, .to = to, .fds = {-1, -1}};
	pipe->asked_bytes = pipeline->options.pipe_bytes ? pipeline->options.pipe_bytes
	                                                 : AYREI_DEFAULT_PIPE_BYTES;
	result = ayrei_pipe_open(pipe->fds);
	if (result < 0)
		return result;
	granted = ayrei_pipe_ask_capacity(pipe->fds[1], pipe->asked_bytes);
	if (granted < 0)
		return (int)granted;
	result = ayrei_file_status(pipe->fds[0], &status);
	if (result < 0)
		return result;
	pipe->granted_bytes = (uint64_t)granted;
	pipe->inode = status.st_ino;
	*ret_index = pipeline->pipe_count - 1;
	return 0;
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

/* The pipe of everybody whose output goes to this stage. */
static int get_input_pipe(struct ayre_pipeline *pipeline, int from, int to, size_t *ret_index)
{
	struct ayrei_stage *stage = &pipeline->stages[to];
	int result;

	if (stage->input_pipe >= 0) {
		*ret_index = (size_t)stage->input_pipe;
		pipeline->pipes[*ret_index].many_writers = true;
		return 0;
	}
	result = make_pipe(pipeline, from, to, ret_index);
	if (result == 0)
		stage->input_pipe = (int)*ret_index;
	return result;
}

static int wire(struct ayre_pipeline *pipeline, int stage, int fd, int source,
                struct ayre_error *error)
{
	return ayrei_launch_wire(&pipeline->stages[stage].launch, fd, source, error);
}

static int fail_pipe(const struct ayre_pipeline *pipeline, int stage, int code,
                     struct ayre_error *error)
{
	return ayrei_fail(error, code, "pipe", pipeline->stages[stage].name, NULL);
}

/* --- fans --- */

/* pipe: the number of the pipe that fd is of; -1: none. */
static int add_sink(struct ayre_pipeline *pipeline, struct ayrei_fan *fan, int fd, int pipe,
                    bool is_copy)
{
	struct ayrei_sink *sink = AYREI_APPEND(fan->sinks, fan->sink_count);

	if (!sink)
		return -ENOMEM;
	*sink = (struct ayrei_sink){.fd = -1, .pipe = pipe, .queue = {-1, -1}, .is_copy = is_copy};
	/* A description of our own, so that closing it is the end for the reader. */
	fd = ayrei_descriptor_above_standard(ayrei_file_duplicate(fd));
	if (fd < 0)
		return fd;
	sink->fd = fd;
	return ayrei_sink_open(sink, pipeline->pipes[fan->pipe].granted_bytes);
}

static int add_consumers(struct ayre_pipeline *pipeline, struct ayrei_fan *fan)
{
	size_t index, count = 0;
	int result = 0;

	for (size_t i = 0; result == 0 && i < pipeline->connection_count; i++) {
		if (pipeline->connections[i].from != fan->stage)
			continue;
		count++;
		result = get_input_pipe(pipeline, fan->stage, pipeline->connections[i].to, &index);
		if (result == 0) {
			pipeline->pipes[index].by_host = true;
			fan->to_stage = true;
			result = add_sink(pipeline, fan, pipeline->pipes[index].fds[1], (int)index,
			                  false);
		}
	}
	/* Standard output, where nothing stands in the way of it and the host has one. */
	if (result == 0 && count == 0 && ayrei_descriptor_is_open(STDOUT_FILENO))
		result = add_sink(pipeline, fan, STDOUT_FILENO, -1, false);
	return result;
}

static int open_fan(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	struct ayrei_fan *fan = AYREI_APPEND(pipeline->fans, pipeline->fan_count);
	size_t index = 0;
	int first = -1, result;

	if (!fan)
		return fail_pipe(pipeline, stage, -ENOMEM, error);
	*fan = (struct ayrei_fan){.stage = stage, .source = -1, .write_fd = -1};
	for (size_t i = 0; first < 0 && i < pipeline->connection_count; i++)
		if (pipeline->connections[i].from == stage)
			first = pipeline->connections[i].to;
	result = make_pipe(pipeline, stage, first, &index);
	if (result == 0) {
		struct ayrei_pipe *pipe = &pipeline->pipes[index];

		pipe->by_host = true;
		fan->pipe = (int)index;
		fan->source = pipe->fds[0];
		pipe->fds[0] = -1;
		result = ayrei_descriptor_set_blocking(fan->source, false);
	}
	if (result == 0 && !is_redirected(pipeline, stage, STDOUT_FILENO))
		result = add_consumers(pipeline, fan);
	if (result < 0)
		return fail_pipe(pipeline, stage, result, error);
	pipeline->stages[stage].output_pipe = (int)index;
	return wire(pipeline, stage, 1, pipeline->pipes[index].fds[1], error);
}

static struct ayrei_fan *find_fan(struct ayre_pipeline *pipeline, int stage)
{
	for (size_t i = 0; i < pipeline->fan_count; i++)
		if (pipeline->fans[i].stage == stage)
			return &pipeline->fans[i];
	return NULL;
}

/* Its output goes elsewhere: who was to read it is at the end at once. */
static int connect_nothing(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->connection_count; i++) {
		int to = pipeline->connections[i].to, result;
		size_t index;

		if (pipeline->connections[i].from != stage || pipeline->stages[to].input_pipe >= 0)
			continue;
		result = get_input_pipe(pipeline, stage, to, &index);
		if (result < 0)
			return fail_pipe(pipeline, stage, result, error);
		pipeline->pipes[index].by_host = true;
	}
	return 0;
}

static int connect_output(struct ayre_pipeline *pipeline, int stage, struct ayre_error *error)
{
	size_t index;
	int result;

	if (count_sinks(pipeline, stage) > 1)
		return open_fan(pipeline, stage, error);
	for (size_t i = 0; i < pipeline->connection_count; i++) {
		if (pipeline->connections[i].from != stage)
			continue;
		result = get_input_pipe(pipeline, stage, pipeline->connections[i].to, &index);
		if (result < 0)
			return fail_pipe(pipeline, stage, result, error);
		pipeline->stages[stage].output_pipe = (int)index;
		return wire(pipeline, stage, 1, pipeline->pipes[index].fds[1], error);
	}
	return 0;
}

static int connect_stages(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = connect_neighbours(pipeline);

	if (result < 0)
		return fail_pipe(pipeline, 0, result, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (!is_redirected(pipeline, i, 1) || count_sinks(pipeline, i) > 1)
			result = connect_output(pipeline, i, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (is_redirected(pipeline, i, 1))
			result = connect_nothing(pipeline, i, error);
	for (int i = 0; result == 0 && i < (int)pipeline->stage_count; i++)
		if (pipeline->stages[i].input_pipe >= 0)
			result =
				wire(pipeline, i, 0,
			             pipeline->pipes[pipeline->stages[i].input_pipe].fds[0], error);
	return result;
}

/* --- redirections --- */

/* What a fan's output is redirected to gets a copy like the others. */
static int redirect(struct ayre_pipeline *pipeline, int stage, int fd, int source,
                    struct ayre_error *error)
{
	struct ayrei_fan *fan = fd == STDOUT_FILENO ? find_fan(pipeline, stage) : NULL;
	int result;

	if (!fan)
		return wire(pipeline, stage, fd, source, error);
	result = add_sink(pipeline, fan, source, -1, false);
	return result < 0 ? fail_pipe(pipeline, stage, result, error) : 0;
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

static int plan_feed(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                     struct ayre_error *error)
{
	struct ayrei_feed *feed = AYREI_APPEND(pipeline->feeds, pipeline->feed_count);
	int fds[2], result;

	if (!feed)
		return fail_pipe(pipeline, given->stage, -ENOMEM, error);
	*feed = (struct ayrei_feed){.fd = -1,
	                            .read_fd = -1,
	                            .bytes = given->bytes,
	                            .left = given->byte_count,
	                            .stage = given->stage,
	                            .stage_fd = given->fd};
	result = make_private_pipe(pipeline, fds);
	if (result < 0)
		return fail_pipe(pipeline, given->stage, result, error);
	feed->read_fd = fds[0];
	feed->fd = fds[1];
	if (given->fd == 0)
		pipeline->stages[given->stage].feed = (int)pipeline->feed_count - 1;
	result = ayrei_descriptor_set_blocking(feed->fd, false);
	if (result < 0)
		return fail_pipe(pipeline, given->stage, result, error);
	return redirect(pipeline, given->stage, given->fd, feed->read_fd, error);
}

static int plan_capture(struct ayre_pipeline *pipeline, const struct ayre_redirection *given,
                        struct ayre_error *error)
{
	struct ayrei_capture *capture = AYREI_APPEND(pipeline->captures, pipeline->capture_count);
	int fds[2], result;

	if (!capture)
		return fail_pipe(pipeline, given->stage, -ENOMEM, error);
	*capture = (struct ayrei_capture){.fd = -1,
	                                  .write_fd = -1,
	                                  .bound = given->bound_bytes,
	                                  .at_bound = given->at_bound,
	                                  .stage = given->stage,
	                                  .stage_fd = given->fd};
	result = make_private_pipe(pipeline, fds);
	if (result < 0)
		return fail_pipe(pipeline, given->stage, result, error);
	capture->fd = fds[0];
	capture->write_fd = fds[1];
	if (given->fd == 1)
		pipeline->stages[given->stage].output_capture = (int)pipeline->capture_count - 1;
	result = ayrei_descriptor_set_blocking(capture->fd, false);
	if (result < 0)
		return fail_pipe(pipeline, given->stage, result, error);
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
	struct ayrei_fan *fan = find_fan(pipeline, given->stage);
	int fd = open_file(pipeline, given, error);
	int result;

	if (fd < 0)
		return fd;
	result = add_sink(pipeline, fan, fd, -1, true);
	return result < 0 ? fail_pipe(pipeline, given->stage, result, error) : 0;
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

static int plan_redirections(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = 0;

	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; result >= 0 && i < pipeline->redirection_count; i++) {
			const struct ayre_redirection *given = &pipeline->redirections[i].given;
			int turn = given->kind == AYRE_REDIRECT_SAME ? 2 : is_output(given);

			if (turn == pass && !is_replaced(pipeline, i))
				result = plan_redirection(pipeline, given, error);
			if (result < 0 && pipeline->failed_stage < 0)
				pipeline->failed_stage = given->stage;
		}
	return result;
}

/* --- the whole --- */

static int init_launches(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];
		int result;

		if (pipeline->options.flags & AYRE_PIPELINE_DIE_WITH_PARENT)
			stage->options.flags |= AYRE_PROCESS_DIE_WITH_PARENT;
		stage->launched = true;
		result = ayrei_launch_init(&stage->launch, &stage->options, stage->name,
		                           (const char *const *)stage->arguments, error);
		if (result < 0) {
			pipeline->failed_stage = (int)i;
			return result;
		}
	}
	return 0;
}

/* What the stage's own options put there is nothing that the host has an account of. */
static void forget_accounts(struct ayre_pipeline *pipeline, struct ayrei_stage *stage)
{
	if (is_redirected(pipeline, (int)(stage - pipeline->stages), STDIN_FILENO))
		stage->input_pipe = -1;
	for (size_t i = 0; i < stage->options.wire_count; i++) {
		int fd = stage->options.wires[i].child_fd;

		if (fd == STDIN_FILENO) {
			stage->input_pipe = stage->feed = -1;
			stage->input_file = ayrei_file_close(stage->input_file);
		}
		if (fd == STDOUT_FILENO) {
			stage->output_pipe = stage->output_capture = -1;
			stage->output_file = ayrei_file_close(stage->output_file);
		}
	}
}

int ayrei_pipeline_plan(struct ayre_pipeline *pipeline, struct ayre_error *error)
{
	int result = init_launches(pipeline, error);

	if (result == 0)
		result = connect_stages(pipeline, error);
	if (result == 0)
		result = plan_redirections(pipeline, error);
	for (size_t i = 0; result >= 0 && i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		forget_accounts(pipeline, stage);
		result = ayrei_launch_finish(&stage->launch, &stage->options, error);
		if (result < 0)
			pipeline->failed_stage = (int)i;
	}
	return result < 0 ? result : 0;
}

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

void ayrei_pipeline_close_plan(struct ayre_pipeline *pipeline, bool undo)
{
	for (size_t i = 0; i < pipeline->pipe_count; i++)
		for (int end = 0; end < 2; end++)
			pipeline->pipes[i].fds[end] = ayrei_file_close(pipeline->pipes[i].fds[end]);
	for (size_t i = 0; i < pipeline->feed_count; i++)
		pipeline->feeds[i].read_fd = ayrei_file_close(pipeline->feeds[i].read_fd);
	for (size_t i = 0; i < pipeline->capture_count; i++)
		pipeline->captures[i].write_fd = ayrei_file_close(pipeline->captures[i].write_fd);
	for (size_t i = 0; i < pipeline->file_count; i++) {
		struct ayrei_file *file = &pipeline->files[i];

		if (undo && file->made)
			unmake(file);
		file->fd = ayrei_file_close(file->fd);
	}
	for (size_t i = 0; i < pipeline->stage_count; i++) {
		struct ayrei_stage *stage = &pipeline->stages[i];

		if (stage->launched)
			ayrei_launch_fini(&stage->launch);
		stage->launched = false;
	}
}
