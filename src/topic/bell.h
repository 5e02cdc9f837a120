/*
 * Bells: named pipes that wake whoever sleeps. Its owner holds the only reading end; whoever has a
 * writing end rings, and is told by the kernel (as a hang-up) when the owner is gone.
 */
#pragma once

#include <stdbool.h>

/*
 * Makes a bell under a name, and opens it to hear. Replaces one that is there. -EBUSY: somebody who
 * clears away bells without an owner took it for one before it was ours. Before its file has a name,
 * try another name; then, the same.
 */
int ayrei_bell_make(const char *path);
/*
 * Removes a bell that nobody owns and whose file, pub.ID or sub.ID, is not there; only its own user can.
 * 1: done; 0: it is somebody's.
 */
int ayrei_bell_clear(const char *path, const char *file);
/*
 * Our own bell, opened anew: as ayrei_bell_make() opens it; or (alone) so that it blocks, and ends once
 * nobody is left who could ring. The descriptor that it was opened by stays.
 */
int ayrei_bell_reopen(int fd, bool alone);
/*
 * An end of a bell that came as a descriptor. It is opened anew, where that is possible: whoever else has
 * the descriptor shares its flags, and could make ours block. -EPROTO: it is no pipe.
 */
int ayrei_bell_take(int fd, bool hears);
/* A writing end of somebody's bell. -ENXIO: nobody reads it; -EMEDIUMTYPE: it is no named pipe. */
int ayrei_bell_open(const char *path);
/*
 * Closes our own bell; -1 does nothing. true: it does not end by that. A child that was forked meanwhile has
 * its reading end, say; so those who would hear of it as a hang-up have to be told: AYREI_BELL_LEAVE.
 */
bool ayrei_bell_close(int fd);
/* fd may be -1: nobody to wake. Never blocks; a full bell rings already. */
void ayrei_bell_ring(int fd, char what);
/* Takes what was rung. Was it rung at all; was there a join among it? */
struct ayrei_bell_news {
	bool rung, joined;
	bool left;  /* somebody rang who closed */
	bool ended; /* left, or nobody is left who could ring: time to ask about everybody */
};
struct ayrei_bell_news ayrei_bell_drain(int fd);
