/*
 * Requests and replies: a service that finds the smallest factor of a number, which can take a while, and
 * its clients. Any number of them may ask at once; of the servers one serves, and the others stand by.
 *
 *   request_reply SERVICE serve
 *   request_reply SERVICE ask [-t MILLISECONDS] NUMBER...
 *
 * All numbers are asked at once, and answered in the order in which they were found. What nobody waits for
 * any more, because of -t or because its client has gone, the server does not go on with. If a
 * server dies, its numbers are asked again: to find a factor twice does no harm.
 *
 * Compiled by
 *
 *   cc -o request_reply request_reply.c $(pkg-config --cflags --libs ayre)
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ayre.h>

static int complain(const char *what, int code)
{
	fprintf(stderr, "request_reply: %s: %s\n", what, strerror(-code));
	return 1;
}

static int complain_at_length(const struct ayre_error *error)
{
	char text[640];

	fprintf(stderr, "request_reply: %s\n", ayre_error_text(error, text, sizeof(text)));
	return 1;
}

/* --- the server --- */

/* Between two looks whether anybody still wants to know. */
#define PATIENCE (1u << 20)

/* 0: nobody wants to know any more. */
static uint64_t find_factor(struct ayre_server *server, const struct ayre_call *call,
                            uint64_t number)
{
	uint64_t factor = 2;

	for (; factor <= number / factor && number % factor != 0; factor++)
		if (factor % PATIENCE == 0 &&
		    (ayre_server_is_late(server, call) || ayre_server_is_cancelled(server, call)))
			return 0;
	return number % factor == 0 ? factor : number;
}

static int answer(struct ayre_server *server, const struct ayre_call *call, uint64_t number,
                  bool is_number)
{
	uint64_t factor;
	int result;

	if (!is_number || number < 2)
		return ayre_server_fail(server, call, EDOM);
	factor = find_factor(server, call, number);
	/* Late: whichever end notices it first, it is told in the same words. */
	result = factor ? ayre_server_reply(server, call, &factor, sizeof(factor))
	                : ayre_server_fail(server, call, ETIMEDOUT);
	/* Its client has given up, or is gone: that is no trouble of ours. */
	return result == -ECANCELED || result == -EPIPE ? 0 : result;
}

static int serve(const char *service)
{
	struct ayre_server_options options = {
		.size = sizeof(options),
		.flags = AYRE_SERVER_STANDBY,
	};
	struct ayre_server *server;
	struct ayre_error error;
	int result = 0;

	if (ayre_server_open(&options, service, &server, &error) < 0)
		return complain_at_length(&error);
	puts("serving");
	fflush(stdout);
	while (result == 0) {
		struct ayre_call call;
		uint64_t number = 0;
		ssize_t got = ayre_server_receive(server, &number, sizeof(number), &call);

		result = got < 0 ? (int)got : answer(server, &call, number, got == sizeof(number));
	}
	ayre_server_close(server);
	return complain(service, result);
}

/* --- the client --- */

struct question {
	uint64_t number, call;
};

static int ask(struct ayre_client *client, struct question *question, int64_t deadline_ns)
{
	return ayre_client_send(client, &question->number, sizeof(question->number), deadline_ns,
	                        &question->call);
}

/* 1: it has to be waited for again; 0: it has ended; or a negative errno. */
static int tell(struct ayre_client *client, struct question *question,
                const struct ayre_reply_info *info, uint64_t factor, int64_t deadline_ns)
{
	unsigned long long number = question->number;
	int result = 0;

	switch (info->result) {
	case 0:
		if (factor == number)
			printf("%llu is prime\n", number);
		else
			printf("%llu = %llu x %llu\n", number, (unsigned long long)factor,
			       number / (unsigned long long)factor);
		break;
	case -EOWNERDEAD:
		printf("%llu: the server died, and is asked again\n", number);
		result = ask(client, question, deadline_ns);
		return result < 0 ? result : 1;
	case -EREMOTEIO:
		printf("%llu: %s\n", number, strerror(info->status));
		break;
	default:
		printf("%llu: %s\n", number, strerror(-info->result));
		break;
	}
	return 0;
}

static int ask_all(struct ayre_client *client, struct question *questions, int count,
                   int64_t deadline_ns)
{
	int open = count, result = 0;

	for (int i = 0; result == 0 && i < count; i++)
		result = ask(client, &questions[i], deadline_ns);
	while (result >= 0 && open > 0) {
		struct ayre_reply_info info = {.size = sizeof(info)};
		uint64_t factor = 0;
		ssize_t got = ayre_client_receive(client, &factor, sizeof(factor), &info);
		int which = 0;

		if (got < 0 || (info.result == 0 && got != sizeof(factor)))
			return got < 0 ? (int)got : -EPROTO;
		while (questions[which].call != info.call)
			which++;
		result = tell(client, &questions[which], &info, factor, deadline_ns);
		fflush(stdout);
		open -= result == 0;
	}
	return result < 0 ? result : 0;
}

static int64_t in_milliseconds(long milliseconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + milliseconds * INT64_C(1000000);
}

static int call(const char *service, int count, char **words)
{
	int64_t deadline_ns = AYRE_NO_DEADLINE;
	struct question *questions;
	struct ayre_client *client;
	struct ayre_error error;
	int result;

	if (count > 2 && strcmp(words[0], "-t") == 0) {
		deadline_ns = in_milliseconds(strtol(words[1], NULL, 10));
		words += 2;
		count -= 2;
	}
	questions = calloc((size_t)count, sizeof(*questions));
	if (!questions)
		return complain(service, -ENOMEM);
	for (int i = 0; i < count; i++)
		questions[i] = (struct question){strtoull(words[i], NULL, 10), UINT64_MAX};
	if (ayre_client_open(NULL, service, &client, &error) < 0) {
		free(questions);
		return complain_at_length(&error);
	}
	result = ask_all(client, questions, count, deadline_ns);
	ayre_client_close(client);
	free(questions);
	return result < 0 ? complain(service, result) : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "serve") == 0)
		return serve(argv[1]);
	if (argc > 3 && strcmp(argv[2], "ask") == 0)
		return call(argv[1], argc - 3, argv + 3);
	fprintf(stderr, "usage: request_reply SERVICE serve\n"
	                "       request_reply SERVICE ask [-t MILLISECONDS] NUMBER...\n");
	return 2;
}
