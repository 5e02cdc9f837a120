/*
 * Calls: what goes in and what comes out, as root and as an ordinary user.
 */
#include "worker/module_world.h"

static int echo_sizes(void *context)
{
	static const size_t sizes[] = {0, 1, 7, 4096, 65537, 1 << 20};
	struct ayre_worker *worker = open_module(context, "module_functions");
	char *request = malloc(1 << 20), *reply = malloc(1 << 20);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		fill_pattern(request, sizes[i], (uint32_t)i);
		memset(reply, 0xff, sizes[i]);
		require(ayre_worker_call(worker, "echo", request, sizes[i], reply, 1 << 20) ==
		        (ssize_t)sizes[i]);
		require(is_pattern(reply, sizes[i], (uint32_t)i));
	}
	free(request);
	free(reply);
	ayre_worker_close(worker);
	return 0;
}

static void replies_are_whole(void **state)
{
	(void)state;
	for_each_user(echo_sizes, NULL);
	for_each_user(echo_sizes, WORKER(.flags = AYRE_WORKER_KEEP));
}

/* Besides those that served there is one that stands by, unless none is to. */
static int count_processes(void *context)
{
	const struct ayre_worker_options *options = context;
	bool is_kept = options->flags & AYRE_WORKER_KEEP;
	uint64_t spares = options->spares == AYRE_WORKER_NONE ? 0 : 1;
	struct ayre_worker *worker = open_module(options, "module_functions");

	for (uint32_t i = 1; i <= 5; i++)
		require(call_number(worker, "count") == (is_kept ? i : 1));
	require(info_of_worker(worker).calls == 5);
	/* The last spare may have to wait for a place. */
	require(info_of_worker(worker).processes >= (is_kept ? 1 : 5));
	require(info_of_worker(worker).processes <= (is_kept ? 1 : 5) + spares);
	require(info_of_worker(worker).ends == 0);
	require(end_of_worker(worker).kind == AYRE_WORKER_RUNNING);
	ayre_worker_close(worker);
	return 0;
}

static void each_call_has_a_fresh_process(void **state)
{
	(void)state;
	for_each_user(count_processes, WORKER(.flags = 0));
	for_each_user(count_processes, WORKER(.spares = AYRE_WORKER_NONE));
}

static void a_kept_process_serves_all_calls(void **state)
{
	(void)state;
	for_each_user(count_processes, WORKER(.flags = AYRE_WORKER_KEEP));
	for_each_user(count_processes,
	              WORKER(.flags = AYRE_WORKER_KEEP, .spares = AYRE_WORKER_NONE));
}

/* What one call has left in memory no later one finds. */
static int find_leftovers(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char *large = malloc(65536), room[65536];

	memset(large, 0x77, 65536);
	for (int i = 0; i < 3; i++) {
		require(call_number(worker, "look_for_leftovers") == 0);
		require(ayre_worker_call(worker, "echo", large, 65536, room, 65536) == 65536);
	}
	free(large);
	ayre_worker_close(worker);
	return 0;
}

static void nothing_is_left_for_the_next(void **state)
{
	(void)state;
	for_each_user(find_leftovers, NULL);
}

static int use_libc(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char reply[4096];

	require(call_text(worker, "use_libc", "", reply) == 10);
	require(memcmp(reply, "libc 1.500", 10) == 0);
	ayre_worker_close(worker);
	return 0;
}

static void the_c_library_works_there(void **state)
{
	(void)state;
	for_each_user(use_libc, NULL);
}

