/*
 * Services in tests.
 */
#include "topic/service_world.h"

#include <dirent.h>

static struct ayre_client *const no_client = (struct ayre_client *)&no_client;
static struct ayre_server *const no_server = (struct ayre_server *)&no_server;

static void require_opened(int result, const struct ayre_error *error, const char *name)
{
	if (result < 0)
		fprintf(stderr, "%s: %s: %s: %s\n", name, error->step, strerror(-result),
		        error->detail);
	require(result == 0);
}

struct ayre_client *connect_to(const struct ayre_client_options *options, const char *name)
{
	struct ayre_client *client = no_client;
	struct ayre_error error = {0};

	require_opened(ayre_client_open(options, name, &client, &error), &error, name);
	require(client != no_client);
	return client;
}

struct ayre_server *serve(const struct ayre_server_options *options, const char *name)
{
	struct ayre_server *server = no_server;
	struct ayre_error error = {0};

	require_opened(ayre_server_open(options, name, &server, &error), &error, name);
	require(server != no_server);
	return server;
}

static void require_failure(int result, int code, const struct ayre_error *error, const char *name)
{
	if (result != code)
		fprintf(stderr, "%s: %d (%s: %s), not %d\n", name ? name : "NULL", result,
		        error->step, error->detail, code);
	require(result == code);
	require(error->code == code);
	require(error->step[0] && error->object[0]);
}

void fails_to_connect(const struct ayre_client_options *options, const char *name, int code)
{
	struct ayre_client *client = no_client;
	struct ayre_error error = {0};

	require_failure(ayre_client_open(options, name, &client, &error), code, &error, name);
	require(client == no_client);
	require(ayre_client_open(options, name, &client, NULL) == code);
}

void fails_to_serve(const struct ayre_server_options *options, const char *name, int code)
{
	struct ayre_server *server = no_server;
	struct ayre_error error = {0};

	require_failure(ayre_server_open(options, name, &server, &error), code, &error, name);
	require(server == no_server);
	require(ayre_server_open(options, name, &server, NULL) == code);
}

struct ayre_client_info info_of_client(const struct ayre_client *client)
{
	struct ayre_client_info info = {.size = sizeof(info)};

	require(ayre_client_get_info(client, &info) == 0);
	return info;
}

struct ayre_server_info info_of_server(const struct ayre_server *server)
{
	struct ayre_server_info info = {.size = sizeof(info)};

	require(ayre_server_get_info(server, &info) == 0);
	return info;
}

/* --- numbers --- */

uint64_t send_number_to(struct ayre_client *client, uint64_t number)
{
	uint64_t call;

	require(ayre_client_send(client, &number, sizeof(number), AYRE_NO_DEADLINE, &call) == 0);
	return call;
}

struct ayre_call take_number(struct ayre_server *server, uint64_t number)
{
	struct ayre_call call;
	uint64_t got;

	require(ayre_server_receive_until(server, &got, sizeof(got), &call, in_ms(10000)) ==
	        sizeof(got));
	require(call.bytes == sizeof(got));
	require(got == number);
	return call;
}

void reply_number(struct ayre_server *server, const struct ayre_call *call, uint64_t number)
{
	require(ayre_server_reply(server, call, &number, sizeof(number)) == 0);
}

uint64_t expect_end(struct ayre_client *client, uint64_t call, int result)
{
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number = 0;
	ssize_t got =
		ayre_client_receive_until(client, &number, sizeof(number), &info, in_ms(10000));

	if (got < 0 || info.result != result || info.call != call)
		fprintf(stderr, "%zd: call %llu, %d\n", got, (unsigned long long)info.call,
		        info.result);
	require(got == (ssize_t)(result ? 0 : sizeof(number)));
	require(info.call == call && info.result == result && info.bytes == (size_t)got);
	return number;
}

int call_number(struct ayre_client *client, uint64_t number, uint64_t *ret_number)
{
	ssize_t got = ayre_client_call_until(client, &number, sizeof(number), ret_number,
	                                     sizeof(*ret_number), NULL, in_ms(10000));

	require(got < 0 || got == sizeof(*ret_number));
	return got < 0 ? (int)got : 0;
}

static int serve_until(const char *name, bool to_end)
{
	struct ayre_server *server = serve(SERVER(.flags = AYRE_SERVER_STANDBY), name);
	uint64_t number = 0;

	while (number != END || !to_end) {
		struct ayre_call call;
		uint64_t twice;

		require(ayre_server_receive(server, &number, sizeof(number), &call) ==
		        sizeof(number));
		twice = 2 * number;
		/* Its client may have had enough. */
		(void)!ayre_server_reply(server, &call, &twice, sizeof(twice));
	}
	ayre_server_close(server);
	return 0;
}

int serve_doubles(void *name)
{
	return serve_until(name, false);
}

int serve_doubles_to_end(void *name)
{
	return serve_until(name, true);
}

int count_replies(const char *name)
{
	char path[NAME_BYTES];
	DIR *directory = opendir(topic_path(name, "", path));
	const struct dirent *entry;
	int count = 0;

	require(directory);
	while ((entry = readdir(directory)))
		count += strstr(entry->d_name, "reply.") != NULL;
	closedir(directory);
	return count;
}
