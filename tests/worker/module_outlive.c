/*
 * Modules whose constructors make processes that are to outlive the zygote; KIND says how. They do what the
 * zygote's filter lets them do, and go on after what it does not.
 */
#include <ayre/module.h>

#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of one constructor: the machine is everybody's. */
#define COPIES_MAX 300

/* As the zygote makes workers. */
static long copy(void)
{
	int pidfd;
	long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);

	if (pid > 0)
		close(pidfd);
	return pid;
}

static void go_on(int number)
{
	(void)number;
}

static void __attribute__((noreturn)) stay(void)
{
	for (;;)
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

/* Whoever has made it, and whatever it is told. */
static void leave_everybody(void)
{
	for (int number = 1; number <= SIGRTMAX; number++)
		signal(number, go_on);
	syscall(SYS_setsid);
	syscall(SYS_setpgid, 0, 0);
	syscall(SYS_unshare, CLONE_NEWPID);
	prctl(PR_SET_PDEATHSIG, 0);
	/* The kernel takes the lower half of the option, and all of the signal. */
	syscall(SYS_prctl, 0x100000000 | PR_SET_PDEATHSIG, 0);
	prctl(PR_SET_PDEATHSIG, SIGCONT);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_DUMPABLE, 1);
}

static void detach(void)
{
	leave_everybody();
	(void)copy();
	leave_everybody();
	(void)copy();
	leave_everybody();
	stay();
}

/* As many as it gets, and each of them too. */
static void multiply(void)
{
	unsigned int *born = mmap(NULL, sizeof(*born), PROT_READ | PROT_WRITE,
	                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	leave_everybody();
	while (__atomic_add_fetch(born, 1, __ATOMIC_RELAXED) <= COPIES_MAX && copy() >= 0)
		;
	stay();
}

/* Never for long the same process: whoever looks for it comes too late. */
static void flee(void)
{
	leave_everybody();
	signal(SIGCHLD, SIG_IGN);
	if (copy() != 0)
		stay();
	for (;;)
		if (copy() > 0)
			_exit(0);
}

static void (*const kinds[])(void) = {detach, multiply, flee};

__attribute__((constructor)) static void begin(void)
{
	kinds[KIND]();
}
