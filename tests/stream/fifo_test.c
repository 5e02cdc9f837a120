/*
 * Named pipes: two processes that come, leave and come back in any order, and an idle end that
 * costs nothing.
 */
#include "support/support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <ayre/pipe.h>

#define MILLISECOND INT64_C(1000000)
#define ROUNDS      100

#define OPTIONS(...) \
	(&(struct ayre_pipe_options){.size = sizeof(struct ayre_pipe_options), __VA_ARGS__})

static const char *path_of(unsigned int number)
{
	static char paths[4][NAME_BYTES];

	return make_path(paths[number % 4], AYRE_BACKING_FILE, number);
}

static struct ayre_pipe *open_end(enum ayre_fifo_end end)
{
	struct ayre_pipe *pipe;

	require(ayre_fifo_open(NULL, path_of(0), end, &pipe, NULL) == 0);
	return pipe;
}

static struct ayre_pipe *create_and_open(enum ayre_fifo_end end)
{
	require(ayre_fifo_create(NULL, path_of(0), NULL) == 0);
	return open_end(end);
}

static void done(struct ayre_pipe *pipe)
{
	ayre_pipe_close(pipe);
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
}

static bool is_ready(struct ayre_pipe *pipe, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = ayre_pipe_fd(pipe), .events = POLLIN};
	int ready = poll(&poll_fd, 1, timeout_ms);

	require(ready >= 0 && (ready == 0 || poll_fd.revents == POLLIN));
	return ready == 1;
}

/* --- names --- */

static void names_are_made_and_removed(void **state)
{
	struct ayre_error error;
	struct stat status;

	(void)state;
	umask(022);
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), &error), 0);
	assert_int_equal(stat(path_of(0), &status), 0);
	assert_int_equal(status.st_mode, S_IFIFO | 0600);
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), &error), -EEXIST);
	assert_string_equal(error.object, path_of(0));
	assert_int_equal(ayre_fifo_create(OPTIONS(.mode = 0666), path_of(1), NULL), 0);
	assert_int_equal(stat(path_of(1), &status), 0);
	assert_int_equal(status.st_mode, S_IFIFO | 0644);
	assert_int_equal(ayre_fifo_create(OPTIONS(.mode = 0700), path_of(2), &error), -EINVAL);
	assert_int_equal(ayre_fifo_create(NULL, NULL, &error), -EINVAL);
	assert_int_equal(ayre_fifo_remove(path_of(0), &error), 0);
	assert_int_equal(ayre_fifo_remove(path_of(0), &error), -ENOENT);
	assert_int_equal(ayre_fifo_remove(path_of(1), &error), 0);
	assert_int_equal(ayre_fifo_remove(NULL, &error), -EINVAL);
}

static void assert_no_fifo(const char *path, int code)
{
	struct ayre_pipe *const untouched = (struct ayre_pipe *)&untouched, *pipe = untouched;
	struct ayre_error error;

	for (int end = AYRE_FIFO_READ; end <= AYRE_FIFO_WRITE; end++) {
		error.code = 0;
		assert_int_equal(ayre_fifo_open(NULL, path, (enum ayre_fifo_end)end, &pipe, &error),
		                 code);
		assert_int_equal(error.code, code);
		assert_ptr_equal(pipe, untouched);
	}
}

