/*
 * Run while ayre is built: lets libseccomp make the filters, and prints them as C. The library
 * itself holds the finished programs, so that it needs no libseccomp where it runs and loads them
 * at once.
 *
 * usage: filter_make x86_64|aarch64
 *
 * Invariant: what is in neither list ends the process. A call is allowed only if nothing can be
 * reached by it but the process's own memory, its time, and the descriptors that it was left.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* More than libseccomp ever makes of these lists. */
#define STEPS_MAX 4096

/* A binary tree: loading takes a third of the time of a list (the kernel tries every call). */
#define BINARY_TREE 2

#define CONDITIONS_MAX 2

/* Of system calls, on both machines. */
#define CALLS_MAX 600

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

struct rule {
	const char *name;
	int error; /* 0: allowed */
	unsigned int condition_count;
	/* All have to hold. */
	struct scmp_arg_cmp conditions[CONDITIONS_MAX];
};

/* No formatter has a good way to write such tables. */
/* clang-format off */
#define ALLOW(name)                      {#name, 0, 0, {{0, 0, 0, 0}}}
#define ALLOW_IF(name, condition)        {#name, 0, 1, {condition}}
#define ALLOW_IF_BOTH(name, one, other)  {#name, 0, 2, {one, other}}
#define ANSWER(name, code)               {#name, code, 0, {{0, 0, 0, 0}}}
#define ANSWER_IF(name, code, condition) {#name, code, 1, {condition}}
#define ANSWER_IF_BOTH(name, code, one, other) {#name, code, 2, {one, other}}

/* Arguments count from 0. The kernel ignores the upper half of numbers that have 32 bits. */
#define IS_MASKED(argument, mask, value) {argument, SCMP_CMP_MASKED_EQ, mask, value}
#define IS(argument, value)              IS_MASKED(argument, UINT32_MAX, value)
#define IS_UP_TO(argument, value)        {argument, SCMP_CMP_LE, value, 0}
#define IS_FROM(argument, value)         {argument, SCMP_CMP_GE, value, 0}
#define HAS_NONE_OF(argument, bits)      IS_MASKED(argument, bits, 0)
#define IS_WHOLE(argument, value)        {argument, SCMP_CMP_EQ, value, 0}
#define IS_NOT(argument, value)          {argument, SCMP_CMP_NE, value, 0}
/* clang-format on */

/*
 * A negative number is the clock of another process, which tells that there is one and what it
 * does.
 */
#define IS_COMMON_CLOCK(argument) HAS_NONE_OF(argument, 0x80000000)

/* Waiting and waking. The others hand locks over inside the kernel, a source of its worst holes. */
#define FUTEX_FLAGS         (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
#define FUTEX_IS(operation) IS_MASKED(1, UINT32_MAX & ~FUTEX_FLAGS, operation)

