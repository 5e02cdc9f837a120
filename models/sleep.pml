/*
 * Sleeping and waking: no subscriber sleeps for ever with a committed message before it, or while the
 * last publisher of a lane has died.
 *
 * The publishers send MESSAGES each, one after the other, and then do nothing more, alive: whoever sleeps
 * then is never woken by them again. The steps are those of src/topic, named at each. Headers are
 * one word here, the number of messages that are committed: what lies at a position is not this model's
 * matter (it is lane.pml's).
 *
 * PUBLISHERS (1), SUBSCRIBERS (1), MESSAGES (2), FIRST: so many of the first publisher
 * WEAK           stores of one process may be seen in another order
 * LATE           publishers open and subscribers join at any step; else they know each other
 * CRASH          a publisher may die at any step, and so may the last of several subscribers
 * ADOPT          ... and another process goes on in the publisher's lane
 * EVENT_LOOP     subscribers wait by their descriptor (ayre_subscriber_fd())
 * NO_BARRIER     subscribers cannot make others pass a fence
 *
 * Broken on purpose: see `run`.
 */
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef SUBSCRIBERS
#define SUBSCRIBERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifdef FIRST
#define MESSAGES_OF(p) (p == 0 -> FIRST : MESSAGES)
#else
#define MESSAGES_OF(p) MESSAGES
#endif

#define HEADER(p)     (p)
#define FENCED(p)     (PUBLISHERS + p)
#define GENERATION(p) (2 * PUBLISHERS + p) /* `publishers` */
#define TICKET(s)     (3 * PUBLISHERS + s)
#define WORDS         (3 * PUBLISHERS + SUBSCRIBERS)
#define WRITERS       (PUBLISHERS + SUBSCRIBERS)
#define DEPTH         5

#define LEAVE_4(w) :: leave(w, 0) :: leave(w, 1) :: leave(w, 2) :: leave(w, 3)
#if WORDS == 4
#define LEAVE(w) LEAVE_4(w)
#elif WORDS == 5
#define LEAVE(w) LEAVE_4(w) :: leave(w, 4)
#elif WORDS == 7
#define LEAVE(w) LEAVE_4(w) :: leave(w, 4) :: leave(w, 5) :: leave(w, 6)
#endif
#include "memory.pml"

FLUSH_LOCALS;

/*
 * What the kernel keeps: names, descriptors, locks. Its calls are whole fences. A publisher is told from its
 * successors in the lane by its number, from 1.
 */
#define AT(s, p)   ((s) * PUBLISHERS + (p))
#define OF(p, who) ((p) * 3 + (who))
byte join; /* the word; written by a call, and never twice the same */
bit lane_named[PUBLISHERS], cursor_named[SUBSCRIBERS];
byte owner[PUBLISHERS];      /* who has the lane's lock; 0: nobody */
byte bell_name[PUBLISHERS];  /* whose bell has the name; 0: nobody's */
bit bell_read[PUBLISHERS * 3]; /* is its reading end open? */
bit rung[SUBSCRIBERS], joined[SUBSCRIBERS]; /* what is in a subscriber's bell */

/* How a subscriber stands to a lane; global for the property's sake. */
mtype = { UNKNOWN, LIVE, LEFT };
mtype state[SUBSCRIBERS * PUBLISHERS] = UNKNOWN;
byte position[SUBSCRIBERS * PUBLISHERS];   /* messages read */
byte has_bell[SUBSCRIBERS * PUBLISHERS];   /* whose bell it holds; 0: none */
byte generation[SUBSCRIBERS * PUBLISHERS]; /* as it was last found */
bit gone[SUBSCRIBERS];                     /* it died itself */

/* Who dies, and when: at any step, or never. */
byte is_struck[PUBLISHERS];

proctype fate() {
#ifdef CRASH
	if
	:: is_struck[0] = 1
	:: true
	fi;
#endif
#if defined(CRASH) && SUBSCRIBERS > 1
	if
	:: gone[SUBSCRIBERS - 1] = 1
	:: true
	fi;
#endif
	skip
}