static void what_is_no_fifo_is_left_alone(void **state)
{
	struct ayre_error error;
	struct ayre_pipe *pipe;
	int fd = open(path_of(0), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_no_fifo(path_of(0), -EMEDIUMTYPE);
	assert_int_equal(ayre_fifo_remove(path_of(0), &error), -EMEDIUMTYPE);
	assert_string_equal(error.detail, "it is no named pipe");
	assert_int_equal(unlink(path_of(0)), 0);
	assert_no_fifo(path_of(0), -ENOENT);
	assert_no_fifo(test_directory(), -EMEDIUMTYPE);
	assert_no_fifo("/dev/null", -EMEDIUMTYPE);
	assert_no_fifo("", -ENOENT);
	assert_no_fifo(NULL, -EINVAL);
	assert_int_equal(ayre_fifo_open(NULL, path_of(0), 0, &pipe, &error), -EINVAL);
	/* A link leads to it, and is itself none. */
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
	assert_int_equal(symlink(path_of(0), path_of(1)), 0);
	assert_int_equal(ayre_fifo_open(NULL, path_of(1), AYRE_FIFO_READ, &pipe, NULL), 0);
	ayre_pipe_close(pipe);
	assert_int_equal(ayre_fifo_remove(path_of(1), NULL), -EMEDIUMTYPE);
	assert_int_equal(unlink(path_of(1)), 0);
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
}

/* --- who comes late --- */

static int write_plain(void *context)
{
	const char *text = context;
	int fd = open(path_of(0), O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text);
}

static char late[] = "late";

static int write_late(void *context)
{
	usleep(100000);
	return write_plain(context);
}

static void a_late_writer_is_waited_for(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_READ);
	char bytes[10];
	pid_t child;

	(void)state;
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 10), -EAGAIN);
	assert_int_equal(ayre_fifo_is_connected(pipe), 0);
	assert_false(is_ready(pipe, 30));
	assert_int_equal(ayre_pipe_read_until(pipe, bytes, 10, now_ns() + 20 * MILLISECOND),
	                 -ETIMEDOUT);
	child = start_child(write_late, late);
	assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 4);
	assert_memory_equal(bytes, "late", 4);
	assert_int_equal(ayre_fifo_is_connected(pipe), 1);
	/* Once. */
	assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 0);
	assert_int_equal(ayre_fifo_is_connected(pipe), 0);
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 10), -EAGAIN);
	assert_false(is_ready(pipe, 30));
	assert_exited(end_of(child));
	assert_int_equal(ayre_pipe_write(pipe, "x", 1), -EBADF);
	assert_int_equal(ayre_pipe_write_fd(pipe), -EBADF);
	done(pipe);
}

/* One that writes nothing is nobody. */
static void a_silent_writer_is_no_end(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_READ);
	char byte;

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = open(path_of(0), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		assert_int_equal(ayre_pipe_try_read(pipe, &byte, 1), -EAGAIN);
		close(fd);
		assert_false(is_ready(pipe, 10));
		assert_int_equal(ayre_pipe_try_read(pipe, &byte, 1), -EAGAIN);
	}
	done(pipe);
}

/* Reads count bytes with what knows nothing of ayre, and closes. */
static int read_plain(void *context)
{
	size_t wanted = *(const size_t *)context;
	char *bytes = malloc(wanted);
	int fd = open(path_of(0), O_RDONLY | O_CLOEXEC);
	ssize_t got = 1;

	for (size_t i = 0; i < wanted && got > 0; i += (size_t)got)
		got = read(fd, bytes, wanted - i);
	free(bytes);
	return fd < 0 || got <= 0;
}

static int read_plain_late(void *context)
{
	usleep(100000);
	return read_plain(context);
}

static void a_late_reader_is_waited_for(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_WRITE);
	size_t wanted = 4;
	pid_t child;

	(void)state;
	assert_int_equal(ayre_pipe_try_write(pipe, "late", 4), -EAGAIN);
	assert_int_equal(ayre_pipe_try_send(pipe, "late", 4), -EAGAIN);
	assert_int_equal(ayre_pipe_capacity(pipe), -EAGAIN);
	assert_int_equal(ayre_pipe_write_fd(pipe), -EBADF);
	assert_int_equal(ayre_fifo_is_connected(pipe), 0);
	assert_false(is_ready(pipe, 30));
	assert_int_equal(ayre_pipe_write_until(pipe, "late", 4, now_ns() + 20 * MILLISECOND),
	                 -ETIMEDOUT);
	child = start_child(read_plain_late, &wanted);
	/* No bytes: just the reader. */
	assert_int_equal(ayre_pipe_write(pipe, "", 0), 0);
	assert_int_equal(ayre_fifo_is_connected(pipe), 1);
	assert_int_equal(ayre_pipe_capacity(pipe), 65536);
	assert_int_equal(ayre_pipe_write(pipe, "late", 4), 4);
	assert_exited(end_of(child));
	assert_int_equal(ayre_fifo_is_connected(pipe), 0);
	assert_true(is_ready(pipe, 0));
	/* Once. */
	assert_int_equal(ayre_pipe_try_write(pipe, "late", 4), -EPIPE);
	assert_int_equal(ayre_pipe_try_write(pipe, "late", 4), -EAGAIN);
	assert_false(is_ready(pipe, 30));
	assert_int_equal(ayre_pipe_read(pipe, (char[1]){0}, 1), -EBADF);
	done(pipe);
}

