/*
 * Beginning and ending to serve.
 *
 * The order of opening: the file `server` is ours; then the cursor, and a look at every lane there is,
 * where what is sent next is what we receive; then its id in the file; then every client is rung, those
 * included that came meanwhile. A client that finds no server listens for its bell, so it either sees
 * the id, or is rung after it:
 *
 *     server                               client that waits
 *     stores its id                        gives its lane a name
 *     looks for lanes, rings them          looks for an id: none; sleeps
 *
 * Were the look left out, a client whose lane came after the first one would not be rung.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "sys/system.h"
#include "topic/bell.h"
#include "topic/service_server.h"

static struct ayrei_server_layout *layout_of(const struct ayre_server *server)
{
	return server->map.base;
}

static int announce(struct ayre_server *server)
{
	struct ayre_subscriber *requests = server->requests;
	struct ayrei_server_layout *layout = layout_of(server);
	int result;

	layout->servers++;
	layout->opened_ns = ayrei_realtime_ns();
	layout->pid = ayrei_own_process();
	layout->uid = ayrei_user();
	ayrei_store_release(&layout->subscriber, requests->id);
	ayrei_fence_full();
	result = ayrei_subscriber_look(requests, true);
	for (size_t i = 0; i < requests->source_count; i++)
		ayrei_bell_ring(requests->sources[i].bell, AYREI_BELL_JOIN);
	return result;
}

/* The topic is taken, on failure too. */
static int begin(struct ayre_server *server, const struct ayre_server_options *options,
                 struct ayrei_topic *topic, struct ayre_error *error)
{
	struct ayre_subscriber_options form = {.size = sizeof(form), .spin_ns = options->spin_ns};
	int result = server->file =
		ayrei_server_file_take(topic, options->flags & AYRE_SERVER_STANDBY, error);

	if (result >= 0) {
		result = ayrei_shared_map(&server->map, server->file,
		                          sizeof(struct ayrei_server_layout), 0, true, false);
		if (result < 0)
			ayrei_fail(error, result, "map", topic->label, NULL);
	}
	if (result < 0) {
		ayrei_topic_close(topic);
		return result;
	}
	/* What clients that died under an earlier server have left; it is nobody's need now. */
	(void)!ayrei_replies_clear(topic, false);
	result = ayrei_subscriber_open_in(&form, topic, &server->requests, error);
	if (result < 0)
		return result;
	result = announce(server);
	return result < 0 ? ayrei_fail(error, result, "look", server->requests->topic.label,
	                               "a client cannot be listened to")
	                  : 0;
}

int ayre_server_open(const struct ayre_server_options *options, const char *name,
                     struct ayre_server **ret_server, struct ayre_error *error)
{
	const char *label = name ? name : "service";
	struct ayre_server_options copy;
	struct ayre_server *server;
	struct ayrei_topic topic;
	int result;

	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", label, "their size is not set");
	if (copy.flags & ~(uint32_t)(AYRE_SERVER_EXISTING | AYRE_SERVER_STANDBY))
		return ayrei_fail(error, -EINVAL, "flags", label, "unknown bits");
	server = calloc(1, sizeof(*server));
	if (!server)
		return ayrei_fail(error, -ENOMEM, "handle", label, NULL);
	server->file = -1;
	server->spin_ns = copy.spin_ns;
	result = ayrei_service_open(&topic, copy.topic, name, copy.flags & AYRE_SERVER_EXISTING,
	                            error);
	if (result >= 0)
		result = begin(server, &copy, &topic, error);
	if (result < 0) {
		ayre_server_close(server);
		return result;
	}
	*ret_server = server;
	return 0;
}

/*
 * The id and the lock first: nobody sends to us any more, and who stands by can take over while we clear
 * up. We send nothing from then on. Who waits for an answer knows that we have ended when our cursor
 * has.
 */
void ayre_server_close(struct ayre_server *server)
{
	int saved = errno;

	if (!server)
		return;
	if (server->map.base)
		ayrei_store_release(&layout_of(server)->subscriber, 0);
	ayrei_shared_unmap(&server->map);
	/* A child that was forked meanwhile has it too. */
	if (server->file >= 0)
		(void)!ayrei_file_disown(server->file);
	ayrei_file_close(server->file);
	if (server->requests)
		ayrei_server_tend(server);
	for (size_t i = 0; i < server->client_count; i++) {
		ayrei_server_let_go(server, i);
		free(server->clients[i].cancelled);
	}
	free(server->clients);
	ayre_subscriber_close(server->requests);
	free(server);
	errno = saved;
}

int ayre_server_fd(struct ayre_server *server)
{
	int fd = ayre_subscriber_fd(server->requests);

	if (fd >= 0)
		server->exported = true;
	return fd;
}

int ayre_server_get_info(const struct ayre_server *server, struct ayre_server_info *ret_info)
{
	struct ayre_server_info info = {
		.id = server->requests->id,
		.requests = server->received,
		.replies = server->replied,
		.late = server->late,
		.cancelled = server->cancelled,
		.refused = server->refused,
		.broken = server->broken,
		.sleeps = server->requests->sleeps,
	};

	for (size_t i = 0; i < server->client_count; i++)
		info.clients += server->clients[i].replies != NULL;
	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
