/*
 * What a host, its zygote and its workers share. The host makes all of it; the others have it by
 * descriptors of fixed numbers.
 *
 *   requests   a memory file that the host alone can write; sealed so before anybody else has it
 *   replies    a memory file for the worker to write. The host reads it, each word once, and believes
 *              nothing; between two processes it makes zeros of all of it.
 *   bells      two pipes: a byte says that there is something to look at, and nothing more
 *   socket     orders to the zygote, and what it reports
 *
 * Sizes are sealed in both files. One call is under way at a time; it has a number, never 0 and never the
 * same twice in a worker's life.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre/error.h>

#include "sys/crash.h"

enum ayrei_channel_fd {
	AYREI_CHANNEL_SOCKET = 3,
	AYREI_CHANNEL_REQUESTS,
	AYREI_CHANNEL_REPLIES,
	AYREI_CHANNEL_CALL_BELL,  /* the worker reads */
	AYREI_CHANNEL_REPLY_BELL, /* the worker writes */
	AYREI_CHANNEL_END,
};

/* In both files: the first page, of which the bytes come behind. */
#define AYREI_CHANNEL_HEAD 4096

#define AYREI_FUNCTION_BYTES 256

/* Written by the host. */
struct ayrei_requests {
	uint64_t call; /* stored last (release) */
	uint64_t bytes;
	uint64_t capacity; /* that the reply may have */
	char function[AYREI_FUNCTION_BYTES];
};

enum ayrei_reply_state {
	AYREI_REPLY_NONE,
	AYREI_REPLY_RETURNED,    /* the function did */
	AYREI_REPLY_NO_FUNCTION, /* there is none of this name */
	AYREI_REPLY_TOO_LARGE,   /* bytes is more than the capacity */
};

/* Written by workers, and by the zygote while it loads the module. */
struct ayrei_replies {
	uint64_t call; /* that is answered; stored last (release) */
	uint32_t state;
	int32_t result;
	uint64_t bytes;

	/* The last word of a process that dies. */
	uint32_t has_crashed; /* stored last (release) */
	uint32_t is_out_of_memory;
	uint32_t is_out_of_stack;
	uint32_t is_confined; /* it waits for a call (release) */
	struct ayrei_crash crash;

	/* Why it could not be confined. */
	struct ayre_error error;
};

static_assert(sizeof(struct ayrei_requests) <= AYREI_CHANNEL_HEAD, "head");
static_assert(sizeof(struct ayrei_replies) <= AYREI_CHANNEL_HEAD, "head");

/* Exit status of a worker that could not be confined; its error says why. */
#define AYREI_WORKER_UNCONFINED 125

/* To the zygote: start a worker, which waits for a call of another number than this. */
struct ayrei_order {
	uint64_t call;
};

enum ayrei_report_kind {
	AYREI_REPORT_LOADED = 1,
	AYREI_REPORT_FAILED,  /* error; the zygote ends */
	AYREI_REPORT_STARTED, /* with the worker's pidfd */
	AYREI_REPORT_ENDED,
};

/* From the zygote. */
struct ayrei_report {
	int32_t kind;
	int32_t code;   /* of STARTED: negative, no process could be made */
	int32_t status; /* of ENDED, as wait(2) has it */
	int32_t reserved;
	int64_t cpu_ns, max_rss_bytes;
	struct ayre_error error;
};

/* Its arguments, behind its name; what can be read at load follows. */
enum ayrei_zygote_argument {
	AYREI_ZYGOTE_NAME,
	AYREI_ZYGOTE_MODULE,
	AYREI_ZYGOTE_MEMORY,
	AYREI_ZYGOTE_CPU,
	AYREI_ZYGOTE_WITHOUT,
	AYREI_ZYGOTE_READS,
};
