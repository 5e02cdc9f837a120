/*
 * Pipelines in a line, stages that are functions, and who is left of them.
 *
 * Invariant: nothing here starts a process; what is marked is found whatever it has become.
 */
#include "process/pipeline_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define MARK "AYRE_TEST_MARK"

struct ayre_pipeline *new_pipeline(void)
{
	struct ayre_pipeline *pipeline = ayre_pipeline_new();

	assert_non_null(pipeline);
	return pipeline;
}

struct ayre_pipeline *new_pipeline_with(const struct ayre_pipeline_options *options)
{
	struct ayre_pipeline *pipeline = new_pipeline();

	assert_int_equal(ayre_pipeline_set_options(pipeline, options), 0);
	return pipeline;
}

int add_shell(struct ayre_pipeline *pipeline, const char *script)
{
	return ayre_pipeline_command(pipeline, "sh", "-c", script, NULL);
}

void quiet_input(struct ayre_pipeline *pipeline)
{
	add_redirection(pipeline, .kind = AYRE_REDIRECT_NOTHING);
}

void start(struct ayre_pipeline *pipeline)
{
	struct ayre_error error = {0};
	char text[640];

	if (ayre_pipeline_start(pipeline, &error) < 0)
		fail_msg("%s: %s", error.step, ayre_error_text(&error, text, sizeof(text)));
}

int run_all(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result)
{
	struct ayre_pipeline_result result = {.size = sizeof(result)};

	start(pipeline);
	assert_int_equal(ayre_pipeline_wait_until(pipeline, INT64_MAX), 0);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), 0);
	if (ret_result)
		*ret_result = result;
	return result.error < 0 ? result.error : result.exit_status;
}

int run_and_free(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result)
{
	int status = run_all(pipeline, ret_result);

	ayre_pipeline_free(pipeline);
	return status;
}

int fail_to_start(struct ayre_pipeline *pipeline, struct ayre_error *ret_error)
{
	struct ayre_pipeline_result result = {.size = sizeof(result)};
	struct ayre_error error = {0};
	int code = ayre_pipeline_run(pipeline, &result, &error);

	assert_true(code < 0);
	assert_int_equal(error.code, code);
	assert_true(error.step[0] && error.object[0]);
	assert_int_equal(ayre_pipeline_get_result(pipeline, &result), -EINVAL);
	assert_int_equal(ayre_pipeline_fd(pipeline), -EBADF);
	for (int i = 0; i < ayre_pipeline_stage_count(pipeline); i++) {
		struct ayre_stage_info info = info_of(pipeline, i);

		assert_int_equal(info.pid, 0);
		assert_int_equal(info.end.outcome, AYRE_OUTCOME_NOT_STARTED);
		assert_int_equal(info.read_bytes, -1);
	}
	ayre_pipeline_free(pipeline);
	if (ret_error)
		*ret_error = error;
	return code;
}

void assert_captured(struct ayre_pipeline *pipeline, int stage, int fd, const char *text)
{
	const char *bytes = NULL;
	uint64_t total = 0;
	ssize_t kept = ayre_pipeline_captured(pipeline, stage, fd, &bytes, &total);

	assert_int_equal(kept, strlen(text));
	assert_int_equal(total, kept);
	assert_memory_equal(bytes, text, kept);
}

struct ayre_stage_info info_of(const struct ayre_pipeline *pipeline, int stage)
{
	struct ayre_stage_info info = {.size = sizeof(info)};

	assert_int_equal(ayre_pipeline_stage(pipeline, stage, &info), 0);
	return info;
}

struct ayre_pipe_info pipe_of(const struct ayre_pipeline *pipeline, int pipe)
{
	struct ayre_pipe_info info = {.size = sizeof(info)};

	assert_int_equal(ayre_pipeline_pipe(pipeline, pipe, &info), 0);
	return info;
}

/* --- files --- */

const char *path_of(char path[static NAME_BYTES], const char *name)
{
	snprintf(path, NAME_BYTES, "%s/%s", test_directory(), name);
	return path;
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void assert_file(const char *path, const char *text)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = read(fd, bytes, sizeof(bytes) - 1);
	close(fd);
	assert_true(length >= 0);
	bytes[length] = '\0';
	assert_string_equal(bytes, text);
}

bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int64_t size_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_size : -1;
}

/* --- functions as stages --- */

static uint8_t byte_at(uint64_t place)
{
	return (uint8_t)((place * 2654435761u) >> 13);
}

int write_source(void *context)
{
	const struct source *source = context;
	static uint8_t bytes[1 << 20];
	size_t done = 0;

	while (done < source->total) {
		size_t piece = source->piece ? source->piece : sizeof(bytes);
		ssize_t written;

		if (piece > source->total - done)
			piece = source->total - done;
		for (size_t i = 0; i < piece; i++)
			bytes[i] = byte_at(done + i);
		written = write(STDOUT_FILENO, bytes, piece);
		if (written < 0)
			return 1;
		done += (size_t)written;
		if (source->pause_us)
			usleep((useconds_t)source->pause_us);
	}
	return 0;
}

int read_drain(void *context)
{
	struct drain *drain = context;
	static uint8_t bytes[65536];
	uint64_t done = 0;
	bool intact = true;
	ssize_t got = 1;

	if (drain->never_reads)
		for (;;)
			pause();
	while (got > 0 && (!drain->most || done < drain->most)) {
		size_t piece = sizeof(bytes);

		if (drain->most && drain->most - done < piece)
			piece = drain->most - done;
		got = read(STDIN_FILENO, bytes, piece);
		for (ssize_t i = 0; i < got; i++)
			intact &= bytes[i] == byte_at(done + (uint64_t)i);
		if (got > 0)
			done += (uint64_t)got;
		if (drain->pause_us)
			usleep((useconds_t)drain->pause_us);
	}
	drain->intact = intact && got >= 0;
	drain->total = done;
	return got < 0;
}

/* --- who is left --- */

static char mark[64];

void mark_processes(void)
{
	static unsigned int number;

	snprintf(mark, sizeof(mark), "%d-%u", getpid(), number++);
	setenv(MARK, mark, 1);
}

static bool is_marked(const char *pid)
{
	char path[300], bytes[16384], wanted[128];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* Of a zombie nothing can be read. */
	length = read(fd, bytes, sizeof(bytes));
	close(fd);
	snprintf(wanted, sizeof(wanted), MARK "=%s", mark);
	return length > 0 && memmem(bytes, (size_t)length, wanted, strlen(wanted) + 1);
}

static int visit_marked(int number)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    atoi(entry->d_name) != getpid() && is_marked(entry->d_name)) {
			count++;
			if (number)
				kill(atoi(entry->d_name), number);
		}
	closedir(directory);
	return count;
}

int count_marked(void)
{
	return visit_marked(0);
}

void kill_marked(void)
{
	while (visit_marked(SIGKILL) > 0)
		usleep(1000);
}

void assert_nobody_left(void)
{
	int64_t until = now_ns() + LATE_NS;

	while (count_marked() > 0 && now_ns() < until)
		usleep(1000);
	if (count_marked() > 0) {
		int count = count_marked();

		kill_marked();
		fail_msg("%d processes are left", count);
	}
}
