/*
 * What a host, its zygote and its workers share. The host makes all of it, and passes it by descriptors.
 *
 *   socket     orders to the zygote, and what it reports; its workers close it before they serve
 *   word       a page for the zygote's own last word, while it loads the module
 *
 * and for each process its own, which come with the order to start it:
 *
 *   requests   a memory file that the host alone can write; sealed so before anybody else has it
 *   replies    a memory file for the worker to write. The host reads it, each word once, and believes
 *              nothing; between two processes it makes zeros of all of it.
 *   bells      two pipes: a byte says that there is something to look at, and nothing more
 *   input      a file of the host's user, of one call; it may be missing
 *
 * Sizes are sealed in both files. A process has one call at a time; it has a number, never 0 and never the
 * same twice in the life of the files. A side that is about to sleep says so in its own file, and then looks
 * once more; the other side looks there after each of its stores that matter, with a full fence between on
 * both sides: so one of the two always sees the other's.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/error.h>

#include "sys/crash.h"

/* In the zygote, from its beginning. */
enum ayrei_channel_fd {
	AYREI_CHANNEL_SOCKET = 3,
	AYREI_CHANNEL_WORD,
	AYREI_CHANNEL_END,
};

/* What comes with an order, in this order. */
enum ayrei_order_fd {
	AYREI_ORDER_REQUESTS,
	AYREI_ORDER_REPLIES,
	AYREI_ORDER_CALL_BELL,  /* the worker reads */
	AYREI_ORDER_REPLY_BELL, /* the worker writes */
	AYREI_ORDER_INPUT,      /* or none */
	AYREI_ORDER_FDS,
};

/* Of requests and replies the first page, behind which the bytes come. */
#define AYREI_CHANNEL_HEAD 4096

#define AYREI_LINE_BYTES 64

#define AYREI_FUNCTION_BYTES 256

/* Written by the host. The first line is all that a call of the same function as before changes. */
struct ayrei_requests {
	uint64_t call; /* stored last (release) */
	uint64_t bytes;
	uint64_t capacity;        /* that the reply may have */
	uint32_t function_number; /* another one for another function; never 0 */
	uint32_t is_asleep;       /* the host wants the bell rung */
	char function[AYREI_FUNCTION_BYTES] __attribute__((aligned(AYREI_LINE_BYTES)));
};

enum ayrei_reply_state {
	AYREI_REPLY_NONE,
	AYREI_REPLY_RETURNED,    /* the function did */
	AYREI_REPLY_NO_FUNCTION, /* there is none of this name */
	AYREI_REPLY_TOO_LARGE,   /* bytes is more than the capacity */
};

/* Written by workers, and as the zygote's word while it loads the module. */
struct ayrei_replies {
	uint64_t call; /* that is answered; stored last (release) */
	uint32_t state;
	int32_t result;
	uint64_t bytes;
	uint32_t is_asleep; /* the worker wants the bell rung */
	uint32_t
		has_crashed; /* this is the last word of a process that dies; stored last (release) */

	uint32_t is_out_of_memory __attribute__((aligned(AYREI_LINE_BYTES)));
	uint32_t is_out_of_stack;
	uint32_t is_confined; /* it waits for a call (release) */
	uint32_t trying;      /* of a zygote: the layer that it is about to lay; 0: none */
	struct ayrei_crash crash;
};

static_assert(offsetof(struct ayrei_requests, function) == AYREI_LINE_BYTES, "line");
static_assert(offsetof(struct ayrei_replies, is_out_of_memory) == AYREI_LINE_BYTES, "line");
static_assert(sizeof(struct ayrei_requests) <= AYREI_CHANNEL_HEAD, "head");
static_assert(sizeof(struct ayrei_replies) <= AYREI_CHANNEL_HEAD, "head");

/* Exit status of a worker that could not be confined, and has reported why. */
#define AYREI_WORKER_UNCONFINED 125

/* The most processes that a zygote has at once. */
#define AYREI_SLOTS_MAX 136

/* To the zygote: start a worker, which waits for a call of another number than this. */
struct ayrei_order {
	uint32_t slot; /* the host's name for it, below AYREI_SLOTS_MAX */
	uint32_t reserved;
	uint64_t call;
	uint64_t requests_bytes, replies_bytes; /* of the files */
	int64_t spin_ns;                        /* AYRE_SPIN_..., while it waits for a call */
	uint64_t likely_bytes; /* of its reply: what there was of the last one, within the file */
	/* That will be called, most likely: to be looked up once, and not by each worker. */
	char function[AYREI_FUNCTION_BYTES];
};

enum ayrei_report_kind {
	AYREI_REPORT_LOADED = 1,
	AYREI_REPORT_FAILED,  /* error; the zygote ends */
	AYREI_REPORT_STARTED, /* with the worker's pidfd */
	AYREI_REPORT_ENDED,
	/*
	 * Of a worker itself, before it ends: why it cannot be confined, or has no input; error. Who is confined
	 * has no socket any more, so that no function can say so. It may come before STARTED.
	 */
	AYREI_REPORT_UNCONFINED,
};

/* From the zygote, and from workers that are still as it is. */
struct ayrei_report {
	int32_t kind;
	int32_t code;   /* of STARTED: negative, no process could be made */
	int32_t status; /* of ENDED, as wait(2) has it */
	uint32_t slot;
	int64_t cpu_ns, max_rss_bytes;
	struct ayre_error error;
};

/* Its arguments, behind its name; what can be read at load follows. */
enum ayrei_zygote_argument {
	AYREI_ZYGOTE_NAME,
	AYREI_ZYGOTE_MODULE,
	AYREI_ZYGOTE_MEMORY,
	AYREI_ZYGOTE_SHARED,
	AYREI_ZYGOTE_CPU,
	AYREI_ZYGOTE_WITHOUT,
	AYREI_ZYGOTE_READS,
};
