/*
 * Publishers of topics on a disk, killed at any moment, with a journal in a thread of its own: a tracer steps one
 * thread, and what two do to each other is met only by chance, many times.
 *
 * After each death what was sent is there, in the ring and the log; and if the ring is gone as well, all that was
 * said to be safe, to the publisher and to who receives nothing else. The next one goes on behind it.
 */
#include "topic/durable_world.h"

#include <inttypes.h>
#include <signal.h>

#include <ayre/topic_log.h>

/* Shared with the victim. */
static struct stage {
	_Atomic uint64_t begun; /* sending them, and sent, and said to be safe: so many */
	_Atomic uint64_t sent, safe;
	atomic_uint opened;
} * stage;

struct way {
	uint32_t sync, flags;
	uint64_t retain_bytes;
	bool large;
};

static const struct ayre_publisher_options *options_of(const struct way *way)
{
	static struct ayre_topic_options topic;
	static struct ayre_publisher_options options;

	topic = *TOPIC(.flags = AYRE_TOPIC_DURABLE, .ring_bytes = DISK_RING,
	               .extent_bytes = DISK_EXTENT, .sync = way->sync,
	               .retain_bytes = way->retain_bytes);
	options = *PUBLISHER(.topic = &topic, .flags = way->flags);
	return &options;
}

/* --- the victim --- */

static void note_safe(struct ayre_publisher *publisher)
{
	int64_t safe = ayre_publisher_safe_messages(publisher);

	require(safe >= 0 && (uint64_t)safe <= stage->sent);
	stage->safe = (uint64_t)safe;
}

static int publish_until_killed(void *context)
{
	struct ayre_publisher *publisher = publish(options_of(context), disk_topic());
	uint64_t count = info_of_publisher(publisher).messages;

	/* What the one before it has sent, it may have. */
	require(count >= stage->sent && count <= stage->begun);
	stage->begun = stage->sent = count;
	announce(&stage->opened, 1);
	for (uint64_t turn = 1;; turn++) {
		stage->begun = count + 1;
		send_numbers(publisher, 1);
		stage->sent = ++count;
		note_safe(publisher);
		if (turn % 61 == 0)
			require(ayre_publisher_wait_safe(publisher, count - 1, in_ms(30000)) == 0);
		if (turn % 97 == 0)
			require(ayre_publisher_sync(publisher) == 0);
		note_safe(publisher);
		if (turn % 331 == 0) {
			ayre_publisher_close(publisher);
			publisher = publish(options_of(context), disk_topic());
			require(info_of_publisher(publisher).messages == count);
		}
	}
}

/* --- who looks after it --- */

/* From some way back on, all there is, until it is told that there will be no more: how far that goes. */
static uint64_t count_messages(uint64_t from, uint32_t flags)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(
		AYRE_FROM_SEQUENCE, (int64_t)from, flags | AYRE_SUBSCRIBER_UNTIL_CLOSED);
	uint64_t next = from;
	int result = receive_numbers(subscriber, &next, in_ms(30000));

	if (result != -EOWNERDEAD && result != -EPIPE)
		fprintf(stderr, "at %" PRIu64 ": %s\n", next, strerror(-result));
	require(result == -EOWNERDEAD || result == -EPIPE);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	return next;
}

/* In how many of the deaths something was sent that was not safe. */
static unsigned int deaths, unsafe;

static void look_after(bool loses_ring)
{
	uint64_t sent = stage->sent, begun = stage->begun, safe = stage->safe;
	uint64_t from = safe > 30 ? safe - 30 : 0;
	uint64_t told = count_messages(from, AYRE_SUBSCRIBER_SAFE_ONLY);
	uint64_t count = count_messages(from, 0);

	if (count < sent || count > begun || told < safe)
		fprintf(stderr,
		        "sent %" PRIu64 " to %" PRIu64 ", safe %" PRIu64 ": there are %" PRIu64
		        ", told safe %" PRIu64 "\n",
		        sent, begun, safe, count, told);
	require(count >= sent && count <= begun);
	require(told >= safe && told <= count);
	deaths++;
	unsafe += safe < sent;
	if (loses_ring) {
		reboot();
		sent = count_messages(from, 0);
		if (sent < told || sent > count)
			fprintf(stderr, "safe %" PRIu64 " of %" PRIu64 ": %" PRIu64 " are left\n",
			        told, count, sent);
		require(sent >= told && sent <= count);
		count = sent;
	}
	stage->sent = stage->begun = count;
	stage->safe = told;
}

