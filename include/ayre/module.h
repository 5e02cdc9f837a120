/*
 * What a module is: a shared library with functions that a worker calls, see ayre/worker.h.
 *
 * Nothing of ayre has to be linked to it. A function has this type, and any name:
 *
 *     #include <ayre/module.h>
 *
 *     int decode(const struct ayre_request *request, struct ayre_reply *reply);
 *
 * It returns 0, or any other number, which the host is told: it failed. Either way the reply goes to the
 * host. It has to be visible in the library, and in C++ it is extern "C".
 *
 * It runs in a process that has no files, no network and no threads, and that nobody believes: what
 * it answers is bytes to the host, nothing more.
 */
#pragma once

#include <stddef.h>

/* What the function is asked. */
struct ayre_request {
	size_t size; /* of this struct, as the worker knows it */
	/*
	 * Memory that can only be read, whole pages of it: what follows the bytes is at least one
	 * 0. It is the host's until the function returns.
	 */
	const void *data;
	size_t bytes;
	/*
	 * A file that the host passed besides, whole, in memory that can be read; NULL: none, or an
	 * empty one. If somebody cuts the file short, the pages behind its end are no memory
	 * (SIGBUS).
	 */
	const void *input;
	size_t input_bytes;
};

/* What it answers. */
struct ayre_reply {
	size_t size; /* of this struct, as the worker knows it */
	/*
	 * Memory to write the answer into, aligned to a page, and the bytes that there is room for.
	 * Bytes that were not written are 0 in a new process, and undefined in one that is kept.
	 */
	void *data;
	size_t capacity;
	size_t bytes; /* 0 to begin with: the function sets it, up to @capacity */
};
