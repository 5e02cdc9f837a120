/*
 * Many publishers: more than a cursor has room for at first, and more than descriptors allow.
 */
#include "topic/topic_world.h"

#include <sys/resource.h>

#define NAME "many"

/* So many, or as many as this user may have. */
static rlim_t allow_descriptors(rlim_t count)
{
	struct rlimit limit;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	return limit.rlim_cur;
}

static rlim_t most_descriptors(void)
{
	struct rlimit limit;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	return limit.rlim_max;
}

/* --- processes --- */

#define PROCESSES 200u
#define EACH      50u

static int send_a_few(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	uint64_t number = (uintptr_t)context * EACH;

	for (unsigned int i = 0; i < EACH; i++)
		send_number(publisher, number++);
	ayre_publisher_close(publisher);
	return 0;
}

TOPIC_TEST(two_hundred_processes_are_heard)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	static unsigned int heard[PROCESSES];
	pid_t children[PROCESSES];

	for (uintptr_t i = 0; i < PROCESSES; i++)
		children[i] = start_child(send_a_few, (void *)i);
	for (unsigned int i = 0; i < PROCESSES * EACH; i++) {
		uint64_t number = receive_number(subscriber);

		require(number / EACH < PROCESSES);
		require(number % EACH == heard[number / EACH]++);
	}
	for (unsigned int i = 0; i < PROCESSES; i++)
		require(end_of(children[i]) == 0);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* --- a cursor of several pages --- */

#define HANDLES 300u

/* The first page of a cursor has 60 entries; the next ones are mapped by a publisher that looks for its own. */
TOPIC_TEST(a_publisher_finds_its_entry_beyond_the_first_page)
{
	struct ayre_subscriber *subscriber;
	static struct ayre_publisher *publishers[HANDLES];
	static uint64_t sent[HANDLES];
	uint64_t all = 0;

	if (most_descriptors() < 4000)
		return skipped("this user may not have enough descriptors");
	allow_descriptors(4000);
	subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	for (unsigned int i = 0; i < HANDLES; i++)
		publishers[i] = publish(NULL, NAME);
	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < HANDLES; i++) {
			uint64_t more = fill_ring(publishers[i]);

			/* Who did not find its entry would stay full. */
			require(round == 0 ? more > 200 : more > 100);
			sent[i] += more;
			all += more;
		}
		while (info_of_subscriber(subscriber).received < all)
			receive_number(subscriber);
	}
	require(info_of_subscriber(subscriber).publishers == HANDLES);
	require(info_of_subscriber(subscriber).missed == 0);
	for (unsigned int i = 0; i < HANDLES; i++) {
		require(info_of_publisher(publishers[i]).messages == sent[i]);
		ayre_publisher_close(publishers[i]);
	}
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* --- as many as descriptors allow --- */

#define WANTED 10000u

/* In a process of its own, that has enough descriptors. */
struct listener {
	atomic_uint ready, sent;
	uint64_t count;
};

