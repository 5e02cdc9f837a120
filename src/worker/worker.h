/*
 * The handle of a worker, in the host.
 *
 *   worker.c          what it tells of itself
 *   worker_open.c     the zygote is started; and closing
 *   worker_load.c     it loads the module, and a first process stands by
 *   worker_options.c  what was asked for
 *   worker_slot.c     places for processes: their memory and bells
 *   worker_process.c  the processes in them: starting, hearing of them, ending them
 *   worker_job.c      a call in a process: begun, and given back
 *   worker_answer.c   what it comes to
 *   worker_call.c     calls that are waited for
 *   worker_submit.c   calls that are not: a descriptor tells
 *   worker_freeze.c   replies that nobody can change any more
 *   worker_poison.c   requests that processes died of
 *   worker_end.c      how processes end
 *   channel.h         what is shared with the zygote and its workers
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/worker.h>

#include "sys/spin.h"
#include "worker/channel.h"

/* Of a slot's process the zygote says that it was started, and that it ended, by turns. */
enum ayrei_process_state {
	AYREI_PROCESS_NONE,
	AYREI_PROCESS_STARTING, /* ordered */
	AYREI_PROCESS_ALIVE,
	AYREI_PROCESS_ENDING, /* killed; the zygote has yet to say so */
};

enum ayrei_job_state {
	AYREI_JOB_NONE,
	AYREI_JOB_UNDER_WAY,
	AYREI_JOB_ENDED,     /* its answer is there, and nobody has collected it */
	AYREI_JOB_COLLECTED, /* and not given back */
};

/* A place for a process, which has memory and bells for it, and for the call that it serves. */
struct ayrei_slot {
	int requests_file, replies_file;
	int call_bell[2], reply_bell[2]; /* reading, writing */
	struct ayrei_requests *requests;
	const struct ayrei_replies *replies; /* written by somebody else: each word is read once */

	enum ayrei_process_state state;
	int process;      /* pidfd; -1: none */
	bool is_dirty;    /* a process had it before */
	bool is_large;    /* and left so much that it takes a while to be cleared */
	bool is_doomed;   /* it is to be killed as soon as it has started */
	bool is_private;  /* it has an input, and serves one call */
	bool is_frozen;   /* stopped */
	uint64_t served;  /* calls that it got */
	int64_t alive_ns; /* when it was heard to be there */
	bool has_begun;   /* it was seen to wait for calls, or to answer one */
	int refusal;      /* what it could not be confined for; 0: it can, as far as is known */

	enum ayrei_job_state job;
	int64_t begin_ns, deadline_ns;
	int input; /* of the call, or -1 */
	struct ayre_worker_answer answer;
};

struct ayre_worker {
	struct ayre_worker_options options; /* with the defaults in their places */
	int socket;
	int keeper;   /* pidfd: of the parent of the zygote, which ends after it, and like it */
	bool is_lost; /* the zygote is: for good */

	struct ayrei_slot *slots;
	uint32_t slot_count, last, collected; /* slots: that was used last, collected from last */
	size_t requests_bytes, replies_bytes; /* of the maps */
	struct ayrei_spin spin;

	/* For who does not wait: the socket, the reply bells, and a timer; -1: not asked for yet. */
	int set, timer;
	int64_t timer_ns;

	/* A submission found no room, for a call with an input or without. */
	bool is_wanted, wants_input;
	uint32_t room_news; /* so often it is still told that there is some again */

	uint32_t deaths_in_row;
	int64_t pause_until_ns;
	struct ayrei_poisons *poisons; /* NULL: none */

	struct ayre_worker_info info;
	struct ayre_worker_end end;
	struct ayre_error refusal; /* of the process that could not be confined last */
};

static inline bool ayrei_worker_keeps(const struct ayre_worker *worker)
{
	return worker->options.flags & AYRE_WORKER_KEEP;
}

/* --- worker.c --- */

/* The deadline of a call that has none of its own. */
int64_t ayrei_worker_deadline(const struct ayre_worker *worker);

/* --- worker_options.c --- */

/* What was asked for, with the defaults in their places. */
int ayrei_worker_take_options(struct ayre_worker_options *ours,
                              const struct ayre_worker_options *given);

/* --- worker_load.c --- */

/* The zygote's word: the module is loaded, or the error says why not. word: its last one. */
int ayrei_worker_await_module(const struct ayre_worker *worker, const struct ayrei_replies *word,
                              const char *module, int64_t deadline_ns, struct ayre_error *error);
/* The first process: whether it can be confined is to be known before there is a call. */
int ayrei_worker_await_process(struct ayre_worker *worker, const char *module, int64_t deadline_ns,
                               struct ayre_error *error);

/* --- worker_slot.c --- */

