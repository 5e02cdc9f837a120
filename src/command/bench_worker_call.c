/*
 * A warm worker's call of 64 bytes, beside the same without a jail, and beside what the processors and
 * the kernel give.
 *
 * Invariant: a worker that may spin is there for its own samples only, and on the far processor; there it
 * would take it from the other rows.
 */
#include "command/bench_worker.h"

#include <inttypes.h>
#include <stdio.h>

#include "command/command.h"

#define CALL_BYTES 64

/* Before a worker's sample: what the others' first sample was. */
#define WARM_COUNT 2000

/* As for topics: longer than it takes to go to sleep, shorter than anybody would spin. */
#define PAUSE_NS 20000

/*
 * --- the same protocol between two plain processes ---
 *
 * With all that two processes need who know each other: each side writes a line and the bytes, which lie in
 * the page behind, and looks whether the other one sleeps, which it never does. What a worker has besides are
 * the checks, the deadline, and the jail.
 */
#define HEAD_BYTES 4096

struct plain_request {
	uint64_t call; /* stored last */
	uint64_t bytes, capacity;
	uint32_t function_number, is_asleep;
};

struct plain_reply {
	uint64_t call; /* stored last */
	uint32_t state;
	int32_t result;
	uint64_t bytes;
	uint32_t is_asleep, has_crashed;
};

/* The parameter: where in the ring, since each way has calls of its own numbers. */
TOPIC_INLINE struct plain_request *request_of(const struct topic_end *end)
{
	return (struct plain_request *)(void *)(end->ring + end->parameter);
}

TOPIC_INLINE struct plain_reply *reply_of(const struct topic_end *end)
{
	return (struct plain_reply *)(void *)(end->ring + end->parameter + MEBIBYTE);
}

/* -ETIMEDOUT: the other side does nothing. */
TOPIC_INLINE int await(const uint64_t *word, uint64_t number)
{
	for (uint64_t turn = 0; turn < TOPIC_TURNS_MAX; turn++) {
		if (__builtin_expect(__atomic_load_n(word, __ATOMIC_ACQUIRE) == number, true))
			return 0;
		BENCH_PAUSE;
	}
	return -ETIMEDOUT;
}

/* Who looks has to have stored before: the one who goes to sleep does it the other way round. */
TOPIC_INLINE int look_for_sleeper(const uint32_t *is_asleep)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(is_asleep, __ATOMIC_RELAXED) ? -EPROTO : 0;
}

