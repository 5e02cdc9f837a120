/*
 * Waiting for room: a publisher sleeps for ever only where a subscriber that lives, and whose host does not
 * call it any more, has messages unread.
 *
 * Cursors are published lazily: after LAZY units (an eighth of the ring in the code), before sleeping, and where
 * the publisher has said that it waits. That a sleeping subscriber is woken is not this model's matter
 * (it is sleep.pml's): one that sleeps wakes when there is something. The steps are those of
 * publisher_wait.c, member.c, source.c and subscriber.c in src/topic, named at each.
 *
 * SUBSCRIBERS (1), UNITS (10)   so many are sent in all, in records of 1 to MOST
 * WEAK        stores of one process may be seen in another order
 * CRASH       subscribers may die at any step
 * ADOPT       the publisher may die at any step, and another one goes on in its lane
 * EVENT_LOOP  the publisher does not sleep: it tries, and waits by its descriptor
 * LARGE       each message lies beside the ring, where there is room for one
 *
 * Broken on purpose: see `run`.
 */
#ifndef SUBSCRIBERS
#define SUBSCRIBERS 1
#endif
#ifndef UNITS
#define UNITS 10
#endif

#define RING 8
#define MOST 3 /* with LAZY and one for the next header, all of it is less than RING */
#ifndef LAZY
#define LAZY 2
#endif

#define HEADER     0 /* where the committed ones end */
#define WAITING    1
#define GENERATION 2 /* `publishers` */
#define CURSOR(s)  (3 + s)
#define WORDS      (3 + SUBSCRIBERS)
#define WRITERS    (1 + SUBSCRIBERS)
#define DEPTH      2
#define LEAVE(w) \
	:: leave(w, 0) :: leave(w, 1) :: leave(w, 2) :: leave(w, 3) :: leave(w, 4)
#include "memory.pml"

/* What the kernel keeps. Publishers of the lane are told by their number, from 1. */
byte owner = 1;          /* of the lane; 0: nobody */
byte bell_name = 1;      /* whose bell has the name */
bit bell_read[3];        /* is a publisher's reading end open? */
bit rung[3];             /* what is in it */
bit joined[SUBSCRIBERS]; /* is a join in the subscriber's bell? */
bit locked[SUBSCRIBERS]; /* the cursor's lock */
bit ear[SUBSCRIBERS];    /* the reading end of the subscriber's bell */

/* For the property's sake. */
bit is_waiting;             /* the publisher is not through, and lives */
bit is_idle[SUBSCRIBERS];   /* the host has stopped to call */
byte position[SUBSCRIBERS]; /* read so far */
byte size_at[UNITS];        /* of the record at a position, counted from RING */

/* Who dies, and when. */
byte is_struck;
bit is_dying[SUBSCRIBERS];

proctype fate() {
#ifdef CRASH
	if
	:: is_dying[0] = 1
	:: true
	fi;
#endif
#ifdef ADOPT
	is_struck = 1;
#endif
	skip
}

/* --- the publisher --- */

/*
 * ayrei_members_floor(): a load of each cursor. For the next step: is there room by that, or, beside the ring,
 * has the oldest file been read (ayrei_publisher_wait_large())?
 */
#define lower(s) floor = (known[s] && mem[CURSOR(s)] < floor -> mem[CURSOR(s)] : floor)

inline make_room() {
	atomic { floor = 255; lower(0) }
	atomic {
#if SUBSCRIBERS > 1
		lower(1);
#endif
#ifdef LARGE
		room = (floor == 255 || floor > oldest);
#else
		room = (floor == 255 || sent + size + 1 <= floor + RING);
#endif
		floor = 0
	}
}

/* ayrei_members_bury(), is_dead(): whichever is gone, the lock or the bell's reading end */
#ifdef LOCK_ALONE
#define is_dead(s) (known[s] && !locked[s])
#else
#define is_dead(s) (known[s] && (!locked[s] || !ear[s]))
#endif

inline bury_one(s) {
	atomic {
		if
		:: is_dead(s) -> known[s] = 0; buried = 1
		:: else
		fi
	}
}

inline bury() {
	bury_one(0);
#if SUBSCRIBERS > 1
	bury_one(1)
#endif
}

