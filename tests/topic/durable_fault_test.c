/*
 * Topics on a disk: in every operation the n-th call of the kernel or the heap that can fail does fail, for every n
 * until none is reached, with each error that it can have.
 *
 * What has to hold whatever fails: the result is an error or a success that is one; nothing is left behind; nothing
 * that was committed is lost, and nothing is called safe by a flush that failed; and when nothing fails any
 * more everything goes on.
 */
#include "topic/durable_world.h"

#include <signal.h>

#include <ayre/topic_log.h>

#include "support/fault.h"
#include "topic/publisher.h"

struct scene {
	struct ayre_publisher *publisher, *opened;
	struct ayre_subscriber *subscriber, *subscribed;
	uint64_t sent; /* committed */
	uint64_t next; /* to be received */
};

struct operation {
	const char *title;
	uint32_t sync;
	void (*prepare)(struct scene *scene);
	int (*run)(struct scene *scene);
	bool opens;        /* on failure there is nothing that was not there before */
	bool flushes_once; /* what was sent, and nothing else */
};

static struct progress {
	unsigned int points_tried;
	char where[256];
} * progress;
static unsigned int points_tried;
static const struct operation *operation;

/* --- what is there before --- */

static void open_publisher(struct scene *scene)
{
	scene->publisher = publish_on_disk(PUBLISHER(DISK(.sync = operation->sync)));
	scene->sent = info_of_publisher(scene->publisher).messages;
}

static void send_some(struct scene *scene, uint64_t count)
{
	send_numbers(scene->publisher, count);
	scene->sent += count;
}

static void prepare_nothing(struct scene *scene)
{
	(void)scene;
}

static void prepare_publisher(struct scene *scene)
{
	open_publisher(scene);
	send_some(scene, 5);
}

/* The next goes beside the ring. */
static void prepare_large(struct scene *scene)
{
	large_numbers = true;
	prepare_publisher(scene);
}

static void prepare_left(struct scene *scene)
{
	prepare_publisher(scene);
	ayre_publisher_close(scene->publisher);
	scene->publisher = NULL;
}

static void prepare_rebooted(struct scene *scene)
{
	prepare_left(scene);
	reboot();
}

static int send_and_die(void *context)
{
	(void)context;
	send_numbers(publish_on_disk(PUBLISHER(DISK(.sync = operation->sync))), 5);
	raise(SIGKILL);
	return 1;
}

static void prepare_killed(struct scene *scene)
{
	require(WIFSIGNALED(run_in_child(send_and_die, NULL)));
	require(access(disk_half(), F_OK) == 0);
	scene->sent = 5;
}

/* The next to be carried is the first of another extent. */
static void prepare_full(struct scene *scene)
{
	const struct ayrei_journal *journal;

	open_publisher(scene);
	journal = &scene->publisher->journal;
	while (scene->publisher->lane.position + 16 + 400 < journal->begin + DISK_EXTENT)
		send_some(scene, 1);
	require(ayre_publisher_sync(scene->publisher) == 0);
	send_some(scene, 2);
}

static void prepare_log(struct scene *scene)
{
	open_publisher(scene);
	send_until_extents(scene->publisher, 2);
	scene->sent = info_of_publisher(scene->publisher).messages;
	ayre_publisher_close(scene->publisher);
	scene->publisher = NULL;
}

static void prepare_reader(struct scene *scene)
{
	prepare_log(scene);
	scene->subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
}

/* --- the one call --- */

static int create_it(struct scene *scene)
{
	int result = ayre_topic_create(TOPIC(.flags = AYRE_TOPIC_DURABLE, .ring_bytes = DISK_RING,
	                                     .extent_bytes = DISK_EXTENT),
	                               disk_topic(), NULL);

	(void)scene;
	return result < 0 ? result : 0;
}

static int open_it(struct scene *scene)
{
	return ayre_publisher_open(PUBLISHER(DISK(.sync = operation->sync)), disk_topic(),
	                           &scene->opened, NULL);
}

static int open_with_thread(struct scene *scene)
{
	return ayre_publisher_open(
		PUBLISHER(DISK(.sync = operation->sync), .flags = AYRE_PUBLISHER_THREAD),
		disk_topic(), &scene->opened, NULL);
}

