/*
 * Fault injection for services: in every operation the n-th call of the kernel that can fail does fail,
 * for every n until none is reached, with each error that it can have.
 *
 * What has to hold whatever fails: an open either succeeds, or fails with outputs untouched and nothing
 * left behind; a call ends, and the next one is as if nothing had been; memory comes back.
 */
#include "topic/service_world.h"

#include "support/fault.h"

static const char *const name = "faults";

static struct ayre_client *const no_client = (struct ayre_client *)&no_client;
static struct ayre_server *const no_server = (struct ayre_server *)&no_server;

/* One run of an operation: what it needs, and what it opens. */
struct scene {
	struct ayre_client *client, *opened_client;
	struct ayre_server *server, *opened_server;
	struct ayre_error error;
};

struct operation {
	const char *title;
	void (*prepare)(struct scene *scene);
	int (*run)(struct scene *scene);
	bool opens; /* a failure leaves nothing behind */
};

static void prepare_nothing(struct scene *scene)
{
	(void)scene;
}

static void prepare_server(struct scene *scene)
{
	scene->server = serve(NULL, name);
}

static void prepare_client(struct scene *scene)
{
	scene->client = connect_to(NULL, name);
}

static void prepare_both(struct scene *scene)
{
	prepare_server(scene);
	prepare_client(scene);
}

static int run_connect(struct scene *scene)
{
	return ayre_client_open(NULL, name, &scene->opened_client, &scene->error);
}

static int run_serve(struct scene *scene)
{
	return ayre_server_open(NULL, name, &scene->opened_server, &scene->error);
}

static int run_stand_by(struct scene *scene)
{
	return ayre_server_open(SERVER(.flags = AYRE_SERVER_STANDBY), name, &scene->opened_server,
	                        &scene->error);
}

/* Not by way of require(): whatever ends it, ends it. */
static int run_call(struct scene *scene)
{
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number = 1, call_number;
	struct ayre_call call;
	ssize_t got = ayre_client_try_send(scene->client, &number, sizeof(number), AYRE_NO_DEADLINE,
	                                   &call_number);

	if (got < 0)
		return (int)got;
	got = ayre_server_receive_until(scene->server, &number, sizeof(number), &call, in_ms(100));
	if (got >= 0)
		got = ayre_server_try_reply(scene->server, &call, &number, sizeof(number));
	if (got >= 0)
		got = ayre_client_receive_until(scene->client, &number, sizeof(number), &info,
		                                in_ms(100));
	if (got >= 0)
		return info.result;
	/* It is still outstanding, unless it came to nothing. */
	if (ayre_client_cancel(scene->client, call_number) == 0)
		require(ayre_client_receive(scene->client, &number, sizeof(number), &info) == 0);
	/* The bell was not heard, say. */
	return got == -EAGAIN || got == -ETIMEDOUT ? -EAGAIN : (int)got;
}

static int run_large_call(struct scene *scene)
{
	static char large[70000];
	struct ayre_reply_info info = {.size = sizeof(info)};
	uint64_t number;
	struct ayre_call call;
	ssize_t got = ayre_client_try_send(scene->client, large, sizeof(large), AYRE_NO_DEADLINE,
	                                   &number);

	if (got < 0)
		return (int)got;
	got = ayre_server_receive_until(scene->server, large, sizeof(large), &call, in_ms(100));
	if (got >= 0)
		got = ayre_server_try_reply(scene->server, &call, large, sizeof(large));
	if (got >= 0)
		got = ayre_client_receive_until(scene->client, large, sizeof(large), &info,
		                                in_ms(100));
	if (got >= 0)
		return info.result;
	if (ayre_client_cancel(scene->client, number) == 0)
		require(ayre_client_receive(scene->client, NULL, 0, &info) == 0);
	return got == -EAGAIN || got == -ETIMEDOUT ? -EAGAIN : (int)got;
}

static int run_fds(struct scene *scene)
{
	int result = ayre_client_fd(scene->client);

	return result < 0 ? result : ayre_server_fd(scene->server) < 0 ? -EMFILE : 0;
}

static int run_wait_for_server(struct scene *scene)
{
	uint64_t number;
	int result = ayre_client_send(scene->client, NULL, 0, in_ms(5), &number);

	return result == -ETIMEDOUT ? 0 : result;
}

static const struct operation operations[] = {
	{"connect", prepare_nothing, run_connect, true},
	{"connect to a server", prepare_server, run_connect, true},
	{"serve", prepare_nothing, run_serve, true},
	{"serve a client", prepare_client, run_serve, true},
	{"stand by", prepare_nothing, run_stand_by, true},
	{"first call", prepare_both, run_call, false},
	{"large call", prepare_both, run_large_call, false},
	{"descriptors", prepare_both, run_fds, false},
	{"wait for a server", prepare_client, run_wait_for_server, false},
};
#define OPERATIONS (sizeof(operations) / sizeof(*operations))

static unsigned int points_tried;

