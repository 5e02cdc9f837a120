/*
 * The module of `ayre bench worker`: what its workers load, and what it calls itself for comparison.
 *
 * Invariant: a function does the same wherever it is called, so that what differs is the call.
 */
#include "command/bench_module.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int bench_echo(const struct ayre_request *request, struct ayre_reply *reply)
{
	if (request->bytes > reply->capacity)
		return 1;
	memcpy(reply->data, request->data, request->bytes);
	reply->bytes = request->bytes;
	return 0;
}

int bench_fill(const struct ayre_request *request, struct ayre_reply *reply)
{
	static char *memory;
	uint64_t bytes;

	if (request->bytes != sizeof(bytes))
		return 1;
	memcpy(&bytes, request->data, sizeof(bytes));
	free(memory);
	memory = malloc(bytes);
	if (!memory)
		return 2;
	memset(memory, 'x', bytes);
	reply->bytes = 0;
	return 0;
}

int bench_die(const struct ayre_request *request, struct ayre_reply *reply)
{
	struct timespec now;
	uint64_t ns;

	(void)request;
	(void)reply;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	*(volatile char *)(uintptr_t)(ns & BENCH_DEATH_MASK) = 0;
	return 1;
}