static const struct rule rules[] = {
	/* The descriptors that it was left, and no new ones. */
	ALLOW(close),
	ALLOW(fstat),
	ALLOW(lseek),
	ALLOW(read),
	ALLOW(readv),
	ALLOW(write),
	ALLOW(writev),
	ALLOW_IF(fcntl, IS(1, F_GETFD)),
	ALLOW_IF(fcntl, IS(1, F_SETFD)),
	ALLOW_IF(fcntl, IS(1, F_GETFL)),

	/*
	 * Its own memory, none of it executable, and none from the machine's reserve of huge
	 * pages.
	 */
	ALLOW(brk),
	ALLOW_IF_BOTH(mmap, HAS_NONE_OF(2, PROT_EXEC), HAS_NONE_OF(3, MAP_HUGETLB)),
	ALLOW_IF(mprotect, HAS_NONE_OF(2, PROT_EXEC)),
	ALLOW(mremap),
	ALLOW(munmap),
	/*
	 * What allocators say of it. To share equal pages with others (MERGEABLE) would tell of
	 * theirs.
	 */
	ALLOW_IF(madvise, IS_UP_TO(2, MADV_DONTNEED)),
	ALLOW_IF(madvise, IS(2, MADV_FREE)),
	ALLOW_IF(madvise, IS(2, MADV_HUGEPAGE)),
	ALLOW_IF(madvise, IS(2, MADV_NOHUGEPAGE)),
	ANSWER_IF(madvise, EINVAL, IS(2, MADV_REMOVE)),
	ANSWER_IF(madvise, EINVAL, IS(2, MADV_DONTFORK)),
	ANSWER_IF(madvise, EINVAL, IS(2, MADV_DOFORK)),
	ANSWER_IF(madvise, EINVAL, IS(2, MADV_MERGEABLE)),
	ANSWER_IF(madvise, EINVAL, IS(2, MADV_UNMERGEABLE)),
	ANSWER_IF(madvise, EINVAL, IS_FROM(2, MADV_DONTDUMP)),

	/*
	 * Waiting, time, chance, its own signals, and its end. vgetrandom blocks signals for a
	 * moment.
	 */
	ALLOW_IF(clock_getres, IS_COMMON_CLOCK(0)),
	ALLOW_IF(clock_gettime, IS_COMMON_CLOCK(0)),
	ALLOW_IF(clock_nanosleep, IS_COMMON_CLOCK(0)),
	ALLOW(exit),
	ALLOW(exit_group),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_WAIT)),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_WAKE)),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_REQUEUE)),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_CMP_REQUEUE)),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_WAIT_BITSET)),
	ALLOW_IF(futex, FUTEX_IS(FUTEX_WAKE_BITSET)),
	ALLOW(getpid),
	ALLOW(getrandom),
	ALLOW(gettid),
	ALLOW(gettimeofday),
	ALLOW(nanosleep),
	ALLOW(restart_syscall),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(sched_yield),
	ALLOW(sigaltstack),
	ALLOW(time),

	/*
	 * What C libraries try and can do without: none of it is done, and each gets the error
	 * that it is ready for. First what a kernel may not have.
	 */
	ANSWER(clone3, ENOSYS),
	ANSWER(close_range, ENOSYS),
	ANSWER(faccessat2, ENOSYS),
	ANSWER(futex_waitv, ENOSYS),
	ANSWER(getrlimit, ENOSYS), /* musl, where there is no prlimit64 */
	ANSWER(membarrier, ENOSYS),
	ANSWER(openat2, ENOSYS),
	ANSWER(prlimit64, ENOSYS),
	ANSWER(rseq, ENOSYS),
	ANSWER(sched_getaffinity, ENOSYS),
	ANSWER(set_robust_list, ENOSYS),
	ANSWER(statx, ENOSYS),
	ANSWER(sysinfo, ENOSYS),
	/* Then files: locales, time zones, character sets. */
	ANSWER(access, EACCES),
	ANSWER(faccessat, EACCES),
	ANSWER(getcwd, EACCES),
	ANSWER(lstat, EACCES),
	ANSWER(newfstatat, EACCES),
	ANSWER(open, EACCES),
	ANSWER(openat, EACCES),
	ANSWER(readlink, EACCES),
	ANSWER(readlinkat, EACCES),
	ANSWER(stat, EACCES),
	/* perror(3) takes a stream of its own if it gets one; fdopen(3) turns the end of a file on. */
	ANSWER(dup, EMFILE),
	ANSWER_IF(fcntl, EPERM, IS(1, F_SETFL)),
	/*
	 * A thread or child that cannot be had, a name that cannot be given, a terminal that is
	 * none.
	 */
	ANSWER(clone, EAGAIN),
	ANSWER(fork, EAGAIN),
	ANSWER(vfork, EAGAIN),
	ANSWER(prctl, EINVAL),
	ANSWER_IF(ioctl, ENOTTY, IS(1, TCGETS)),
	ANSWER_IF(ioctl, ENOTTY, IS(1, TIOCGWINSZ)),
};

/*
 * What a zygote has besides, from before it loads its module until its end: opening to read, code,
 * children, and what locks a child down further. A name that is here is not taken from the list
 * above. A worker has both programs above it, and the kernel takes the stricter answer: so where the
 * list above has an answer, nothing here ends the process.
 *
 * Nothing of it reaches a file to be written, another process, or a socket that is not there. Which files
 * can be read is a matter of Landlock.
 */
