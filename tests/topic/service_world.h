/*
 * Services in tests: ends that have to open, and calls that can be told from each other.
 */
#pragma once

#include "topic/topic_world.h"

#include <ayre/service.h>

#define CLIENT(...) \
	(&(struct ayre_client_options){.size = sizeof(struct ayre_client_options), __VA_ARGS__})
#define SERVER(...) \
	(&(struct ayre_server_options){.size = sizeof(struct ayre_server_options), __VA_ARGS__})
#define INFO (&(struct ayre_reply_info){.size = sizeof(struct ayre_reply_info)})

/* They open, or the test has failed. */
struct ayre_client *connect_to(const struct ayre_client_options *options, const char *name);
struct ayre_server *serve(const struct ayre_server_options *options, const char *name);
/* They fail so, in full, and touch nothing. */
void fails_to_connect(const struct ayre_client_options *options, const char *name, int code);
void fails_to_serve(const struct ayre_server_options *options, const char *name, int code);

struct ayre_client_info info_of_client(const struct ayre_client *client);
struct ayre_server_info info_of_server(const struct ayre_server *server);

/* --- calls whose request and reply are a number --- */

uint64_t send_number_to(struct ayre_client *client, uint64_t number);
/* The next request has to be this. */
struct ayre_call take_number(struct ayre_server *server, uint64_t number);
void reply_number(struct ayre_server *server, const struct ayre_call *call, uint64_t number);
/* The next call that ends has to be this one, so, within ten seconds; returns the number replied. */
uint64_t expect_end(struct ayre_client *client, uint64_t call, int result);
/* A whole call; the server is another process. */
int call_number(struct ayre_client *client, uint64_t number, uint64_t *ret_number);

/* In a child: serves NAME, answering each number with its double, until it is killed. */
int serve_doubles(void *name);
/* The same, until the number is END. */
#define END UINT64_MAX
int serve_doubles_to_end(void *name);

/* Reply topics of a service that are there, made or being made. */
int count_replies(const char *name);
