/*
 * Anonymous pipes: between processes, without signals, without waiting where none was asked for,
 * on this kernel and on those that lack what it has.
 */
#include "support/support.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <ayre/pipe.h>

#include "support/fault.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

#define MILLISECOND INT64_C(1000000)

#define OPTIONS(...) \
	(&(struct ayre_pipe_options){.size = sizeof(struct ayre_pipe_options), __VA_ARGS__})

/* The flags that a kernel lacks. */
static const struct {
	const char *title;
	int unknown;
} kernels[] = {
	{"this kernel", 0},
	{"Linux 6.4", RWF_NOSIGNAL},
	{"Linux 6.1", RWF_NOSIGNAL | RWF_NOWAIT},
};
#define KERNELS (sizeof(kernels) / sizeof(*kernels))

static struct ayre_pipe *open_pipe(uint64_t capacity_bytes)
{
	struct ayre_pipe *pipe;

	require(ayre_pipe_open(OPTIONS(.capacity_bytes = capacity_bytes), &pipe, NULL) == 0);
	return pipe;
}

/* In a child, because the library remembers what a kernel lacks. */
static void on_each_kernel(int (*run)(void *context), void *context)
{
	for (size_t i = 0; i < KERNELS; i++) {
		int status;

		fault_unknown_flags = kernels[i].unknown;
		status = run_in_child(run, context);
		fault_unknown_flags = 0;
		if (status != 0)
			print_error("on %s\n", kernels[i].title);
		assert_exited(status);
	}
}

/* What is left to wait for a deadline, as a poll's timeout. */
static bool is_ready(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int ready = poll(&poll_fd, 1, timeout_ms);

	require(ready >= 0 && (ready == 0 || poll_fd.revents & POLLIN));
	return ready == 1;
}

/* --- bytes --- */

#define BULK_BYTES (6u << 20)

/* As a context: with ayre_pipe_write_until(). */
static char by_deadline;

static int read_bulk(void *context)
{
	struct ayre_pipe *pipe = context;
	char *bytes = malloc(BULK_BYTES + 1);
	size_t done = 0;
	ssize_t got;

	ayre_pipe_close_write(pipe);
	while ((got = ayre_pipe_read(pipe, bytes + done, BULK_BYTES + 1 - done)) > 0)
		done += (size_t)got;
	require(got == 0);
	require(done == BULK_BYTES && is_pattern(bytes, BULK_BYTES, 5));
	/* And again. */
	require(ayre_pipe_read(pipe, bytes, 1) == 0);
	require(ayre_pipe_try_read(pipe, bytes, 1) == 0);
	free(bytes);
	ayre_pipe_close(pipe);
	return 0;
}

static int write_bulk(void *context)
{
	bool until = context != NULL;
	struct ayre_pipe *pipe = open_pipe(0);
	char *bytes = malloc(BULK_BYTES);
	pid_t reader = start_child(read_bulk, pipe);
	ssize_t put;

	fill_pattern(bytes, BULK_BYTES, 5);
	put = until ? ayre_pipe_write_until(pipe, bytes, BULK_BYTES, AYRE_NO_DEADLINE)
	            : ayre_pipe_write(pipe, bytes, BULK_BYTES);
	require(put == BULK_BYTES);
	free(bytes);
	ayre_pipe_close(pipe);
	return end_of(reader);
}

static void bytes_go_from_process_to_process(void **state)
{
	(void)state;
	on_each_kernel(write_bulk, NULL);
	on_each_kernel(write_bulk, &by_deadline);
}