static void die_once(const struct way *way)
{
	pid_t child;
	int status;

	stage->opened = 0;
	child = start_child(publish_until_killed, (void *)(uintptr_t)way);
	/* While it opens the topic, too. */
	if (random_below(8)) {
		int64_t deadline = in_ms(30000);

		while (stage->opened == 0 && now_ns() < deadline)
			pause_ns(MILLISECOND / 20);
		require(stage->opened);
	}
	pause_ns((int64_t)random_below(random_below(4) ? 1000 : 15000) * 1000);
	require(kill(child, SIGKILL) == 0);
	status = end_of(child);
	require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	look_after(random_below(2));
}

static void begin_topic(const struct way *way)
{
	struct ayre_publisher *publisher = publish_on_disk(options_of(way));

	send_numbers(publisher, 1);
	ayre_publisher_close(publisher);
	stage->begun = stage->sent = 1;
	stage->safe = 0;
}

/* One that lives to its end; then all of it. */
static void end_topic(const struct way *way)
{
	struct ayre_publisher *publisher = publish(options_of(way), disk_topic());
	uint64_t count = info_of_publisher(publisher).messages;

	require(count == stage->sent);
	ayre_publisher_close(publisher);
	if (way->retain_bytes == 0)
		require(count_messages(0, 0) == count);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
}

#define TURNS (long_form() ? 2000u : is_sanitized() ? 10u : 40u)

static int die_often(const struct way *way)
{
	if (is_in_memory(test_directory()))
		return skipped("TMPDIR is in memory");
	large_numbers = way->large;
	stage = share_memory(sizeof(*stage));
	random_seed((uint32_t)realtime_ns());
	begin_topic(way);
	for (unsigned int turn = 1; turn <= TURNS; turn++) {
		die_once(way);
		/* So that there are never too many files. */
		if (turn % 20 == 0) {
			end_topic(way);
			begin_topic(way);
		}
	}
	end_topic(way);
	fprintf(stdout, "# %u deaths, in %u of them something was not safe\n", deaths, unsafe);
	fflush(stdout);
	require(unsafe > 0 || way->sync == AYRE_TOPIC_SYNC_EACH);
	unshare_memory(stage, sizeof(*stage));
	return 0;
}

#define DEATHS(name, ...) \
	TOPIC_TEST(name) \
	{ \
		return die_often(&(struct way){__VA_ARGS__}); \
	}

#define THREAD AYRE_PUBLISHER_THREAD

DEATHS(dying_with_a_thread, AYRE_TOPIC_SYNC_GROUP, THREAD, 0, false)
DEATHS(dying_with_a_thread_stamped, AYRE_TOPIC_SYNC_GROUP, THREAD | AYRE_PUBLISHER_STAMP, 0, false)
DEATHS(dying_with_a_thread_large, AYRE_TOPIC_SYNC_GROUP, THREAD, 0, true)
DEATHS(dying_with_a_thread_giving_up, AYRE_TOPIC_SYNC_GROUP, THREAD, 100000, true)
DEATHS(dying_with_a_thread_each_safe, AYRE_TOPIC_SYNC_EACH, THREAD, 0, false)
DEATHS(dying_with_a_thread_unsafe, AYRE_TOPIC_SYNC_NONE, THREAD, 0, false)
DEATHS(dying_without_a_thread, AYRE_TOPIC_SYNC_GROUP, 0, 0, false)

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(dying_with_a_thread),
		counted_test(dying_with_a_thread_stamped),
		counted_test(dying_with_a_thread_large),
		counted_test(dying_with_a_thread_giving_up),
		counted_test(dying_with_a_thread_each_safe),
		counted_test(dying_with_a_thread_unsafe),
		counted_test(dying_without_a_thread),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_death", tests);
}
