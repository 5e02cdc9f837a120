/*
 * A handle that is closed while a child of its process lives, which was forked meanwhile and has a copy of
 * all descriptors: it ends all the same, and whoever sleeps is told.
 */
#include "topic/pair_world.h"
#include "topic/service_world.h"

#include <signal.h>

#define NAME "forked"

/* A survivor whose call has not come back by then never will. */
#define HANGS_MS 5000

struct scene {
	void *(*open)(void);
	void (*close)(void *handle);
	atomic_uint opened, go, closed, done;
};

static struct scene *scene;

static int hold_descriptors(void *context)
{
	(void)context;
	wait_to_be_killed();
}

/* Opens, forks, and closes once it is asked to: 1: at once; 2: when its parent sleeps. */
static int leave(void *context)
{
	void *handle = scene->open();
	pid_t holder;

	(void)context;
	announce(&scene->opened, 1);
	await(&scene->go, 1);
	holder = start_child(hold_descriptors, NULL);
	if (atomic_load(&scene->go) == 2)
		await_sleep(getppid());
	scene->close(handle);
	announce(&scene->closed, 1);
	await(&scene->done, 1);
	kill(holder, SIGKILL);
	end_of(holder);
	return 0;
}

static pid_t begin(void *(*open)(void), void (*close)(void *handle))
{
	pid_t leaver;

	scene = share_memory(sizeof(*scene));
	*scene = (struct scene){.open = open, .close = close};
	leaver = start_child(leave, NULL);
	await(&scene->opened, 1);
	return leaver;
}

static void let_leave(void)
{
	announce(&scene->go, 1);
	await(&scene->closed, 1);
}

static void let_leave_when_we_sleep(void)
{
	announce(&scene->go, 2);
}

static void finish(pid_t leaver)
{
	announce(&scene->done, 1);
	require(end_of(leaver) == 0);
	unshare_memory(scene, sizeof(*scene));
}

/* --- topics --- */

static void *open_subscriber(void)
{
	return subscribe(SUBSCRIBER(RING(4096)), NAME);
}

static void close_subscriber(void *handle)
{
	ayre_subscriber_close(handle);
}

static void *open_publisher(void)
{
	return publish(PUBLISHER(RING(4096)), NAME);
}

static void close_publisher(void *handle)
{
	ayre_publisher_close(handle);
}

/* Not by the deadline, at which it looks once more by itself. */
static void send_more_than_a_ring(struct ayre_publisher *publisher)
{
	int64_t begin = now_ns();

	for (unsigned int i = 0; i < 600; i++)
		require(ayre_publisher_send_until(publisher, "x", 1, in_ms(HANGS_MS)) == 0);
	require(now_ns() - begin < HANGS_MS * MILLISECOND);
}

TOPIC_TEST(a_publisher_that_waits_is_told_that_a_subscriber_closed)
{
	pid_t leaver = begin(open_subscriber, close_subscriber);
	struct ayre_publisher *publisher = publish(PUBLISHER(.spin_ns = AYRE_SPIN_NONE), NAME);

	let_leave_when_we_sleep();
	send_more_than_a_ring(publisher);
	require(info_of_publisher(publisher).subscribers == 0);
	finish(leaver);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(an_event_loop_is_told_that_a_subscriber_closed)
{
	pid_t leaver = begin(open_subscriber, close_subscriber);
	struct ayre_publisher *publisher = publish(NULL, NAME);
	int fd = ayre_publisher_fd(publisher);

	require(fd >= 0);
	fill_ring(publisher);
	require(try_send_number(publisher, 1) == -EAGAIN);
	require(!is_readable(fd, 0));
	let_leave();
	require(is_readable(fd, HANGS_MS));
	require(try_send_number(publisher, 1) == 0);
	finish(leaver);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* And its lane is the next one's. */
static void expect_end_of_publisher(struct ayre_subscriber *subscriber)
{
	char last[NAME_BYTES];
	uint64_t number;

	require(ayre_subscriber_receive_until(subscriber, &number, sizeof(number), NULL,
	                                      in_ms(HANGS_MS)) == -EPIPE);
	ayre_publisher_close(publish(NULL, NAME));
	require(count_peers(NAME, "pub.", "", last) == 1);
}

static void hear_of_publisher(bool asleep)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(RING(4096), .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), NAME);
	pid_t leaver = begin(open_publisher, close_publisher);

	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(1)) == -ETIMEDOUT);
	if (asleep)
		let_leave_when_we_sleep();
	else
		let_leave();
	expect_end_of_publisher(subscriber);
	require(info_of_subscriber(subscriber).publishers_lost == 0);
	finish(leaver);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
}