static int try_everything(void *context)
{
	static char bytes[1 << 20];
	struct ayre_pipe *pipe = open_pipe(65536);
	int flags = fcntl(ayre_pipe_write_fd(pipe), F_GETFL);
	size_t put = 0;

	(void)context;
	limit_time(20);
	require(!(flags & O_NONBLOCK));
	require(ayre_pipe_try_read(pipe, bytes, 1) == -EAGAIN);
	fill_pattern(bytes, sizeof(bytes), 9);
	put = (size_t)ayre_pipe_try_write(pipe, bytes, sizeof(bytes));
	require(put == 65536);
	require(ayre_pipe_fill(pipe) == 65536);
	require(ayre_pipe_try_write(pipe, bytes, 1) == -EAGAIN);
	require(ayre_pipe_try_send(pipe, bytes, 4096) == -EAGAIN);
	memset(bytes, 0, sizeof(bytes));
	require(ayre_pipe_try_read(pipe, bytes, sizeof(bytes)) == 65536);
	require(is_pattern(bytes, 65536, 9));
	require(ayre_pipe_try_read(pipe, bytes, sizeof(bytes)) == -EAGAIN);
	require(ayre_pipe_try_send(pipe, bytes, 4096) == 0);
	require(ayre_pipe_fill(pipe) == 4096);
	/* Nothing to put is put. */
	require(ayre_pipe_try_write(pipe, bytes, 0) == 0 && ayre_pipe_write(pipe, bytes, 0) == 0);
	/* The descriptors, which children share, are as they were. */
	require(fcntl(ayre_pipe_write_fd(pipe), F_GETFL) == flags);
	require(!(fcntl(ayre_pipe_read_fd(pipe), F_GETFL) & O_NONBLOCK));
	ayre_pipe_close_read(pipe);
	require(ayre_pipe_try_write(pipe, bytes, 10) == -EPIPE);
	ayre_pipe_close(pipe);
	return 0;
}

static void try_never_waits_though_the_descriptors_do(void **state)
{
	(void)state;
	on_each_kernel(try_everything, NULL);
}

static int write_late(void *context)
{
	usleep(50000);
	return ayre_pipe_write(context, "late", 4) != 4;
}

static int drain(void *context)
{
	static char bytes[65536];

	ayre_pipe_close_write(context);
	usleep(50000);
	while (ayre_pipe_read(context, bytes, sizeof(bytes)) > 0)
		continue;
	return 0;
}

