/*
 * Confinement: its contract, what it says of itself, and what can be seen of it from outside.
 */
#include "worker/worker_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "escape/tier.h"
#include "sys/privilege.h"

static void names_are_those_of_layers(void **state)
{
	(void)state;
	for (int i = 0; i < AYRE_LAYER_COUNT; i++) {
		const char *name = ayre_layer_name(1u << i);

		assert_non_null(name);
		assert_int_equal(ayre_layer_by_name(name), 1 << i);
	}
	assert_null(ayre_layer_name(0));
	assert_null(ayre_layer_name(3));
	assert_null(ayre_layer_name(1u << AYRE_LAYER_COUNT));
	assert_int_equal(ayre_layer_by_name("firewall"), -EINVAL);
	assert_int_equal(ayre_layer_by_name(""), -EINVAL);
	assert_int_equal(ayre_layer_by_name(NULL), -EINVAL);
}

/* What is refused changes nothing: no layer was laid, and the posture is as it was. */
static void refuses(const struct ayre_confine_options *options, int code)
{
	struct ayre_posture posture = {.size = sizeof(posture), .layers = 77};
	struct ayre_error error = {0};

	require(ayre_confine(options, &posture, &error) == code);
	require(error.code == code && error.step[0] && error.object[0]);
	require(posture.layers == 77);
	require(ayre_confine(options, NULL, NULL) == code);
	require(fcntl(STDIN_FILENO, F_GETFD) != -1);
}

static int try_arguments(void *context)
{
	const int closed[] = {STDERR_FILENO, 99}, negative[] = {-1};
	struct ayre_posture unsized = {0};

	(void)context;
	refuses(&(struct ayre_confine_options){0}, -EINVAL);
	refuses(CONFINE(.without = 1u << AYRE_LAYER_COUNT), -EINVAL);
	refuses(CONFINE(.require = 1u << 31), -EINVAL);
	refuses(CONFINE(.flags = 1u << 5), -EINVAL);
	refuses(CONFINE(.keep_count = 1), -EINVAL);
	require(ayre_confine(NULL, &unsized, NULL) == -EINVAL);
	require(ayre_posture_probe(&unsized, NULL) == -EINVAL);
	/* These are found on the way, and the process should end. */
	require(ayre_confine(CONFINE(.keep = closed, .keep_count = 2), NULL, NULL) == -EBADF);
	require(ayre_confine(CONFINE(.keep = negative, .keep_count = 1), NULL, NULL) == -EBADF);
	return 0;
}

static void arguments_that_can_never_be_right(void **state)
{
	(void)state;
	for_each_user(try_arguments, NULL);
}

static void *wait_for_ever(void *context)
{
	for (;;)
		pause();
	return context;
}

static int try_with_thread(void *context)
{
	pthread_t thread;

	require(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
	refuses(NULL, -EBUSY);
	/* Where it may not ask the kernel, it counts. */
	require(escape_tier_enter(ESCAPE_NO_NAMESPACES) == 0);
	refuses(context, -EBUSY);
	return 0;
}

static void other_threads_are_refused(void **state)
{
	(void)state;
	for_each_user(try_with_thread, NULL);
}

static int try_default(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture)};

	(void)context;
	confine_now(CONFINE(KEEP_ERROR), &posture);
	require((posture.layers & AYRE_LAYERS_MANDATORY) == AYRE_LAYERS_MANDATORY);
	require(posture.confined);
	require(posture.landlock_abi >= 1);
	for (int i = 0; i < AYRE_LAYER_COUNT; i++)
		require((posture.layers & 1u << i) ? posture.codes[i] == 0 : posture.codes[i] < 0);
	return 0;
}

static void by_default_all_mandatory_layers_hold(void **state)
{
	(void)state;
	for_each_user(try_default, NULL);
}

/* A struct of an older program is shorter: no more is written than it has. */
static int try_short_posture(void *context)
{
	struct {
		struct ayre_posture posture;
		char beyond;
	} old = {.posture = {.size = offsetof(struct ayre_posture, landlock_abi),
	                     .landlock_abi = 77}};

	(void)context;
	confine_now(CONFINE(KEEP_ERROR), &old.posture);
	require(old.posture.confined && old.posture.landlock_abi == 77);
	return 0;
}

static void a_shorter_posture_is_filled_as_far_as_it_goes(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(try_short_posture, NULL), 0);
}

static int stay_confined(void *context)
{
	int *fds = context, keep[] = {fds[1], STDERR_FILENO, fds[2], fds[2]};
	char byte = 'x';

	confine_now(CONFINE(.keep = keep, .keep_count = 4), NULL);
	require(fcntl(fds[0], F_GETFD) == -1 && fcntl(fds[3], F_GETFD) == -1);
	require(fcntl(STDIN_FILENO, F_GETFD) == -1 && fcntl(STDOUT_FILENO, F_GETFD) == -1);
	require(write(fds[1], &byte, 1) == 1);
	require(read(fds[2], &byte, 1) == 0);
	return 0;
}

