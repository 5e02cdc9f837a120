/*
 * What the groups of `ayre bench topic` share: two processes, the near one, which measures, and the
 * far one; and the ways for a message from one to the other.
 *
 * Invariant: all ways of a group carry the same messages between the same two processors. The number
 * of a message is its first word, and its receiver reads every byte: one that is lost, repeated
 * or spoilt ends the benchmark with -EBADMSG.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <ayre.h>

#include "command/bench.h"

#define KIBIBYTE ((uint64_t)1 << 10)
#define MEBIBYTE ((uint64_t)1 << 20)

#define TOPIC_WAYS_MAX    16
#define TOPIC_FAR_MAX     16
#define TOPIC_BATCH       32
#define TOPIC_RING_BYTES  (64 * MEBIBYTE) /* of the memory for minimal rings */
#define TOPIC_DEADLINE_NS INT64_C(20000000000)
#define TOPIC_TAIL_COUNT  20000 /* single round trips, to know the slowest of a thousand */

struct topic_end;

/* How messages are brought over; a row each. Both processes do their side of it. */
struct topic_way {
	/* In the near process before the far one exists: descriptors to inherit. May be NULL. */
	int (*make)(struct topic_end *near, struct topic_end *far);
	/* In both at once, before the first sample. close also undoes make. May be NULL. */
	int (*open)(struct topic_end *end);
	void (*close)(struct topic_end *end);
	/* In both right before each sample, and right after it. May be NULL. */
	int (*ready)(struct topic_end *end);
	void (*rest)(struct topic_end *end);
	/* So often has a side that is no process of ours lost its processor. May be NULL. */
	int64_t (*switches)(const struct topic_end *end);
	/* So many messages, or round trips. 0 or a negative errno. far NULL: it has no part in it. */
	int (*near)(struct topic_end *end, uint64_t count);
	int (*far)(struct topic_end *end, uint64_t count);
};

/* Two words that the processes share, in lines that nobody else uses. */
struct topic_lines {
	uint64_t there __attribute__((aligned(128)));
	uint64_t back __attribute__((aligned(128)));
};

/* One process's side of one way. */
struct topic_end {
	const struct topic_way *way;
	uint64_t parameter; /* of the row: slots, bytes of a ring */
	const char *directory;
	const char *left_out; /* NULL: it can be done here; set by make */
	size_t row;
	unsigned int number, far_count; /* of the far process, and how many there are */
	bool is_near, is_open;
	int near_cpu, far_cpu;

	uint64_t message_bytes; /* whole words */
	uint64_t *message; /* what is sent: its number, and words that stay; TOPIC_BATCH of them */
	uint64_t *buffer;  /* what is received, if it is copied */
	uint64_t rest;     /* the sum of the words that stay */
	uint64_t sent, received;

	struct topic_lines *lines;
	char *ring;         /* shared */
	uint64_t peer_seen; /* an index of the other side, as last read */
	int in, out;
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct ayre_subscriber *idle[TOPIC_FAR_MAX]; /* that never receive */
	struct ayre_worker *worker;
	pid_t worker_pid;
	int64_t *times;   /* TOPIC_TAIL_COUNT, if single round trips are wanted */
	int64_t pause_ns; /* before each round trip, so that the other side has gone to sleep */
	int64_t own_ns;   /* with a pause: what the round trips took */
};

/* --- one group's processes --- */

struct topic_entry {
	const struct topic_way *way;
	uint64_t parameter;
};

/* A group, and what its rows do: a row's argument is the index of its entry. */
struct topic_plan {
	const struct bench_group *group;
	const struct topic_entry *entries;
	size_t entry_count;
	uint64_t message_bytes;
	uint64_t warm_count;    /* messages before any is measured: more than any ring takes */
	unsigned int far_count; /* 0: one */
	int64_t pause_ns;       /* as in an end */
	bool same_cpu;
};

/* Of a row's argument: which quantile of single round trips, in thousandths; 0: the mean of all. */
#define TOPIC_QUANTILE(entry, thousandths) ((uint64_t)(entry) | (uint64_t)(thousandths) << 8)