/* What was committed, and is counted, will be received, whatever is said of it. */
static int send_one(struct scene *scene, size_t bytes)
{
	static char data[5000];
	int result;

	write_pattern(data, bytes, (uint32_t)scene->sent);
	result = ayre_publisher_send(scene->publisher, data, bytes);
	require(info_of_publisher(scene->publisher).messages >= scene->sent + (result == 0));
	require(info_of_publisher(scene->publisher).messages <= scene->sent + 1);
	scene->sent = info_of_publisher(scene->publisher).messages;
	return result;
}

static int send_it(struct scene *scene)
{
	return send_one(scene, size_of_number(scene->sent));
}

static int sync_it(struct scene *scene)
{
	uint64_t safe_before = info_of_publisher(scene->publisher).safe_messages, safe;
	int result = ayre_publisher_sync(scene->publisher);

	safe = info_of_publisher(scene->publisher).safe_messages;
	require(safe >= safe_before);
	require(result < 0 || safe == scene->sent);
	return result;
}

static int close_it(struct scene *scene)
{
	ayre_publisher_close(scene->publisher);
	scene->publisher = NULL;
	return 0;
}

static int subscribe_it(struct scene *scene)
{
	return ayre_subscriber_open(SUBSCRIBER(DISK(), .from = AYRE_FROM_OLDEST), disk_topic(),
	                            &scene->subscribed, NULL);
}

static int receive_it(struct scene *scene)
{
	int result = receive_numbers(scene->subscriber, &scene->next, 0);

	return result == -EAGAIN ? 0 : result;
}

static int verify_it(struct scene *scene)
{
	(void)scene;
	return ayre_topic_verify(disk_topic(), NULL, NULL, NULL);
}

static int remove_it(struct scene *scene)
{
	scene->sent = 0;
	return ayre_topic_remove(disk_topic(), false, NULL);
}

#define GROUP_ AYRE_TOPIC_SYNC_GROUP

#define OPENS   true, false
#define FLUSHES false, true
#define DOES    false, false

static const struct operation operations[] = {
	{"create", GROUP_, prepare_nothing, create_it, OPENS},
	{"open, nothing is there", GROUP_, prepare_nothing, open_it, OPENS},
	{"open, a ring is there", GROUP_, prepare_left, open_it, OPENS},
	{"open, its publisher was killed", GROUP_, prepare_killed, open_it, OPENS},
	{"open, no ring is there", GROUP_, prepare_rebooted, open_it, OPENS},
	{"open, with a thread", GROUP_, prepare_killed, open_with_thread, OPENS},
	{"send", GROUP_, prepare_publisher, send_it, DOES},
	{"send, safe", AYRE_TOPIC_SYNC_EACH, prepare_publisher, send_it, FLUSHES},
	{"send beside the ring, safe", AYRE_TOPIC_SYNC_EACH, prepare_large, send_it, FLUSHES},
	{"make safe", GROUP_, prepare_publisher, sync_it, FLUSHES},
	{"make safe in another extent", GROUP_, prepare_full, sync_it, DOES},
	{"the same where nothing is", AYRE_TOPIC_SYNC_NONE, prepare_full, sync_it, DOES},
	{"close", GROUP_, prepare_publisher, close_it, DOES},
	{"close in another extent", GROUP_, prepare_full, close_it, DOES},
	{"subscribe", GROUP_, prepare_log, subscribe_it, OPENS},
	{"receive", GROUP_, prepare_reader, receive_it, DOES},
	{"verify", GROUP_, prepare_log, verify_it, OPENS},
	{"remove", GROUP_, prepare_left, remove_it, DOES},
};

/* --- faults --- */

static void close_all(struct scene *scene)
{
	ayre_publisher_close(scene->publisher);
	ayre_publisher_close(scene->opened);
	ayre_subscriber_close(scene->subscriber);
	ayre_subscriber_close(scene->subscribed);
}

/* Whose publisher could not take the lane, and has another one: what was sent is where it was. */
static bool is_in_another_lane(const struct scene *scene)
{
	return scene->sent && scene->opened &&
	       info_of_publisher(scene->opened).messages != scene->sent;
}

static void leave_other_lane(struct scene *scene)
{
	require(info_of_publisher(scene->opened).messages == 0);
	close_all(scene);
	has_numbers(0, scene->sent);
	remove_disk_topic();
}

