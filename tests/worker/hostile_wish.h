/*
 * What a host under attack and the module that attacks it agree on: what a request says.
 */
#pragma once

#include <stdint.h>

/* What module_rewrite.c does with the memory that it shares with the host. */
enum hostile_way {
	HOSTILE_SWAP,    /* a good length, which becomes a bad one between two looks */
	HOSTILE_FLIP,    /* right numbers, with any state, result and length */
	HOSTILE_EARLY,   /* the numbers of calls that are still to come, and of none */
	HOSTILE_CRASHES, /* last words of who goes on */
	HOSTILE_ASLEEP,  /* lies on whether it sleeps */
	HOSTILE_BELLS,   /* bells without end */
	HOSTILE_HEAD,    /* all of the head */
	HOSTILE_BYTES,   /* all of the reply's bytes, behind the answer */
	HOSTILE_FILL,    /* all of them once, and then the answer */
	HOSTILE_ADVICE,  /* all that can be said of memory */
	HOSTILE_DEATH,   /* dies in some way, with an answer or a last word, or without */
	HOSTILE_RETURN,  /* returns, with any result and length */
	HOSTILE_WAYS,
	HOSTILE_ANY = HOSTILE_WAYS, /* all of them, by chance */
};

struct hostile_wish {
	uint32_t way; /* enum hostile_way */
	uint32_t seed;
	/* Of the memory for the reply's bytes, as much as there is; the last word of it is a count. */
	uint64_t room_bytes;
};
