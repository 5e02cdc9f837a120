/*
 * A module for the tests: functions that answer, that fail, and that die in every way.
 */
#include <ayre/module.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FUNCTION(name) \
	int name(const struct ayre_request *request, struct ayre_reply *reply); \
	__attribute__((visibility("default"))) int name( \
		const struct ayre_request *request __attribute__((unused)), \
		struct ayre_reply *reply __attribute__((unused)))

FUNCTION(echo)
{
	if (request->bytes > reply->capacity)
		return 1;
	memcpy(reply->data, request->data, request->bytes);
	reply->bytes = request->bytes;
	return 0;
}

FUNCTION(silent)
{
	return 0;
}

/* How often it was called in this process. */
FUNCTION(count)
{
	static uint32_t calls;

	calls++;
	memcpy(reply->data, &calls, sizeof(calls));
	reply->bytes = sizeof(calls);
	return 0;
}

FUNCTION(fail)
{
	static const char text[] = "no such picture";

	memcpy(reply->data, text, sizeof(text));
	reply->bytes = sizeof(text);
	return -7;
}

FUNCTION(overstate)
{
	reply->bytes = reply->capacity + 1;
	return 0;
}

/* What lies in the reply's memory, and behind the request, before anything was written. */
FUNCTION(look_for_leftovers)
{
	const char *bytes = reply->data, *behind = request->data;
	uint32_t found = 0;

	for (size_t i = 0; i < reply->capacity && i < 65536; i++)
		found += bytes[i] != 0;
	for (size_t i = request->bytes; i < 65536; i++)
		found += behind[i] != 0;
	memcpy(reply->data, &found, sizeof(found));
	reply->bytes = sizeof(found);
	memset((char *)reply->data + 8, 0x5a, 4096);
	return 0;
}

FUNCTION(use_libc)
{
	char *block = malloc(1 << 20), text[64];
	struct timespec now;

	if (!block || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return 1;
	memset(block, 1, 1 << 20);
	free(block);
	printf("to nobody\n");
	if (fopen("/etc/passwd", "r") || errno != EACCES)
		return 2;
	if (fopen("/tmp/ayre-test-file", "w") || errno != EACCES)
		return 3;
	/* What its zygote may read still. */
	if (open("/lib", O_RDONLY) != -1 || errno != EACCES)
		return 4;
	reply->bytes = (size_t)snprintf(text, sizeof(text), "%s %.3f", "libc", 1.5);
	memcpy(reply->data, text, reply->bytes);
	return 0;
}

FUNCTION(write_request)
{
	memset((char *)(uintptr_t)request->data, 1, 1);
	return 0;
}

FUNCTION(die_segv)
{
	*(volatile int *)16 = 1;
	return 0;
}

FUNCTION(die_abort)
{
	abort();
}

static int deeper(volatile char *above, int depth)
{
	volatile char frame[4096];

	frame[0] = *above;
	return depth < 0 ? 0 : deeper(frame, depth + 1) + frame[0];
}

FUNCTION(die_stack)
{
	volatile char first = 0;

	return deeper(&first, 0);
}

FUNCTION(die_forbidden)
{
	return chdir("/");
}

FUNCTION(die_memory)
{
	for (;;) {
		char *block = malloc(16 << 20);

		memset(block, 1, 4096);
	}
}

FUNCTION(loop)
{
	for (volatile unsigned int i = 0;; i++)
		;
}

FUNCTION(deadlock)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&mutex);
	return pthread_mutex_lock(&mutex);
}

/* Tells that it runs, and waits to be killed. */
FUNCTION(wait_for_death)
{
	for (;;)
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

FUNCTION(leave)
{
	exit(3);
}

/* The zygote's way to the host, by which a worker can say that it is none. */
FUNCTION(find_socket)
{
	uint32_t found = fcntl(3, F_GETFD) != -1;

	memcpy(reply->data, &found, sizeof(found));
	reply->bytes = sizeof(found);
	return 0;
}

/* --- what breaks the protocol: the page of replies lies before the reply's bytes --- */

#define REPLY_BELL 7

/* As worker/channel.h has it. */
struct page {
	uint64_t call;
	uint32_t state;
	int32_t result;
	uint64_t bytes;
	uint64_t rest[20];
};

static struct page *page_of(const struct ayre_reply *reply)
{
	return (struct page *)(void *)((char *)reply->data - 4096);
}

static uint64_t call_of(const struct ayre_request *request)
{
	uint64_t call;

	memcpy(&call, (const char *)request->data - 4096, sizeof(call));
	return call;
}

static void answer(const struct ayre_request *request, const struct ayre_reply *reply,
                   uint32_t state, uint64_t bytes)
{
	struct page *page = page_of(reply);

	page->state = state;
	page->bytes = bytes;
	__atomic_store_n(&page->call, call_of(request), __ATOMIC_RELEASE);
	(void)!write(REPLY_BELL, "x", 1);
	for (;;)
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

FUNCTION(forge_length)
{
	answer(request, reply, 1, UINT64_MAX);
	return 0;
}

FUNCTION(forge_one_too_many)
{
	answer(request, reply, 1, reply->capacity + 1);
	return 0;
}

FUNCTION(forge_state)
{
	answer(request, reply, 99, 0);
	return 0;
}

/* Everything that it may write, all the time, with bells. */
FUNCTION(scribble)
{
	volatile struct page *page = page_of(reply);
	uint64_t call = call_of(request), chance = call * 2654435761u + 1;

	for (;;) {
		chance ^= chance << 13;
		chance ^= chance >> 7;
		chance ^= chance << 17;
		page->bytes = chance % 3 ? chance % 4096 : chance;
		page->state = (uint32_t)(chance >> 8) % 5;
		page->result = chance % 2 ? 0 : (int32_t)chance;
		page->rest[chance % 20] = chance;
		page->call = chance % 5 ? call + chance % 3 - 1 : chance;
		if (chance % 7 == 0)
			(void)!write(REPLY_BELL, "x", 1);
	}
}

/* Bells without end, and no answer. */
FUNCTION(ring_on)
{
	static const char bells[4096];

	for (;;)
		(void)!write(REPLY_BELL, bells, sizeof(bells));
}

/* Its last word is a lie: that it died of what it did not. */
FUNCTION(lie)
{
	struct page *page = page_of(reply);

	for (size_t i = 0; i < 8; i++)
		page->rest[i] = UINT64_MAX;
	_exit(0);
}

/* Ends as one that could not be confined would, with a word in its page for whoever looks for one there. */
FUNCTION(feign)
{
	int32_t *page = (int32_t *)(void *)page_of(reply);

	for (size_t i = 2; i < 1024; i++)
		page[i] = -EFAULT;
	_exit(125);
}
