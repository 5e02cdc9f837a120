/*
 * Liars: processes that have a lane in a service, or in a client's reply topic, and say in it what no
 * client and no server of ours says. It costs their own calls. The honest ends go on.
 */
#include "topic/service_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const name = "liars";

/* What the format says: see src/topic/service.h and docs/FORMAT.md. */
#define CANCEL         (UINT64_C(1) << 62)
#define STATUS(number) ((uint64_t)(number) << 52)
#define PUBLISHERS_AT  64
#define CANCELS_AT     160

static void say(struct ayre_publisher *liar, uint64_t word, size_t bytes)
{
	uint64_t message[8] = {word};

	require(ayre_publisher_send(liar, message, bytes) == 0);
}

static void require_no_request(struct ayre_server *server)
{
	struct ayre_call call;
	char buffer[64];

	require(ayre_server_try_receive(server, buffer, sizeof(buffer), &call) == -EAGAIN);
}

static void require_service(struct ayre_server *server, struct ayre_client *client)
{
	uint64_t number = send_number_to(client, 5);
	struct ayre_call call = take_number(server, 5);

	reply_number(server, &call, 10);
	require(expect_end(client, number, 0) == 10);
}

static void reply_path(uint64_t lane, uint64_t session, char path[static NAME_BYTES])
{
	char file[64];

	snprintf(file, sizeof(file), "reply.%016" PRIx64 ".%016" PRIx64, lane, session);
	topic_path(name, file, path);
}

/* --- clients that lie --- */

TOPIC_TEST(what_is_no_request_is_passed_over)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_publisher *liar = publish(NULL, name);

	say(liar, 0, 0);
	say(liar, 0, 7);
	say(liar, UINT64_C(2) << 62, 16);
	say(liar, UINT64_MAX, 64);
	require_no_request(server);
	require(info_of_server(server).refused == 4);
	/* Cancelled: what is not there, what is to come, what is no request. */
	say(liar, CANCEL | 0, 8);
	say(liar, CANCEL | 5, 8);
	say(liar, CANCEL | 100000, 8);
	say(liar, UINT64_MAX >> 1, 8);
	require_no_request(server);
	require(info_of_server(server).refused == 4 && info_of_server(server).cancelled == 0);
	/* Requests without a topic for the reply. */
	say(liar, 0, 16);
	say(liar, 1, 16);
	require_no_request(server);
	require(info_of_server(server).refused == 5 && info_of_server(server).late == 1);
	require_service(server, client);
	ayre_publisher_close(liar);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* A server does not publish wherever a client points. */
TOPIC_TEST(a_reply_topic_that_is_not_as_it_should_be_is_not_used)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_publisher *liar = publish(NULL, name);
	uint64_t id = info_of_publisher(liar).id;
	char path[NAME_BYTES], other[NAME_BYTES], last[NAME_BYTES];
	struct ayre_subscriber *subscriber;

	reply_path(id, 1, path);
	/* With rings of another size, which the server would pay for. */
	subscriber = subscribe(SUBSCRIBER(RING(16 << 20)), path);
	say(liar, 0, 16);
	require_no_request(server);
	ayre_subscriber_close(subscriber);
	require(ayre_topic_remove(path, false, NULL) == 0);
	/* Lossy: a reply could be lost. */
	subscriber = subscribe(
		SUBSCRIBER(.topic = TOPIC(.ring_bytes = 256 << 10, .flags = AYRE_TOPIC_LOSSY)),
		path);
	say(liar, 0, 16);
	require_no_request(server);
	ayre_subscriber_close(subscriber);
	require(ayre_topic_remove(path, false, NULL) == 0);
	/* Right, and nobody reads it. */
	require(ayre_topic_create(TOPIC(.ring_bytes = 256 << 10), path, NULL) == 1);
	say(liar, 0, 16);
	require_no_request(server);
	require(ayre_topic_remove(path, false, NULL) == 0);
	/* No directory; and not of the session that the lane has. */
	close(open(path, O_CREAT | O_CLOEXEC, 0600));
	say(liar, 0, 16);
	require_no_request(server);
	require(unlink(path) == 0);
	reply_path(id, 2, other);
	subscriber = subscribe(SUBSCRIBER(RING(256 << 10)), other);
	say(liar, 0, 16);
	require_no_request(server);
	require(info_of_server(server).refused == 5);
	require(info_of_server(server).clients == 0);
	/* Nothing was made in any of them. */
	snprintf(last, sizeof(last), "%.100s/%.100s", name, strrchr(other, '/') + 1);
	require(count_peers(last, "pub.", "", path) == 0);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(liar);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* The header page of a lane, as its owner can write it. */
