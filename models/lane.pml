/*
 * A lane: no reader takes a torn or a stale record, or one twice; a reliable reader misses none; and
 * whoever takes the lane after its writer died at any step finds exactly the records that exist.
 *
 * The ring has RING words, and a record is a header and one or two words, as the writer likes. The
 * words of a message are its number, from 1: 1 and 2 look like headers, all others like damage. A
 * header says how many words follow, and nothing else. The steps are those of src/topic/lane.h, lane.c,
 * publisher.c and subscriber.c, named at each.
 *
 * MESSAGES (5)   so many in all
 * RELIABLE       a reader that the writer waits for
 * LOSSY          a reader that it does not wait for
 * BATCH          messages may be sent by twos (ayre_publisher_send_batch())
 * CRASH          the writer may die at any step, and another one goes on
 * WEAK           stores may be seen in another order
 *
 * Broken on purpose: see `run`.
 */
#ifndef MESSAGES
#define MESSAGES 5
#endif

#define RING  8
#define CHUNK 2 /* of the ring: CHUNKS is 4 */
#ifndef SLOTS
#define SLOTS 8 /* checkpoints: half of them lie in the ring */
#endif
#define SLACK 1 /* behind a record lies the header that follows it */

#define AT(position) ((position) % RING)
#define LIMIT        RING
#define CURSOR       (RING + 1)
#define SLOT(i)      (RING + 2 + 2 * (i)) /* position, sequence */
#define WORDS        (RING + 2 + 2 * SLOTS)

#define WRITERS 2 /* the lane's, and the reliable reader of its cursor */
/*
 * A writer does nothing by what it has stored, so that how long stores wait is seen only by the order in which
 * they leave; and no epoch has more than four: a header, and before the next one the cleared
 * word and two words of a message.
 */
#ifdef WEAK
#define DEPTH 4
#else
#define DEPTH 1
#endif
#define LEAVE(w) \
	:: leave(w, 0) :: leave(w, 1) :: leave(w, 2) :: leave(w, 3) :: leave(w, 4) :: leave(w, 5) \
	:: leave(w, 6) :: leave(w, 7) :: leave(w, 8) :: leave(w, 9) :: leave(w, 10) :: leave(w, 11) \
	:: leave(w, 12) :: leave(w, 13) :: leave(w, 14) :: leave(w, 15) :: leave(w, 16) :: leave(w, 17) \
	:: leave(w, 18) :: leave(w, 19) :: leave(w, 20) :: leave(w, 21) :: leave(w, 22) :: leave(w, 23) \
	:: leave(w, 24) :: leave(w, 25)
#include "memory.pml"

/* For the property's sake: what was committed, how long each message is, and how far the readers are. */
byte committed, committed_end = RING, length[MESSAGES];
byte read_sequence[2], read_end[2];
bit is_struck;

/* --- the writer --- */

/* write_checkpoint() */
inline write_checkpoint() {
	slot = (position / CHUNK) % SLOTS;
#ifndef CHECKPOINT_UNMARKED
	store(0, SLOT(slot), 0);
	fence_stores(0);
#endif
#ifdef CHECKPOINT_POSITION_FIRST
	store_release(0, SLOT(slot), position);
	store(0, SLOT(slot) + 1, sequence);
#else
	store(0, SLOT(slot) + 1, sequence);
	store_release(0, SLOT(slot), position);
#endif
	checkpoint = position;
	slot = 0
}

inline store_limit() {
	if
	:: wanted > limit ->
		limit = wanted;
		store_release(0, LIMIT, limit);
#ifndef NO_FENCE_AFTER_LIMIT
		fence_stores(0)
#endif
	:: else
	fi
}

/* ayrei_lane_fits(), ayrei_publisher_make_room(), ayrei_lane_extend(): room for a record of so many words */
inline make_room(words) {
	do
	:: position + 1 + words + SLACK <= limit -> wanted = limit; break
	:: else ->
		wanted = position + 1 + words + SLACK + CHUNK;
#if defined(RELIABLE) && !defined(CURSOR_IGNORED)
		/* ayrei_members_floor(): once there is so much room as is needed, else again. */
		atomic {
			mem[CURSOR] + RING >= position + 1 + words + SLACK;
			if
			:: wanted > mem[CURSOR] + RING -> wanted = mem[CURSOR] + RING
			:: else
			fi
		}
#endif
#ifdef CHECKPOINT_AFTER_LIMIT
		store_limit();
#endif
		if
		:: position - checkpoint >= CHUNK -> write_checkpoint()
		:: else
		fi;
#if !defined(CHECKPOINT_AFTER_LIMIT) && !defined(LIMIT_AFTER_PAYLOAD)
		store_limit();
#endif
		break
	od
}

