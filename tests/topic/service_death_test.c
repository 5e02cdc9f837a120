/*
 * Death: servers are killed again and again with calls on their hands, others stand by, and every call
 * ends: answered by whoever executed it, or with the word that its server died. No call is executed
 * twice, and no answer is taken for another call's.
 */
#include "topic/service_world.h"

#include <signal.h>

static const char *const name = "deaths";

/* Processes are killed that make files: what they leave in the service is cleared away with it. */
static void require_cleared(void)
{
	struct ayre_server *server = serve(NULL, name);

	require(count_replies(name) == 0);
	ayre_server_close(server);
	remove_topic(name);
}

static int compare(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

static void print_times(const char *what, int64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	print_message("# %s: %zu, after %lld us in the median, %lld us at most\n", what, count,
	              (long long)times[count / 2] / 1000, (long long)times[count - 1] / 1000);
}

/* --- servers that die --- */

#define CLIENTS 3
/* At once, of each client. */
#define DEPTH 5
#define CALLS 4000000
#define KILLS 2000

struct scene {
	atomic_uint kills; /* that were made */
	int64_t killed_ns;
	atomic_uint is_over;
	atomic_uint next;           /* call */
	atomic_uint died, answered; /* calls that ended so */
	atomic_uint told;
	int64_t told_ns[CLIENTS * DEPTH * KILLS];
	uint8_t executed[CALLS];
};

static struct scene *scene;

struct question {
	uint64_t index;
	uint64_t padding[6];
};

struct answer {
	uint64_t index, server;
};

/* Takes several calls, so that some are on its hands when it dies; stands by first. */
static int serve_until_killed(void *context)
{
	struct ayre_server *server = serve(SERVER(.flags = AYRE_SERVER_STANDBY), name);
	struct ayre_call call;
	struct question question;

	(void)context;
	for (;;) {
		struct answer answer = {.server = (uint64_t)getpid()};

		require(ayre_server_receive(server, &question, sizeof(question), &call) ==
		        sizeof(question));
		require(question.index < CALLS);
		/* That it is not yet done by another one, and is from now on. */
		require(scene->executed[question.index]++ == 0);
		answer.index = question.index;
		if (ayre_server_reply(server, &call, &answer, sizeof(answer)) < 0)
			return 1;
	}
}

static bool send_question(struct ayre_client *client, uint64_t *indices, uint64_t *calls,
                          size_t place)
{
	struct question question = {.index = atomic_fetch_add(&scene->next, 1)};

	if (question.index >= CALLS || atomic_load(&scene->is_over))
		return false;
	indices[place] = question.index;
	require(ayre_client_send(client, &question, sizeof(question), in_ms(60000),
	                         &calls[place]) == 0);
	return true;
}

static void note_death(void)
{
	unsigned int place = atomic_fetch_add(&scene->told, 1);

	if (place < CLIENTS * DEPTH * KILLS)
		scene->told_ns[place] = now_ns() - scene->killed_ns;
}

static void judge_end(const struct ayre_reply_info *info, const struct answer *answer, ssize_t got,
                      uint64_t index)
{
	if (info->result == 0) {
		require(got == sizeof(*answer));
		require(answer->index == index);
		require(scene->executed[index] == 1);
		atomic_fetch_add(&scene->answered, 1);
	} else {
		require(info->result == -EOWNERDEAD);
		note_death();
		atomic_fetch_add(&scene->died, 1);
	}
}

static int ask(void *context)
{
	struct ayre_client *client =
		connect_to(CLIENT(.spin_ns = context ? AYRE_SPIN_NONE : AYRE_SPIN_ADAPT), name);
	uint64_t indices[DEPTH], calls[DEPTH];
	size_t open = 0;

	while (open < DEPTH && send_question(client, indices, calls, open))
		open++;
	while (open > 0) {
		struct ayre_reply_info info = {.size = sizeof(info)};
		struct answer answer;
		ssize_t got = ayre_client_receive_until(client, &answer, sizeof(answer), &info,
		                                        in_ms(20000));
		size_t place = 0;

		require(got >= 0);
		while (place < open && calls[place] != info.call)
			place++;
		require(place < open);
		judge_end(&info, &answer, got, indices[place]);
		if (!send_question(client, indices, calls, place)) {
			open--;
			indices[place] = indices[open];
			calls[place] = calls[open];
		}
	}
	require(info_of_client(client).outstanding == 0);
	ayre_client_close(client);
	return 0;
}

TOPIC_TEST(servers_die_and_every_call_ends_once)
{
	unsigned int kills = long_form() ? KILLS : 60, executed = 0;
	pid_t servers[2], clients[CLIENTS];

	scene = share_memory(sizeof(*scene));
	for (size_t i = 0; i < 2; i++)
		servers[i] = start_child(serve_until_killed, NULL);
	for (uintptr_t i = 0; i < CLIENTS; i++)
		clients[i] = start_child(ask, (void *)i);
	for (unsigned int i = 0; i < kills && atomic_load(&scene->next) < CALLS; i++) {
		unsigned int before = atomic_load(&scene->answered);
		struct ayre_server *third;

		/* One of them serves by then, and not the other. */
		while (atomic_load(&scene->answered) < before + 20 + random_below(60) &&
		       atomic_load(&scene->next) < CALLS) {
			pause_ns(random_below(300000));
			/* One that has ended by itself has found something wrong. */
			require(waitpid(servers[0], NULL, WNOHANG) == 0);
			require(waitpid(servers[1], NULL, WNOHANG) == 0);
		}
		if (atomic_load(&scene->next) >= CALLS)
			break;
		require(ayre_server_open(NULL, name, &third, NULL) == -EBUSY);
		scene->killed_ns = now_ns();
		kill(servers[i % 2], SIGKILL);
		end_of(servers[i % 2]);
		servers[i % 2] = start_child(serve_until_killed, NULL);
	}
	atomic_store(&scene->is_over, 1);
	for (size_t i = 0; i < CLIENTS; i++)
		require(end_of(clients[i]) == 0);
	for (size_t i = 0; i < 2; i++) {
		kill(servers[i], SIGKILL);
		end_of(servers[i]);
	}
	for (size_t i = 0; i < CALLS; i++) {
		require(scene->executed[i] <= 1);
		executed += scene->executed[i];
	}
	require(executed >= atomic_load(&scene->answered));
	require(executed <= atomic_load(&scene->answered) + atomic_load(&scene->died));
	print_message(
		"# %u servers killed: %u calls answered, %u ended with their server, of which "
		"%u executed\n",
		kills, atomic_load(&scene->answered), atomic_load(&scene->died),
		executed - atomic_load(&scene->answered));
	if (atomic_load(&scene->told))
		print_times("of the server's death told", scene->told_ns,
		            atomic_load(&scene->told) < CLIENTS * DEPTH * KILLS
		                    ? atomic_load(&scene->told)
		                    : CLIENTS * DEPTH * KILLS);
	unshare_memory(scene, sizeof(*scene));
	require_cleared();
	return 0;
}

/* --- how soon --- */

struct watch {
	atomic_uint ready, told;
	int64_t told_ns;
	int64_t spin_ns;
};

static struct watch *watch;

static int take_and_wait(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call call;
	uint64_t number;

	(void)context;
	for (unsigned int i = 0; i < DEPTH; i++)
		require(ayre_server_receive(server, &number, sizeof(number), &call) == 8);
	announce_one_more(&watch->ready);
	wait_to_be_killed();
}

/* However long it takes, or not: these are two ways to sleep. */
static void expect_death(struct ayre_client *client, uint64_t call, bool without_deadline)
{
	struct ayre_reply_info info = {.size = sizeof(info)};

	if (without_deadline) {
		require(ayre_client_receive(client, NULL, 0, &info) == 0);
		require(info.call == call && info.result == -EOWNERDEAD);
	} else {
		expect_end(client, call, -EOWNERDEAD);
	}
}

static int wait_for_answers(void *context)
{
	struct ayre_client *client = connect_to(CLIENT(.spin_ns = watch->spin_ns), name);
	unsigned int count = *(unsigned int *)context;

	for (unsigned int i = 1; i <= count; i++) {
		uint64_t calls[DEPTH];

		for (unsigned int k = 0; k < DEPTH; k++)
			calls[k] = send_number_to(client, k);
		for (unsigned int k = 0; k < DEPTH; k++)
			expect_death(client, calls[k], i % 2);
		watch->told_ns = now_ns();
		announce(&watch->told, i);
	}
	ayre_client_close(client);
	return 0;
}

static void kill_and_measure(const char *what, int64_t spin_ns)
{
	unsigned int count = long_form() ? 2000 : 100;
	int64_t *times = calloc(count, sizeof(*times));
	pid_t client;

	watch = share_memory(sizeof(*watch));
	watch->spin_ns = spin_ns;
	client = start_child(wait_for_answers, &count);
	for (unsigned int i = 1; i <= count; i++) {
		pid_t server = start_child(take_and_wait, NULL);
		int64_t begin;

		await(&watch->ready, i);
		if (i % 4)
			pause_ns(random_below(400) * 1000);
		begin = now_ns();
		kill(server, SIGKILL);
		while (atomic_load(&watch->told) < i && waitpid(client, NULL, WNOHANG) == 0)
			pause_ns(20000);
		times[i - 1] = watch->told_ns - begin;
		end_of(server);
		require(atomic_load(&watch->told) >= i);
	}
	require(end_of(client) == 0);
	print_times(what, times, count);
	/* Of a machine that is busy with other things too, most. */
	require(times[count / 2] < 20 * MILLISECOND);
	free(times);
	unshare_memory(watch, sizeof(*watch));
	require_cleared();
}

TOPIC_TEST(a_sleeping_client_is_told_that_its_server_died)
{
	kill_and_measure("server killed, five calls ended, client asleep", AYRE_SPIN_NONE);
	return 0;
}

TOPIC_TEST(a_spinning_client_is_told_that_its_server_died)
{
	kill_and_measure("server killed, five calls ended, client spinning", AYRE_SPIN_FOREVER);
	return 0;
}

/* --- answers of the dead --- */

static int answer_one_of_two(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call call;

	(void)context;
	await(&watch->told, 1);
	call = take_number(server, 1);
	take_number(server, 2);
	reply_number(server, &call, 10);
	announce_one_more(&watch->ready);
	wait_to_be_killed();
}

/*
 * What it has answered is answered, though its client has not even heard of the lane of those answers, and
 * looks only when it is long dead, and another one serves.
 */
TOPIC_TEST(what_a_dead_server_has_answered_counts)
{
	struct ayre_client *client;
	struct ayre_server *next;
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t first, second, third, number = 3;
	pid_t server;

	watch = share_memory(sizeof(*watch));
	server = start_child(answer_one_of_two, NULL);
	client = connect_to(NULL, name);
	first = send_number_to(client, 1);
	second = send_number_to(client, 2);
	/* It has looked at its bell, and does not at every attempt. */
	require(ayre_client_try_receive(client, &number, sizeof(number), &info) == -EAGAIN);
	announce(&watch->told, 1);
	await(&watch->ready, 1);
	kill(server, SIGKILL);
	end_of(server);
	next = serve(NULL, name);
	require(ayre_client_try_send(client, &number, sizeof(number), AYRE_NO_DEADLINE, &third) ==
	        0);
	require(ayre_client_try_receive(client, &number, sizeof(number), &info) == 8);
	require(info.call == first && info.result == 0 && number == 10);
	require(ayre_client_try_receive(client, &number, sizeof(number), &info) == 0);
	require(info.call == second && info.result == -EOWNERDEAD);
	require(info_of_client(client).outstanding == 1);
	ayre_client_close(client);
	ayre_server_close(next);
	unshare_memory(watch, sizeof(*watch));
	require_cleared();
	return 0;
}

TOPIC_TEST(a_server_that_closes_tells_of_what_it_has_not_answered)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(CLIENT(.flags = AYRE_CLIENT_NO_WAIT), name);
	uint64_t taken = send_number_to(client, 1), not_taken = send_number_to(client, 2), number;
	struct ayre_call call = take_number(server, 1);

	ayre_server_close(server);
	require(ayre_client_try_send(client, NULL, 0, AYRE_NO_DEADLINE, &number) == -EPIPE);
	server = serve(NULL, name);
	/* Neither is for the next server. */
	require(ayre_server_try_receive(server, &number, sizeof(number), &call) == -EAGAIN);
	expect_end(client, taken, -EOWNERDEAD);
	expect_end(client, not_taken, -EOWNERDEAD);
	taken = send_number_to(client, 3);
	call = take_number(server, 3);
	reply_number(server, &call, 30);
	require(expect_end(client, taken, 0) == 30);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* --- clients that die --- */

static int ask_and_wait(void *context)
{
	struct ayre_client *client = connect_to(CLIENT(.spin_ns = AYRE_SPIN_NONE), name);
	uint64_t number = 1;

	(void)context;
	announce_one_more(&watch->ready);
	(void)!ayre_client_call(client, &number, sizeof(number), NULL, 0, NULL);
	return 1;
}

static void leave_a_dead_client(struct ayre_server *server)
{
	pid_t victim = start_child(ask_and_wait, NULL);

	take_number(server, 1);
	require(count_replies(name) == 1);
	kill(victim, SIGKILL);
	end_of(victim);
}

/* So often that lanes are taken over by clients who must not get their predecessors' answers. */
TOPIC_TEST(a_client_that_died_is_answered_no_more)
{
	struct ayre_server *server = serve(NULL, name);
	unsigned int rounds = long_form() ? 2000 : 50;
	char last[NAME_BYTES];

	watch = share_memory(sizeof(*watch));
	for (unsigned int i = 1; i <= rounds; i++) {
		pid_t victim = start_child(ask_and_wait, NULL);
		struct ayre_call call = take_number(server, 1), other;
		struct ayre_client *client;
		uint64_t number;

		require(ayre_server_is_cancelled(server, &call) == 0);
		await_sleep(victim);
		kill(victim, SIGKILL);
		end_of(victim);
		require(ayre_server_is_cancelled(server, &call) == 1);
		/* Half of the time another one has the lane by then. */
		client = i % 2 ? connect_to(NULL, name) : NULL;
		require(ayre_server_reply(server, &call, "late", 4) == -EPIPE);
		if (!client)
			client = connect_to(NULL, name);
		number = send_number_to(client, 2);
		other = take_number(server, 2);
		require(other.number > call.number || other.client != call.client);
		require(ayre_server_reply(server, &call, "late", 4) < 0);
		reply_number(server, &other, 20);
		require(expect_end(client, number, 0) == 20);
		require(info_of_client(client).dropped == 0);
		ayre_client_close(client);
	}
	/* One that nobody comes after. */
	leave_a_dead_client(server);
	require(ayre_server_receive_until(server, NULL, 0, &(struct ayre_call){0}, in_ms(20)) ==
	        -ETIMEDOUT);
	require(info_of_server(server).clients == 0);
	require(count_replies(name) == 0);
	/* Lanes are reused. */
	require(count_peers(name, "pub.", "", last) <= 2);
	ayre_server_close(server);
	unshare_memory(watch, sizeof(*watch));
	remove_topic(name);
	return 0;
}

/* It never sleeps: nothing but the kernel says that it has gone. */
static int ask_twice(void *closes)
{
	struct ayre_client *client = connect_to(NULL, name);

	send_number_to(client, 1);
	send_number_to(client, 2);
	announce_one_more(&watch->ready);
	if (!closes)
		wait_to_be_killed();
	await(&watch->told, 1);
	ayre_client_close(client);
	return 0;
}

static void answer_one_who_has_gone(bool closes)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_call first, second;
	pid_t victim;

	watch = share_memory(sizeof(*watch));
	victim = start_child(ask_twice, closes ? watch : NULL);
	await(&watch->ready, 1);
	first = take_number(server, 1);
	second = take_number(server, 2);
	announce(&watch->told, 1);
	if (!closes)
		kill(victim, SIGKILL);
	end_of(victim);
	require(ayre_server_is_cancelled(server, &first) == 1);
	/* What was found out for one call holds for all. */
	require(ayre_server_reply(server, &second, "late", 4) == -EPIPE);
	require(ayre_server_fail(server, &first, EIO) == -EPIPE);
	require(ayre_server_reply(server, &first, "late", 4) == -EINVAL);
	require(info_of_server(server).replies == 0);
	ayre_server_close(server);
	unshare_memory(watch, sizeof(*watch));
	require_cleared();
}

