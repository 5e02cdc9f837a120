/*
 * Dying with a word.
 *
 * Invariant: who has told dies, whatever the signal was: a fault happens again once the handler is gone
 * and has returned; of what does not happen again the process makes a signal of its own. Under a
 * filter that is one more forbidden call, which the kernel, SIGSYS being blocked by then, ends it for.
 */
#include "sys/crash.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "sys/result.h"

#define STACK_BYTES 65536

static char stack[STACK_BYTES] __attribute__((aligned(64)));
static void (*tell_crash)(const struct ayrei_crash *crash);

static const int caught[] = {SIGSEGV, SIGBUS, SIGABRT, SIGSYS, SIGFPE, SIGILL, SIGTRAP};

/* The argument of the system call that a filter caught. */
static long argument_of(const ucontext_t *context, int number)
{
#if defined(__x86_64__)
	static const int registers[] = {REG_RDI, REG_RSI, REG_RDX};

	return (long)context->uc_mcontext.gregs[registers[number]];
#elif defined(__aarch64__)
	return (long)context->uc_mcontext.regs[number];
#endif
}

/*
 * abort(3) and raise(3) are system calls, which a filter may catch as well: what was meant is the
 * signal.
 */
static void see_through(struct ayrei_crash *crash, const ucontext_t *context)
{
	long number = 0;

	if (crash->system_call == SYS_tgkill)
		number = argument_of(context, 2);
	else if (crash->system_call == SYS_tkill || crash->system_call == SYS_kill)
		number = argument_of(context, 1);
	if (number <= 0 || number > SIGRTMAX)
		return;
	crash->signal = (int32_t)number;
	crash->code = SI_TKILL;
	crash->system_call = -1;
}

static void handle(int number, siginfo_t *info, void *context)
{
	struct ayrei_crash crash = {
		.signal = number,
		.code = info->si_code,
		.system_call = -1,
	};
	/* Sent, by whomever, or caught by a filter. */
	int happens_again = info->si_code > 0 && number != SIGSYS;

	if (number == SIGSYS && info->si_code > 0) {
		crash.system_call = info->si_syscall;
		see_through(&crash, context);
	} else if (happens_again && (number == SIGSEGV || number == SIGBUS) &&
	           info->si_code != SI_KERNEL) {
		crash.has_address = 1;
		crash.address = (uintptr_t)info->si_addr;
	}
	tell_crash(&crash);
	if (!happens_again)
		(void)syscall(SYS_kill, getpid(), number);
}

int ayrei_crash_catch(void (*tell)(const struct ayrei_crash *crash))
{
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {
		.sa_sigaction = handle,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND,
	};
	int result = AYREI_RESULT(sigaltstack(&own, NULL));

	tell_crash = tell;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; result == 0 && i < sizeof(caught) / sizeof(*caught); i++)
		result = AYREI_RESULT(sigaction(caught[i], &action, NULL));
	return result;
}
