/*
 * The clients of a server.
 *
 * Invariant: a reply topic is used only if it is what its client's lane says it is: of that lane's user,
 * of that lane's session, and with rings as large as the service's, so that no client chooses how much
 * memory a server spends on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sys/event.h"
#include "sys/file.h"
#include "topic/service_server.h"

static struct ayrei_source *source_of(const struct ayre_server *server, size_t index)
{
	return &server->requests->sources[index];
}

int ayrei_server_make_places(struct ayre_server *server)
{
	size_t count = server->requests->source_count;
	void *grown;

	if (count <= server->client_count)
		return 0;
	/* As many as the subscriber has made room for, which doubles. */
	count = server->requests->source_room;
	grown = reallocarray(server->clients, count, sizeof(*server->clients));
	if (!grown)
		return -ENOMEM;
	server->clients = grown;
	memset(server->clients + server->client_count, 0,
	       (count - server->client_count) * sizeof(*server->clients));
	server->client_count = count;
	return 0;
}

/* --- meeting --- */

static bool is_own_lack(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOSPC;
}

/* Somebody who can be woken: a client comes before its first request, or has gone by now. */
static bool is_read(const struct ayre_publisher *replies)
{
	const struct ayrei_members *members = &replies->members;
	size_t i = 0;

	while (i < members->count && members->all[i].bell < 0)
		i++;
	return i < members->count;
}

static int open_replies(struct ayre_server *server, size_t index, uint64_t session)
{
	const struct ayrei_topic *service = &server->requests->topic;
	const struct ayrei_source *source = source_of(server, index);
	struct ayre_publisher_options options = {.size = sizeof(options),
	                                         .spin_ns = server->spin_ns,
	                                         .large_bytes = ayrei_service_large(service)};
	struct ayre_publisher *replies;
	char path[AYREI_PEER_PATH_BYTES];
	struct ayrei_topic topic;
	int result = ayrei_topic_open(
		&topic, NULL, ayrei_reply_path(service, source->id, session, path), true, NULL);

	if (result < 0)
		return is_own_lack(result) ? result : -EPIPE;
	if (topic.layout.uid != source->uid || topic.layout.policy != service->layout.policy ||
	    topic.layout.ring_bytes != service->layout.ring_bytes ||
	    topic.layout.header_bytes != service->layout.header_bytes) {
		ayrei_topic_close(&topic);
		return -EPIPE;
	}
	result = ayrei_publisher_open_in(&options, &topic, &replies, NULL);
	if (result < 0)
		return is_own_lack(result) ? result : -EPIPE;
	if (!is_read(replies)) {
		ayre_publisher_close(replies);
		return -EPIPE;
	}
	server->clients[index].replies = replies;
	server->clients[index].session = session;
	server->clients[index].has_ended = false;
	return 0;
}

int ayrei_server_meet(struct ayre_server *server, size_t index)
{
	struct ayrei_server_client *client = &server->clients[index];
	uint64_t session = ayrei_load(&source_of(server, index)->reader.layout->publishers);

	if (client->replies && client->session == session)
		return 0;
	ayrei_server_let_go(server, index);
	return open_replies(server, index, session);
}

/* --- letting go --- */

void ayrei_server_let_go(struct ayre_server *server, size_t index)
{
	struct ayrei_server_client *client = &server->clients[index];

	ayrei_calls_fini(&client->calls);
	if (!client->replies)
		return;
	if (client->is_awaited)
		(void)!ayrei_set_remove(server->requests->set, client->replies->members.set);
	client->is_awaited = false;
	ayre_publisher_close(client->replies);
	client->replies = NULL;
}

bool ayrei_server_client_has_ended(struct ayrei_server_client *client)
{
	const struct ayrei_members *members = &client->replies->members;

	for (size_t i = 0; i < members->count && !client->has_ended; i++)
		if (ayrei_file_is_owned(members->all[i].file) != 0)
			return false;
	client->has_ended = true;
	return true;
}

/*
 * Has it gone, or another one its lane? That its lane was left is no proof: we may not have heard that it
 * was taken again. It is the reason to ask.
 */
static bool is_gone(struct ayre_server *server, size_t index)
{
	const struct ayrei_source *source = source_of(server, index);
	struct ayrei_server_client *client = &server->clients[index];

	return source->state == AYREI_SOURCE_BROKEN ||
	       ayrei_load(&source->reader.layout->publishers) != client->session ||
	       (source->state == AYREI_SOURCE_LEFT && ayrei_server_client_has_ended(client));
}

void ayrei_server_tend(struct ayre_server *server)
{
	for (size_t i = 0; i < server->client_count; i++) {
		uint64_t session = server->clients[i].session;

		if (!server->clients[i].replies || !is_gone(server, i))
			continue;
		ayrei_server_let_go(server, i);
		/* It has done so itself, unless it died; or what we had there was in its way. */
		(void)!ayrei_reply_remove(&server->requests->topic, source_of(server, i)->id,
		                          session);
	}
}

struct ayrei_server_client *ayrei_server_client_of(struct ayre_server *server,
                                                   const struct ayre_call *call)
{
	struct ayrei_server_client *client;

	if (call->index >= server->client_count || call->index >= server->requests->source_count)
		return NULL;
	client = &server->clients[call->index];
	if (!client->replies || client->session != call->session ||
	    source_of(server, call->index)->id != call->client ||
	    source_of(server, call->index)->state == AYREI_SOURCE_BROKEN ||
	    client->replies->members.count == 0)
		return NULL;
	return client;
}
