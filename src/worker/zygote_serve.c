/*
 * A worker: a copy of the zygote that gives up the rest, and answers calls until it is ended.
 *
 * Invariant: what it writes to the host is in the page of replies, and the call's number is written last. It
 * takes a call only if its number differs from that of the one before: a bell is a hint.
 */
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include <ayre/module.h>

#include "base/error.h"
#include "sys/privilege.h"
#include "worker/confine.h"
#include "worker/zygote.h"

static int confine(const struct ayrei_zygote *zygote, struct ayre_error *error)
{
	static const int keep[] = {0, 1, 2, AYREI_CHANNEL_CALL_BELL, AYREI_CHANNEL_REPLY_BELL};
	struct ayrei_confinement confinement = {
		.options = {.flags = AYRE_CONFINE_REPORT,
	                    .without = zygote->without,
	                    .keep = keep,
	                    .keep_count = sizeof(keep) / sizeof(*keep),
	                    .memory_bytes = zygote->memory_bytes},
		.mapped_bytes = ayrei_address_space_read(zygote->address_space),
	};
	int result = ayrei_die_with_parent(zygote->pid);

	if (result < 0)
		return ayrei_fail(error, result, "confine", "parent", NULL);
	if (zygote->cpu_seconds > 0)
		result = ayrei_limit_cpu(zygote->cpu_seconds);
	/* The host's own limit may be lower, and then is the one that counts. */
	if (result < 0 && result != -EPERM)
		return ayrei_fail(error, result, "confine", "limits", NULL);
	return ayrei_confine_all(&confinement, error);
}

static void ring(void)
{
	static const char byte = 'r';

	(void)!write(AYREI_CHANNEL_REPLY_BELL, &byte, 1);
}

/* Returns once there is a call of another number. */
static void await_call(const struct ayrei_requests *requests, uint64_t served)
{
	char bytes[64];

	while (__atomic_load_n(&requests->call, __ATOMIC_ACQUIRE) == served) {
		ssize_t length = read(AYREI_CHANNEL_CALL_BELL, bytes, sizeof(bytes));

		/* The host is gone. */
		if (length == 0 || (length < 0 && errno != EINTR))
			_exit(0);
	}
}

static uint32_t call(const struct ayrei_zygote *zygote, int32_t *ret_result, uint64_t *ret_bytes)
{
	const struct ayrei_requests *requests = zygote->requests;
	struct ayrei_replies *replies = zygote->replies;
	const struct ayre_request request = {
		.size = sizeof(request),
		.data = (const char *)requests + AYREI_CHANNEL_HEAD,
		.bytes = requests->bytes,
	};
	struct ayre_reply reply = {
		.size = sizeof(reply),
		.data = (char *)replies + AYREI_CHANNEL_HEAD,
		.capacity = requests->capacity,
	};
	int (*function)(const struct ayre_request *, struct ayre_reply *) = NULL;

	*(void **)&function = dlsym(zygote->handle, requests->function);
	if (!function)
		return AYREI_REPLY_NO_FUNCTION;
	*ret_result = function(&request, &reply);
	*ret_bytes = reply.bytes;
	return reply.bytes > reply.capacity ? AYREI_REPLY_TOO_LARGE : AYREI_REPLY_RETURNED;
}

void ayrei_zygote_serve(const struct ayrei_zygote *zygote, uint64_t served)
{
	struct ayrei_replies *replies = zygote->replies;

	if (confine(zygote, &replies->error) < 0)
		_exit(AYREI_WORKER_UNCONFINED);
	__atomic_store_n(&replies->is_confined, 1, __ATOMIC_RELEASE);
	ring();
	for (;;) {
		int32_t result = 0;
		uint64_t bytes = 0;

		await_call(zygote->requests, served);
		served = zygote->requests->call;
		replies->state = call(zygote, &result, &bytes);
		replies->result = result;
		replies->bytes = bytes;
		__atomic_store_n(&replies->call, served, __ATOMIC_RELEASE);
		ring();
	}
}