/* clang-format off */
#define READ_ONLY(name, argument) \
	ALLOW_IF(name, HAS_NONE_OF(argument, O_ACCMODE | O_CREAT | O_TRUNC)), \
	ANSWER_IF(name, EACCES, IS_MASKED(argument, O_ACCMODE, O_WRONLY)), \
	ANSWER_IF(name, EACCES, IS_MASKED(argument, O_ACCMODE, O_RDWR)), \
	ANSWER_IF(name, EACCES, IS_MASKED(argument, O_ACCMODE, O_ACCMODE)), \
	ANSWER_IF(name, EACCES, IS_MASKED(argument, O_ACCMODE | O_CREAT, O_CREAT)), \
	ANSWER_IF(name, EACCES, IS_MASKED(argument, O_ACCMODE | O_CREAT | O_TRUNC, O_TRUNC))
/*
 * That the keeper's end is the zygote's can be asked for again, and not be taken back. An option is another if
 * one of its bits is: the kernel looks at 32 of them.
 */
#define OTHER_BIT(bit) ALLOW_IF(prctl, IS_MASKED(0, 1u << (bit), (bit) == 0 ? 0 : 1u << (bit)))
#define OTHER_BITS(bit) OTHER_BIT(bit), OTHER_BIT((bit) + 1), OTHER_BIT((bit) + 2), OTHER_BIT((bit) + 3)
/* clang-format on */

static_assert(PR_SET_PDEATHSIG == 1, "the lowest bit, and no other");

static const struct rule zygote_rules[] = {
	/* What the loader does. */
	ALLOW(access),
	ALLOW(faccessat),
	ALLOW(getcwd),
	ALLOW(getdents64),
	ALLOW(lstat),
	ALLOW(newfstatat),
	READ_ONLY(open, 1),
	READ_ONLY(openat, 2),
	ALLOW(pread64),
	ALLOW(readlink),
	ALLOW(readlinkat),
	ALLOW(stat),
	ALLOW_IF(mmap, HAS_NONE_OF(3, MAP_HUGETLB)),
	ALLOW(mprotect),
	/* What constructors like to know. */
	ALLOW(getegid),
	ALLOW(geteuid),
	ALLOW(getgid),
	ALLOW(getuid),
	ALLOW(uname),
	/* Workers: one more process like this one, and its end. */
	ALLOW_IF(clone, IS_WHOLE(0, CLONE_PIDFD | SIGCHLD)),
	ANSWER_IF(clone, EAGAIN, IS_NOT(0, CLONE_PIDFD | SIGCHLD)),
	ALLOW(getppid),
	ALLOW(poll),
	ALLOW(ppoll),
	ALLOW(recvmsg),
	ALLOW(sendmsg),
	ALLOW(wait4),
	/* Giving up more. What else prctl does is about the process itself. */
	ALLOW(capget),
	ALLOW(capset),
	ALLOW(close_range),
	ALLOW(landlock_create_ruleset),
	ALLOW(landlock_restrict_self),
	ALLOW_IF(personality, IS(0, UINT32_MAX)),
	OTHER_BITS(0),
	OTHER_BITS(4),
	OTHER_BITS(8),
	OTHER_BITS(12),
	OTHER_BITS(16),
	OTHER_BITS(20),
	OTHER_BITS(24),
	OTHER_BITS(28),
	ALLOW_IF_BOTH(prctl, IS(0, PR_SET_PDEATHSIG), IS_WHOLE(1, SIGKILL)),
	ANSWER_IF_BOTH(prctl, EPERM, IS(0, PR_SET_PDEATHSIG), IS_NOT(1, SIGKILL)),
	ALLOW_IF(prlimit64, IS_WHOLE(0, 0)),
	ANSWER_IF(prlimit64, ENOSYS, IS_NOT(0, 0)),
	ALLOW_IF_BOTH(seccomp, IS(0, SECCOMP_SET_MODE_FILTER), IS(1, 0)),
	ALLOW_IF(seccomp, IS(0, SECCOMP_GET_ACTION_AVAIL)),
	ANSWER(unshare, EPERM),
};

