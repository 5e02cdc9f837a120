/*
 * The publisher killed after every single instruction of opening and closing.
 *
 * Whatever it was about to make: nobody takes a half of it for the whole, subscribers are told of an
 * end if they have seen a beginning, whoever comes next can begin at once, and nothing is left but
 * the lane, and what ayre_topic_clear() takes away.
 */
#include "topic/kill_world.h"

#include <dirent.h>

#include <ayre/topic_list.h>

#define RING_BYTES 8192

/* The victim's. */
static struct ayre_publisher *publisher;

/* Ours. */
static struct ayre_subscriber *witness, *newcomer;
static uint64_t witness_next, newcomer_next;

static struct ayre_subscriber *watch_from(uint64_t sequence)
{
	return subscribe(SUBSCRIBER(RING(RING_BYTES), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED,
	                            .from = AYRE_FROM_SEQUENCE, .from_value = (int64_t)sequence,
	                            .spin_ns = AYRE_SPIN_NONE),
	                 NAME);
}

/* --- in the victim --- */

static void open_it(void)
{
	publisher = publish(PUBLISHER(RING(RING_BYTES)), NAME);
	stage->through = true;
}

static void open_and_send(void)
{
	open_it();
	stage->sent = info_of_publisher(publisher).messages;
	send_some(publisher, 3);
	stage->through = false;
}

static void close_it(void)
{
	ayre_publisher_close(publisher);
	stage->through = true;
}

/* Those that died before are told of at every end. */
static bool is_end(int result)
{
	return result == -EPIPE || result == -EOWNERDEAD;
}

/* --- closing --- */

static void look_at_closing(void)
{
	int result = receive_all(witness, &witness_next, 0);

	holds(result == -EAGAIN || is_end(result));
}

static void judge_closing(void)
{
	static uint32_t lost;
	int result = receive_all(witness, &witness_next, in_ms(5000));
	uint32_t lost_now = info_of_subscriber(witness).publishers_lost;

	note_delay(now_ns() - died_ns);
	holds(is_end(result));
	/* Who had closed did not die unheard. */
	holds(lost_now == lost || (lost_now == lost + 1 && !stage->through));
	lost = lost_now;
	holds(witness_next == stage->sent);
	holds(has_files(2 + 2 + 2, false) || has_files(2 + 1 + 2, false));
}

static const struct operation closing = {.title = "close",
                                         .most = 60,
                                         .prepare = open_and_send,
                                         .run = close_it,
                                         .look = look_at_closing,
                                         .judge = judge_closing};

/* --- taking a lane over --- */

/* Whoever comes next is in the same lane, and goes on there. */
static void come_next(void)
{
	static unsigned int turn;

	publisher = publish(PUBLISHER(RING(RING_BYTES)), NAME);
	stage->lane = stage->lane ? stage->lane : info_of_publisher(publisher).id;
	holds(info_of_publisher(publisher).messages == stage->sent);
	holds(info_of_publisher(publisher).id == stage->lane);
	send_some(publisher, 1 + turn++ % 30);
	ayre_publisher_close(publisher);
	holds(is_end(receive_all(witness, &witness_next, in_ms(5000))));
	holds(witness_next == stage->sent);
}

/* Somebody comes in the middle, too. */
static void look_at_adopting(void)
{
	int result = receive_all(witness, &witness_next, 0);

	holds(result == -EAGAIN || is_end(result));
	newcomer_next = stage->sent - 1;
	newcomer = watch_from(newcomer_next);
	result = receive_all(newcomer, &newcomer_next, 0);
	holds(result == -EAGAIN || is_end(result));
}

static void judge_adopting(void)
{
	int result = receive_all(witness, &witness_next, in_ms(5000));

	note_delay(now_ns() - died_ns);
	holds(is_end(result));
	result = receive_all(newcomer, &newcomer_next, in_ms(5000));
	holds(is_end(result));
	holds(witness_next == stage->sent && newcomer_next == stage->sent);
	ayre_subscriber_close(newcomer);
	come_next();
	holds(has_files(2 + 1 + 2, false));
}

static const struct operation adopting = {.title = "open, a lane is there",
                                          .most = 12,
                                          .run = open_it,
                                          .look = look_at_adopting,
                                          .judge = judge_adopting};

static int in_one_topic(const struct operation *operation)
{
	int result;

	open_stage();
	witness_next = 0;
	witness = watch_from(0);
	come_next();
	result = kill_everywhere(operation);
	stage->sent = witness_next;
	come_next();
	ayre_subscriber_close(witness);
	remove_topic(NAME);
	close_stage();
	return result;
}

/* --- making a lane --- */

static void begin_lane(void)
{
	require(ayre_topic_create(TOPIC(.ring_bytes = RING_BYTES), NAME, NULL) == 1);
	witness_next = 0;
	witness = watch_from(0);
	stage->sent = 0;
	stage->lane = 0;
}

static void look_at_lane(void)
{
	holds(receive_all(witness, &witness_next, 0) == -EAGAIN);
}

static void judge_lane(void)
{
	char name[NAME_BYTES];
	bool seen = count_peers(NAME, "pub.", "", name) == 1;
	/* What it has not seen it is not told the end of. */
	int result = receive_all(witness, &witness_next, stage->through ? in_ms(5000) : 0);

	if (stage->through)
		note_delay(now_ns() - died_ns);
	holds(result == -EOWNERDEAD || (result == -EAGAIN && !stage->through));
	come_next();
	holds(count_peers(NAME, "pub.", "", name) == 1);
	holds(has_files(2 + 1 + 2, !seen));
	ayre_subscriber_close(witness);
	remove_topic(NAME);
}

static const struct operation making = {.title = "open, no lane is there",
                                        .most = 8,
                                        .begin = begin_lane,
                                        .run = open_it,
                                        .look = look_at_lane,
                                        .judge = judge_lane};

/* --- making a topic --- */

static void begin_topic(void)
{
	stage->sent = 0;
	stage->lane = 0;
}

static int count_topics(void)
{
	DIR *directory = opendir(topic_root());
	const struct dirent *entry;
	int count = 0;

	require(directory);
	while ((entry = readdir(directory)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return count;
}

/* Under another name, until it is whole. */
static void judge_topic(void)
{
	witness_next = 0;
	witness = watch_from(0);
	come_next();
	ayre_subscriber_close(witness);
	remove_topic(NAME);
	holds(count_topics() <= 1);
	if (count_topics() == 1)
		holds(ayre_topic_clear(NULL, NULL) == 1);
	holds(count_topics() == 0);
}

static const struct operation creating = {.title = "open, no topic is there",
                                          .most = 6,
                                          .begin = begin_topic,
                                          .run = open_it,
                                          .judge = judge_topic};

static int in_many_topics(const struct operation *operation)
{
	int result;

	open_stage();
	result = kill_everywhere(operation);
	close_stage();
	return result;
}

KILL_TEST(dying_while_closing, in_one_topic(&closing))
KILL_TEST(dying_while_taking_a_lane_over, in_one_topic(&adopting))
KILL_TEST(dying_while_making_a_lane, in_many_topics(&making))
KILL_TEST(dying_while_making_a_topic, in_many_topics(&creating))

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(dying_while_closing),
		counted_test(dying_while_taking_a_lane_over),
		counted_test(dying_while_making_a_lane),
		counted_test(dying_while_making_a_topic),
	};

	return run_kills("kill_open", tests);
}