static uint64_t *map_lane(uint64_t id)
{
	char file[64], path[NAME_BYTES];
	void *map;
	int fd;

	snprintf(file, sizeof(file), "pub.%016" PRIx64, id);
	fd = open(topic_path(name, file, path), O_RDWR | O_CLOEXEC);
	require(fd >= 0);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(map != MAP_FAILED);
	close(fd);
	return map;
}

static uint64_t random_word(void)
{
	return (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
}

/* Requests, cancellations, and what is neither, near the numbers that count. */
static void say_anything(struct ayre_publisher *liar, uint64_t sequence)
{
	uint64_t near = sequence + random_below(64) - 32;
	size_t bytes = random_below(4) ? 8 : random_below(65);

	switch (random_below(4)) {
	case 0:
		say(liar, random_word(), bytes);
		break;
	case 1:
		say(liar, random_below(3) ? 0 : near, bytes);
		break;
	default:
		say(liar, CANCEL | (random_below(8) ? near : random_word() >> 2), bytes);
		break;
	}
}

static atomic_uint *stop;

static int lie_at_random(void *context)
{
	struct ayre_publisher *liar = publish(NULL, name);
	uint64_t id = info_of_publisher(liar).id, *lane = map_lane(id);
	struct ayre_subscriber *subscriber;
	char path[NAME_BYTES];

	random_seed((uint32_t)(uintptr_t)context);
	reply_path(id, 1, path);
	subscriber = subscribe(SUBSCRIBER(RING(256 << 10)), path);
	while (!atomic_load(stop)) {
		char buffer[64];

		say_anything(liar, info_of_publisher(liar).messages);
		if (random_below(16) == 0)
			lane[CANCELS_AT / 8] =
				random_below(2) ? random_word() : lane[CANCELS_AT / 8] + 1;
		if (random_below(256) == 0)
			lane[PUBLISHERS_AT / 8] = random_below(4) ? 1 : random_word();
		(void)!ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), NULL);
	}
	munmap(lane, 4096);
	ayre_subscriber_close(subscriber);
	ayre_publisher_close(liar);
	require(ayre_topic_remove(path, true, NULL) == 0);
	return 0;
}

static int call_honestly(void *context)
{
	struct ayre_client *client = connect_to(NULL, name);
	unsigned int count = *(unsigned int *)context;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t number = 0, extra = 0;

		/* Some are cancelled, so that the server has both to tell apart. */
		if (i % 16 == 0) {
			extra = send_number_to(client, i);
			require(ayre_client_cancel(client, extra) == 0);
			expect_end(client, extra, -ECANCELED);
		}
		require(call_number(client, i, &number) == 0 && number == 2 * i);
	}
	ayre_client_close(client);
	return 0;
}

static int serve_anybody(void *context)
{
	struct ayre_server *server = serve(NULL, name);
	char buffer[64];

	(void)context;
	while (!atomic_load(stop)) {
		struct ayre_call call;
		ssize_t got =
			ayre_server_receive_until(server, buffer, sizeof(buffer), &call, in_ms(10));
		uint64_t number = 0;
		int result;

		if (got == -ETIMEDOUT)
			continue;
		require(got >= 0);
		memcpy(&number, buffer, sizeof(number));
		number *= 2;
		(void)!ayre_server_is_cancelled(server, &call);
		/* Nobody makes it wait. */
		result = ayre_server_try_reply(server, &call, &number, sizeof(number));
		require(result == 0 || result == -EPIPE || result == -ECANCELED ||
		        result == -EAGAIN);
		if (result == -EAGAIN && ayre_server_try_fail(server, &call, EBUSY) == 0)
			require(false);
	}
	require(info_of_server(server).refused > 0);
	ayre_server_close(server);
	return 0;
}

