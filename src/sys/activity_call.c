/*
 * What a process that sleeps in a system call waits for.
 *
 * Invariant: a call that is not in the table waits for nothing of ours. An architecture that does
 * not have a call (arm64 has no poll, only ppoll) has no row for it.
 */
#include "sys/activity_call.h"

#include <sys/syscall.h>

static const struct {
	long number;
	enum ayrei_blocked blocked;
} calls[] = {
	{SYS_read, AYREI_BLOCKED_READ},
	{SYS_write, AYREI_BLOCKED_WRITE},
	{SYS_futex, AYREI_BLOCKED_EITHER},
	{SYS_wait4, AYREI_BLOCKED_CHILD},
#ifdef SYS_poll
	{SYS_poll, AYREI_BLOCKED_EITHER},
#endif
	{SYS_ppoll, AYREI_BLOCKED_EITHER},
#ifdef SYS_select
	{SYS_select, AYREI_BLOCKED_EITHER},
#endif
	{SYS_pselect6, AYREI_BLOCKED_EITHER},
#ifdef SYS_epoll_wait
	{SYS_epoll_wait, AYREI_BLOCKED_EITHER},
#endif
	{SYS_epoll_pwait, AYREI_BLOCKED_EITHER},
#ifdef SYS_epoll_pwait2
	{SYS_epoll_pwait2, AYREI_BLOCKED_EITHER},
#endif
	{SYS_readv, AYREI_BLOCKED_READ},
	{SYS_pread64, AYREI_BLOCKED_READ},
	{SYS_preadv, AYREI_BLOCKED_READ},
	{SYS_preadv2, AYREI_BLOCKED_READ},
	{SYS_recvfrom, AYREI_BLOCKED_READ},
	{SYS_recvmsg, AYREI_BLOCKED_READ},
	{SYS_writev, AYREI_BLOCKED_WRITE},
	{SYS_pwrite64, AYREI_BLOCKED_WRITE},
	{SYS_pwritev, AYREI_BLOCKED_WRITE},
	{SYS_pwritev2, AYREI_BLOCKED_WRITE},
	{SYS_sendto, AYREI_BLOCKED_WRITE},
	{SYS_sendmsg, AYREI_BLOCKED_WRITE},
	{SYS_vmsplice, AYREI_BLOCKED_WRITE},
	{SYS_splice, AYREI_BLOCKED_EITHER},
	{SYS_tee, AYREI_BLOCKED_EITHER},
	{SYS_sendfile, AYREI_BLOCKED_EITHER},
	{SYS_copy_file_range, AYREI_BLOCKED_EITHER},
	{SYS_io_getevents, AYREI_BLOCKED_EITHER},
#ifdef SYS_io_uring_enter
	{SYS_io_uring_enter, AYREI_BLOCKED_EITHER},
#endif
	/* A poll or a lock, but also a sleep, that was stopped and continued. */
	{SYS_restart_syscall, AYREI_BLOCKED_EITHER},
	{SYS_waitid, AYREI_BLOCKED_CHILD},
	/* A shell that waits for a signal, of a child's end mostly. */
	{SYS_rt_sigsuspend, AYREI_BLOCKED_CHILD},
};

enum ayrei_blocked ayrei_activity_call(long number)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i].number == number)
			return calls[i].blocked;
	return AYREI_BLOCKED_ELSE;
}
