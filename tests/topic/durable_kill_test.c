/*
 * The publisher of a topic on a disk killed after every single instruction of sending, of making safe, of
 * going on in another extent, of giving up old ones, of opening and of closing.
 *
 * After each death: what it had committed is there, in order, whole and once, and the next publisher goes on with
 * it. If the ring is gone as well, what it had been told was safe is there.
 */
#include "topic/durable_world.h"
#include "topic/kill_world.h"

#include <ayre/topic_log.h>

#include "topic/publisher.h"

/* Shared with the victim, besides the stage: so many messages are safe for certain. */
static volatile uint64_t *acked;

/* The victim's. */
static struct ayre_publisher *publisher;
static const struct ayre_topic_options *options;

/* Ours. */
static bool loses_ring;

/* --- in the victim --- */

/* Of what was being sent it has all or nothing, and of what had been sent all. */
static void open_it(void)
{
	uint64_t messages;

	publisher = publish(PUBLISHER(.topic = options, .spin_ns = AYRE_SPIN_NONE), disk_topic());
	messages = info_of_publisher(publisher).messages;
	require(messages >= stage->sent && messages <= stage->sent + stage->flying);
	stage->sent = messages;
	stage->flying = 0;
	stage->through = true;
}

static void prepare_few(void)
{
	open_it();
	stage->through = false;
	require(stage->lane == 0 || stage->lane == info_of_publisher(publisher).id);
	stage->lane = info_of_publisher(publisher).id;
	for (int i = 0; i < 3; i++) {
		send_numbers(publisher, 1);
		stage->sent++;
		if (options->sync == AYRE_TOPIC_SYNC_EACH)
			*acked = stage->sent;
	}
	stage->flying = 1;
}

/* The next record that is carried is the first of another extent. */
static void prepare_full(void)
{
	const struct ayrei_journal *journal;

	prepare_few();
	journal = &publisher->journal;
	while (publisher->lane.position + 8 + 8 + 400 < journal->begin + DISK_EXTENT) {
		send_numbers(publisher, 1);
		stage->sent++;
	}
	require(ayre_publisher_sync(publisher) == 0);
	*acked = stage->sent;
	require(publisher->lane.position > journal->begin);
}

static void prepare_safe(void)
{
	prepare_few();
	require(ayre_publisher_sync(publisher) == 0);
	*acked = stage->sent;
	send_numbers(publisher, 2);
	stage->sent += 2;
}

static void send_it(void)
{
	send_numbers(publisher, 1);
	stage->sent++;
	if (options->sync == AYRE_TOPIC_SYNC_EACH)
		*acked = stage->sent;
	stage->through = true;
}

static void sync_it(void)
{
	require(ayre_publisher_sync(publisher) == 0);
	*acked = stage->sent;
	stage->through = true;
}

static void send_and_sync(void)
{
	for (int i = 0; i < 4; i++)
		send_it();
	sync_it();
}

static void send_three(void)
{
	for (int i = 0; i < 3; i++)
		send_it();
	sync_it();
}

static void close_it(void)
{
	stage->flying = 0;
	ayre_publisher_close(publisher);
	*acked = stage->sent;
	stage->through = true;
}

/* --- in the tracer --- */