TOPIC_TEST(clients_that_say_anything_disturb_no_other)
{
	unsigned int count = long_form() ? 200000 : 5000;
	pid_t liars[2], server, client;

	stop = share_memory(sizeof(*stop));
	server = start_child(serve_anybody, NULL);
	for (uintptr_t i = 0; i < 2; i++)
		liars[i] = start_child(lie_at_random, (void *)(i + 1));
	client = start_child(call_honestly, &count);
	require(end_of(client) == 0);
	atomic_store(stop, 1);
	require(end_of(server) == 0);
	for (size_t i = 0; i < 2; i++)
		require(end_of(liars[i]) == 0);
	unshare_memory(stop, sizeof(*stop));
	remove_topic(name);
	return 0;
}

/* Nothing but what is passed over, and as fast as it can. */
static int say_nothing_without_end(void *context)
{
	struct ayre_publisher *liar = publish(NULL, name);

	(void)context;
	while (!atomic_load(stop))
		say(liar, UINT64_MAX, 8);
	ayre_publisher_close(liar);
	return 0;
}

TOPIC_TEST(clients_that_never_end_do_not_keep_a_server_beyond_its_deadline)
{
	struct ayre_call call;
	struct ayre_server *server;
	int64_t deadline;
	pid_t liars[2];

	stop = share_memory(sizeof(*stop));
	server = serve(NULL, name);
	for (size_t i = 0; i < 2; i++)
		liars[i] = start_child(say_nothing_without_end, NULL);
	while (info_of_server(server).refused < 1000)
		require(ayre_server_try_receive(server, NULL, 0, &call) == -EAGAIN);
	deadline = in_ms(50);
	require(ayre_server_receive_until(server, NULL, 0, &call, deadline) == -ETIMEDOUT);
	require(now_ns() - deadline < SECOND);
	require(ayre_server_receive_until(server, NULL, 0, &call, -1) == -ETIMEDOUT);
	/* An event loop comes back to it. */
	require(ayre_server_fd(server) >= 0);
	for (int i = 0; i < 100; i++) {
		require(is_readable(ayre_server_fd(server), 10000));
		require(ayre_server_try_receive(server, NULL, 0, &call) == -EAGAIN);
	}
	atomic_store(stop, 1);
	for (size_t i = 0; i < 2; i++) {
		while (waitpid(liars[i], NULL, WNOHANG) == 0)
			require(ayre_server_try_receive(server, NULL, 0, &call) == -EAGAIN);
	}
	ayre_server_close(server);
	unshare_memory(stop, sizeof(*stop));
	remove_topic(name);
	return 0;
}

/* --- servers that lie --- */

/* A publisher in the only client's reply topic. */
static struct ayre_publisher *find_replies(void)
{
	char path[NAME_BYTES];
	DIR *directory = opendir(topic_path(name, "", path));
	const struct dirent *entry;

	require(directory);
	do
		require((entry = readdir(directory)));
	while (strncmp(entry->d_name, "reply.", 6) != 0);
	topic_path(name, entry->d_name, path);
	closedir(directory);
	return publish(PUBLISHER(.flags = AYRE_PUBLISHER_EXISTING), path);
}

struct lie {
	const char *title;
	uint64_t word;
	size_t bytes;
};

