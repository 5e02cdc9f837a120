/*
 * Lanes without a name: handed over by fork, by ayre_process_start() and by SCM_RIGHTS; and how each end
 * hears that the other has ended.
 */
#include "topic/pair_world.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <ayre/process.h>

#define MESSAGES 20000u

/* A way to hand the ends over, and which of them stays here. */
struct way {
	bool publishes; /* this process */
	struct ayre_ends ends;
	atomic_uint ready;
};

/* Every size that fits, with pauses on either side. */
static size_t size_of(uint32_t number)
{
	return number % 1024;
}

static void send_all(struct ayre_publisher *publisher)
{
	require(ayre_publisher_message_max(publisher) == 1024);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		send_pattern(publisher, size_of(i), i);
		if (i % 4096 == 0)
			pause_ns(MILLISECOND);
	}
	require(ayre_publisher_send(publisher, &publisher, 1025) == -EMSGSIZE);
	require(ayre_publisher_try_send(publisher, &publisher, 1025) == -EMSGSIZE);
	ayre_publisher_close(publisher);
}

static void receive_all(struct ayre_subscriber *subscriber)
{
	for (uint32_t i = 0; i < MESSAGES; i++) {
		receive_pattern(subscriber, size_of(i), i);
		if (i % 5000 == 0)
			pause_ns(MILLISECOND);
	}
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) == -EPIPE);
	ayre_subscriber_close(subscriber);
}

/* --- over fork --- */

static int be_other_end(void *context)
{
	struct way *way = context;

	if (way->publishes)
		receive_all(subscribe_ends(&way->ends, AYRE_SUBSCRIBER_UNTIL_CLOSED));
	else
		send_all(publish_ends(&way->ends));
	return 0;
}

TOPIC_TEST(a_lane_to_a_child_over_fork)
{
	struct way way = {.publishes = true};
	struct ayre_publisher *publisher = pair_to(&way.ends);
	pid_t child = start_child(be_other_end, &way);

	ayre_ends_close(&way.ends);
	require(way.ends.fds[0] == -1 && way.ends.fds[3] == -1);
	send_all(publisher);
	return end_of(child);
}

TOPIC_TEST(a_lane_from_a_child_over_fork)
{
	struct way way = {.publishes = false};
	struct ayre_subscriber *subscriber = pair_from(&way.ends, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	pid_t child = start_child(be_other_end, &way);

	ayre_ends_close(&way.ends);
	receive_all(subscriber);
	return end_of(child);
}

/* --- over a socket --- */

static void send_ends(int socket, const struct ayre_ends *ends)
{
	char byte = 'e', control[CMSG_SPACE(sizeof(ends->fds))] = {0};
	struct iovec vector = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(ends->fds));
	memcpy(CMSG_DATA(header), ends->fds, sizeof(ends->fds));
	require(sendmsg(socket, &message, 0) == 1);
}