/* Step 3 */
inline write_words(at, words) {
	store(0, AT(at + 1), sequence + 1);
	if
	:: words == 2 -> store(0, AT(at + 2), sequence + 1)
	:: else
	fi
}

/* Step 4; the property's words change with it. */
#ifdef PLAIN_HEADER
#define put_header(at, words) nfull(buffer[0]); put(0, AT(at), words)
#else
#define put_header(at, words) nfull(buffer[0]); next_epoch(0); put(0, AT(at), words)
#endif

inline commit(at, words) {
	atomic {
		put_header(at, words);
		committed = sequence;
		committed_end = position
	}
}

inline choose_length() {
	atomic {
		if
		:: words = 1
		:: words = 2
		fi;
		length[sequence] = words
	}
}

/* send_one(): ayrei_lane_commit() around the copy */
inline send_one() {
	choose_length();
	make_room(words);
#ifdef HEADER_BEFORE_PAYLOAD
	start = position;
	store(0, AT(start + 1 + words), 0);
	atomic { position = start + 1 + words; sequence++ }
	commit(start, words);
	atomic { sequence-- }
	write_words(start, words);
	atomic { sequence++ }
#else
#if !defined(CLEAR_AFTER_HEADER) && !defined(NO_CLEAR)
	/* Step 2; the code does it behind the copy, which is the same: both come before step 4. */
	store(0, AT(position + 1 + words), 0);
#endif
	write_words(position, words);
#ifdef LIMIT_AFTER_PAYLOAD
	store_limit();
#endif
	atomic { start = position; position = position + 1 + words; sequence++ }
	commit(start, words);
#ifdef CLEAR_AFTER_HEADER
	store(0, AT(position), 0);
#endif
#endif
	atomic { start = 0; words = 0; wanted = 0 }
}

/* ayre_publisher_send_batch(), of two */
inline send_two() {
	choose_length();
	make_room(words);
	start = position;
	first_words = words;
	write_words(position, words);
	store(0, AT(position + 1 + words), 0);
	atomic { position = position + 1 + words; sequence++ }
	choose_length();
	if
	/* By the limit as it is. */
	:: position + 1 + words + SLACK <= limit ->
		write_words(position, words);
		store(0, AT(position + 1 + words), 0);
		store(0, AT(position), words);
		atomic { position = position + 1 + words; sequence++ }
	:: else
	fi;
	commit(start, first_words);
	atomic { start = 0; words = 0; first_words = 0; wanted = 0 }
}

/* ayrei_lane_recover(): seek_newest_checkpoint(), then step() to the end. Nobody else writes. */
inline recover() {
	atomic {
		limit = mem[LIMIT];
		slot = 0;
		checkpoint = 0;
		do
		:: slot < SLOTS ->
			if
			:: mem[SLOT(slot)] > checkpoint && mem[SLOT(slot)] + RING >= limit &&
				mem[SLOT(slot)] < limit ->
				checkpoint = mem[SLOT(slot)];
				sequence = mem[SLOT(slot) + 1]
			:: else
			fi;
			slot++
		:: else -> break
		od;
		slot = 0;
		assert(checkpoint != 0);
		position = checkpoint;
		do
		:: mem[AT(position)] != 0 ->
			assert(mem[AT(position)] <= 2);
			position = position + 1 + mem[AT(position)];
			sequence++;
			assert(position < limit)
		:: else -> break
		od;
		assert(position == committed_end);
		assert(sequence == committed);
		assert(position + SLACK <= limit)
	}
}

proctype writer() {
	byte position = RING, sequence, limit = RING + SLACK, checkpoint = RING;
	byte words, first_words, start, wanted, slot;

	do
	:: {
		do
		:: sequence < MESSAGES -> send_one()
#ifdef BATCH
		:: sequence + 1 < MESSAGES -> send_two()
#endif
		:: else -> break
		od;
		false
	} unless {
		is_struck
	};
		/* It died; what it has stored is seen. */
		fence_full(0);
		atomic { is_struck = 0; words = 0; first_words = 0; start = 0; wanted = 0; slot = 0; sequence = 0 }
		recover()
	od
}

/* --- a reader --- */

/* Step c: ayrei_reader_is_intact() */
#define is_intact (mem[LIMIT] > position && mem[LIMIT] <= position + RING)

/*
 * ayrei_reader_checkpoint(): the oldest one at least at `least`. Each load is a step of its own. found: its
 * position, 0: none.
 */
