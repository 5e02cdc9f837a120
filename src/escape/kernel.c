/*
 * Attempts on the kernel: doors that ordinary code has no use for, and behind which most of its
 * holes were.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

/* The same on all machines; younger than the headers. */
enum {
	CALL_LISTMOUNT = 458,
};

/* getppid(2) for 32-bit programs of x86. */
#define INT80_GETPPID 64

static long user_namespace(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(unshare, CLONE_NEWUSER);
}

static long io_ring(const struct escape_bait *bait)
{
	struct io_uring_params parameters = {0};

	(void)bait;
	return KERNEL(io_uring_setup, 1, &parameters);
}

static long load_program(const struct escape_bait *bait)
{
	const struct bpf_insn steps[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	const union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uint64_t)(uintptr_t)steps,
		.insn_cnt = 2,
		.license = (uint64_t)(uintptr_t) "GPL",
	};

	(void)bait;
	return KERNEL(bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static long make_bpf_map(const struct escape_bait *bait)
{
	const union bpf_attr attributes = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};

	(void)bait;
	return KERNEL(bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));
}

static long count_events(const struct escape_bait *bait)
{
	const struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	(void)bait;
	return KERNEL(perf_event_open, &attributes, 0, -1, -1, 0);
}

static long handle_faults(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(userfaultfd, UFFD_USER_MODE_ONLY);
}

static long find_keyring(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
}

