/*
 * A module for the tests of calls that are not waited for: functions that take their time, that look
 * into an input, and one that goes on writing after it has answered.
 */
#include <ayre/module.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FUNCTION(name) \
	int name(const struct ayre_request *request, struct ayre_reply *reply); \
	__attribute__((visibility("default"))) int name( \
		const struct ayre_request *request __attribute__((unused)), \
		struct ayre_reply *reply __attribute__((unused)))

/* Sleeps for as many milliseconds as the request says, and answers it. */
FUNCTION(nap)
{
	uint32_t milliseconds;

	memcpy(&milliseconds, request->data, sizeof(milliseconds));
	nanosleep(&(struct timespec){.tv_sec = milliseconds / 1000,
	                             .tv_nsec = milliseconds % 1000 * 1000000l},
	          NULL);
	memcpy(reply->data, request->data, request->bytes);
	reply->bytes = request->bytes;
	return 0;
}

/* All that there is room for. */
FUNCTION(fill)
{
	memset(reply->data, 1, reply->capacity);
	reply->bytes = reply->capacity;
	return 0;
}

/* Fails if any byte that there is room for has something in it already. */
FUNCTION(find)
{
	const char *bytes = reply->data;

	for (size_t i = 0; i < reply->capacity; i++)
		if (bytes[i])
			return 1;
	return 0;
}

/* The input's bytes, as a sum; an empty one is none. */
FUNCTION(sum_input)
{
	const unsigned char *bytes = request->input;
	uint64_t sum = 0;

	for (size_t i = 0; i < request->input_bytes; i++)
		sum += bytes[i];
	memcpy(reply->data, &sum, sizeof(sum));
	reply->bytes = sizeof(sum);
	return bytes || !request->input_bytes ? 0 : 1;
}

/* Dies of an input that begins with this, however long it is. */
FUNCTION(die_of_input)
{
	if (request->input_bytes && *(const char *)request->input == '!')
		abort();
	return 0;
}

/* The input is not its own to write: -1 if that worked. */
FUNCTION(write_input)
{
	*(volatile char *)(uintptr_t)request->input = 'w';
	return -1;
}

/* How often this process was called, after a death on demand. */
FUNCTION(count_or_die)
{
	static uint32_t calls;

	if (request->bytes && *(const char *)request->data == '!')
		abort();
	calls++;
	memcpy(reply->data, &calls, sizeof(calls));
	reply->bytes = sizeof(calls);
	return 0;
}

/* --- what goes on behind its answer: the page of replies lies before the reply's bytes --- */

/* As worker/channel.h has it. */
struct page {
	uint64_t call;
	uint32_t state;
	int32_t result;
	uint64_t bytes;
};

/* Answers with all that there is room for, and never stops to change it. */
FUNCTION(rewrite)
{
	struct page *page = (struct page *)(void *)((char *)reply->data - 4096);
	volatile uint64_t *words = reply->data;
	size_t count = reply->capacity / sizeof(*words);
	uint64_t call;

	memcpy(&call, (const char *)request->data - 4096, sizeof(call));
	page->state = 1;
	page->bytes = count * sizeof(*words);
	__atomic_store_n(&page->call, call, __ATOMIC_RELEASE);
	(void)!write(7, "x", 1);
	for (uint64_t round = 1;; round++)
		for (size_t i = 0; i < count; i++)
			words[i] = round;
}