/* --- who comes back --- */

static int read_with_ayre(void *context)
{
	struct ayre_pipe *pipe = open_end(AYRE_FIFO_READ);
	char byte;

	(void)context;
	require(ayre_pipe_read(pipe, &byte, 1) == 1);
	ayre_pipe_close(pipe);
	return 0;
}

static void readers_come_back_a_hundred_times(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_WRITE);
	struct counts before = take_counts();
	int fd = ayre_pipe_fd(pipe);
	int64_t began = now_ns();

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = start_child(read_with_ayre, NULL);

		assert_int_equal(ayre_pipe_write(pipe, "x", 1), 1);
		assert_exited(end_of(child));
		assert_int_equal(ayre_pipe_try_write(pipe, "x", 1), -EPIPE);
		assert_int_equal(ayre_pipe_try_write(pipe, "x", 1), -EAGAIN);
		assert_false(is_ready(pipe, 0));
		assert_int_equal(ayre_pipe_fd(pipe), fd);
		assert_counts(&before);
	}
	/* Told of each, not found by an attempt that was due. */
	assert_true(now_ns() - began < ROUNDS * 50 * MILLISECOND);
	done(pipe);
}

static int write_with_ayre(void *context)
{
	struct ayre_pipe *pipe = open_end(AYRE_FIFO_WRITE);

	(void)context;
	require(ayre_pipe_write(pipe, "abc", 3) == 3);
	ayre_pipe_close(pipe);
	return 0;
}

static void writers_come_back_a_hundred_times(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_READ);
	int fd = ayre_pipe_fd(pipe);
	char bytes[10];

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = start_child(write_with_ayre, NULL);

		assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 3);
		assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 0);
		assert_int_equal(ayre_pipe_try_read(pipe, bytes, 10), -EAGAIN);
		assert_int_equal(ayre_pipe_fd(pipe), fd);
		assert_exited(end_of(child));
	}
	done(pipe);
}

/* The end is that of the last of them. */
static void two_writers_have_one_end(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_READ);
	int first = open(path_of(0), O_WRONLY | O_CLOEXEC);
	int second = open(path_of(0), O_WRONLY | O_CLOEXEC);
	char bytes[10];

	(void)state;
	assert_int_equal(write(first, "1", 1), 1);
	assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 1);
	close(first);
	assert_false(is_ready(pipe, 10));
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 10), -EAGAIN);
	assert_int_equal(write(second, "2", 1), 1);
	assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 1);
	close(second);
	assert_true(is_ready(pipe, 0));
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 10), 0);
	done(pipe);
}

/* A reader leaves in the middle, and the next is there before we know. */
static void a_write_cut_short_is_told_to_nobody_else(void **state)
{
	static char bytes[1 << 20];
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_WRITE);
	size_t wanted = 100000;
	pid_t child = start_child(read_plain, &wanted);
	ssize_t put = ayre_pipe_write(pipe, bytes, sizeof(bytes));
	int next;

	(void)state;
	assert_in_range(put, 100000, sizeof(bytes) - 1);
	assert_exited(end_of(child));
	next = open(path_of(0), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(is_ready(pipe, 0));
	assert_int_equal(ayre_pipe_try_write(pipe, "rest", 4), -EPIPE);
	assert_true(is_ready(pipe, 0));
	assert_int_equal(read(next, bytes, sizeof(bytes)), 0);
	assert_int_equal(ayre_pipe_try_write(pipe, "new", 3), 3);
	assert_int_equal(read(next, bytes, sizeof(bytes)), 3);
	close(next);
	done(pipe);
}

/* --- what it costs to wait --- */