#define is_hung_up(s, p) (has_bell[AT(s, p)] != 0 && !bell_read[OF(p, has_bell[AT(s, p)])])

/* --- a publisher --- */

/* ayrei_bell_ring() */
inline ring_message(s) {
	rung[s] = 1
}

inline ring_join(s) {
	joined[s] = 1
}

/* take_in() */
inline take_in(s, with_ring) {
	atomic {
		if
		:: cursor_named[s] && !known[s] ->
			known[s] = 1;
			seen[s] = 0;
			if
			:: with_ring -> ring_join(s)
			:: else
			fi
		:: else
		fi
	}
}

/* ayrei_publisher_look(), ayrei_members_look(). Names that were there before it began are found. */
inline publisher_look(p, with_ring) {
#ifndef JOIN_AFTER_LOOK
	join_now = join;
#endif
	take_in(0, with_ring);
#if SUBSCRIBERS > 1
	take_in(1, with_ring);
#endif
#ifdef JOIN_AFTER_LOOK
	join_now = join;
#endif
	atomic { join_seen = join_now; join_now = 0 }
#ifdef NO_BARRIER
	;
	/* ayrei_members_need_fence() */
	if
	:: known[0] && !fenced || known[0] && may_unfence ->
		may_unfence = 0;
		fenced = 1;
		store_release(p, FENCED(p), 1);
		fence_full(p)
	:: else
	fi
#endif
}

/* unfence() */
inline unfence(p) {
	fenced = 0;
	store(p, FENCED(p), 0);
#ifndef UNFENCE_WITHOUT_FENCE
	fence_full(p)
#endif
}

/* refence() */
inline refence(p) {
	if
	:: !fenced ->
		fenced = 1;
#ifdef RELAXED_REFENCE
		store(p, FENCED(p), 1);
#else
		store_release(p, FENCED(p), 1);
#endif
		fence_full(p)
	:: else
	fi
}

/* is_called(): a load of the join word, then one of each ticket. */
inline is_called(p) {
	called = (join != join_seen);
	called = called || known[0] && mem[TICKET(0)] != seen[0];
#if SUBSCRIBERS > 1
	called = called || known[1] && mem[TICKET(1)] != seen[1]
#endif
}

/* ayrei_members_wake() */
inline wake(s) {
	atomic {
		ticket = mem[TICKET(s)];
		if
		:: known[s] && ticket != seen[s] -> seen[s] = ticket
		:: else -> ticket = 0
		fi
	}
	if
	:: atomic { ticket % 2 == 1 -> ring_message(s); woken = 1 }
	:: else
	fi
}

inline members_wake(p) {
	wake(0);
#if SUBSCRIBERS > 1
	wake(1);
#endif
	ticket = 0
}

/* after_message(), and the same on the shortest way of send_one() */
inline after_message(p) {
	if
	:: fenced ->
#ifndef NO_FENCE_PUBLISHER
		fence_full(p);
#endif
		/* So many quiet messages as may have been. */
		if
		:: may_unfence -> unfence(p)
		:: true
		fi
	:: !fenced
	fi;
	is_called(p);
	/* ayrei_publisher_attend() */
	if
	:: called ->
		called = 0;
		if
		:: join != join_seen -> publisher_look(p, 0)
		:: else
		fi;
		members_wake(p);
		if
		:: woken -> woken = 0; refence(p)
		:: else
		fi
	:: else
	fi
}

proctype close_bell_of(byte p, who) {
	bell_read[OF(p, who)] = 0
}