/* wanted() */
inline find_wanted() {
	atomic {
#ifdef LARGE
		wanted = oldest + 1;
#else
		if
		:: sent + size + 1 + LAZY < sent + RING -> wanted = sent + size + 1 + LAZY - RING
		:: else -> wanted = sent
		fi;
#endif
#ifdef WANTED_TOO_FAR
		wanted = sent + 1;
#endif
	}
}

/* A hang-up of a subscriber that the set still has: notice() buries it, which takes it out. */
#if SUBSCRIBERS == 1
#define is_hung_up (known[0] && !ear[0] && listens[0])
#else
#define is_hung_up (known[0] && !ear[0] && listens[0] || known[1] && !ear[1] && listens[1])
#endif

/* notice(). LOCK_ALONE is as it once was: whose bell is not read, and has its lock, is not heard of again. */
inline hear(s) {
#ifdef LOCK_ALONE
	if
	:: atomic { known[s] && !ear[s] -> listens[s] = 0 }
	:: else
	fi;
#endif
	bury_one(s)
}

inline notice() {
	rung[who] = 0;
	hear(0);
#if SUBSCRIBERS > 1
	hear(1);
#endif
	buried = 0
}

/* arm() */
inline arm() {
#ifdef LOOK_BEFORE_WAITING
	make_room();
#endif
	store(0, WAITING, wanted);
#ifndef NO_FENCE_WAITER
	fence_full(0);
#endif
#ifndef LOOK_BEFORE_WAITING
	make_room();
#endif
	if
	:: !room ->
		buried = 0;
		bury();
		if
		:: buried -> buried = 0; make_room()
		:: else
		fi
	:: else
	fi
}

inline disarm() {
	store(0, WAITING, 0)
}

/* ayrei_publisher_wait_room() */
inline wait_room() {
	make_room();
	do
	:: room -> break
	:: else ->
		find_wanted();
#ifdef EVENT_LOOP
		/* try_room(): the host tries again when is_told. */
#ifndef DRAIN_AFTER_LOOK
		notice();
#endif
		arm();
#ifdef DRAIN_AFTER_LOOK
		notice();
#endif
		if
		:: room -> disarm()
		:: else ->
			(rung[who] || is_hung_up);
			make_room()
		fi
#else
		arm();
		if
		:: !room ->
			(rung[who] || is_hung_up);
			notice();
			make_room()
		:: else
		fi;
		disarm()
#endif
	od;
	atomic { room = 0; wanted = 0 }
}

proctype close_bell(byte who) {
	bell_read[who] = 0
}

proctype publisher() {
	byte who = 1, sent = RING, size, floor, wanted, s, oldest;
	bit room, buried, known[SUBSCRIBERS], listens[SUBSCRIBERS];

live:
	{
		if
		:: who == 2 ->
			/* try_lane(), ayrei_lane_recover(), sign() */
			atomic { owner == 0 -> owner = who }
			atomic { sent = mem[HEADER]; oldest = sent - 1 }
			store(0, GENERATION, who);
			store(0, WAITING, 0);
			/* make_bell() */
			fence_full(0);
			atomic { bell_name = who; bell_read[who] = 1 }
		:: who == 1
		fi;
		is_waiting = 1;
		/* ayrei_publisher_look(): one without a lock or a bell is nobody. */
		s = 0;
		do
		:: s < SUBSCRIBERS ->
			atomic {
				known[s] = locked[s] && ear[s];
				listens[s] = 1;
				if
				:: who == 2 -> joined[s] = 1
				:: else
				fi;
				s++
			}
		:: else -> s = 0; break
		od;
		do
		:: sent < RING + UNITS ->
			atomic {
				if
				:: size = 1
#ifndef LARGE
				:: sent + MOST <= RING + UNITS -> size = MOST
#endif
				fi
			}
#ifdef LARGE
			/* The first one has nothing to wait for. */
			if
			:: sent > RING -> wait_room()
			:: else
			fi;
			oldest = sent;
#else
			wait_room();
#endif
			atomic { size_at[sent - RING] = size; sent = sent + size; size = 0 }
			store_release(0, HEADER, sent)
		:: else -> break
		od;
		is_waiting = 0;
		false
	} unless {
		is_struck == who
	}

	fence_full(0);
	atomic {
		s = 0;
		do
		:: s < SUBSCRIBERS -> known[s] = 0; listens[s] = 0; s++
		:: else -> break
		od;
		s = 0; size = 0; floor = 0; wanted = 0; room = 0; buried = 0; sent = 0; oldest = 0;
		is_waiting = 0
	}
	if
	:: bell_read[who] = 0; owner = 0
	:: owner = 0; run close_bell(who)
	fi;
	who = 2;
	goto live
}

