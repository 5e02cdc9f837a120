/*
 * Calling a service: sending requests, and receiving what comes of them.
 *
 * Invariant: a call that was sent ends once. It is an entry in client->calls from before its request is
 * visible until its end was told, and a reply counts only if it names an entry that has not ended.
 *
 * A server may say anything. What it sends is bounded by its lane; the number in it is looked up among our
 * own; and a number that we have not given yet proves that it lies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "sys/event.h"
#include "topic/service_client.h"

/* A message of so many bytes and its record's header are a cache line. */
#define SHORT_BYTES (AYREI_LINE - AYREI_RECORD_HEADER)

int ayrei_service_put(struct ayre_publisher *publisher, uint64_t word, const void *data,
                      size_t bytes, int64_t deadline_ns)
{
	size_t whole = sizeof(word) + bytes;
	void *room;
	int result;

	if (whole <= SHORT_BYTES) {
		char message[SHORT_BYTES];

		memcpy(message, &word, sizeof(word));
		if (bytes)
			ayrei_copy_short(message + sizeof(word), data, bytes);
		return deadline_ns == AYREI_AT_ONCE
		               ? ayre_publisher_try_send(publisher, message, whole)
		               : ayre_publisher_send_until(publisher, message, whole, deadline_ns);
	}
	if (bytes > SIZE_MAX / 4)
		return -EMSGSIZE;
	result = deadline_ns == AYREI_AT_ONCE
	                 ? ayre_publisher_try_reserve(publisher, whole, &room)
	                 : ayre_publisher_reserve_until(publisher, whole, &room, deadline_ns);
	if (result < 0)
		return result;
	ayrei_lane_copy((char *)room + sizeof(word), data, bytes);
	memcpy(room, &word, sizeof(word));
	return ayre_publisher_commit(publisher, whole);
}

/* --- sending --- */

static uint64_t next_number(const struct ayre_client *client)
{
	return client->requests->lane.sequence;
}

static int find_server(struct ayre_client *client, int64_t deadline_ns)
{
	int result = ayrei_client_find_server(client);

	if (result == -EPIPE && !client->no_wait && deadline_ns != AYREI_AT_ONCE)
		result = ayrei_client_wait_server(client, deadline_ns);
	return result;
}

/* until_ns: how long to wait for a server and for room; deadline_ns: the call's. */
static int send_call(struct ayre_client *client, const void *data, size_t bytes, int64_t until_ns,
                     int64_t deadline_ns, uint64_t *ret_number)
{
	bool has_deadline = deadline_ns < (int64_t)AYREI_REQUEST_VALUE;
	struct ayrei_outstanding call = {
		.number = next_number(client),
		.deadline_ns = has_deadline ? deadline_ns : AYRE_NO_DEADLINE,
	};
	int result = find_server(client, until_ns);

	if (result < 0)
		return result;
	if (client->distrusted)
		return -EPROTO;
	if (call.number > AYREI_REPLY_CALL)
		return -EOVERFLOW;
	result = ayrei_calls_reserve(&client->calls);
	if (result < 0)
		return result;
	call.server = client->server;
	/* 0 says that there is none; one that has passed long ago is no other than 1. */
	result = ayrei_service_put(client->requests,
	                           !has_deadline     ? 0
	                           : deadline_ns < 1 ? 1
	                                             : (uint64_t)deadline_ns,
	                           data, bytes, until_ns);
	if (result < 0)
		return result;
	ayrei_calls_add(&client->calls, &call);
	client->sent++;
	if (call.deadline_ns < client->earliest_ns) {
		client->earliest_ns = call.deadline_ns;
		ayrei_client_set_timer(client);
	}
	*ret_number = call.number;
	return 0;
}

int ayre_client_send(struct ayre_client *client, const void *data, size_t bytes,
                     int64_t deadline_ns, uint64_t *ret_call)
{
	return send_call(client, data, bytes, deadline_ns < 0 ? 0 : deadline_ns, deadline_ns,
	                 ret_call);
}

int ayre_client_try_send(struct ayre_client *client, const void *data, size_t bytes,
                         int64_t deadline_ns, uint64_t *ret_call)
{
	int result = send_call(client, data, bytes, AYREI_AT_ONCE, deadline_ns, ret_call);

	client->was_refused = result == -EAGAIN || result == -EPIPE;
	if (client->retry) {
		client->retry = false;
		ayrei_client_set_timer(client);
	}
	return result;
}

int ayre_client_cancel(struct ayre_client *client, uint64_t number)
{
	uint64_t word = (uint64_t)AYREI_REQUEST_CANCEL << AYREI_REQUEST_KIND | number;
	struct ayrei_lane_layout *lane = client->requests->lane.layout;
	struct ayrei_outstanding *call = ayrei_calls_find(&client->calls, number);

	if (!call || call->is_over)
		return -ENOENT;
	ayrei_client_end(client, call, -ECANCELED);
	if (call->server == client->server &&
	    ayrei_service_put(client->requests, word, NULL, 0, AYREI_AT_ONCE) == 0)
		ayrei_store_release(&lane->cancels, lane->cancels + 1);
	return 0;
}

