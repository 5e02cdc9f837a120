/*
 * Answering calls, and finding out which ones nobody waits for.
 *
 * A cancellation is a message behind the request, and behind others: it would be received when they are.
 * So the lane has a word that says how many there are, in a line that is looked at anyway; when it
 * has changed, the lane is searched once as far as it goes. Each message is searched once, and what is
 * remembered is a bit for each that the ring has room for: a client that cancels at random spends no more
 * of a server than one that does not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sys/event.h"
#include "sys/file.h"
#include "topic/service_server.h"

static const struct ayrei_source *source_of(const struct ayre_server *server, size_t index)
{
	return &server->requests->sources[index];
}

/* --- cancellations --- */

/* No record is shorter than its header. */
static uint64_t window(const struct ayrei_source *source)
{
	return (source->reader.mask + 1) / AYREI_RECORD_HEADER;
}

void ayrei_server_note_cancel(struct ayre_server *server, size_t index, uint64_t number)
{
	struct ayrei_server_client *client = &server->clients[index];
	const struct ayrei_source *source = source_of(server, index);
	struct ayrei_outstanding *call = ayrei_calls_find(&client->calls, number);
	uint64_t bit = number & (window(source) - 1);

	if (call)
		call->is_over = true;
	/* What is behind the reader was answered, or will be in vain; what is not in the ring is a lie. */
	if (number < source->reader.sequence || number - source->reader.sequence >= window(source))
		return;
	if (!client->cancelled)
		client->cancelled = calloc(window(source) / 64, sizeof(uint64_t));
	/* Without memory it is not known, and the call is executed in vain. */
	if (client->cancelled)
		client->cancelled[bit / 64] |= UINT64_C(1) << bit % 64;
}

bool ayrei_server_was_cancelled(struct ayre_server *server, size_t index, uint64_t number)
{
	const struct ayrei_server_client *client = &server->clients[index];
	uint64_t bit = number & (window(source_of(server, index)) - 1);
	bool was;

	if (!client->cancelled)
		return false;
	was = client->cancelled[bit / 64] >> bit % 64 & 1;
	client->cancelled[bit / 64] &= ~(UINT64_C(1) << bit % 64);
	return was;
}

/* The record at the place of the search. */
static void search_one(struct ayre_server *server, size_t index, const struct ayrei_reader *reader,
                       uint64_t header)
{
	uint64_t word;

	if (header >> 32 != AYREI_RECORD_MESSAGE || (uint32_t)header != sizeof(word))
		return;
	memcpy(&word, reader->ring + (reader->position & reader->mask) + AYREI_RECORD_HEADER,
	       sizeof(word));
	if (word >> AYREI_REQUEST_KIND == AYREI_REQUEST_CANCEL &&
	    (word & AYREI_REQUEST_VALUE) < reader->sequence)
		ayrei_server_note_cancel(server, index, word & AYREI_REQUEST_VALUE);
}

void ayrei_server_search(struct ayre_server *server, size_t index)
{
	struct ayrei_server_client *client = &server->clients[index];
	struct ayrei_reader reader = source_of(server, index)->reader;
	uint64_t cancels = ayrei_load_acquire(&reader.layout->cancels), ring = reader.mask + 1;
	uint64_t end = reader.position + ring;

	if (__builtin_expect(cancels == client->cancels, true))
		return;
	client->cancels = cancels;
	if (client->position > reader.position) {
		reader.position = client->position;
		reader.sequence = client->sequence;
	}
	while (reader.position < end) {
		uint64_t header = ayrei_reader_header(&reader);

		if (!ayrei_record_is_valid(header, ring) ||
		    !ayrei_reader_is_intact(&reader, reader.position))
			break;
		search_one(server, index, &reader, header);
		reader.sequence += ayrei_record_unpack(header).kind != AYREI_RECORD_CLOSED;
		reader.position = ayrei_record_end(reader.position, (uint32_t)header);
	}
	client->position = reader.position;
	client->sequence = reader.sequence;
}

/* Of a call whose client is gone. */
static bool was_taken(const struct ayre_server *server, const struct ayre_call *call)
{
	return call->index < server->client_count && call->session != 0;
}

int ayre_server_is_cancelled(struct ayre_server *server, const struct ayre_call *call)
{
	struct ayrei_server_client *client = ayrei_server_client_of(server, call);
	const struct ayrei_outstanding *taken;

	if (!client)
		return was_taken(server, call) ? 1 : -EINVAL;
	ayrei_server_search(server, call->index);
	taken = ayrei_calls_find(&client->calls, call->number);
	if (!taken)
		return -EINVAL;
	return taken->is_over || ayrei_server_client_has_ended(client);
}

