#include "topic/journal_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/thread.h"
#include "topic/bell.h"

/*
 * So many pieces of a stream that does not end are flushed at once. The disk has begun with most of them by then,
 * and with fewer it would be the flushes that the stream waits for.
 */
#define PIECES 32

/*
 * Where nothing is flushed, what is carried is gathered for so long, or each message would be a system call of
 * ours: it is in the ring, and needs no hurry.
 */
#define GATHER_NS 200000

static void store_word(int64_t *word, int64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static int64_t load_word(const int64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* --- by the thread --- */

static bool is_there_more(const struct ayrei_journal_thread *thread)
{
	return ayrei_load_acquire(
		       ayrei_lane_word(thread->lane, thread->journal->carried.position)) != 0;
}

/* The publisher may wait for room; the race is that of a subscriber's cursor (publisher_wait.c). */
static void tell_carried(const struct ayrei_journal_thread *thread)
{
	uint64_t waiting;

	ayrei_fence_full();
	waiting = ayrei_load_acquire(&thread->lane->layout->waiting);
	if (waiting && (thread->journal->carried.position >= waiting || thread->trouble))
		ayrei_bell_ring(thread->bell, AYREI_BELL_MESSAGE);
}

static void tell_safe(struct ayrei_journal_thread *thread)
{
	ayrei_store_release(&thread->safe_sequence, thread->journal->safe.sequence);
	/* Against one who waits for what is safe, and looks a last time. */
	ayrei_fence_full();
	ayrei_flag_raise(thread->moved);
	if (ayrei_load(thread->join) != thread->join_seen) {
		uint64_t join = ayrei_load_acquire(thread->join);

		/* Whom it could not take in is looked for again the next time. */
		if (ayrei_members_look(&thread->members, thread->topic, 0, false) == 0)
			thread->join_seen = join;
	}
	ayrei_members_wake(&thread->members);
}

/* A piece: the publisher gets room while there is more to carry. */
static int carry(struct ayrei_journal_thread *thread)
{
	struct ayrei_journal *journal = thread->journal;
	uint64_t before = journal->carried.position;
	int result;

	ayrei_store_release(&thread->attempts, thread->attempts + 1);
	result = ayrei_journal_carry(journal, ayrei_journal_piece_end(journal, before));
	store_word(&thread->failure, journal->failure);
	store_word(&thread->trouble, result);
	ayrei_store_release(&thread->attempts, thread->attempts + 1);
	/* Who waits for what is safe would wait for ever. */
	if (result < 0)
		ayrei_flag_raise(thread->moved);
	if (journal->carried.position != before || result < 0)
		tell_carried(thread);
	if (result == 0 && journal->sync != AYRE_TOPIC_SYNC_NONE && is_there_more(thread))
		ayrei_journal_begin_flush(journal, before);
	return result;
}

static bool wants_flush(const struct ayrei_journal_thread *thread)
{
	const struct ayrei_journal *journal = thread->journal;

	return journal->safe.position != journal->carried.position &&
	       (journal->sync != AYRE_TOPIC_SYNC_NONE ||
	        ayrei_load_acquire(&thread->wanted) > journal->safe.position);
}

static void flush(struct ayrei_journal_thread *thread)
{
	uint64_t before = thread->journal->safe.position;
	int result = ayrei_journal_flush(thread->journal);

	if (result < 0) {
		store_word(&thread->failure, result);
		store_word(&thread->trouble, result);
		ayrei_flag_raise(thread->moved);
		tell_carried(thread);
	} else if (thread->journal->safe.position != before) {
		tell_safe(thread);
	}
}

/* Nothing to do: until it is woken. What comes before it says that it sleeps is seen here; what comes later wakes. */
static void sleep_until_woken(struct ayrei_journal_thread *thread, bool is_stuck)
{
	ayrei_store(&thread->asleep, 1);
	ayrei_fence_full();
	/* The publisher's side is a plain store and a plain load. */
	(void)!ayrei_barrier_others();
	if ((is_stuck || !is_there_more(thread)) && !wants_flush(thread) &&
	    !ayrei_load_acquire(&thread->ends))
		ayrei_wait_for(thread->wake, AYREI_READABLE, INT64_MAX);
	ayrei_store(&thread->asleep, 0);
	ayrei_flag_clear(thread->wake);
}

static void gather(const struct ayrei_journal_thread *thread)
{
	if (thread->journal->sync == AYRE_TOPIC_SYNC_NONE && !ayrei_load_acquire(&thread->ends) &&
	    !ayrei_load(&thread->lane->layout->waiting))
		ayrei_wait_for_any(NULL, 0, ayrei_monotonic_ns() + GATHER_NS);
}

static void *run(void *context)
{
	struct ayrei_journal_thread *thread = context;
	bool is_stuck = false;

	for (;;) {
		/* All there is, unless it never ends: what is flushed takes less than a flush. */
		for (unsigned int i = 0; i < PIECES && !is_stuck && is_there_more(thread); i++)
			is_stuck = carry(thread) < 0;
		gather(thread);
		if (thread->failure == 0 && wants_flush(thread))
			flush(thread);
		is_stuck |= thread->failure != 0;
		if (is_stuck || !is_there_more(thread)) {
			if (ayrei_load_acquire(&thread->ends))
				return NULL;
			sleep_until_woken(thread, is_stuck);
			/* Whoever woke us may have made room. */
			is_stuck = thread->failure != 0;
		}
	}
}

/* --- by the publisher --- */

static void let_go(struct ayrei_journal_thread *thread)
{
	ayrei_members_fini(&thread->members);
	ayrei_shared_unmap(&thread->join_map);
	ayrei_file_close(thread->wake);
	ayrei_file_close(thread->moved);
	ayrei_file_close(thread->bell);
	free(thread);
}

static int prepare(struct ayrei_journal_thread *thread, int bell)
{
	int result = thread->wake = ayrei_flag_open();

	if (result >= 0)
		result = thread->moved = ayrei_flag_open();
	if (result >= 0)
		result = thread->bell = ayrei_fifo_open(bell, O_WRONLY);
	if (result >= 0)
		result = ayrei_topic_map_join(thread->topic, &thread->join_map, &thread->join);
	thread->join_seen = ayrei_load(thread->join) + 1;
	thread->members.safe_only = true;
	/* What was carried by an earlier publisher and never flushed is ours to flush. */
	thread->safe_sequence = thread->journal->safe.sequence;
	return result;
}

struct ayrei_journal_thread *ayrei_journal_thread_start(struct ayrei_journal *journal,
                                                        const struct ayrei_topic *topic, int bell,
                                                        int *ret_result)
{
	struct ayrei_journal_thread *thread = calloc(1, sizeof(*thread));
	int result;

	*ret_result = -ENOMEM;
	if (!thread)
		return NULL;
	thread->journal = journal;
	thread->topic = topic;
	thread->lane = journal->lane;
	thread->wake = thread->moved = thread->bell = -1;
	thread->join = &thread->no_join;
	ayrei_members_init(&thread->members);
	result = prepare(thread, bell);
	if (result >= 0)
		result = ayrei_thread_start(&thread->thread, run, thread);
	*ret_result = result;
	if (result < 0) {
		let_go(thread);
		return NULL;
	}
	return thread;
}

void ayrei_journal_thread_end(struct ayrei_journal_thread *thread)
{
	if (!thread)
		return;
	ayrei_store_release(&thread->ends, 1);
	ayrei_flag_raise(thread->wake);
	ayrei_thread_join(thread->thread);
	let_go(thread);
}

int ayrei_journal_thread_trouble(struct ayrei_journal_thread *thread, uint64_t *old)
{
	uint64_t ended = ayrei_load_acquire(&thread->attempts) & ~(uint64_t)1;
	int64_t result = load_word(&thread->trouble), failure = load_word(&thread->failure);

	if (failure || result == 0)
		return (int)failure;
	/* Whether it sleeps already or is about to: it has given up until it is woken. */
	ayrei_flag_raise(thread->wake);
	if (ended <= *old)
		return 0;
	*old = ended;
	return (int)result;
}

void ayrei_journal_thread_want(struct ayrei_journal_thread *thread, uint64_t position)
{
	if (ayrei_load(&thread->wanted) < position)
		ayrei_store_release(&thread->wanted, position);
	ayrei_flag_raise(thread->wake);
}

bool ayrei_journal_thread_await(struct ayrei_journal_thread *thread, int64_t deadline_ns)
{
	int ready = ayrei_wait_for(thread->moved, AYREI_READABLE, deadline_ns);

	if (ready > 0)
		ayrei_flag_clear(thread->moved);
	return ready > 0;
}
