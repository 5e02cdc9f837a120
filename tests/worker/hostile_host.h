/*
 * A host under attack: it calls what rewrites all the memory that they share, and looks at whatever it is
 * told. It copies, as hosts should.
 *
 * What it counts lies in memory that the test shares, which also watches that it comes back.
 */
#pragma once

#include "worker/hostile_wish.h"
#include "worker/module_world.h"

/* A call returns so soon after its deadline, if there is a processor for it. */
#define GRACE_NS (5 * MILLISECOND_NS)
/* And so soon in any case. */
#define HARD_NS (1000 * MILLISECOND_NS)
/* One call in so many may be over for reasons that nobody counts, and a few at first. */
#define OVER_PART  100
#define OVER_FIRST 3

#define CANARY_BYTES  4096
#define PLACES_MAX    16
#define PENDING_MAX   8
#define LATE_STEPS    1000
#define LATE_STEP_NS  (MILLISECOND_NS / 100)
#define CALL_NS       (15 * MILLISECOND_NS) /* the longest deadline of a hostile call */
#define HONEST_NS     (20000 * MILLISECOND_NS)
#define FILL_NS       (800 * MILLISECOND_NS)
#define CAPACITY      4096
#define NO_CONTINUING .poison_max = AYRE_WORKER_NONE, .pause_max_ns = -1

struct hostile_tally {
	_Atomic int64_t due_ns; /* when the host has to be back from a call; 0: it is in none */
	uint64_t calls, honest_calls, freezes, mutations;
	uint64_t answered, died, refused; /* hostile calls: what they came to */
	/* Of calls that returned after their deadlines: how many so late, and how many later. */
	uint64_t late, steps[LATE_STEPS + 1];
	uint64_t over; /* by more than the grace, with a processor to run on */
	int64_t worst_ns, worst_own_ns;
	int64_t longest_ns; /* to freeze, which waits for the kernel */
};

enum pending_state {
	PENDING_FREE,
	PENDING_UNDER_WAY,
	PENDING_COLLECTED,
};

/* A call that was submitted. */
struct pending {
	enum pending_state state;
	uint64_t call;
	bool is_honest;
	uint32_t seed, bytes; /* of an honest one */
	int64_t deadline_ns;
};

struct host {
	struct ayre_worker *worker;
	struct hostile_tally *tally;
	size_t room_bytes; /* for the bytes of a reply, as the process has it */
	size_t capacity;
	char *room, *canary; /* capacity and canary */

	/* Where the processes count, and what was found there. */
	const volatile uint64_t *places[PLACES_MAX];
	uint64_t seen[PLACES_MAX];
	unsigned int place_count;

	int64_t asked_ns, waited_ns, stolen_ns; /* for a processor, as the kernel counts */
	struct pending pending[PENDING_MAX];
};

/* Opens, or fails. */
void host_open(struct host *host, const struct ayre_worker_options *options, size_t capacity,
               struct hostile_tally *tally);
void host_close(struct host *host);

/* A call that attacks in this way, within so long; what is told of it can be. Its outcome. */
ssize_t host_call(struct host *host, uint32_t way, int64_t within_ns);
/* A call to the honest, whose answer is right; and one who finds nothing of the process before it. */
void host_call_honest(struct host *host);
void host_find_nothing(struct host *host);

/* Calls that are not waited for. NULL: there was no place for it. */
struct pending *host_submit(struct host *host, uint32_t way, int64_t within_ns);
struct pending *host_submit_honest(struct host *host);
/* One that has ended, by then, or nothing; 0: without waiting. What it is told is looked at. */
struct pending *host_collect(struct host *host, int64_t until_ns,
                             struct ayre_worker_answer *ret_answer);
/* Waits for the descriptor: it tells of a deadline in time. */
void host_poll(struct host *host);
/* Of a call that was collected: its reply stands still. */
void host_freeze(struct host *host, const struct ayre_worker_answer *answer);
void host_release(struct host *host, struct pending *pending);
void host_cancel(struct host *host, struct pending *pending);

/* What the processes have counted meanwhile is added. */
void host_count(struct host *host);