static struct ayre_ends receive_ends(int socket)
{
	struct ayre_ends ends;
	char byte, control[CMSG_SPACE(sizeof(ends.fds))];
	struct iovec vector = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	require(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
	require(CMSG_FIRSTHDR(&message)->cmsg_len == CMSG_LEN(sizeof(ends.fds)));
	memcpy(ends.fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(ends.fds));
	return ends;
}

static int answer_over_socket(void *context)
{
	int socket = *(int *)context;
	struct ayre_ends ends;
	struct ayre_publisher *publisher;

	/* A process that is not a child of a handle's. */
	ends = receive_ends(socket);
	receive_all(subscribe_ends(&ends, AYRE_SUBSCRIBER_UNTIL_CLOSED));
	ends = receive_ends(socket);
	publisher = publish_ends(&ends);
	close(socket);
	send_all(publisher);
	return 0;
}

TOPIC_TEST(lanes_both_ways_over_a_socket)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct ayre_ends ends;
	int sockets[2];
	pid_t child;

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	child = start_child(answer_over_socket, &sockets[1]);
	close(sockets[1]);
	publisher = pair_to(&ends);
	send_ends(sockets[0], &ends);
	ayre_ends_close(&ends);
	send_all(publisher);
	subscriber = pair_from(&ends, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	send_ends(sockets[0], &ends);
	ayre_ends_close(&ends);
	receive_all(subscriber);
	close(sockets[0]);
	return end_of(child);
}

/* --- over ayre_process_start(), to a program --- */

/* This program, started as the other end: its descriptors are 10 to 13. */
static int be_started(void)
{
	struct ayre_ends ends = {{10, 11, 12, 13}};

	receive_all(subscribe_ends(&ends, AYRE_SUBSCRIBER_UNTIL_CLOSED));
	return 0;
}

TOPIC_TEST(a_lane_to_a_program)
{
	const char *const arguments[] = {"/proc/self/exe", "other-end", NULL};
	struct ayre_wire wires[AYRE_ENDS_COUNT];
	const struct ayre_process_options options = {
		.size = sizeof(options),
		.wires = wires,
		.wire_count = AYRE_ENDS_COUNT,
	};
	struct ayre_process_end end = {.size = sizeof(end)};
	struct ayre_process *process;
	struct ayre_publisher *publisher;
	struct ayre_ends ends;

	publisher = pair_to(&ends);
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		wires[i] = (struct ayre_wire){10 + i, ends.fds[i]};
	require(ayre_process_start(&options, arguments, &process, NULL) == 0);
	ayre_ends_close(&ends);
	send_all(publisher);
	require(ayre_process_wait(process, &end) >= 0);
	require(end.outcome == AYRE_OUTCOME_EXITED && end.status == 0);
	ayre_process_close(process);
	return 0;
}

/* --- the end --- */

static int die_at_once(void *context)
{
	struct way *way = context;
	/* Those in the parent are closed meanwhile. */
	const struct ayre_ends ends = way->ends;

	announce_one_more(&way->ready);
	if (way->publishes) {
		struct ayre_subscriber *subscriber = subscribe_ends(&ends, 0);

		require(receive_number(subscriber) == 1);
	} else {
		send_number(publish_ends(&ends), 1);
	}
	announce_one_more(&way->ready);
	wait_to_be_killed();
}

TOPIC_TEST(a_publisher_hears_that_the_subscriber_died)
{
	struct way *way = share_memory(sizeof(*way));

	for (int i = 0; i < 50; i++) {
		struct ayre_publisher *publisher;
		pid_t child;

		*way = (struct way){.publishes = true};
		publisher = pair_to(&way->ends);
		send_number(publisher, 1);
		child = start_child(die_at_once, way);
		await(&way->ready, 1);
		ayre_ends_close(&way->ends);
		await(&way->ready, 2);
		fill_ring(publisher);
		kill(child, SIGKILL);
		/* Nobody is waited for any more. */
		for (uint64_t j = 0; j < 1000; j++)
			require(ayre_publisher_send_until(publisher, &j, 8, in_ms(5000)) == 0);
		require(info_of_publisher(publisher).subscribers == 0);
		end_of(child);
		ayre_publisher_close(publisher);
	}
	unshare_memory(way, sizeof(*way));
	return 0;
}

TOPIC_TEST(a_subscriber_hears_that_the_publisher_died)
{
	struct way *way = share_memory(sizeof(*way));

	for (int i = 0; i < 50; i++) {
		struct ayre_subscriber *subscriber;
		uint64_t number;
		pid_t child;

		*way = (struct way){.publishes = false};
		subscriber = pair_from(&way->ends, AYRE_SUBSCRIBER_UNTIL_CLOSED);
		child = start_child(die_at_once, way);
		await(&way->ready, 1);
		ayre_ends_close(&way->ends);
		await(&way->ready, 2);
		kill(child, SIGKILL);
		require(receive_number(subscriber) == 1);
		require(ayre_subscriber_receive_until(subscriber, &number, 8, NULL, in_ms(5000)) ==
		        -EOWNERDEAD);
		end_of(child);
		ayre_subscriber_close(subscriber);
	}
	unshare_memory(way, sizeof(*way));
	return 0;
}

/* Before anybody took them: the ends are closed, and that is the end. */
TOPIC_TEST(ends_that_nobody_takes_are_ends_too)
{
	struct ayre_ends ends;
	struct ayre_publisher *publisher = pair_to(&ends);
	struct ayre_subscriber *subscriber;

	fill_ring(publisher);
	ayre_ends_close(&ends);
	require(try_send_number(publisher, 1) == 0);
	ayre_publisher_close(publisher);
	subscriber = pair_from(&ends, AYRE_SUBSCRIBER_UNTIL_CLOSED);
	ayre_ends_close(&ends);
	require(ayre_subscriber_receive(subscriber, NULL, 0, NULL) < 0);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* --- memory --- */

/* Were it tried all the same, it would end here, and not where the machine's memory ends. */
static void bound_files(void)
{
	struct rlimit limit = {64u << 20, 64u << 20};

	require(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

TOPIC_TEST(a_ring_that_the_machine_has_no_memory_for_is_refused)
{
	const struct ayre_publisher_options *large = PUBLISHER(RING(UINT64_C(1) << 40));
	struct ayre_publisher *publisher = NULL;
	struct ayre_subscriber *subscriber = NULL;
	struct ayre_error error = {0};
	struct ayre_ends ends;

	if ((uint64_t)sysconf(_SC_PHYS_PAGES) >= UINT64_C(1) << 27)
		return skipped("this machine may have that much");
	bound_files();
	require(ayre_publisher_open_pair(large, &publisher, &ends, &error) == -ENOMEM);
	require(error.code == -ENOMEM && strstr(error.detail, "1099511631872 bytes asked for"));
	require(ayre_publisher_open_pair(large, &publisher, &ends, NULL) == -ENOMEM);
	require(ayre_subscriber_open_pair(SUBSCRIBER(RING(UINT64_C(1) << 40)), &subscriber, &ends,
	                                  &error) == -ENOMEM);
	require(!publisher && !subscriber);
	return 0;
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_lane_to_a_child_over_fork),
		counted_test(a_lane_from_a_child_over_fork),
		counted_test(lanes_both_ways_over_a_socket),
		counted_test(a_lane_to_a_program),
		counted_test(a_publisher_hears_that_the_subscriber_died),
		counted_test(a_subscriber_hears_that_the_publisher_died),
		counted_test(ends_that_nobody_takes_are_ends_too),
		counted_test(a_ring_that_the_machine_has_no_memory_for_is_refused),
	};

	if (count == 2 && strcmp(arguments[1], "other-end") == 0)
		return be_started();
	use_topic_root();
	return run_counted("lanes without a name", tests);
}