int bench_topic_measure(void *state, uint64_t argument, struct bench_sample *sample);

/* Samples that were interrupted: another program had one of the two processors for a while. */
struct topic_quiet {
	uint64_t samples, repeated, interrupted; /* all; taken again; and no better the last time */
};

/*
 * Starts the far processes, runs the group, ends them. directory: NULL: none of the ways needs any. Returns an
 * exit code.
 */
int bench_topic_run_plan(struct bench_report *report, const struct bench_machine *machine,
                         const struct topic_plan *plan, const char *directory,
                         struct topic_quiet *quiet);

/* Short samples, and more of them: the processors' neighbours change by the second. */
void bench_topic_settle(struct bench_report *report);
/* In a report's note: which processors, and how often they were interrupted. */
void bench_topic_tell_circumstances(struct bench_report *report,
                                    const struct bench_machine *machine,
                                    const struct topic_quiet *quiet);

/* A group's: does it need two processors where there is one? */
const char *bench_topic_unfit(void *state);

/* A processor besides the one that we are bound to, or -1. */
int bench_topic_far_cpu(const struct bench_machine *machine);
/* This process runs there from now on. 0 or a negative errno. */
int bench_topic_bind(int cpu);

/* --- what is in a message --- */

/* A far process has ended, while it was still needed. */
extern volatile sig_atomic_t bench_topic_has_ended;

/* From now on the end of a far process, or of any other child, interrupts us; or no longer. */
void bench_topic_watch_children(bool watched);

/* So often does a spinner look for what ought to come within microseconds: some seconds. */
#define TOPIC_TURNS_MAX (UINT64_C(1) << 30)

typedef uint64_t topic_vector __attribute__((vector_size(16), aligned(8), may_alias));

static inline uint64_t topic_sum(const uint64_t *words, uint64_t bytes)
{
	uint64_t count = bytes / sizeof(*words), turns = count / 8, sum = 0;
	const topic_vector *at = (const topic_vector *)words;
	topic_vector a = {0}, b = {0}, c = {0}, d = {0};

	for (uint64_t i = 0; i < turns; i++, at += 4) {
		a += at[0];
		b += at[1];
		c += at[2];
		d += at[3];
	}
	a += b + c + d;
	for (uint64_t i = turns * 8; i < count; i++)
		sum += words[i];
	return sum + a[0] + a[1];
}

/* Reads every byte. 0, or -EBADMSG: it is not the one that was to come. */
static inline int topic_check(struct topic_end *end, const void *data)
{
	const uint64_t *words = data;
	uint64_t number = end->received++;
	/* The commonest size without a loop. */
	uint64_t sum = end->message_bytes == 48
	                       ? words[0] + words[1] + words[2] + words[3] + words[4] + words[5]
	                       : topic_sum(words, end->message_bytes);

	return words[0] == number && sum == number + end->rest ? 0 : -EBADMSG;
}

/* Copies the next message to where it is to lie. */
static inline void topic_write(struct topic_end *end, void *to)
{
	end->message[0] = end->sent++;
	if (end->message_bytes == 48)
		memcpy(to, end->message, 48);
	else
		memcpy(to, end->message, end->message_bytes);
}

/* --- loops, made for each way by inlining --- */

#define TOPIC_INLINE static inline __attribute__((always_inline))

typedef int topic_step(struct topic_end *end);

TOPIC_INLINE int topic_repeat(struct topic_end *end, uint64_t count, topic_step *step)
{
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++)
		result = step(end);
	return result;
}

TOPIC_INLINE int topic_alternate(struct topic_end *end, uint64_t count, topic_step *first,
                                 topic_step *second)
{
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		result = first(end);
		if (result == 0)
			result = second(end);
	}
	return result;
}

int64_t bench_topic_now_ns(void);