/* What one who comes now finds from some way back on; it begins with the first that is asked for. */
static uint64_t count_messages(void)
{
	uint64_t from = stage->sent > 30 ? stage->sent - 30 : 0, next = from;
	struct ayre_subscriber *subscriber =
		subscribe_on_disk(AYRE_FROM_SEQUENCE, (int64_t)from, 0);
	int result = receive_numbers(subscriber, &next, 0);

	holds(result == -EAGAIN);
	holds(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	return next;
}

static bool is_consistent(uint64_t next)
{
	return next >= stage->sent && next <= stage->sent + stage->flying;
}

static void look(void)
{
	holds(is_consistent(count_messages()));
}

static void judge(void)
{
	uint64_t count = count_messages();

	holds(is_consistent(count) && count >= *acked);
	if (!loses_ring)
		return;
	reboot();
	count = count_messages();
	holds(count >= *acked && count <= stage->sent + stage->flying);
	stage->sent = count;
}

/* It is over; so that there are never too many files. */
static void begin_anew(void)
{
	if (stage->lane == 0 || list_extents(stage->lane).count < 60)
		return;
	remove_disk_topic();
	stage->sent = stage->flying = stage->lane = *acked = 0;
	open_it();
	disk_half();
	ayre_publisher_close(publisher);
}

static int with(const struct operation *operation, uint32_t sync, uint64_t retain_bytes, bool rings)
{
	static struct ayre_topic_options what;
	int result;

	if (is_in_memory(test_directory()))
		return skipped("TMPDIR is in memory");
	what = *TOPIC(.ring_bytes = DISK_RING, .extent_bytes = DISK_EXTENT, .sync = sync,
	              .retain_bytes = retain_bytes);
	options = &what;
	loses_ring = !rings;
	open_stage();
	acked = share_memory(sizeof(*acked));
	open_it();
	disk_half();
	ayre_publisher_close(publisher);
	result = kill_everywhere(operation);
	/* One that lives to its end. */
	prepare_few();
	require(stage->sent == info_of_publisher(publisher).messages);
	ayre_publisher_close(publisher);
	if (retain_bytes == 0)
		has_numbers(0, stage->sent);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	unshare_memory((void *)(uintptr_t)acked, sizeof(*acked));
	close_stage();
	return result;
}

static const struct operation sending_large;

static int with_large(bool rings)
{
	large_numbers = true;
	return with(&sending_large, AYRE_TOPIC_SYNC_GROUP, 0, rings);
}

#define OPERATION(name, title_of, most_of, prepare_of, run_of) \
	static const struct operation name = {.title = title_of, \
	                                      .most = most_of, \
	                                      .begin = begin_anew, \
	                                      .prepare = prepare_of, \
	                                      .run = run_of, \
	                                      .look = look, \
	                                      .judge = judge}

OPERATION(sending, "send", 100, prepare_few, send_it);
OPERATION(sending_each, "send, safe", 12, prepare_few, send_it);
OPERATION(syncing, "make safe", 30, prepare_safe, sync_it);
OPERATION(rolling, "go on in another extent", 8, prepare_full, send_and_sync);
OPERATION(shedding, "give up old extents", 6, prepare_full, send_and_sync);
OPERATION(sending_large, "send beside the ring, safe", 4, prepare_few, send_three);
OPERATION(closing, "close", 12, prepare_safe, close_it);
OPERATION(opening, "open, a ring is there", 5, NULL, open_it);
OPERATION(recovering, "open, no ring is there", 5, NULL, open_it);

KILL_TEST(dying_send, with(&sending, AYRE_TOPIC_SYNC_GROUP, 0, true))
KILL_TEST(dying_send_ringless, with(&sending, AYRE_TOPIC_SYNC_GROUP, 0, false))
KILL_TEST(dying_send_each, with(&sending_each, AYRE_TOPIC_SYNC_EACH, 0, true))
KILL_TEST(dying_send_each_ringless, with(&sending_each, AYRE_TOPIC_SYNC_EACH, 0, false))
KILL_TEST(dying_sync, with(&syncing, AYRE_TOPIC_SYNC_GROUP, 0, true))
KILL_TEST(dying_sync_ringless, with(&syncing, AYRE_TOPIC_SYNC_GROUP, 0, false))
KILL_TEST(dying_roll, with(&rolling, AYRE_TOPIC_SYNC_GROUP, 0, true))
KILL_TEST(dying_roll_ringless, with(&rolling, AYRE_TOPIC_SYNC_GROUP, 0, false))
KILL_TEST(dying_roll_unsafe, with(&rolling, AYRE_TOPIC_SYNC_NONE, 0, true))
KILL_TEST(dying_shed, with(&shedding, AYRE_TOPIC_SYNC_GROUP, 1, true))
KILL_TEST(dying_shed_ringless, with(&shedding, AYRE_TOPIC_SYNC_GROUP, 1, false))
KILL_TEST(dying_large, with_large(true))
KILL_TEST(dying_large_ringless, with_large(false))
KILL_TEST(dying_close, with(&closing, AYRE_TOPIC_SYNC_GROUP, 0, true))
KILL_TEST(dying_close_ringless, with(&closing, AYRE_TOPIC_SYNC_GROUP, 0, false))
KILL_TEST(dying_open, with(&opening, AYRE_TOPIC_SYNC_GROUP, 0, true))
KILL_TEST(dying_open_ringless, with(&recovering, AYRE_TOPIC_SYNC_GROUP, 0, false))

/* --- a subscriber, out of the log --- */

static struct ayre_subscriber *reader;

static void prepare_reader(void)
{
	static char buffer[1024];

	reader = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	/* It stands shortly before the second extent. */
	for (uint64_t i = 0; i < stage->flying; i++)
		require(ayre_subscriber_receive(reader, buffer, sizeof(buffer), NULL) >= 0);
}

static void receive_some(void)
{
	static char buffer[1024];

	for (int i = 0; i < 6; i++)
		require(ayre_subscriber_receive(reader, buffer, sizeof(buffer), NULL) >= 0);
}

/* Nobody waits for it, alive or dead. */
static void judge_reader(void)
{
	int64_t began = now_ns();

	send_numbers(publisher, 1);
	stage->sent++;
	holds(ayre_publisher_sync(publisher) == 0);
	holds(now_ns() - began < 5 * SECOND);
}

static const struct operation reading = {.title = "receive out of the log",
                                         .most = 30,
                                         .prepare = prepare_reader,
                                         .run = receive_some,
                                         .look = judge_reader,
                                         .judge = judge_reader};

/* The number of the first message of the second extent, and some before it. */
static uint64_t find_second_extent(void)
{
	uint64_t lane = info_of_publisher(publisher).id, number;

	do {
		number = info_of_publisher(publisher).messages;
		send_numbers(publisher, 1);
		require(ayre_publisher_sync(publisher) == 0);
	} while (list_extents(lane).count == 1);
	return number - 3;
}

static int with_reader(void)
{
	int result;

	if (is_in_memory(test_directory()))
		return skipped("TMPDIR is in memory");
	open_stage();
	publisher = publish_on_disk(PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE)));
	stage->flying = find_second_extent();
	send_until_extents(publisher, 4);
	stage->sent = info_of_publisher(publisher).messages;
	result = kill_everywhere(&reading);
	ayre_publisher_close(publisher);
	has_numbers(0, stage->sent);
	remove_disk_topic();
	close_stage();
	return result;
}

KILL_TEST(dying_read, with_reader())

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(dying_send),          counted_test(dying_send_ringless),
		counted_test(dying_send_each),     counted_test(dying_send_each_ringless),
		counted_test(dying_large),         counted_test(dying_large_ringless),
		counted_test(dying_read),          counted_test(dying_sync),
		counted_test(dying_sync_ringless), counted_test(dying_roll),
		counted_test(dying_roll_ringless), counted_test(dying_roll_unsafe),
		counted_test(dying_shed),          counted_test(dying_shed_ringless),
		counted_test(dying_close),         counted_test(dying_close_ringless),
		counted_test(dying_open),          counted_test(dying_open_ringless),
	};

	use_disk_topics();
	return run_kills("durable_kill", tests);
}
