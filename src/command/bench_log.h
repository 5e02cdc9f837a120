/*
 * What the groups of `ayre bench log` share: ways to keep messages in a file, and what is asked of them.
 *
 * Invariant: all ways of a group do the same with the same messages on the same disk, by the same loop; what
 * one sample has left dirty is on the disk before the next one begins.
 */
#pragma once

#include "command/bench.h"
#include "command/bench_log_store.h"

/* What such a message takes in a topic's log: two lines of the cache. */
#define LOG_RECORD_BYTES 128

/* And so it lies in a plain log. */
struct log_record {
	uint64_t bytes;
	struct log_message message;
	char rest[LOG_RECORD_BYTES - sizeof(uint64_t) - LOG_MESSAGE_BYTES];
};

/* Reads every byte of a message. 0 or -EBADMSG. */
static inline int log_record_check(const struct log_record *record, uint64_t number)
{
	return record->bytes == LOG_MESSAGE_BYTES ? log_message_check(&record->message, number)
	                                          : -EBADMSG;
}

static inline int log_records_check(const struct log_record *records, uint64_t first,
                                    uint64_t count)
{
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++)
		result = log_record_check(&records[i], first + i);
	return result;
}

/* To a transaction, at most. */
#define LOG_BATCH_MAX 1000

enum log_way {
	/* On the disk when it is said. */
	LOG_PLAIN,
	LOG_GROWING,
	LOG_DIRECT,
	LOG_AYRE,
	LOG_AYRE_THREADED,
	LOG_LMDB,
	LOG_SQLITE,
	/* Anywhen; but others can see it. */
	LOG_AYRE_LAZY,
	LOG_AYRE_LAZY_THREADED,
	LOG_PLAIN_LAZY,
	LOG_LMDB_LAZY,
	LOG_SQLITE_LAZY,
	LOG_VOLATILE,
	/* To be read: full of messages. */
	LOG_AYRE_FULL,
	LOG_PLAIN_FULL,
	LOG_LMDB_FULL,
	LOG_SQLITE_FULL,
	LOG_WAY_COUNT,
};

struct log_bench {
	const struct bench_machine *machine;
	const char *left_out; /* NULL: there is a disk */
	char directory[4096]; /* on it */
	char memory[4096];    /* in memory */
	int fd;               /* of the directory */
	char device[64];      /* file of its statistics */
	uint64_t room_bytes;  /* given before to what is appended to */
	uint64_t full_count;  /* messages, of a plain log that is full */
	void *logs[LOG_WAY_COUNT];
	uint64_t next[LOG_WAY_COUNT];  /* number of the next message */
	struct log_message *messages;  /* LOG_BATCH_MAX of them */
	const struct log_record *full; /* the plain one that is full, mapped; NULL: not yet */
	uint64_t seed;                 /* of the places to look at */
};

/* --- ways --- */

extern const struct log_store bench_log_plain, bench_log_volatile, bench_log_ayre,
	bench_log_ayre_threaded, bench_log_ayre_lazy, bench_log_ayre_lazy_threaded;

/* A peer's, out of its module. NULL: *ret_why says why not. */
const struct log_store *bench_log_peer(const char *name, const char **ret_why);

const struct log_store *bench_log_store(enum log_way way);
/* The path of its file. */
void bench_log_path(const struct log_bench *bench, enum log_way way, char path[4200]);
/* The first time: opens it, and fills it if it is one of those. 0, BENCH_LEFT_OUT or a negative errno. */
int bench_log_open(struct log_bench *bench, enum log_way way, struct bench_sample *sample);
void bench_log_close(struct log_bench *bench);
/* So many messages are in one that is full; with others it is about what fits into memory. */
uint64_t bench_log_full_count(const struct log_bench *bench, enum log_way way);

/* The next messages. 0 or a negative errno. */
int bench_log_append(struct log_bench *bench, enum log_way way, size_t count);

/* All that is dirty goes to the disk. */
int bench_log_settle(const struct log_bench *bench);

/* So much was ever written to the device, as its driver counts; -1: it is not told. */
int64_t bench_log_device_bytes(const struct log_bench *bench);

/*
 * So many messages in flight of one thread, as in an event loop: whenever some are safe, as many are sent anew. Of a
 * log that tells of it. 0 or a negative errno.
 */
int bench_log_loop(struct log_bench *bench, enum log_way way, size_t count,
                   struct bench_sample *sample);

/* --- groups --- */

/* NULL: there is a disk; else why not. */
const char *bench_log_unfit(void *state);

/* A row that appends: so many messages to a transaction, by so many threads that each wait for theirs. */
#define LOG_APPENDS(way, batch, waiters) \
	((uint64_t)(way) | (uint64_t)(batch) << 8 | (uint64_t)(waiters) << 32)

int bench_log_measure_append(void *state, uint64_t argument, struct bench_sample *sample);

/* So many threads; messages that come while one flushes share the next flush. 0 or a negative errno. */
int bench_log_gather(struct log_bench *bench, enum log_way way, unsigned int count,
                     struct bench_sample *sample);

/* All of them, in their order. An operation is a message. */
extern const struct bench_group *const bench_log_append_groups[];
extern const size_t bench_log_append_group_count;
extern const struct bench_group *const bench_log_read_groups[];
extern const size_t bench_log_read_group_count;
