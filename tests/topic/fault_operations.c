/*
 * The operations: what is there before, the one call that is tried, and what has to hold after it.
 */
#include "topic/fault_operations.h"

#include <signal.h>
#include <sys/stat.h>

static void verify_nothing(struct scene *scene)
{
	(void)scene;
}

/* --- what is there before --- */

static void prepare_nothing(struct scene *scene)
{
	(void)scene;
}

static void prepare_topic(struct scene *scene)
{
	(void)scene;
	require(ayre_topic_create(TOPIC(.ring_bytes = SCENE_RING), SCENE_NAME, NULL) == 1);
}

static void prepare_publisher(struct scene *scene)
{
	scene->publisher = publish(PUBLISHER(RING(SCENE_RING)), SCENE_NAME);
}

static void prepare_subscriber(struct scene *scene)
{
	scene->subscriber = subscribe(SUBSCRIBER(RING(SCENE_RING)), SCENE_NAME);
}

/* Who know each other. */
static void prepare_both(struct scene *scene)
{
	prepare_publisher(scene);
	prepare_subscriber(scene);
	send_number(scene->publisher, 0);
	require(receive_number(scene->subscriber) == 0);
	scene->expected = 1;
}

/* A lane with a short and a large message, whose publisher is gone. */
static void prepare_left_lane(struct scene *scene)
{
	prepare_publisher(scene);
	send_number(scene->publisher, 0);
	send_pattern(scene->publisher, LARGE_BYTES, 1);
	ayre_publisher_close(scene->publisher);
	scene->publisher = NULL;
}

static void prepare_lane_and_audience(struct scene *scene)
{
	prepare_left_lane(scene);
	scene->audience = subscribe(NULL, SCENE_NAME);
}

static void prepare_message(struct scene *scene)
{
	prepare_both(scene);
	send_number(scene->publisher, 1);
}

static void prepare_large_message(struct scene *scene)
{
	prepare_both(scene);
	send_pattern(scene->publisher, LARGE_BYTES, 1);
}

/* Whose file can be used again, and is known to the subscriber. */
static void prepare_read_large(struct scene *scene)
{
	struct ayre_message message;

	scene->publisher =
		publish(PUBLISHER(RING(SCENE_RING), .large_bytes = LARGE_BYTES), SCENE_NAME);
	prepare_subscriber(scene);
	send_pattern(scene->publisher, LARGE_BYTES, 0);
	require(ayre_subscriber_peek(scene->subscriber, &message) == 0);
	require(ayre_subscriber_release(scene->subscriber) == 0);
	scene->expected = 1;
}

static void prepare_known_large(struct scene *scene)
{
	prepare_read_large(scene);
	send_pattern(scene->publisher, LARGE_BYTES, 1);
}

static void prepare_full_ring(struct scene *scene)
{
	prepare_both(scene);
	fill_ring(scene->publisher);
}

static void prepare_newcomer(struct scene *scene)
{
	prepare_both(scene);
	scene->newcomer = publish(NULL, SCENE_NAME);
	send_number(scene->newcomer, 1);
}

/* One who came since the last message. */
static void prepare_new_audience(struct scene *scene)
{
	prepare_both(scene);
	scene->audience = subscribe(NULL, SCENE_NAME);
}

static void prepare_pair(struct scene *scene)
{
	require(ayre_publisher_open_pair(PUBLISHER(RING(SCENE_RING)), &scene->publisher,
	                                 &scene->ends, NULL) == 0);
	send_number(scene->publisher, 1);
}

static void prepare_other_pair(struct scene *scene)
{
	require(ayre_subscriber_open_pair(SUBSCRIBER(RING(SCENE_RING)), &scene->subscriber,
	                                  &scene->ends, NULL) == 0);
}

/* --- topics --- */

static int run_create(struct scene *scene)
{
	return ayre_topic_create(TOPIC(.ring_bytes = SCENE_RING), SCENE_NAME, &scene->error);
}

