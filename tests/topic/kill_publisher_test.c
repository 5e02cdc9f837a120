/*
 * The publisher killed after every single instruction of sending, and of waiting for room.
 *
 * After each death: a subscriber that was there before has what was sent, in order, whole and once, and
 * of what was being sent all or nothing; it is told of the death; and the next publisher goes on in
 * the same lane, with the next number. The next victim is that next publisher.
 */
#include "topic/kill_world.h"

#include "topic/publisher.h"

#define RING_BYTES 8192
#define LARGE      5000

/* The victim's. */
static struct ayre_publisher *publisher;
static char data[3][8192];
static struct iovec batch[3];

/* Ours. */
static struct ayre_subscriber *witness, *newcomer;
static uint64_t witness_next, newcomer_next;

/* --- in the victim --- */

static void open_with(uint32_t flags)
{
	publisher = publish(PUBLISHER(RING(RING_BYTES), .flags = flags, .spin_ns = AYRE_SPIN_NONE),
	                    NAME);
	stage->sent = info_of_publisher(publisher).messages;
	require(stage->lane == 0 || stage->lane == info_of_publisher(publisher).id);
	stage->lane = info_of_publisher(publisher).id;
	stage->flying = 0;
}

/* Of the sequence that it will have. */
static void prepare_message(unsigned int number, size_t bytes)
{
	uint64_t sequence = stage->sent + number;

	batch[number] = (struct iovec){data[number], bytes};
	/* As send_pattern() does. */
	fill_pattern(data[number], bytes, (uint32_t)sequence * 40503u + (uint32_t)bytes);
	stage->flying = number + 1;
}

static void prepare_few(void)
{
	open_with(0);
	send_some(publisher, 3);
	prepare_message(0, 24);
}

/* Enough for the fence to be left out, and one less. */
static void prepare_unfenced(void)
{
	open_with(0);
	send_some(publisher, 70);
	require(!publisher->fenced);
	prepare_message(0, 24);
}

static void prepare_to_unfence(void)
{
	open_with(0);
	send_some(publisher, 64);
	require(publisher->fenced);
	prepare_message(0, 24);
}

/* The next one does not fit by the limit that is published, and a checkpoint is due. */
static void prepare_at_limit(void)
{
	open_with(0);
	send_some(publisher, 1);
	while (ayrei_lane_fits(&publisher->lane, 40) ||
	       publisher->lane.position - publisher->lane.checkpoint < RING_BYTES / AYREI_CHUNKS)
		send_some(publisher, 1);
	prepare_message(0, 40);
}

static void prepare_stamped(void)
{
	open_with(AYRE_PUBLISHER_STAMP);
	send_some(publisher, 3);
	prepare_message(0, 24);
}

static void prepare_batch(void)
{
	open_with(0);
	send_some(publisher, 3);
	while (!ayrei_lane_fits(&publisher->lane, 3 * 64))
		send_some(publisher, 1);
	for (unsigned int i = 0; i < 3; i++)
		prepare_message(i, 20 + 10 * i);
}

static void prepare_large(void)
{
	open_with(0);
	send_some(publisher, 3);
	prepare_message(0, LARGE);
}

/* And has sent one whose file can be used again once it has been read. */
static void prepare_again(void)
{
	open_with(0);
	publisher->large_bytes = LARGE;
	send_pattern(publisher, LARGE, (uint32_t)stage->sent);
	stage->sent++;
	prepare_message(0, 4500);
}

static void prepare_full(void)
{
	open_with(0);
	do {
		prepare_message(0, 24);
		stage->sent++;
	} while (ayre_publisher_try_send(publisher, data[0], 24) == 0);
	stage->sent--;
}

static void send_one(void)
{
	require(ayre_publisher_send(publisher, data[0], batch[0].iov_len) == 0);
	stage->sent++;
	stage->through = true;
}

static void send_batch(void)
{
	require(ayre_publisher_send_batch(publisher, batch, 3) == 3);
	stage->sent += 3;
	stage->through = true;
}

static void reserve_and_commit(void)
{
	void *room;

	require(ayre_publisher_reserve(publisher, 100, &room) == 0);
	memcpy(room, data[0], 24);
	require(ayre_publisher_commit(publisher, 24) == 0);
	stage->sent++;
	stage->through = true;
}

