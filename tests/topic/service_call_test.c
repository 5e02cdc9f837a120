/*
 * Calls: what is asked is what is answered, by whom it was asked, whatever the size, the order and the
 * company.
 */
#include "topic/service_world.h"

static const char *const name = "calls";

/* --- many clients, all sizes --- */

#define CLIENTS 8

/* Before a pattern of so many bytes; the reply is another pattern. */
struct request {
	uint32_t seed, bytes, reply_bytes;
};

#define MOST_BYTES 20000

static unsigned int calls_each(void)
{
	return long_form() ? 50000 : 400;
}

/* Up to beside the ring, most of them small. */
static uint32_t some_size(void)
{
	uint32_t bound = 1u << random_below(15);

	return random_below(bound);
}

static void answer_pattern(struct ayre_server *server, const struct ayre_call *call,
                           const char *buffer, size_t bytes)
{
	static char reply[MOST_BYTES];
	struct request request;

	require(bytes >= sizeof(request));
	memcpy(&request, buffer, sizeof(request));
	require(bytes == sizeof(request) + request.bytes && call->bytes == bytes);
	require(is_pattern(buffer + sizeof(request), request.bytes, request.seed));
	fill_pattern(reply, request.reply_bytes, ~request.seed);
	require(ayre_server_reply(server, call, reply, request.reply_bytes) == 0);
}

static int serve_patterns(void *context)
{
	struct ayre_server *server = serve(SERVER(RING(8192)), name);
	static char buffer[MOST_BYTES + sizeof(struct request)];
	unsigned int left = CLIENTS * calls_each();
	struct ayre_call call;

	(void)context;
	while (left-- > 0) {
		ssize_t got = ayre_server_receive(server, buffer, sizeof(buffer), &call);

		require(got >= 0);
		answer_pattern(server, &call, buffer, (size_t)got);
	}
	require(info_of_server(server).requests == CLIENTS * calls_each());
	require(info_of_server(server).replies == CLIENTS * calls_each());
	require(info_of_server(server).refused == 0);
	ayre_server_close(server);
	return 0;
}

static int call_patterns(void *context)
{
	struct ayre_client *client = connect_to(CLIENT(RING(8192)), name);
	static char buffer[MOST_BYTES + sizeof(struct request)], reply[MOST_BYTES];

	random_seed((uint32_t)(uintptr_t)context);
	for (unsigned int i = 0; i < calls_each(); i++) {
		struct request request = {random_below(UINT32_MAX), some_size(), some_size()};
		ssize_t got;

		memcpy(buffer, &request, sizeof(request));
		fill_pattern(buffer + sizeof(request), request.bytes, request.seed);
		got = ayre_client_call(client, buffer, sizeof(request) + request.bytes, reply,
		                       sizeof(reply), NULL);
		require(got == (ssize_t)request.reply_bytes);
		require(is_pattern(reply, (size_t)got, ~request.seed));
	}
	require(info_of_client(client).outstanding == 0);
	require(info_of_client(client).dropped == 0);
	ayre_client_close(client);
	return 0;
}