static int run_remove(struct scene *scene)
{
	return ayre_topic_remove(SCENE_NAME, false, &scene->error);
}

static int run_force(struct scene *scene)
{
	return ayre_topic_remove(SCENE_NAME, true, &scene->error);
}

static void verify_there(struct scene *scene)
{
	(void)scene;
	require(ayre_topic_create(NULL, SCENE_NAME, NULL) == 0);
}

static void verify_gone(struct scene *scene)
{
	char path[NAME_BYTES];
	struct stat status;

	(void)scene;
	require(stat(topic_path(SCENE_NAME, "", path), &status) == -1);
}

/* --- opening --- */

static int run_publisher_open(struct scene *scene)
{
	return ayre_publisher_open(PUBLISHER(RING(SCENE_RING)), SCENE_NAME, &scene->published,
	                           &scene->error);
}

static void verify_published(struct scene *scene)
{
	struct ayre_subscriber *subscriber = subscribe(NULL, SCENE_NAME);

	require(scene->published != NO_PUBLISHER);
	send_number(scene->published, 7);
	require(receive_number(subscriber) == 7);
	ayre_subscriber_close(subscriber);
}

/* What the earlier publisher left is still there. */
static void verify_went_on(struct scene *scene)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), SCENE_NAME);

	require(scene->published != NO_PUBLISHER);
	send_number(scene->published, 7);
	require(receive_number(subscriber) == 0);
	receive_pattern(subscriber, LARGE_BYTES, 1);
	require(receive_number(subscriber) == 7);
	ayre_subscriber_close(subscriber);
	require(receive_number(scene->audience) == 7);
}

static int run_subscriber_open(struct scene *scene)
{
	return ayre_subscriber_open(SUBSCRIBER(RING(SCENE_RING), .from = AYRE_FROM_OLDEST),
	                            SCENE_NAME, &scene->subscribed, &scene->error);
}

static void verify_subscribed(struct scene *scene)
{
	require(scene->subscribed != NO_SUBSCRIBER);
	require(receive_number(scene->subscribed) == 0);
	receive_pattern(scene->subscribed, LARGE_BYTES, 1);
}

static void verify_listens(struct scene *scene)
{
	struct ayre_publisher *publisher = publish(NULL, SCENE_NAME);

	require(scene->subscribed != NO_SUBSCRIBER);
	send_number(publisher, 7);
	require(receive_number(scene->subscribed) == 7);
	ayre_publisher_close(publisher);
}

/* --- sending --- */

static int run_send(struct scene *scene)
{
	uint64_t number = 1;

	return ayre_publisher_send(scene->publisher, &number, sizeof(number));
}

/* Exactly once, whatever failed before. */
static void verify_sent(struct scene *scene)
{
	require(receive_number(scene->subscriber) == scene->expected);
	require(ayre_subscriber_try_receive(scene->subscriber, NULL, 0, NULL) == -EAGAIN);
}

static void verify_sent_to_all(struct scene *scene)
{
	verify_sent(scene);
	send_number(scene->publisher, 2);
	require(receive_number(scene->subscriber) == 2);
	while (receive_number(scene->audience) != 2)
		continue;
}

static int run_send_large(struct scene *scene)
{
	write_pattern(scene->bytes, LARGE_BYTES, 1);
	return ayre_publisher_send(scene->publisher, scene->bytes, LARGE_BYTES);
}

static int run_reserve_large(struct scene *scene)
{
	void *data;
	int result = ayre_publisher_reserve(scene->publisher, 2 * LARGE_BYTES, &data);

	if (result < 0)
		return result;
	write_pattern(data, LARGE_BYTES, 1);
	return ayre_publisher_commit(scene->publisher, LARGE_BYTES);
}

static void verify_sent_large(struct scene *scene)
{
	receive_pattern(scene->subscriber, LARGE_BYTES, 1);
	require(ayre_subscriber_try_receive(scene->subscriber, NULL, 0, NULL) == -EAGAIN);
	require(info_of_subscriber(scene->subscriber).missed == 0);
}