/* --- receiving --- */

/* Which call: one that was waited for, or any. */
struct wanted {
	const uint64_t *number; /* NULL: any */
	char *buffer;
	size_t buffer_bytes;
	struct ayre_reply_info *info;
};

/* Tells of a call whose reply, if it has one, is at data. -EMSGSIZE: it stays. */
static ssize_t tell(const struct ayrei_outstanding *call, const void *data,
                    const struct wanted *wanted)
{
	struct ayre_reply_info info = {
		.call = call->number,
		.bytes = call->bytes,
		.result = call->result,
		.status = call->status,
	};
	uint64_t bytes = call->bytes;

	/* Checked before: it has a size. */
	(void)!ayrei_result_copy(wanted->info, &info, sizeof(info));
	if (bytes > wanted->buffer_bytes)
		return -EMSGSIZE;
	if (bytes)
		ayrei_copy(wanted->buffer, data, bytes);
	return (ssize_t)bytes;
}

/* One that is over. */
static ssize_t tell_over(struct ayre_client *client, struct ayrei_outstanding *call,
                         const struct wanted *wanted)
{
	ssize_t result = tell(call, call->data, wanted);

	if (result < 0)
		return result;
	client->over--;
	ayrei_calls_remove(&client->calls, call);
	return result;
}

static struct ayrei_outstanding *find_over(const struct ayre_client *client,
                                           const struct wanted *wanted)
{
	const struct ayrei_calls *calls = &client->calls;
	struct ayrei_outstanding *call;

	if (wanted->number) {
		call = ayrei_calls_find(calls, *wanted->number);
		return call && call->is_over ? call : NULL;
	}
	for (size_t i = 0; i < calls->count; i++)
		if (calls->all[calls->first + i].is_over)
			return &calls->all[calls->first + i];
	return NULL;
}

/* A reply to another call than the one that is waited for: it is kept. */
static void keep(struct ayre_client *client, struct ayrei_outstanding *call, const char *data)
{
	call->data = call->bytes ? malloc(call->bytes) : NULL;
	if (call->data)
		memcpy(call->data, data, call->bytes);
	/* If it was no reply after all, the next look at the lane says so. */
	if (ayre_subscriber_release(client->replies) < 0) {
		free(call->data);
		call->data = NULL;
		call->bytes = 0;
		return;
	}
	ayrei_client_end(client, call, call->bytes && !call->data ? -ENOMEM : call->result);
}

static int drop(struct ayre_client *client)
{
	client->dropped++;
	/* If it was none, the next look at the lane says so. */
	(void)!ayre_subscriber_release(client->replies);
	return AYREI_AGAIN;
}

/* The reply that is peeked, to an outstanding call. */
static ssize_t take(struct ayre_client *client, struct ayrei_outstanding *call, uint64_t word,
                    const struct ayre_message *message, const struct wanted *wanted)
{
	const char *data = (const char *)message->data + sizeof(word);
	ssize_t result;

	call->status = (int)(word >> AYREI_REPLY_STATUS);
	call->result = call->status ? -EREMOTEIO : 0;
	/* An error has no bytes. */
	call->bytes = call->status ? 0 : message->bytes - sizeof(word);
	if (wanted->number && call->number != *wanted->number) {
		keep(client, call, data);
		return AYREI_AGAIN;
	}
	result = tell(call, data, wanted);
	/* Where it stays, it is looked at again the next time. */
	if (result < 0)
		return result;
	if (ayre_subscriber_release(client->replies) < 0)
		return AYREI_AGAIN;
	ayrei_calls_remove(&client->calls, call);
	return result;
}

/* Looks at the next reply. */
static ssize_t look(struct ayre_client *client, const struct wanted *wanted)
{
	const struct ayre_subscriber *replies = client->replies;
	struct ayrei_outstanding *call;
	struct ayre_message message;
	uint64_t word;
	int result = ayre_subscriber_try_peek(client->replies, &message);

	if (result == -EAGAIN)
		return ayrei_client_rest(client);
	if (result == -EPROTO) {
		ayrei_client_check_lanes(client);
		return AYREI_AGAIN;
	}
	if (result < 0) {
		client->unheard = true;
		return result;
	}
	client->was_woken = false;
	/* In a reply topic that others can come into, the server is not the only one who can publish. */
	if (!ayrei_service_trusts(&client->requests->topic,
	                          replies->sources[replies->peeked_source].uid))
		return drop(client);
	if (message.bytes < sizeof(word)) {
		ayrei_client_distrust(client);
		return drop(client);
	}
	memcpy(&word, message.data, sizeof(word));
	call = ayrei_calls_find(&client->calls, word & AYREI_REPLY_CALL);
	if (call && !call->is_over)
		return take(client, call, word, &message, wanted);
	/* To a call that has ended; or one that was never made. */
	if ((word & AYREI_REPLY_CALL) >= next_number(client))
		ayrei_client_distrust(client);
	return drop(client);
}

