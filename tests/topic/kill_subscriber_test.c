/*
 * The subscriber killed after every single instruction of receiving, sleeping, opening and closing.
 *
 * While it lives it holds a reliable publisher back. After each death: that publisher goes on at once, other
 * subscribers have everything, those that sleep are woken, and what the dead one had in the
 * directory is cleared away.
 */
#include "topic/kill_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "topic/publisher.h"
#include "topic/subscriber.h"

#define RING_BYTES 4096
/* More than the ring holds. */
#define MANY 150

/* The victim's. */
static struct ayre_subscriber *subscriber;

/* Ours. */
static struct ayre_publisher *publisher;
static struct ayre_subscriber *witness;
static uint64_t witness_next;

/* --- in the victim --- */

static void open_with(uint32_t flags)
{
	subscriber = subscribe(
		SUBSCRIBER(RING(RING_BYTES), .flags = flags, .spin_ns = AYRE_SPIN_NONE), NAME);
	stage->id = info_of_subscriber(subscriber).id;
}

static void open_reliable(void)
{
	open_with(0);
}

static void open_lossy(void)
{
	open_with(AYRE_SUBSCRIBER_LOSSY);
}

/* For an event loop: the first attempt is made, the next one draws a ticket. */
static void open_for_a_loop(void)
{
	open_with(0);
	require(ayre_subscriber_fd(subscriber) >= 0);
}

static char buffer[8192];

static void take_one(void)
{
	struct ayre_message message;

	require(ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), &message) >= 0);
	require(is_message(&message, message.bytes, (uint32_t)message.sequence));
}

static void take_two(void)
{
	take_one();
	take_one();
}

static void take_all(void)
{
	uint64_t next = subscriber->sources[0].reader.sequence;

	require(receive_all(subscriber, &next, 0) == -EAGAIN);
}

/* Of the record ahead. */
static uint64_t end_of_next(void)
{
	const struct ayrei_reader *reader = &subscriber->sources[0].reader;

	return ayrei_record_end(reader->position, (uint32_t)ayrei_reader_header(reader));
}

/* The next one makes an eighth of the ring. */
static void take_until_due(void)
{
	while (end_of_next() - subscriber->sources[0].published < RING_BYTES / 8)
		take_one();
}

/* The next one is the one that the publisher waits for. */
static void take_until_awaited(void)
{
	const uint64_t *waiting = &subscriber->sources[0].reader.layout->waiting;

	while (ayrei_load(waiting) == 0 || end_of_next() < ayrei_load(waiting))
		take_one();
}

static void receive(void)
{
	ssize_t got = ayre_subscriber_receive(subscriber, buffer, sizeof(buffer), NULL);

	require(got >= 0);
}

static void peek_and_release(void)
{
	struct ayre_message message;

	require(ayre_subscriber_peek(subscriber, &message) == 0);
	require(ayre_subscriber_release(subscriber) == 0);
}

static void find_nothing(void)
{
	require(ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), NULL) == -EAGAIN);
}

static void close_it(void)
{
	ayre_subscriber_close(subscriber);
}

/* --- in the tracer: a publisher, and another subscriber --- */

static void take_as_witness(void)
{
	holds(receive_all(witness, &witness_next, 0) == -EAGAIN);
	/* Not in eighths: it is not the one that holds the publisher back. */
	if (witness->source_count)
		ayrei_source_publish(&witness->sources[0], witness);
}

static int send_until(int64_t deadline_ns)
{
	char data[64];
	size_t bytes = size_of(stage->sent);
	int result;

	fill_pattern(data, bytes, (uint32_t)stage->sent * 40503u + (uint32_t)bytes);
	result = deadline_ns ? ayre_publisher_send_until(publisher, data, bytes, deadline_ns)
	                     : ayre_publisher_try_send(publisher, data, bytes);
	stage->sent += result == 0;
	return result;
}

static void send_five(void)
{
	send_some(publisher, 5);
}

static void send_an_eighth(void)
{
	send_some(publisher, RING_BYTES / 8 / 16);
}

static void send_large(void)
{
	send_some(publisher, 2);
	send_pattern(publisher, 5000, (uint32_t)stage->sent);
	stage->sent++;
}

static void send_many(void)
{
	for (unsigned int i = 0; i < MANY; i++) {
		if (i % 8 == 0)
			take_as_witness();
		holds(send_until(0) == 0);
	}
}

/* Until it is held back, if it is. */
static void send_all_there_is_room_for(void)
{
	unsigned int count = 0;

	do
		take_as_witness();
	while (send_until(0) == 0 && ++count < MANY);
}

/* Those of messages beside the ring are there, too. */
static int more_files;
static bool is_coming;

