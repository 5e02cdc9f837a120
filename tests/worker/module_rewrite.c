/*
 * A module for the tests of hosts under attack: it rewrites all the memory that it shares with its host, as
 * fast as it can, by chance and in the orders that would break a host that looks twice.
 *
 * Each way is a round of stores; rounds follow each other until the process is ended. The count of all stores
 * is in the last word of the memory, where the host finds it.
 */
#include <ayre/module.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "worker/channel.h"
#include "worker/hostile_wish.h"

#define FUNCTION(name) \
	int name(const struct ayre_request *request, struct ayre_reply *reply); \
	__attribute__((visibility("default"))) int name( \
		const struct ayre_request *request __attribute__((unused)), \
		struct ayre_reply *reply __attribute__((unused)))

#define CALL_BELL  6
#define REPLY_BELL 7

#define HEAD_WORDS (AYREI_CHANNEL_HEAD / sizeof(uint64_t))
#define TALLY_STEP 64

struct attack {
	const volatile struct ayrei_requests *requests;
	volatile struct ayrei_replies *head;
	volatile uint64_t *words, *bytes, *tally;
	size_t byte_words, capacity;
	uint64_t chance, mutations, answered;
};

/* --- tools --- */

static uint64_t chance(struct attack *attack)
{
	attack->chance ^= attack->chance << 13;
	attack->chance ^= attack->chance >> 7;
	attack->chance ^= attack->chance << 17;
	return attack->chance;
}

static bool one_in(struct attack *attack, uint64_t count)
{
	return chance(attack) % count == 0;
}

static void count(struct attack *attack, uint64_t stores)
{
	attack->mutations += stores;
	if (attack->mutations % TALLY_STEP < stores)
		*attack->tally = attack->mutations;
}

static void ring(const char *bells, size_t number)
{
	(void)!write(REPLY_BELL, bells, number);
}

static uint64_t any_length(struct attack *attack)
{
	const uint64_t lengths[] = {
		0,
		1,
		attack->capacity,
		attack->capacity + 1,
		attack->capacity + 4096,
		chance(attack) % (attack->capacity + 1),
		UINT32_MAX,
		INT64_MAX,
		UINT64_MAX,
		chance(attack),
	};

	return lengths[chance(attack) % (sizeof(lengths) / sizeof(*lengths))];
}