static void end(struct scene *scene)
{
	if (scene->opened_client != no_client)
		ayre_client_close(scene->opened_client);
	if (scene->opened_server != no_server)
		ayre_server_close(scene->opened_server);
	ayre_client_close(scene->client);
	ayre_server_close(scene->server);
	(void)!ayre_topic_remove(name, true, NULL);
}

/* A failed open: what it had opened it closed. Lanes stay, for the next one. */
static void require_closed(const struct scene *scene, int result, const struct counts *before)
{
	struct counts now = take_counts();

	require(scene->opened_client == no_client && scene->opened_server == no_server);
	require(scene->error.code == result);
	require(now.descriptors == before->descriptors && now.shared_maps == before->shared_maps);
	if (now.topics)
		require(count_replies(name) == (scene->client != NULL));
}

static bool inject(const struct operation *operation, unsigned int nth, unsigned int variant)
{
	struct scene scene = {.opened_client = no_client, .opened_server = no_server};
	struct counts before = take_counts(), with_scene, after;
	struct fault_report report;
	static long blocks;
	static bool is_again;
	int result;

	operation->prepare(&scene);
	with_scene = take_counts();
	fault_arm(nth, variant);
	result = operation->run(&scene);
	report = fault_disarm();
	if (result < 0) {
		require(report.symbol != NULL);
		require(result != -EINTR && result != -EINVAL);
		if (operation->opens)
			require_closed(&scene, result, &with_scene);
		/* Again, and all is well: at the second attempt if the first hears what the last did not. */
		result = operation->run(&scene);
		if (result < 0 && !operation->opens)
			result = operation->run(&scene);
		/* A lane whose file cannot be asked what it is, is nobody's: a topic does not ask twice. */
		if (strcmp(report.symbol, "fstat") == 0 && !operation->opens)
			result = 0;
		if (result < 0)
			dprintf(STDERR_FILENO, "%s: after call %u, %s, had failed with %s: %s\n",
			        operation->title, nth, report.symbol, strerror(report.error),
			        strerror(-result));
		require(result >= 0);
	}
	end(&scene);
	after = take_counts();
	if (counts_differ(&after, &before))
		dprintf(STDERR_FILENO, "%s: call %u, %s, failing with %s: %s\n", operation->title,
		        nth, report.symbol ? report.symbol : "none", strerror(report.error),
		        counts_differ(&after, &before));
	require(!counts_differ(&after, &before));
	/* The first time that there are so many maps at once, the guard makes itself places, which it keeps. */
	if (fault_blocks() != blocks) {
		require(!is_again);
		blocks = fault_blocks();
		is_again = true;
		inject(operation, nth, variant);
		is_again = false;
	}
	points_tried += report.symbol != NULL;
	return report.calls >= nth;
}

static int inject_all(void *context)
{
	const struct operation *operation = context;

	set_deadline(100);
	inject(operation, 0, 0);
	for (unsigned int variant = 0; variant < fault_variants(); variant++) {
		unsigned int nth = 1;

		while (inject(operation, nth, variant))
			nth++;
	}
	return points_tried == 0;
}

static void survives_every_fault(void **state)
{
	set_deadline(110);
	assert_exited(run_in_child(inject_all, *state));
}

/* --- slowly --- */

static void dawdle(const char *symbol)
{
	(void)symbol;
	pause_ns(random_below(2) ? 500000 : 0);
}

static int serve_slowly(void *context)
{
	random_seed((uint32_t)(uintptr_t)context);
	fault_after_call = dawdle;
	return serve_doubles_to_end((void *)(uintptr_t)name);
}

static int call_slowly(void *context)
{
	struct ayre_client *client;
	uint64_t number;

	random_seed((uint32_t)(uintptr_t)context + 1000);
	fault_after_call = (uintptr_t)context % 2 ? dawdle : NULL;
	client = connect_to(NULL, name);
	/* Whatever comes between what: it does not wait in vain. */
	require(call_number(client, 4, &number) == 0 && number == 8);
	require(call_number(client, END, &number) == 0);
	ayre_client_close(client);
	return 0;
}

/* Between any two steps of an opening others can do theirs. */
static void ends_that_open_slowly_find_each_other(void **state)
{
	unsigned int rounds = long_form() ? 500 : 20;

	(void)state;
	for (uintptr_t i = 0; i < rounds; i++) {
		pid_t client = start_child(call_slowly, (void *)i);
		pid_t server = start_child(serve_slowly, (void *)i);

		assert_exited(end_of(client));
		assert_exited(end_of(server));
		assert_int_equal(ayre_topic_remove(name, false, NULL), 0);
	}
}

int main(void)
{
	struct CMUnitTest tests[OPERATIONS + 1];

	use_topic_root();
	for (size_t i = 0; i < OPERATIONS; i++)
		tests[i] = (struct CMUnitTest)test_of(survives_every_fault, operations[i].title,
		                                      &operations[i]);
	tests[OPERATIONS] = (struct CMUnitTest)counted_test(ends_that_open_slowly_find_each_other);
	return run_counted("service faults", tests);
}
