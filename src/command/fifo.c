/*
 * ayre fifo: named pipes from the shell, whose ends wait for each other no longer than they are
 * told to.
 *
 * Invariant: no bytes are taken from standard input before there is somebody who reads them, and
 * none from the pipe that are not given to standard output.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <ayre.h>

#include "command/command.h"
#include "command/output.h"

#define CHUNK_BYTES (64 * 1024)

struct fifo_options {
	uint32_t mode;
	struct duration_option timeout;
};

static const struct command_option timeout_table[] = {
	{"timeout", OPTION_DURATION, "DURATION", offsetof(struct fifo_options, timeout),
         "give up when nothing has moved for so long: 250ms, 2s, 1m; exit 124 (never)"},
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* From now on, as far as the clock reaches. */
static int64_t deadline_of(const struct fifo_options *given)
{
	int64_t now = now_ns();

	if (!given->timeout.given || given->timeout.ns > AYRE_NO_DEADLINE - now)
		return AYRE_NO_DEADLINE;
	return now + given->timeout.ns;
}

static int report(const struct ayre_error *error, const char *path)
{
	if (error->code == -ENOENT)
		return output_fail("%s: %s: 'ayre fifo create %s' makes it", path, strerror(ENOENT),
		                   path);
	return output_error(error);
}

static int report_deadline(const char *path, const char *what)
{
	output_note("%s: the deadline passed: %s", path, what);
	return EXIT_DEADLINE;
}

/* --- create --- */

static const struct command_option create_table[] = {
	{"mode", OPTION_MODE, "MODE", offsetof(struct fifo_options, mode),
         "permissions, whatever the umask (0600)"},
};

static int run_create(void *values, int operand_count, char **operands)
{
	const struct fifo_options *given = values;
	struct ayre_pipe_options options = {.size = sizeof(options), .mode = given->mode};
	struct ayre_error error;

	(void)operand_count;
	umask(0);
	if (ayre_fifo_create(&options, operands[0], &error) < 0)
		return output_error(&error);
	return EXIT_DONE;
}

const struct command fifo_create_command = {
	.noun = "fifo",
	.verb = "create",
	.summary = "Make a named pipe",
	.synopsis = "PATH [--mode MODE]",
	.examples = "  ayre fifo create /tmp/requests\n"
		    "  ayre fifo create /tmp/requests --mode 0622\n",
	.options = create_table,
	.option_count = COUNT_OF(create_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_FILE},
	.run = run_create,
	.values_bytes = sizeof(struct fifo_options),
};

/* --- read --- */

