/*
 * Topics on a disk whose clock goes back: by an administrator, by NTP, or by a machine that starts without one.
 *
 * Whoever begins at a time finds the first message whose stamp is not before it, and nothing is given up that is not
 * old enough. The clock is the library's own (--wrap), set to what each test wants.
 */
#include "topic/durable_world.h"

#include <inttypes.h>

#include <ayre/topic_log.h>

#include "sys/system.h"

#define HOUR (3600 * SECOND)

/* 2026, and a number that no step below meets twice. */
#define BEGIN (INT64_C(1790000000) * SECOND + 123457)

/* It goes on by a little each time that it is looked at. */
static _Atomic int64_t clock_ns = BEGIN;

int64_t __wrap_ayrei_realtime_ns(void);
int64_t __wrap_ayrei_realtime_ns(void)
{
	return atomic_fetch_add(&clock_ns, 1000) + 1000;
}

static void set_clock(int64_t time_ns)
{
	atomic_store(&clock_ns, time_ns);
}

/* --- from a time --- */

#define MESSAGES 6000u

/* Of message i: the time at which it was sent, and then its stamp. */
static int64_t *times;

static uint64_t first_not_before(int64_t time_ns)
{
	uint64_t i = 0;

	while (i < MESSAGES && times[i] < time_ns)
		i++;
	return i;
}

/* The first that is received; MESSAGES: none. */
static uint64_t received_from(int64_t time_ns)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(AYRE_FROM_TIME, time_ns, 0);
	struct ayre_message message = {.sequence = MESSAGES};
	char buffer[1024];
	ssize_t got = ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);

	require(got >= 0 || got == -EAGAIN);
	ayre_subscriber_close(subscriber);
	return got < 0 ? MESSAGES : message.sequence;
}

/* From the time of every so-many-th message, and from beside it. */
static void look_from_each_time(void)
{
	for (uint64_t i = 0; i < MESSAGES; i += 37)
		for (int64_t beside = -77; beside <= 77; beside += 77) {
			int64_t time_ns = times[i] + beside;
			uint64_t wanted = first_not_before(time_ns), first = received_from(time_ns);

			if (first != wanted)
				fprintf(stderr,
				        "from the time of message %" PRIu64 " and %" PRId64
				        ": %" PRIu64 ", not %" PRIu64 "\n",
				        i, beside, first, wanted);
			require(first == wanted);
		}
	require(received_from(0) == 0);
}

static struct ayre_publisher *go_on(void)
{
	return publish(PUBLISHER(.flags = AYRE_PUBLISHER_STAMP,
	                         .topic = TOPIC(.ring_bytes = DISK_RING,
	                                        .extent_bytes = 4 * AYREI_INDEX_STEP,
	                                        .sync = AYRE_TOPIC_SYNC_NONE)),
	               disk_topic());
}

/* A second each. */
static void send_one(struct ayre_publisher *publisher, uint64_t i)
{
	set_clock(atomic_load(&clock_ns) + SECOND);
	times[i] = atomic_load(&clock_ns);
	send_numbers(publisher, 1);
}

static void note_stamps(void)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	struct ayre_message message;
	char buffer[1024];

	for (uint64_t i = 0; i < MESSAGES; i++) {
		require(ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message) >=
		        0);
		require(message.sequence == i && message.time_ns >= times[i]);
		times[i] = message.time_ns;
	}
	ayre_subscriber_close(subscriber);
}

/*
 * Back while a publisher runs; back behind all that there is, and beyond where it was; and, when the machine starts anew,
 * back once more.
 */
static const struct {
	uint64_t at; /* this message */
	int64_t step_ns;
	bool reboots;
} jumps[] = {
	{1500, -HOUR / 4 - 101, false}, {2300, -HOUR / 2 - 211, false},
	{3100, 3 * HOUR + 307, false},  {3500, -2 * HOUR - 401, true},
	{4700, -8 * HOUR - 503, true},  {5200, 30 * HOUR + 601, false},
};

