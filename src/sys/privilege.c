/*
 * Giving up: what cannot be taken back once it is done.
 *
 * Invariant: a verb that returns 0 has done all of it; what the kernel does in parts is read back.
 */
#include "sys/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"
#include "sys/file.h"
#include "sys/map.h"

/* include/uapi/linux/prctl.h, Linux 6.3. */
#define SET_MDWE         65
#define REFUSE_EXEC_GAIN 1

#define CAPABILITY_WORDS 2 /* _LINUX_CAPABILITY_U32S_3 */
#define CAPABILITY_BITS  64

static int control(int option, unsigned long argument)
{
	return (int)AYREI_CALL(SYS_prctl, option, argument, 0, 0, 0);
}

/* The directory has a link from each thread's, and two of its own. */
static int count_tasks(void)
{
	struct stat status;
	int result = ayrei_path_status("/proc/self/task", true, &status);

	return result < 0 ? result : (int)status.st_nlink - 2;
}

int ayrei_thread_is_alone(void)
{
	/* Changes nothing, and only one that is alone may ask for it. */
	int result = (int)AYREI_CALL(SYS_unshare, CLONE_THREAD);

	if (result == 0 || result == -EINVAL)
		return result == 0;
	/* Unsharing is forbidden here. */
	result = count_tasks();
	return result < 0 ? result : result == 1;
}

int ayrei_privileges_no_new(void)
{
	return control(PR_SET_NO_NEW_PRIVS, 1);
}

int ayrei_process_hide(void)
{
	return control(PR_SET_DUMPABLE, 0);
}

int ayrei_code_freeze(void)
{
	return control(SET_MDWE, REFUSE_EXEC_GAIN);
}

int ayrei_personality_reset(void)
{
	/* All ones ask for the present one. */
	long present = AYREI_CALL(SYS_personality, UINT_MAX);

	if (present >= 0 && present & READ_IMPLIES_EXEC)
		present = AYREI_CALL(SYS_personality, present & ~READ_IMPLIES_EXEC);
	return present < 0 ? (int)present : 0;
}

static bool is_none(const struct __user_cap_data_struct data[CAPABILITY_WORDS])
{
	for (int i = 0; i < CAPABILITY_WORDS; i++)
		if (data[i].effective || data[i].permitted || data[i].inheritable)
			return false;
	return true;
}

int ayrei_capabilities_drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[CAPABILITY_WORDS] = {0};
	int result;

	/*
	 * Bounding and ambient sets matter at exec only. One who may not drop them gains nothing
	 * there.
	 */
	for (unsigned long bit = 0; bit < CAPABILITY_BITS; bit++)
		if (control(PR_CAPBSET_DROP, bit) < 0)
			break;
	(void)control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	result = (int)AYREI_CALL(SYS_capset, &header, data);
	if (result == 0)
		result = (int)AYREI_CALL(SYS_capget, &header, data);
	if (result < 0)
		return result;
	return is_none(data) ? 0 : -EPERM;
}

/* The lowest that is kept, from this number on; UINT_MAX: none. */
static unsigned int next_kept(const int *kept, size_t count, unsigned int from)
{
	unsigned int lowest = UINT_MAX;

	for (size_t i = 0; i < count; i++)
		if ((unsigned int)kept[i] >= from && (unsigned int)kept[i] < lowest)
			lowest = (unsigned int)kept[i];
	return lowest;
}

int ayrei_descriptors_close_but(const int *kept, size_t count)
{
	unsigned int from = 0;
	int result = 0;

	for (size_t i = 0; i < count; i++)
		if (kept[i] < 0 || AYREI_CALL(SYS_fcntl, kept[i], F_GETFD) < 0)
			return -EBADF;
	while (result >= 0) {
		unsigned int next = next_kept(kept, count, from);

		if (next > from)
			result = (int)AYREI_CALL(SYS_close_range, from, next - 1, 0);
		if (next == UINT_MAX)
			break;
		from = next + 1;
	}
	return result;
}

int ayrei_limit_lower(int resource, uint64_t value)
{
	struct rlimit limit;
	int result = (int)AYREI_CALL(SYS_prlimit64, 0, resource, NULL, &limit);

	if (result < 0)
		return result;
	if (value < limit.rlim_max)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return (int)AYREI_CALL(SYS_prlimit64, 0, resource, &limit, NULL);
}

int ayrei_limit_cpu(uint32_t seconds)
{
	struct rlimit limit = {.rlim_cur = seconds, .rlim_max = (rlim_t)seconds + 1};

	return (int)AYREI_CALL(SYS_prlimit64, 0, RLIMIT_CPU, &limit, NULL);
}

int ayrei_address_space_open(void)
{
	return ayrei_file_open("/proc/self/statm", O_RDONLY, 0);
}

int64_t ayrei_address_space_read(int fd)
{
	char text[128];
	unsigned long long pages;
	ssize_t length = ayrei_file_read_at(fd, text, sizeof(text) - 1, 0);

	if (length < 0)
		return length;
	text[length] = '\0';
	return sscanf(text, "%llu", &pages) == 1 ? (int64_t)(pages * ayrei_page_bytes()) : -EIO;
}

int64_t ayrei_address_space_bytes(void)
{
	int fd = ayrei_address_space_open();
	int64_t bytes = fd < 0 ? fd : ayrei_address_space_read(fd);

	ayrei_file_close(fd);
	return bytes;
}

int ayrei_die_with_parent(int32_t parent)
{
	int result = control(PR_SET_PDEATHSIG, SIGKILL);

	if (result < 0)
		return result;
	return AYREI_CALL(SYS_getppid) == parent ? 0 : -ESRCH;
}

int ayrei_filter_probe(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return (int)AYREI_CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

int ayrei_filter_load(const struct sock_filter *program, size_t length)
{
	struct sock_fprog whole = {
		.len = (unsigned short)length,
		.filter = (struct sock_filter *)program,
	};

	return (int)AYREI_CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole);
}
