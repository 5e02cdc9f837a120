/*
 * Attempts on files: by name, by handle, through watches, through mounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "escape/attempt.h"
#include "sys/kernel.h"

#define HANDLE_BYTES 128

static long open_path(const char *path, int flags)
{
	return KERNEL(openat, AT_FDCWD, path, flags, 0600);
}

static long read_path(const char *path)
{
	char byte;
	long fd = open_path(path, O_RDONLY);

	return fd < 0 ? fd : KERNEL(read, fd, &byte, 1);
}

static long read_file(const struct escape_bait *bait)
{
	return read_path(escape_path(bait, "secret"));
}

static long read_passwd(const struct escape_bait *bait)
{
	(void)bait;
	return read_path("/etc/passwd");
}

static long write_file(const struct escape_bait *bait)
{
	long fd = open_path(escape_path(bait, "victim"), O_WRONLY);

	return fd < 0 ? fd : KERNEL(write, fd, "x", 1);
}

static long truncate_file(const struct escape_bait *bait)
{
	return KERNEL(truncate, escape_path(bait, "victim"), 0);
}

static long create_file(const struct escape_bait *bait)
{
	return open_path(escape_path(bait, "new"), O_CREAT | O_EXCL | O_WRONLY);
}

static long create_unnamed(const struct escape_bait *bait)
{
	return open_path(bait->directory, O_TMPFILE | O_RDWR);
}

static long unlink_file(const struct escape_bait *bait)
{
	return KERNEL(unlinkat, AT_FDCWD, escape_path(bait, "victim"), 0);
}

static long rename_file(const struct escape_bait *bait)
{
	return KERNEL(renameat2, AT_FDCWD, escape_path(bait, "victim"), AT_FDCWD,
	              escape_path(bait, "new"), 0);
}

static long link_file(const struct escape_bait *bait)
{
	return KERNEL(linkat, AT_FDCWD, escape_path(bait, "victim"), AT_FDCWD,
	              escape_path(bait, "new"), 0);
}

static long make_symlink(const struct escape_bait *bait)
{
	return KERNEL(symlinkat, "secret", AT_FDCWD, escape_path(bait, "new"));
}

static long make_directory(const struct escape_bait *bait)
{
	return KERNEL(mkdirat, AT_FDCWD, escape_path(bait, "new"), 0700);
}

static long make_fifo(const struct escape_bait *bait)
{
	return KERNEL(mknodat, AT_FDCWD, escape_path(bait, "new"), S_IFIFO | 0600, 0);
}

static long make_device(const struct escape_bait *bait)
{
	/* /dev/null. */
	return KERNEL(mknodat, AT_FDCWD, escape_path(bait, "new"), S_IFCHR | 0600, 0x103);
}

static long change_mode(const struct escape_bait *bait)
{
	return KERNEL(fchmodat, AT_FDCWD, escape_path(bait, "victim"), 0666);
}

static long change_owner(const struct escape_bait *bait)
{
	return KERNEL(fchownat, AT_FDCWD, escape_path(bait, "victim"), -1, -1, 0);
}

static long change_times(const struct escape_bait *bait)
{
	return KERNEL(utimensat, AT_FDCWD, escape_path(bait, "victim"), NULL, 0);
}

static long list_attributes(const struct escape_bait *bait)
{
	char names[256];

	return KERNEL(listxattr, escape_path(bait, "secret"), names, sizeof(names));
}

static long look_stat(const struct escape_bait *bait)
{
	struct stat status;

	return KERNEL(newfstatat, AT_FDCWD, escape_path(bait, "secret"), &status, 0);
}

static long look_statx(const struct escape_bait *bait)
{
	struct statx status;

	return KERNEL(statx, AT_FDCWD, escape_path(bait, "secret"), 0, STATX_SIZE, &status);
}

static long look_access(const struct escape_bait *bait)
{
	return KERNEL(faccessat, AT_FDCWD, escape_path(bait, "secret"), R_OK);
}

static long look_access_newly(const struct escape_bait *bait)
{
	return KERNEL(faccessat2, AT_FDCWD, escape_path(bait, "secret"), R_OK, 0);
}

static long look_file_system(const struct escape_bait *bait)
{
	struct statfs status;

	return KERNEL(statfs, bait->directory, &status);
}

static long open_place(const struct escape_bait *bait)
{
	return open_path(escape_path(bait, "secret"), O_PATH);
}

static long open_newly(const struct escape_bait *bait)
{
	const struct open_how how = {.flags = O_RDONLY};

	return KERNEL(openat2, AT_FDCWD, escape_path(bait, "secret"), &how, sizeof(how));
}

static long open_tree_of(const struct escape_bait *bait)
{
	return KERNEL(open_tree, AT_FDCWD, bait->directory, 0);
}

