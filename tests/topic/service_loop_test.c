/*
 * Services in event loops: what a call has to tell, a descriptor tells, and nothing that happens once is
 * told for ever.
 */
#include "topic/service_world.h"

#include <signal.h>
#include <sys/epoll.h>

static const char *const name = "loops";

/* --- what the descriptors tell --- */

/* Somebody who comes or goes does so in steps, each of which may be told; a descriptor that never rests is wrong. */
#define REST_MS 10000

/* Tries until there is nothing, as a loop does, and then nothing is told. */
static void settle_client(struct ayre_client *client, int fd, bool outstanding)
{
	uint64_t number;
	ssize_t got;

	for (int64_t end_ns = in_ms(REST_MS); now_ns() < end_ns;) {
		got = ayre_client_try_receive(client, &number, sizeof(number), INFO);
		require(got == (outstanding ? -EAGAIN : -ENOENT));
		if (!is_readable(fd, 20))
			return;
	}
	require(false);
}

static void settle_server(struct ayre_server *server, int fd)
{
	struct ayre_call call;
	uint64_t number;

	for (int64_t end_ns = in_ms(REST_MS); now_ns() < end_ns;) {
		require(ayre_server_try_receive(server, &number, sizeof(number), &call) == -EAGAIN);
		if (!is_readable(fd, 20))
			return;
	}
	require(false);
}

TOPIC_TEST(descriptors_tell_of_requests_and_replies)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	int server_fd = ayre_server_fd(server), client_fd = ayre_client_fd(client);

	require(server_fd >= 0 && client_fd >= 0);
	require(ayre_server_fd(server) == server_fd && ayre_client_fd(client) == client_fd);
	for (uint64_t i = 0; i < 20; i++) {
		struct ayre_call call;
		uint64_t number;

		settle_server(server, server_fd);
		settle_client(client, client_fd, false);
		number = send_number_to(client, i);
		require(is_readable(server_fd, 10000));
		call = take_number(server, i);
		settle_client(client, client_fd, true);
		reply_number(server, &call, 10 * i);
		require(is_readable(client_fd, 10000));
		require(is_readable(client_fd, 0));
		require(expect_end(client, number, 0) == 10 * i);
	}
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(a_clients_descriptor_tells_of_deadlines_and_cancellations)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	int fd = ayre_client_fd(client);
	uint64_t late, later, cancelled, word = 0;
	int64_t begin = now_ns();

	settle_client(client, fd, false);
	require(ayre_client_send(client, &word, 8, in_ms(150), &later) == 0);
	require(ayre_client_send(client, &word, 8, in_ms(100), &late) == 0);
	settle_client(client, fd, true);
	require(is_readable(fd, 10000));
	require(now_ns() - begin >= 100 * MILLISECOND);
	expect_end(client, late, -ETIMEDOUT);
	require(ayre_client_try_receive(client, &word, 8, INFO) == -EAGAIN);
	require(is_readable(fd, 10000));
	require(now_ns() - begin >= 150 * MILLISECOND);
	expect_end(client, later, -ETIMEDOUT);
	cancelled = send_number_to(client, 1);
	settle_client(client, fd, true);
	require(ayre_client_cancel(client, cancelled) == 0);
	require(is_readable(fd, 0));
	expect_end(client, cancelled, -ECANCELED);
	settle_client(client, fd, false);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

static atomic_uint *ready;

static int take_one_and_wait(void *context)
{
	struct ayre_server *server = serve(NULL, name);

	(void)context;
	take_number(server, 1);
	announce(ready, 1);
	wait_to_be_killed();
}

TOPIC_TEST(a_clients_descriptor_tells_of_servers_that_come_and_die)
{
	struct ayre_client *client;
	uint64_t number = 1, call;
	pid_t victim;
	int fd, result;

	ready = share_memory(sizeof(*ready));
	require(ayre_topic_create(TOPIC(.ring_bytes = 256 << 10), name, NULL) == 1);
	victim = fork();
	if (victim == 0) {
		await_sleep(getppid());
		_exit(take_one_and_wait(NULL));
	}
	client = connect_to(NULL, name);
	fd = ayre_client_fd(client);
	settle_client(client, fd, false);
	while ((result = ayre_client_try_send(client, &number, 8, AYRE_NO_DEADLINE, &call)) ==
	       -EPIPE)
		require(is_readable(fd, 10000));
	require(result == 0);
	await(ready, 1);
	settle_client(client, fd, true);
	kill(victim, SIGKILL);
	require(is_readable(fd, 10000));
	end_of(victim);
	expect_end(client, call, -EOWNERDEAD);
	require(ayre_client_try_send(client, &number, 8, AYRE_NO_DEADLINE, &call) == -EPIPE);
	settle_client(client, fd, false);
	ayre_client_close(client);
	unshare_memory(ready, sizeof(*ready));
	remove_topic(name);
	return 0;
}

