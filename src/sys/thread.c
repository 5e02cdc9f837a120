#include "sys/thread.h"

#include "sys/signal.h"

int ayrei_thread_start(pthread_t *ret_thread, void *(*run)(void *context), void *context)
{
	static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	sigset_t all, before;
	int result;

	/* Inherited: whoever starts it has them blocked meanwhile. Those that a thread brings about by what it does
	 * stay: blocked, they would end the process, whatever guard there is. */
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(ret_thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -result;
}

void ayrei_thread_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}
