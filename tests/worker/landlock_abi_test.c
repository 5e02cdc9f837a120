/*
 * Landlock on kernels from ABI 1 on: between the library and the kernel stands one that refuses
 * what an older one does not know. What passes goes on to the real kernel.
 */
#include "worker/worker_world.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "escape/escape.h"
#include "escape/tier.h"

/*
 * struct landlock_ruleset_attr as it grew, in bytes, and the bits that each ABI knows in its
 * words.
 */
struct kernel {
	int abi;
	size_t attr_bytes;
	uint64_t known[3];
};

static const struct kernel kernels[] = {
	{1, 8, {0x1fff, 0, 0}},  {2, 8, {0x3fff, 0, 0}},   {3, 8, {0x7fff, 0, 0}},
	{4, 16, {0x7fff, 3, 0}}, {5, 16, {0xffff, 3, 0}},  {6, 24, {0xffff, 3, 3}},
	{7, 24, {0xffff, 3, 3}}, {99, 24, {0xffff, 3, 3}},
};

#define KERNELS (sizeof(kernels) / sizeof(*kernels))

/* The one that is played, and what it was asked to handle. */
static const struct kernel *played;
static uint64_t (*asked)[3];

static long refuse(int code)
{
	errno = code;
	return -1;
}

/* 0: it is well-formed for this kernel, and is passed on. */
static int judge(const uint64_t *attr, size_t bytes, unsigned long flags)
{
	if (flags || bytes < 8)
		return EINVAL;
	for (size_t i = 0; i < bytes / 8 && i < 3; i++) {
		if (i * 8 >= played->attr_bytes && attr[i])
			return E2BIG;
		if (attr[i] & ~played->known[i])
			return EINVAL;
		(*asked)[i] = attr[i];
	}
	return 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...) __attribute__((no_sanitize("address")));
