/*
 * A child, and all that descends from it, ended as one.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct ayrei_family {
	pid_t first; /* 0: this process is it */
	int pidfd;   /* of the first, in its founder */
	/* It is number 1 in a process namespace, and the kernel ends all who are in it when it ends. */
	bool is_apart;
};

/*
 * Makes the first of a family, a copy of the calling process, which has to have one thread: if it is to be @apart in
 * a process namespace, where the kernel gives one. The first leads a group, has the user's numbers as before, and is killed when its
 * founder ends, unless it undoes that. Returns 0 in both, or a negative errno in one of them.
 */
int ayrei_family_found(bool apart, struct ayrei_family *ret_family);

/*
 * In the founder: kills the first, and all who are still in its group, and waits for the first, which ends after
 * all others of its namespace. Returns what wait(2) says of it.
 */
int ayrei_family_end(const struct ayrei_family *family);

/* Ends the calling process the way that another one did, by what wait(2) says. */
void ayrei_end_like(int status) __attribute__((noreturn));
