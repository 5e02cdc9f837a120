/*
 * A log as `ayre bench log` sees it: whatever keeps messages of one size in their order, in a file. Each of the
 * peers is a module that has one of these; the bare calls and ayre have one as well, so that all are
 * driven by the same code.
 *
 * Invariant: message number n is the same everywhere, and its reader sums every byte of it.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOG_MESSAGE_BYTES 100

/* --- messages --- */

#define LOG_MESSAGE_REST  UINT64_C(0x6d6d6d6d6d6d6d6d)          /* "mmmmmmmm" */
#define LOG_MESSAGE_WORDS ((uint64_t)LOG_MESSAGE_BYTES / 8 - 1) /* behind the number */

struct log_message {
	char bytes[LOG_MESSAGE_BYTES];
};

static inline void log_message_make(struct log_message *message, uint64_t number)
{
	memset(message->bytes, 'm', sizeof(message->bytes));
	memcpy(message->bytes, &number, sizeof(number));
}

/* 0, or -EBADMSG: it is not the one of this number. */
static inline int log_message_check(const void *bytes, uint64_t number)
{
	uint64_t words[LOG_MESSAGE_BYTES / 8], sum = 0;
	uint32_t last;

	memcpy(words, bytes, sizeof(words));
	memcpy(&last, (const char *)bytes + sizeof(words), sizeof(last));
	for (size_t i = 1; i < LOG_MESSAGE_BYTES / 8; i++)
		sum += words[i];
	return words[0] == number && sum == LOG_MESSAGE_WORDS * LOG_MESSAGE_REST &&
	                       last == (uint32_t)LOG_MESSAGE_REST
	               ? 0
	               : -EBADMSG;
}

/* --- logs --- */

struct log_store_options {
	const char *path; /* nothing is there yet */
	bool safe;        /* what has been appended can lose its power from then on */
	/* So much is coming: what can be given space before is given it. 0: it grows. */
	uint64_t room_bytes;
};

/* Each returns 0 or a negative errno. */
struct log_store {
	int (*open)(const struct log_store_options *options, void **ret_log);
	void (*close)(void *log);
	/* The messages from this number on, all at once: one transaction, one flush. */
	int (*append)(void *log, uint64_t first, const struct log_message *messages, size_t count);
	/*
	 * Of one whose append() does not wait: until all that was appended is safe. It counts as part of a
	 * sample. NULL: append() waits, or nobody does.
	 */
	int (*finish)(void *log);
	/*
	 * Likewise: sends at once what several wait for; and waits until more is safe than when this was last asked:
	 * all messages below the number that it returns, or a negative errno. NULL: append() waits.
	 */
	int (*send)(void *log, const struct log_message *messages, size_t count);
	int64_t (*await)(void *log);
	/* From number 0 on, each looked at by log_message_check(). */
	int (*scan)(void *log, uint64_t count);
	/* The message of this number alone, likewise. */
	int (*find)(void *log, uint64_t number);
};

/* What a peer's module exports, by the name LOG_STORE_SYMBOL. */
#define LOG_STORE_SYMBOL "bench_log_store"
#define LOG_STORE_EXPORT \
	__attribute__((visibility("default"))) extern const struct log_store bench_log_store