static long open_device(const struct escape_bait *bait)
{
	(void)bait;
	return read_path("/dev/zero");
}

static long list_directory(const struct escape_bait *bait)
{
	char entries[1024];
	long fd = open_path(bait->directory, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? fd : KERNEL(getdents64, fd, entries, sizeof(entries));
}

static long change_directory(const struct escape_bait *bait)
{
	return KERNEL(chdir, bait->directory);
}

static long tell_directory(const struct escape_bait *bait)
{
	char path[4096];

	(void)bait;
	/* With another root the answer is no path of the machine's. */
	long length = KERNEL(getcwd, path, sizeof(path));

	return length < 0 || strcmp(path, "/") != 0 ? length : -ENOENT;
}

static long read_link(const struct escape_bait *bait)
{
	char path[256];

	return KERNEL(readlinkat, AT_FDCWD, escape_path(bait, "link"), path, sizeof(path));
}

static long take_handle(const struct escape_bait *bait)
{
	struct {
		struct file_handle head;
		char bytes[HANDLE_BYTES];
	} handle = {.head = {.handle_bytes = HANDLE_BYTES}};
	int mount;

	return KERNEL(name_to_handle_at, AT_FDCWD, escape_path(bait, "secret"), &handle, &mount, 0);
}

static long watch_directory(const struct escape_bait *bait)
{
	long fd = KERNEL(inotify_init1, 0);

	return fd < 0 ? fd : KERNEL(inotify_add_watch, fd, bait->directory, IN_ACCESS);
}

static long watch_all(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
}

static long mount_over(const struct escape_bait *bait)
{
	long result = KERNEL(mount, "none", bait->directory, "tmpfs", 0, NULL);

	if (result >= 0)
		(void)KERNEL(umount2, bait->directory, MNT_DETACH);
	return result;
}

static long mount_in_namespace(const struct escape_bait *bait)
{
	long result = KERNEL(unshare, CLONE_NEWUSER | CLONE_NEWNS);

	return result < 0 ? result : KERNEL(mount, "none", bait->directory, "tmpfs", 0, NULL);
}

static long change_root(const struct escape_bait *bait)
{
	return KERNEL(chroot, bait->directory);
}

static long change_root_in_namespace(const struct escape_bait *bait)
{
	long result = KERNEL(unshare, CLONE_NEWUSER);

	return result < 0 ? result : change_root(bait);
}

static long make_file_system(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(fsopen, "tmpfs", 0);
}

static long sync_file_systems(const struct escape_bait *bait)
{
	(void)bait;
	return KERNEL(syncfs, bait->memory);
}

static const struct escape_attempt attempts[] = {
	{"read-file", read_file, NULL},
	{"read-passwd", read_passwd, NULL},
	{"write-file", write_file, NULL},
	{"truncate-file", truncate_file, NULL},
	{"create-file", create_file, NULL},
	{"create-unnamed-file", create_unnamed, NULL},
	{"unlink-file", unlink_file, NULL},
	{"rename-file", rename_file, NULL},
	{"link-file", link_file, NULL},
	{"make-symlink", make_symlink, NULL},
	{"make-directory", make_directory, NULL},
	{"make-fifo", make_fifo, NULL},
	{"make-device", make_device, ESCAPE_ROOT},
	{"change-mode", change_mode, NULL},
	{"change-owner", change_owner, NULL},
	{"change-times", change_times, NULL},
	{"list-attributes", list_attributes, NULL},
	{"stat-file", look_stat, NULL},
	{"statx-file", look_statx, NULL},
	{"access-file", look_access, NULL},
	{"access-file-newly", look_access_newly, NULL},
	{"stat-file-system", look_file_system, NULL},
	{"open-place", open_place, NULL},
	{"open-newly", open_newly, NULL},
	{"open-tree", open_tree_of, NULL},
	{"open-device", open_device, NULL},
	{"list-directory", list_directory, NULL},
	{"change-directory", change_directory, NULL},
	{"tell-directory", tell_directory, NULL},
	{"read-link", read_link, NULL},
	{"take-handle", take_handle, ESCAPE_OPTIONAL},
	{"watch-directory", watch_directory, NULL},
	{"watch-all", watch_all, ESCAPE_OPTIONAL},
	{"mount-over", mount_over, ESCAPE_ROOT},
	{"mount-in-namespace", mount_in_namespace, "user namespaces can be refused"},
	{"change-root", change_root, ESCAPE_ROOT},
	{"change-root-in-namespace", change_root_in_namespace, "user namespaces can be refused"},
	{"make-file-system", make_file_system, ESCAPE_ROOT},
	{"sync-file-system", sync_file_systems, NULL},
};

const struct escape_group escape_files = {"files", attempts, ESCAPE_COUNT_OF(attempts)};