static void fail(const char *what, int code)
{
	fprintf(stderr, "filter_make: %s: %s\n", what, strerror(-code));
	exit(EXIT_FAILURE);
}

static void add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	const uint32_t action =
		rule->error ? SCMP_ACT_ERRNO((uint32_t)rule->error) : SCMP_ACT_ALLOW;
	int number = seccomp_syscall_resolve_name(rule->name);
	int result;

	if (number == __NR_SCMP_ERROR)
		fail(rule->name, -ENOSYS);
	result = seccomp_rule_add_array(filter, action, number, rule->condition_count,
	                                rule->conditions);
	if (result < 0)
		fail(rule->name, result);
}

static void check(const char *what, int result)
{
	if (result < 0)
		fail(what, result);
}

static bool is_zygotes(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(zygote_rules); i++)
		if (strcmp(zygote_rules[i].name, name) == 0)
			return true;
	return false;
}

/* forbidden: what happens at every other call. */
static scmp_filter_ctx make(uint32_t machine, uint32_t forbidden, bool zygote)
{
	scmp_filter_ctx filter = seccomp_init(forbidden);

	if (!filter)
		fail("seccomp_init", -ENOMEM);
	if (machine != seccomp_arch_native()) {
		check("machine", seccomp_arch_remove(filter, SCMP_ARCH_NATIVE));
		check("machine", seccomp_arch_add(filter, machine));
	}
	/* 32-bit calls on a 64-bit kernel, whose numbers mean something else. */
	check("other machines",
	      seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
	check("binary tree", seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE));
	for (size_t i = 0; i < COUNT_OF(rules); i++)
		if (!zygote || !is_zygotes(rules[i].name))
			add_rule(filter, &rules[i]);
	for (size_t i = 0; zygote && i < COUNT_OF(zygote_rules); i++)
		add_rule(filter, &zygote_rules[i]);
	return filter;
}

static void print(const char *name, scmp_filter_ctx filter)
{
	static struct sock_filter steps[STEPS_MAX];
	FILE *file = tmpfile();
	size_t count;

	if (!file)
		fail("tmpfile", -errno);
	check("export", seccomp_export_bpf(filter, fileno(file)));
	rewind(file);
	count = fread(steps, sizeof(*steps), STEPS_MAX, file);
	fclose(file);
	if (count == 0 || count == STEPS_MAX)
		fail("export", -EFBIG);
	printf("const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < count; i++)
		printf("\t{0x%x, %u, %u, 0x%x},\n", steps[i].code, steps[i].jt, steps[i].jf,
		       steps[i].k);
	printf("};\nconst size_t %s_length = sizeof(%s) / sizeof(*%s);\n\n", name, name, name);
	seccomp_release(filter);
}

/* By number; what this libseccomp does not know has none. */
static void print_names(uint32_t machine)
{
	printf("const char *const ayrei_call_names[] = {\n");
	for (int number = 0; number < CALLS_MAX; number++) {
		char *name = seccomp_syscall_resolve_num_arch(machine, number);

		if (name)
			printf("\t[%d] = \"%s\",\n", number, name);
		free(name);
	}
	printf("};\nconst size_t ayrei_call_names_count =\n"
	       "\tsizeof(ayrei_call_names) / sizeof(*ayrei_call_names);\n");
}

int main(int argument_count, char **arguments)
{
	bool is_arm = argument_count == 2 && strcmp(arguments[1], "aarch64") == 0;
	uint32_t machine = is_arm ? SCMP_ARCH_AARCH64 : SCMP_ARCH_X86_64;

	if (!is_arm && (argument_count != 2 || strcmp(arguments[1], "x86_64") != 0))
		fail("usage: filter_make x86_64|aarch64", -EINVAL);
	printf("/* Made by filter_make.c with libseccomp. */\n#include \"worker/filter.h\"\n\n");
	print("ayrei_filter_kill", make(machine, SCMP_ACT_KILL_PROCESS, false));
	print("ayrei_filter_report", make(machine, SCMP_ACT_TRAP, false));
	print("ayrei_filter_zygote", make(machine, SCMP_ACT_TRAP, true));
	print_names(machine);
	return EXIT_SUCCESS;
}
