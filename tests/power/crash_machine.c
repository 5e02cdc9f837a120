/*
 * A machine whose disk crash_serve.c serves, through a loop device without a cache of its own.
 *
 * The machine is a process that obeys orders, with a process namespace and a mount namespace of its
 * own. So nothing is left, however it ends: the kernel ends the others, unmounts, and lets the loop
 * device go.
 * Invariant: who serves the disk never waits for the disk, not even when its end is also the end of a
 * namespace. Else, when killed, it would wait for itself, and for ever. An orphaned machine goes on
 * only until the kernel, which has lost who served it, lets its next step fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "power/crash.h"
#include "power/shutdown.h"

#define SERVED       "served"
#define MOUNTED      "mounted"
#define MEMORY       "/dev/shm"
#define TIME_LIMIT_S 120

enum deed { ATTACH, FORMAT, START, SETTLE, CUT, RUN };

/* What is pointed to was there before the fork. */
struct order {
	enum deed deed;
	const char *const *words;
	int input_fd, output_fd;
	uint64_t life;
};

/* Another process may be quicker to take the one that is free. Its number. */
static int take_loop_device(struct machine *machine, const struct loop_config *config)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number, result = -EBUSY;

	if (control == -1)
		return -errno;
	for (int attempt = 0; result == -EBUSY && attempt < 64; attempt++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(machine->device, sizeof(machine->device), "/dev/loop%d", number);
		machine->device_fd = number == -1 ? -1 : open(machine->device, O_RDWR | O_CLOEXEC);
		if (machine->device_fd == -1)
			result = -errno;
		else if (ioctl(machine->device_fd, LOOP_CONFIGURE, config) == 0)
			result = number;
		else {
			result = -errno;
			close(machine->device_fd);
		}
	}
	close(control);
	return result;
}

static int attach(struct machine *machine)
{
	struct loop_config config = {.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR};
	int disk, result;

	/* From here on the mounts are those of the machine alone; /proc is its process namespace's. */
	if (unshare(CLONE_NEWNS) == -1 || mount("proc", "/proc", "proc", 0, NULL) == -1)
		return -errno;
	disk = open(SERVED "/disk", O_RDWR | O_CLOEXEC);
	if (disk == -1)
		return -errno;
	config.fd = (unsigned int)disk;
	result = take_loop_device(machine, &config);
	close(disk);
	return result;
}

static int start(const struct machine *machine)
{
	/* The longest interval, lest the kernel commits by itself what a program has to. */
	const char *options = strcmp(machine->file_system, "ext4") == 0 ? "commit=300" : NULL;

	/* The disk has another content, which the kernel must not remember the last one for. */
	if (ioctl(machine->device_fd, BLKFLSBUF, 0) == -1 ||
	    mount(machine->device, MOUNTED, machine->file_system, 0, options) == -1)
		return -errno;
	if (mount("memory", MEMORY, "tmpfs", 0, NULL) == 0)
		return 0;
	umount2(MOUNTED, 0);
	return -errno;
}

static void must_succeed(const char *what, int result)
{
	if (result != -1)
		return;
	fprintf(stderr, "crash_points: %s: %s\n", what, strerror(errno));
	_exit(CRASH_NO_RESULT);
}