TOPIC_TEST(a_server_that_lies_is_not_listened_to)
{
	static const struct lie lies[] = {
		{"no reply at all", 0, 0},
		{"a piece of one", 0, 7},
		{"to what was never asked", UINT64_C(1) << 40, 16},
		{"an error to what was never asked", STATUS(5) | (STATUS(1) - 1), 8},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct ayre_server *server = serve(NULL, name);
		struct ayre_client *client = connect_to(NULL, name);
		uint64_t number, first, second;
		struct ayre_publisher *liar;
		struct ayre_call call;

		require_service(server, client);
		first = send_number_to(client, 1);
		second = send_number_to(client, 2);
		liar = find_replies();
		say(liar, lies[i].word, lies[i].bytes);
		expect_end(client, first, -EPROTO);
		expect_end(client, second, -EPROTO);
		require(ayre_client_send(client, NULL, 0, AYRE_NO_DEADLINE, &number) == -EPROTO);
		require(call_number(client, 3, &number) == -EPROTO);
		/* And whatever it says. */
		say(liar, 0, 0);
		say(liar, first, 16);
		call = take_number(server, 1);
		reply_number(server, &call, 10);
		require(ayre_client_receive_until(client, &number, sizeof(number), INFO,
		                                  in_ms(10)) == -ENOENT);
		ayre_server_close(server);
		/* The next one is another one. */
		server = serve(NULL, name);
		require_service(server, client);
		ayre_publisher_close(liar);
		ayre_client_close(client);
		ayre_server_close(server);
		remove_topic(name);
	}
	return 0;
}

TOPIC_TEST(answers_that_come_again_are_dropped)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	struct ayre_publisher *liar;
	struct ayre_call call;
	uint64_t number;

	require_service(server, client);
	liar = find_replies();
	number = send_number_to(client, 1);
	call = take_number(server, 1);
	reply_number(server, &call, 10);
	require(expect_end(client, number, 0) == 10);
	say(liar, number, 16);
	say(liar, STATUS(4095) | number, 8);
	require_service(server, client);
	/* As soon as it hears of that lane. */
	while (info_of_client(client).dropped < 2)
		require(ayre_client_try_receive(client, &number, sizeof(number), INFO) == -ENOENT);
	require_service(server, client);
	ayre_publisher_close(liar);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

static int answer_nothing_without_end(void *context)
{
	struct ayre_publisher *liar = find_replies();

	(void)context;
	while (!atomic_load(stop))
		/* It was answered long ago. */
		(void)!ayre_publisher_try_send(liar, &(uint64_t){0}, 8);
	ayre_publisher_close(liar);
	return 0;
}

TOPIC_TEST(a_server_that_never_ends_does_not_keep_a_client_beyond_a_deadline)
{
	struct ayre_server *server;
	struct ayre_client *client;
	int64_t deadline;
	uint64_t number = 1;
	pid_t liar;

	stop = share_memory(sizeof(*stop));
	server = serve(NULL, name);
	client = connect_to(NULL, name);
	require_service(server, client);
	liar = start_child(answer_nothing_without_end, NULL);
	deadline = in_ms(100);
	require(ayre_client_call_until(client, &number, 8, NULL, 0, NULL, deadline) == -ETIMEDOUT);
	require(now_ns() - deadline < SECOND);
	require(info_of_client(client).dropped > 1);
	send_number_to(client, 2);
	deadline = in_ms(50);
	require(ayre_client_receive_until(client, NULL, 0, INFO, deadline) == -ETIMEDOUT);
	require(now_ns() - deadline < SECOND);
	require(ayre_client_try_receive(client, NULL, 0, INFO) == -EAGAIN);
	atomic_store(stop, 1);
	require(end_of(liar) == 0);
	ayre_client_close(client);
	ayre_server_close(server);
	unshare_memory(stop, sizeof(*stop));
	remove_topic(name);
	return 0;
}