/* --- answering --- */

/* For an event loop: listens for the client's reading, or does so no longer. */
static void await_room(struct ayre_server *server, struct ayrei_server_client *client, bool wanted)
{
	int set = client->replies->members.set;

	if (!server->exported || client->is_awaited == wanted)
		return;
	if (wanted) {
		client->is_awaited =
			ayre_publisher_fd(client->replies) >= 0 &&
			ayrei_set_add(server->requests->set, set, AYREI_READABLE, UINT64_MAX) == 0;
	} else {
		client->is_awaited = false;
		(void)!ayrei_set_remove(server->requests->set, set);
	}
}

/*
 * Would nobody read a reply? The kernel is asked about a client that sleeps, and has to be woken, which
 * costs more; one that is awake is believed to live until we hear otherwise.
 */
static bool is_in_vain(struct ayrei_server_client *client, const struct ayrei_source *source)
{
	const struct ayrei_members *members = &client->replies->members;
	bool may_live = source->state == AYREI_SOURCE_LIVE && !client->has_ended;

	for (size_t i = 0; may_live && i < members->count; i++)
		if (ayrei_load(members->watches[i].ticket) % 2 == 0)
			return false;
	return ayrei_server_client_has_ended(client);
}

static int put(struct ayre_server *server, struct ayrei_server_client *client, uint64_t word,
               const void *data, size_t bytes, int64_t deadline_ns)
{
	int result = ayrei_service_put(client->replies, word, data, bytes, deadline_ns);

	/* Once more, with the descriptor listening: only then has the lane said that it waits. */
	if (result == -EAGAIN && server->exported && !client->is_awaited) {
		await_room(server, client, true);
		result = ayrei_service_put(client->replies, word, data, bytes, deadline_ns);
	}
	if (result != -EAGAIN)
		await_room(server, client, false);
	return result;
}

static int answer(struct ayre_server *server, const struct ayre_call *call, int status,
                  const void *data, size_t bytes, int64_t deadline_ns)
{
	struct ayrei_server_client *client = ayrei_server_client_of(server, call);
	struct ayrei_outstanding *taken;
	bool was_cancelled;
	int result;

	if (!client)
		return was_taken(server, call) ? -EPIPE : -EINVAL;
	ayrei_server_search(server, call->index);
	taken = ayrei_calls_find(&client->calls, call->number);
	if (!taken)
		return -EINVAL;
	was_cancelled = taken->is_over;
	if (was_cancelled || is_in_vain(client, source_of(server, call->index))) {
		ayrei_calls_remove(&client->calls, taken);
		return was_cancelled ? -ECANCELED : -EPIPE;
	}
	result = put(server, client,
	             (uint64_t)(unsigned int)status << AYREI_REPLY_STATUS | call->number, data,
	             bytes, deadline_ns);
	if (result < 0)
		return result;
	ayrei_calls_remove(&client->calls, taken);
	server->replied++;
	/* It died while we waited for room. */
	return client->replies->members.count == 0 ? -EPIPE : 0;
}

int ayre_server_reply_until(struct ayre_server *server, const struct ayre_call *call,
                            const void *data, size_t bytes, int64_t deadline_ns)
{
	return answer(server, call, 0, data, bytes, deadline_ns < 0 ? 0 : deadline_ns);
}

int ayre_server_reply(struct ayre_server *server, const struct ayre_call *call, const void *data,
                      size_t bytes)
{
	return answer(server, call, 0, data, bytes, AYRE_NO_DEADLINE);
}

int ayre_server_try_reply(struct ayre_server *server, const struct ayre_call *call,
                          const void *data, size_t bytes)
{
	return answer(server, call, 0, data, bytes, AYREI_AT_ONCE);
}

static int fail(struct ayre_server *server, const struct ayre_call *call, int status,
                int64_t deadline_ns)
{
	if (status < 1 || status > AYREI_REPLY_STATUS_MAX)
		return -EINVAL;
	return answer(server, call, status, NULL, 0, deadline_ns);
}

int ayre_server_fail_until(struct ayre_server *server, const struct ayre_call *call, int status,
                           int64_t deadline_ns)
{
	return fail(server, call, status, deadline_ns < 0 ? 0 : deadline_ns);
}

int ayre_server_fail(struct ayre_server *server, const struct ayre_call *call, int status)
{
	return fail(server, call, status, AYRE_NO_DEADLINE);
}

int ayre_server_try_fail(struct ayre_server *server, const struct ayre_call *call, int status)
{
	return fail(server, call, status, AYREI_AT_ONCE);
}