static int in_time(int result)
{
	return result == -ETIMEDOUT || result == -EAGAIN ? 0 : result;
}

static int run_wait_for_room(struct scene *scene)
{
	return in_time(ayre_publisher_send_until(scene->publisher, "x", 1, now_ns() + 300000));
}

static int run_try_by_descriptor(struct scene *scene)
{
	int fd = ayre_publisher_fd(scene->publisher);

	return fd < 0 ? fd : in_time(ayre_publisher_try_send(scene->publisher, "x", 1));
}

static int run_wait_subscribers(struct scene *scene)
{
	return ayre_publisher_wait_subscribers(scene->publisher, 1, now_ns() + 300000);
}

static int run_publisher_close(struct scene *scene)
{
	ayre_publisher_close(scene->publisher);
	scene->publisher = NULL;
	return 0;
}

/* --- receiving --- */

static int take(ssize_t got)
{
	return got < 0 ? (int)got : 0;
}

static int run_receive(struct scene *scene)
{
	return take(ayre_subscriber_receive_until(scene->subscriber, scene->bytes,
	                                          sizeof(scene->bytes), NULL, in_ms(2000)));
}

/* In an event loop: it finds nothing, and then what there is. */
static int run_receive_by_descriptor(struct scene *scene)
{
	int fd = ayre_subscriber_fd(scene->subscriber);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = ayre_subscriber_try_receive(scene->subscriber, scene->bytes, sizeof(scene->bytes),
	                                  NULL);
	return got == -EAGAIN ? run_receive(scene) : take(got);
}

static void verify_received(struct scene *scene)
{
	uint64_t number;

	memcpy(&number, scene->bytes, sizeof(number));
	require(number == 1);
	require(ayre_subscriber_try_receive(scene->subscriber, NULL, 0, NULL) == -EAGAIN);
}

static void verify_received_large(struct scene *scene)
{
	struct ayre_message message = {.data = scene->bytes, .bytes = LARGE_BYTES};

	require(is_message(&message, LARGE_BYTES, 1));
	require(info_of_subscriber(scene->subscriber).missed == 0);
}

static int run_peek(struct scene *scene)
{
	struct ayre_message message;
	int result = ayre_subscriber_peek_until(scene->subscriber, &message, in_ms(2000));

	if (result < 0)
		return result;
	require(message.bytes == LARGE_BYTES);
	memcpy(scene->bytes, message.data, LARGE_BYTES);
	return ayre_subscriber_release(scene->subscriber);
}

static int run_wait_for_nothing(struct scene *scene)
{
	return in_time(take(ayre_subscriber_receive_until(
		scene->subscriber, scene->bytes, sizeof(scene->bytes), NULL, now_ns() + 300000)));
}

static int run_wait_for_several(struct scene *scene)
{
	struct ayre_subscriber *const subscribers[] = {scene->subscriber};

	return in_time(ayre_subscribers_wait(subscribers, 1, now_ns() + 300000));
}

static int run_subscriber_close(struct scene *scene)
{
	ayre_subscriber_close(scene->subscriber);
	scene->subscriber = NULL;
	return 0;
}

/* --- without a name --- */

static int run_pair_to(struct scene *scene)
{
	return ayre_publisher_open_pair(PUBLISHER(RING(SCENE_RING)), &scene->published,
	                                &scene->made, &scene->error);
}

static int run_pair_from(struct scene *scene)
{
	return ayre_subscriber_open_pair(SUBSCRIBER(RING(SCENE_RING)), &scene->subscribed,
	                                 &scene->made, &scene->error);
}

static int run_ends_of_publisher(struct scene *scene)
{
	return ayre_publisher_open_ends(NULL, &scene->ends, &scene->published, &scene->error);
}

static int run_ends_of_subscriber(struct scene *scene)
{
	return ayre_subscriber_open_ends(NULL, &scene->ends, &scene->subscribed, &scene->error);
}

