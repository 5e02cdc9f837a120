/*
 * A journal that is driven by a thread of its own, so that its publisher never waits for a disk.
 *
 * From its start to its end the journal is the thread's alone. The two meet in the ring and in the lane's layout,
 * as a publisher and a subscriber do: the publisher says what it waits for in `waiting`, and the thread how far it
 * is in `carried` and `safe`, and rings the publisher's bell. What else they say to each other is here, in words
 * that are loaded and stored as a whole.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "sys/event.h"
#include "topic/journal.h"
#include "topic/member.h"
#include "topic/shared.h"

struct ayrei_journal_thread {
	pthread_t thread;
	struct ayrei_journal *journal;
	const struct ayrei_topic *topic;
	const struct ayrei_lane *lane;
	/* Who waits for what is safe: the thread's own. */
	struct ayrei_members members;
	struct ayrei_shared join_map;
	const uint64_t *join;
	uint64_t no_join, join_seen;
	int bell; /* the publisher's, to ring */

	/* By the publisher. */
	int wake;      /* a flag: there is something to do */
	uint64_t ends; /* 1: carry what there is, and end */
	uint64_t
		wanted; /* everything before this position is to be safe, whatever the topic's policy */
	/* By the thread. */
	int moved;         /* a flag: `safe` has moved, or it has failed */
	uint64_t asleep;   /* 1: it has to be woken */
	uint64_t attempts; /* to carry: one more when one begins, and when it ends */
	int64_t trouble;   /* what the last that ended failed with; 0: it did not */
	int64_t failure;   /* what a flush failed with, for good */
	uint64_t safe_sequence;
};

/* Takes the journal, which carries on for this lane. bell: the publisher's own. NULL: *ret_result says why. */
struct ayrei_journal_thread *ayrei_journal_thread_start(struct ayrei_journal *journal,
                                                        const struct ayrei_topic *topic, int bell,
                                                        int *ret_result);
/* Gives it back. NULL does nothing. */
void ayrei_journal_thread_end(struct ayrei_journal_thread *thread);

/* After a message, and when another attempt is due: one load, unless it sleeps. */
static inline void ayrei_journal_thread_nudge(struct ayrei_journal_thread *thread)
{
	if (ayrei_load(&thread->asleep))
		ayrei_flag_raise(thread->wake);
}

/* The attempts that were begun before this are old: what they failed with may have been mended. */
static inline uint64_t ayrei_journal_thread_old(const struct ayrei_journal_thread *thread)
{
	return (ayrei_load(&thread->attempts) + 1) & ~(uint64_t)1;
}

/*
 * Why it does not go on: what a flush failed with, or an attempt that is not old, which it becomes by being told of.
 * After an old one that failed there will be another. 0: it goes on.
 */
int ayrei_journal_thread_trouble(struct ayrei_journal_thread *thread, uint64_t *old);
/* Wants everything before a position to be safe. */
void ayrei_journal_thread_want(struct ayrei_journal_thread *thread, uint64_t position);
/* Waits until `safe` has moved since this was last asked, or the deadline. false: the deadline. */
bool ayrei_journal_thread_await(struct ayrei_journal_thread *thread, int64_t deadline_ns);