/* Steps of one attempt: a server may send replies to nothing, and without end. */
#define STEPS 256

static ssize_t try_receive(struct ayre_client *client, const struct wanted *wanted)
{
	for (int i = 0; i < STEPS; i++) {
		struct ayrei_outstanding *call = client->over ? find_over(client, wanted) : NULL;
		ssize_t result = call ? tell_over(client, call, wanted) : look(client, wanted);

		if (result != AYREI_AGAIN)
			return result;
	}
	/* It is looked at where there is nothing else; here there always is. */
	(void)ayrei_client_end_late(client);
	return ayrei_subscriber_put_off(client->replies);
}

static ssize_t receive_until(struct ayre_client *client, const struct wanted *wanted,
                             int64_t deadline_ns)
{
	for (bool again = false;; again = true) {
		ssize_t result = -EAGAIN;

		/* An attempt in vain is not for nothing: now and then it asks the kernel. */
		if (client->was_woken || ayrei_client_is_ready(client))
			result = try_receive(client, wanted);
		if (result != -EAGAIN)
			return result;
		if (client->calls.count == 0)
			return -ENOENT;
		/* What woke us may have been no reply, and may be so again and again. */
		if (again && deadline_ns != AYRE_NO_DEADLINE && deadline_ns <= ayrei_monotonic_ns())
			return -ETIMEDOUT;
		result = ayrei_client_wait(client, deadline_ns);
		if (result < 0)
			return result;
	}
}

static int check_info(const struct ayre_reply_info *info)
{
	return info && info->size >= sizeof(info->size) ? 0 : -EINVAL;
}

ssize_t ayre_client_receive_until(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                                  struct ayre_reply_info *ret_info, int64_t deadline_ns)
{
	struct wanted any = {NULL, buffer, buffer_bytes, ret_info};

	if (check_info(ret_info) < 0)
		return -EINVAL;
	return receive_until(client, &any, deadline_ns);
}

ssize_t ayre_client_receive(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                            struct ayre_reply_info *ret_info)
{
	return ayre_client_receive_until(client, buffer, buffer_bytes, ret_info, AYRE_NO_DEADLINE);
}

ssize_t ayre_client_try_receive(struct ayre_client *client, void *buffer, size_t buffer_bytes,
                                struct ayre_reply_info *ret_info)
{
	struct wanted any = {NULL, buffer, buffer_bytes, ret_info};
	ssize_t result;

	if (check_info(ret_info) < 0)
		return -EINVAL;
	/* Who only tries hears of the server's end as well. */
	if (++client->idle >= AYREI_IDLE) {
		client->idle = 0;
		client->was_woken = true;
	}
	result = try_receive(client, &any);
	return result == -EAGAIN && client->calls.count == 0 ? -ENOENT : result;
}

/* --- both at once --- */

/* A call that cannot be waited for. */
static void forget(struct ayre_client *client, uint64_t number)
{
	struct ayrei_outstanding *call;

	(void)!ayre_client_cancel(client, number);
	call = ayrei_calls_find(&client->calls, number);
	if (!call)
		return;
	client->over--;
	ayrei_calls_remove(&client->calls, call);
}

ssize_t ayre_client_call_until(struct ayre_client *client, const void *data, size_t bytes,
                               void *buffer, size_t buffer_bytes, struct ayre_reply_info *ret_info,
                               int64_t deadline_ns)
{
	struct ayre_reply_info own = {.size = sizeof(own)};
	uint64_t number;
	struct wanted this = {&number, buffer, buffer_bytes, &own};
	ssize_t result;

	if (ret_info && check_info(ret_info) < 0)
		return -EINVAL;
	result = send_call(client, data, bytes, deadline_ns < 0 ? 0 : deadline_ns, deadline_ns,
	                   &number);
	if (result < 0)
		return result;
	/* The call has its own deadline, and ends by it. */
	result = receive_until(client, &this, AYRE_NO_DEADLINE);
	if (result < 0 && result != -EMSGSIZE)
		forget(client, number);
	if (ret_info)
		(void)!ayrei_result_copy(ret_info, &own, sizeof(own));
	return result >= 0 && own.result < 0 ? own.result : result;
}

ssize_t ayre_client_call(struct ayre_client *client, const void *data, size_t bytes, void *buffer,
                         size_t buffer_bytes, struct ayre_reply_info *ret_info)
{
	return ayre_client_call_until(client, data, bytes, buffer, buffer_bytes, ret_info,
	                              AYRE_NO_DEADLINE);
}