TOPIC_TEST(a_subscriber_that_waits_is_told_that_a_publisher_closed)
{
	hear_of_publisher(true);
	return 0;
}

TOPIC_TEST(a_subscriber_that_looks_is_told_that_a_publisher_closed)
{
	hear_of_publisher(false);
	return 0;
}

/* --- without a name --- */

static struct ayre_ends ends;

static void *open_subscriber_end(void)
{
	return subscribe_ends(&ends, 0);
}

static void *open_publisher_end(void)
{
	return publish_ends(&ends);
}

TOPIC_TEST(a_publisher_without_a_name_is_told_that_its_subscriber_closed)
{
	struct ayre_publisher *publisher = pair_to(&ends);
	pid_t leaver = begin(open_subscriber_end, close_subscriber);

	ayre_ends_close(&ends);
	fill_ring(publisher);
	let_leave_when_we_sleep();
	send_more_than_a_ring(publisher);
	require(info_of_publisher(publisher).subscribers == 0);
	finish(leaver);
	ayre_publisher_close(publisher);
	return 0;
}

TOPIC_TEST(a_subscriber_without_a_name_is_told_that_its_publisher_closed)
{
	struct ayre_subscriber *subscriber = pair_from(&ends, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	pid_t leaver = begin(open_publisher_end, close_publisher);

	ayre_ends_close(&ends);
	let_leave_when_we_sleep();
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(HANGS_MS)) ==
	        -EPIPE);
	finish(leaver);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* --- services --- */

static void *open_server(void)
{
	return serve(NULL, NAME);
}

static void close_server(void *handle)
{
	ayre_server_close(handle);
}

static void *open_client_and_ask(void)
{
	struct ayre_client *client = connect_to(NULL, NAME);

	send_number_to(client, 1);
	return client;
}

static void close_client(void *handle)
{
	ayre_client_close(handle);
}

TOPIC_TEST(a_client_is_told_that_a_server_closed)
{
	pid_t leaver = begin(open_server, close_server);
	struct ayre_client *client = connect_to(CLIENT(.spin_ns = AYRE_SPIN_NONE), NAME);
	uint64_t call = send_number_to(client, 1);

	let_leave_when_we_sleep();
	expect_end(client, call, -EOWNERDEAD);
	ayre_server_close(serve(NULL, NAME));
	finish(leaver);
	ayre_client_close(client);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(who_stands_by_serves_when_a_server_closed)
{
	pid_t leaver = begin(open_server, close_server);

	let_leave_when_we_sleep();
	ayre_server_close(serve(SERVER(.flags = AYRE_SERVER_STANDBY), NAME));
	finish(leaver);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_server_is_told_that_a_client_closed)
{
	struct ayre_server *server = serve(NULL, NAME);
	pid_t leaver = begin(open_client_and_ask, close_client);
	struct ayre_call call = take_number(server, 1);

	let_leave();
	require(ayre_server_is_cancelled(server, &call) == 1);
	require(ayre_server_receive_until(server, NULL, 0, &(struct ayre_call){0}, in_ms(20)) ==
	        -ETIMEDOUT);
	require(info_of_server(server).clients == 0);
	require(ayre_server_reply(server, &call, "late", 4) == -EPIPE);
	finish(leaver);
	ayre_server_close(server);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_publisher_that_waits_is_told_that_a_subscriber_closed),
		counted_test(an_event_loop_is_told_that_a_subscriber_closed),
		counted_test(a_subscriber_that_waits_is_told_that_a_publisher_closed),
		counted_test(a_subscriber_that_looks_is_told_that_a_publisher_closed),
		counted_test(a_publisher_without_a_name_is_told_that_its_subscriber_closed),
		counted_test(a_subscriber_without_a_name_is_told_that_its_publisher_closed),
		counted_test(a_client_is_told_that_a_server_closed),
		counted_test(who_stands_by_serves_when_a_server_closed),
		counted_test(a_server_is_told_that_a_client_closed),
	};

	use_topic_root();
	return run_counted("closing beside a child", tests);
}