static void settle(void)
{
	int mounted = open(MOUNTED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must_succeed("the mounted disk", mounted);
	must_succeed("syncing the disk", syncfs(mounted));
	close(mounted);
}

static void cut(void)
{
	uint32_t how = SHUTDOWN_NO_LOG_FLUSH;
	int mounted;

	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	mounted = open(MOUNTED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must_succeed("the mounted disk", mounted);
	must_succeed("shutting down the file system", ioctl(mounted, SHUTDOWN, &how));
	close(mounted);
	must_succeed("unmounting the disk", umount2(MOUNTED, 0));
	must_succeed("unmounting the memory", umount2(MEMORY, 0));
}

static int wait_for(pid_t child)
{
	struct pollfd end = {.fd = pidfd_open(child, 0), .events = POLLIN};
	int ready, status;

	do
		ready = poll(&end, 1, TIME_LIMIT_S * 1000);
	while (ready == -1 && errno == EINTR);
	close(end.fd);
	if (ready != 1)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	if (ready != 1)
		return -ETIME;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *const *words, int input_fd, int output_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	int result;

	posix_spawn_file_actions_init(&actions);
	if (input_fd != -1)
		posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
	if (output_fd != -1) {
		posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, output_fd, STDERR_FILENO);
	}
	result = -posix_spawnp(&child, words[0], &actions, NULL, (char *const *)words, environ);
	posix_spawn_file_actions_destroy(&actions);
	return result < 0 ? result : wait_for(child);
}

static int format(const struct machine *machine)
{
	const char *const ext4[] = {"mkfs.ext4",
	                            "-q",
	                            "-F",
	                            "-b",
	                            "4096",
	                            "-E",
	                            "lazy_itable_init=0,lazy_journal_init=0",
	                            machine->device,
	                            NULL};
	const char *const xfs[] = {"mkfs.xfs", "-q", "-f", machine->device, NULL};

	return run(strcmp(machine->file_system, "xfs") == 0 ? xfs : ext4, -1, -1);
}

static int run_in_life(const struct order *order)
{
	char life[32];

	snprintf(life, sizeof(life), "%" PRIu64, order->life);
	setenv("POWER_LIFE", life, 1);
	return run(order->words, order->input_fd, order->output_fd);
}

static int obey(struct machine *machine, const struct order *order)
{
	switch (order->deed) {
	case ATTACH:
		return attach(machine);
	case FORMAT:
		return format(machine);
	case START:
		return start(machine);
	case SETTLE:
		settle();
		return 0;
	case CUT:
		cut();
		return 0;
	case RUN:
	default:
		return run_in_life(order);
	}
}

/* Until nobody gives any more. */
static _Noreturn void be_machine(struct machine *machine)
{
	struct order order;
	int result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(machine->orders_fd, &order, sizeof(order)) == sizeof(order)) {
		result = obey(machine, &order);
		if (write(machine->orders_fd, &result, sizeof(result)) != sizeof(result))
			break;
	}
	_exit(0);
}

/* --- who gives the orders --- */

static _Noreturn void skip(const char *reason, int code)
{
	printf("%s: %s\n", reason, strerror(code));
	exit(CRASH_SKIPPED);
}

static int ask(const struct machine *machine, const struct order *order)
{
	int result;

	if (write(machine->orders_fd, order, sizeof(*order)) != sizeof(*order) ||
	    read(machine->orders_fd, &result, sizeof(result)) != sizeof(result)) {
		fprintf(stderr, "crash_points: the machine is gone\n");
		exit(CRASH_NO_RESULT);
	}
	return result;
}

/* Only the machine is in the process namespace; this process goes on to make threads in its own. Its
 * mount namespace has nothing but what is served, which the machine's will be a copy of. */
static void start_machine_process(struct machine *machine)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), orders[2];

	if (geteuid() != 0)
		skip("mounting a disk takes root", EPERM);
	if (own == -1 || unshare(CLONE_NEWNS | CLONE_NEWPID) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		skip("namespaces are not to be had here", errno);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) == -1)
		skip("no socket for the machine", errno);
	machine->process = fork();
	if (machine->process == -1)
		skip("no process for the machine", errno);
	machine->orders_fd = orders[machine->process == 0];
	close(orders[machine->process != 0]);
	if (machine->process == 0)
		be_machine(machine);
	if (setns(own, CLONE_NEWPID) == -1)
		skip("namespaces are not to be had here", errno);
	close(own);
}

void machine_make(struct machine *machine, const char *file_system, uint64_t size_bytes)
{
	char here[3072], path[4096];
	int result;

	if (!getcwd(here, sizeof(here)))
		skip("the working directory has no name", errno);
	snprintf(path, sizeof(path), "%s/" MOUNTED, here);
	setenv("POWER_DISK", path, 1);
	snprintf(path, sizeof(path), "%s/" SERVED "/marks", here);
	setenv("POWER_MARKS", path, 1);
	mkdir(SERVED, 0700);
	mkdir(MOUNTED, 0700);
	machine->file_system = file_system;
	start_machine_process(machine);
	result = server_start(&machine->server, SERVED, size_bytes);
	if (result < 0)
		skip("FUSE is not to be had here", -result);
	result = ask(machine, &(struct order){.deed = ATTACH});
	if (result < 0)
		skip("no loop device is to be had", -result);
}

int machine_format(const struct machine *machine)
{
	return ask(machine, &(struct order){.deed = FORMAT});
}

int machine_start(const struct machine *machine)
{
	return ask(machine, &(struct order){.deed = START});
}

void machine_settle(const struct machine *machine)
{
	ask(machine, &(struct order){.deed = SETTLE});
}

void machine_cut(const struct machine *machine)
{
	ask(machine, &(struct order){.deed = CUT});
}

int machine_run(const struct machine *machine, uint64_t life, const char *const *words,
                int input_fd, int output_fd)
{
	return ask(machine, &(struct order){RUN, words, input_fd, output_fd, life});
}

void machine_end(struct machine *machine)
{
	close(machine->orders_fd);
	waitpid(machine->process, NULL, 0);
}
