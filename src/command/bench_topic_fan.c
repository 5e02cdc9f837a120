/*
 * One publisher and many subscribers. The publisher is the near process; the others share the other
 * processor, and give it up when they have nothing to read, in all rows alike.
 *
 * Invariant: a sample ends when every subscriber has read, and checked, every message.
 */
#include "command/bench_topic.h"

#include <sched.h>
#include <stdio.h>

#include "command/command.h"

/* A line and its neighbour, which the processor fetches with it. */
#define LINE_WORDS 16

/* How far each of them is; behind the rings, for each row its own. */
static uint64_t *reader_index(const struct topic_end *end, unsigned int number)
{
	uint64_t *words = (uint64_t *)(void *)(end->ring + TOPIC_RING_BYTES / 2);

	return words + (end->row * TOPIC_FAR_MAX + number) * LINE_WORDS;
}

/* One alone on its processor spins. */
static inline void let_others(const struct topic_end *end)
{
	if (end->far_count > 1)
		sched_yield();
}

static int find_slowest(const struct topic_end *end, uint64_t least, uint64_t *ret_slowest)
{
	while (!bench_topic_has_ended) {
		uint64_t slowest = UINT64_MAX;

		for (unsigned int i = 0; i < end->far_count; i++) {
			uint64_t index = __atomic_load_n(reader_index(end, i), __ATOMIC_ACQUIRE);

			slowest = index < slowest ? index : slowest;
		}
		*ret_slowest = slowest;
		if (slowest >= least)
			return 0;
	}
	return -EOWNERDEAD;
}

/* --- a ring with an index for each reader, and nothing else --- */

static inline char *slot_of(const struct topic_end *end, uint64_t index)
{
	return end->ring + (index & (end->parameter - 1)) * ((end->message_bytes + 63) & ~63ull);
}

static int broadcast_near(struct topic_end *end, uint64_t count)
{
	uint64_t slowest;
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		if (end->sent - end->peer_seen >= end->parameter)
			result = find_slowest(end, end->sent - end->parameter + 1, &end->peer_seen);
		topic_write(end, slot_of(end, end->sent));
		__atomic_store_n(&end->lines->there, end->sent, __ATOMIC_RELEASE);
	}
	return result < 0 ? result : find_slowest(end, end->sent, &slowest);
}

static int broadcast_far(struct topic_end *end, uint64_t count)
{
	uint64_t *index = reader_index(end, end->number), written = 0;
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		while (end->received >= written) {
			written = __atomic_load_n(&end->lines->there, __ATOMIC_ACQUIRE);
			if (end->received >= written)
				let_others(end);
		}
		result = topic_check(end, slot_of(end, end->received));
		__atomic_store_n(index, end->received, __ATOMIC_RELEASE);
	}
	return result;
}

const struct topic_way bench_topic_broadcast = {.near = broadcast_near, .far = broadcast_far};

/* --- ours --- */

static void topic_path(const struct topic_end *end, char path[256])
{
	snprintf(path, 256, "%s/row%zu", end->directory, end->row);
}

static int publish(struct topic_end *end, int64_t spin_ns, unsigned int subscribers,
                   uint64_t ring_bytes)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .ring_bytes = ring_bytes};
	struct ayre_publisher_options options = {
		.size = sizeof(options),
		.spin_ns = spin_ns,
		.topic = &topic,
	};
	char path[256];
	int result;

	topic_path(end, path);
	result = ayre_publisher_open(&options, path, &end->publisher, NULL);
	if (result == 0)
		result = ayre_publisher_wait_subscribers(end->publisher, subscribers,
		                                         bench_topic_now_ns() + TOPIC_DEADLINE_NS);
	return result < 0 ? result : 0;
}

static int subscribe(const struct topic_end *end, int64_t spin_ns, uint32_t flags,
                     uint64_t ring_bytes, struct ayre_subscriber **ret_subscriber)
{
	struct ayre_topic_options topic = {.size = sizeof(topic), .ring_bytes = ring_bytes};
	struct ayre_subscriber_options options = {
		.size = sizeof(options),
		.topic = &topic,
		.spin_ns = spin_ns,
		.flags = flags,
	};
	char path[256];

	topic_path(end, path);
	return ayre_subscriber_open(&options, path, ret_subscriber, NULL);
}

static int open_spinning(struct topic_end *end)
{
	return end->is_near
	               ? publish(end, AYRE_SPIN_FOREVER, end->far_count, end->parameter)
	               : subscribe(end, AYRE_SPIN_FOREVER, 0, end->parameter, &end->subscriber);
}

static int open_adaptive(struct topic_end *end)
{
	return end->is_near ? publish(end, AYRE_SPIN_ADAPT, end->far_count, end->parameter)
	                    : subscribe(end, AYRE_SPIN_ADAPT, 0, end->parameter, &end->subscriber);
}

static void close_all(struct topic_end *end)
{
	ayre_publisher_close(end->publisher);
	ayre_subscriber_close(end->subscriber);
	for (size_t i = 0; i < COUNT_OF(end->idle); i++)
		ayre_subscriber_close(end->idle[i]);
}

static int send_all(struct topic_end *end, uint64_t count)
{
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		end->message[0] = end->sent++;
		result = ayre_publisher_send(end->publisher, end->message, end->message_bytes);
	}
	return result;
}

static int fan_near(struct topic_end *end, uint64_t count)
{
	int result = send_all(end, count);
	uint64_t slowest;

	return result < 0 ? result : find_slowest(end, end->sent, &slowest);
}

TOPIC_INLINE int check_peeked(struct topic_end *end, const struct ayre_message *message)
{
	int result =
		message->bytes == end->message_bytes ? topic_check(end, message->data) : -EBADMSG;
	int released = ayre_subscriber_release(end->subscriber);

	return result < 0 ? result : released;
}

