/*
 * Layers that are missing, or done without.
 */
#include "worker/worker_world.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "escape/tier.h"

#define SET_MDWE 65 /* PR_SET_MDWE, Linux 6.3 */

/* By unshare(2) it is also told whether there are other threads. */
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

struct missing {
	enum escape_tier tier;
	uint32_t layer;
	int code;
	bool confined;    /* without it */
	const char *word; /* in what is said of it */
};

static int try_refusal(void *context)
{
	const struct missing *missing = context;
	bool is_bonus = missing->layer == AYRE_LAYER_NAMESPACES;
	struct ayre_error error = {0};

	require(escape_tier_enter(missing->tier) == 0);
	require(ayre_confine(CONFINE(KEEP_ERROR, .require = is_bonus ? missing->layer : 0), NULL,
	                     &error) == missing->code);
	require(error.code == missing->code);
	require(strcmp(error.object, ayre_layer_name(missing->layer)) == 0);
	require(strstr(error.detail, missing->word));
	return 0;
}

static int try_without(void *context)
{
	const struct missing *missing = context;
	struct ayre_posture posture = {.size = sizeof(posture)};
	int number = __builtin_ctz(missing->layer);

	require(escape_tier_enter(missing->tier) == 0);
	confine_now(CONFINE(KEEP_ERROR, .without = missing->layer), &posture);
	require(!(posture.layers & missing->layer));
	require(posture.codes[number] == -ECANCELED);
	require(posture.confined == missing->confined);
	require((posture.landlock_abi > 0) == (missing->layer != AYRE_LAYER_LANDLOCK));
	return 0;
}

static void a_layer_that_is_missing_is_named_or_done_without(void **state)
{
	struct missing all[] = {
		{ESCAPE_NO_LANDLOCK, AYRE_LAYER_LANDLOCK, -ENOSYS, true, "be done without"},
		{ESCAPE_NO_SECCOMP, AYRE_LAYER_SECCOMP, -ENOSYS, false, "built without"},
		{ESCAPE_NO_NAMESPACES, AYRE_LAYER_NAMESPACES, -EPERM, true, "in most containers"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		for_each_user(try_refusal, &all[i]);
		for_each_user(try_without, &all[i]);
	}
}

/* --- not tried --- */

/* What each is made of: a filter from outside ends who calls it. */
static const struct deadly {
	uint32_t layer;
	int call;
	uint32_t argument; /* the first */
} deadly[] = {
	{AYRE_LAYER_NO_NEW_PRIVS, SYS_prctl, PR_SET_NO_NEW_PRIVS},
	{AYRE_LAYER_UNDUMPABLE, SYS_prctl, PR_SET_DUMPABLE},
	{AYRE_LAYER_CAPABILITIES, SYS_capset, ANY_ARGUMENT},
	{AYRE_LAYER_DESCRIPTORS, SYS_close_range, ANY_ARGUMENT},
	{AYRE_LAYER_LANDLOCK, SYS_landlock_create_ruleset, ANY_ARGUMENT},
	{AYRE_LAYER_LIMITS, SYS_prlimit64, ANY_ARGUMENT},
	{AYRE_LAYER_SECCOMP, SYS_seccomp, ANY_ARGUMENT},
	{AYRE_LAYER_NAMESPACES, SYS_unshare, NAMESPACES},
	{AYRE_LAYER_CODE, SYS_prctl, SET_MDWE},
};

static int confine_there(void *context)
{
	const struct deadly *made_of = context;
	struct ayre_posture posture = {.size = sizeof(posture)};

	die_at(made_of->call, made_of->argument);
	confine_now(CONFINE(KEEP_ERROR, .without = made_of->layer), &posture);
	require(!(posture.layers & made_of->layer));
	require(posture.codes[__builtin_ctz(made_of->layer)] == -ECANCELED);
	return 0;
}

static int confine_there_after_all(void *context)
{
	const struct deadly *made_of = context;

	die_at(made_of->call, made_of->argument);
	(void)!ayre_confine(
		CONFINE(KEEP_ERROR, .without = made_of->layer, .require = made_of->layer), NULL,
		NULL);
	return 0;
}

static void who_does_without_a_layer_does_not_try_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++) {
		int status = run_in_child(confine_there_after_all, (void *)(uintptr_t)&deadly[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		for_each_user(confine_there, (void *)(uintptr_t)&deadly[i]);
	}
}

/* Landlock and seccomp ask for it. */
static int be_refused(void *context)
{
	struct ayre_error error = {0};

	(void)context;
	require(ayre_confine(CONFINE(KEEP_ERROR, .without = AYRE_LAYER_NO_NEW_PRIVS), NULL,
	                     &error) == -EPERM);
	require(strcmp(error.object, "landlock") == 0);
	require(strstr(error.detail, "asks for no-new-privs"));
	return 0;
}

static int do_without_all(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture)};
	uint32_t all = AYRE_LAYER_NO_NEW_PRIVS | AYRE_LAYER_LANDLOCK | AYRE_LAYER_SECCOMP;

	(void)context;
	confine_now(CONFINE(KEEP_ERROR, .without = all), &posture);
	require(!(posture.layers & all) && !posture.confined);
	return 0;
}

static void what_asks_for_a_layer_is_not_had_without(void **state)
{
	(void)state;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		skip_because("it was set before this began");
	for_each_user(be_refused, NULL);
	for_each_user(do_without_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_layer_that_is_missing_is_named_or_done_without),
		counted_test(who_does_without_a_layer_does_not_try_it),
		counted_test(what_asks_for_a_layer_is_not_had_without),
	};

	return run_counted("confine_without", tests);
}
