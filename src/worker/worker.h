/*
 * The handle of a worker, in the host.
 *
 *   worker.c          what it tells of itself
 *   worker_open.c     memory, the zygote, the module; and closing
 *   worker_process.c  the process of the next call: starting, hearing of it, ending it
 *   worker_call.c     a call
 *   worker_end.c      how processes end
 *   channel.h         what is shared with the zygote and its workers
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/worker.h>

#include "worker/channel.h"

/* The zygote has one worker at most, and says of it that it was started, and that it ended. */
enum ayrei_worker_state {
	AYREI_WORKER_NONE,
	AYREI_WORKER_STARTING, /* ordered */
	AYREI_WORKER_ALIVE,
	AYREI_WORKER_ENDING, /* killed; the zygote has yet to say so */
	AYREI_WORKER_GONE,   /* the zygote is: for good */
};

struct ayre_worker {
	struct ayre_worker_options options; /* with the defaults in their places */
	int socket, call_bell, reply_bell;
	int replies_file;
	struct ayrei_requests *requests;
	const struct ayrei_replies *replies;  /* written by somebody else: each word is read once */
	size_t requests_bytes, replies_bytes; /* of the maps */

	pid_t zygote_pid;
	int zygote; /* pidfds */
	int process;
	enum ayrei_worker_state state;
	bool is_used;   /* by a call; the next one wants another process, unless it is kept */
	bool is_doomed; /* it is to be killed as soon as it has started */
	int64_t call_begin_ns;

	struct ayre_worker_info info;
	struct ayre_worker_end end;
};

/* --- worker_process.c --- */

/*
 * Hears one report of the zygote, by an absolute deadline. 0, -ETIMEDOUT, -ENOTCONN: the zygote is gone; or
 * what no process could be made for.
 */
int ayrei_worker_hear(struct ayre_worker *worker, int64_t deadline_ns);
/* A process that has not been used, or is kept; it may still be starting. Errors as above. */
int ayrei_worker_provide(struct ayre_worker *worker, int64_t deadline_ns);
/* Waits until there is something to hear, or a bell was rung. 0 or -ETIMEDOUT. */
int ayrei_worker_wait(struct ayre_worker *worker, int64_t deadline_ns);
/* Ends the process, or will as soon as it is there; does not wait. */
void ayrei_worker_kill(struct ayre_worker *worker);
/* The zygote is of no use any more: ends it, and all that it made. */
void ayrei_worker_abandon(struct ayre_worker *worker);

/* --- worker_end.c --- */

/* What a process that has ended came to. status: as wait(2) has it. */
void ayrei_worker_judge(const struct ayre_worker *worker, int status, struct ayre_worker_end *end);
