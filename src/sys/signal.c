/*
 * SIGPIPE, held back in the calling thread alone.
 *
 * It is raised by a write of the thread itself and goes to that thread, so that the thread can
 * take it back; one that another process sends meanwhile goes to the process.
 */
#include "sys/signal.h"

#include <time.h>

#include "sys/result.h"

static sigset_t pipe_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	return set;
}

void ayrei_sigpipe_hold(struct ayrei_signal_hold *hold)
{
	sigset_t set = pipe_signal(), pending;

	sigpending(&pending);
	hold->was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &set, &hold->before);
}

void ayrei_sigpipe_release(const struct ayrei_signal_hold *hold)
{
	static const struct timespec now = {0};
	sigset_t set = pipe_signal(), pending;

	sigpending(&pending);
	if (!hold->was_pending && sigismember(&pending, SIGPIPE) == 1)
		(void)AYREI_RETRY(sigtimedwait(&set, NULL, &now));
	pthread_sigmask(SIG_SETMASK, &hold->before, NULL);
}