proctype publisher(byte p) {
	byte who = 1, sent, s, ticket, join_now, join_seen, seen[SUBSCRIBERS];
	bit fenced = 1, may_unfence = 1, called, woken, known[SUBSCRIBERS];

live:
	{
		if
		:: who == 1 ->
#ifdef LATE
			/* make_lane(): the bell, then the name of the lane */
#ifdef LOOK_BEFORE_LINK
			publisher_look(p, 1);
#endif
			owner[p] = who;
			bell_name[p] = who;
			bell_read[OF(p, who)] = 1;
			lane_named[p] = 1;
#ifndef LOOK_BEFORE_LINK
			/* open_named() */
			publisher_look(p, 1)
#endif
#else
			/* They know each other. */
			s = 0;
			do
			:: atomic { s < SUBSCRIBERS -> known[s] = 1; s++ }
			:: else -> s = 0; break
			od;
#ifdef NO_BARRIER
			may_unfence = 0
#endif
#endif
		:: who > 1 ->
			/* try_lane(): the lock, then the walk to the end. */
			atomic { owner[p] == 0 -> owner[p] = who }
			sent = mem[HEADER(p)];
			/* sign() */
			store(p, GENERATION(p), who);
			store(p, FENCED(p), 1);
			/* make_bell() */
			fence_full(p);
			bell_name[p] = 0;
			bell_name[p] = who;
			bell_read[OF(p, who)] = 1;
			publisher_look(p, 1)
		fi;
		do
		:: sent < MESSAGES_OF(p) ->
			/* ayrei_lane_commit() */
			sent++;
			store_release(p, HEADER(p), sent);
			after_message(p)
		:: else -> break
		od;
		false /* alive, and silent */
	} unless {
		is_struck[p] == who
	}

	/* It died. Its stores are seen before the kernel lets go of its descriptors, in any order. */
	fence_full(p);
	atomic {
		s = 0;
		do
		:: s < SUBSCRIBERS -> known[s] = 0; seen[s] = 0; s++
		:: else -> break
		od;
		s = 0; ticket = 0; join_now = 0; join_seen = 0; called = 0; woken = 0; fenced = 1;
		may_unfence = 1; sent = 0
	}
	if
	:: bell_read[OF(p, who)] = 0; owner[p] = 0
	:: owner[p] = 0; run close_bell_of(p, who)
	fi;
#ifdef ADOPT
	if
	:: lane_named[p] && who == 1 -> who = 2; goto live
	:: else
	fi
#endif
}

/* --- a subscriber --- */

/* open_bell() */
inline open_bell(s, p) {
	atomic {
		if
		:: bell_name[p] != 0 && bell_read[OF(p, bell_name[p])] ->
			has_bell[AT(s, p)] = bell_name[p]
		:: else -> has_bell[AT(s, p)] = 0
		fi
	}
}

/* state_of() */
inline set_state(s, p, is_owned) {
	atomic {
		if
#ifdef LIVE_WITHOUT_BELL
		:: is_owned -> state[AT(s, p)] = LIVE
#else
		:: is_owned && has_bell[AT(s, p)] != 0 -> state[AT(s, p)] = LIVE
#endif
		:: else -> state[AT(s, p)] = LEFT
		fi
	}
}

/* attach(), look_again() */
inline visit(s, p) {
	if
	:: lane_named[p] && state[AT(s, p)] == UNKNOWN ->
		open_bell(s, p);
		set_state(s, p, (owner[p] != 0));
		generation[AT(s, p)] = mem[GENERATION(p)]
	:: lane_named[p] && state[AT(s, p)] != UNKNOWN ->
		now = mem[GENERATION(p)];
		if
		:: (state[AT(s, p)] == LIVE && now == generation[AT(s, p)]) || owner[p] == 0
		:: else ->
			generation[AT(s, p)] = now;
			has_bell[AT(s, p)] = 0;
			open_bell(s, p);
			set_state(s, p, true)
		fi;
		now = 0
	:: else
	fi
}

/* ayrei_subscriber_look() */
inline subscriber_look(s) {
	visit(s, 0);
#if PUBLISHERS > 1
	visit(s, 1)
#endif
}

