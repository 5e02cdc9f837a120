/*
 * A client that waits: who serves, and what ends calls besides replies.
 *
 * Invariant: a call ends with -EOWNERDEAD only when the kernel has said that its server has ended, and all
 * that this server ever sent has been read after that. So a reply that was sent is never taken for none.
 *
 * That the server has ended is told by its bell, which the lane of requests listens to; the replies'
 * set has that lane's set in it, so that one sleep hears both. Nothing is asked of the kernel while
 * replies come.
 */
#include <errno.h>

#include "sys/event.h"
#include "topic/service_client.h"

/* --- who serves --- */

static struct ayrei_member *find_member(const struct ayre_client *client, uint64_t id)
{
	struct ayrei_members *members = &client->requests->members;

	for (size_t i = 0; i < members->count; i++)
		if (members->all[i].id == id)
			return &members->all[i];
	return NULL;
}

static const uint64_t *server_word(const struct ayre_client *client)
{
	const struct ayrei_server_layout *layout = client->server_map.base;

	return layout ? &layout->subscriber : NULL;
}

/* It has ended, as far as can be told without asking: what it has sent is still to be read. */
static void forget_server(struct ayre_client *client)
{
	if (client->server == 0)
		return;
	client->server = 0;
	client->distrusted = false;
	client->unsettled = client->calls.count ? 1 : 0;
}

/* Does the file of this cursor belong to somebody who may serve? */
static bool is_trusted(const struct ayre_client *client, const struct ayrei_member *member)
{
	struct stat status;

	return ayrei_file_status(member->file, &status) == 0 &&
	       ayrei_service_trusts(&client->requests->topic, status.st_uid);
}

/* Looks who serves now. */
static int meet_server(struct ayre_client *client)
{
	const struct ayrei_member *member;
	uint64_t id;
	int result;

	forget_server(client);
	/* Anew: the service may have got another file. */
	ayrei_shared_unmap(&client->server_map);
	result = ayrei_server_file_map(&client->requests->topic, &client->server_map);
	if (result < 0)
		return result == -ENOENT ? -EPIPE : result;
	id = ayrei_load_acquire(server_word(client));
	if (id == 0)
		return -EPIPE;
	if (!find_member(client, id)) {
		result = ayrei_publisher_look(client->requests, false);
		if (result < 0)
			return result;
	}
	member = find_member(client, id);
	if (!member || !is_trusted(client, member))
		return -EPIPE;
	client->server = id;
	return 0;
}

int ayrei_client_find_server(struct ayre_client *client)
{
	const uint64_t *word = server_word(client);

	if (client->server && word && ayrei_load(word) == client->server &&
	    find_member(client, client->server))
		return 0;
	return meet_server(client);
}

/*
 * A server that comes stores its cursor's id in `server`, and then rings whoever has a lane. We hear the
 * bell, and then look: what was rung before that, was stored before that.
 */
int ayrei_client_wait_server(struct ayre_client *client, int64_t deadline_ns)
{
	for (;;) {
		int result = ayrei_client_find_server(client);

		if (result != -EPIPE)
			return result;
		if (deadline_ns <= ayrei_monotonic_ns())
			return -ETIMEDOUT;
		ayrei_publisher_notice(client->requests, deadline_ns);
	}
}

/*
 * Another server takes over the lanes of replies that this one leaves: not one that is broken, and
 * that we do not listen to any more.
 */
void ayrei_client_check_lanes(struct ayre_client *client)
{
	const struct ayre_subscriber *replies = client->replies;
	char path[AYREI_PEER_PATH_BYTES];
	size_t broken = 0;

	for (size_t i = 0; i < replies->source_count; i++) {
		const struct ayrei_source *source = &replies->sources[i];

		if (source->state != AYREI_SOURCE_BROKEN)
			continue;
		broken += ayrei_service_trusts(&client->requests->topic, source->uid);
		(void)!ayrei_file_unlink(ayrei_peer_path(&replies->topic, AYREI_PEER_PUBLISHER,
		                                         source->id, "", path));
	}
	if (broken > client->broken)
		ayrei_client_distrust(client);
	client->broken = broken;
}

void ayrei_client_distrust(struct ayre_client *client)
{
	struct ayrei_calls *calls = &client->calls;

	/* What an earlier one has left is no fault of this one's. */
	if (client->server == 0 || client->unsettled)
		return;
	client->distrusted = true;
	for (size_t i = 0; i < calls->count; i++) {
		struct ayrei_outstanding *call = &calls->all[calls->first + i];

		if (!call->is_over && call->server == client->server)
			ayrei_client_end(client, call, -EPROTO);
	}
}