/* From outside: what the kernel says of it, and how many descriptors it has. */
static void it_can_be_seen_from_outside(void **state)
{
	int there[2], back[2];
	int fds[4];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(there), 0);
	assert_int_equal(pipe(back), 0);
	fds[0] = there[0];
	fds[1] = there[1];
	fds[2] = back[0];
	fds[3] = back[1];
	child = start_child(stay_confined, fds);
	assert_int_equal(read(there[0], &byte, 1), 1);
	assert_int_equal(status_field(child, "NoNewPrivs", 10), 1);
	assert_int_equal(status_field(child, "Seccomp", 10), 2);
	assert_int_equal(status_field(child, "CapEff", 16), 0);
	assert_int_equal(status_field(child, "CapPrm", 16), 0);
	assert_int_equal(status_field(child, "CapInh", 16), 0);
	assert_int_equal(status_field(child, "CapAmb", 16), 0);
	close(back[1]);
	assert_int_equal(end_of(child), 0);
	close(there[0]);
	close(there[1]);
	close(back[0]);
}

/* Another process of the same user looks into it. */
static int look_into(pid_t pid, const int *word)
{
	int copy = 0;
	const struct iovec mine = {&copy, sizeof(copy)},
			   other = {(void *)(uintptr_t)word, sizeof(copy)};

	return process_vm_readv(pid, &mine, 1, &other, 1, 0) == -1 ? -errno : copy;
}

static int try_to_look(void *context)
{
	static const int secret = 4711;
	int up[2], down[2], keep[2];
	char byte = 'x';
	pid_t child;

	(void)context;
	become_ordinary();
	require(pipe(up) == 0 && pipe(down) == 0);
	child = fork();
	if (child == 0) {
		keep[0] = up[1];
		keep[1] = down[0];
		require(read(down[0], &byte, 1) == 1);
		confine_now(CONFINE(.keep = keep, .keep_count = 2), NULL);
		require(write(up[1], &byte, 1) == 1);
		require(read(down[0], &byte, 1) == 1);
		_exit(0);
	}
	require(look_into(child, &secret) == 4711);
	require(write(down[1], &byte, 1) == 1 && read(up[0], &byte, 1) == 1);
	require(look_into(child, &secret) == -EPERM);
	require(write(down[1], &byte, 1) == 1);
	return end_of(child);
}

static void no_process_of_the_user_looks_into_it(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(try_to_look, NULL), 0);
}

/* --- the posture --- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static int try_probe(void *context)
{
	struct ayre_posture probed = {.size = sizeof(probed)}, real = {.size = sizeof(real)};
	struct ayre_error error;

	(void)context;
	signal(SIGCHLD, count_signal);
	require(ayre_posture_probe(&probed, &error) == 0);
	require(signals == 0);
	require(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	require(ayre_posture_probe(&probed, NULL) == 0);
	/* It has changed nothing here, and told the truth. */
	confine_now(CONFINE(KEEP_ERROR), &real);
	require(probed.layers == real.layers && probed.confined == real.confined);
	require(probed.landlock_abi == real.landlock_abi);
	return 0;
}

static void the_probe_says_what_confinement_then_has(void **state)
{
	(void)state;
	for_each_user(try_probe, NULL);
}

static int try_probe_with_thread(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture)};
	pthread_t thread;

	(void)context;
	require(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
	require(ayre_posture_probe(&posture, NULL) == 0 && posture.confined);
	return 0;
}

static void the_probe_may_come_from_many_threads(void **state)
{
	(void)state;
	for_each_user(try_probe_with_thread, NULL);
}

static int try_probe_without(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture)};

	(void)context;
	require(escape_tier_enter(ESCAPE_NO_SECCOMP) == 0);
	require(ayre_posture_probe(&posture, NULL) == 0);
	require(!posture.confined && !(posture.layers & AYRE_LAYER_SECCOMP));
	require(posture.layers & AYRE_LAYER_LANDLOCK);
	return 0;
}

static void the_probe_tells_of_what_is_missing(void **state)
{
	(void)state;
	for_each_user(try_probe_without, NULL);
}

static int try_probe_without_processes(void *context)
{
	const struct rlimit none = {0, 0};
	struct ayre_posture posture = {.size = sizeof(posture), .layers = 77};
	struct ayre_error error = {0};

	(void)context;
	become_ordinary();
	require(setrlimit(RLIMIT_NPROC, &none) == 0);
	require(ayre_posture_probe(&posture, &error) == -EAGAIN);
	require(error.code == -EAGAIN && strcmp(error.step, "fork") == 0);
	require(posture.layers == 77);
	return 0;
}

/* Somebody ends the child on its way: here a filter that is stricter than what it expects. */
static int try_probe_that_is_killed(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture), .layers = 77};
	struct ayre_error error = {0};

	(void)context;
	die_at(SYS_capset, ANY_ARGUMENT);
	require(ayre_posture_probe(&posture, &error) == -EPIPE);
	require(error.code == -EPIPE && strcmp(error.object, "capabilities") == 0);
	require(strstr(error.detail, "killed by signal 31: a filter from outside"));
	require(posture.layers == 77);
	return 0;
}

static void the_probe_fails_where_it_cannot_be_made(void **state)
{
	(void)state;
	for_each_user(try_probe_without_processes, NULL);
	for_each_user(try_probe_that_is_killed, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(names_are_those_of_layers),
		counted_test(arguments_that_can_never_be_right),
		counted_test(other_threads_are_refused),
		counted_test(by_default_all_mandatory_layers_hold),
		counted_test(a_shorter_posture_is_filled_as_far_as_it_goes),
		counted_test(it_can_be_seen_from_outside),
		counted_test(no_process_of_the_user_looks_into_it),
		counted_test(the_probe_says_what_confinement_then_has),
		counted_test(the_probe_may_come_from_many_threads),
		counted_test(the_probe_tells_of_what_is_missing),
		counted_test(the_probe_fails_where_it_cannot_be_made),
	};

	return run_counted("confine", tests);
}
