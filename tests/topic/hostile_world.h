/*
 * A topic in which honest ends talk while hostile ones rewrite all that their role lets them write.
 * Every end is a process of its own, of one user.
 *
 * What has to hold: an honest process ends well, so that a sanitizer's report is a failure; each of its
 * calls comes back by its deadline, and some slack; it is told nothing but what the contract has; and
 * what honest publishers sent, honest subscribers receive, whole and in order.
 */
#pragma once

#include "topic/layout.h"
#include "topic/topic_world.h"

#define ARENA      "arena"
#define ARENA_RING 8192

#define HONEST_PUBLISHERS  2
#define HONEST_SUBSCRIBERS 2

/* How long an honest call waits, and how much later than that it may come back on a busy machine. */
#define CALL_NS  (300 * MILLISECOND)
#define SLACK_NS (10 * SECOND)

enum phase { OPENING, RUNNING, DRAINING, ENDING };

/* What an honest end tells of itself. */
struct honest {
	_Atomic(int64_t) due_ns; /* when the call that is on its way has to be back; 0: none is */
	_Atomic(uint64_t) id;    /* of its lane, or its cursor */
	_Atomic(uint64_t) sent;  /* by a publisher */
	_Atomic(uint64_t) sent_at_ns;               /* when the last one was, CLOCK_MONOTONIC */
	_Atomic(uint64_t) late;                     /* calls that ended at their deadline */
	_Atomic(uint64_t) taken[HONEST_PUBLISHERS]; /* by a subscriber, of each honest publisher */
	_Atomic(uint64_t) others;                   /* messages of hostile ones that were taken */
	_Atomic(uint64_t) told;                     /* that a publisher broke the format */
};

struct arena {
	uint32_t seed;
	uint32_t hostile_seed; /* of the hostile process that is started next */
	bool guarded;          /* honest ends have the guard, so that files may be cut short */
	int64_t send_pause_ns; /* of honest publishers, after each 32 messages */
	atomic_uint phase, ready;
	atomic_uint hostile_lives; /* lanes and cursors that hostile ones have forged so far */
	struct honest publishers[HONEST_PUBLISHERS];
	struct honest subscribers[HONEST_SUBSCRIBERS];
	struct honest visitor;
};
extern struct arena *arena; /* shared memory */

/* --- honest ends; the context is their number --- */

int publish_honestly(void *number);
int subscribe_honestly(void *number);
/* Opens ends of either kind, one after the other, and closes them: nothing is promised for their messages. */
int come_and_go(void *number);

/* Before a call that waits; returns its deadline. And after it. */
int64_t enter_call(struct honest *honest);
void leave_call(struct honest *honest);

size_t honest_size(unsigned int publisher, uint64_t number);
/* Of the honest ones, in a scene that has them. Returns false if it is a hostile one's. */
bool judge_message(struct honest *subscriber, const struct ayre_message *message);

/* --- the scene --- */

/* Hostile processes live one after the other, each killed after a while; NULL: none. */
struct scene {
	const char *title;
	int (*hostile)(void *context);
	unsigned int hostile_count;
	bool guarded;
	int64_t life_ns, pause_ns; /* of a hostile process, and until the next one */
	int64_t send_pause_ns;     /* of honest publishers */
};
/* Fails the test if anything of the above does not hold. */
void play(const struct scene *scene, uint32_t seed, int64_t length_ns);
/* One honest process that brings its hostile ones along. */
void play_alone(const char *title, int (*honest)(void *context), void *context, uint32_t seed,
                int64_t length_ns);
/* Seconds for each scene; and the seed, which is printed. */
unsigned int scene_seconds(void);
extern unsigned int wanted_seconds; /* 0: the short or the long form */
uint32_t scene_seed(const char *title);
