/*
 * No room: trying, waiting until a time, waiting for ever; by a call or by the descriptor.
 * Whatever could not be sent is not there, and nothing that was sent is lost.
 */
#include "topic/topic_world.h"

#include <signal.h>
#include <sys/epoll.h>

#define NAME "full"

/* --- deadlines --- */

TOPIC_TEST(a_full_ring_is_told_and_keeps_what_it_has)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	uint64_t count = fill_ring(publisher), number = count;
	void *data = &data;

	/* Sixteen bytes each, and some room that is kept. */
	require(count > 200 && count <= 4096 / 16);
	for (int i = 0; i < 3; i++) {
		require(try_send_number(publisher, 99) == -EAGAIN);
		require(ayre_publisher_try_reserve(publisher, 8, &data) == -EAGAIN);
		require(data == &data);
		require(ayre_publisher_commit(publisher, 0) == -EINVAL);
		require(ayre_publisher_send_until(publisher, &number, 8, in_ms(1)) == -ETIMEDOUT);
		require(ayre_publisher_send_until(publisher, &number, 8, 0) == -ETIMEDOUT);
		require(ayre_publisher_send_until(publisher, &number, 8, -1) == -ETIMEDOUT);
		require(ayre_publisher_send_until(publisher, &number, 8, INT64_MIN) == -ETIMEDOUT);
		require(ayre_publisher_reserve_until(publisher, 8, &data, 0) == -ETIMEDOUT);
	}
	require(info_of_publisher(publisher).messages == count);
	for (uint64_t i = 0; i < count; i++)
		require(receive_number(subscriber) == i);
	nothing_is_there(subscriber);
	require(try_send_number(publisher, count) == 0);
	require(receive_number(subscriber) == count);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* Where there is room the time does not matter. */
