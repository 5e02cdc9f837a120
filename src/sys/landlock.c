/*
 * Landlock by raw calls. Debian 12's headers end at ABI 2, and the C library has no wrappers.
 *
 * Invariant: a ruleset handles every right that the kernel's ABI has and we know, and never one
 * that it does not have, which an older kernel refuses (EINVAL, E2BIG).
 */
#include "sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/call.h"
#include "sys/file.h"

/* include/uapi/linux/landlock.h as of Linux 6.15, with the release that each ABI came with. */
#define CREATE_RULESET_VERSION 1u
#define FS_RIGHTS_1            ((UINT64_C(1) << 13) - 1) /* ABI 1, 5.13: EXECUTE to MAKE_SYM */
#define FS_REFER               (UINT64_C(1) << 13)       /* ABI 2, 5.19 */
#define FS_TRUNCATE            (UINT64_C(1) << 14)       /* ABI 3, 6.2 */
#define NET_TCP                UINT64_C(3)               /* ABI 4, 6.7: BIND_TCP, CONNECT_TCP */
#define FS_IOCTL_DEV           (UINT64_C(1) << 15)       /* ABI 5, 6.10 */
#define SCOPE_ALL              UINT64_C(3) /* ABI 6, 6.12: ABSTRACT_UNIX_SOCKET, SIGNAL */

#define RULE_PATH_BENEATH 1
#define READ_FILE         (UINT64_C(1) << 2)
#define READ_DIRECTORY    (UINT64_C(1) << 3)

struct path_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

struct ruleset {
	uint64_t handled_fs;
	uint64_t handled_net; /* from ABI 4 */
	uint64_t scoped;      /* from ABI 6 */
};

int ayrei_landlock_abi(void)
{
	return (int)AYREI_CALL(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
}

static size_t ruleset_of(int abi, struct ruleset *ruleset)
{
	*ruleset = (struct ruleset){.handled_fs = FS_RIGHTS_1};
	if (abi >= 2)
		ruleset->handled_fs |= FS_REFER;
	if (abi >= 3)
		ruleset->handled_fs |= FS_TRUNCATE;
	if (abi >= 4)
		ruleset->handled_net = NET_TCP;
	if (abi >= 5)
		ruleset->handled_fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		ruleset->scoped = SCOPE_ALL;
	if (abi < 4)
		return offsetof(struct ruleset, handled_net);
	return abi < 6 ? offsetof(struct ruleset, scoped) : sizeof(*ruleset);
}

/* Right of a file, and with it of a directory. */
static int except(int ruleset, const char *path)
{
	int fd = ayrei_file_open(path, O_PATH, 0);
	struct path_beneath rule = {.allowed = READ_FILE, .parent = fd};
	struct stat status;
	int result = fd < 0 ? fd : ayrei_file_status(fd, &status);

	if (result == 0) {
		if (S_ISDIR(status.st_mode))
			rule.allowed |= READ_DIRECTORY;
		result = (int)AYREI_CALL(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule,
		                         0);
	}
	ayrei_file_close(fd);
	return result == -ENOENT || result == -ENOTDIR || result == -EACCES ? 0 : result;
}

int ayrei_landlock_forbid_all_but(int abi, const char *const *readable, size_t count)
{
	struct ruleset ruleset;
	size_t size = ruleset_of(abi, &ruleset);
	int fd = (int)AYREI_CALL(SYS_landlock_create_ruleset, &ruleset, size, 0);
	int result = 0;

	if (fd < 0)
		return fd;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = except(fd, readable[i]);
	if (result == 0)
		result = (int)AYREI_CALL(SYS_landlock_restrict_self, fd, 0);
	ayrei_file_close(fd);
	return result;
}

int ayrei_landlock_forbid_all(int abi)
{
	/* No rule is added: nothing is excepted. */
	return ayrei_landlock_forbid_all_but(abi, NULL, 0);
}
