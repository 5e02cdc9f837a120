/*
 * `ls DIRECTORY | wc -l` (system S8) by pipe, fork, dup2 and exec alone, each step right: what
 * it is for, and what goes wrong without it. ls_wc.c is the same with ayre.
 *
 *   ls_wc_bare DIRECTORY
 *
 * It does less even so: ls has run before it is known that there is no wc. Compiled, with pipe2(2), by
 *
 *   cc -D_GNU_SOURCE -o ls_wc_bare ls_wc_bare.c
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LS 0
#define WC 1

/* In a child. No stdio: what the parent has buffered would be printed twice. */
static void die(const char *what)
{
	const char *why = strerror(errno);

	(void)!write(STDERR_FILENO, what, strlen(what));
	(void)!write(STDERR_FILENO, ": ", 2);
	(void)!write(STDERR_FILENO, why, strlen(why));
	(void)!write(STDERR_FILENO, "\n", 1);
	/* Not exit(3): that would run the parent's atexit functions, and flush its buffers. */
	_exit(127);
}

/* The end of the pipe goes where the program looks for it. */
static void take_end(int end, int standard)
{
	/*
	 * If the end is there already, dup2(2) does nothing, and leaves it close-on-exec: the
	 * program would find it closed.
	 */
	if (end == standard) {
		if (fcntl(end, F_SETFD, 0) == -1)
			die("fcntl");
	} else if (dup2(end, standard) == -1) {
		die("dup2");
	}
	/*
	 * Nothing is closed here: the ends are close-on-exec. Were they not, wc would hold the
	 * pipe's other end itself and wait for ever for an end of its input.
	 */
}

static pid_t start(const char *const *arguments, int end, int standard)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	/*
	 * If whoever started us ignores SIGPIPE, so would ls: then it writes on to a reader that
	 * has left, and complains, instead of ending.
	 */
	signal(SIGPIPE, SIG_DFL);
	take_end(end, standard);
	/* It changes nothing of them, but was declared before const was. */
	execvp(arguments[0], (char *const *)(uintptr_t)arguments);
	die(arguments[0]);
	return -1;
}

/* As a shell has it. A child that nobody waits for stays as a zombie. */
static int wait_for(pid_t child)
{
	int status;

	/* By number: waitpid(-1) could take the news of somebody else's child. */
	while (waitpid(child, &status, 0) == -1)
		/* A signal handler of ours is no end of the child. */
		if (errno != EINTR)
			return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The ends that we have must be none of 0, 1 and 2: one dup2(2) would overwrite the other end. */
static int raise_end(int end)
{
	int raised;

	if (end > STDERR_FILENO)
		return end;
	raised = fcntl(end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(end);
	return raised;
}

int main(int argc, char **argv)
{
	const char *const ls[] = {"ls", "--", argc == 2 ? argv[1] : NULL, NULL};
	const char *const wc[] = {"wc", "-l", NULL};
	int ends[2], statuses[2];
	pid_t children[2];

	if (argc != 2) {
		fprintf(stderr, "usage: ls_wc_bare DIRECTORY\n");
		return 2;
	}
	/* Close-on-exec from birth: a flag set later is too late for the child of another thread. */
	if (pipe2(ends, O_CLOEXEC) == -1) {
		perror("ls_wc_bare: pipe2");
		return 125;
	}
	ends[0] = raise_end(ends[0]);
	ends[1] = raise_end(ends[1]);
	if (ends[0] == -1 || ends[1] == -1) {
		perror("ls_wc_bare: fcntl");
		return 125;
	}
	children[LS] = start(ls, ends[1], STDOUT_FILENO);
	children[WC] = children[LS] == -1 ? -1 : start(wc, ends[0], STDIN_FILENO);
	if (children[WC] == -1)
		perror("ls_wc_bare: fork");
	/*
	 * Ours have to go before we wait. As long as we hold the end to write to, wc does not come
	 * to the end; as long as we hold the one to read from, ls hears of no reader that has left.
	 */
	close(ends[0]);
	close(ends[1]);
	/*
	 * Both at once, so both run: had we waited for ls before wc was started, ls would have
	 * filled the pipe (64 KiB) and waited for ever.
	 */
	statuses[LS] = children[LS] == -1 ? 125 : wait_for(children[LS]);
	statuses[WC] = children[WC] == -1 ? 125 : wait_for(children[WC]);
	/* A failure of ls must not hide behind a wc that counted what there was. */
	return statuses[WC] ? statuses[WC] : statuses[LS];
}
