/*
 * What this machine gives to this user, found out by use.
 *
 * Nothing here is concluded from the number of a version: containers hide what a kernel has, and
 * distributions add what it had not. See ayre/worker.h for the layers of a confinement.
 */
#pragma once

#include <ayre/api.h>

AYRE_BEGIN_DECLARATIONS

enum ayre_feature {
	/* /proc is mounted, and shows a process to itself. */
	AYRE_FEATURE_PROC = 0,
	/* Files in memory that can be sealed: anonymous segments, workers, pairs of a topic. */
	AYRE_FEATURE_MEMORY_FILE = 1,
	/* Locks of an open file description, which prove that a peer lives: topics. */
	AYRE_FEATURE_FILE_LOCK = 2,
	/* System V shared memory, and the semaphore that its creators meet at. */
	AYRE_FEATURE_SYSV = 3,
	/* A fence that others are made to pass. Without it publishers execute their own. */
	AYRE_FEATURE_BARRIER = 4,
	/* Waiting for descriptors with a deadline in nanoseconds: topics, workers, fifos. */
	AYRE_FEATURE_WAIT = 5,
	/* Writing to a pipe without SIGPIPE (Linux 6.18). Without it signals are held back. */
	AYRE_FEATURE_QUIET_WRITE = 6,
	/* Reading and writing a pipe without waiting (Linux 6.4). Without it, poll first. */
	AYRE_FEATURE_TRY_IO = 7,
	/* Being told that a file is opened: named pipes, segments that are followed. */
	AYRE_FEATURE_WATCH = 8,
	/* Descriptors of processes: children, pipelines, workers. */
	AYRE_FEATURE_PROCESS_FD = 9,
	/* Children that begin without our signal handlers. Without it each handler is reset. */
	AYRE_FEATURE_CLONE = 10,
	/* Closing all descriptors at once: children, confinement. */
	AYRE_FEATURE_CLOSE_RANGE = 11,
	/* Seeing what an own process waits for, and how much it has read: the meter. */
	AYRE_FEATURE_OBSERVE = 12,
};

/** ayre_feature_name() - "membarrier"; NULL for a number beyond the last. Since 0.1. */
const char *ayre_feature_name(enum ayre_feature feature);

/**
 * ayre_feature_probe() - try one of them
 *
 * A child tries it, in the way the library does, and leaves nothing behind. It is told for this process: with its
 * limits, its filters, in its namespaces. Takes a millisecond at the most, but for a machine that is busy.
 *
 * Returns 0: it can be had; or
 *   -EINVAL      there is no such feature
 *   -EOWNERDEAD  who tries it is killed, by a filter from outside
 *   -EOPNOTSUPP  the kernel is older than it; what the library does instead works
 * or the kernel's answer as a negative errno: -ENOSYS, -EPERM, -EMFILE, ... Since 0.1.
 */
int ayre_feature_probe(enum ayre_feature feature) AYRE_MUST_CHECK;

AYRE_END_DECLARATIONS
