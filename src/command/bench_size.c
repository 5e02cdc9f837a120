/*
 * ayre bench size: what a message takes, and how many bytes pass, as messages grow: the mechanisms of the system
 * side by side, and a topic beside them.
 *
 * Invariant: spinning is compared with spinning and sleeping with sleeping; all that have a ring, or slots, have as
 * many bytes of it.
 */
#include "command/bench_topic.h"

#include "command/bench_place.h"
#include "command/command.h"

#define ROW(name, label, side, entry) \
	{ \
		name, label, side, bench_topic_measure, entry \
	}

/* Sixteen messages of the largest, which are thus in the ring. */
#define RING_BYTES(bytes) ((bytes) < MEBIBYTE ? 4 * MEBIBYTE : 16 * MEBIBYTE)
#define SLOTS(bytes)      (RING_BYTES(bytes) / (bytes))

/* As many as the ring of a stream takes, and some more. */
#define WARM_STREAM(bytes) (SLOTS(bytes) + 40)
#define WARM_ROUNDS(bytes) ((bytes) > 16 * KIBIBYTE ? 40 : 2000)
#define WARM_ASLEEP(bytes) 40

enum { MEMORY, MAPPED_FILE, PIPE, SOCKET, AYRE, FLOOR, WAY_COUNT };

/* --- spinning: there and back --- */

#define LATENCY_ENTRIES(bytes) \
	[FLOOR] = {&bench_size_line, 0}, [MEMORY] = {&bench_size_memory, SLOTS(bytes)}, \
	[MAPPED_FILE] = {&bench_size_file, SLOTS(bytes)}, \
	[PIPE] = {&bench_topic_pipe_spinning, 0}, [SOCKET] = {&bench_topic_socket_spinning, 0}, \
	[AYRE] = {&bench_topic_copied, RING_BYTES(bytes)},

static const struct bench_row latency_rows[] = {
	ROW("line", "cache line and memcpy each way", BENCH_FLOOR, FLOOR),
	ROW("memory", "shared memory, bare slots", BENCH_BARE, MEMORY),
	ROW("file", "mapped file, bare slots", BENCH_BARE, MAPPED_FILE),
	ROW("pipe", "pipe", BENCH_PEER, PIPE),
	ROW("socket", "Unix stream socket", BENCH_PEER, SOCKET),
	ROW("ayre", "ayre: send, receive", BENCH_AYRE, AYRE),
};

static const struct bench_chart latency_chart = {
	"There and back, both processes spinning: time by size of message",
};

/* --- asleep: there and back --- */

#define ASLEEP_ENTRIES(bytes) \
	[FLOOR] = {&bench_topic_semaphore, 0}, \
	[MEMORY] = {&bench_size_memory_asleep, SLOTS(bytes)}, \
	[MAPPED_FILE] = {&bench_size_file_asleep, SLOTS(bytes)}, [PIPE] = {&bench_topic_pipe, 0}, \
	[SOCKET] = {&bench_topic_socket, 0}, [AYRE] = {&bench_topic_asleep, RING_BYTES(bytes)},

static const struct bench_row asleep_rows[] = {
	ROW("semaphore", "a semaphore each way, no bytes", BENCH_FLOOR, FLOOR),
	ROW("memory", "shared memory and semaphores", BENCH_BARE, MEMORY),
	ROW("file", "mapped file and semaphores", BENCH_BARE, MAPPED_FILE),
	ROW("pipe", "pipe", BENCH_PEER, PIPE),
	ROW("socket", "Unix stream socket", BENCH_PEER, SOCKET),
	ROW("ayre", "ayre: no spinning", BENCH_AYRE, AYRE),
};

static const struct bench_chart asleep_chart = {
	"There and back, each asleep until the other wakes it: time by size of message",
};

/* --- one way --- */

#define THROUGHPUT_ENTRIES(bytes) \
	[FLOOR] = {&bench_topic_memcpy, SLOTS(bytes)}, \
	[MEMORY] = {&bench_topic_ring_stream, SLOTS(bytes)}, \
	[MAPPED_FILE] = {&bench_size_file_stream, SLOTS(bytes)}, \
	[PIPE] = {&bench_topic_pipe_stream, 0}, [SOCKET] = {&bench_topic_socket_stream, 0}, \
	[AYRE] = {&bench_topic_stream_placed, RING_BYTES(bytes)},