/* A failed flush is for good: it is closed, and opened anew. */
static void go_on(struct scene *scene)
{
	struct ayre_publisher *publisher;

	if (scene->subscriber) {
		require(receive_it(scene) == 0 && scene->next == scene->sent);
		require(info_of_subscriber(scene->subscriber).missed == 0);
	}
	close_all(scene);
	publisher = publish_on_disk(PUBLISHER(DISK(.sync = operation->sync)));
	if (info_of_publisher(publisher).messages != scene->sent)
		fprintf(stderr, "%lu messages, not %lu\n",
		        (unsigned long)info_of_publisher(publisher).messages,
		        (unsigned long)scene->sent);
	require(info_of_publisher(publisher).messages == scene->sent);
	send_numbers(publisher, 3);
	require(ayre_publisher_sync(publisher) == 0);
	ayre_publisher_close(publisher);
	has_numbers(0, scene->sent + 3);
	reboot();
	has_numbers(0, scene->sent + 3);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
}

/* Descriptors, maps and memory; names may be those of a topic that was made for an end that could not be opened. */
static bool has_leaked(const struct counts *now, const struct counts *before)
{
	return now->descriptors != before->descriptors || now->shared_maps != before->shared_maps ||
	       now->children != before->children;
}

/* false: the operation makes fewer calls than that. */
static bool inject(unsigned int nth, unsigned int variant)
{
	struct scene scene = {.publisher = NULL};
	struct counts at_first = take_counts(), before, now;
	struct fault_report report;
	bool is_sticky;
	int result;

	operation->prepare(&scene);
	before = take_counts();
	fault_arm(nth, variant);
	result = operation->run(&scene);
	report = fault_disarm();
	snprintf(progress->where, sizeof(progress->where),
	         "%s: call %u of %u, %s, fails with %s: result %d", operation->title, nth,
	         report.calls, report.symbol ? report.symbol : "none",
	         report.error == FAULT_SHORT ? "a part done" : strerror(report.error), result);
	require(result <= 0 && (result == 0 || report.symbol));
	/* A flush of what was sent is for good. */
	if (operation->flushes_once && report.symbol &&
	    (strcmp(report.symbol, "fdatasync") == 0 || strcmp(report.symbol, "fsync") == 0))
		require(report.error == EINTR || (result < 0 && scene.publisher->journal.failure));
	require(result != -EINTR && result != -EBADMSG);
	now = take_counts();
	require(result == 0 || !operation->opens || !has_leaked(&now, &before));
	if (result < 0) {
		is_sticky = scene.publisher && scene.publisher->journal.failure != 0;
		result = operation->run(&scene);
		/* Nothing is safe by a flush behind one that failed. */
		if (is_sticky)
			require(result < 0 && ayre_publisher_sync(scene.publisher) < 0);
		else
			require(result == 0 || (result == -ENOENT && operation->run == remove_it));
	}
	if (is_in_another_lane(&scene))
		leave_other_lane(&scene);
	else
		go_on(&scene);
	now = take_counts();
	require(!has_leaked(&now, &at_first));
	/* What it had hidden is hidden. */
	if (operation->run == remove_it)
		sweep();
	progress->points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

static int survive(void *context)
{
	operation = context;
	if (is_in_memory(test_directory()))
		return CHILD_SKIPS;
	limit_time(100);
	inject(0, 0);
	for (unsigned int variant = 0; variant < fault_variants(); variant++)
		for (unsigned int nth = 1; inject(nth, variant); nth++)
			continue;
	progress->where[0] = '\0';
	return 0;
}

static void survives_every_fault(void **state)
{
	char line[sizeof(progress->where)];
	int status;

	set_deadline(110);
	progress = share_memory(sizeof(*progress));
	status = run_in_child(survive, *state);
	points_tried += progress->points_tried;
	snprintf(line, sizeof(line), "%s", progress->where);
	unshare_memory(progress, sizeof(*progress));
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("TMPDIR is in memory");
	if (line[0])
		print_error("%s\n", line);
	assert_exited(status);
}

int main(void)
{
	static struct CMUnitTest tests[sizeof(operations) / sizeof(*operations)];
	size_t count = sizeof(operations) / sizeof(*operations);
	int result;

	use_topic_root();
	use_disk_topics();
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest)test_of(survives_every_fault, operations[i].title,
		                                      &operations[i]);
	result = run_counted_of("faults of topics on a disk", tests, count);
	print_message("# fault points tried: %u\n", points_tried);
	return result;
}