/* The call that is asked for now, answered with what stands there; the host may sleep. */
static void answer(struct attack *attack, uint64_t call)
{
	__atomic_store_n(&attack->head->call, call, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (attack->requests->is_asleep)
		ring("a", 1);
	attack->answered = call;
	count(attack, 1);
}

/* Until there is another call than the last, or for a while; meanwhile the bytes change. */
static uint64_t next_call(struct attack *attack)
{
	uint64_t call = attack->requests->call;

	for (size_t i = 0; call == attack->answered && i < 4096; i++) {
		attack->bytes[i % attack->byte_words] = i;
		call = attack->requests->call;
		count(attack, 1);
	}
	return call;
}

static void pass(uint64_t turns)
{
	for (volatile uint64_t i = 0; i < turns; i++)
		;
}

/* --- the ways; true: the function returns --- */

static bool swap(struct attack *attack)
{
	uint64_t call = next_call(attack);
	bool is_bold = one_in(attack, 2);

	if (call == attack->answered)
		return false;
	attack->head->bytes = chance(attack) % (attack->capacity + 1);
	attack->head->state = AYREI_REPLY_RETURNED;
	attack->head->result = 0;
	count(attack, 3);
	answer(attack, call);
	/* What is stored from here to the host's first look comes too soon, and costs a process. */
	pass(100 + chance(attack) % 400);
	attack->head->bytes = is_bold ? UINT64_MAX : attack->capacity + 1 + chance(attack) % 4096;
	count(attack, 1);
	return false;
}

static bool flip(struct attack *attack)
{
	uint64_t call = next_call(attack);

	for (int i = 0; i < 64; i++) {
		attack->head->state = one_in(attack, 8) ? (uint32_t)chance(attack)
		                                        : (uint32_t)(chance(attack) % 5);
		attack->head->result = one_in(attack, 2) ? 0 : (int32_t)chance(attack);
		attack->head->bytes = any_length(attack);
		count(attack, 3);
		if (i == 0)
			answer(attack, call);
	}
	return false;
}

static bool be_early(struct attack *attack)
{
	uint64_t call = attack->requests->call;
	const uint64_t calls[] = {call + 1, call + 1, call + 2, call - 1,
	                          0,        ~call,    call,     chance(attack)};

	attack->head->state = AYREI_REPLY_RETURNED;
	attack->head->bytes = chance(attack) % (attack->capacity + 1);
	attack->head->call = calls[chance(attack) % 8];
	count(attack, 3);
	if (one_in(attack, 8))
		ring("e", 1);
	return false;
}

static bool tell_crashes(struct attack *attack)
{
	volatile struct ayrei_crash *crash = &attack->head->crash;
	const int32_t signals[] = {11, 31, 9, 6, 64, 65, 0, -1, INT32_MIN, (int32_t)chance(attack)};

	crash->signal = signals[chance(attack) % 10];
	crash->code = (int32_t)chance(attack);
	crash->system_call = (int32_t)(chance(attack) % 1000) - 100;
	crash->has_address = (uint32_t)chance(attack) % 3;
	crash->address = chance(attack);
	attack->head->is_out_of_memory = (uint32_t)chance(attack) % 3;
	attack->head->is_out_of_stack = (uint32_t)chance(attack) % 3;
	attack->head->is_confined = (uint32_t)chance(attack) % 3;
	attack->head->has_crashed = (uint32_t)chance(attack) % 3;
	count(attack, 9);
	if (one_in(attack, 8))
		ring("c", 1);
	return false;
}

/* Who says that it is awake is not rung for, and sleeps on. */
static bool lie_asleep(struct attack *attack)
{
	char bells[64];

	attack->head->is_asleep = one_in(attack, 2);
	attack->head->state = AYREI_REPLY_RETURNED;
	attack->head->bytes = 8;
	count(attack, 3);
	answer(attack, next_call(attack));
	for (int i = 0; i < 32; i++) {
		attack->head->is_asleep = (uint32_t)i & 1;
		count(attack, 1);
	}
	if (one_in(attack, 64)) {
		attack->head->is_asleep = 0;
		(void)!read(CALL_BELL, bells, sizeof(bells));
	}
	return false;
}

static bool ring_on(struct attack *attack)
{
	static const char bells[4096];

	attack->head->is_asleep = (uint32_t)chance(attack);
	count(attack, 1);
	ring(bells, sizeof(bells));
	return false;
}

static bool rewrite_head(struct attack *attack)
{
	for (size_t i = 0; i < HEAD_WORDS; i++)
		attack->words[i] = one_in(attack, 4) ? chance(attack) : chance(attack) % 4;
	attack->head->call = attack->requests->call + chance(attack) % 3 - 1;
	count(attack, HEAD_WORDS + 1);
	if (one_in(attack, 8))
		ring("h", 1);
	return false;
}

/* Answers with all of them first. */
static bool rewrite_bytes(struct attack *attack)
{
	uint64_t call = attack->requests->call, value = chance(attack);

	if (call != attack->answered) {
		attack->head->state = AYREI_REPLY_RETURNED;
		attack->head->result = 0;
		attack->head->bytes = attack->capacity;
		answer(attack, call);
	}
	for (size_t i = 0; i < attack->byte_words; i++)
		attack->bytes[i] = value;
	count(attack, attack->byte_words);
	return false;
}

/* As many pages as there can be, for the host to be rid of. */
static bool fill(struct attack *attack)
{
	uint64_t call = next_call(attack), value = chance(attack);

	for (size_t i = 0; i < attack->byte_words; i++) {
		attack->bytes[i] = value;
		count(attack, 1);
	}
	attack->head->state = AYREI_REPLY_RETURNED;
	attack->head->result = 0;
	attack->head->bytes = attack->capacity;
	answer(attack, call);
	return false;
}

static bool advise(struct attack *attack)
{
	char *replies = (char *)(uintptr_t)attack->head;
	char *requests = (char *)(uintptr_t)attack->requests;
	size_t bytes = AYREI_CHANNEL_HEAD + attack->byte_words * sizeof(uint64_t);

	for (int advice = 0; advice < 32; advice++) {
		(void)!madvise(replies, bytes / AYREI_CHANNEL_HEAD * AYREI_CHANNEL_HEAD, advice);
		(void)!madvise(requests, AYREI_CHANNEL_HEAD, advice);
	}
	return rewrite_head(attack);
}

static bool die(struct attack *attack)
{
	char *replies = (char *)(uintptr_t)attack->head;

	if (one_in(attack, 2))
		rewrite_bytes(attack);
	if (one_in(attack, 2))
		tell_crashes(attack);
	*attack->tally = attack->mutations;
	switch (chance(attack) % 8) {
	case 0:
		*(volatile int *)16 = 1;
		break;
	case 1:
		abort();
	case 2:
		_exit((int)(chance(attack) % 256));
	case 3:
		_exit(AYREI_WORKER_UNCONFINED);
	case 4:
		(void)!chdir("/");
		break;
	case 5:
		munmap(replies, AYREI_CHANNEL_HEAD);
		abort();
	case 6:
		mprotect(replies, AYREI_CHANNEL_HEAD, PROT_READ);
		attack->head->call = 1;
		break;
	default:
		__builtin_trap();
	}
	_exit(0);
}

static bool give_back(struct attack *attack)
{
	rewrite_head(attack);
	return true;
}

static bool (*const ways[HOSTILE_WAYS])(struct attack *attack) = {
	[HOSTILE_SWAP] = swap,         [HOSTILE_FLIP] = flip,
	[HOSTILE_EARLY] = be_early,    [HOSTILE_CRASHES] = tell_crashes,
	[HOSTILE_ASLEEP] = lie_asleep, [HOSTILE_BELLS] = ring_on,
	[HOSTILE_HEAD] = rewrite_head, [HOSTILE_BYTES] = rewrite_bytes,
	[HOSTILE_FILL] = fill,         [HOSTILE_ADVICE] = advise,
	[HOSTILE_DEATH] = die,         [HOSTILE_RETURN] = give_back,
};

/* A way for some rounds, so that each is met in all states of the others. Death is the end of it. */
static bool go_on(struct attack *attack)
{
	uint64_t way = chance(attack) % HOSTILE_WAYS, rounds = 1 + chance(attack) % 64;

	if ((way == HOSTILE_DEATH || way == HOSTILE_RETURN) && !one_in(attack, 8))
		return false;
	while (rounds-- > 0)
		if (ways[way](attack))
			return true;
	return false;
}

FUNCTION(rewrite)
{
	struct attack attack = {
		.requests = (const void *)((const char *)request->data - AYREI_CHANNEL_HEAD),
		.head = (void *)((char *)reply->data - AYREI_CHANNEL_HEAD),
		.words = (void *)((char *)reply->data - AYREI_CHANNEL_HEAD),
		.bytes = reply->data,
		.capacity = reply->capacity,
	};
	struct hostile_wish wish;

	memcpy(&wish, request->data, sizeof(wish));
	attack.byte_words = wish.room_bytes / sizeof(uint64_t) - 1;
	attack.tally = attack.bytes + attack.byte_words;
	attack.mutations = *attack.tally;
	attack.chance = wish.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	while (!(wish.way < HOSTILE_WAYS ? ways[wish.way](&attack) : go_on(&attack)))
		;
	*attack.tally = attack.mutations;
	reply->bytes = any_length(&attack);
	return one_in(&attack, 2) ? 0 : (int)chance(&attack);
}

/* --- the honest --- */

/* Each byte of the request, turned over. */
FUNCTION(mirror)
{
	const unsigned char *from = request->data;
	unsigned char *to = reply->data;

	if (request->bytes > reply->capacity)
		return 1;
	for (size_t i = 0; i < request->bytes; i++)
		to[i] = from[i] ^ 0xff;
	reply->bytes = request->bytes;
	return 0;
}

/* What another has left in the memory: the bytes, and what the zygote does not write of the head. */
FUNCTION(find_leftovers)
{
	const struct ayrei_replies *head =
		(const void *)((const char *)reply->data - AYREI_CHANNEL_HEAD);
	const char *rest = (const char *)(head + 1), *bytes = reply->data;
	uint32_t found = head->call != 0 || head->state || head->result || head->bytes ||
	                 head->has_crashed || head->is_out_of_memory || head->is_out_of_stack ||
	                 head->crash.signal || head->crash.address;

	for (; rest < bytes; rest++)
		found += *rest != 0;
	for (size_t i = 0; i < reply->capacity; i++)
		found += bytes[i] != 0;
	memcpy(reply->data, &found, sizeof(found));
	reply->bytes = sizeof(found);
	return 0;
}