/* --- in the tracer, with a witness of its own --- */

static bool is_consistent(uint64_t next)
{
	return next == stage->sent || next == stage->sent + stage->flying;
}

/* It lives: whatever it is doing, nobody is told of an end. */
static void look(void)
{
	int result = receive_all(witness, &witness_next, 0);

	holds(result == -EAGAIN);
	holds(is_consistent(witness_next));
}

static void judge(void)
{
	int result = receive_all(witness, &witness_next, in_ms(5000));

	note_delay(now_ns() - died_ns);
	holds(result == -EOWNERDEAD);
	holds(is_consistent(witness_next));
	/* What the topic is, and two for each of us. */
	holds(has_files(2 + 2 + 2, false));
}

/* Those of messages that the lane no longer tells of are gone. */
static void judge_large(void)
{
	int result = receive_all(witness, &witness_next, in_ms(5000));

	note_delay(now_ns() - died_ns);
	holds(result == -EOWNERDEAD);
	holds(is_consistent(witness_next));
}

static void read_all(void)
{
	holds(receive_all(witness, &witness_next, 0) == -EAGAIN);
	holds(witness_next == stage->sent);
}

/* One file, whatever it is at the time: a spare, of no record yet, or a message. */
static void judge_again(void)
{
	judge_large();
	holds(has_files(2 + 2 + 2 + 1, false));
}

static void bring_newcomer(void)
{
	newcomer = subscribe(SUBSCRIBER(RING(RING_BYTES), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
	                                .spin_ns = AYRE_SPIN_NONE),
	                     NAME);
	newcomer_next = stage->sent;
}

static void judge_with_newcomer(void)
{
	int result = receive_all(newcomer, &newcomer_next, in_ms(5000));

	holds(result == -EOWNERDEAD);
	holds(is_consistent(newcomer_next));
	ayre_subscriber_close(newcomer);
	judge();
	holds(witness_next == newcomer_next);
}

/* --- with a watcher that sleeps, or that is waited for --- */

static void let_it_sleep(void)
{
	begin_turn();
	await_watcher_asleep();
}

static void judge_by_watcher(void)
{
	int end;

	atomic_store(&stage->held, false);
	end = await_told();
	note_delay(stage->told_ns - died_ns);
	holds(end == -EOWNERDEAD);
	holds(is_consistent(stage->next));
	holds(has_files(2 + 2 + 2, false));
}

/* Held, so that the victim finds no room; it reads as soon as it is waited for. */
static void let_it_be_waited_for(void)
{
	atomic_store(&stage->held, true);
	begin_turn();
}

/* --- the operations --- */

static const struct operation send = {
	.title = "send", .prepare = prepare_few, .run = send_one, .look = look, .judge = judge};
static const struct operation send_unfenced = {.title = "send without a fence",
                                               .prepare = prepare_unfenced,
                                               .run = send_one,
                                               .look = look,
                                               .judge = judge};
static const struct operation leave_fence_out = {
	.title = "send, and leave the fence out from now on",
	.prepare = prepare_to_unfence,
	.run = send_one,
	.look = look,
	.judge = judge};
static const struct operation move_limit = {.title =
                                                    "send, the limit moves and a checkpoint is due",
                                            .prepare = prepare_at_limit,
                                            .run = send_one,
                                            .look = look,
                                            .judge = judge};
static const struct operation stamped = {.title = "send with a stamp",
                                         .prepare = prepare_stamped,
                                         .run = send_one,
                                         .look = look,
                                         .judge = judge};
static const struct operation three = {.title = "send three at once",
                                       .prepare = prepare_batch,
                                       .run = send_batch,
                                       .look = look,
                                       .judge = judge};
static const struct operation in_place = {.title = "reserve and commit",
                                          .prepare = prepare_few,
                                          .run = reserve_and_commit,
                                          .look = look,
                                          .judge = judge};
static const struct operation notice_newcomer = {.title = "send while a subscriber joins",
                                                 .most = 40,
                                                 .prepare = prepare_few,
                                                 .set_stage = bring_newcomer,
                                                 .run = send_one,
                                                 .look = look,
                                                 .judge = judge_with_newcomer};