long __wrap_syscall(long number, ...)
{
	unsigned long words[6];
	va_list arguments;
	int code;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		words[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (played && number == SYS_landlock_create_ruleset) {
		if (words[2] == 1 && !words[0] && !words[1]) {
			/* Who may not ask is not answered. */
			long newest = __real_syscall(number, NULL, 0, 1);

			return newest < 0 ? newest : played->abi;
		}
		code = judge((const uint64_t *)words[0], words[1], words[2]);
		if (code)
			return refuse(code);
	}
	if (played && number == SYS_landlock_restrict_self && words[1])
		return refuse(EINVAL);
	return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

static int confine_there(void *context)
{
	struct ayre_posture posture = {.size = sizeof(posture)};

	played = context;
	confine_now(CONFINE(KEEP_ERROR), &posture);
	require(posture.confined && posture.landlock_abi == played->abi);
	return 0;
}

/*
 * No seccomp and no namespaces: Landlock alone stands before the files. None of this takes a
 * descriptor.
 */
static int meet_landlock(void *context)
{
	require(chdir(test_directory()) == 0);
	require(mkdir("before", 0700) == 0 && rename("before", "file") == 0);
	require(escape_tier_enter(ESCAPE_NO_NAMESPACES) == 0);
	require(escape_tier_enter(ESCAPE_NO_SECCOMP) == 0);
	played = context;
	confine_now(CONFINE(KEEP_ERROR, .without = AYRE_LAYER_SECCOMP), NULL);
	require(mkdir("after", 0700) == -1 && errno == EACCES);
	require(rename("file", "after") == -1 && errno == EACCES);
	require(rmdir("file") == -1 && errno == EACCES);
	require(symlink("file", "after") == -1 && errno == EACCES);
	require(mkfifo("after", 0600) == -1 && errno == EACCES);
	require(execl("/bin/true", "true", NULL) == -1 && errno == EACCES);
	return 0;
}

static void everything_that_an_abi_knows_is_forbidden(void **state)
{
	(void)state;
	asked = share_memory(sizeof(*asked));
	for (size_t i = 0; i < KERNELS; i++) {
		memset(asked, 0, sizeof(*asked));
		for_each_user(confine_there, (void *)&kernels[i]);
		assert_memory_equal(*asked, kernels[i].known, sizeof(*asked));
	}
	munmap(asked, sizeof(*asked));
}

static void remove_left(void)
{
	char path[NAME_BYTES];

	snprintf(path, sizeof(path), "%s/file", test_directory());
	assert_int_equal(rmdir(path), 0);
}

static void files_are_out_of_reach_from_abi_1_on(void **state)
{
	(void)state;
	asked = share_memory(sizeof(*asked));
	for (size_t i = 0; i < KERNELS; i++) {
		assert_int_equal(run_in_child(meet_landlock, (void *)&kernels[i]), 0);
		remove_left();
	}
	munmap(asked, sizeof(*asked));
}

/* --- the battery --- */

/* Of one run, for the parent to see. */
struct tally {
	unsigned int attempts, got_out, broken;
	char names[4096]; /* those that got out, in "name " each */
};

static struct tally *tally;

static int count(const struct escape_result *result, void *context)
{
	size_t length = strlen(tally->names);

	(void)context;
	tally->attempts++;
	tally->broken += result->end == ESCAPE_BROKEN;
	if (result->end != ESCAPE_GOT_OUT)
		return 0;
	tally->got_out++;
	snprintf(tally->names + length, sizeof(tally->names) - length, "%s ", result->name);
	return 0;
}

struct battery {
	const struct kernel *kernel;
	enum escape_tier tier;
};

/* No empty root stands before the files, so that Landlock is what does. */
static int run_battery(void *context)
{
	const struct battery *battery = context;
	struct escape_run run = {.tier = battery->tier, .visit = count};
	struct ayre_error error;

	require(escape_tier_enter(ESCAPE_NO_NAMESPACES) == 0);
	memset(tally, 0, sizeof(*tally));
	played = battery->kernel;
	require(escape_run(&run, &error) == 0);
	require(run.posture.landlock_abi == (played ? played->abi : 0));
	require(run.posture.confined == (battery->tier != ESCAPE_NO_SECCOMP));
	return 0;
}

static bool has_got_out(const char *name)
{
	char word[64];

	snprintf(word, sizeof(word), "%s ", name);
	return strstr(tally->names, word);
}

static void begin_battery(void)
{
	asked = share_memory(sizeof(*asked));
	tally = share_memory(sizeof(*tally));
}

static void end_battery(void)
{
	munmap(asked, sizeof(*asked));
	munmap(tally, sizeof(*tally));
}

/* What an old Landlock leaves open the filter closes, and the filter closes all of it alone. */
static void nobody_gets_out_at_abi_1_nor_without(void **state)
{
	struct battery batteries[] = {
		{&kernels[0], ESCAPE_FULL},
		{NULL, ESCAPE_SECCOMP_ONLY},
	};

	(void)state;
	begin_battery();
	for (size_t i = 0; i < 2; i++) {
		for_each_user(run_battery, &batteries[i]);
		assert_true(tally->attempts >= 120);
		assert_string_equal(tally->names, "");
		assert_int_equal(tally->broken, 0);
	}
	end_battery();
}

/*
 * The other way: without the filter it is seen what each Landlock holds by itself, and that the older
 * one that is played holds less.
 */
static void without_the_filter_each_abi_holds_what_it_knows(void **state)
{
	/* None of them takes a descriptor, of which there are none. */
	static const char *const held[] = {"make-directory", "make-fifo",   "make-symlink",
	                                   "unlink-file",    "rename-file", "link-file"};
	static const struct {
		const char *attempt;
		int abi; /* from which on it is held */
	} rows[] = {
		{"truncate-file", 3},
		{"signal-host", 6},
		{"signal-sibling", 6},
	};

	(void)state;
	begin_battery();
	for (size_t i = 0; i < KERNELS; i++) {
		struct battery battery = {&kernels[i], ESCAPE_NO_SECCOMP};

		if (kernels[i].abi == 99)
			continue;
		assert_int_equal(run_in_child(run_battery, &battery), 0);
		for (size_t j = 0; j < sizeof(held) / sizeof(*held); j++)
			assert_false(has_got_out(held[j]));
		for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++)
			assert_int_equal(has_got_out(rows[j].attempt),
			                 kernels[i].abi < rows[j].abi);
	}
	end_battery();
}

/* The player itself: a ruleset that is too new is refused, or these tests could not fail. */
static int ask_too_much(void *context)
{
	const uint64_t newer[3] = {0xffff, 3, 3}, unknown[1] = {0x2000};

	(void)context;
	played = &kernels[0];
	require(syscall(SYS_landlock_create_ruleset, newer, sizeof(newer), 0) == -1);
	require(errno == EINVAL);
	require(syscall(SYS_landlock_create_ruleset, unknown, sizeof(unknown), 0) == -1);
	require(errno == EINVAL);
	return 0;
}

static void the_played_kernel_refuses_what_is_newer(void **state)
{
	(void)state;
	asked = share_memory(sizeof(*asked));
	assert_int_equal(run_in_child(ask_too_much, NULL), 0);
	munmap(asked, sizeof(*asked));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(everything_that_an_abi_knows_is_forbidden),
		counted_test(files_are_out_of_reach_from_abi_1_on),
		counted_test(nobody_gets_out_at_abi_1_nor_without),
		counted_test(without_the_filter_each_abi_holds_what_it_knows),
		counted_test(the_played_kernel_refuses_what_is_newer),
	};

	return run_counted("landlock_abi", tests);
}
