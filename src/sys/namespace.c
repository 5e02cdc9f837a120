/*
 * Namespaces without a privilege: the user namespace comes first, and gives what the others take.
 */
#include "sys/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/result.h"

#define MAP_BYTES 64

/* Any directory will do as the place of the new root; this one is there, since the maps are. */
#define NEW_ROOT "/proc"

static int write_text(const char *path, const char *text)
{
	int fd = ayrei_file_open(path, O_WRONLY, 0);
	ssize_t written;

	if (fd < 0)
		return fd;
	/* The kernel takes a map in one piece or not at all. */
	written = AYREI_RESULT(write(fd, text, strlen(text)));
	ayrei_file_close(fd);
	return written < 0 ? (int)written : 0;
}

/* The same number inside as outside: what the process sees of itself does not change. */
static int map_self(const char *path, unsigned int number)
{
	char text[MAP_BYTES];

	snprintf(text, sizeof(text), "%u %u 1", number, number);
	return write_text(path, text);
}

int ayrei_user_keep(unsigned int user, unsigned int group)
{
	int result = map_self("/proc/self/uid_map", user);

	/* Without it the map of groups is not for unprivileged users (user_namespaces(7)). */
	if (result == 0)
		result = write_text("/proc/self/setgroups", "deny");
	if (result == 0)
		result = map_self("/proc/self/gid_map", group);
	return result;
}

int ayrei_namespaces_enter(bool network)
{
	unsigned int user = (unsigned int)AYREI_RESULT(syscall(SYS_geteuid));
	unsigned int group = (unsigned int)AYREI_RESULT(syscall(SYS_getegid));
	unsigned long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
	                      CLONE_NEWCGROUP | (network ? CLONE_NEWNET : 0);
	int result = (int)AYREI_RESULT(syscall(SYS_unshare, flags));

	return result < 0 ? result : ayrei_user_keep(user, group);
}

static int do_mount(const char *type, const char *target, unsigned long flags, const char *data)
{
	return (int)AYREI_RESULT(syscall(SYS_mount, type, target, type, flags, data));
}

int ayrei_root_empty(void)
{
	const unsigned long bare = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	/* Nothing of what follows is to reach the mounts that we were copied from. */
	int result = do_mount(NULL, "/", MS_REC | MS_PRIVATE, NULL);

	if (result == 0)
		result = do_mount("tmpfs", NEW_ROOT, bare, "size=4k,mode=0555");
	if (result == 0)
		result = (int)AYREI_RESULT(syscall(SYS_chdir, NEW_ROOT));
	/* The old root is put over the new one, and then taken away (pivot_root(2)). */
	if (result == 0)
		result = (int)AYREI_RESULT(syscall(SYS_pivot_root, ".", "."));
	if (result == 0)
		result = (int)AYREI_RESULT(syscall(SYS_umount2, ".", MNT_DETACH));
	if (result == 0)
		result = do_mount(NULL, "/", MS_REMOUNT | MS_RDONLY | bare, NULL);
	return result;
}
