/*
 * Shared memory as processors show it to each other: stores wait in a buffer of their writer's.
 *
 * Every word has one writer (the first rule of ayre), who knows what it stored last; so a load is
 * always of what has reached memory, mem[word], and is one step.
 *
 * Without WEAK a buffer is a queue, as on x86-64. With WEAK stores to different words leave it in any
 * order, except for what a release store or a fence forbids, as on arm64: each store belongs to an
 * epoch, a store of a later one stays until those of earlier ones have left, and store_release() and
 * fence_stores() begin the next. Stores to one word stay in order in either case.
 *
 * Loads that nothing orders are a choice in the model that does them. Those behind an acquire load
 * or a fence are done in their order.
 *
 * To be defined before this is included: WORDS, WRITERS, DEPTH (stores in a buffer, at least as many as
 * a writer issues without a full fence between) and, with WEAK, LEAVE(w), an option `:: leave(w, word)`
 * for each word.
 */
#define EPOCHS 16

byte mem[WORDS];
chan buffer[WRITERS] = [DEPTH] of { byte, byte, byte }; /* epoch, word, value */
byte epoch[WRITERS];

inline put(w, word, value) {
	buffer[w]!epoch[w], word, value
}

/* Begins an epoch, unless it would be the first in the buffer. To be used within atomic. */
inline next_epoch(w) {
#ifdef WEAK
	if
	:: empty(buffer[w]) -> epoch[w] = 0
	:: nempty(buffer[w]) -> epoch[w] = (epoch[w] + 1) % EPOCHS
	fi
#else
	skip
#endif
}

inline store(w, word, value) {
	atomic {
		nfull(buffer[w]);
		put(w, word, value)
	}
}

inline store_release(w, word, value) {
	atomic {
		nfull(buffer[w]);
		next_epoch(w);
		put(w, word, value)
	}
}

/* __atomic_thread_fence(__ATOMIC_RELEASE) */
inline fence_stores(w) {
	atomic { next_epoch(w) }
}

/* __atomic_thread_fence(__ATOMIC_SEQ_CST) */
inline fence_full(w) {
	atomic {
		empty(buffer[w]);
		epoch[w] = 0
	}
}

/* What one processor can make another do: membarrier(2). To be used within atomic. */
inline flush(w) {
	do
	:: nempty(buffer[w]) ->
		buffer[w]?mem_epoch, mem_word, mem_value;
		mem[mem_word] = mem_value
	:: empty(buffer[w]) -> break
	od;
	epoch[w] = 0;
	mem_epoch = 0;
	mem_word = 0;
	mem_value = 0
}

#define FLUSH_LOCALS hidden byte mem_epoch, mem_word, mem_value

#define leave(w, word) buffer[w]??eval(first), word, value -> mem[word] = value

proctype memory(byte w) {
	byte first, word, value;

end:
	do
	:: atomic {
		nempty(buffer[w]);
#ifdef WEAK
		buffer[w]?<first, word, value>;
		if
		LEAVE(w)
		fi;
#else
		buffer[w]?first, word, value;
		mem[word] = value;
#endif
		first = 0;
		word = 0;
		value = 0
	}
	od
}