TOPIC_TEST(a_deadline_that_has_passed_keeps_nobody_from_sending)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	static char large[100000];
	void *data;

	for (int i = 0; i < 10000; i++) {
		require(ayre_publisher_send_until(publisher, "x", 1, 0) == 0);
		require(ayre_publisher_reserve_until(publisher, 1, &data, -5) == 0);
	}
	require(ayre_publisher_send_until(publisher, large, sizeof(large), 0) == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- who is waited for --- */

TOPIC_TEST(nobody_waits_for_those_who_may_miss)
{
	struct ayre_publisher *lossy = publish(
		PUBLISHER(.topic = TOPIC(.ring_bytes = 4096, .flags = AYRE_TOPIC_LOSSY)), "lossy");
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *of_lossy = subscribe(NULL, "lossy");
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_LOSSY), NAME);

	for (uint64_t i = 0; i < 10000; i++) {
		require(try_send_number(lossy, i) == 0);
		require(try_send_number(publisher, i) == 0);
	}
	require(info_of_publisher(lossy).waits == 0 && info_of_publisher(publisher).waits == 0);
	ayre_subscriber_close(subscriber);
	ayre_subscriber_close(of_lossy);
	ayre_publisher_close(publisher);
	ayre_publisher_close(lossy);
	remove_topic("lossy");
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(the_slowest_is_waited_for_and_no_longer_once_it_is_gone)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *slow = subscribe(NULL, NAME), *quick = subscribe(NULL, NAME);
	uint64_t count = fill_ring(publisher);

	for (uint64_t i = 0; i < count; i++)
		require(receive_number(quick) == i);
	require(try_send_number(publisher, 0) == -EAGAIN);
	ayre_subscriber_close(slow);
	require(try_send_number(publisher, count) == 0);
	require(receive_number(quick) == count);
	ayre_subscriber_close(quick);
	for (uint64_t i = 0; i < 10000; i++)
		require(try_send_number(publisher, i) == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* --- in two processes --- */

struct slow {
	atomic_uint ready, go;
	uint64_t count;
	int64_t pause_ns;
};

static int read_slowly(void *context)
{
	struct slow *slow = context;
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	announce(&slow->ready, 1);
	await(&slow->go, 1);
	for (uint64_t i = 0; i < slow->count; i++) {
		require(receive_number(subscriber) == i);
		if (slow->pause_ns && i % 64 == 0)
			pause_ns(slow->pause_ns);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(a_writer_waits_for_ever_if_need_be)
{
	struct slow *slow = share_memory(sizeof(*slow));
	struct ayre_publisher *publisher;
	pid_t reader;

	slow->count = 20000;
	slow->pause_ns = MILLISECOND;
	reader = start_child(read_slowly, slow);
	await(&slow->ready, 1);
	publisher = publish(PUBLISHER(.spin_ns = AYRE_SPIN_NONE), NAME);
	announce(&slow->go, 1);
	for (uint64_t i = 0; i < slow->count; i++)
		send_number(publisher, i);
	require(end_of(reader) == 0);
	require(info_of_publisher(publisher).waits > 10);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(slow, sizeof(*slow));
	return 0;
}

TOPIC_TEST(a_stopped_reader_is_waited_for_until_the_deadline)
{
	struct slow *slow = share_memory(sizeof(*slow));
	struct ayre_publisher *publisher;
	int64_t begin;
	uint64_t sent;
	pid_t reader;

	slow->count = 1000;
	reader = start_child(read_slowly, slow);
	await(&slow->ready, 1);
	publisher = publish(NULL, NAME);
	kill(reader, SIGSTOP);
	announce(&slow->go, 1);
	sent = fill_ring(publisher);
	begin = now_ns();
	require(ayre_publisher_send_until(publisher, &sent, 8, in_ms(100)) == -ETIMEDOUT);
	require(now_ns() - begin >= 100 * MILLISECOND && now_ns() - begin < 2 * SECOND);
	kill(reader, SIGCONT);
	while (sent < slow->count)
		send_number(publisher, sent++);
	require(end_of(reader) == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(slow, sizeof(*slow));
	return 0;
}

/* --- the descriptor --- */

TOPIC_TEST(the_descriptor_tells_when_another_attempt_is_due)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	int fd = ayre_publisher_fd(publisher);
	uint64_t sent = 0, received = 0;

	require(fd >= 0);
	for (int round = 0; round < 20; round++) {
		sent += fill_ring(publisher);
		require(!is_readable(fd, 10));
		while (received < sent) {
			receive_number(subscriber);
			received++;
		}
		require(is_readable(fd, 1000) && is_readable(fd, 0));
		require(ayre_publisher_fd(publisher) == fd);
	}
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(the_descriptor_tells_that_the_slow_one_is_gone)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);
	struct ayre_subscriber *subscriber = subscribe(NULL, NAME);
	int fd = ayre_publisher_fd(publisher);

	fill_ring(publisher);
	require(!is_readable(fd, 10));
	ayre_subscriber_close(subscriber);
	require(is_readable(fd, 1000));
	require(try_send_number(publisher, 0) == 0);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	return 0;
}

/* An event loop that writes, and a reader that makes pauses: no other wake-up is used. */
TOPIC_TEST(a_loop_on_epoll_sends_everything)
{
	struct slow *slow = share_memory(sizeof(*slow));
	struct epoll_event event = {.events = EPOLLIN};
	struct ayre_publisher *publisher;
	int set = epoll_create1(EPOLL_CLOEXEC);
	pid_t reader;

	*slow = (struct slow){.count = 20000, .pause_ns = MILLISECOND / 2};
	reader = start_child(read_slowly, slow);
	await(&slow->ready, 1);
	publisher = publish(NULL, NAME);
	require(epoll_ctl(set, EPOLL_CTL_ADD, ayre_publisher_fd(publisher), &event) == 0);
	announce(&slow->go, 1);
	for (uint64_t sent = 0; sent < slow->count;) {
		int result = try_send_number(publisher, sent);

		require(result == 0 || result == -EAGAIN);
		sent += result == 0;
		require(result == 0 || epoll_wait(set, &event, 1, 10000) == 1);
	}
	require(end_of(reader) == 0);
	close(set);
	ayre_publisher_close(publisher);
	remove_topic(NAME);
	unshare_memory(slow, sizeof(*slow));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_full_ring_is_told_and_keeps_what_it_has),
		counted_test(a_deadline_that_has_passed_keeps_nobody_from_sending),
		counted_test(nobody_waits_for_those_who_may_miss),
		counted_test(the_slowest_is_waited_for_and_no_longer_once_it_is_gone),
		counted_test(a_writer_waits_for_ever_if_need_be),
		counted_test(a_stopped_reader_is_waited_for_until_the_deadline),
		counted_test(the_descriptor_tells_when_another_attempt_is_due),
		counted_test(the_descriptor_tells_that_the_slow_one_is_gone),
		counted_test(a_loop_on_epoll_sends_everything),
	};

	use_topic_root();
	return run_counted("no room", tests);
}