/* Readable only when an attempt has something to do, or looked for a reader in vain once. */
static void stale_openings_make_no_busy_loop(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_WRITE);
	unsigned int wakeups = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		close(open(path_of(0), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	while (is_ready(pipe, 20)) {
		assert_int_equal(ayre_pipe_try_write(pipe, "x", 1), -EAGAIN);
		wakeups++;
	}
	assert_int_equal(wakeups, 1);
	done(pipe);
}

static long switches(void)
{
	struct rusage usage;

	require(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_nvcsw + usage.ru_nivcsw / 10;
}

/* Calls that wait, after everything that could have left something behind to wake them. */
static int wait_idly(void *context)
{
	struct ayre_pipe *pipe = context;
	struct rusage usage;
	char bytes[10];
	long before = switches();
	int64_t until = now_ns() + 300 * MILLISECOND;

	if (ayre_pipe_read_fd(pipe) >= 0)
		require(ayre_pipe_read_until(pipe, bytes, 10, until) == -ETIMEDOUT);
	else
		require(ayre_pipe_write_until(pipe, bytes, 10, until) == -ETIMEDOUT);
	/* A writing end looks for readers who block in open(2). */
	require(switches() - before <= 8);
	require(getrusage(RUSAGE_SELF, &usage) == 0);
	require(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec == 0);
	require(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec < 50000);
	return 0;
}

static int wait_for_writers(void *context)
{
	struct ayre_pipe *pipe = open_end(AYRE_FIFO_READ);
	char bytes[10];
	int fd = open(path_of(0), O_WRONLY | O_CLOEXEC);

	(void)context;
	require(write(fd, "abc", 3) == 3);
	close(fd);
	require(ayre_pipe_read(pipe, bytes, 10) == 3);
	require(ayre_pipe_read(pipe, bytes, 10) == 0);
	wait_idly(pipe);
	ayre_pipe_close(pipe);
	return 0;
}

static int wait_for_readers(void *context)
{
	struct ayre_pipe *pipe = open_end(AYRE_FIFO_WRITE);
	int fd = open(path_of(0), O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	(void)context;
	require(ayre_pipe_write(pipe, "abc", 3) == 3);
	close(fd);
	require(ayre_pipe_write(pipe, "abc", 3) == -EPIPE);
	wait_idly(pipe);
	ayre_pipe_close(pipe);
	return 0;
}

static void waiting_costs_nothing(void **state)
{
	(void)state;
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
	assert_exited(run_in_child(wait_for_writers, NULL));
	assert_exited(run_in_child(wait_for_readers, NULL));
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
}

static void an_epoll_loop_sees_what_happens(void **state)
{
	struct ayre_pipe *writer = create_and_open(AYRE_FIFO_WRITE), *reader;
	int loop = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = AYRE_FIFO_WRITE};
	char bytes[10];

	(void)state;
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, ayre_pipe_fd(writer), &event), 0);
	assert_int_equal(epoll_wait(loop, &event, 1, 20), 0);
	reader = open_end(AYRE_FIFO_READ);
	/* Level-triggered: until an attempt is made. */
	assert_int_equal(epoll_wait(loop, &event, 1, 1000), 1);
	assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
	assert_int_equal(ayre_pipe_try_write(writer, "abc", 3), 3);
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_DEL, ayre_pipe_fd(writer), NULL), 0);
	event = (struct epoll_event){.events = EPOLLIN, .data.u32 = AYRE_FIFO_READ};
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, ayre_pipe_fd(reader), &event), 0);
	assert_int_equal(epoll_wait(loop, &event, 1, 1000), 1);
	assert_int_equal(event.data.u32, AYRE_FIFO_READ);
	assert_int_equal(ayre_pipe_try_read(reader, bytes, 1), 1);
	assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
	assert_int_equal(ayre_pipe_try_read(reader, bytes, 10), 2);
	assert_int_equal(epoll_wait(loop, &event, 1, 10), 0);
	ayre_pipe_close_write(writer);
	assert_int_equal(ayre_pipe_try_write(writer, "x", 1), -EBADF);
	assert_int_equal(ayre_pipe_fd(writer), -EBADF);
	assert_int_equal(epoll_wait(loop, &event, 1, 1000), 1);
	assert_int_equal(ayre_pipe_try_read(reader, bytes, 10), 0);
	assert_int_equal(epoll_wait(loop, &event, 1, 10), 0);
	close(loop);
	ayre_pipe_close(writer);
	done(reader);
}

/* --- names that go, permissions --- */

