/*
 * The groups between two processes of `ayre bench topic`: who is measured beside whom.
 */
#include "command/bench_topic.h"

#include "command/command.h"

#define ROW(name, label, side, entry) \
	{ \
		name, label, side, bench_topic_measure, entry \
	}

/* --- spinning: there and back --- */

enum { ROUND_LINE, ROUND_BARE, ROUND_RING, ROUND_COPIED, ROUND_PLACED };

static const struct topic_entry round_entries[] = {
	[ROUND_LINE] = {&bench_topic_line, 0},          [ROUND_BARE] = {&bench_topic_in_band, 1024},
	[ROUND_RING] = {&bench_topic_ring_round, 1024}, [ROUND_COPIED] = {&bench_topic_copied, 0},
	[ROUND_PLACED] = {&bench_topic_placed, 0},
};

static const struct bench_row round_rows[] = {
	ROW("line", "one cache line each way", BENCH_FLOOR, ROUND_LINE),
	ROW("in_band", "bare ring, headers in band", BENCH_PEER, ROUND_BARE),
	ROW("ring", "minimal ring with an index", BENCH_PEER, ROUND_RING),
	ROW("copied", "ayre: send, receive", BENCH_AYRE, ROUND_COPIED),
	ROW("in_place", "ayre: reserve, commit; peek, release", BENCH_AYRE, ROUND_PLACED),
};

static const struct bench_row tail_rows[] = {
	ROW("line", "one cache line each way: median", BENCH_FLOOR,
            TOPIC_QUANTILE(ROUND_LINE, 500)),
	ROW("line_999", "one cache line each way: 99.9 %", BENCH_FLOOR,
            TOPIC_QUANTILE(ROUND_LINE, 999)),
	ROW("ring_999", "minimal ring with an index: 99.9 %", BENCH_FLOOR,
            TOPIC_QUANTILE(ROUND_RING, 999)),
	ROW("copied", "ayre: send, receive: median", BENCH_AYRE, TOPIC_QUANTILE(ROUND_COPIED, 500)),
	ROW("copied_999", "ayre: send, receive: 99.9 %", BENCH_AYRE,
            TOPIC_QUANTILE(ROUND_COPIED, 999)),
};

static const struct bench_group round_48_group = {
	.name = "round_trip_48",
	.title = "48 bytes there and back, both processes spinning",
	.unit = BENCH_TIME,
	.rows = round_rows,
	.row_count = COUNT_OF(round_rows),
	.unfit = bench_topic_unfit,
};

static const struct bench_group round_256_group = {
	.name = "round_trip_256",
	.title = "256 bytes there and back, both processes spinning",
	.unit = BENCH_TIME,
	.rows = round_rows,
	.row_count = COUNT_OF(round_rows),
	.unfit = bench_topic_unfit,
};

static const struct bench_group tail_group = {
	.name = "round_trip_48_tail",
	.title = "48 bytes there and back, each trip timed: the slowest of a thousand",
	.unit = BENCH_TIME,
	.rows = tail_rows,
	.row_count = COUNT_OF(tail_rows),
	.best_of_floors = true, /* the median */
	.most_operations = 1,
	.unfit = bench_topic_unfit,
};

/* --- asleep: there and back --- */

/* On two processors; longer than it takes to go to sleep, shorter than anybody would spin. */
#define PAUSE_NS 20000

enum {
	ASLEEP_SEMAPHORE,
	ASLEEP_EVENTFD,
	ASLEEP_PIPE,
	ASLEEP_SOCKET,
	ASLEEP_QUEUE,
	ASLEEP_AYRE,
	ASLEEP_IN_TIME,
	ASLEEP_ADAPTIVE
};

static const struct topic_entry asleep_entries[] = {
	[ASLEEP_SEMAPHORE] = {&bench_topic_semaphore, 0},
	[ASLEEP_EVENTFD] = {&bench_topic_eventfd, 0},
	[ASLEEP_PIPE] = {&bench_topic_pipe, 0},
	[ASLEEP_SOCKET] = {&bench_topic_socket, 0},
	[ASLEEP_QUEUE] = {&bench_topic_queue, 0},
	[ASLEEP_AYRE] = {&bench_topic_asleep, 0},
	[ASLEEP_IN_TIME] = {&bench_topic_asleep_in_time, 0},
	[ASLEEP_ADAPTIVE] = {&bench_topic_adaptive, 0},
};