/* --- what ends calls --- */

void ayrei_client_end(struct ayre_client *client, struct ayrei_outstanding *call, int result)
{
	call->is_over = true;
	call->result = result;
	if (result < 0)
		call->bytes = 0;
	client->over++;
	ayrei_client_set_timer(client);
}

bool ayrei_client_end_late(struct ayre_client *client)
{
	struct ayrei_calls *calls = &client->calls;
	size_t before = client->over;
	int64_t now, earliest = AYRE_NO_DEADLINE;

	if (client->earliest_ns == AYRE_NO_DEADLINE)
		return false;
	now = ayrei_monotonic_ns();
	if (now < client->earliest_ns)
		return false;
	for (size_t i = 0; i < calls->count; i++) {
		struct ayrei_outstanding *call = &calls->all[calls->first + i];

		if (call->is_over)
			continue;
		if (call->deadline_ns <= now)
			ayrei_client_end(client, call, -ETIMEDOUT);
		else if (call->deadline_ns < earliest)
			earliest = call->deadline_ns;
	}
	client->earliest_ns = earliest;
	ayrei_client_set_timer(client);
	return client->over > before;
}

/* Those of servers that have ended. */
static bool end_ownerless(struct ayre_client *client)
{
	struct ayrei_calls *calls = &client->calls;
	size_t before = client->over;

	for (size_t i = 0; i < calls->count; i++) {
		struct ayrei_outstanding *call = &calls->all[calls->first + i];

		if (!call->is_over && call->server != client->server)
			ayrei_client_end(client, call, -EOWNERDEAD);
	}
	return client->over > before;
}

/*
 * Its lane of replies may be one that we have not heard of: it rang before it sent, but that bell may
 * still be ringing. So we look once, read all there is, and only then is there no reply.
 */
static int settle(struct ayre_client *client)
{
	if (client->unsettled == 1) {
		int result = ayrei_subscriber_look(client->replies, false);

		if (result < 0)
			return result;
		client->unsettled = 2;
		return AYREI_AGAIN;
	}
	if (ayrei_subscriber_is_ready(client->replies))
		return AYREI_AGAIN;
	client->unsettled = 0;
	return end_ownerless(client) ? AYREI_AGAIN : -EAGAIN;
}

bool ayrei_client_is_ready(struct ayre_client *client)
{
	return client->over || client->unsettled || client->unheard ||
	       ayrei_subscriber_is_ready(client->replies);
}

/* Of the server's we know no lane: woken, and for no reply, it is time to look for one. */
static bool is_lonely(const struct ayre_client *client)
{
	const struct ayre_subscriber *replies = client->replies;

	for (size_t i = 0; i < replies->source_count; i++)
		if (replies->sources[i].state == AYREI_SOURCE_LIVE)
			return false;
	return client->was_woken;
}

/*
 * What the lane of requests has to tell. For an event loop that waits to send, what is heard here rings
 * no more: the timer says it again, until it tries.
 */
static void hear(struct ayre_client *client)
{
	client->was_woken = false;
	if (ayrei_publisher_notice(client->requests, 0) && client->was_refused)
		client->retry = true;
}

int ayrei_client_rest(struct ayre_client *client)
{
	int result;

	if (ayrei_client_end_late(client))
		return AYREI_AGAIN;
	client->unheard |= is_lonely(client);
	if (client->unheard && ayrei_subscriber_look(client->replies, false) == 0) {
		client->unheard = false;
		hear(client);
		return AYREI_AGAIN;
	}
	if (client->exported || client->was_woken)
		hear(client);
	if (client->server && !find_member(client, client->server))
		forget_server(client);
	result = client->unsettled ? settle(client) : -EAGAIN;
	ayrei_client_set_timer(client);
	return result;
}

/* --- waiting --- */

int ayrei_client_wait(struct ayre_client *client, int64_t deadline_ns)
{
	bool by_call = client->earliest_ns < deadline_ns;
	int result =
		ayrei_subscriber_wait(client->replies, by_call ? client->earliest_ns : deadline_ns);

	client->was_woken = true;
	return result == -ETIMEDOUT && by_call ? 0 : result;
}

void ayrei_client_set_timer(struct ayre_client *client)
{
	int64_t wanted = client->over || client->retry ? 0 : client->earliest_ns;

	if (client->timer < 0 || client->timer_ns == wanted)
		return;
	client->timer_ns = wanted;
	(void)!ayrei_timer_set(client->timer, wanted);
}