static void judge(void)
{
	int64_t began = now_ns();
	int result = send_until(in_ms(5000));

	/* Not by its deadline. */
	holds(result == 0 && now_ns() - began < 2 * SECOND);
	note_delay(now_ns() - died_ns);
	send_many();
	take_as_witness();
	holds(witness_next == stage->sent);
	holds(ayre_publisher_wait_subscribers(publisher, 1, 0) == 1);
	holds(has_files(2 + 2 + 2 + more_files, is_coming));
}

static void judge_large(void)
{
	more_files = 1;
	judge();
	more_files = 0;
}

static void judge_coming(void)
{
	is_coming = true;
	judge();
	is_coming = false;
}

/* --- with a publisher that is a process, and a watcher --- */

static const struct ayrei_lane_layout *lane;
static bool is_watched;

enum order { FILL, ONE_TO_A_SLEEPER, UNFENCED };

static bool is_asleep(uint64_t id)
{
	for (size_t i = 0; i < publisher->members.count; i++)
		if (publisher->members.all[i].id == id)
			return ayrei_load(publisher->members.watches[i].ticket) & 1;
	return false;
}

static void send_to_a_sleeper(void)
{
	while (!is_asleep(stage->id) && !stage->dead) {
		require(ayre_publisher_wait_subscribers(publisher, 0, 0) >= 0);
		pause_ns(MILLISECOND / 20);
	}
	require(send_until(in_ms(5000)) == 0);
}

static void fill(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		require(send_until(in_ms(10000)) == 0);
		if (stage->sent == stage->held_at + 1)
			stage->told_ns = now_ns();
	}
}

static int send_by_order(void *context)
{
	(void)context;
	publisher = publish(PUBLISHER(RING(RING_BYTES), .spin_ns = AYRE_SPIN_NONE), NAME);
	stage->lane = info_of_publisher(publisher).id;
	for (unsigned int order = 1;; order++) {
		await(&stage->order, order);
		if (stage->wanted == ONE_TO_A_SLEEPER)
			send_to_a_sleeper();
		else
			fill(stage->wanted == FILL ? MANY : 70);
		require(stage->wanted != UNFENCED || !publisher->fenced);
		announce(&stage->done, order);
	}
	return 0;
}

static void give_order(enum order order)
{
	stage->wanted = order;
	stage->dead = false;
	announce_one_more(&stage->order);
}

static void await_done(void)
{
	int64_t deadline = in_ms(5000);

	while (atomic_load(&stage->done) < atomic_load(&stage->order)) {
		holds(now_ns() < deadline);
		pause_ns(MILLISECOND / 50);
	}
}

/* By the victim: the watcher has everything, and there is room no more. */
static void let_it_be_held_back(void)
{
	uint64_t sent;

	give_order(FILL);
	do {
		sent = stage->sent;
		await_watcher_asleep();
		pause_ns(MILLISECOND);
		await_watcher_asleep();
	} while (sent != stage->sent || ayrei_load(&lane->waiting) == 0);
	holds(atomic_load(&stage->done) < atomic_load(&stage->order));
	stage->held_at = sent;
}

/* It can have been rung for. */
static bool was_held;

static void look_if_held(void)
{
	was_held = stage->sent == stage->held_at;
}

static void everybody_has_all(void)
{
	await_watcher_asleep();
	holds(!is_watched || stage->next == stage->sent);
	holds(has_files(2 + 2 + (is_watched ? 2 : 0), false));
}

static void judge_held_back(void)
{
	stage->dead = true;
	await_done();
	if (was_held)
		note_delay(stage->told_ns - died_ns);
	everybody_has_all();
}

static void let_it_be_sent_to_asleep(void)
{
	await_watcher_asleep();
	give_order(ONE_TO_A_SLEEPER);
}

static void judge_sleeper(void)
{
	stage->dead = true;
	await_done();
	give_order(FILL);
	stage->dead = true;
	await_done();
	everybody_has_all();
}

/* While nobody sleeps: who does from then on has to make the publisher pass a fence. */
static void let_fence_be_left_out(void)
{
	give_order(UNFENCED);
	await_done();
	give_order(ONE_TO_A_SLEEPER);
}

/* --- the operations --- */

#define WITH_WITNESS .look = send_all_there_is_room_for, .judge = judge

static const struct operation receiving = {.title = "receive",
                                           .prepare = open_reliable,
                                           .set_stage = send_five,
                                           .make_ready = take_two,
                                           .run = receive,
                                           WITH_WITNESS};
static const struct operation publishing = {.title = "receive, and say how far it is",
                                            .prepare = open_reliable,
                                            .set_stage = send_an_eighth,
                                            .make_ready = take_until_due,
                                            .run = receive,
                                            WITH_WITNESS};
static const struct operation peeking = {.title = "peek and release",
                                         .prepare = open_reliable,
                                         .set_stage = send_five,
                                         .make_ready = take_two,
                                         .run = peek_and_release,
                                         WITH_WITNESS};