static int remove_late(void *context)
{
	const char *how = context;

	usleep(50000);
	if (strcmp(how, "remove") == 0)
		return ayre_fifo_remove(path_of(0), NULL) != 0;
	require(ayre_fifo_create(NULL, path_of(1), NULL) == 0);
	return rename(path_of(1), path_of(0)) != 0;
}

static void waiting_for_a_name_that_goes_ends(void **state)
{
	static char removal[] = "remove", replacement[] = "replace";
	char *const ways[] = {removal, replacement};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_WRITE);
		pid_t child = start_child(remove_late, ways[i]);

		assert_int_equal(ayre_pipe_write(pipe, "x", 1), -ESTALE);
		assert_exited(end_of(child));
		if (ways[i] == removal)
			assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
		/* What has the name now is another pipe. */
		assert_int_equal(ayre_pipe_try_write(pipe, "x", 1), -ESTALE);
		assert_false(is_ready(pipe, 10));
		done(pipe);
	}
}

static void who_is_connected_needs_no_name(void **state)
{
	struct ayre_pipe *writer = create_and_open(AYRE_FIFO_WRITE);
	struct ayre_pipe *reader = open_end(AYRE_FIFO_READ);
	char bytes[10];

	(void)state;
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ayre_pipe_write(writer, "abc", 3), 3);
		assert_int_equal(ayre_pipe_read(reader, bytes, 10), 3);
	}
	ayre_pipe_close(reader);
	assert_int_equal(ayre_pipe_write(writer, "abc", 3), -EPIPE);
	assert_int_equal(ayre_pipe_write(writer, "abc", 3), -ESTALE);
	ayre_pipe_close(writer);
}

static int use_as_ordinary_user(void *context)
{
	struct ayre_pipe *pipe;
	struct ayre_error error;
	size_t wanted = 3;
	pid_t child;

	(void)context;
	/* Before, because the reader has to be allowed to read. */
	child = start_child(read_plain_late, &wanted);
	require(setresgid(54321, 54321, 54321) == 0 && setresuid(54321, 54321, 54321) == 0);
	require(ayre_fifo_open(NULL, path_of(0), AYRE_FIFO_READ, &pipe, &error) == -EACCES);
	require(ayre_fifo_open(NULL, path_of(0), AYRE_FIFO_WRITE, &pipe, &error) == 0);
	require(!is_ready(pipe, 20));
	require(ayre_pipe_write(pipe, "abc", 3) == 3);
	ayre_pipe_close(pipe);
	require(ayre_fifo_open(NULL, path_of(1), AYRE_FIFO_READ, &pipe, &error) == -EACCES);
	require(strstr(error.detail, "permission to write"));
	require(ayre_fifo_open(NULL, path_of(1), AYRE_FIFO_WRITE, &pipe, &error) == -EACCES);
	require(strcmp(error.step, "open") == 0);
	return end_of(child);
}

/* inotify(7) takes permission to read, which a writer may not have. */
static void permission_to_write_is_enough_to_write(void **state)
{
	(void)state;
	if (!is_root())
		skip_because("needs root");
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
	assert_int_equal(chmod(path_of(0), 0622), 0);
	assert_int_equal(ayre_fifo_create(NULL, path_of(1), NULL), 0);
	assert_int_equal(chmod(path_of(1), 0644), 0);
	assert_exited(run_in_child(use_as_ordinary_user, NULL));
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
	assert_int_equal(ayre_fifo_remove(path_of(1), NULL), 0);
}

/* --- what they share with anonymous pipes --- */

static void catch (int number)
{
	(void)number;
}