static int hear_all(void *context)
{
	struct listener *listener = context;
	struct ayre_subscriber *subscriber;
	static unsigned char heard[WANTED];

	allow_descriptors(3 * WANTED);
	subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	announce(&listener->ready, 1);
	await(&listener->sent, 1);
	for (uint64_t i = 0; i < 2 * listener->count; i++) {
		uint64_t number = receive_number(subscriber);

		require(number / 2 < listener->count && number % 2 == heard[number / 2]++);
	}
	require(info_of_subscriber(subscriber).publishers == listener->count);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(as_many_publishers_as_descriptors_allow)
{
	struct listener *listener = share_memory(sizeof(*listener));
	static struct ayre_publisher *publishers[WANTED];
	struct ayre_error error = {0};
	rlim_t allowed;
	pid_t child = start_child(hear_all, listener);
	char last[NAME_BYTES];
	uint64_t count = 0;
	int64_t begin = now_ns();
	int result = 0;

	await(&listener->ready, 1);
	allowed = allow_descriptors(long_form() ? 7 * WANTED : 3000);
	while (count < WANTED &&
	       (result = ayre_publisher_open(NULL, NAME, &publishers[count], &error)) == 0) {
		send_number(publishers[count], 2 * count);
		count++;
	}
	print_message("# %llu publishers in %lld ms: %s\n", (unsigned long long)count,
	              (long long)(now_ns() - begin) / MILLISECOND,
	              result < 0 ? error.step : "all that were wanted");
	require(result == 0 || (result == -EMFILE && error.step[0]));
	require(count >= allowed / 8);
	/* Nothing of the one that could not be opened is there, and the others go on. */
	require(count_peers(NAME, "pub.", "", last) == (int)count);
	require(count_peers(NAME, "pub.", ".bell", last) == (int)count);
	for (uint64_t i = 0; i < count; i++)
		send_number(publishers[i], 2 * i + 1);
	listener->count = count;
	announce(&listener->sent, 1);
	require(end_of(child) == 0);
	for (uint64_t i = 0; i < count; i++)
		ayre_publisher_close(publishers[i]);
	unshare_memory(listener, sizeof(*listener));
	remove_topic(NAME);
	return 0;
}

/* --- a subscriber that has no descriptor left --- */

#define KNOWN     10u
#define NEWCOMERS 10u

static unsigned int receive_what_is_there(struct ayre_subscriber *subscriber,
                                          unsigned int counts[static KNOWN + NEWCOMERS],
                                          unsigned int *told)
{
	unsigned int received = 0;
	int64_t end = in_ms(100);
	uint64_t number;

	/* Until there was nothing for a while, however busy the machine is. */
	while (now_ns() < end) {
		ssize_t got = ayre_subscriber_try_receive(subscriber, &number, 8, NULL);

		require(got == 8 || got == -EAGAIN || got == -EMFILE);
		*told += got == -EMFILE;
		if (got != 8)
			continue;
		require(number < KNOWN + NEWCOMERS);
		counts[number]++;
		received++;
		end = in_ms(100);
	}
	return received;
}

TOPIC_TEST(those_who_are_known_go_on_when_no_descriptor_is_left)
{
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);
	struct ayre_publisher *publishers[KNOWN + NEWCOMERS];
	unsigned int counts[KNOWN + NEWCOMERS] = {0}, told = 0;

	for (unsigned int i = 0; i < KNOWN; i++) {
		publishers[i] = publish(NULL, NAME);
		send_number(publishers[i], i);
	}
	require(receive_what_is_there(subscriber, counts, &told) == KNOWN && told == 0);
	for (unsigned int i = KNOWN; i < KNOWN + NEWCOMERS; i++) {
		publishers[i] = publish(NULL, NAME);
		send_number(publishers[i], i);
	}
	/* None is left for another. */
	allow_descriptors(3);
	for (unsigned int i = 0; i < KNOWN; i++)
		send_number(publishers[i], i);
	require(receive_what_is_there(subscriber, counts, &told) == KNOWN);
	/* Not in every attempt: that would be thousands of times. */
	require(told >= 1 && told <= NEWCOMERS);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	allow_descriptors(1024);
	/* The next one who comes is the occasion to look for all of them. */
	ayre_publisher_close(publishers[0]);
	publishers[0] = publish(NULL, NAME);
	send_number(publishers[0], 0);
	receive_what_is_there(subscriber, counts, &told);
	for (unsigned int i = 0; i < KNOWN + NEWCOMERS; i++) {
		if (counts[i] != (i == 0 ? 3 : i < KNOWN ? 2 : 1))
			fprintf(stderr, "%u: %u\n", i, counts[i]);
		require(counts[i] == (i == 0 ? 3 : i < KNOWN ? 2 : 1));
		ayre_publisher_close(publishers[i]);
	}
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* --- and a publisher --- */

/* It does not send what it could not wait for. */
TOPIC_TEST(a_publisher_that_cannot_know_a_subscriber_sends_nothing)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint64_t sent = 0, number;
	int result;

	allow_descriptors(3);
	/* The first one may go: it is by it that she is found. */
	while ((result = try_send_number(publisher, sent)) == 0)
		require(++sent < 3);
	require(result == -EMFILE);
	require(ayre_publisher_send(publisher, &sent, 8) == -EMFILE);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(10)) == -EMFILE);
	require(info_of_publisher(publisher).messages == sent);
	allow_descriptors(1024);
	for (int i = 0; i < 100; i++)
		send_number(publisher, sent++);
	require(ayre_publisher_wait_subscribers(publisher, 1, 0) == 1);
	for (uint64_t i = 0; i < sent; i++)
		require(receive_number(subscriber) == i);
	require(ayre_subscriber_try_receive(subscriber, &number, 8, NULL) == -EAGAIN);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(two_hundred_processes_are_heard),
		counted_test(a_publisher_finds_its_entry_beyond_the_first_page),
		counted_test(as_many_publishers_as_descriptors_allow),
		counted_test(those_who_are_known_go_on_when_no_descriptor_is_left),
		counted_test(a_publisher_that_cannot_know_a_subscriber_sends_nothing),
	};

	use_topic_root();
	return run_counted("many publishers", tests);
}