static const struct operation taking_large = {.title = "receive from beside the ring",
                                              .most = 60,
                                              .prepare = open_reliable,
                                              .set_stage = send_large,
                                              .make_ready = take_two,
                                              .run = receive,
                                              .look = send_all_there_is_room_for,
                                              .judge = judge_large};
static const struct operation catching_up = {.title = "receive, having been overtaken",
                                             .most = 300,
                                             .prepare = open_lossy,
                                             .set_stage = send_many,
                                             .run = receive,
                                             WITH_WITNESS};
static const struct operation looping = {.title = "find nothing, in an event loop",
                                         .prepare = open_for_a_loop,
                                         .set_stage = send_five,
                                         .make_ready = take_all,
                                         .run = find_nothing,
                                         WITH_WITNESS};
static const struct operation opening = {.title = "open",
                                         .most = 10,
                                         .run = open_reliable,
                                         .look = send_all_there_is_room_for,
                                         .judge = judge_coming};
static const struct operation closing = {
	.title = "close", .most = 40, .prepare = open_reliable, .run = close_it, WITH_WITNESS};
static const struct operation ringing = {.title = "receive, and ring who waits for it",
                                         .prepare = open_reliable,
                                         .set_stage = let_it_be_held_back,
                                         .make_ready = take_until_awaited,
                                         .run = receive,
                                         .look = look_if_held,
                                         .judge = judge_held_back};
static const struct operation sleeping = {.title = "sleep and wake",
                                          .most = 200,
                                          .prepare = open_reliable,
                                          .set_stage = let_it_be_sent_to_asleep,
                                          .run = receive,
                                          .judge = judge_sleeper};

static const struct operation sleeping_unfenced = {
	.title = "sleep, making the publisher pass a fence",
	.most = 100,
	.prepare = open_reliable,
	.set_stage = let_fence_be_left_out,
	.make_ready = take_all,
	.run = receive,
	.judge = judge_sleeper};

static int with_witness(const struct operation *operation)
{
	int result;

	open_stage();
	witness_next = 0;
	publisher = publish(PUBLISHER(RING(RING_BYTES), .spin_ns = AYRE_SPIN_NONE), NAME);
	witness = subscribe(
		SUBSCRIBER(RING(RING_BYTES), .from = AYRE_FROM_OLDEST, .spin_ns = AYRE_SPIN_NONE),
		NAME);
	send_some(publisher, 3);
	take_as_witness();
	result = kill_everywhere(operation);
	ayre_subscriber_close(witness);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	close_stage();
	return result;
}

static void map_lane(void)
{
	char file[32], path[NAME_BYTES];
	int fd;

	snprintf(file, sizeof(file), "pub.%016lx", (unsigned long)stage->lane);
	fd = open(topic_path(NAME, file, path), O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	lane = mmap(NULL, sizeof(*lane), PROT_READ, MAP_SHARED, fd, 0);
	require(lane != MAP_FAILED);
	close(fd);
}

static int with_sender(const struct operation *operation, bool watched)
{
	pid_t watcher = 0, sender;
	int result;

	open_stage();
	is_watched = watched;
	if (watched) {
		watcher = start_watcher(RING_BYTES);
		begin_turn();
	}
	sender = start_child(send_by_order, NULL);
	give_order(FILL);
	await_done();
	map_lane();
	result = kill_everywhere(operation);
	kill(sender, SIGKILL);
	require(WIFSIGNALED(end_of(sender)));
	if (watched) {
		require(await_told() == -EOWNERDEAD && stage->next == stage->sent);
		end_watcher(watcher);
	}
	munmap((void *)(uintptr_t)lane, sizeof(*lane));
	remove_topic(NAME);
	close_stage();
	return result;
}

KILL_TEST(dying_receiving, with_witness(&receiving))
KILL_TEST(dying_publishing, with_witness(&publishing))
KILL_TEST(dying_peeking, with_witness(&peeking))
KILL_TEST(dying_taking_large, with_witness(&taking_large))
KILL_TEST(dying_catching_up, with_witness(&catching_up))
KILL_TEST(dying_looping, with_witness(&looping))
KILL_TEST(dying_opening, with_witness(&opening))
KILL_TEST(dying_closing, with_witness(&closing))
KILL_TEST(dying_ringing, with_sender(&ringing, true))
KILL_TEST(dying_sleeping, with_sender(&sleeping, true))
KILL_TEST(dying_sleeping_unfenced, with_sender(&sleeping_unfenced, false))

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(dying_receiving),         counted_test(dying_publishing),
		counted_test(dying_peeking),           counted_test(dying_taking_large),
		counted_test(dying_catching_up),       counted_test(dying_looping),
		counted_test(dying_opening),           counted_test(dying_closing),
		counted_test(dying_ringing),           counted_test(dying_sleeping),
		counted_test(dying_sleeping_unfenced),
	};

	return run_kills("kill_subscriber", tests);
}