/* ayrei_source_check() */
inline source_check(s, p) {
	has_bell[AT(s, p)] = 0;
	if
	:: state[AT(s, p)] == LIVE ->
#ifdef HANGUP_UNCHECKED
		/* As it once was: who has its lock is taken to be live. */
		if
		:: owner[p] == 0 -> state[AT(s, p)] = LEFT
		:: else
		fi
#else
		if
		:: owner[p] != 0 -> open_bell(s, p)
		:: else
		fi;
		set_state(s, p, true)
#endif
	:: else
	fi
}

/* hear_bell(): one read takes all that was rung. */
inline hear_bell(s) {
	atomic {
		heard = joined[s];
		rung[s] = 0;
		joined[s] = 0
	}
	if
	:: heard -> heard = 0; subscriber_look(s)
	:: else
	fi
}

/* Is there anything for notice() to tell? */
#if PUBLISHERS == 1
#define is_told(s) (rung[s] || joined[s] || is_hung_up(s, 0))
#else
#define is_told(s) (rung[s] || joined[s] || is_hung_up(s, 0) || is_hung_up(s, 1))
#endif

/* notice(): the kernel tells what is ready, in any order; it is dealt with one after the other. */
inline notice(s) {
	atomic {
		is_told(s);
		told_bell = rung[s] || joined[s];
		told_0 = is_hung_up(s, 0);
#if PUBLISHERS > 1
		told_1 = is_hung_up(s, 1)
#endif
	}
	do
	:: told_bell -> told_bell = 0; hear_bell(s)
	:: told_0 -> told_0 = 0; source_check(s, 0)
#if PUBLISHERS > 1
	:: told_1 -> told_1 = 0; source_check(s, 1)
#endif
	:: else -> break
	od
}

/* find(), and take() what is there: 1 if there was something. A lane that has been left is read, too. */
#define has_something(s, p) (state[AT(s, p)] != UNKNOWN && mem[HEADER(p)] > position[AT(s, p)])

inline find_one(s, p) {
	atomic {
		if
		:: has_something(s, p) -> position[AT(s, p)]++; found = 1
		:: else
		fi
	}
}

inline find(s) {
	found = 0;
	find_one(s, 0);
#if PUBLISHERS > 1
	find_one(s, 1)
#endif
}

/* draw_ticket() */
inline draw_ticket(s) {
	atomic { ticket = (ticket % 2 == 1 -> ticket + 2 : ticket + 1) }
	store_release(s + PUBLISHERS, TICKET(s), ticket);
#ifndef NO_FENCE_SLEEPER
	fence_full(s + PUBLISHERS)
#endif
}

/* has_unfenced() */
#define is_unfenced(s, p) (state[AT(s, p)] == LIVE && mem[FENCED(p)] != 1)

inline look_for_unfenced(s) {
	unfenced = is_unfenced(s, 0);
#if PUBLISHERS > 1 && !defined(BARRIER_FOR_FIRST)
	unfenced = unfenced || is_unfenced(s, 1)
#endif
}

/* make_others_fence() */
inline make_others_fence(s) {
	look_for_unfenced(s);
#if !defined(NO_MEMBARRIER) && !defined(NO_BARRIER)
	if
	:: atomic { unfenced ->
		unfenced = 0;
		flush(0);
#if PUBLISHERS > 1
		flush(1)
#endif
	}
	:: else
	fi
#endif
}

/* may_sleep(): is_ready() once more */
inline look_once_more(s) {
	found = has_something(s, 0);
#if PUBLISHERS > 1
	found = found || has_something(s, 1)
#endif
}

/* limit_deadline(): a second look is due when what was stored has long been seen. */
#if PUBLISHERS == 1
#define is_settled empty(buffer[0])
#else
#define is_settled (empty(buffer[0]) && empty(buffer[1]))
#endif