TOPIC_INLINE int ask(struct topic_end *end)
{
	struct plain_request *request = request_of(end);

	topic_write(end, (char *)request + HEAD_BYTES);
	request->bytes = end->message_bytes;
	request->capacity = end->message_bytes;
	__atomic_store_n(&request->call, end->sent, __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int ask_and_look(struct topic_end *end)
{
	(void)ask(end);
	return look_for_sleeper(&reply_of(end)->is_asleep);
}

TOPIC_INLINE int have(struct topic_end *end)
{
	const struct plain_reply *reply = reply_of(end);
	int result = await(&reply->call, end->sent);

	if (result < 0)
		return result;
	if (reply->state != 1 || reply->result != 0 || reply->bytes != end->message_bytes)
		return -EBADMSG;
	memcpy(end->buffer, (const char *)reply + HEAD_BYTES, reply->bytes);
	return topic_check(end, end->buffer);
}

TOPIC_INLINE int serve(struct topic_end *end)
{
	const struct plain_request *request = request_of(end);
	struct plain_reply *reply = reply_of(end);
	int result = await(&request->call, ++end->received);

	if (result < 0)
		return result;
	if (request->bytes > request->capacity)
		return -EMSGSIZE;
	memcpy((char *)reply + HEAD_BYTES, (const char *)request + HEAD_BYTES, request->bytes);
	reply->state = 1;
	reply->result = 0;
	reply->bytes = request->bytes;
	__atomic_store_n(&reply->call, end->received, __ATOMIC_RELEASE);
	return 0;
}

TOPIC_INLINE int serve_and_look(struct topic_end *end)
{
	int result = serve(end);

	return result < 0 ? result : look_for_sleeper(&request_of(end)->is_asleep);
}

static int plain_near(struct topic_end *end, uint64_t count)
{
	return topic_alternate(end, count, ask_and_look, have);
}

static int plain_far(struct topic_end *end, uint64_t count)
{
	return topic_repeat(end, count, serve_and_look);
}

static int bare_near(struct topic_end *end, uint64_t count)
{
	return topic_alternate(end, count, ask, have);
}

static int bare_far(struct topic_end *end, uint64_t count)
{
	return topic_repeat(end, count, serve);
}

static const struct topic_way plain = {.near = plain_near, .far = plain_far};
static const struct topic_way bare = {.near = bare_near, .far = bare_far};

/* --- ours; the parameter: how long to spin --- */

static int make_worker(struct topic_end *near, struct topic_end *far)
{
	(void)far;
	near->left_out = bench_worker_missing();
	return 0;
}

TOPIC_INLINE int worker_call(struct topic_end *end)
{
	ssize_t got;

	end->message[0] = end->sent++;
	got = ayre_worker_call(end->worker, "bench_echo", end->message, end->message_bytes,
	                       end->buffer, end->message_bytes);
	if (got < 0)
		return (int)got;
	return (uint64_t)got == end->message_bytes ? topic_check(end, end->buffer) : -EBADMSG;
}

TOPIC_INLINE int worker_nothing(struct topic_end *end)
{
	(void)end;
	return 0;
}

static int worker_near(struct topic_end *end, uint64_t count)
{
	if (end->pause_ns)
		return topic_alternate_paused(end, count, worker_call, worker_nothing);
	return topic_alternate(end, count, worker_call, worker_nothing);
}

static void close_worker(struct topic_end *end)
{
	ayre_worker_close(end->worker);
	end->worker = NULL;
}

/* Its zygote ends, which is no far process's end. */
static void rest_worker(struct topic_end *end)
{
	bench_topic_watch_children(false);
	close_worker(end);
	bench_topic_watch_children(true);
}

static int ready_worker(struct topic_end *end)
{
	const struct ayre_worker_options options = {
		.size = sizeof(options),
		.flags = AYRE_WORKER_KEEP,
		.spin_ns = (int64_t)end->parameter,
		/* Nobody else on the far processor. */
		.spares = AYRE_WORKER_NONE,
	};
	int result = bench_worker_open(&options, end->far_cpu, &end->worker);

	end->worker_pid = bench_worker_bound();
	if (result == 0)
		result = topic_alternate(end, end->pause_ns ? WARM_COUNT / 10 : WARM_COUNT,
		                         worker_call, worker_nothing);
	if (result < 0)
		rest_worker(end);
	return result;
}

/* The line in the process's status says "nonvoluntary_ctxt_switches: 12"; 0 if it is not there. */
static int64_t count_switches(const struct topic_end *end)
{
	char path[64], line[128];
	int64_t count = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", end->worker_pid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "nonvoluntary_ctxt_switches: %" SCNd64, &count) == 1)
			break;
	if (status)
		fclose(status);
	return count;
}

static const struct topic_way worker = {
	.make = make_worker,
	.close = close_worker,
	.ready = ready_worker,
	.rest = rest_worker,
	.switches = count_switches,
	.near = worker_near,
};

/* --- the groups --- */

enum {
	CALL_LINE,
	CALL_PAUSED,
	CALL_PLAIN,
	CALL_BARE,
	CALL_FUTEX,
	CALL_PIPE,
	CALL_PACKETS,
	CALL_PACKETS_NEAR,
	CALL_SPINNING,
	CALL_ADAPTIVE,
	CALL_ASLEEP,
};

static const struct topic_entry entries[] = {
	[CALL_LINE] = {&bench_topic_line, 0},
	[CALL_PAUSED] = {&bench_topic_line_paused, 0},
	[CALL_PLAIN] = {&plain, 0},
	[CALL_BARE] = {&bare, 2 * MEBIBYTE},
	[CALL_FUTEX] = {&bench_topic_semaphore, 0},
	[CALL_PIPE] = {&bench_topic_pipe, 0},
	[CALL_PACKETS] = {&bench_topic_packets, 0},
	[CALL_PACKETS_NEAR] = {&bench_topic_packets_near, 0},
	[CALL_SPINNING] = {&worker, (uint64_t)AYRE_SPIN_FOREVER},
	[CALL_ADAPTIVE] = {&worker, AYRE_SPIN_ADAPT},
	[CALL_ASLEEP] = {&worker, (uint64_t)AYRE_SPIN_NONE},
};

#define ROW(name, label, side, entry) \
	{ \
		name, label, side, bench_topic_measure, entry \
	}

#define SPINNING_ROWS \
	ROW("line", "one cache line each way", BENCH_FLOOR, CALL_LINE), \
		ROW("line_paused", "the same, with pauses between the looks", BENCH_FLOOR, \
	            CALL_PAUSED), \
		ROW("plain", "the same protocol, no jail", BENCH_PEER, CALL_PLAIN), \
		ROW("bare", "no jail, and no look for a sleeper", BENCH_PEER, CALL_BARE), \
		ROW("socket", "Unix seqpacket socket", BENCH_PEER, CALL_PACKETS), \
		ROW("socket_near", "the same on one processor", BENCH_PEER, CALL_PACKETS_NEAR)

static const struct bench_row spinning_rows[] = {
	SPINNING_ROWS,
	ROW("ayre", "ayre: both spinning", BENCH_AYRE, CALL_SPINNING),
};

static const struct bench_group spinning_group = {
	.name = "call_64",
	.title = "a call of 64 bytes that come back, by a warm worker, both spinning",
	.unit = BENCH_TIME,
	.rows = spinning_rows,
	.row_count = COUNT_OF(spinning_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

static const struct bench_row adaptive_rows[] = {
	SPINNING_ROWS,
	ROW("ayre", "ayre: as it does unless told", BENCH_AYRE, CALL_ADAPTIVE),
};

static const struct bench_group adaptive_group = {
	.name = "call_64_adapt",
	.title = "the same by a worker that waits as it does unless told",
	.unit = BENCH_TIME,
	.rows = adaptive_rows,
	.row_count = COUNT_OF(adaptive_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

static const struct bench_row asleep_rows[] = {
	ROW("futex", "futex, by a shared semaphore: no bytes", BENCH_FLOOR, CALL_FUTEX),
	ROW("pipe", "pipe", BENCH_FLOOR, CALL_PIPE),
	ROW("socket", "Unix seqpacket socket", BENCH_PEER, CALL_PACKETS),
	ROW("ayre", "ayre: no spinning", BENCH_AYRE, CALL_ASLEEP),
	ROW("adaptive", "ayre: as it does unless told", BENCH_AYRE, CALL_ADAPTIVE),
};

static const struct bench_group asleep_group = {
	.name = "call_64_asleep",
	.title = "the same, both asleep in between, on one processor",
	.unit = BENCH_TIME,
	.rows = asleep_rows,
	.row_count = COUNT_OF(asleep_rows),
	.best_of_floors = true,
};

static const struct bench_group across_group = {
	.name = "call_64_asleep_across",
	.title = "the same on two processors, with 20 us of work in between",
	.unit = BENCH_TIME,
	.rows = asleep_rows,
	.row_count = COUNT_OF(asleep_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

#define PLAN(group_name, warm, ...) \
	{ \
		.group = &group_name, .entries = entries, .entry_count = COUNT_OF(entries), \
		.message_bytes = CALL_BYTES, .warm_count = warm, __VA_ARGS__ \
	}

static const struct topic_plan plans[] = {
	PLAN(spinning_group, WARM_COUNT),
	PLAN(adaptive_group, WARM_COUNT),
	PLAN(asleep_group, WARM_COUNT / 10, .same_cpu = true),
	PLAN(across_group, WARM_COUNT / 10, .pause_ns = PAUSE_NS),
};

int bench_worker_run_calls(struct bench_report *report, struct worker_bench *bench)
{
	int result = EXIT_DONE;

	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(plans); i++)
		result = bench_topic_run_plan(report, bench->machine, &plans[i], NULL,
		                              &bench->quiet);
	return result;
}