/* A lane of replies whose ring is overwritten: the format is broken, not only what it says. */
TOPIC_TEST(a_server_that_breaks_its_lane_is_not_listened_to)
{
	struct ayre_server *server = serve(NULL, name);
	struct ayre_client *client = connect_to(NULL, name);
	char path[NAME_BYTES], reply[NAME_BYTES], last[NAME_BYTES], file[2 * NAME_BYTES];
	uint64_t number, noise[64];
	DIR *directory;
	const struct dirent *entry;
	int fd;

	require_service(server, client);
	number = send_number_to(client, 1);
	directory = opendir(topic_path(name, "", path));
	do
		require((entry = readdir(directory)));
	while (strncmp(entry->d_name, "reply.", 6) != 0);
	snprintf(reply, sizeof(reply), "%s/%.100s", name, entry->d_name);
	closedir(directory);
	require(count_peers(reply, "pub.", "", last) == 1);
	snprintf(file, sizeof(file), "%s/%s", topic_path(reply, "", path), last);
	fd = open(file, O_RDWR | O_CLOEXEC);
	memset(noise, 0xff, sizeof(noise));
	require(fd >= 0 && pwrite(fd, noise, sizeof(noise), 4096) == sizeof(noise));
	close(fd);
	expect_end(client, number, -EPROTO);
	require(call_number(client, 2, &number) == -EPROTO);
	ayre_server_close(server);
	server = serve(NULL, name);
	require_service(server, client);
	ayre_client_close(client);
	ayre_server_close(server);
	remove_topic(name);
	return 0;
}

/* --- names that something else has --- */

TOPIC_TEST(a_directory_that_has_the_name_of_the_servers_file_is_told)
{
	char path[NAME_BYTES];

	require(ayre_topic_create(NULL, name, NULL) == 1);
	require(mkdir(topic_path(name, "server", path), 0700) == 0);
	fails_to_serve(NULL, name, -EPROTO);
	require(rmdir(path) == 0);
	ayre_server_close(serve(NULL, name));
	remove_topic(name);
	return 0;
}

/* --- other users --- */

static int pretend_to_serve(void *context)
{
	char path[NAME_BYTES];
	int fd;

	(void)context;
	become(NOBODY, NOBODY);
	fails_to_serve(NULL, name, -EACCES);
	/* By a file of its own that has the name. */
	fd = open(topic_path(name, "server", path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	require(fd >= 0);
	require(ftruncate(fd, 64) == 0);
	close(fd);
	return 0;
}

static int call_as_another(void *context)
{
	struct ayre_client *client;
	uint64_t number;

	(void)context;
	become(NOBODY, NOBODY);
	client = connect_to(NULL, name);
	require(call_number(client, 21, &number) == 0 && number == 42);
	require(call_number(client, END, &number) == 0);
	ayre_client_close(client);
	return 0;
}

TOPIC_TEST(other_users_call_and_do_not_serve)
{
	struct ayre_topic_options open_to_all = {.size = sizeof(open_to_all), .mode = 0666};
	pid_t server;

	if (!is_root())
		return skipped("takes two users");
	require(ayre_topic_create(&open_to_all, name, NULL) == 1);
	require(run_in_child(pretend_to_serve, NULL) == 0);
	server = start_child(serve_doubles_to_end, (void *)(uintptr_t)name);
	require(run_in_child(call_as_another, NULL) == 0);
	require(end_of(server) == 0);
	require(count_replies(name) == 0);
	remove_topic(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_is_no_request_is_passed_over),
		counted_test(a_reply_topic_that_is_not_as_it_should_be_is_not_used),
		counted_test(clients_that_say_anything_disturb_no_other),
		counted_test(clients_that_never_end_do_not_keep_a_server_beyond_its_deadline),
		counted_test(a_server_that_lies_is_not_listened_to),
		counted_test(a_server_that_never_ends_does_not_keep_a_client_beyond_a_deadline),
		counted_test(answers_that_come_again_are_dropped),
		counted_test(a_server_that_breaks_its_lane_is_not_listened_to),
		counted_test(other_users_call_and_do_not_serve),
		counted_test(a_directory_that_has_the_name_of_the_servers_file_is_told),
	};

	use_topic_root();
	return run_counted("liars", tests);
}