static const struct operation large = {.title = "send beside the ring",
                                       .most = 40,
                                       .prepare = prepare_large,
                                       .run = send_one,
                                       .look = look,
                                       .judge = judge_large};
static const struct operation again = {.title = "send beside the ring, in a file that was read",
                                       .most = 40,
                                       .prepare = prepare_again,
                                       .set_stage = read_all,
                                       .run = send_one,
                                       .look = look,
                                       .judge = judge_again};
static const struct operation wake = {.title = "send to one who sleeps",
                                      .prepare = prepare_few,
                                      .set_stage = let_it_sleep,
                                      .run = send_one,
                                      .judge = judge_by_watcher};
static const struct operation wake_unfenced = {
	.title = "send to one who sleeps, and fence from now on",
	.prepare = prepare_unfenced,
	.set_stage = let_it_sleep,
	.run = send_one,
	.judge = judge_by_watcher};
static const struct operation wait_for_room = {.title = "wait for room, and go on",
                                               .most = 40,
                                               .prepare = prepare_full,
                                               .set_stage = let_it_be_waited_for,
                                               .run = send_one,
                                               .judge = judge_by_watcher};

/* One that lives to its end takes the lane over from all that died. */
static void come_last(void)
{
	open_with(0);
	send_some(publisher, 5);
	ayre_publisher_close(publisher);
}

static int with_witness(const struct operation *operation)
{
	int result;

	open_stage();
	witness_next = 0;
	witness = subscribe(SUBSCRIBER(RING(RING_BYTES), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
	                               .from = AYRE_FROM_OLDEST, .spin_ns = AYRE_SPIN_NONE),
	                    NAME);
	come_last();
	require(receive_all(witness, &witness_next, in_ms(5000)) == -EPIPE);
	result = kill_everywhere(operation);
	come_last();
	/* The last one closed; those that died did not, and their successors have said so. */
	require(receive_all(witness, &witness_next, in_ms(5000)) == -EOWNERDEAD);
	require(info_of_subscriber(witness).publishers_lost > 1);
	require(witness_next == stage->sent);
	ayre_subscriber_close(witness);
	remove_topic(NAME);
	close_stage();
	return result;
}

static int with_watcher(const struct operation *operation)
{
	pid_t watcher;
	int result;

	open_stage();
	watcher = start_watcher(RING_BYTES);
	result = kill_everywhere(operation);
	come_last();
	begin_turn();
	require(await_told() == -EOWNERDEAD && stage->next == stage->sent);
	end_watcher(watcher);
	remove_topic(NAME);
	close_stage();
	return result;
}

KILL_TEST(dying_send, with_witness(&send))
KILL_TEST(dying_send_unfenced, with_witness(&send_unfenced))
KILL_TEST(dying_leave_fence_out, with_witness(&leave_fence_out))
KILL_TEST(dying_move_limit, with_witness(&move_limit))
KILL_TEST(dying_stamped, with_witness(&stamped))
KILL_TEST(dying_three, with_witness(&three))
KILL_TEST(dying_in_place, with_witness(&in_place))
KILL_TEST(dying_notice_newcomer, with_witness(&notice_newcomer))
KILL_TEST(dying_large, with_witness(&large))
KILL_TEST(dying_again, with_witness(&again))
KILL_TEST(dying_wake, with_watcher(&wake))
KILL_TEST(dying_wake_unfenced, with_watcher(&wake_unfenced))
KILL_TEST(dying_wait_for_room, with_watcher(&wait_for_room))

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(dying_send),
		counted_test(dying_send_unfenced),
		counted_test(dying_leave_fence_out),
		counted_test(dying_move_limit),
		counted_test(dying_stamped),
		counted_test(dying_three),
		counted_test(dying_in_place),
		counted_test(dying_notice_newcomer),
		counted_test(dying_large),
		counted_test(dying_again),

		counted_test(dying_wake),
		counted_test(dying_wake_unfenced),
		counted_test(dying_wait_for_room),
	};

	return run_kills("kill_publisher", tests);
}