/* What poll(2) takes: rounded up, so that it is not asked again and again at the end. */
static int left_ms(int64_t deadline_ns)
{
	int64_t left;

	if (deadline_ns == AYRE_NO_DEADLINE)
		return -1;
	left = (deadline_ns - now_ns() + 999999) / 1000000;
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Waits for the pipe; ends us when nobody reads standard output any more. false: the deadline. */
static bool wait_for_bytes(int fd, int64_t deadline_ns)
{
	/* Of standard output only that its reader has gone, which poll(2) tells unasked. */
	struct pollfd events[] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	int ready = poll(events, 2, left_ms(deadline_ns));

	if (ready > 0 && events[1].revents & POLLERR)
		output_reader_gone();
	return ready != 0 || now_ns() < deadline_ns;
}

/* Until the writers, one of whom has written, have left. */
static int copy_out(struct ayre_pipe *pipe, const char *path, const struct fifo_options *given)
{
	static char chunk[CHUNK_BYTES];
	int64_t deadline_ns = deadline_of(given);
	int fd = ayre_pipe_fd(pipe), result = EXIT_DONE;

	while (result == EXIT_DONE) {
		ssize_t got = ayre_pipe_try_read(pipe, chunk, sizeof(chunk));

		if (got == 0)
			break;
		if (got > 0) {
			result = output_bytes(chunk, (size_t)got);
			if (result == EXIT_DONE)
				result = output_flush();
			deadline_ns = deadline_of(given);
		} else if (got != -EAGAIN) {
			result = output_fail("%s: %s", path, strerror((int)-got));
		} else if (!wait_for_bytes(fd, deadline_ns)) {
			result = report_deadline(path, "nothing came");
		}
	}
	return result;
}

static int run_read(void *values, int operand_count, char **operands)
{
	const char *path = operands[0];
	struct ayre_pipe *pipe;
	struct ayre_error error;
	int result;

	(void)operand_count;
	if (ayre_fifo_open(NULL, path, AYRE_FIFO_READ, &pipe, &error) < 0)
		return report(&error, path);
	result = copy_out(pipe, path, values);
	ayre_pipe_close(pipe);
	return result;
}

const struct command fifo_read_command = {
	.noun = "fifo",
	.verb = "read",
	.summary = "Print what comes through a named pipe, until its writers have left",
	.synopsis = "PATH [--timeout DURATION]",
	.examples = "  ayre fifo read /tmp/requests\n"
		    "  ayre fifo read /tmp/requests --timeout 2s\n",
	.options = timeout_table,
	.option_count = COUNT_OF(timeout_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_FILE},
	.run = run_read,
	.values_bytes = sizeof(struct fifo_options),
};

/* --- write --- */

/* gone: how many bytes went before. */
static int report_write(const char *path, ssize_t result, uint64_t gone)
{
	switch (result) {
	case -ETIMEDOUT:
		return report_deadline(path, gone ? "its reader made no room" : "nobody reads it");
	case -EPIPE:
		return output_fail("%s: its reader has left, after %" PRIu64 " bytes", path, gone);
	case -ESTALE:
		return output_fail("%s: it was removed, and nobody reads it", path);
	default:
		return output_fail("%s: %s", path, strerror((int)-result));
	}
}

static int write_chunk(struct ayre_pipe *pipe, const char *path, const struct fifo_options *given,
                       const char *chunk, size_t length, uint64_t *gone)
{
	size_t done = 0;

	while (done < length) {
		/* Whatever has moved begins the time anew. */
		ssize_t put = ayre_pipe_write_until(pipe, chunk + done, length - done,
		                                    deadline_of(given));

		if (put < 0)
			return report_write(path, put, *gone);
		done += (size_t)put;
		*gone += (uint64_t)put;
	}
	return EXIT_DONE;
}

static int fail_input(void)
{
	return output_fail("standard input: %s", strerror(errno));
}

static int copy_in(struct ayre_pipe *pipe, const char *path, const struct fifo_options *given)
{
	static char chunk[CHUNK_BYTES];
	uint64_t gone = 0;
	ssize_t got = read(STDIN_FILENO, chunk, 0), met;
	int result = EXIT_DONE;

	/* Nobody is met for an input that cannot be read. */
	if (got < 0)
		return fail_input();
	/* Of no bytes: waits for a reader, who sees an end even if the input is empty. */
	met = ayre_pipe_write_until(pipe, chunk, 0, deadline_of(given));
	if (met < 0)
		return report_write(path, met, 0);
	while (result == EXIT_DONE && (got = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (got > 0)
			result = write_chunk(pipe, path, given, chunk, (size_t)got, &gone);
		else if (errno != EINTR)
			result = fail_input();
	}
	return result;
}

static int run_write(void *values, int operand_count, char **operands)
{
	const char *path = operands[0];
	struct ayre_pipe *pipe;
	struct ayre_error error;
	int result;

	(void)operand_count;
	if (ayre_fifo_open(NULL, path, AYRE_FIFO_WRITE, &pipe, &error) < 0)
		return report(&error, path);
	result = copy_in(pipe, path, values);
	ayre_pipe_close(pipe);
	return result;
}

const struct command fifo_write_command = {
	.noun = "fifo",
	.verb = "write",
	.summary = "Put standard input into a named pipe, once somebody reads it",
	.synopsis = "PATH [--timeout DURATION]",
	.examples = "  echo reload | ayre fifo write /tmp/requests --timeout 500ms\n",
	.options = timeout_table,
	.option_count = COUNT_OF(timeout_table),
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_FILE},
	.run = run_write,
	.values_bytes = sizeof(struct fifo_options),
};

/* --- remove --- */

static int run_remove(void *values, int operand_count, char **operands)
{
	struct ayre_error error;

	(void)values;
	(void)operand_count;
	if (ayre_fifo_remove(operands[0], &error) < 0)
		return output_error(&error);
	return EXIT_DONE;
}

const struct command fifo_remove_command = {
	.noun = "fifo",
	.verb = "remove",
	.summary = "Take a named pipe's name away; who has it open goes on",
	.synopsis = "PATH",
	.examples = "  ayre fifo remove /tmp/requests\n",
	.least_operands = 1,
	.most_operands = 1,
	.operand_kinds = {OPERAND_FILE},
	.run = run_remove,
};