static const struct bench_row throughput_rows[] = {
	ROW("memcpy", "memcpy, one process alone", BENCH_FLOOR, FLOOR),
	ROW("memory", "shared memory, bare ring", BENCH_BARE, MEMORY),
	ROW("file", "mapped file, bare ring", BENCH_BARE, MAPPED_FILE),
	ROW("pipe", "pipe", BENCH_PEER, PIPE),
	ROW("socket", "Unix stream socket", BENCH_PEER, SOCKET),
	ROW("ayre", "ayre: send, peek", BENCH_AYRE, AYRE),
};

static const struct bench_chart throughput_chart = {
	"One way, one by one, every byte read: bytes a second by size of message",
};

/* --- every size --- */

#define SIZES(X, kind, unit, kind_upper) \
	X(kind, unit, kind_upper, 64, 64, "64 bytes") \
	X(kind, unit, kind_upper, 256, 256, "256 bytes") \
	X(kind, unit, kind_upper, 1k, KIBIBYTE, "1 KiB") \
	X(kind, unit, kind_upper, 4k, 4 * KIBIBYTE, "4 KiB") \
	X(kind, unit, kind_upper, 16k, 16 * KIBIBYTE, "16 KiB") \
	X(kind, unit, kind_upper, 64k, 64 * KIBIBYTE, "64 KiB") \
	X(kind, unit, kind_upper, 256k, 256 * KIBIBYTE, "256 KiB") \
	X(kind, unit, kind_upper, 1m, MEBIBYTE, "1 MiB")

#define TITLE_LATENCY(size)    size " there and back, spinning"
#define TITLE_ASLEEP(size)     size " there and back, asleep in between"
#define TITLE_THROUGHPUT(size) size " one way"

#define DEFINE(kind, bench_unit_name, upper, suffix, bytes, size) \
	static const struct topic_entry kind##_##suffix##_entries[] = {upper##_ENTRIES(bytes)}; \
	static const struct bench_group kind##_##suffix##_group = { \
		.name = #kind "_" #suffix, \
		.title = TITLE_##upper(size), \
		.unit = bench_unit_name, \
		.chart = &kind##_chart, \
		.rows = kind##_rows, \
		.row_count = COUNT_OF(kind##_rows), \
		.unfit = bench_topic_unfit, \
	};

SIZES(DEFINE, latency, BENCH_TIME, LATENCY)
SIZES(DEFINE, asleep, BENCH_TIME, ASLEEP)
SIZES(DEFINE, throughput, BENCH_BANDWIDTH, THROUGHPUT)

#define WARM_LATENCY    WARM_ROUNDS
#define WARM_THROUGHPUT WARM_STREAM

#define PLAN(kind, bench_unit_name, upper, suffix, bytes, size) \
	{ \
		.group = &kind##_##suffix##_group, \
		.entries = kind##_##suffix##_entries, \
		.entry_count = WAY_COUNT, \
		.message_bytes = bytes, \
		.warm_count = WARM_##upper(bytes), \
	},

static const struct topic_plan plans[] = {SIZES(PLAN, latency, BENCH_TIME, LATENCY) SIZES(
	PLAN, asleep, BENCH_TIME, ASLEEP) SIZES(PLAN, throughput, BENCH_BANDWIDTH, THROUGHPUT)};

int bench_size_run(struct bench_report *report, const struct bench_machine *machine)
{
	struct topic_quiet quiet = {0};
	struct bench_place place;
	int result = bench_place_open(bench_place_for_topics(), &place);

	if (result != EXIT_DONE)
		return result;
	bench_topic_settle(report);
	for (size_t i = 0; result == EXIT_DONE && i < COUNT_OF(plans); i++)
		result = bench_topic_run_plan(report, machine, &plans[i], place.directory, &quiet);
	bench_topic_tell_circumstances(report, machine, &quiet);
	bench_place_close(&place);
	return result;
}