static void failures_are_told(void **state)
{
	struct ayre_worker *worker = open_module(WORKER(.request_max = 8192), "module_functions");
	char reply[4096], name[300];

	(void)state;
	assert_int_equal(call_text(worker, "fail", "x", reply), -EREMOTEIO);
	assert_int_equal(info_of_worker(worker).result, -7);
	assert_int_equal(info_of_worker(worker).reply_bytes, 16);
	assert_string_equal(reply, "no such picture");
	assert_int_equal(call_text(worker, "silent", "x", reply), 0);
	assert_int_equal(info_of_worker(worker).result, 0);
	assert_int_equal(call_text(worker, "overstate", "x", reply), -EMSGSIZE);
	assert_int_equal(info_of_worker(worker).reply_bytes, 4097);
	assert_int_equal(call_text(worker, "no_such_function", "x", reply), -ENOENT);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(call_text(worker, name, "x", reply), -ENOENT);
	assert_int_equal(call_text(worker, "", "x", reply), -EINVAL);
	assert_int_equal(ayre_worker_call(worker, "echo", NULL, 1, reply, 1), -EINVAL);
	assert_int_equal(ayre_worker_call(worker, "echo", name, 8193, reply, 1), -EMSGSIZE);
	/* It does not fit, and the function says so itself. */
	assert_int_equal(ayre_worker_call(worker, "echo", "12345", 5, reply, 4), -EREMOTEIO);
	assert_int_equal(ayre_worker_call(worker, "silent", NULL, 0, NULL, 0), 0);
	assert_int_equal(info_of_worker(worker).ends, 0);
	ayre_worker_close(worker);
}

static int64_t time_of_call(struct ayre_worker *worker, const char *function, int64_t timeout_ns)
{
	int64_t begin = now_ns();
	char reply[16];

	require(ayre_worker_call_until(worker, function, NULL, 0, reply, sizeof(reply),
	                               begin + timeout_ns) == -ETIMEDOUT);
	return now_ns() - begin;
}

static int keep_deadlines(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	char reply[4096];

	for (int i = 0; i < 5; i++) {
		int64_t took_ns = time_of_call(worker, "deadlock", 30 * MILLISECOND_NS);

		/* What a loaded machine needs to run us at all is not ours. */
		require(took_ns >= 30 * MILLISECOND_NS && took_ns < 1000 * MILLISECOND_NS);
		require(call_text(worker, "echo", "on", reply) == 2);
	}
	/* In time for nothing: it may not have started. */
	for (int i = 0; i < 20; i++)
		time_of_call(worker, "loop", i * MILLISECOND_NS / 50);
	require(call_text(worker, "echo", "on", reply) == 2);
	require(end_of_worker(worker).kind == AYRE_WORKER_DEADLINE);
	ayre_worker_close(worker);
	return 0;
}

/* Its process is ordered, and not there yet, when its deadline passes. */
static int end_before_it_starts(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_functions");
	pid_t zygote = zygote_of(getpid());
	char reply[4096];

	for (int i = 0; i < 3; i++) {
		require(call_text(worker, "die_abort", "x", reply) == -EPIPE);
		require(kill(zygote, SIGSTOP) == 0);
		time_of_call(worker, "loop", 20 * MILLISECOND_NS);
		require(kill(zygote, SIGCONT) == 0);
		/* Long enough to begin with what nobody waits for any more. */
		require(usleep(50000) == 0);
		require(ayre_worker_call_until(worker, "echo", "on", 2, reply, sizeof(reply),
		                               now_ns() + 5000 * MILLISECOND_NS) == 2);
	}
	/* Of those that were late some may not have had a place yet, of which nobody ended. */
	require(info_of_worker(worker).ends >= 3 && info_of_worker(worker).ends <= 6);
	ayre_worker_close(worker);
	return 0;
}

static void what_was_given_up_before_it_started_serves_nobody(void **state)
{
	(void)state;
	for_each_user(end_before_it_starts,
	              WORKER(.poison_max = AYRE_WORKER_NONE, .spares = AYRE_WORKER_NONE));
	for_each_user(end_before_it_starts,
	              WORKER(.flags = AYRE_WORKER_KEEP, .poison_max = AYRE_WORKER_NONE,
	                     .spares = AYRE_WORKER_NONE));
}

