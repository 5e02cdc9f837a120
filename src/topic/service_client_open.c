/*
 * A client's ends, opened and let go.
 *
 * The order of opening: the lane of requests, which gives the reply topic its name; then the reply topic,
 * and the cursor in it; and only then a request. So a server that has a request finds where to
 * reply to, and somebody who reads there, or the client is dead.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/options.h"
#include "sys/event.h"
#include "sys/system.h"
#include "topic/service_client.h"

/* In the replies' set: tags that are none of a source's. */
#define REQUESTS_TAG UINT64_MAX
#define TIMER_TAG    (UINT64_MAX - 1)

/* The steps of the reply topic are told as steps of the service. */
static int fail(struct ayre_error *error, int code, const struct ayre_error *inner,
                const char *label)
{
	return ayrei_fail(error, code, inner->step, label, "its reply topic%s%s",
	                  inner->detail[0] ? ": " : "", inner->detail);
}

/*
 * A server of the client's own user needs no more than that user's mode. Another user's has to come in,
 * and so can others.
 */
static uint32_t reply_mode(const struct ayrei_topic *service)
{
	return service->layout.uid == ayrei_user() ? 0600 : 0666;
}

static int open_replies(struct ayre_client *client, int64_t spin_ns, struct ayre_error *error)
{
	const struct ayrei_topic *service = &client->requests->topic;
	const struct ayrei_lane_layout *lane = client->requests->lane.layout;
	struct ayre_topic_options form = {
		.size = sizeof(form),
		.flags = AYRE_TOPIC_EXCLUSIVE,
		.mode = reply_mode(service),
		.ring_bytes = service->layout.ring_bytes,
	};
	struct ayre_subscriber_options options = {
		.size = sizeof(options), .from = AYRE_FROM_OLDEST, .spin_ns = spin_ns};
	char path[AYREI_PEER_PATH_BYTES];
	struct ayre_error inner = {0};
	struct ayrei_topic topic;
	int result;

	/* Of those who had the lane before us, and died. */
	if (lane->publishers > 1)
		(void)!ayrei_replies_clear_lane(service, lane->id);
	client->session = lane->publishers;
	result = ayrei_topic_open(&topic, &form,
	                          ayrei_reply_path(service, lane->id, lane->publishers, path),
	                          false, &inner);
	if (result < 0)
		return fail(error, result, &inner, service->label);
	result = ayrei_subscriber_open_in(&options, &topic, &client->replies, &inner);
	return result < 0 ? fail(error, result, &inner, service->label) : 0;
}

static int open_ends(struct ayre_client *client, const struct ayre_client_options *options,
                     struct ayrei_topic *topic, struct ayre_error *error)
{
	struct ayre_publisher_options publisher = {.size = sizeof(publisher),
	                                           .spin_ns = options->spin_ns,
	                                           .large_bytes = ayrei_service_large(topic)};
	int result = ayrei_publisher_open_in(&publisher, topic, &client->requests, error);

	if (result == 0)
		result = open_replies(client, options->spin_ns, error);
	if (result < 0)
		return result;
	result = ayrei_set_add(client->replies->set, client->requests->members.set, AYREI_READABLE,
	                       REQUESTS_TAG);
	return result < 0 ? ayrei_fail(error, result, "wait", client->requests->topic.label, NULL)
	                  : 0;
}

int ayre_client_open(const struct ayre_client_options *options, const char *name,
                     struct ayre_client **ret_client, struct ayre_error *error)
{
	const char *label = name ? name : "service";
	struct ayre_client_options copy;
	struct ayre_client *client;
	struct ayrei_topic topic;
	int result;

	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", label, "their size is not set");
	if (copy.flags & ~(uint32_t)(AYRE_CLIENT_EXISTING | AYRE_CLIENT_NO_WAIT))
		return ayrei_fail(error, -EINVAL, "flags", label, "unknown bits");
	client = calloc(1, sizeof(*client));
	if (!client)
		return ayrei_fail(error, -ENOMEM, "handle", label, NULL);
	client->timer = -1;
	client->earliest_ns = AYRE_NO_DEADLINE;
	client->timer_ns = AYRE_NO_DEADLINE;
	client->no_wait = copy.flags & AYRE_CLIENT_NO_WAIT;
	result = ayrei_service_open(&topic, copy.topic, name, copy.flags & AYRE_CLIENT_EXISTING,
	                            error);
	if (result >= 0)
		result = open_ends(client, &copy, &topic, error);
	if (result < 0) {
		ayre_client_close(client);
		return result;
	}
	*ret_client = client;
	return 0;
}

/* Requests beside the ring that nobody has yet to read: whoever takes the lane over has no use for them. */
static void remove_large(struct ayre_publisher *requests, bool all_ended)
{
	struct ayrei_large_place place = ayrei_publisher_place(requests);
	uint64_t read =
		all_ended ? UINT64_MAX : ayrei_members_floor(&requests->members, &requests->lane);

	ayrei_larges_remove(&requests->larges, &place, read);
}

void ayre_client_close(struct ayre_client *client)
{
	int saved = errno;

	if (!client)
		return;
	ayre_subscriber_close(client->replies);
	/* What the server has open there it finds gone with us. */
	if (client->session)
		(void)!ayrei_reply_remove(&client->requests->topic,
		                          client->requests->lane.layout->id, client->session);
	ayrei_shared_unmap(&client->server_map);
	if (client->requests)
		remove_large(client->requests, client->calls.count == client->over);
	ayre_publisher_close(client->requests);
	ayrei_file_close(client->timer);
	ayrei_calls_fini(&client->calls);
	free(client);
	errno = saved;
}

static int open_timer(struct ayre_client *client)
{
	int result;

	if (client->timer >= 0)
		return 0;
	result = client->timer = ayrei_timer_open();
	if (result >= 0)
		result = ayrei_set_add(client->replies->set, client->timer, AYREI_READABLE,
		                       TIMER_TAG);
	if (result < 0)
		client->timer = ayrei_file_close(client->timer);
	return result;
}

int ayre_client_fd(struct ayre_client *client)
{
	int fd, result;

	if (client->exported)
		return client->replies->set;
	result = open_timer(client);
	if (result < 0)
		return result;
	fd = ayre_subscriber_fd(client->replies);
	if (fd < 0)
		return fd;
	result = ayre_publisher_fd(client->requests);
	if (result < 0)
		return result;
	client->exported = true;
	ayrei_client_set_timer(client);
	return fd;
}

int ayre_client_get_info(const struct ayre_client *client, struct ayre_client_info *ret_info)
{
	struct ayre_client_info info = {
		.id = client->requests->lane.layout->id,
		.server = client->server,
		.calls = client->sent,
		.outstanding = client->calls.count,
		.dropped = client->dropped,
		.sleeps = client->replies->sleeps,
	};

	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
