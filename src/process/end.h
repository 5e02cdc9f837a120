/*
 * How a child ended and what it used: one record, for processes and for stages.
 */
#pragma once

#include <ayre/process.h>

/* An end of which nothing is known yet. started_ns: CLOCK_MONOTONIC. */
struct ayre_process_end ayrei_end_running(int64_t started_ns);
struct ayre_process_end ayrei_end_not_started(void);

/*
 * Takes the news of the end, if there is any; the process is still to be reaped. host_rss_bytes:
 * the most that the host had resident when the child was started. Returns 0, or -EAGAIN: it runs.
 */
int ayrei_end_take(struct ayre_process_end *end, pid_t pid, int pidfd, int64_t host_rss_bytes);