/* What a child does that shares the descriptor, ssh(1) for one. */
static void calls_wait_though_the_descriptors_do_not(void **state)
{
	static char bytes[100000];
	struct ayre_pipe *pipe = open_pipe(4096);
	pid_t child;

	(void)state;
	assert_int_equal(fcntl(ayre_pipe_read_fd(pipe), F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(ayre_pipe_write_fd(pipe), F_SETFL, O_NONBLOCK), 0);
	child = start_child(write_late, pipe);
	assert_int_equal(ayre_pipe_read(pipe, bytes, sizeof(bytes)), 4);
	assert_exited(end_of(child));
	child = start_child(drain, pipe);
	assert_int_equal(ayre_pipe_write(pipe, bytes, sizeof(bytes)), sizeof(bytes));
	ayre_pipe_close(pipe);
	assert_exited(end_of(child));
}

static void ends_that_are_closed_say_so(void **state)
{
	struct ayre_pipe *pipe = open_pipe(0);
	char byte;

	(void)state;
	assert_int_equal(ayre_pipe_read(pipe, &byte, 0), -EINVAL);
	assert_int_equal(ayre_pipe_write(pipe, &byte, (size_t)SSIZE_MAX + 1), -EINVAL);
	ayre_pipe_close_read(pipe);
	ayre_pipe_close_read(pipe);
	assert_int_equal(ayre_pipe_read(pipe, &byte, 1), -EBADF);
	assert_int_equal(ayre_pipe_try_read(pipe, &byte, 1), -EBADF);
	assert_int_equal(ayre_pipe_read_until(pipe, &byte, 1, 0), -EBADF);
	assert_int_equal(ayre_pipe_read_fd(pipe), -EBADF);
	assert_true(ayre_pipe_capacity(pipe) > 0);
	ayre_pipe_close_write(pipe);
	ayre_pipe_close_write(pipe);
	assert_int_equal(ayre_pipe_write(pipe, "x", 1), -EBADF);
	assert_int_equal(ayre_pipe_try_write(pipe, "x", 1), -EBADF);
	assert_int_equal(ayre_pipe_write_until(pipe, "x", 1, 0), -EBADF);
	assert_int_equal(ayre_pipe_send(pipe, "x", 1), -EBADF);
	assert_int_equal(ayre_pipe_write_fd(pipe), -EBADF);
	assert_int_equal(ayre_pipe_fd(pipe), -EBADF);
	assert_int_equal(ayre_pipe_capacity(pipe), -EBADF);
	assert_int_equal(ayre_pipe_fill(pipe), -EBADF);
	ayre_pipe_close(pipe);
	ayre_pipe_close(NULL);
}

static void options_are_checked(void **state)
{
	struct ayre_pipe *const untouched = (struct ayre_pipe *)&untouched, *pipe = untouched;
	struct ayre_pipe_options unset = {0};
	struct ayre_error error;

	(void)state;
	assert_int_equal(ayre_pipe_open(&unset, &pipe, &error), -EINVAL);
	assert_string_equal(error.step, "options");
	assert_int_equal(ayre_pipe_open(OPTIONS(.mode = 0777), &pipe, &error), -EINVAL);
	assert_ptr_equal(pipe, untouched);
	/* An older caller's, which ends behind its first field. */
	unset.size = sizeof(size_t);
	unset.capacity_bytes = 4096;
	assert_int_equal(ayre_pipe_open(&unset, &pipe, &error), 0);
	assert_int_equal(ayre_pipe_capacity(pipe), 256 * 1024);
	ayre_pipe_close(pipe);
}

/* --- capacity --- */

static void capacity_is_what_was_granted(void **state)
{
	static const struct {
		uint64_t asked;
		ssize_t granted;
	} cases[] = {{0, 262144}, {1, 4096}, {5000, 8192}, {65536, 65536}, {1 << 20, 1 << 20}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ayre_pipe *pipe = open_pipe(cases[i].asked);

		assert_int_equal(ayre_pipe_capacity(pipe), cases[i].granted);
		assert_int_equal(fcntl(ayre_pipe_read_fd(pipe), F_GETPIPE_SZ), cases[i].granted);
		assert_int_equal(ayre_pipe_fill(pipe), 0);
		assert_int_equal(ayre_pipe_write(pipe, "abc", 3), 3);
		assert_int_equal(ayre_pipe_fill(pipe), 3);
		ayre_pipe_close(pipe);
	}
}

/* A user who nobody else is. */
static void become_ordinary(void)
{
	uid_t user = 2000000000u + (uid_t)getpid();

	require(setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0);
}

static long read_limit(const char *path)
{
	FILE *file = fopen(path, "re");
	long limit = -1;

	if (file && fscanf(file, "%ld", &limit) != 1)
		limit = -1;
	if (file)
		fclose(file);
	return limit;
}

static int ask_for_too_much(void *context)
{
	long most = read_limit("/proc/sys/fs/pipe-max-size");
	struct ayre_pipe *pipe;

	(void)context;
	become_ordinary();
	pipe = open_pipe(UINT64_MAX);
	/* Not the kernel's default: half a wish is better than none. */
	require(most <= 0 || ayre_pipe_capacity(pipe) == most);
	ayre_pipe_close(pipe);
	return 0;
}

static int use_up_the_quota(void *context)
{
	long soft = read_limit("/proc/sys/fs/pipe-user-pages-soft");
	size_t count = soft > 0 ? (size_t)soft / 64 + 1 : 0;
	struct ayre_pipe **pipes = calloc(count + 1, sizeof(*pipes));
	pid_t reader;
	char *bytes;

	(void)context;
	if (count == 0 || count > 480)
		return CHILD_SKIPS;
	become_ordinary();
	for (size_t i = 0; i < count; i++)
		pipes[i] = open_pipe(0);
	pipes[count] = open_pipe(0);
	require(ayre_pipe_capacity(pipes[0]) == 262144);
	require(ayre_pipe_capacity(pipes[count]) == 8192);
	/* It is small, and it carries. */
	reader = start_child(read_bulk, pipes[count]);
	bytes = malloc(BULK_BYTES);
	fill_pattern(bytes, BULK_BYTES, 5);
	require(ayre_pipe_write(pipes[count], bytes, BULK_BYTES) == BULK_BYTES);
	for (size_t i = 0; i <= count; i++)
		ayre_pipe_close(pipes[i]);
	free(bytes);
	free(pipes);
	return end_of(reader);
}

static void as_ordinary_user(int (*run)(void *context))
{
	int status;

	if (!is_root())
		skip_because("needs root");
	status = run_in_child(run, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this machine has another quota of pipes");
	assert_exited(status);
}

static void a_wish_beyond_the_limit_gets_the_limit(void **state)
{
	(void)state;
	as_ordinary_user(ask_for_too_much);
}

static void a_users_quota_makes_pipes_small(void **state)
{
	(void)state;
	as_ordinary_user(use_up_the_quota);
}

/* --- signals --- */

static volatile sig_atomic_t caught;

static void catch (int number)
{
	(void)number;
	caught++;
}

/* The mask and the pending signals of this thread, as a number of SIGPIPE's bits. */
static int pipe_signal_state(void)
{
	sigset_t mask, pending;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigpending(&pending);
	return sigismember(&mask, SIGPIPE) * 2 + sigismember(&pending, SIGPIPE);
}

static void write_in_every_way(struct ayre_pipe *pipe)
{
	static char bytes[100000];
	int before = pipe_signal_state();

	require(ayre_pipe_write(pipe, bytes, sizeof(bytes)) == -EPIPE);
	require(ayre_pipe_write(pipe, bytes, 1) == -EPIPE);
	require(ayre_pipe_try_write(pipe, bytes, sizeof(bytes)) == -EPIPE);
	require(ayre_pipe_write_until(pipe, bytes, sizeof(bytes), 0) == -EPIPE);
	require(ayre_pipe_write_until(pipe, bytes, 1, AYRE_NO_DEADLINE) == -EPIPE);
	require(ayre_pipe_send(pipe, bytes, 4096) == -EPIPE);
	require(ayre_pipe_try_send(pipe, bytes, 1) == -EPIPE);
	require(pipe_signal_state() == before);
}

static int write_to_nobody(void *context)
{
	struct ayre_pipe *pipe = open_pipe(0);
	struct sigaction action;
	sigset_t set;

	(void)context;
	ayre_pipe_close_read(pipe);
	write_in_every_way(pipe);
	require(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	signal(SIGPIPE, catch);
	write_in_every_way(pipe);
	require(caught == 0 && signal(SIGPIPE, SIG_IGN) == catch);
	write_in_every_way(pipe);
	require(signal(SIGPIPE, catch) == SIG_IGN);
	/* Blocked, with and without one that was pending before. */
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_in_every_way(pipe);
	require(pipe_signal_state() == 2);
	raise(SIGPIPE);
	write_in_every_way(pipe);
	require(pipe_signal_state() == 3);
	require(caught == 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	require(caught == 1);
	ayre_pipe_close(pipe);
	return 0;
}

static void the_signal_never_reaches_the_host(void **state)
{
	(void)state;
	on_each_kernel(write_to_nobody, NULL);
}

static int read_a_little(void *context)
{
	struct ayre_pipe *pipe = context;
	char bytes[1000];

	ayre_pipe_close_write(pipe);
	/* Only when the writer waits for room. */
	while (ayre_pipe_fill(pipe) < ayre_pipe_capacity(pipe))
		usleep(1000);
	usleep(20000);
	return ayre_pipe_read(pipe, bytes, sizeof(bytes)) != sizeof(bytes);
}

static int lose_the_reader_half_way(void *context)
{
	static char bytes[1 << 20];
	bool until = context != NULL;
	struct ayre_pipe *pipe = open_pipe(16384);
	pid_t reader = start_child(read_a_little, pipe);
	ssize_t put;

	ayre_pipe_close_read(pipe);
	put = until ? ayre_pipe_write_until(pipe, bytes, sizeof(bytes), AYRE_NO_DEADLINE)
	            : ayre_pipe_write(pipe, bytes, sizeof(bytes));
	/* What went is told first, and why it was no more then. */
	require(put >= 16384 && put < (ssize_t)sizeof(bytes));
	require(ayre_pipe_write(pipe, bytes, sizeof(bytes)) == -EPIPE);
	require(pipe_signal_state() == 0);
	ayre_pipe_close(pipe);
	return end_of(reader);
}

static void nor_in_the_middle_of_a_write(void **state)
{
	(void)state;
	on_each_kernel(lose_the_reader_half_way, NULL);
	on_each_kernel(lose_the_reader_half_way, &by_deadline);
}

/* --- messages --- */

#define WRITERS  8
#define MESSAGES 100

struct senders {
	struct ayre_pipe *pipe;
	atomic_uint started;
};

static int send_messages(void *context)
{
	struct senders *senders = context;
	unsigned int number = atomic_fetch_add(&senders->started, 1);
	char message[AYRE_PIPE_MESSAGE_MAX];

	ayre_pipe_close_read(senders->pipe);
	memset(message, 'a' + (int)number, sizeof(message));
	for (int i = 0; i < MESSAGES; i++) {
		int result = i % 2 ? ayre_pipe_try_send(senders->pipe, message, sizeof(message))
		                   : -EAGAIN;

		if (result == -EAGAIN)
			result = ayre_pipe_send(senders->pipe, message, sizeof(message));
		require(result == 0);
	}
	return 0;
}

/* One whole message; false at the end. */
static bool receive(struct ayre_pipe *pipe, char message[static AYRE_PIPE_MESSAGE_MAX])
{
	size_t done = 0;

	while (done < AYRE_PIPE_MESSAGE_MAX) {
		ssize_t got = ayre_pipe_read(pipe, message + done, AYRE_PIPE_MESSAGE_MAX - done);

		require(got >= 0 && (got > 0 || done == 0));
		if (got == 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static int gather_messages(void *context)
{
	struct senders *senders = context;
	char message[AYRE_PIPE_MESSAGE_MAX];
	int counts[WRITERS] = {0};
	pid_t writers[WRITERS];

	atomic_store(&senders->started, 0);
	senders->pipe = open_pipe(8192);
	for (int i = 0; i < WRITERS; i++)
		writers[i] = start_child(send_messages, senders);
	ayre_pipe_close_write(senders->pipe);
	while (receive(senders->pipe, message)) {
		for (size_t i = 1; i < sizeof(message); i++)
			require(message[i] == message[0]);
		counts[message[0] - 'a']++;
	}
	for (int i = 0; i < WRITERS; i++) {
		require(end_of(writers[i]) == 0);
		require(counts[i] == MESSAGES);
	}
	ayre_pipe_close(senders->pipe);
	return 0;
}

static void messages_of_many_writers_stay_whole(void **state)
{
	struct senders *senders = share_memory(sizeof(*senders));

	(void)state;
	on_each_kernel(gather_messages, senders);
	unshare_memory(senders, sizeof(*senders));
}

static void messages_have_a_length(void **state)
{
	static char message[AYRE_PIPE_MESSAGE_MAX + 1];
	struct ayre_pipe *pipe = open_pipe(0);

	(void)state;
	assert_int_equal(ayre_pipe_send(pipe, message, sizeof(message)), -EMSGSIZE);
	assert_int_equal(ayre_pipe_try_send(pipe, message, SIZE_MAX), -EMSGSIZE);
	assert_int_equal(ayre_pipe_send(pipe, message, 0), -EINVAL);
	assert_int_equal(ayre_pipe_try_send(pipe, message, 0), -EINVAL);
	assert_int_equal(ayre_pipe_fill(pipe), 0);
	assert_int_equal(ayre_pipe_send(pipe, message, 4096), 0);
	assert_int_equal(ayre_pipe_send(pipe, message, 1), 0);
	assert_int_equal(ayre_pipe_fill(pipe), 4097);
	ayre_pipe_close(pipe);
}

/* --- time --- */

static int meet_deadlines(void *context)
{
	static char bytes[1 << 20];
	struct ayre_pipe *pipe = open_pipe(65536);
	int64_t began = now_ns();

	(void)context;
	limit_time(20);
	require(ayre_pipe_read_until(pipe, bytes, 1, began + 50 * MILLISECOND) == -ETIMEDOUT);
	require(now_ns() - began >= 50 * MILLISECOND);
	require(ayre_pipe_read_until(pipe, bytes, 1, 0) == -ETIMEDOUT);
	require(ayre_pipe_read_until(pipe, bytes, 1, -5) == -ETIMEDOUT);
	/* What is possible now needs no time. */
	require(ayre_pipe_write_until(pipe, "abc", 3, 0) == 3);
	require(ayre_pipe_read_until(pipe, bytes, 5, 0) == 3);
	began = now_ns();
	require(ayre_pipe_write_until(pipe, bytes, sizeof(bytes), began + 50 * MILLISECOND) ==
	        65536);
	require(now_ns() - began >= 50 * MILLISECOND);
	require(ayre_pipe_write_until(pipe, bytes, 1, now_ns() + MILLISECOND) == -ETIMEDOUT);
	ayre_pipe_close(pipe);
	return 0;
}

static void deadlines_are_met(void **state)
{
	(void)state;
	on_each_kernel(meet_deadlines, NULL);
}

/* A signal every half millisecond, whose handler lets system calls be interrupted. */
static void begin_storm(void)
{
	struct sigaction action = {.sa_handler = catch};
	struct itimerval timer = {{0, 500}, {0, 500}};

	require(sigaction(SIGALRM, &action, NULL) == 0);
	require(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static int read_in_a_storm(void *context)
{
	begin_storm();
	return read_bulk(context);
}

static int write_in_a_storm(void *context)
{
	static char bytes[BULK_BYTES];
	struct ayre_pipe *pipe = open_pipe(65536);
	pid_t reader = start_child(read_in_a_storm, pipe);
	int64_t began = now_ns();

	begin_storm();
	fill_pattern(bytes, sizeof(bytes), 5);
	require(ayre_pipe_write(pipe, bytes, BULK_BYTES / 2) == BULK_BYTES / 2);
	require(ayre_pipe_write_until(pipe, bytes + BULK_BYTES / 2, BULK_BYTES / 2,
	                              AYRE_NO_DEADLINE) == BULK_BYTES / 2);
	ayre_pipe_close(pipe);
	pipe = open_pipe(0);
	began = now_ns();
	require(ayre_pipe_read_until(pipe, bytes, 1, began + 50 * MILLISECOND) == -ETIMEDOUT);
	require(now_ns() - began >= 50 * MILLISECOND && caught > 10);
	ayre_pipe_close(pipe);
	(void)context;
	return end_of(reader);
}

static void signals_interrupt_nothing(void **state)
{
	(void)state;
	on_each_kernel(write_in_a_storm, NULL);
}

/* --- descriptors --- */

static int open_without_standard_streams(void *context)
{
	int error_output = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	struct ayre_pipe *pipe;
	int kept = 0;

	(void)context;
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	for (int fd = 3; fd < 64; fd++)
		kept += fcntl(fd, F_GETFD) == 0;
	pipe = open_pipe(0);
	if (ayre_pipe_read_fd(pipe) <= 2 || ayre_pipe_write_fd(pipe) <= 2 ||
	    ayre_pipe_fd(pipe) <= 2) {
		dprintf(error_output, "%d %d %d\n", ayre_pipe_read_fd(pipe),
		        ayre_pipe_write_fd(pipe), ayre_pipe_fd(pipe));
		return 1;
	}
	/* All of them are gone in a program that the host starts. */
	for (int fd = 3; fd < 64; fd++)
		kept -= fcntl(fd, F_GETFD) == 0;
	if (kept != 0)
		return 2;
	ayre_pipe_close(pipe);
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 3;
	return 0;
}

static void descriptors_are_never_standard_streams(void **state)
{
	(void)state;
	assert_exited(run_in_child(open_without_standard_streams, NULL));
}

static void a_loop_waits_with_one_descriptor(void **state)
{
	struct ayre_pipe *pipe = open_pipe(4096);
	int fd = ayre_pipe_fd(pipe), loop = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	char bytes[4096] = {0};

	(void)state;
	assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), 0);
	assert_false(is_ready(loop, 20));
	assert_int_equal(ayre_pipe_write(pipe, "abc", 3), 3);
	/* As long as there is something to read. */
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 1), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(epoll_wait(loop, &event, 1, 0), 1);
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 3), 2);
	assert_false(is_ready(loop, 20));
	ayre_pipe_close_write(pipe);
	assert_true(is_ready(loop, 0));
	assert_int_equal(ayre_pipe_try_read(pipe, bytes, 3), 0);
	assert_int_equal(ayre_pipe_fd(pipe), fd);
	ayre_pipe_close(pipe);
	close(loop);
}

static int hold(void *context)
{
	ayre_pipe_close_write(context);
	pause();
	return 0;
}

/* The child has the reading end open: closing ours leaves it in the set, if only closed. */
static void a_loop_waits_for_the_end_that_is_left(void **state)
{
	struct ayre_pipe *pipe = open_pipe(4096);
	int fd = ayre_pipe_fd(pipe);
	char bytes[4096] = {0};
	pid_t child;

	(void)state;
	child = start_child(hold, pipe);
	ayre_pipe_close_read(pipe);
	assert_true(is_ready(fd, 0));
	assert_int_equal(ayre_pipe_try_write(pipe, bytes, sizeof(bytes)), 4096);
	/* Full: nothing to do, whatever the reading end, which is not ours any more, has. */
	assert_false(is_ready(fd, 20));
	kill(child, SIGKILL);
	end_of(child);
	assert_true(is_ready(fd, 1000));
	assert_int_equal(ayre_pipe_try_write(pipe, bytes, 1), -EPIPE);
	assert_int_equal(ayre_pipe_fd(pipe), fd);
	ayre_pipe_close(pipe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(bytes_go_from_process_to_process),
		counted_test(try_never_waits_though_the_descriptors_do),
		counted_test(calls_wait_though_the_descriptors_do_not),
		counted_test(ends_that_are_closed_say_so),
		counted_test(options_are_checked),
		counted_test(capacity_is_what_was_granted),
		counted_test(a_wish_beyond_the_limit_gets_the_limit),
		counted_test(a_users_quota_makes_pipes_small),
		counted_test(the_signal_never_reaches_the_host),
		counted_test(nor_in_the_middle_of_a_write),
		counted_test(messages_of_many_writers_stay_whole),
		counted_test(messages_have_a_length),
		counted_test(deadlines_are_met),
		counted_test(signals_interrupt_nothing),
		counted_test(descriptors_are_never_standard_streams),
		counted_test(a_loop_waits_with_one_descriptor),
		counted_test(a_loop_waits_for_the_end_that_is_left),
	};

	return run_counted("pipe", tests);
}