TOPIC_TEST(eight_clients_get_their_own_answers)
{
	pid_t clients[CLIENTS], server = start_child(serve_patterns, NULL);

	for (uintptr_t i = 0; i < CLIENTS; i++)
		clients[i] = start_child(call_patterns, (void *)(i + 1));
	for (size_t i = 0; i < CLIENTS; i++)
		require(end_of(clients[i]) == 0);
	require(end_of(server) == 0);
	require(count_replies(name) == 0);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(a_request_of_nothing_gets_an_answer_of_nothing)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_reply_info info = {.size = sizeof(info)};
	struct ayre_call call;
	uint64_t number;

	require(ayre_client_send(client, NULL, 0, AYRE_NO_DEADLINE, &number) == 0);
	require(ayre_server_receive(server, NULL, 0, &call) == 0);
	require(call.bytes == 0 && call.number == number);
	require(call.deadline_ns == AYRE_NO_DEADLINE);
	require(call.client == info_of_client(client).id);
	require(ayre_server_reply(server, &call, NULL, 0) == 0);
	require(ayre_client_receive(client, NULL, 0, &info) == 0);
	require(info.call == number && info.result == 0 && info.bytes == 0);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* --- order --- */

#define BATCH 100

TOPIC_TEST(answers_come_in_the_order_of_the_server)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_call taken[BATCH];
	uint64_t calls[BATCH];

	for (unsigned int i = 0; i < BATCH; i++)
		calls[i] = send_number_to(client, i);
	for (unsigned int i = 0; i < BATCH; i++) {
		taken[i] = take_number(server, i);
		require(i == 0 || calls[i] > calls[i - 1]);
	}
	require(info_of_client(client).outstanding == BATCH);
	for (unsigned int i = 0; i < BATCH; i++)
		reply_number(server, &taken[i * 37 % BATCH], i * 37 % BATCH + 1000);
	for (unsigned int i = 0; i < BATCH; i++)
		require(expect_end(client, calls[i * 37 % BATCH], 0) == i * 37 % BATCH + 1000);
	require(ayre_client_receive(client, NULL, 0, INFO) == -ENOENT);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

static int serve_backwards(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call taken[4];

	(void)context;
	for (unsigned int i = 0; i < 4; i++)
		taken[i] = take_number(server, i);
	for (unsigned int i = 4; i-- > 0;)
		reply_number(server, &taken[i], 10 * i);
	ayre_server_close(server);
	return 0;
}

TOPIC_TEST(a_call_keeps_the_answers_to_others)
{
	struct ayre_client *client = connect_to(NULL, name);
	pid_t server = start_child(serve_backwards, NULL);
	uint64_t calls[4], number;

	for (unsigned int i = 0; i < 2; i++)
		calls[i] = send_number_to(client, i);
	/* 3 comes first, and is waited for. */
	calls[2] = send_number_to(client, 2);
	require(call_number(client, 3, &number) == 0 && number == 30);
	require(end_of(server) == 0);
	/* The server has gone; what it has said counts. */
	require(expect_end(client, calls[2], 0) == 20);
	require(expect_end(client, calls[1], 0) == 10);
	require(expect_end(client, calls[0], 0) == 0);
	ayre_client_close(client);
	remove_topic(name);
	return 0;
}

static int serve_waiting_one_last(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call taken[4];

	(void)context;
	for (unsigned int i = 0; i < 4; i++)
		taken[i] = take_number(server, i);
	for (unsigned int i = 0; i < 4; i++)
		reply_number(server, &taken[i], 10 * i);
	ayre_server_close(server);
	return 0;
}

TOPIC_TEST(a_call_that_is_answered_last_keeps_all_others)
{
	struct ayre_client *client = connect_to(NULL, name);
	pid_t server = start_child(serve_waiting_one_last, NULL);
	uint64_t calls[3], number;

	for (unsigned int i = 0; i < 3; i++)
		calls[i] = send_number_to(client, i);
	require(call_number(client, 3, &number) == 0 && number == 30);
	for (unsigned int i = 0; i < 3; i++)
		require(expect_end(client, calls[i], 0) == 10 * i);
	require(end_of(server) == 0);
	ayre_client_close(client);
	remove_topic(name);
	return 0;
}

/* --- errors --- */

TOPIC_TEST(a_server_says_that_it_failed)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number = send_number_to(client, 1);
	struct ayre_call call = take_number(server, 1), other = call;

	require(ayre_server_fail(server, &call, 0) == -EINVAL);
	require(ayre_server_fail(server, &call, 4096) == -EINVAL);
	require(ayre_server_fail(server, &call, -ENOENT) == -EINVAL);
	other.number++;
	require(ayre_server_fail(server, &other, ENOENT) == -EINVAL);
	other = call;
	other.index = 1000;
	require(ayre_server_reply(server, &other, NULL, 0) == -EINVAL);
	require(ayre_server_fail(server, &call, ENOENT) == 0);
	/* Once. */
	require(ayre_server_reply(server, &call, NULL, 0) == -EINVAL);
	require(ayre_server_is_cancelled(server, &call) == -EINVAL);
	require(ayre_client_receive(client, NULL, 0, &info) == 0);
	require(info.call == number && info.result == -EREMOTEIO && info.status == ENOENT);
	send_number_to(client, 2);
	call = take_number(server, 2);
	require(ayre_server_try_fail(server, &call, 4095) == 0);
	require(ayre_client_receive(client, NULL, 0, &info) == 0);
	require(info.result == -EREMOTEIO && info.status == 4095);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

static int fail_once(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call call = take_number(server, 7);

	(void)context;
	require(ayre_server_fail_until(server, &call, EDOM, in_ms(10000)) == 0);
	ayre_server_close(server);
	return 0;
}

TOPIC_TEST(a_call_tells_of_the_servers_error)
{
	struct ayre_client *client = connect_to(NULL, name);
	pid_t server = start_child(fail_once, NULL);
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number = 7;

	require(ayre_client_call(client, &number, sizeof(number), NULL, 0, &info) == -EREMOTEIO);
	require(info.result == -EREMOTEIO && info.status == EDOM && info.bytes == 0);
	require(end_of(server) == 0);
	ayre_client_close(client);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(what_is_too_large_for_a_buffer_stays)
{
	struct ayre_server *server = serve(SERVER(RING(4096)), name);
	struct ayre_client *client = connect_to(NULL, name);
	static char bytes[3000], buffer[3000];
	struct ayre_reply_info info = {.size = sizeof(info)};
	struct ayre_call call, again;
	uint64_t number;

	/* In the ring, and beside it. */
	for (size_t size = 30; size <= sizeof(bytes); size *= 10) {
		fill_pattern(bytes, size, (uint32_t)size);
		require(ayre_client_send(client, bytes, size, AYRE_NO_DEADLINE, &number) == 0);
		require(ayre_server_receive(server, buffer, size - 1, &call) == -EMSGSIZE);
		require(call.bytes == size && call.number == number);
		require(ayre_server_try_receive(server, buffer, 0, &again) == -EMSGSIZE);
		require(ayre_server_try_receive(server, buffer, size, &call) == (ssize_t)size);
		require(is_pattern(buffer, size, (uint32_t)size));
		require(ayre_server_reply(server, &call, bytes, size) == 0);
		require(ayre_client_receive(client, buffer, size - 1, &info) == -EMSGSIZE);
		require(info.call == number && info.bytes == size && info.result == 0);
		require(ayre_client_try_receive(client, buffer, 1, &info) == -EMSGSIZE);
		memset(buffer, 0, size);
		require(ayre_client_try_receive(client, buffer, size, &info) == (ssize_t)size);
		require(is_pattern(buffer, size, (uint32_t)size));
	}
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

static int serve_one_large(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call call = take_number(server, 1);
	char bytes[300];

	(void)context;
	fill_pattern(bytes, sizeof(bytes), 9);
	require(ayre_server_reply(server, &call, bytes, sizeof(bytes)) == 0);
	call = take_number(server, 2);
	reply_number(server, &call, 4);
	ayre_server_close(server);
	return 0;
}

TOPIC_TEST(an_answer_too_large_for_a_call_is_to_be_had_later)
{
	struct ayre_client *client = connect_to(NULL, name);
	pid_t server = start_child(serve_one_large, NULL);
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number = 1;
	char bytes[300];

	require(ayre_client_call(client, &number, sizeof(number), bytes, 299, &info) == -EMSGSIZE);
	require(info.bytes == 300);
	require(call_number(client, 2, &number) == 0 && number == 4);
	require(ayre_client_try_receive(client, bytes, 300, &info) == 300);
	require(is_pattern(bytes, 300, 9));
	require(end_of(server) == 0);
	ayre_client_close(client);
	remove_topic(name);
	return 0;
}

/* --- who serves --- */

static int serve_late(void *context)
{
	await_sleep(getppid());
	return serve_doubles_to_end(context);
}

TOPIC_TEST(a_call_waits_for_a_server_unless_it_shall_not)
{
	struct ayre_client *waits = connect_to(NULL, name);
	struct ayre_client *does_not = connect_to(CLIENT(.flags = AYRE_CLIENT_NO_WAIT), name);
	uint64_t number = 1;
	int64_t begin = now_ns();
	pid_t server;

	require(call_number(does_not, 1, &number) == -EPIPE);
	require(ayre_client_send(does_not, NULL, 0, AYRE_NO_DEADLINE, &number) == -EPIPE);
	require(ayre_client_try_send(waits, NULL, 0, AYRE_NO_DEADLINE, &number) == -EPIPE);
	require(ayre_client_call_until(waits, NULL, 0, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	require(ayre_client_call_until(waits, NULL, 0, NULL, 0, NULL, -1) == -ETIMEDOUT);
	require(now_ns() - begin >= 20 * MILLISECOND);
	require(info_of_client(waits).calls == 0 && info_of_client(waits).server == 0);
	server = start_child(serve_late, (void *)(uintptr_t)name);
	require(call_number(waits, 21, &number) == 0 && number == 42);
	require(call_number(does_not, 22, &number) == 0 && number == 44);
	require(info_of_client(waits).server != 0);
	require(call_number(waits, END, &number) == 0);
	require(end_of(server) == 0);
	require(call_number(does_not, 1, &number) == -EPIPE);
	ayre_client_close(waits);
	ayre_client_close(does_not);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(one_server_at_a_time)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_error error;

	fails_to_serve(NULL, name, -EBUSY);
	require(ayre_topic_remove(name, false, &error) == -EBUSY);
	ayre_server_close(server);
	server = serve(SERVER(.flags = AYRE_SERVER_EXISTING | AYRE_SERVER_STANDBY), name);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(what_can_never_be_right_is_refused)
{
	struct ayre_topic_options lossy = {.size = sizeof(lossy), .flags = AYRE_TOPIC_LOSSY};
	struct ayre_client_options unset = {.size = 0};
	struct ayre_client *client;
	struct ayre_reply_info info = {0};

	fails_to_connect(&unset, name, -EINVAL);
	fails_to_connect(CLIENT(.flags = 1u << 31), name, -EINVAL);
	fails_to_serve(SERVER(.flags = 1u << 31), name, -EINVAL);
	fails_to_connect(NULL, NULL, -EINVAL);
	fails_to_serve(NULL, ".word", -EINVAL);
	fails_to_connect(CLIENT(.flags = AYRE_CLIENT_EXISTING), name, -ENOENT);
	fails_to_serve(SERVER(.flags = AYRE_SERVER_EXISTING), name, -ENOENT);
	fails_to_connect(CLIENT(.topic = &(struct ayre_topic_options){0}), name, -EINVAL);
	require(ayre_topic_create(&lossy, name, NULL) == 1);
	fails_to_connect(NULL, name, -EINVAL);
	fails_to_serve(NULL, name, -EINVAL);
	remove_topic(name);
	client = connect_to(NULL, name);
	require(ayre_client_try_receive(client, NULL, 0, NULL) == -EINVAL);
	require(ayre_client_try_receive(client, NULL, 0, &info) == -EINVAL);
	require(ayre_client_call(client, NULL, 0, NULL, 0, &info) == -EINVAL);
	require(ayre_client_cancel(client, 0) == -ENOENT);
	require(ayre_client_try_receive(client, NULL, 0, INFO) == -ENOENT);
	ayre_client_close(client);
	ayre_client_close(NULL);
	ayre_server_close(NULL);
	remove_topic(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(eight_clients_get_their_own_answers),
		counted_test(a_request_of_nothing_gets_an_answer_of_nothing),
		counted_test(answers_come_in_the_order_of_the_server),
		counted_test(a_call_keeps_the_answers_to_others),
		counted_test(a_call_that_is_answered_last_keeps_all_others),
		counted_test(a_server_says_that_it_failed),
		counted_test(a_call_tells_of_the_servers_error),
		counted_test(what_is_too_large_for_a_buffer_stays),
		counted_test(an_answer_too_large_for_a_call_is_to_be_had_later),
		counted_test(a_call_waits_for_a_server_unless_it_shall_not),
		counted_test(one_server_at_a_time),
		counted_test(what_can_never_be_right_is_refused),
	};

	use_topic_root();
	return run_counted("calls", tests);
}
