/*
 * Modules that cannot be loaded, and constructors that are hostile.
 */
#include "worker/module_world.h"

#include <fcntl.h>

static const struct {
	const char *name; /* of a module; or a path */
	int code;
	const char *text; /* part of what is told */
} refused[] = {
	{"module_unresolved", -ELIBBAD, "nobody_has_this"},
	{"module_socket", -EPIPE, "made the forbidden system call socket"},
	{"module_crash", -EPIPE, "killed by SIGSEGV at address 0x10"},
	{"module_hang", -ETIMEDOUT, "a constructor does not return"},
	{"module_leave", -EPIPE, "called exit, with status 0"},
	{"module_forge", -EPIPE, ""},
	{"/no/such/module", -ENOENT, "/no/such/module"},
	{"/etc/passwd", -ELIBBAD, "/etc/passwd"},
	{"/tmp", -ELIBBAD, "/tmp"},
};

static int be_refused(void *context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct ayre_worker *worker = (void *)16;
		struct ayre_error error;
		char path[512], text[640];
		int result = ayre_worker_open(
			WORKER(.load_timeout_ns =
		                       refused[i].code == -ETIMEDOUT ? 200 * MILLISECOND_NS : 0),
			refused[i].name[0] == '/' ? refused[i].name
						  : module_path(refused[i].name, path),
			&worker, &error);

		ayre_error_text(&error, text, sizeof(text));
		if (result != refused[i].code || !strstr(text, refused[i].text))
			dprintf(STDERR_FILENO, "%s: %d %s\n", refused[i].name, result, text);
		require(result == refused[i].code && error.code == result);
		require(strstr(text, refused[i].text));
		require(worker == (void *)16);
	}
	require(waitpid(-1, NULL, 0) == -1);
	return 0;
}

static void what_cannot_be_loaded_is_told(void **state)
{
	(void)state;
	for_each_user(be_refused, NULL);
}

static int snoop(void *context)
{
	struct ayre_worker *worker = open_module(context, "module_snoop");

	require(call_number(worker, "verdict") == 0);
	require(access("/tmp/ayre-test-hostile", F_OK) == -1);
	ayre_worker_close(worker);
	return 0;
}

static void constructors_reach_nothing(void **state)
{
	(void)state;
	for_each_user(snoop, NULL);
}

/* What is named can be read at load: bit 0 of the constructor's verdict is /etc/passwd. */
static void named_paths_can_be_read(void **state)
{
	static const char *const reads[] = {"/etc"};
	struct ayre_worker *worker =
		open_module(WORKER(.reads = reads, .read_count = 1), "module_snoop");

	(void)state;
	assert_int_equal(call_number(worker, "verdict"), 1);
	ayre_worker_close(worker);
}

static void relative_paths_are_followed(void **state)
{
	struct ayre_worker *worker;
	struct ayre_error error;
	int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(chdir(getenv("MODULE_DIR")), 0);
	assert_int_equal(ayre_worker_open(NULL, "module_functions.so", &worker, &error), 0);
	ayre_worker_close(worker);
	assert_int_equal(fchdir(before), 0);
	close(before);
}

static void without_the_helper(void **state)
{
	char before[512], path[512];
	struct ayre_worker *worker;
	struct ayre_error error;

	(void)state;
	snprintf(before, sizeof(before), "%s", getenv("AYRE_ZYGOTE"));
	setenv("AYRE_ZYGOTE", "/no/such/program", 1);
	assert_int_equal(
		ayre_worker_open(NULL, module_path("module_functions", path), &worker, &error),
		-ENOENT);
	assert_non_null(strstr(error.detail, "helper program"));
	setenv("AYRE_ZYGOTE", before, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_cannot_be_loaded_is_told),
		counted_test(constructors_reach_nothing),
		counted_test(named_paths_can_be_read),
		counted_test(relative_paths_are_followed),
		counted_test(without_the_helper),
	};

	return run_counted("worker_load", tests);
}