/* A memory file of a channel, sealed, with our map of it; writable: for us alone, or for the others. */
int ayrei_channel_file(const char *name, size_t bytes, bool writable, void **ret_map);
/* Memory files, maps and pipes for all of its slots. */
int ayrei_worker_make_slots(struct ayre_worker *worker);
void ayrei_worker_free_slots(struct ayre_worker *worker);
/* One without a process or a call; NULL: there is none, or one that will be ready sooner. */
struct ayrei_slot *ayrei_slot_find_empty(struct ayre_worker *worker);
/* Its process has gone: what has it left? */
void ayrei_slot_weigh(struct ayrei_slot *slot);
/* Is there anything that takes a while to be cleared? */
bool ayrei_slots_are_littered(const struct ayre_worker *worker);
/* Clears a little of that, for who has nothing better to do; false: there is nothing. */
bool ayrei_slots_clear_some(struct ayre_worker *worker);

/* --- worker_process.c --- */

/* Starts a process in a slot that has none. input: a descriptor for it, or -1. */
int ayrei_process_start(struct ayre_worker *worker, struct ayrei_slot *slot, int input);
/* Ends it, or will as soon as it is there; does not wait. */
void ayrei_process_kill(struct ayrei_slot *slot);
/* One has died, of a call or before there was any: it may be long until the next one is started. */
void ayrei_process_note_death(struct ayre_worker *worker, bool was_used);
/* Is it to be waited, until pause_until_ns, before one is started? */
bool ayrei_worker_pauses(struct ayre_worker *worker);
/* As many stand by as the options say, as far as there is room. */
int ayrei_processes_stand_by(struct ayre_worker *worker);
/*
 * Hears one report of the zygote, by an absolute deadline. 0, -ETIMEDOUT, -ENOTCONN: the zygote is gone; or
 * what no process could be made for.
 */
int ayrei_worker_hear(struct ayre_worker *worker, int64_t deadline_ns);
/* All that there is to hear, without waiting. 0 or a negative errno as above, but for -ETIMEDOUT. */
int ayrei_worker_hear_all(struct ayre_worker *worker);
/* The zygote is of no use any more: ends it, and all that it made. */
void ayrei_worker_abandon(struct ayre_worker *worker);

/* --- worker_job.c --- */

/* 0, or why this call cannot be had, now or ever. */
int ayrei_job_check(const struct ayre_worker *worker, const struct ayre_worker_job *job);
/*
 * A slot whose process has the call, or will. -EAGAIN: as many are under way as can be; -EBUSY: there is no
 * process for it, and will be when something has been heard, or the pause is over; -ETIMEDOUT: its deadline
 * has passed.
 */
int ayrei_job_begin(struct ayre_worker *worker, const struct ayre_worker_job *job,
                    struct ayrei_slot **ret_slot);
/* Could a call begin? Of those with an input each needs a place of its own. */
bool ayrei_job_has_room(struct ayre_worker *worker, bool has_input);
/* Gives the slot back; a call that is under way ends with its process. */
void ayrei_job_release(struct ayre_worker *worker, struct ayrei_slot *slot);
/* The call's slot, in this state; NULL: there is none. */
struct ayrei_slot *ayrei_job_find(struct ayre_worker *worker, uint64_t call,
                                  enum ayrei_job_state state);
/* From here on the process of this slot rings; true: look once more. */
void ayrei_job_ask_for_bell(struct ayrei_slot *slot, bool asked);

/* --- worker_answer.c --- */

/* Does its process say that it waits for calls, or did? */
bool ayrei_job_sees_begun(const struct ayrei_slot *slot);
/* Has it ended, as far as can be seen without waiting? Then its answer is there. */
bool ayrei_job_look(struct ayre_worker *worker, struct ayrei_slot *slot);
/* The same, and who is late is given up. */
bool ayrei_job_look_at(struct ayre_worker *worker, struct ayrei_slot *slot, int64_t now_ns);
/*
 * Its process ended, and how; NULL: none could be made. code: what the call comes to. Does nothing if none is
 * under way.
 */
void ayrei_job_lose_process(struct ayre_worker *worker, struct ayrei_slot *slot,
                            const struct ayre_worker_end *end, int code);

/* --- worker_submit.c --- */

/* The descriptor of those who do not wait tells of what there is, and of the next deadline. */
void ayrei_worker_arm(struct ayre_worker *worker);

/* --- worker_poison.c --- */

/* The call of this slot has ended its process. */
void ayrei_poison_add(struct ayre_worker *worker, const struct ayrei_slot *slot);
/* Have as many processes as may been ended by this one? */
bool ayrei_poison_is(struct ayre_worker *worker, const struct ayre_worker_job *job);

/* --- worker_end.c --- */

/* What a process that has ended came to. status: as wait(2) has it. */
void ayrei_worker_judge(const struct ayre_worker *worker, const struct ayrei_replies *replies,
                        int status, struct ayre_worker_end *end);
/* What a process that says it dies says of it; false: it says nothing that makes sense. */
bool ayrei_worker_believe(const struct ayrei_replies *replies, struct ayre_worker_end *end);
