/*
 * Run while ayre is built: lets libseccomp make the filters, and prints them as C. The library itself
 * holds the finished programs, so that it needs no libseccomp where it runs and loads them at once.
 *
 * usage: filter_make x86_64|aarch64
 *
 * Invariant: what is in neither list ends the process. A call is allowed only if nothing can be reached
 * by it but the process's own memory, its time, and the descriptors that it was left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* More than libseccomp ever makes of these lists. */
#define STEPS_MAX 4096

/* A binary tree: loading takes a third of the time of a list (the kernel tries every call). */
#define BINARY_TREE 2

/* The call alone, or with a condition on one argument. */
enum condition {
	ALWAYS,
	NOT_EXECUTABLE, /* the third has no PROT_EXEC */
	SECOND_IS,
};

struct rule {
	const char *name;
	int number; /* where libseccomp does not know the name: the same on all machines from 424 on */
	int error; /* 0: allowed */
	enum condition condition;
	unsigned int value;
};

#define ALLOW(name) \
	{ \
#name, 0, 0, ALWAYS, 0 \
	}
#define ANSWER(name, code) \
	{ \
#name, 0, code, ALWAYS, 0 \
	}
#define ANSWER_NUMBER(name, number, code) \
	{ \
#name, number, code, ALWAYS, 0 \
	}

static const struct rule rules[] = {
	/* The descriptors that it was left, and no new ones. */
	ALLOW(close),
	ALLOW(fstat),
	ALLOW(lseek),
	ALLOW(read),
	ALLOW(readv),
	ALLOW(write),
	ALLOW(writev),
	{"fcntl", 0, 0, SECOND_IS, F_GETFD},
	{"fcntl", 0, 0, SECOND_IS, F_SETFD},
	{"fcntl", 0, 0, SECOND_IS, F_GETFL},

	/* Its own memory, none of it executable. */
	ALLOW(brk),
	ALLOW(madvise),
	{"mmap", 0, 0, NOT_EXECUTABLE, 0},
	{"mprotect", 0, 0, NOT_EXECUTABLE, 0},
	ALLOW(mremap),
	ALLOW(munmap),

	/* Waiting, time, chance, its own signals, and its end. vgetrandom blocks signals for a moment. */
	ALLOW(clock_getres),
	ALLOW(clock_gettime),
	ALLOW(clock_nanosleep),
	ALLOW(exit),
	ALLOW(exit_group),
	ALLOW(futex),
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
	ALLOW(time),

	/*
	 * What C libraries try and can do without: none of it is done, and each gets the error that it
	 * is ready for. First what a kernel may not have.
	 */
	ANSWER(clone3, ENOSYS),
	ANSWER(close_range, ENOSYS),
	ANSWER(faccessat2, ENOSYS),
	ANSWER_NUMBER(futex_waitv, 449, ENOSYS),
	ANSWER_NUMBER(map_shadow_stack, 453, ENOSYS),
	ANSWER(membarrier, ENOSYS),
	ANSWER_NUMBER(mseal, 462, ENOSYS),
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
	ANSWER(lstat, EACCES),
	ANSWER(newfstatat, EACCES),
	ANSWER(open, EACCES),
	ANSWER(openat, EACCES),
	ANSWER(readlink, EACCES),
	ANSWER(readlinkat, EACCES),
	ANSWER(stat, EACCES),
	/* A thread that cannot be had, a name that cannot be given, a terminal that is none. */
	ANSWER(clone, EAGAIN),
	ANSWER(prctl, EINVAL),
	{"ioctl", 0, ENOTTY, SECOND_IS, TCGETS},
	{"ioctl", 0, ENOTTY, SECOND_IS, TIOCGWINSZ},
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
	const struct scmp_arg_cmp conditions[] = {
		[NOT_EXECUTABLE] = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
		[SECOND_IS] = SCMP_A1_32(SCMP_CMP_EQ, rule->value),
	};
	int number = seccomp_syscall_resolve_name(rule->name);
	int result;

	if (number == __NR_SCMP_ERROR)
		number = rule->number;
	if (number == 0 && strcmp(rule->name, "read") != 0)
		fail(rule->name, -ENOSYS);
	if (rule->condition == ALWAYS)
		result = seccomp_rule_add_array(filter, action, number, 0, NULL);
	else
		result = seccomp_rule_add_array(filter, action, number, 1,
		                                &conditions[rule->condition]);
	if (result < 0)
		fail(rule->name, result);
}

static void check(const char *what, int result)
{
	if (result < 0)
		fail(what, result);
}

/* forbidden: what happens at every other call. */
static scmp_filter_ctx make(uint32_t machine, uint32_t forbidden)
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
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		add_rule(filter, &rules[i]);
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

int main(int argument_count, char **arguments)
{
	bool is_arm = argument_count == 2 && strcmp(arguments[1], "aarch64") == 0;
	uint32_t machine = is_arm ? SCMP_ARCH_AARCH64 : SCMP_ARCH_X86_64;

	if (!is_arm && (argument_count != 2 || strcmp(arguments[1], "x86_64") != 0))
		fail("usage: filter_make x86_64|aarch64", -EINVAL);
	printf("/* Made by filter_make.c with libseccomp. */\n#include \"worker/filter.h\"\n\n");
	print("ayrei_filter_kill", make(machine, SCMP_ACT_KILL_PROCESS));
	print("ayrei_filter_report", make(machine, SCMP_ACT_TRAP));
	return EXIT_SUCCESS;
}