static void deadlines_are_kept(void **state)
{
	(void)state;
	for_each_user(keep_deadlines, WORKER(.poison_max = AYRE_WORKER_NONE));
	for_each_user(keep_deadlines,
	              WORKER(.flags = AYRE_WORKER_KEEP, .poison_max = AYRE_WORKER_NONE));
}

static void layers_can_be_done_without(void **state)
{
	char reply[4096];

	(void)state;
	for (int i = 0; i < AYRE_LAYER_COUNT; i++) {
		uint32_t need_it = AYRE_LAYER_LANDLOCK | AYRE_LAYER_SECCOMP;
		uint32_t without = 1u << i | (1u << i == AYRE_LAYER_NO_NEW_PRIVS ? need_it : 0);
		struct ayre_worker *worker =
			open_module(WORKER(.without = without), "module_functions");

		assert_int_equal(call_text(worker, "echo", "yes", reply), 3);
		ayre_worker_close(worker);
	}
}

static void options_are_checked(void **state)
{
	static const char *const missing[] = {"/no/such/path"};
	struct ayre_worker *worker = (void *)16;
	struct ayre_worker_info info = {0};
	struct ayre_worker_end end = {0};
	struct ayre_error error;
	char path[512], text[160];

	(void)state;
	module_path("module_functions", path);
#define REFUSED(wanted, ...) \
	assert_int_equal(ayre_worker_open(WORKER(__VA_ARGS__), path, &worker, &error), wanted); \
	assert_ptr_equal(worker, (void *)16); \
	assert_int_equal(error.code, wanted)
	REFUSED(-EINVAL, .flags = 2);
	REFUSED(-EINVAL, .without = 1u << AYRE_LAYER_COUNT);
	REFUSED(-EINVAL, .cpu_ns = -1);
	REFUSED(-EINVAL, .timeout_ns = -1);
	REFUSED(-EINVAL, .load_timeout_ns = -1);
	REFUSED(-EINVAL, .request_max = (UINT64_C(1) << 40) + 1);
	REFUSED(-EINVAL, .input_max = (UINT64_C(1) << 40) + 1);
	REFUSED(-EINVAL, .processes = AYRE_WORKER_PROCESSES_MAX + 1);
	REFUSED(-EINVAL, .spares = AYRE_WORKER_PROCESSES_MAX + 1);
	REFUSED(-EINVAL, .pause_max_ns = -2);
	REFUSED(-EINVAL, .read_count = 1);
	REFUSED(-ENOENT, .reads = missing, .read_count = 1);
	assert_int_equal(ayre_worker_open(&(struct ayre_worker_options){0}, path, &worker, &error),
	                 -EINVAL);
	assert_int_equal(ayre_worker_open(NULL, NULL, &worker, &error), -EINVAL);
	ayre_worker_close(NULL);
	worker = open_module(NULL, "module_functions");
	assert_int_equal(ayre_worker_get_info(worker, &info), -EINVAL);
	assert_int_equal(ayre_worker_last_end(worker, &end), -EINVAL);
	ayre_worker_close(worker);
	assert_string_equal(ayre_worker_end_text(&end, text, sizeof(text)),
	                    "none has ended but as it should");
	assert_string_equal(ayre_system_call_name(0), "read");
	assert_null(ayre_system_call_name(-1));
	assert_null(ayre_system_call_name(100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(replies_are_whole),
		counted_test(each_call_has_a_fresh_process),
		counted_test(a_kept_process_serves_all_calls),
		counted_test(nothing_is_left_for_the_next),
		counted_test(the_c_library_works_there),
		counted_test(failures_are_told),
		counted_test(deadlines_are_kept),
		counted_test(what_was_given_up_before_it_started_serves_nobody),
		counted_test(layers_can_be_done_without),
		counted_test(options_are_checked),
	};

	return run_counted("worker_call", tests);
}
