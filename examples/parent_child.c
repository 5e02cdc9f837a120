/*
 * Parent and child over a pipe (system S7): bytes in order, one way, and a descriptor that is like
 * that of any file, to the child at least, which reads it as its standard input.
 *
 *   parent_child COUNT COMMAND [ARGUMENT]...    COMMAND reads the numbers from 1 to COUNT
 *
 * A command that has read enough and leaves is no signal here, but a result: -EPIPE.
 *
 * Compiled by
 *
 *   cc -o parent_child parent_child.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ayre.h>

static int complain(const char *what, int code)
{
	fprintf(stderr, "parent_child: %s: %s\n", what, strerror(-code));
	return 1;
}

/* In the child. Its copies of the pipe's own descriptors are close-on-exec. */
static void become(struct ayre_pipe *pipe, char **command)
{
	if (dup2(ayre_pipe_read_fd(pipe), STDIN_FILENO) != -1)
		execvp(command[0], command);
	_exit(complain(command[0], -errno) + 126);
}

/* 0: all, or as many as the child wanted. */
static int write_numbers(struct ayre_pipe *pipe, long count)
{
	char line[32];

	for (long number = 1; number <= count; number++) {
		int length = snprintf(line, sizeof(line), "%ld\n", number);
		/* Whole, also if there were other writers. */
		int result = ayre_pipe_send(pipe, line, (size_t)length);

		if (result == -EPIPE) {
			fprintf(stderr, "parent_child: the child had enough before %ld\n", number);
			return 0;
		}
		if (result < 0)
			return complain("pipe", result);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ayre_pipe *pipe;
	struct ayre_error error;
	int result, status;
	char text[640];
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: parent_child COUNT COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (ayre_pipe_open(NULL, &pipe, &error) < 0) {
		fprintf(stderr, "parent_child: %s\n", ayre_error_text(&error, text, sizeof(text)));
		return 1;
	}
	child = fork();
	if (child == -1)
		return complain("fork", -errno);
	if (child == 0)
		become(pipe, argv + 2);
	/* Now the child's is the only reading end: when it goes, we are told. */
	ayre_pipe_close_read(pipe);
	result = write_numbers(pipe, strtol(argv[1], NULL, 10));
	/* And ours was the only writing end: now the child sees the end. */
	ayre_pipe_close(pipe);
	while (waitpid(child, &status, 0) == -1)
		if (errno != EINTR)
			return complain("waitpid", -errno);
	return result == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
