/*
 * The end of a child.
 *
 * Invariant: what is reported is the kernel's own account. What it does not know, because the
 * host took the news, or counts wrongly, because it starts from the host's size, is -1.
 */
#include "process/end.h"

#include <errno.h>

#include "sys/child.h"
#include "sys/event.h"

struct ayre_process_end ayrei_end_running(int64_t started_ns)
{
	return (struct ayre_process_end){
		.size = sizeof(struct ayre_process_end),
		.started_ns = started_ns,
		.user_ns = -1,
		.system_ns = -1,
		.max_rss_bytes = -1,
		.read_bytes = -1,
		.written_bytes = -1,
		.voluntary_switches = -1,
		.involuntary_switches = -1,
	};
}

struct ayre_process_end ayrei_end_not_started(void)
{
	struct ayre_process_end end = ayrei_end_running(0);

	end.outcome = AYRE_OUTCOME_NOT_STARTED;
	return end;
}

static void set_outcome(struct ayre_process_end *end, const struct ayrei_child_end *news)
{
	if (news->lost) {
		end->outcome = AYRE_OUTCOME_LOST;
	} else if (news->signaled) {
		end->outcome = AYRE_OUTCOME_SIGNALED;
		end->signal_number = news->status;
		end->dumped_core = news->dumped_core;
	} else {
		end->outcome = AYRE_OUTCOME_EXITED;
		end->status = news->status;
	}
}

int ayrei_end_take(struct ayre_process_end *end, pid_t pid, int pidfd, int64_t host_rss_bytes)
{
	struct ayrei_child_end news;
	int result = ayrei_child_look(pidfd, &news);

	if (result < 0)
		return result;
	/* Once the host has reaped it, its number may be another's. */
	if (news.user_ns >= 0)
		(void)ayrei_child_bytes(pid, &end->read_bytes, &end->written_bytes);
	if (ayrei_child_signal(pidfd, 0) == -ESRCH)
		end->read_bytes = end->written_bytes = -1;
	end->ended_ns = ayrei_monotonic_ns();
	end->user_ns = news.user_ns;
	end->system_ns = news.system_ns;
	end->voluntary_switches = news.voluntary_switches;
	end->involuntary_switches = news.involuntary_switches;
	/* Up to the host's own size it may be the host's that the kernel counted. */
	if (news.max_rss_bytes > host_rss_bytes)
		end->max_rss_bytes = news.max_rss_bytes;
	set_outcome(end, &news);
	return 0;
}
