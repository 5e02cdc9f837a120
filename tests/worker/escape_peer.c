/*
 * The attempts of the escape battery under another sandbox: each is made by a program that
 * PROGRAM starts, with the same bait outside of it.
 *
 * usage: escape_peer PROGRAM [ARGUMENT]...     what PROGRAM gets is ARGUMENT... and a command to
 * run
 *
 * Prints those that got out, and how many did. As an attempt: escape_peer --attempt NUMBER FD.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape/attempt.h"

#define ARGUMENTS_MAX 64
#define DEADLINE_MS   20000

/* No errno is as high. */
#define CODE_BROKEN 250

/* Inside: the bait comes by a descriptor, and what it tells of is inherited. */
static int attempt(const char *number, const char *fd)
{
	const struct escape_attempt *row;
	const struct escape_group *group;
	struct escape_bait bait;
	long result;

	row = escape_attempt_at(strtoul(number, NULL, 10), &group);
	if (!row || pread((int)strtol(fd, NULL, 10), &bait, sizeof(bait), 0) != sizeof(bait))
		return CODE_BROKEN;
	signal(SIGXFSZ, SIG_IGN);
	result = row->run(&bait);
	return result >= 0 ? 0 : (int)-result;
}

/* Everything that the attempt is to find or to keep outlasts exec. */
static void keep_open(const struct escape_bait *bait)
{
	const int fds[] = {bait->control, bait->memory, bait->read_only};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		fcntl(fds[i], F_SETFD, 0);
}

static void __attribute__((noreturn))
start(char **prefix, size_t number, const struct escape_bait *bait)
{
	int fd = memfd_create("bait", 0), count = 0;
	char number_text[32], fd_text[32], self[4096] = "";
	char *arguments[ARGUMENTS_MAX + 5];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	keep_open(bait);
	if (write(fd, bait, sizeof(*bait)) != sizeof(*bait) ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) == -1)
		_exit(CODE_BROKEN);
	snprintf(number_text, sizeof(number_text), "%zu", number);
	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	while (prefix[count] && count < ARGUMENTS_MAX) {
		arguments[count] = prefix[count];
		count++;
	}
	arguments[count++] = self;
	arguments[count++] = (char[]){"--attempt"};
	arguments[count++] = number_text;
	arguments[count++] = fd_text;
	arguments[count] = NULL;
	execvp(arguments[0], arguments);
	_exit(CODE_BROKEN);
}

/* 1: it got out, or was not done in time; 0: it was held; -1: it could not be made. */
static int judge(pid_t child)
{
	struct pollfd entry = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
	bool in_time = poll(&entry, 1, DEADLINE_MS) == 1;
	int status;

	close(entry.fd);
	if (!in_time)
		kill(child, SIGKILL);
	if (waitpid(child, &status, 0) == -1)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CODE_BROKEN)
		return -1;
	return !in_time || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int run_all(char **prefix, struct escape_bait *bait)
{
	size_t number = 0, out_count = 0;
	const struct escape_attempt *row;
	const struct escape_group *group;

	for (; (row = escape_attempt_at(number, &group)); number++) {
		pid_t child;
		int result;

		fflush(stdout);
		child = escape_bait_renew(bait) < 0 ? -1 : fork();
		if (child == 0)
			start(prefix, number, bait);
		result = child == -1 ? -1 : judge(child);
		if (result < 0) {
			fprintf(stderr, "%s could not be made\n", row->name);
			return EXIT_FAILURE;
		}
		out_count += (size_t)result;
		if (result)
			printf("%s: %s\n", group->name, row->name);
	}
	printf("%zu of %zu got out\n", out_count, number);
	return EXIT_SUCCESS;
}

int main(int argument_count, char **arguments)
{
	struct escape_bait bait;
	struct ayre_error error;
	char text[640];
	int result;

	if (argument_count == 4 && strcmp(arguments[1], "--attempt") == 0)
		return attempt(arguments[2], arguments[3]);
	if (argument_count < 2 || argument_count > ARGUMENTS_MAX) {
		fprintf(stderr, "usage: escape_peer PROGRAM [ARGUMENT]...\n");
		return EXIT_FAILURE;
	}
	if (escape_bait_set(&bait, &error) < 0) {
		fprintf(stderr, "%s\n", ayre_error_text(&error, text, sizeof(text)));
		return EXIT_FAILURE;
	}
	result = run_all(arguments + 1, &bait);
	escape_bait_remove(&bait);
	return result;
}