TOPIC_TEST(the_first_message_of_a_time_is_found_though_it_went_back)
{
	struct ayre_publisher *publisher;
	size_t jump = 0;

	SKIP_UNLESS_ON_DISK();
	publisher = go_on();
	disk_half();
	times = calloc(MESSAGES, sizeof(*times));
	set_clock(BEGIN);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		if (jump < sizeof(jumps) / sizeof(*jumps) && i == jumps[jump].at) {
			if (jumps[jump].reboots) {
				ayre_publisher_close(publisher);
				reboot();
			}
			set_clock(atomic_load(&clock_ns) + jumps[jump].step_ns);
			if (jumps[jump].reboots)
				publisher = go_on();
			jump++;
		}
		send_one(publisher, i);
	}
	note_stamps();
	look_from_each_time();
	ayre_publisher_close(publisher);
	reboot();
	look_from_each_time();
	free(times);
	has_numbers(0, MESSAGES);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	return 0;
}

/* --- so long is kept --- */

static uint64_t oldest_extent(uint64_t lane)
{
	return list_extents(lane).begins[0];
}

/* Until the lane has begun so many more. */
static void send_extents(struct ayre_publisher *publisher, int count)
{
	uint64_t lane = info_of_publisher(publisher).id;

	for (; count > 0; count--) {
		struct extent_list list = list_extents(lane);
		uint64_t last = list.begins[list.count - 1];

		while (list = list_extents(lane), list.begins[list.count - 1] == last)
			send_numbers(publisher, 20);
	}
}

TOPIC_TEST(nothing_is_given_up_too_early_though_it_went_back)
{
	struct ayre_publisher *publisher;
	uint64_t lane, begin, sent;

	SKIP_UNLESS_ON_DISK();
	set_clock(BEGIN);
	publisher = publish_on_disk(
		PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE, .retain_age_ns = HOUR)));
	lane = info_of_publisher(publisher).id;
	begin = oldest_extent(lane);
	send_extents(publisher, 3);
	set_clock(BEGIN - 2 * HOUR);
	send_extents(publisher, 3);
	/* Half an hour, by any clock. */
	set_clock(BEGIN - 2 * HOUR + HOUR / 2);
	send_extents(publisher, 3);
	require(oldest_extent(lane) == begin);
	sent = info_of_publisher(publisher).messages;
	ayre_publisher_close(publisher);
	reboot();
	has_numbers(0, sent);
	/* The next one opens by a clock that is further back. */
	set_clock(BEGIN - 50 * HOUR);
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_extents(publisher, 2);
	require(oldest_extent(lane) == begin);
	ayre_publisher_close(publisher);
	remove_disk_topic();
	return 0;
}

TOPIC_TEST(what_is_old_is_given_up_when_it_has_caught_up)
{
	struct ayre_publisher *publisher;
	uint64_t lane, middle;

	SKIP_UNLESS_ON_DISK();
	set_clock(BEGIN);
	publisher = publish_on_disk(
		PUBLISHER(DISK(.sync = AYRE_TOPIC_SYNC_NONE, .retain_age_ns = HOUR)));
	lane = info_of_publisher(publisher).id;
	send_extents(publisher, 3);
	set_clock(BEGIN - 2 * HOUR);
	send_extents(publisher, 3);
	/* An hour behind the latest that it ever was. */
	set_clock(BEGIN + HOUR + SECOND);
	middle = list_extents(lane).begins[list_extents(lane).count - 1];
	send_extents(publisher, 1);
	require(oldest_extent(lane) >= middle);
	set_clock(BEGIN + 2 * HOUR + 2 * SECOND);
	send_extents(publisher, 1);
	require(list_extents(lane).count <= 2);
	ayre_publisher_close(publisher);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(the_first_message_of_a_time_is_found_though_it_went_back),
		counted_test(nothing_is_given_up_too_early_though_it_went_back),
		counted_test(what_is_old_is_given_up_when_it_has_caught_up),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_clock", tests);
}