static long add_key(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(add_key, "user", "ayre", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static long request_key(const struct escape_bait *bait)
{
	(void)bait;
	long result = KERNEL(request_key, "user", "ayre", NULL, 0);

	/* Asked and not found is asked. */
	return result == -ENOKEY ? 0 : result;
}

static long descriptor_table(const struct escape_bait *bait)
{
	char entry[16];

	(void)bait;
	return ayrei_kernel_call_ldt(entry, sizeof(entry));
}

static long processor_ports(const struct escape_bait *bait)
{
	(void)bait;
	return ayrei_kernel_call_iopl(3);
}

static long by_int80(const struct escape_bait *bait)
{
	(void)bait;
	return ayrei_kernel_call_int80(INT80_GETPPID, 0, 0, 0);
}

static long by_x32(const struct escape_bait *bait)
{
	(void)bait;
	return ayrei_kernel_call_x32(SYS_getppid, 0, 0, 0);
}

static long no_such_call(const struct escape_bait *bait)
{
	(void)bait;
	/* A filter that lets unknown numbers through lets tomorrow's calls through. */
	long result = KERNEL_NUMBER(999, 0);

	return result == -ENOSYS ? 0 : result;
}

static long load_module(const struct escape_bait *bait)
{
	(void)bait;
	long result = KERNEL(init_module, "x", 1, "");

	/* Only who may load one is told that this is none. */
	return result == -ENOEXEC ? 0 : result;
}

static long load_kernel(const struct escape_bait *bait)
{
	(void)bait;
	/* No segments: takes away the one that is loaded, of which there is none. */
	return KERNEL(kexec_load, 0, 0, NULL, 0);
}

static long restart_machine(const struct escape_bait *bait)
{
	(void)bait;
	/* Only who may do it is told that the magic numbers are wrong. */
	long result = KERNEL(reboot, 0, 0, 0, NULL);

	return result == -EINVAL ? 0 : result;
}

static long kernel_log(const struct escape_bait *bait)
{
	(void)bait;
	/* The size of its buffer. */
	return KERNEL(syslog, 10, NULL, 0);
}

static long host_name(const struct escape_bait *bait)
{
	struct utsname names;
	long result = KERNEL(uname, &names);

	(void)bait;
	return result < 0 ? result : KERNEL(sethostname, names.nodename, strlen(names.nodename));
}

static long kernel_release(const struct escape_bait *bait)
{
	struct utsname names;

	(void)bait;
	return KERNEL(uname, &names);
}

static long machine_load(const struct escape_bait *bait)
{
	struct sysinfo info;

	(void)bait;
	return KERNEL(sysinfo, &info);
}

static long clock_parameters(const struct escape_bait *bait)
{
	struct timex parameters = {0};

	(void)bait;
	return KERNEL(adjtimex, &parameters);
}

static long own_filter(const struct escape_bait *bait)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	const struct sock_fprog program = {1, &allow};
	long result = KERNEL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	(void)bait;
	if (result < 0)
		return result;
	return KERNEL(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static long own_ruleset(const struct escape_bait *bait)
{
	(void)bait;
	/* Which version? */
	return KERNEL(landlock_create_ruleset, NULL, 0, 1);
}

static long readable_is_executable(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(personality, READ_IMPLIES_EXEC);
}

static long resident_pages(const struct escape_bait *bait)
{
	static char page[8192] __attribute__((aligned(4096)));
	unsigned char answer[2];

	(void)bait;
	return KERNEL(mincore, page, sizeof(page), answer);
}

static long list_mounts(const struct escape_bait *bait)
{
	/* struct mnt_id_req, which begins with its size; all ones mean the root. */
	const uint64_t request[3] = {sizeof(request), UINT64_MAX};
	uint64_t mounts[8];

	(void)bait;
	return KERNEL_NUMBER(CALL_LISTMOUNT, request, mounts, 8, 0);
}

static long own_usage(const struct escape_bait *bait)
{
	struct rusage usage;

	(void)bait;
	return KERNEL(getrusage, RUSAGE_SELF, &usage);
}

/* Locking with priority inheritance, which the kernel does by itself. */
static long inherit_priority(const struct escape_bait *bait)
{
	static unsigned int word;

	(void)bait;
	return KERNEL(futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static const struct escape_attempt attempts[] = {
	{"user-namespace", user_namespace, "user namespaces can be refused"},
	{"io-uring", io_ring, ESCAPE_OPTIONAL},
	{"bpf-program", load_program, ESCAPE_ROOT},
	{"bpf-map", make_bpf_map, ESCAPE_ROOT},
	{"perf-events", count_events, ESCAPE_OPTIONAL},
	{"userfaultfd", handle_faults, ESCAPE_OPTIONAL},
	{"keyring", find_keyring, ESCAPE_OPTIONAL},
	{"add-key", add_key, ESCAPE_OPTIONAL},
	{"request-key", request_key, ESCAPE_OPTIONAL},
	{"descriptor-table", descriptor_table, ESCAPE_OPTIONAL},
	{"processor-ports", processor_ports, ESCAPE_ROOT},
	{"int80", by_int80, "only x86-64 kernels that run 32-bit programs have it"},
	{"x32", by_x32, "few kernels have it"},
	{"no-such-call", no_such_call, NULL},
	{"load-module", load_module, ESCAPE_ROOT},
	{"load-kernel", load_kernel, ESCAPE_ROOT},
	{"restart-machine", restart_machine, ESCAPE_ROOT},
	{"kernel-log", kernel_log, "it can be kept from users"},
	{"host-name", host_name, ESCAPE_ROOT},
	{"kernel-release", kernel_release, NULL},
	{"machine-load", machine_load, NULL},
	{"clock-parameters", clock_parameters, NULL},
	{"own-filter", own_filter, "another filter of this kind can stand in its way"},
	{"own-ruleset", own_ruleset, ESCAPE_OPTIONAL},
	{"readable-is-executable", readable_is_executable, NULL},
	{"resident-pages", resident_pages, NULL},
	{"list-mounts", list_mounts, ESCAPE_OPTIONAL},
	{"own-usage", own_usage, NULL},
	{"inherit-priority", inherit_priority, ESCAPE_OPTIONAL},
};

const struct escape_group escape_kernel = {"kernel", attempts, ESCAPE_COUNT_OF(attempts)};