static void verify_taken(struct scene *scene)
{
	/* They are the handle's now. */
	scene->ends = (struct ayre_ends){{-1, -1, -1, -1}};
	if (scene->published != NO_PUBLISHER) {
		send_number(scene->published, 1);
		require(receive_number(scene->subscriber) == 1);
	} else {
		require(receive_number(scene->subscribed) == 1);
	}
}

static void verify_pair(struct scene *scene)
{
	if (scene->published != NO_PUBLISHER) {
		require(ayre_subscriber_open_ends(NULL, &scene->made, &scene->subscribed, NULL) ==
		        0);
	} else {
		require(ayre_publisher_open_ends(NULL, &scene->made, &scene->published, NULL) == 0);
	}
	scene->made = (struct ayre_ends){{-1, -1, -1, -1}};
	send_number(scene->published, 1);
	require(receive_number(scene->subscribed) == 1);
}

const struct operation operations[] = {
	{"create a topic", prepare_nothing, run_create, verify_there, OPENS},
	{"create one that is there", prepare_topic, run_create, verify_there, OPENS},
	{"remove a topic", prepare_left_lane, run_remove, verify_gone, REMOVES},
	{"remove one in use", prepare_both, run_force, verify_gone, REMOVES},
	{"publish to a new topic", prepare_nothing, run_publisher_open, verify_published, OPENS},
	{"publish in a lane that was left", prepare_lane_and_audience, run_publisher_open,
         verify_went_on, OPENS},
	{"subscribe to a new topic", prepare_nothing, run_subscriber_open, verify_listens, OPENS},
	{"subscribe to a lane", prepare_left_lane, run_subscriber_open, verify_subscribed, OPENS},
	{"send", prepare_both, run_send, verify_sent, WORKS},
	{"send when somebody has come", prepare_new_audience, run_send, verify_sent_to_all, WORKS},
	{"send beside the ring", prepare_both, run_send_large, verify_sent_large, WORKS},
	{"send in a file that was read", prepare_read_large, run_send_large, verify_sent_large,
         WORKS},
	{"reserve beside the ring", prepare_both, run_reserve_large, verify_sent_large, WORKS},
	{"wait for room", prepare_full_ring, run_wait_for_room, verify_nothing, WORKS},
	{"try by the descriptor", prepare_full_ring, run_try_by_descriptor, verify_nothing, WORKS},
	{"wait for subscribers", prepare_new_audience, run_wait_subscribers, verify_nothing, WORKS},
	{"close a publisher", prepare_both, run_publisher_close, verify_nothing, CLOSES},
	{"receive", prepare_message, run_receive, verify_received, WORKS},
	{"receive from one who has come", prepare_newcomer, run_receive, verify_received, WORKS},
	{"receive by the descriptor", prepare_newcomer, run_receive_by_descriptor, verify_received,
         WORKS},
	{"receive from beside the ring", prepare_large_message, run_receive, verify_received_large,
         WORKS},
	{"look at what lies beside the ring", prepare_large_message, run_peek,
         verify_received_large, WORKS},
	{"look at a file that is known", prepare_known_large, run_peek, verify_received_large,
         WORKS},
	{"wait for a message", prepare_both, run_wait_for_nothing, verify_nothing, WORKS},
	{"wait for several", prepare_both, run_wait_for_several, verify_nothing, WORKS},
	{"close a subscriber", prepare_both, run_subscriber_close, verify_nothing, CLOSES},
	{"open a pair to a subscriber", prepare_nothing, run_pair_to, verify_pair, OPENS},
	{"open a pair from a publisher", prepare_nothing, run_pair_from, verify_pair, OPENS},
	{"open a publisher's ends", prepare_other_pair, run_ends_of_publisher, verify_taken, OPENS},
	{"open a subscriber's ends", prepare_pair, run_ends_of_subscriber, verify_taken, OPENS},
};
const size_t operation_count = sizeof(operations) / sizeof(*operations);
