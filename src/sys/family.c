/*
 * Families of processes.
 *
 * Invariant: no time passes in which the founder is gone and the first goes on. That the founder's end kills it,
 * it has asked the kernel for before it looks whether there is a founder; and between the two it takes the lock
 * under which processes end (setpgid(2) does), so that one which ended before it had asked is seen to have.
 *
 * A signal to a group reaches all of it at once: who is being made at that moment either is in the
 * group already, or is not made (fork(2) gives up when a signal is pending).
 */
#include "sys/family.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/child.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/namespace.h"
#include "sys/raw.h"
#include "sys/result.h"

static pid_t fork_with(unsigned long flags, int *ret_pidfd)
{
	return (pid_t)ayrei_raw_call(SYS_clone, (long)(flags | CLONE_PIDFD | SIGCHLD), 0,
	                             (long)ret_pidfd, 0, 0);
}

/* Without a privilege a process namespace comes with a user namespace only. */
static int fork_first(bool apart, struct ayrei_family *family)
{
	family->is_apart = apart;
	family->first = fork_with(apart ? CLONE_NEWUSER | CLONE_NEWPID : 0, &family->pidfd);
	if (family->first < 0 && apart)
		return fork_first(false, family);
	return family->first < 0 ? family->first : 0;
}

/* Its parent may have no number here, so that a descriptor has to tell. */
static int die_with(int founder)
{
	int result = AYREI_RESULT(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));

	if (result == 0)
		result = AYREI_RESULT(setpgid(0, 0));
	if (result == 0)
		result = ayrei_wait_for(founder, AYREI_READABLE, 0);
	return result > 0 ? -ESRCH : result;
}

int ayrei_family_found(bool apart, struct ayrei_family *ret_family)
{
	struct ayrei_family family = {.pidfd = -1};
	unsigned int user = geteuid(), group = getegid();
	int founder = ayrei_child_open(getpid());
	int result = founder < 0 ? founder : fork_first(apart, &family);

	if (result == 0 && family.first > 0) {
		/* The first does it too, but perhaps later. */
		(void)setpgid(family.first, family.first);
	} else if (result == 0) {
		/* Without, it is the same user still, and sees the number of nobody. */
		if (family.is_apart)
			(void)ayrei_user_keep(user, group);
		result = die_with(founder);
	}
	ayrei_file_close(founder);
	if (result == 0)
		*ret_family = family;
	return result;
}

int ayrei_family_end(const struct ayrei_family *family)
{
	int status = 0;

	kill(-family->first, SIGKILL);
	(void)ayrei_child_signal(family->pidfd, SIGKILL);
	(void)AYREI_RETRY(waitpid(family->first, &status, 0));
	return status;
}

void ayrei_end_like(int status)
{
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}
