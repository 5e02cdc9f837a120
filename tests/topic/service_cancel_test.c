/*
 * Calls that end before they are answered: by their deadline, and by their client. What the server has
 * not begun by then it does not begin, and an answer that comes all the same is nobody's.
 */
#include "topic/service_world.h"

static const char *const name = "cancels";

static uint64_t send_until(struct ayre_client *client, uint64_t number, int64_t deadline_ns)
{
	uint64_t call;

	require(ayre_client_send(client, &number, sizeof(number), deadline_ns, &call) == 0);
	return call;
}

static void require_no_request(struct ayre_server *server)
{
	struct ayre_call call;
	uint64_t number;

	require(ayre_server_try_receive(server, &number, sizeof(number), &call) == -EAGAIN);
}

static void require_nothing_new(struct ayre_client *client, bool outstanding)
{
	uint64_t number;

	require(ayre_client_try_receive(client, &number, sizeof(number), INFO) ==
	        (outstanding ? -EAGAIN : -ENOENT));
}

/* --- deadlines --- */

TOPIC_TEST(a_call_ends_at_its_deadline)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_reply_info info = {.size = sizeof(info)};
	int64_t deadline = in_ms(20);
	struct ayre_call call;
	uint64_t number = 1;

	require(ayre_client_call_until(client, &number, sizeof(number), NULL, 0, &info, deadline) ==
	        -ETIMEDOUT);
	require(now_ns() >= deadline && now_ns() < deadline + 10 * SECOND);
	require(info.result == -ETIMEDOUT && info.bytes == 0);
	/* Nobody waits for it any more: it is not begun. */
	require_no_request(server);
	require(info_of_server(server).late == 1 && info_of_server(server).requests == 0);
	/* One that was begun in time. */
	number = send_until(client, 2, deadline = in_ms(20));
	call = take_number(server, 2);
	require(call.deadline_ns == deadline && ayre_server_is_late(server, &call) == 0);
	require(expect_end(client, number, -ETIMEDOUT) == 0);
	require(ayre_server_is_late(server, &call) == 1);
	reply_number(server, &call, 20);
	/* Its answer is not taken for that of the next one. */
	number = send_number_to(client, 3);
	call = take_number(server, 3);
	require(ayre_server_is_late(server, &call) == 0);
	reply_number(server, &call, 30);
	require(expect_end(client, number, 0) == 30);
	require(info_of_client(client).dropped == 1);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(each_call_has_its_own_deadline)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	uint64_t late = send_until(client, 1, in_ms(60)), later = send_until(client, 2, in_ms(90));
	uint64_t soon = send_until(client, 3, in_ms(30)), never = send_number_to(client, 4);
	uint64_t past = send_until(client, 5, INT64_MIN),
		 far = send_until(client, 6, INT64_MAX - 1);
	struct ayre_call call;

	expect_end(client, past, -ETIMEDOUT);
	expect_end(client, soon, -ETIMEDOUT);
	expect_end(client, late, -ETIMEDOUT);
	require(ayre_client_receive_until(client, NULL, 0, INFO, in_ms(5)) == -ETIMEDOUT);
	require(ayre_client_receive_until(client, NULL, 0, INFO, -5) == -ETIMEDOUT);
	expect_end(client, later, -ETIMEDOUT);
	call = take_number(server, 4);
	require(call.deadline_ns == AYRE_NO_DEADLINE);
	reply_number(server, &call, 40);
	require(expect_end(client, never, 0) == 40);
	call = take_number(server, 6);
	require(call.deadline_ns == AYRE_NO_DEADLINE);
	reply_number(server, &call, 60);
	require(expect_end(client, far, 0) == 60);
	require(info_of_server(server).late == 4);
	require_nothing_new(client, false);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(a_deadline_bounds_the_wait_for_room)
{
	struct ayre_server *server = serve(SERVER(RING(4096)), name);
	struct ayre_client *client = connect_to(NULL, name);
	int64_t deadline;
	uint64_t number = 0, call;
	int result;

	while ((result = ayre_client_try_send(client, &number, sizeof(number), AYRE_NO_DEADLINE,
	                                      &call)) == 0)
		number++;
	require(result == -EAGAIN && number > 50);
	deadline = in_ms(20);
	require(ayre_client_send(client, &number, sizeof(number), deadline, &call) == -ETIMEDOUT);
	require(now_ns() >= deadline);
	require(info_of_client(client).outstanding == number);
	for (uint64_t i = 0; i < number; i++)
		take_number(server, i);
	require_no_request(server);
	/* There is room again; and the server of a client that does not read has none. */
	for (uint64_t i = 0;; i++) {
		struct ayre_call taken;

		call = send_number_to(client, i);
		taken = take_number(server, i);
		result = ayre_server_try_reply(server, &taken, &i, sizeof(i));
		if (result == 0)
			continue;
		require(result == -EAGAIN);
		deadline = in_ms(20);
		require(ayre_server_reply_until(server, &taken, &i, sizeof(i), deadline) ==
		        -ETIMEDOUT);
		require(ayre_server_fail_until(server, &taken, 1, -1) == -ETIMEDOUT);
		require(now_ns() >= deadline);
		for (uint64_t k = 0; k < i; k++)
			require(ayre_client_receive(client, &number, sizeof(number), INFO) == 8);
		/* It is still to be answered. */
		reply_number(server, &taken, 77);
		require(expect_end(client, call, 0) == 77);
		break;
	}
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* --- cancellations --- */

TOPIC_TEST(a_call_that_is_cancelled_first_is_not_begun)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	uint64_t first = send_number_to(client, 1), second = send_number_to(client, 2);
	struct ayre_call call;

	require(ayre_client_cancel(client, second) == 0);
	require(ayre_client_cancel(client, second) == -ENOENT);
	require(ayre_client_cancel(client, second + 1) == -ENOENT);
	require(ayre_client_cancel(client, UINT64_MAX) == -ENOENT);
	expect_end(client, second, -ECANCELED);
	require(ayre_client_cancel(client, second) == -ENOENT);
	call = take_number(server, 1);
	require_no_request(server);
	require(info_of_server(server).cancelled == 1);
	reply_number(server, &call, 10);
	require(expect_end(client, first, 0) == 10);
	require_nothing_new(client, false);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(a_server_finds_out_that_a_call_was_cancelled)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	uint64_t first = send_number_to(client, 1), second = send_number_to(client, 2), third;
	struct ayre_call one = take_number(server, 1), two = take_number(server, 2), three;

	/* Behind another request, which the server has not received. */
	third = send_number_to(client, 3);
	require(ayre_server_is_cancelled(server, &one) == 0);
	require(ayre_client_cancel(client, first) == 0);
	require(ayre_server_is_cancelled(server, &one) == 1);
	require(ayre_server_is_cancelled(server, &two) == 0);
	three = take_number(server, 3);
	require_no_request(server);
	require(ayre_server_is_cancelled(server, &one) == 1);
	require(ayre_server_reply(server, &one, "x", 1) == -ECANCELED);
	require(ayre_server_reply(server, &one, "x", 1) == -EINVAL);
	/* Answered before it is cancelled, and not yet received. */
	reply_number(server, &two, 20);
	require(ayre_client_cancel(client, second) == 0);
	require(ayre_server_is_cancelled(server, &two) == -EINVAL);
	expect_end(client, first, -ECANCELED);
	expect_end(client, second, -ECANCELED);
	/* Received, and then cancelled: too late. */
	reply_number(server, &three, 30);
	require(expect_end(client, third, 0) == 30);
	require(ayre_client_cancel(client, third) == -ENOENT);
	require(info_of_client(client).dropped == 1);
	require(info_of_server(server).cancelled == 0);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

#define MANY 64

/* As many as the ring has room for, half of them cancelled, round and round. */
TOPIC_TEST(of_many_calls_those_that_were_cancelled_are_not_begun)
{
	struct ayre_server *server = serve(SERVER(RING(8192)), name);
	struct ayre_client *client = connect_to(NULL, name);
	unsigned int rounds = long_form() ? 20000 : 500;
	uint64_t all = 0;

	for (unsigned int round = 0; round < rounds; round++) {
		uint64_t calls[MANY];
		bool cancelled[MANY];

		for (unsigned int i = 0; i < MANY; i++) {
			calls[i] = send_number_to(client, i);
			cancelled[i] = false;
		}
		for (unsigned int i = 0; i < MANY; i++) {
			unsigned int which = random_below(MANY);

			if (cancelled[which])
				continue;
			cancelled[which] = true;
			all++;
			require(ayre_client_cancel(client, calls[which]) == 0);
		}
		for (unsigned int i = 0; i < MANY; i++) {
			struct ayre_call call;

			if (cancelled[i])
				continue;
			call = take_number(server, i);
			require(call.number == calls[i]);
			reply_number(server, &call, i);
		}
		require_no_request(server);
		for (unsigned int i = 0; i < MANY; i++)
			require(ayre_client_receive(client, &calls[i], sizeof(calls[i]), INFO) >=
			        0);
		require_nothing_new(client, false);
	}
	require(info_of_server(server).cancelled == all && all > 0);
	require(info_of_client(client).dropped == 0);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

TOPIC_TEST(a_cancellation_that_finds_no_room_ends_the_call_too)
{
	struct ayre_server *server = serve(SERVER(RING(4096)), name);
	struct ayre_client *client = connect_to(NULL, name);
	uint64_t number = 0, call = 0, last = 0;
	struct ayre_call taken;

	while (ayre_client_try_send(client, &number, sizeof(number), AYRE_NO_DEADLINE, &call) ==
	       0) {
		last = call;
		number++;
	}
	require(ayre_client_cancel(client, last) == 0);
	expect_end(client, last, -ECANCELED);
	for (uint64_t i = 0; i < number; i++) {
		taken = take_number(server, i);
		reply_number(server, &taken, i);
		if (i + 1 < number)
			expect_end(client, taken.number, 0);
	}
	require_nothing_new(client, false);
	require(info_of_client(client).dropped == 1);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_call_ends_at_its_deadline),
		counted_test(each_call_has_its_own_deadline),
		counted_test(a_deadline_bounds_the_wait_for_room),
		counted_test(a_call_that_is_cancelled_first_is_not_begun),
		counted_test(a_server_finds_out_that_a_call_was_cancelled),
		counted_test(of_many_calls_those_that_were_cancelled_are_not_begun),
		counted_test(a_cancellation_that_finds_no_room_ends_the_call_too),
	};

	use_topic_root();
	return run_counted("cancellations", tests);
}