/* Whoever looks for replies in between hears the bell that the sender waits for. */
TOPIC_TEST(what_a_sender_waits_for_is_told_though_a_receiver_has_heard_it)
{
	struct ayre_client *client = connect_to(CLIENT(RING(4096)), name);
	int fd = ayre_client_fd(client), result;
	uint64_t count = 0, call, number;
	struct ayre_server *server;

	settle_client(client, fd, false);
	require(ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call) == -EPIPE);
	server = serve(NULL, name);
	for (int i = 0; i < 3; i++) {
		require(ayre_client_try_receive(client, &number, 8, INFO) == -ENOENT);
		require(is_readable(fd, 0));
	}
	while ((result = ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call)) == 0)
		count++;
	require(result == -EAGAIN && count > 0);
	settle_client(client, fd, true);
	for (uint64_t i = 0; i < count; i++)
		take_number(server, i);
	for (int i = 0; i < 3; i++) {
		require(ayre_client_try_receive(client, &number, 8, INFO) == -EAGAIN);
		require(is_readable(fd, 0));
	}
	require(ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call) == 0);
	settle_client(client, fd, true);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(descriptors_tell_of_room)
{
	struct ayre_server *server = serve(SERVER(RING(4096)), name);
	struct ayre_client *client = connect_to(NULL, name);
	int server_fd = ayre_server_fd(server), client_fd = ayre_client_fd(client), result;
	uint64_t count = 0, call, number;
	static struct ayre_call calls[4096];

	settle_client(client, client_fd, false);
	while ((result = ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call)) == 0)
		count++;
	require(result == -EAGAIN);
	settle_client(client, client_fd, true);
	for (uint64_t i = 0; i < count; i++)
		calls[i] = take_number(server, i);
	require(is_readable(client_fd, 10000));
	require(ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call) == 0);
	calls[count] = take_number(server, count);
	count++;
	/* The other way: more calls than there is room for replies. */
	number = count + 10;
	for (; count < number; count++) {
		require(ayre_client_try_send(client, &count, 8, AYRE_NO_DEADLINE, &call) == 0);
		calls[count] = take_number(server, count);
	}
	for (number = 0; number < count; number++) {
		result = ayre_server_try_reply(server, &calls[number], &number, 8);
		if (result < 0)
			break;
	}
	require(result == -EAGAIN && number > 0);
	settle_server(server, server_fd);
	for (uint64_t i = 0; i < number; i++)
		expect_end(client, calls[i].number, 0);
	require(is_readable(server_fd, 10000));
	for (uint64_t i = number; i < count; i++) {
		require(ayre_server_try_reply(server, &calls[i], &i, 8) == 0);
		require(expect_end(client, calls[i].number, 0) == i);
	}
	settle_server(server, server_fd);
	ayre_client_close(client);
	/* And of a client that has gone. */
	while (info_of_server(server).clients) {
		require(is_readable(server_fd, 10000));
		require(ayre_server_try_receive(server, &number, 8, &calls[0]) == -EAGAIN);
	}
	settle_server(server, server_fd);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* --- loops --- */

#define CLIENTS 4
#define DEPTH   8

static unsigned int calls_each(void)
{
	return long_form() ? 100000 : 2000;
}

static int wait_for(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);

	require(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
	return set;
}

static void wait_in(int set)
{
	struct epoll_event event;

	/* One that is not woken never will be. */
	require(epoll_wait(set, &event, 1, 20000) == 1);
}

static int serve_in_a_loop(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	unsigned int left = CLIENTS * calls_each();
	int set = wait_for(ayre_server_fd(server));

	(void)context;
	while (left > 0) {
		struct ayre_call call;
		uint64_t number;
		ssize_t got = ayre_server_try_receive(server, &number, sizeof(number), &call);

		if (got == -EAGAIN) {
			wait_in(set);
			continue;
		}
		require(got == sizeof(number));
		number *= 2;
		require(ayre_server_try_reply(server, &call, &number, sizeof(number)) == 0);
		left--;
	}
	close(set);
	ayre_server_close(server);
	return 0;
}

static int call_in_a_loop(void *context)
{
	struct ayre_client *client = connect_to(NULL, name);
	int set = wait_for(ayre_client_fd(client));
	uint64_t sent = 0, received = 0, sum = 0, wanted = 0;

	(void)context;
	while (received < calls_each()) {
		struct ayre_reply_info info = {.size = sizeof(info)};
		uint64_t number, call;
		bool moved = false;
		ssize_t got;

		if (sent < calls_each() && sent - received < DEPTH) {
			int result = ayre_client_try_send(client, &sent, sizeof(sent),
			                                  AYRE_NO_DEADLINE, &call);

			require(result == 0 || result == -EAGAIN || result == -EPIPE);
			moved = result == 0;
			wanted += moved ? 2 * sent++ : 0;
		}
		got = ayre_client_try_receive(client, &number, sizeof(number), &info);
		require(got == sizeof(number) || got == -EAGAIN || got == -ENOENT);
		if (got == sizeof(number)) {
			require(info.result == 0);
			received++;
			sum += number;
		} else if (!moved) {
			wait_in(set);
		}
	}
	require(sum == wanted);
	close(set);
	ayre_client_close(client);
	return 0;
}

TOPIC_TEST(loops_call_a_loop)
{
	pid_t clients[CLIENTS], server;

	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = start_child(call_in_a_loop, NULL);
	server = start_child(serve_in_a_loop, NULL);
	for (size_t i = 0; i < CLIENTS; i++)
		require(end_of(clients[i]) == 0);
	require(end_of(server) == 0);
	require(count_replies(name) == 0);
	remove_topic(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(descriptors_tell_of_requests_and_replies),
		counted_test(a_clients_descriptor_tells_of_deadlines_and_cancellations),
		counted_test(a_clients_descriptor_tells_of_servers_that_come_and_die),
		counted_test(what_a_sender_waits_for_is_told_though_a_receiver_has_heard_it),
		counted_test(descriptors_tell_of_room),
		counted_test(loops_call_a_loop),
	};

	use_topic_root();
	return run_counted("services in loops", tests);
}
