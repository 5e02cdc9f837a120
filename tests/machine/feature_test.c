/*
 * What a machine gives: each feature is there, is told to be missing when the kernel says so, and leaves nothing.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ayre.h>

#include "sys/privilege.h"

#define ANY UINT32_MAX

/* The call that a feature stands and falls with, and what is told when that says ENOSYS. */
static const struct {
	enum ayre_feature feature;
	unsigned int call;
	uint32_t second_argument; /* only with this one; ANY */
	int told;
} needs[] = {
	{AYRE_FEATURE_PROC, SYS_openat, ANY, -ENOSYS},
	{AYRE_FEATURE_MEMORY_FILE, SYS_memfd_create, ANY, -ENOSYS},
	{AYRE_FEATURE_MEMORY_FILE, SYS_fcntl, F_ADD_SEALS, -ENOSYS},
	{AYRE_FEATURE_FILE_LOCK, SYS_fcntl, F_OFD_SETLK, -ENOSYS},
	{AYRE_FEATURE_SYSV, SYS_shmget, ANY, -ENOSYS},
	{AYRE_FEATURE_SYSV, SYS_semget, ANY, -ENOSYS},
	{AYRE_FEATURE_BARRIER, SYS_membarrier, ANY, -ENOSYS},
	{AYRE_FEATURE_WAIT, SYS_epoll_pwait2, ANY, -ENOSYS},
	{AYRE_FEATURE_QUIET_WRITE, SYS_pwritev2, ANY, -EOPNOTSUPP},
	{AYRE_FEATURE_TRY_IO, SYS_pwritev2, ANY, -EOPNOTSUPP},
	{AYRE_FEATURE_WATCH, SYS_inotify_init1, ANY, -ENOSYS},
	{AYRE_FEATURE_PROCESS_FD, SYS_pidfd_open, ANY, -ENOSYS},
	{AYRE_FEATURE_PROCESS_FD, SYS_pidfd_send_signal, ANY, -ENOSYS},
	{AYRE_FEATURE_CLONE, SYS_clone3, ANY, -ENOSYS},
	{AYRE_FEATURE_CLOSE_RANGE, SYS_close_range, ANY, -ENOSYS},
	{AYRE_FEATURE_OBSERVE, SYS_openat, ANY, -ENOSYS},
};

#define NEED_COUNT (sizeof(needs) / sizeof(*needs))

struct outer {
	size_t need;
	unsigned int action; /* SECCOMP_RET_... */
};

/* As a container's filter: all later processes have it as well. */
static void stand_within(const struct outer *outer)
{
	const struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, needs[outer->need].call, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, needs[outer->need].second_argument, 1, 0),
		BPF_STMT(BPF_JMP | BPF_JA, needs[outer->need].second_argument != ANY),
		BPF_STMT(BPF_RET | BPF_K, outer->action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	require(ayrei_privileges_no_new() == 0);
	require(ayrei_filter_load(steps, sizeof(steps) / sizeof(*steps)) == 0);
}

static int try_within(void *context)
{
	const struct outer *outer = context;
	bool kills = outer->action == SECCOMP_RET_KILL_PROCESS;

	stand_within(outer);
	require(ayre_feature_probe(needs[outer->need].feature) ==
	        (kills ? -EOWNERDEAD : needs[outer->need].told));
	return 0;
}

static void each_is_there_and_leaves_nothing(void **state)
{
	int count = 0;

	(void)state;
	for (; ayre_feature_name((enum ayre_feature)count); count++) {
		enum ayre_feature feature = (enum ayre_feature)count;
		int result = ayre_feature_probe(feature);

		/* These two are newer than the oldest kernel. */
		if (feature == AYRE_FEATURE_QUIET_WRITE || feature == AYRE_FEATURE_TRY_IO)
			assert_true(result == 0 || result == -EOPNOTSUPP);
		else
			assert_int_equal(result, 0);
	}
	assert_int_equal(count, AYRE_FEATURE_OBSERVE + 1);
	assert_int_equal(ayre_feature_probe((enum ayre_feature)count), -EINVAL);
	assert_int_equal(ayre_feature_probe((enum ayre_feature) - 1), -EINVAL);
}

static void the_kernels_no_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < NEED_COUNT; i++) {
		struct outer outer = {i, SECCOMP_RET_ERRNO | ENOSYS};

		assert_int_equal(run_in_child(try_within, &outer), 0);
	}
}

static void a_filter_that_kills_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < NEED_COUNT; i++) {
		struct outer outer = {i, SECCOMP_RET_KILL_PROCESS};

		assert_int_equal(run_in_child(try_within, &outer), 0);
	}
}

/* Of a process that has none left, not of the machine. */
static int try_without_descriptors(void *context)
{
	struct rlimit none = {0, 0};

	(void)context;
	require(setrlimit(RLIMIT_NOFILE, &none) == 0);
	require(ayre_feature_probe(AYRE_FEATURE_MEMORY_FILE) == -EMFILE);
	require(ayre_feature_probe(AYRE_FEATURE_WATCH) == -EMFILE);
	require(ayre_feature_probe(AYRE_FEATURE_BARRIER) == 0);
	return 0;
}

static void limits_are_those_of_the_caller(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(try_without_descriptors, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(each_is_there_and_leaves_nothing),
		counted_test(the_kernels_no_is_told),
		counted_test(a_filter_that_kills_is_told),
		counted_test(limits_are_those_of_the_caller),
	};

	return run_counted("feature", tests);
}
