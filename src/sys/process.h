/*
 * The processes of the machine, as /proc shows them to this user. Every verb returns zero or
 * more, or a negative errno, of which two are about the process: -ESRCH, it is gone; -EACCES,
 * this user may not look into it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A walk over the processes, and what is kept from one to the next. */
struct ayrei_processes;

int ayrei_processes_open(struct ayrei_processes **ret_processes);
/* NULL does nothing; keeps errno. */
void ayrei_processes_close(struct ayrei_processes *processes);
/* The next process, by number; 0 after the last. */
pid_t ayrei_processes_next(struct ayrei_processes *processes);

/* A map that a process shares: of a file, or of what the kernel keeps as one. */
struct ayrei_process_map {
	uint64_t begin, end; /* its addresses there */
	uint64_t offset;     /* in the file, bytes */
	uint64_t device;     /* see ayrei_process_device_is_vague() */
	uint64_t inode;
	bool writable;
	/*
	 * As the kernel calls it; borrowed for the call. " (deleted)" follows the name that a file
	 * had, and the names of what never was in a directory: "/memfd:x", "/SYSV00000000".
	 */
	const char *path;
};

/*
 * Calls visit with every shared map of the process, in the order of its addresses, until it
 * returns something negative, which is returned. A kernel thread has none.
 */
int ayrei_process_shared_maps(struct ayrei_processes *processes, pid_t pid,
                              int (*visit)(const struct ayrei_process_map *map, void *context),
                              void *context);

/* What the file behind a map is, also one without a name. Takes a privilege: else -EACCES. */
int ayrei_process_map_status(struct ayrei_processes *processes, pid_t pid,
                             const struct ayrei_process_map *map, struct stat *ret_status);

/*
 * Calls visit with every descriptor that the process has open, as above. pid 0: the calling
 * thread's own.
 */
int ayrei_process_files(struct ayrei_processes *processes, pid_t pid,
                        int (*visit)(int fd, const struct stat *status, void *context),
                        void *context);

struct ayrei_process_identity {
	uint32_t uid;       /* effective */
	char command[16];   /* the kernel's short name */
	int64_t started_ns; /* CLOCK_REALTIME, to 10 milliseconds */
};

int ayrei_process_identity(struct ayrei_processes *processes, pid_t pid,
                           struct ayrei_process_identity *ret_identity);

/* 1: its System V segments are ours; 0: it lives in another IPC namespace. */
int ayrei_process_shares_ipc(struct ayrei_processes *processes, pid_t pid);

/*
 * Can the device in maps differ from st_dev? On btrfs and overlayfs, which give stat(2) a
 * device of their own making. fd: a file there.
 */
bool ayrei_process_device_is_vague(int fd);