TOPIC_INLINE int topic_alternate_timed(struct topic_end *end, uint64_t count, topic_step *first,
                                       topic_step *second)
{
	int64_t before = bench_topic_now_ns();
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		int64_t now;

		result = topic_alternate(end, 1, first, second);
		now = bench_topic_now_ns();
		end->times[i] = now - before;
		before = now;
	}
	return result;
}

TOPIC_INLINE int topic_alternate_paused(struct topic_end *end, uint64_t count, topic_step *first,
                                        topic_step *second)
{
	int result = 0;

	end->own_ns = 0;
	for (uint64_t i = 0; result == 0 && i < count; i++) {
		int64_t begin = bench_topic_now_ns(), now = begin;

		while (now - begin < end->pause_ns)
			now = bench_topic_now_ns();
		result = topic_alternate(end, 1, first, second);
		end->own_ns += bench_topic_now_ns() - now;
	}
	return result;
}

/* NAME_near and NAME_far: there and back, the near one first; NAME_timed, for each of them. */
#define TOPIC_ROUND_TRIPS(name, send, receive) \
	static int name##_near(struct topic_end *end, uint64_t count) \
	{ \
		if (end->pause_ns) \
			return topic_alternate_paused(end, count, send, receive); \
		return end->times ? topic_alternate_timed(end, count, send, receive) \
		                  : topic_alternate(end, count, send, receive); \
	} \
	static int name##_far(struct topic_end *end, uint64_t count) \
	{ \
		return topic_alternate(end, count, receive, send); \
	}

/* The far one sends, the near one receives: what it has, it has. */
#define TOPIC_STREAM(name, send, receive) \
	static int name##_near(struct topic_end *end, uint64_t count) \
	{ \
		return topic_repeat(end, count, receive); \
	} \
	static int name##_far(struct topic_end *end, uint64_t count) \
	{ \
		return topic_repeat(end, count, send); \
	}

/* --- the ways --- */

/* Floors and what else needs no kernel. A ring's parameter: its slots. */
extern const struct topic_way bench_topic_line, bench_topic_line_paused, bench_topic_ring_round,
	bench_topic_ring_stream, bench_topic_ring_batch, bench_topic_in_band;
extern const struct topic_way bench_topic_memcpy;

/* The kernel's, whose ends look again and again instead of going to sleep. */
extern const struct topic_way bench_topic_pipe_spinning, bench_topic_socket_spinning;

/*
 * Of `ayre bench size`: a line each way with a memcpy beside it; and slots, a parameter of them, in memory that
 * is shared, or in a file that is mapped, with words that are watched or with semaphores.
 */
extern const struct topic_way bench_size_line, bench_size_memory, bench_size_file,
	bench_size_memory_asleep, bench_size_file_asleep, bench_size_file_stream;

/* Ours. The parameter: bytes of the ring, 0: the default. */
extern const struct topic_way bench_topic_copied, bench_topic_placed, bench_topic_asleep,
	bench_topic_asleep_in_time, bench_topic_adaptive;
extern const struct topic_way bench_topic_stream_copied, bench_topic_stream_placed,
	bench_topic_stream_spinning, bench_topic_stream_batch;

/* One to many. The parameter: bytes of the ring; of the idle, how many do not run. */
extern const struct topic_way bench_topic_broadcast, bench_topic_fan, bench_topic_fan_asleep,
	bench_topic_idle;

/* The kernel's. */
extern const struct topic_way bench_topic_semaphore, bench_topic_eventfd;
extern const struct topic_way bench_topic_pipe, bench_topic_socket, bench_topic_packets,
	bench_topic_queue;
/* Both on the near processor, whatever the group says. */
extern const struct topic_way bench_topic_packets_near;
extern const struct topic_way bench_topic_pipe_stream, bench_topic_socket_stream,
	bench_topic_packets_stream, bench_topic_queue_stream;

/* --- the groups --- */

extern const struct topic_plan bench_topic_plans[], bench_topic_fan_plans[];
extern const size_t bench_topic_plan_count, bench_topic_fan_plan_count;

/* To open a topic, and what one costs that is idle: no other process is needed. */
int bench_topic_run_open(struct bench_report *report, const char *directory);