static int fan_far(struct topic_end *end, uint64_t count)
{
	struct ayre_message message;
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		while ((result = ayre_subscriber_try_peek(end->subscriber, &message)) == -EAGAIN)
			let_others(end);
		if (result == 0)
			result = check_peeked(end, &message);
	}
	__atomic_store_n(reader_index(end, end->number), end->received, __ATOMIC_RELEASE);
	return result;
}

static int fan_asleep_far(struct topic_end *end, uint64_t count)
{
	struct ayre_message message;
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < count; i++) {
		result = ayre_subscriber_peek(end->subscriber, &message);
		if (result == 0)
			result = check_peeked(end, &message);
	}
	__atomic_store_n(reader_index(end, end->number), end->received, __ATOMIC_RELEASE);
	return result;
}

const struct topic_way bench_topic_fan = {
	.open = open_spinning,
	.close = close_all,
	.near = fan_near,
	.far = fan_far,
};

const struct topic_way bench_topic_fan_asleep = {
	.open = open_adaptive,
	.close = close_all,
	.near = fan_near,
	.far = fan_asleep_far,
};

/* --- readers that do not run --- */

static int open_idle(struct topic_end *end)
{
	int result = 0;

	if (end->is_near)
		return publish(end, AYRE_SPIN_FOREVER, (unsigned int)end->parameter, 0);
	for (uint64_t i = 0; result == 0 && i < end->parameter; i++)
		result = subscribe(end, AYRE_SPIN_NONE, AYRE_SUBSCRIBER_LOSSY, 0, &end->idle[i]);
	return result;
}

static int do_nothing(struct topic_end *end, uint64_t count)
{
	(void)end;
	(void)count;
	return 0;
}

const struct topic_way bench_topic_idle = {
	.open = open_idle,
	.close = close_all,
	.near = send_all,
	.far = do_nothing,
};

/* --- the groups --- */

static const struct topic_entry idle_entries[] = {
	{&bench_topic_idle, 0},
	{&bench_topic_idle, 1},
	{&bench_topic_idle, 4},
	{&bench_topic_idle, 16},
};

static const struct bench_row idle_rows[] = {
	{"one", "ayre: to one", BENCH_FLOOR, bench_topic_measure, 1},
	{"none", "ayre: to nobody", BENCH_AYRE, bench_topic_measure, 0},
	{"four", "ayre: to four", BENCH_AYRE, bench_topic_measure, 2},
	{"sixteen", "ayre: to sixteen", BENCH_AYRE, bench_topic_measure, 3},
};

static const struct topic_entry fan_entries[] = {
	{&bench_topic_broadcast, 256},  {&bench_topic_broadcast, 1024},
	{&bench_topic_broadcast, 4096}, {&bench_topic_fan, 0},
	{&bench_topic_fan_asleep, 0},   {&bench_topic_fan, 4 * MEBIBYTE},
};

static const struct bench_row fan_rows[] = {
	{"ring_1k", "minimal broadcast ring, 1024 slots", BENCH_FLOOR, bench_topic_measure, 1},
	{"ring_256", "minimal broadcast ring, 256 slots", BENCH_FLOOR, bench_topic_measure, 0},
	{"ring_4k", "minimal broadcast ring, 4096 slots", BENCH_FLOOR, bench_topic_measure, 2},
	{"ayre", "ayre: send, peek, ring of 1 MiB", BENCH_AYRE, bench_topic_measure, 3},
	{"ayre_4m", "ayre: send, peek, ring of 4 MiB", BENCH_AYRE, bench_topic_measure, 5},
	{"adaptive", "ayre: as it does unless told", BENCH_AYRE, bench_topic_measure, 4},
};

#define IDLE_GROUP(bytes, text) \
	{ \
		.name = "publish_idle_" bytes, \
		.title = text " to lossy readers that do not run: a publisher's cost", \
		.unit = BENCH_TIME, .rows = idle_rows, .row_count = COUNT_OF(idle_rows), \
		.unfit = bench_topic_unfit, \
	}

#define FAN_GROUP(count, text) \
	{ \
		.name = "fan_1k_" count, .title = "1 KiB to " text ": until all have it", \
		.unit = BENCH_RATE, .rows = fan_rows, .row_count = COUNT_OF(fan_rows), \
		.best_of_floors = true, .unfit = bench_topic_unfit, \
	}

static const struct bench_group idle_48_group = IDLE_GROUP("48", "48 bytes");
static const struct bench_group idle_1k_group = IDLE_GROUP("1k", "1 KiB");
static const struct bench_group fan_1_group = FAN_GROUP("1", "one reliable subscriber");
static const struct bench_group fan_4_group = FAN_GROUP("4", "four reliable subscribers");
static const struct bench_group fan_16_group = FAN_GROUP("16", "sixteen reliable subscribers");

#define PLAN(group_name, array, bytes, count) \
	{ \
		.group = &group_name, .entries = array, .entry_count = COUNT_OF(array), \
		.message_bytes = bytes, .warm_count = 20000, .far_count = count, \
	}

const struct topic_plan bench_topic_fan_plans[] = {
	PLAN(idle_48_group, idle_entries, 48, 1),
	PLAN(idle_1k_group, idle_entries, KIBIBYTE, 1),
	PLAN(fan_1_group, fan_entries, KIBIBYTE, 1),
	PLAN(fan_4_group, fan_entries, KIBIBYTE, 4),
	PLAN(fan_16_group, fan_entries, KIBIBYTE, 16),
};

const size_t bench_topic_fan_plan_count = COUNT_OF(bench_topic_fan_plans);
