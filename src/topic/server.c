/*
 * Serving: receiving requests.
 *
 * Invariant: what a client writes costs its own calls and nobody else's. A message that is no request is
 * passed over and counted; a request is handed out only if it can be answered.
 */
#include <errno.h>
#include <string.h>

#include "sys/event.h"
#include "topic/service_server.h"

/* What became of a message, besides a negative errno. */
enum { PASSED_OVER = 0, HANDED_OUT = 1 };

/* Passes it over. If it was none, the next look at the lane says so. */
static int pass_over(struct ayre_server *server, uint64_t *count)
{
	(void)!ayre_subscriber_release(server->requests);
	if (count)
		++*count;
	return PASSED_OVER;
}

static bool is_late(int64_t deadline_ns)
{
	return deadline_ns != AYRE_NO_DEADLINE && deadline_ns <= ayrei_monotonic_ns();
}

/* A call, whose client we know. */
static int hand_out(struct ayre_server *server, size_t index, const struct ayre_message *message,
                    void *buffer, size_t buffer_bytes, struct ayre_call *call)
{
	struct ayrei_server_client *client = &server->clients[index];
	struct ayrei_outstanding taken = {.number = call->number};
	int result;

	call->session = client->session;
	if (call->bytes > buffer_bytes)
		return -EMSGSIZE;
	result = ayrei_calls_reserve(&client->calls);
	if (result < 0) {
		pass_over(server, &server->refused);
		return result;
	}
	if (call->bytes)
		ayrei_copy(buffer, (const char *)message->data + sizeof(uint64_t), call->bytes);
	if (ayre_subscriber_release(server->requests) < 0)
		return PASSED_OVER;
	ayrei_calls_add(&client->calls, &taken);
	server->received++;
	return HANDED_OUT;
}

/* The message that is peeked. */
static int judge(struct ayre_server *server, const struct ayre_message *message, void *buffer,
                 size_t buffer_bytes, struct ayre_call *ret_call)
{
	size_t index = server->requests->peeked_source;
	uint64_t word, value;
	bool cancelled;
	int result = ayrei_server_make_places(server);

	if (result < 0) {
		pass_over(server, &server->refused);
		return result;
	}
	ayrei_server_search(server, index);
	if (message->bytes < sizeof(word))
		return pass_over(server, &server->refused);
	memcpy(&word, message->data, sizeof(word));
	value = word & AYREI_REQUEST_VALUE;
	if (word >> AYREI_REQUEST_KIND == AYREI_REQUEST_CANCEL) {
		ayrei_server_note_cancel(server, index, value);
		return pass_over(server, NULL);
	}
	if (word >> AYREI_REQUEST_KIND != AYREI_REQUEST_CALL)
		return pass_over(server, &server->refused);
	cancelled = ayrei_server_was_cancelled(server, index, message->sequence);
	*ret_call = (struct ayre_call){
		.client = message->publisher,
		.number = message->sequence,
		.deadline_ns = value ? (int64_t)value : AYRE_NO_DEADLINE,
		.bytes = message->bytes - sizeof(word),
		.index = index,
	};
	if (cancelled)
		return pass_over(server, &server->cancelled);
	if (is_late(ret_call->deadline_ns))
		return pass_over(server, &server->late);
	result = ayrei_server_meet(server, index);
	if (result < 0) {
		pass_over(server, &server->refused);
		return result == -EPIPE ? PASSED_OVER : result;
	}
	return hand_out(server, index, message, buffer, buffer_bytes, ret_call);
}

/* Messages between two looks at the bell. */
#define BUSY_MESSAGES 1024

/*
 * Where some clients always have something, an attempt is never in vain, and the bell, which tells of a
 * client that comes, would not be looked at.
 */
static int look_up(struct ayre_server *server)
{
	int result;

	if (++server->busy < BUSY_MESSAGES)
		return 0;
	server->busy = 0;
	server->requests->idle = 1;
	result = ayrei_subscriber_rest(server->requests);
	return result == -EAGAIN ? 0 : result;
}

/* It is told once that a client cannot be listened to; then it is tried again and again. */
static int listen_again(struct ayre_server *server)
{
	if (!server->unheard || ayrei_subscriber_look(server->requests, false) < 0)
		return -EAGAIN;
	server->unheard = false;
	return PASSED_OVER;
}

static int look(struct ayre_server *server, struct ayre_message *message)
{
	int result = look_up(server);

	if (result == 0)
		result = ayre_subscriber_try_peek(server->requests, message);
	server->unheard |= result < 0 && result != -EAGAIN && result != -EPROTO;
	return result;
}

/* Messages that one attempt passes over: somebody may send nothing else, and without end. */
#define PASSES 256

static ssize_t try_receive(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                           struct ayre_call *ret_call)
{
	int result = PASSED_OVER;
	struct ayre_call call;

	for (int i = 0; result == PASSED_OVER && i < PASSES; i++) {
		struct ayre_message message;

		result = look(server, &message);
		if (result == -EPROTO) {
			server->broken++;
			result = PASSED_OVER;
		} else if (result == -EAGAIN) {
			result = listen_again(server);
		} else if (result == 0) {
			result = judge(server, &message, buffer, buffer_bytes, &call);
		}
	}
	if (result == PASSED_OVER)
		return ayrei_subscriber_put_off(server->requests);
	if (result == HANDED_OUT || result == -EMSGSIZE)
		*ret_call = call;
	return result == HANDED_OUT ? (ssize_t)call.bytes : result;
}

ssize_t ayre_server_try_receive(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                                struct ayre_call *ret_call)
{
	ssize_t result = try_receive(server, buffer, buffer_bytes, ret_call);

	if (result == -EAGAIN && (server->exported || ++server->idle >= AYREI_IDLE)) {
		server->idle = 0;
		ayrei_server_tend(server);
	}
	return result;
}

ssize_t ayre_server_receive_until(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                                  struct ayre_call *ret_call, int64_t deadline_ns)
{
	for (bool again = false;; again = true) {
		ssize_t result = -EAGAIN;

		/* An attempt in vain is not for nothing: now and then it asks the kernel. */
		if (server->exported || server->unheard ||
		    ayrei_subscriber_is_ready(server->requests))
			result = try_receive(server, buffer, buffer_bytes, ret_call);
		if (result != -EAGAIN)
			return result;
		/* What woke us may have been no request, and may be so again and again. */
		if (again && deadline_ns != AYRE_NO_DEADLINE && deadline_ns <= ayrei_monotonic_ns())
			return -ETIMEDOUT;
		result = ayrei_subscriber_wait(server->requests, deadline_ns);
		if (result < 0)
			return result;
		/* Not by a request: somebody came, or has gone. */
		if (!ayrei_subscriber_is_ready(server->requests)) {
			ayrei_server_tend(server);
			server->unheard = true;
		}
	}
}

ssize_t ayre_server_receive(struct ayre_server *server, void *buffer, size_t buffer_bytes,
                            struct ayre_call *ret_call)
{
	return ayre_server_receive_until(server, buffer, buffer_bytes, ret_call, AYRE_NO_DEADLINE);
}

int ayre_server_is_late(const struct ayre_server *server, const struct ayre_call *call)
{
	(void)server;
	return is_late(call->deadline_ns);
}
