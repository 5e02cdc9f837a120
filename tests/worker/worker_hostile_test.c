/*
 * Workers that break the protocol: a host that copies is told nothing wrong, and returns by its
 * deadline.
 */
#include "worker/module_world.h"

static const struct {
	const char *function;
	ssize_t code;
} forgeries[] = {
	{"forge_length", -EPROTO},
	{"forge_one_too_many", -EPROTO},
	{"forge_state", -EPROTO},
	{"lie", -EPIPE},
};

static int forge(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char room[8192], reply[4096];

	for (size_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries); i++) {
		ssize_t result;

		memset(room, 0x3c, sizeof(room));
		result = ayre_worker_call(worker, forgeries[i].function, NULL, 0, room, 4096);
		if (result != forgeries[i].code)
			dprintf(STDERR_FILENO, "%s: %zd\n", forgeries[i].function, result);
		require(result == forgeries[i].code);
		for (size_t j = 0; j < sizeof(room); j++)
			require(room[j] == 0x3c);
		require(call_text(worker, "echo", "on", reply) == 2);
	}
	require(end_of_worker(worker).kind == AYRE_WORKER_EXITED);
	ayre_worker_close(worker);
	return 0;
}

static void forgeries_are_refused(void **state)
{
	(void)state;
	for_each_user(forge, WORKER(.timeout_ns = 2000 * MILLISECOND_NS));
	for_each_user(forge,
	              WORKER(.timeout_ns = 2000 * MILLISECOND_NS, .flags = AYRE_WORKER_KEEP));
}

static bool may_be(ssize_t result)
{
	return (result >= 0 && result <= 4096) || result == -EREMOTEIO || result == -EPROTO ||
	       result == -ENOENT || result == -EMSGSIZE || result == -ETIMEDOUT || result == -EPIPE;
}

static int be_scribbled_at(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	int64_t end_ns = now_ns() + (long_form() ? 60000 : 1500) * MILLISECOND_NS;
	unsigned int calls = 0;
	char room[8192], reply[4096];

	while (now_ns() < end_ns) {
		int64_t begin_ns = now_ns();
		ssize_t result;

		memset(room + 4096, 0x3c, 4096);
		result = ayre_worker_call_until(worker, "scribble", NULL, 0, room, 4096,
		                                begin_ns + 20 * MILLISECOND_NS);
		require(may_be(result));
		require(now_ns() - begin_ns < 1000 * MILLISECOND_NS);
		for (size_t i = 4096; i < sizeof(room); i++)
			require(room[i] == 0x3c);
		calls++;
	}
	require(calls > 20);
	require(call_text(worker, "echo", "on", reply) == 2);
	ayre_worker_close(worker);
	return 0;
}

static void a_scribbler_is_survived(void **state)
{
	(void)state;
	for_each_user(be_scribbled_at, WORKER(.poison_max = AYRE_WORKER_NONE));
}

static int be_rung_at(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char reply[4096];

	for (int i = 0; i < 5; i++) {
		int64_t begin_ns = now_ns();

		require(ayre_worker_call_until(worker, "ring_on", NULL, 0, reply, sizeof(reply),
		                               begin_ns + 50 * MILLISECOND_NS) == -ETIMEDOUT);
		require(now_ns() - begin_ns < 1000 * MILLISECOND_NS);
		require(call_text(worker, "echo", "on", reply) == 2);
	}
	ayre_worker_close(worker);
	return 0;
}

static void bells_do_not_keep_a_call(void **state)
{
	(void)state;
	for_each_user(be_rung_at, WORKER(.poison_max = AYRE_WORKER_NONE));
	for_each_user(be_rung_at,
	              WORKER(.flags = AYRE_WORKER_KEEP, .poison_max = AYRE_WORKER_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(forgeries_are_refused),
		counted_test(a_scribbler_is_survived),
		counted_test(bells_do_not_keep_a_call),
	};

	return run_counted("worker_hostile", tests);
}
