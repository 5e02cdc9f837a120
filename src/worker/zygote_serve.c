/*
 * A worker: a copy of the zygote that gives up the rest, and answers calls until it is ended.
 *
 * Invariant: what it writes to the host is in the page of replies, and the call's number is written last. It
 * takes a call only if its number differs from that of the one before: a bell is a hint.
 */
#include <errno.h>
#include <unistd.h>

#include <ayre/module.h>

#include "base/error.h"
#include "sys/cpu.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/privilege.h"
#include "sys/spin.h"
#include "worker/zygote.h"

/* What a worker works with. */
struct service {
	struct ayrei_zygote *zygote;
	const struct ayrei_requests *requests;
	struct ayrei_replies *replies;
	int call_bell, reply_bell;
	const void *input;
	size_t input_bytes, shared_bytes;
	struct ayrei_spin spin;

	/* That was asked for last, and what it is. */
	uint32_t function_number;
	ayrei_module_function *function;
};

static int confine(const struct service *service, struct ayre_error *error)
{
	const struct ayrei_zygote *zygote = service->zygote;
	/* The socket until there is nothing more to report. */
	const int keep[] = {
		0, 1, 2, AYREI_CHANNEL_SOCKET, service->call_bell, service->reply_bell,
	};
	int64_t mapped_bytes = zygote->mapped_bytes;
	int result = ayrei_die_with_parent(zygote->pid);

	if (result < 0)
		return ayrei_fail(error, result, "confine", "parent", NULL);
	if (mapped_bytes >= 0)
		mapped_bytes += (int64_t)service->shared_bytes;
	return ayrei_zygote_lock_worker(zygote, mapped_bytes, keep, sizeof(keep) / sizeof(*keep),
	                                error);
}

static void ring(const struct service *service)
{
	static const char byte = 'r';

	ayrei_fence_full();
	if (__atomic_load_n(&service->requests->is_asleep, __ATOMIC_RELAXED))
		(void)!write(service->reply_bell, &byte, 1);
}

static bool is_new(const struct service *service, uint64_t served)
{
	return __atomic_load_n(&service->requests->call, __ATOMIC_ACQUIRE) != served;
}

static void sleep_until_new(const struct service *service, uint64_t served)
{
	struct ayrei_replies *replies = service->replies;
	char bytes[64];

	__atomic_store_n(&replies->is_asleep, 1, __ATOMIC_RELAXED);
	ayrei_fence_full();
	while (!is_new(service, served)) {
		ssize_t length = read(service->call_bell, bytes, sizeof(bytes));

		/* The host is gone. */
		if (length == 0 || (length < 0 && errno != EINTR))
			_exit(0);
	}
	__atomic_store_n(&replies->is_asleep, 0, __ATOMIC_RELAXED);
}

/* Returns once there is a call of another number. */
static void await_call(struct service *service, uint64_t served)
{
	struct ayrei_spinning spinning = {.end_ns = INT64_MIN};
	bool helped;

	do {
		helped = is_new(service, served);
	} while (!helped && ayrei_spin_turn(&service->spin, &spinning, INT64_MAX));
	if (!helped)
		sleep_until_new(service, served);
	ayrei_spin_learn(&service->spin, helped);
}

static ayrei_module_function *find_function(struct service *service)
{
	const struct ayrei_requests *requests = service->requests;

	if (service->function_number != requests->function_number) {
		service->function_number = requests->function_number;
		service->function = ayrei_zygote_find(service->zygote, requests->function);
	}
	return service->function;
}

static uint32_t call(struct service *service, int32_t *ret_result, uint64_t *ret_bytes)
{
	const struct ayrei_requests *requests = service->requests;
	const struct ayre_request request = {
		.size = sizeof(request),
		.data = (const char *)requests + AYREI_CHANNEL_HEAD,
		.bytes = requests->bytes,
		.input = service->input,
		.input_bytes = service->input_bytes,
	};
	struct ayre_reply reply = {
		.size = sizeof(reply),
		.data = (char *)service->replies + AYREI_CHANNEL_HEAD,
		.capacity = requests->capacity,
	};
	ayrei_module_function *function = find_function(service);

	if (!function)
		return AYREI_REPLY_NO_FUNCTION;
	*ret_result = function(&request, &reply);
	*ret_bytes = reply.bytes;
	return reply.bytes > reply.capacity ? AYREI_REPLY_TOO_LARGE : AYREI_REPLY_RETURNED;
}

/* Privately, so that the function can do with it as it likes, and the file stays as it is. */
static int map_input(struct service *service, int fd)
{
	struct stat status;
	void *address;
	int result = ayrei_file_status(fd, &status);

	if (result < 0 || status.st_size == 0)
		return result;
	result = ayrei_map_private(fd, (size_t)status.st_size, &address);
	if (result < 0)
		return result;
	service->input = address;
	service->input_bytes = (size_t)status.st_size;
	service->shared_bytes += service->input_bytes;
	return 0;
}

static void begin(struct service *service, const struct ayrei_order *order, const int *fds)
{
	service->call_bell = fds[AYREI_ORDER_CALL_BELL];
	service->reply_bell = fds[AYREI_ORDER_REPLY_BELL];
	service->requests =
		ayrei_zygote_map(fds[AYREI_ORDER_REQUESTS], order->requests_bytes, false);
	service->replies = ayrei_zygote_map(fds[AYREI_ORDER_REPLIES], order->replies_bytes, true);
	service->shared_bytes = order->requests_bytes + order->replies_bytes;
	ayrei_zygote_tell_crashes_to(service->replies, service->reply_bell);
	ayrei_spin_init(&service->spin, order->spin_ns);
}

/*
 * A page that is touched for the first time takes its while: before the call, and not in it. All at once they
 * take half of it each.
 */
static void touch(const struct service *service, const struct ayrei_order *order)
{
	char *reply = (char *)service->replies + AYREI_CHANNEL_HEAD;
	const volatile char *request = (const char *)service->requests + AYREI_CHANNEL_HEAD;

	(void)*request;
	if (order->likely_bytes <= 1 || ayrei_map_populate(reply, order->likely_bytes, true) < 0)
		*(volatile char *)reply = 0;
}

void ayrei_zygote_serve(struct ayrei_zygote *zygote, const struct ayrei_order *order,
                        const int fds[static AYREI_ORDER_FDS])
{
	struct service service = {.zygote = zygote};
	struct ayrei_report refusal = {.kind = AYREI_REPORT_UNCONFINED, .slot = order->slot};
	struct ayrei_replies *replies;
	uint64_t served = order->call;
	int result;

	begin(&service, order, fds);
	replies = service.replies;
	touch(&service, order);
	result = fds[AYREI_ORDER_INPUT] < 0 ? 0 : map_input(&service, fds[AYREI_ORDER_INPUT]);
	if (result < 0)
		ayrei_fail(&refusal.error, result, "map", "input", NULL);
	else
		result = confine(&service, &refusal.error);
	if (result < 0) {
		ayrei_zygote_report(&refusal, NULL);
		_exit(AYREI_WORKER_UNCONFINED);
	}
	ayrei_file_close(AYREI_CHANNEL_SOCKET);
	__atomic_store_n(&replies->is_confined, 1, __ATOMIC_RELEASE);
	ring(&service);
	for (;;) {
		int32_t returned = 0;
		uint64_t bytes = 0;

		await_call(&service, served);
		served = service.requests->call;
		replies->state = call(&service, &returned, &bytes);
		replies->result = returned;
		replies->bytes = bytes;
		__atomic_store_n(&replies->call, served, __ATOMIC_RELEASE);
		ring(&service);
	}
}
