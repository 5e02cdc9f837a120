/*
 * What there is to be had: made by the battery before an attempt, outside of what is confined.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <ayre/error.h>

/* Plain bytes: children inherit it. */
struct escape_bait {
	char directory[96]; /* in memory, mode 0700 */
	pid_t host;         /* the battery itself */
	pid_t sibling;      /* a process of the same user */
	uint16_t tcp_port, udp_port;
	char abstract[32]; /* the name of an abstract socket, without its NUL */
	char queue[32];    /* a POSIX message queue */
	char shared[96];   /* the path of a POSIX segment */
	int segment_key, segment, message_queue_key, message_queue, semaphore_key, semaphore;
	int *word; /* the same address in host and sibling, in memory of their own */

	/* Not kept, and open in the battery. */
	int leaked_file, leaked_socket, leaked_high;
	/*
	 * Kept: a socket to the host in which a descriptor waits, and the memory that is shared
	 * with it.
	 */
	int control;
	int memory;    /* for reading and writing, sealed against shrinking */
	int read_only; /* of the host's, for reading */
};

/* What fails is told in *error and leaves nothing behind. */
int escape_bait_set(struct escape_bait *bait, struct ayre_error *error);
/*
 * What the last attempt may have used up. 0 or a negative errno: some of it is not there, and what goes after
 * it would be held by that alone.
 */
int escape_bait_renew(struct escape_bait *bait);
void escape_bait_remove(struct escape_bait *bait);

/* A path in the bait's directory; in one of a few static buffers. */
const char *escape_path(const struct escape_bait *bait, const char *name);
/* "/proc/PID/what", likewise. */
const char *escape_proc(pid_t pid, const char *what);