inline find_checkpoint(least_one) {
	limit = mem[LIMIT];
	least = least_one;
	if
	:: limit > RING && least < limit - RING -> least = limit - RING
	:: else
	fi;
	found = 0;
	found_sequence = 0;
	slot = 0;
	do
	:: slot < SLOTS ->
		at = mem[SLOT(slot)];
		number = mem[SLOT(slot) + 1];
		if
		:: atomic { at != 0 && at == mem[SLOT(slot)] && at >= least && at < limit &&
			(found == 0 || at < found) ->
			found = at;
			found_sequence = number }
		:: else
		fi;
		slot++
	:: else -> break
	od;
	atomic { slot = 0; at = 0; number = 0; least = 0 }
}

/* ayrei_reader_catch_up(). What was missed is counted: the number of the next message. */
inline catch_up() {
#ifdef RELIABLE
	assert(!is_reliable);
#endif
	find_checkpoint((mem[LIMIT] - RING / 2));
	if
	:: found == 0 -> find_checkpoint(0)
	:: else
	fi;
	atomic {
		if
		:: found != 0 ->
			assert(found >= position && found_sequence >= sequence);
			position = found;
			sequence = found_sequence;
			read_sequence[is_reliable] = sequence;
			read_end[is_reliable] = position
		/* Only where the writer went on meanwhile: it is tried again. */
		:: else -> assert(mem[LIMIT] != limit)
		fi;
		found = 0;
		found_sequence = 0;
		limit = 0
	}
}

/* Step b: nothing orders the loads of a copy. */
inline copy_words() {
	if
	:: first = mem[AT(position + 1)];
		second = (header == 2 -> mem[AT(position + 2)] : first)
	:: header == 2 ->
		second = mem[AT(position + 2)];
		first = mem[AT(position + 1)]
	fi
}

/* ayrei_source_publish(): lazily, but not too lazily */
inline publish() {
	if
	:: is_reliable ->
		if
		:: position - published < RING / 4
		:: published = position; store_release(1, CURSOR, position)
		fi
	:: else
	fi
}

proctype reader(bit is_reliable) {
	byte position = RING, sequence, published = RING, header, first, second;
	byte limit, least, found, found_sequence, slot, at, number;
	bit intact;

	do
	:: true ->
		/* Nothing there: empty() */
		atomic {
			mem[AT(position)] != 0 || !is_intact;
			/* Step a: ayrei_reader_header() */
			header = mem[AT(position)]
		}
		if
		:: header == 0 -> catch_up()
		/* look_closer(): damage only if it was not overtaken */
		:: header > 2 ->
			if
			:: atomic { is_intact -> assert(false) }
			:: else -> catch_up()
			fi
		:: header == 1 || header == 2 ->
#ifdef CURSOR_BEFORE_COPY
			if
			:: is_reliable -> published = position + 1 + header;
				store_release(1, CURSOR, published)
			:: else
			fi;
#endif
#ifdef NO_FENCE_READER
			if
			:: intact = is_intact; copy_words()
			:: copy_words(); intact = is_intact
			fi;
#else
			copy_words();
			intact = is_intact;
#endif
#ifdef NO_LIMIT_CHECK
			intact = 1;
#endif
			if
			:: atomic { intact ->
				/* take() */
				assert(sequence < committed);
				assert(header == length[sequence]);
				assert(first == sequence + 1 && second == sequence + 1);
				position = position + 1 + header;
				sequence++;
				read_sequence[is_reliable] = sequence;
				read_end[is_reliable] = position }
				publish()
			:: else -> catch_up()
			fi;
			atomic { first = 0; second = 0; intact = 0 }
		fi;
		header = 0
	od
}

/* --- the property --- */

proctype fate() {
	is_struck = 1
}

init {
	atomic {
		/* ayrei_lane_begin() */
		mem[LIMIT] = RING + SLACK;
		mem[CURSOR] = RING;
		mem[SLOT((RING / CHUNK) % SLOTS)] = RING;
		run writer();
		run memory(0);
#ifdef RELIABLE
		run memory(1);
		run reader(1);
#endif
#ifdef LOSSY
		run reader(0);
#endif
#ifdef CRASH
		run fate()
#endif
	}
	/* Nobody can do anything any more. */
	timeout;
	assert(committed == MESSAGES);
#ifdef RELIABLE
	assert(read_sequence[1] == committed && read_end[1] == committed_end);
#endif
#ifdef LOSSY
	assert(read_sequence[0] == committed && read_end[0] == committed_end);
#endif
	skip
}