/* --- a subscriber --- */

/* ayrei_source_is_awaited(): without a fence, on the way of every message */
#define is_awaited(s) (mem[WAITING] != 0 && mem[WAITING] != answered && position[s] >= mem[WAITING])

/* look_again(), open_bell() */
inline open_bell() {
	atomic {
		if
		:: owner != 0 && bell_name == owner && bell_read[owner] ->
			generation = mem[GENERATION];
			has_bell = owner;
			answered = 0
		:: else
		fi
	}
}

/* ayrei_source_publish() */
inline publish(s) {
	if
	:: published != position[s] ->
		published = position[s];
		store_release(s + 1, CURSOR(s), published)
	:: else
	fi;
#ifndef NO_FENCE_CURSOR
	fence_full(s + 1);
#endif
	waiting = mem[WAITING];
	if
	:: waiting != 0 && waiting != answered && position[s] >= waiting ->
#ifndef OLD_BELL
		/* find_successor() */
		if
		:: mem[GENERATION] != generation -> open_bell()
		:: else
		fi;
#endif
		atomic {
			answered = waiting;
			if
			:: has_bell != 0 && bell_read[has_bell] -> rung[has_bell] = 1
			:: else
			fi
		}
	:: else
	fi;
	waiting = 0
}

/* take(), advance() */
inline take(s) {
	atomic {
		taken = size_at[position[s] - RING];
#if SUBSCRIBERS == 1
		/* One state less to tell apart. */
		size_at[position[s] - RING] = 0;
#endif
		position[s] = position[s] + taken;
		taken = 0
	}
	if
	:: position[s] - published >= LAZY -> publish(s)
#if defined(LARGE) && !defined(LARGE_LAZILY)
	:: position[s] - published < LAZY -> publish(s)
#else
	:: position[s] - published < LAZY ->
		if
		:: is_awaited(s) -> publish(s)
		:: else
		fi
#endif
	fi
}

proctype subscriber(byte s) {
	byte published = RING, answered, waiting, taken, has_bell = 1, generation = 1;

	{
		do
		:: mem[HEADER] > position[s] -> take(s)
		/* empty(), and what a host does that only tries: it comes again. */
		:: mem[HEADER] == position[s] && is_awaited(s) -> publish(s)
		/* notice(): when it finds nothing, and when `join` changed (ayrei_subscriber_find_newcomers()) */
		:: joined[s] ->
			joined[s] = 0;
			open_bell()
		/* ayre_subscriber_wait(): draw_ticket(), may_sleep() */
		:: mem[HEADER] == position[s] ->
			if
			:: published != position[s] || is_awaited(s) -> publish(s)
			:: else
			fi;
			fence_full(s + 1);
			if
			:: is_awaited(s) -> publish(s)
			:: else
			fi;
			(mem[HEADER] > position[s] || joined[s])
		/* The host has something else to do, for ever. */
		:: is_idle[s] = 1; break
		od;
		false
	} unless {
		is_dying[s]
	}
	/* It dies, or closes: the kernel takes the one and then the other. */
	fence_full(s + 1);
	if
	:: locked[s] = 0; ear[s] = 0
	:: ear[s] = 0; locked[s] = 0
	fi
}

/* --- the property --- */

#define excuses(s) (locked[s] && is_idle[s] && position[s] < mem[HEADER])

init {
	byte i;

	atomic {
		mem[HEADER] = RING;
		mem[GENERATION] = 1;
		bell_read[1] = 1;
		i = 0;
		do
		:: i < SUBSCRIBERS ->
			mem[CURSOR(i)] = RING;
			position[i] = RING;
			locked[i] = 1;
			ear[i] = 1;
			run subscriber(i);
			i++
		:: else -> break
		od;
		run publisher();
		i = 0;
		do
		:: i < WRITERS -> run memory(i); i++
		:: else -> break
		od;
		i = 0;
		run fate()
	}
	/* Nobody can do anything any more. */
	timeout;
#if SUBSCRIBERS == 1
	assert(!is_waiting || excuses(0))
#else
	assert(!is_waiting || excuses(0) || excuses(1))
#endif
}