static int wait_in_a_storm(void *context)
{
	struct sigaction action = {.sa_handler = catch};
	struct itimerval timer = {{0, 500}, {0, 500}};
	struct ayre_pipe *pipe = open_end(AYRE_FIFO_WRITE);
	char bytes[10];

	(void)context;
	require(sigaction(SIGALRM, &action, NULL) == 0);
	require(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	require(ayre_pipe_write_until(pipe, "abc", 3, now_ns() + 30 * MILLISECOND) == -ETIMEDOUT);
	require(ayre_pipe_write(pipe, "abc", 3) == 3);
	ayre_pipe_close(pipe);
	pipe = open_end(AYRE_FIFO_READ);
	require(ayre_pipe_read_until(pipe, bytes, 3, now_ns() + 30 * MILLISECOND) == -ETIMEDOUT);
	ayre_pipe_close(pipe);
	return 0;
}

static void signals_interrupt_nothing(void **state)
{
	size_t wanted = 3;
	pid_t child, reader;

	(void)state;
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
	child = start_child(wait_in_a_storm, NULL);
	reader = start_child(read_plain_late, &wanted);
	assert_exited(end_of(child));
	assert_exited(end_of(reader));
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
}

static int open_without_standard_streams(void *context)
{
	struct ayre_pipe *reader, *writer;
	int kept = 0;

	(void)context;
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	for (int fd = 3; fd < 64; fd++)
		kept += fcntl(fd, F_GETFD) == 0;
	reader = open_end(AYRE_FIFO_READ);
	writer = open_end(AYRE_FIFO_WRITE);
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 1;
	/* All of them are gone in a program that the host starts. */
	for (int fd = 3; fd < 64; fd++)
		kept -= fcntl(fd, F_GETFD) == 0;
	if (kept != 0)
		return 2;
	ayre_pipe_close(writer);
	ayre_pipe_close(reader);
	return 0;
}

static void descriptors_are_never_standard_streams(void **state)
{
	(void)state;
	assert_int_equal(ayre_fifo_create(NULL, path_of(0), NULL), 0);
	assert_exited(run_in_child(open_without_standard_streams, NULL));
	assert_int_equal(ayre_fifo_remove(path_of(0), NULL), 0);
}

static void capacity_is_asked_for_at_each_meeting(void **state)
{
	struct ayre_pipe *reader = create_and_open(AYRE_FIFO_READ), *writer;

	(void)state;
	assert_int_equal(ayre_pipe_capacity(reader), 65536);
	assert_int_equal(ayre_fifo_open(OPTIONS(.capacity_bytes = 1 << 20), path_of(0),
	                                AYRE_FIFO_WRITE, &writer, NULL),
	                 0);
	assert_int_equal(ayre_pipe_capacity(writer), 1 << 20);
	assert_int_equal(ayre_pipe_capacity(reader), 1 << 20);
	assert_int_equal(ayre_pipe_write(writer, "abc", 3), 3);
	assert_int_equal(ayre_pipe_fill(reader), 3);
	ayre_pipe_close(reader);
	reader = open_end(AYRE_FIFO_READ);
	assert_int_equal(ayre_pipe_capacity(reader), 1 << 20);
	ayre_pipe_close(writer);
	done(reader);
}

/* A child of fork closes its copy; the parent waits as before. */
static int close_copy(void *context)
{
	ayre_pipe_close(context);
	return 0;
}

static void a_forked_childs_close_is_its_own(void **state)
{
	struct ayre_pipe *pipe = create_and_open(AYRE_FIFO_READ);
	char bytes[10];
	pid_t child;

	(void)state;
	assert_exited(run_in_child(close_copy, pipe));
	child = start_child(write_late, late);
	assert_int_equal(ayre_pipe_read(pipe, bytes, 10), 4);
	assert_exited(end_of(child));
	done(pipe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(names_are_made_and_removed),
		counted_test(what_is_no_fifo_is_left_alone),
		counted_test(a_late_writer_is_waited_for),
		counted_test(a_silent_writer_is_no_end),
		counted_test(a_late_reader_is_waited_for),
		counted_test(readers_come_back_a_hundred_times),
		counted_test(writers_come_back_a_hundred_times),
		counted_test(two_writers_have_one_end),
		counted_test(a_write_cut_short_is_told_to_nobody_else),
		counted_test(stale_openings_make_no_busy_loop),
		counted_test(waiting_costs_nothing),
		counted_test(an_epoll_loop_sees_what_happens),
		counted_test(waiting_for_a_name_that_goes_ends),
		counted_test(who_is_connected_needs_no_name),
		counted_test(permission_to_write_is_enough_to_write),
		counted_test(signals_interrupt_nothing),
		counted_test(descriptors_are_never_standard_streams),
		counted_test(capacity_is_asked_for_at_each_meeting),
		counted_test(a_forked_childs_close_is_its_own),
	};

	return run_counted("fifo", tests);
}