proctype subscriber(byte s) {
	byte ticket, now;
	bit found, heard, unfenced, told_bell, told_0, told_1;

	{
#ifdef LATE
		/* make_cursor(), announce(), ayrei_subscriber_look() */
#ifdef JOIN_BEFORE_LINK
		join++;
		cursor_named[s] = 1;
#else
		cursor_named[s] = 1;
		join++;
#endif
		subscriber_look(s);
#endif
#ifdef EVENT_LOOP
		/* ayre_subscriber_fd() */
		rung[s] = 1;
		do
		:: true ->
			/* try_receive(), until it finds nothing: the host's loop waits for is_told(). */
			is_told(s);
			do
			:: true ->
				find(s);
				if
				:: found -> skip
				:: else ->
					/* ayrei_subscriber_rest() */
					if
					:: is_told(s) -> notice(s); found = 1
					:: else
					fi;
#ifdef TICKET_KEPT
					if
					:: ticket % 2 == 0 ->
#else
					if
					:: found || ticket % 2 == 0 ->
#endif
						draw_ticket(s);
						make_others_fence(s);
						look_once_more(s);
						if
						:: !found -> break
						:: else
						fi
					:: else -> break
					fi
				fi
			od;
			found = 0
		od
#else
		do
		:: true ->
			find(s);
			if
			:: found -> found = 0
			:: else ->
				/* ayre_subscriber_wait() */
#ifdef LOOK_BEFORE_TICKET
				look_once_more(s);
				draw_ticket(s);
				make_others_fence(s);
#else
				draw_ticket(s);
				make_others_fence(s);
				look_once_more(s);
#endif
				if
				:: found -> found = 0
				:: else ->
#ifdef NO_BARRIER
					if
					:: notice(s)
					:: unfenced && is_settled
					fi;
					unfenced = 0
#else
					notice(s)
#endif
				fi;
				/* be_awake() */
				atomic { ticket++ }
				store(s + PUBLISHERS, TICKET(s), ticket)
			fi
		od
#endif
	} unless {
		gone[s]
	}
}

/* --- the property --- */

#define has_read_all(s, p) (gone[s] || !lane_named[p] || position[AT(s, p)] == mem[HEADER(p)])
/* Of the lane's end, or of who has it now, it knows; unless that one died before it rang. */
#define knows(s, p) (gone[s] || !lane_named[p] || \
	(owner[p] == 0 -> state[AT(s, p)] == LEFT || \
		state[AT(s, p)] == UNKNOWN && mem[HEADER(p)] == 0 : \
		state[AT(s, p)] == LIVE && has_bell[AT(s, p)] == owner[p]))

init {
	byte i;

	atomic {
		i = 0;
		do
		:: i < PUBLISHERS ->
			mem[FENCED(i)] = 1;
			mem[GENERATION(i)] = 1;
#ifndef LATE
			owner[i] = 1;
			bell_name[i] = 1;
			bell_read[OF(i, 1)] = 1;
			lane_named[i] = 1;
#endif
			run publisher(i);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < SUBSCRIBERS ->
#ifndef LATE
			cursor_named[i] = 1;
			state[AT(i, 0)] = LIVE;
			has_bell[AT(i, 0)] = 1;
			generation[AT(i, 0)] = 1;
#if PUBLISHERS > 1
			state[AT(i, 1)] = LIVE;
			has_bell[AT(i, 1)] = 1;
			generation[AT(i, 1)] = 1;
#endif
#endif
			run subscriber(i);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < WRITERS -> run memory(i); i++
		:: else -> break
		od;
		i = 0;
#ifdef CRASH
		run fate()
#endif
	}
	/* Nobody can do anything any more. */
	timeout;
	i = 0;
	do
	:: i < SUBSCRIBERS ->
		assert(has_read_all(i, 0));
		assert(knows(i, 0));
#if PUBLISHERS > 1
		assert(has_read_all(i, 1));
		assert(knows(i, 1));
#endif
		i++
	:: else -> break
	od
}