static const struct bench_row asleep_rows[] = {
	ROW("futex", "futex, by a shared semaphore: no bytes", BENCH_FLOOR, ASLEEP_SEMAPHORE),
	ROW("eventfd", "eventfd: no bytes", BENCH_FLOOR, ASLEEP_EVENTFD),
	ROW("pipe", "pipe", BENCH_FLOOR, ASLEEP_PIPE),
	ROW("socket", "Unix stream socket", BENCH_PEER, ASLEEP_SOCKET),
	ROW("queue", "POSIX message queue", BENCH_PEER, ASLEEP_QUEUE),
	ROW("ayre", "ayre: no spinning", BENCH_AYRE, ASLEEP_AYRE),
	ROW("deadline", "ayre: no spinning, with a deadline", BENCH_AYRE, ASLEEP_IN_TIME),
	ROW("adaptive", "ayre: as it does unless told", BENCH_AYRE, ASLEEP_ADAPTIVE),
};

static const struct bench_group asleep_same_group = {
	.name = "asleep_same_processor",
	.title = "48 bytes there and back, both asleep in between, on one processor",
	.unit = BENCH_TIME,
	.rows = asleep_rows,
	.row_count = COUNT_OF(asleep_rows),
	.best_of_floors = true,
};

static const struct bench_group asleep_across_group = {
	.name = "asleep_across",
	.title = "48 bytes there and back, both asleep in between, on two processors",
	.unit = BENCH_TIME,
	.rows = asleep_rows,
	.row_count = COUNT_OF(asleep_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

/* --- a stream --- */

enum {
	SMALL_256,
	SMALL_1K,
	SMALL_4K,
	SMALL_16K,
	SMALL_PIPE,
	SMALL_SOCKET,
	SMALL_PACKETS,
	SMALL_QUEUE,
	SMALL_COPIED,
	SMALL_PLACED,
	SMALL_SHORT,
	SMALL_TINY,
	SMALL_SPINNING
};

static const struct topic_entry small_entries[] = {
	[SMALL_256] = {&bench_topic_ring_stream, 256},
	[SMALL_1K] = {&bench_topic_ring_stream, 1024},
	[SMALL_4K] = {&bench_topic_ring_stream, 4096},
	[SMALL_16K] = {&bench_topic_ring_stream, 16384},
	[SMALL_PIPE] = {&bench_topic_pipe_stream, 0},
	[SMALL_SOCKET] = {&bench_topic_socket_stream, 0},
	[SMALL_PACKETS] = {&bench_topic_packets_stream, 0},
	[SMALL_QUEUE] = {&bench_topic_queue_stream, 0},
	[SMALL_COPIED] = {&bench_topic_stream_copied, 0},
	[SMALL_PLACED] = {&bench_topic_stream_placed, 0},
	[SMALL_SHORT] = {&bench_topic_stream_copied, 128 * KIBIBYTE},
	[SMALL_TINY] = {&bench_topic_stream_copied, 16 * KIBIBYTE},
	[SMALL_SPINNING] = {&bench_topic_stream_spinning, 0},
};

static const struct bench_row small_rows[] = {
	ROW("ring_16k", "minimal ring, 16384 slots", BENCH_FLOOR, SMALL_16K),
	ROW("ring_4k", "minimal ring, 4096 slots", BENCH_FLOOR, SMALL_4K),
	ROW("ring_1k", "minimal ring, 1024 slots", BENCH_FLOOR, SMALL_1K),
	ROW("ring_256", "minimal ring, 256 slots", BENCH_FLOOR, SMALL_256),
	ROW("pipe", "pipe", BENCH_PEER, SMALL_PIPE),
	ROW("socket", "Unix stream socket", BENCH_PEER, SMALL_SOCKET),
	ROW("seqpacket", "Unix seqpacket socket", BENCH_PEER, SMALL_PACKETS),
	ROW("queue", "POSIX message queue", BENCH_PEER, SMALL_QUEUE),
	ROW("copied", "ayre: send, receive, ring of 1 MiB", BENCH_AYRE, SMALL_COPIED),
	ROW("copied_128k", "ayre: send, receive, ring of 128 KiB", BENCH_AYRE, SMALL_SHORT),
	ROW("copied_16k", "ayre: send, receive, ring of 16 KiB", BENCH_AYRE, SMALL_TINY),
	ROW("in_place", "ayre: send, peek in place, 1 MiB", BENCH_AYRE, SMALL_PLACED),
	ROW("spinning", "ayre: each at once (spinning), 1 MiB", BENCH_AYRE, SMALL_SPINNING),
};

static const struct bench_group stream_48_group = {
	.name = "stream_48",
	.title = "48 bytes, one way, one by one",
	.unit = BENCH_RATE,
	.rows = small_rows,
	.row_count = COUNT_OF(small_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

/* Many at a time on both sides, and one word to say so. */
enum { BATCH_16K, BATCH_4K, BATCH_1K, BATCH_AYRE, BATCH_SHORT };

static const struct topic_entry batch_entries[] = {
	[BATCH_16K] = {&bench_topic_ring_batch, 16384},
	[BATCH_4K] = {&bench_topic_ring_batch, 4096},
	[BATCH_1K] = {&bench_topic_ring_batch, 1024},
	[BATCH_AYRE] = {&bench_topic_stream_batch, 0},
	[BATCH_SHORT] = {&bench_topic_stream_batch, 128 * KIBIBYTE},
};

static const struct bench_row batch_rows[] = {
	ROW("ring_16k", "minimal ring, 16384 slots", BENCH_FLOOR, BATCH_16K),
	ROW("ring_4k", "minimal ring, 4096 slots", BENCH_FLOOR, BATCH_4K),
	ROW("ring_1k", "minimal ring, 1024 slots", BENCH_FLOOR, BATCH_1K),
	ROW("ayre", "ayre: batches, ring of 1 MiB", BENCH_AYRE, BATCH_AYRE),
	ROW("ayre_128k", "ayre: batches, ring of 128 KiB", BENCH_AYRE, BATCH_SHORT),
};

static const struct bench_group stream_48_batch_group = {
	.name = "stream_48_batch",
	.title = "48 bytes, one way, up to 32 at a time on both sides",
	.unit = BENCH_RATE,
	.rows = batch_rows,
	.row_count = COUNT_OF(batch_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

/* Of larger messages: three depths of the floor, the kernel's, and ours with two rings. */
enum {
	LARGE_FLAT,
	LARGE_MIDDLE,
	LARGE_DEEP,
	LARGE_PIPE,
	LARGE_SOCKET,
	LARGE_PACKETS,
	LARGE_QUEUE,
	LARGE_DEFAULT,
	LARGE_OTHER,
	LARGE_THIRD,
	LARGE_COUNT
};

#define LARGE_ENTRIES(flat, middle, deep, ring, third) \
	[LARGE_FLAT] = {&bench_topic_ring_stream, flat}, \
	[LARGE_MIDDLE] = {&bench_topic_ring_stream, middle}, \
	[LARGE_DEEP] = {&bench_topic_ring_stream, deep}, \
	[LARGE_PIPE] = {&bench_topic_pipe_stream, 0}, \
	[LARGE_SOCKET] = {&bench_topic_socket_stream, 0}, \
	[LARGE_PACKETS] = {&bench_topic_packets_stream, 0}, \
	[LARGE_QUEUE] = {&bench_topic_queue_stream, 0}, \
	[LARGE_DEFAULT] = {&bench_topic_stream_placed, 0}, \
	[LARGE_OTHER] = {&bench_topic_stream_placed, ring}, \
	[LARGE_THIRD] = {&bench_topic_stream_placed, third},

#define LARGE_ROWS(flat, middle, deep, ring, third) \
	ROW("ring_deep", "minimal ring, " deep " slots", BENCH_FLOOR, LARGE_DEEP), \
		ROW("ring_middle", "minimal ring, " middle " slots", BENCH_FLOOR, LARGE_MIDDLE), \
		ROW("ring_flat", "minimal ring, " flat " slots", BENCH_FLOOR, LARGE_FLAT), \
		ROW("pipe", "pipe", BENCH_PEER, LARGE_PIPE), \
		ROW("socket", "Unix stream socket", BENCH_PEER, LARGE_SOCKET), \
		ROW("seqpacket", "Unix seqpacket socket", BENCH_PEER, LARGE_PACKETS), \
		ROW("queue", "POSIX message queue", BENCH_PEER, LARGE_QUEUE), \
		ROW("ayre", "ayre: send, peek, ring of 1 MiB", BENCH_AYRE, LARGE_DEFAULT), \
		ROW("ayre_second", "ayre: send, peek, ring of " ring, BENCH_AYRE, LARGE_OTHER), \
		ROW("ayre_third", "ayre: send, peek, ring of " third, BENCH_AYRE, LARGE_THIRD),

static const struct topic_entry medium_entries[] = {
	LARGE_ENTRIES(64, 1024, 4096, 256 * KIBIBYTE, 4 * MEBIBYTE)};
static const struct bench_row medium_rows[] = {
	LARGE_ROWS("64", "1024", "4096", "256 KiB", "4 MiB")};

static const struct bench_group stream_1k_group = {
	.name = "stream_1k",
	.title = "1 KiB, one way: copied in, read in place",
	.unit = BENCH_BANDWIDTH,
	.rows = medium_rows,
	.row_count = COUNT_OF(medium_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

static const struct topic_entry large_entries[] = {
	LARGE_ENTRIES(4, 16, 64, 4 * MEBIBYTE, 16 * MEBIBYTE)};
static const struct bench_row large_rows[] = {LARGE_ROWS("4", "16", "64", "4 MiB", "16 MiB")};

static const struct bench_group stream_64k_group = {
	.name = "stream_64k",
	.title = "64 KiB, one way: copied in, read in place",
	.unit = BENCH_BANDWIDTH,
	.rows = large_rows,
	.row_count = COUNT_OF(large_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

static const struct topic_entry huge_entries[] = {
	LARGE_ENTRIES(2, 4, 16, 8 * MEBIBYTE, 16 * MEBIBYTE)[LARGE_COUNT] = {&bench_topic_memcpy,
                                                                             16},
};
static const struct bench_row huge_rows[] = {LARGE_ROWS("2", "4", "16", "8 MiB", "16 MiB")};

static const struct bench_group stream_1m_group = {
	.name = "stream_1m",
	.title = "1 MiB, one way: copied in, read in place (beside the ring of 1 MiB)",
	.unit = BENCH_BANDWIDTH,
	.rows = huge_rows,
	.row_count = COUNT_OF(huge_rows),
	.best_of_floors = true,
	.unfit = bench_topic_unfit,
};

static const struct bench_row memcpy_rows[] = {
	ROW("memcpy", "memcpy, one process alone", BENCH_FLOOR, LARGE_COUNT),
	ROW("ayre", "ayre: send, peek, ring of 16 MiB", BENCH_AYRE, LARGE_THIRD),
	ROW("ayre_beside", "ayre: send, peek, beside the ring", BENCH_AYRE, LARGE_DEFAULT),
};

static const struct bench_group memcpy_1m_group = {
	.name = "memcpy_1m",
	.title = "1 MiB, one way, beside memcpy of as much",
	.unit = BENCH_BANDWIDTH,
	.rows = memcpy_rows,
	.row_count = COUNT_OF(memcpy_rows),
	.unfit = bench_topic_unfit,
};

/* --- all of them, in their order --- */

#define PLAN(group_name, array, bytes, warm, ...) \
	{ \
		.group = &group_name, .entries = array, .entry_count = COUNT_OF(array), \
		.message_bytes = bytes, .warm_count = warm, __VA_ARGS__ \
	}

const struct topic_plan bench_topic_plans[] = {
	PLAN(round_48_group, round_entries, 48, 20000),
	PLAN(round_256_group, round_entries, 256, 20000),
	PLAN(tail_group, round_entries, 48, 20000),
	PLAN(stream_48_group, small_entries, 48, 40000),
	PLAN(stream_48_batch_group, batch_entries, 48, 40000),
	PLAN(stream_1k_group, medium_entries, KIBIBYTE, 20000),
	PLAN(stream_64k_group, large_entries, 64 * KIBIBYTE, 200),
	PLAN(stream_1m_group, huge_entries, MEBIBYTE, 40),
	PLAN(memcpy_1m_group, huge_entries, MEBIBYTE, 40),
	PLAN(asleep_same_group, asleep_entries, 48, 200, .same_cpu = true),
	PLAN(asleep_across_group, asleep_entries, 48, 200, .pause_ns = PAUSE_NS),
};

const size_t bench_topic_plan_count = COUNT_OF(bench_topic_plans);
