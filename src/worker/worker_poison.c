/*
 * Requests that processes died of: after so many deaths a request is not tried again.
 *
 * They are known by a hash, which takes the table's own secret point: whoever makes requests cannot make one
 * that passes for another (two of n bytes are taken for one with a chance of n in 2^61). It is reckoned only
 * when a process has died, and for requests that are as long as one that a process died of.
 *
 * Invariant: the table has the newest of them, and no more than it has room for.
 */
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"
#include "sys/system.h"
#include "worker/worker.h"

#define ENTRIES     64
#define CHUNK_BYTES 7 /* fits below the prime with room to spare */
#define PRIME       ((UINT64_C(1) << 61) - 1)

struct poison {
	uint64_t hash, bytes;
	uint32_t deaths; /* 0: none is here */
};

struct ayrei_poisons {
	uint64_t point;
	uint32_t next; /* the oldest */
	struct poison entries[ENTRIES];
};

/* What is called poison: a function, its request, and what was passed with it. */
struct dose {
	const char *function;
	const void *request;
	uint64_t request_bytes;
	int input; /* -1: none */
	uint64_t input_bytes;
};

/* --- the hash --- */

static uint64_t step(uint64_t hash, uint64_t value, uint64_t point)
{
	unsigned __int128 product = (unsigned __int128)hash * point + value;
	uint64_t sum = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);

	return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t mix(uint64_t hash, const void *data, uint64_t bytes, uint64_t point)
{
	const char *place = data;

	for (uint64_t left = bytes; left > 0;) {
		uint64_t value = 0, part = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		memcpy(&value, place, part);
		hash = step(hash, value, point);
		place += part;
		left -= part;
	}
	return step(hash, bytes, point);
}

/* By reading: the file may be cut short meanwhile. */
static uint64_t mix_file(uint64_t hash, const struct dose *dose, uint64_t point)
{
	char chunk[CHUNK_BYTES * 1024];
	uint64_t offset = 0;
	ssize_t length;

	while (offset < dose->input_bytes &&
	       (length = ayrei_file_read_at(dose->input, chunk, sizeof(chunk), offset)) > 0) {
		hash = mix(hash, chunk, (uint64_t)length, point);
		offset += (uint64_t)length;
	}
	return hash;
}

static uint64_t hash_of(const struct dose *dose, uint64_t point)
{
	uint64_t hash = mix(1, dose->function, strlen(dose->function), point);

	hash = mix(hash, dose->request, dose->request_bytes, point);
	return dose->input < 0 ? hash : mix_file(hash, dose, point);
}

static void take_input(struct dose *dose, int input)
{
	struct stat status;

	dose->input = input;
	if (input >= 0 && ayrei_file_status(input, &status) == 0)
		dose->input_bytes = (uint64_t)status.st_size;
}

/* --- the table --- */

static struct poison *find(struct ayrei_poisons *poisons, const struct dose *dose)
{
	uint64_t bytes = dose->request_bytes + dose->input_bytes, hash = 0;
	bool is_hashed = false;

	for (int i = 0; i < ENTRIES; i++) {
		struct poison *entry = &poisons->entries[i];

		if (!entry->deaths || entry->bytes != bytes)
			continue;
		if (!is_hashed)
			hash = hash_of(dose, poisons->point);
		is_hashed = true;
		if (entry->hash == hash)
			return entry;
	}
	return NULL;
}

static struct ayrei_poisons *new_poisons(void)
{
	struct ayrei_poisons *poisons = calloc(1, sizeof(*poisons));

	if (!poisons || ayrei_random(&poisons->point, sizeof(poisons->point)) < 0) {
		free(poisons);
		return NULL;
	}
	poisons->point %= PRIME;
	return poisons;
}

void ayrei_poison_add(struct ayre_worker *worker, const struct ayrei_slot *slot)
{
	struct dose dose = {
		.function = slot->requests->function,
		.request = (const char *)slot->requests + AYREI_CHANNEL_HEAD,
		.request_bytes = slot->requests->bytes,
	};
	struct poison *entry;

	if (worker->options.poison_max == AYRE_WORKER_NONE)
		return;
	/* Without memory for it nothing is refused. */
	if (!worker->poisons)
		worker->poisons = new_poisons();
	if (!worker->poisons)
		return;
	take_input(&dose, slot->input);
	entry = find(worker->poisons, &dose);
	if (!entry) {
		entry = &worker->poisons->entries[worker->poisons->next++ % ENTRIES];
		*entry = (struct poison){
			.hash = hash_of(&dose, worker->poisons->point),
			.bytes = dose.request_bytes + dose.input_bytes,
		};
	}
	entry->deaths++;
}

bool ayrei_poison_is(struct ayre_worker *worker, const struct ayre_worker_job *job)
{
	struct dose dose = {
		.function = job->function,
		.request = job->request,
		.request_bytes = job->request_bytes,
	};
	const struct poison *entry;

	if (!worker->poisons)
		return false;
	take_input(&dose, job->flags & AYRE_WORKER_INPUT ? job->input : -1);
	entry = find(worker->poisons, &dose);
	if (!entry || entry->deaths < worker->options.poison_max)
		return false;
	worker->info.refused++;
	return true;
}