TOPIC_TEST(whoever_was_found_gone_is_answered_no_more)
{
	answer_one_who_has_gone(true);
	answer_one_who_has_gone(false);
	return 0;
}

#define ASKED 20

/* Dies when its server waits for room. */
static int ask_much_and_read_nothing(void *context)
{
	struct ayre_client *client = connect_to(CLIENT(RING(4096)), name);

	(void)context;
	for (unsigned int i = 0; i < ASKED; i++)
		send_number_to(client, i);
	await(&watch->told, 1);
	await_sleep(getppid());
	raise(SIGKILL);
	return 1;
}

TOPIC_TEST(a_reply_that_waits_for_one_who_dies_is_none)
{
	struct ayre_server *server = serve(SERVER(RING(4096), .spin_ns = AYRE_SPIN_NONE), name);
	const char reply[512] = {0};
	struct ayre_call call;
	unsigned int i = 0;
	pid_t victim;

	watch = share_memory(sizeof(*watch));
	victim = start_child(ask_much_and_read_nothing, NULL);
	call = take_number(server, i);
	while (ayre_server_try_reply(server, &call, reply, sizeof(reply)) == 0)
		call = take_number(server, ++i);
	require(ayre_server_try_reply(server, &call, reply, sizeof(reply)) == -EAGAIN);
	announce(&watch->told, 1);
	require(ayre_server_reply_until(server, &call, reply, sizeof(reply), in_ms(10000)) ==
	        -EPIPE);
	require(ayre_server_reply(server, &call, reply, sizeof(reply)) < 0);
	require(end_of(victim) == SIGKILL);
	ayre_server_close(server);
	unshare_memory(watch, sizeof(*watch));
	require_cleared();
	return 0;
}

static int serve_and_wait(void *context)
{
	(void)context;
	serve(NULL, name);
	announce_one_more(&watch->ready);
	wait_to_be_killed();
}

/* As AYRE_CLIENT_NO_WAIT says: until the client has heard of it. */
TOPIC_TEST(what_is_sent_to_a_server_that_was_killed_ends_with_it)
{
	struct ayre_client *client;
	uint64_t call, number = 1;
	pid_t server;

	watch = share_memory(sizeof(*watch));
	server = start_child(serve_and_wait, NULL);
	await(&watch->ready, 1);
	client = connect_to(CLIENT(.flags = AYRE_CLIENT_NO_WAIT), name);
	call = send_number_to(client, 1);
	kill(server, SIGKILL);
	end_of(server);
	expect_end(client, call, -EOWNERDEAD);
	require(ayre_client_try_send(client, &number, 8, AYRE_NO_DEADLINE, &call) == -EPIPE);
	require(ayre_client_send(client, &number, 8, AYRE_NO_DEADLINE, &call) == -EPIPE);
	require(ayre_client_call(client, &number, 8, NULL, 0, NULL) == -EPIPE);
	require(info_of_client(client).calls == 1);
	ayre_client_close(client);
	unshare_memory(watch, sizeof(*watch));
	require_cleared();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(servers_die_and_every_call_ends_once),
		counted_test(a_sleeping_client_is_told_that_its_server_died),
		counted_test(a_spinning_client_is_told_that_its_server_died),
		counted_test(what_a_dead_server_has_answered_counts),
		counted_test(a_server_that_closes_tells_of_what_it_has_not_answered),
		counted_test(a_client_that_died_is_answered_no_more),
		counted_test(whoever_was_found_gone_is_answered_no_more),
		counted_test(a_reply_that_waits_for_one_who_dies_is_none),
		counted_test(what_is_sent_to_a_server_that_was_killed_ends_with_it),
	};

	use_topic_root();
	return run_counted("deaths of servers", tests);
}
