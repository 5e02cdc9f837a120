/*
 * Places for processes: the memory and the bells of each.
 *
 * Invariant: what is shared is made, sized and sealed before anybody else has it. No process ever has what
 * belongs to another's place.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/file.h"
#include "sys/map.h"
#include "sys/pipe.h"
#include "sys/system.h"
#include "worker/worker.h"

/*
 * What is more is cleared in parts of so much while the host waits for something. A part takes some 50
 * microseconds, and 256 MiB at once as many milliseconds.
 */
#define PART_BYTES (UINT64_C(256) << 10)

/* The head, the bytes, and one 0 behind them. */
static size_t file_bytes(uint64_t most)
{
	size_t page = ayrei_page_bytes();

	return (AYREI_CHANNEL_HEAD + (size_t)most + page) / page * page;
}

int ayrei_channel_file(const char *name, size_t bytes, bool writable, void **ret_map)
{
	ayrei_auto_fd int fd = ayrei_memory_file(name);
	int result = fd < 0 ? fd : ayrei_file_truncate(fd, bytes);

	if (result == 0)
		result = ayrei_map_shared(fd, bytes, writable, ret_map);
	if (result < 0)
		return result;
	/* Who may write: from here on we alone, by the map that is there; or whoever has the file. */
	result = ayrei_memory_file_seal(fd, writable, false);
	if (result < 0) {
		ayrei_unmap(*ret_map, bytes);
		*ret_map = NULL;
		return result;
	}
	return ayrei_take_fd(&fd);
}

static int make_slot(struct ayre_worker *worker, struct ayrei_slot *slot)
{
	void *map = NULL;
	int result = ayrei_pipe_open(slot->call_bell);

	if (result >= 0)
		result = ayrei_pipe_open(slot->reply_bell);
	if (result >= 0) {
		result = slot->requests_file =
			ayrei_channel_file("ayre-requests", worker->requests_bytes, true, &map);
		slot->requests = map;
	}
	if (result >= 0) {
		map = NULL;
		result = slot->replies_file =
			ayrei_channel_file("ayre-replies", worker->replies_bytes, false, &map);
		slot->replies = map;
	}
	return result < 0 ? result : 0;
}

static void close_slot(const struct ayre_worker *worker, struct ayrei_slot *slot)
{
	for (int i = 0; i < 2; i++) {
		ayrei_file_close(slot->call_bell[i]);
		ayrei_file_close(slot->reply_bell[i]);
	}
	ayrei_file_close(slot->requests_file);
	ayrei_file_close(slot->replies_file);
	ayrei_file_close(slot->process);
	ayrei_file_close(slot->input);
	ayrei_unmap(slot->requests, worker->requests_bytes);
	ayrei_unmap((void *)(uintptr_t)slot->replies, worker->replies_bytes);
}

/*
 * One more than can be in use: where another process than those that stand by is wanted, or one has yet to
 * end, there is a place.
 */
int ayrei_worker_make_slots(struct ayre_worker *worker)
{
	uint32_t count = worker->options.processes + worker->options.spares + 1;
	int result = 0;

	worker->requests_bytes = file_bytes(worker->options.request_max);
	worker->replies_bytes = file_bytes(worker->options.reply_max);
	worker->slots = calloc(count, sizeof(*worker->slots));
	if (!worker->slots)
		return -ENOMEM;
	worker->slot_count = count;
	for (uint32_t i = 0; i < count; i++)
		worker->slots[i] = (struct ayrei_slot){
			.requests_file = -1,
			.replies_file = -1,
			.call_bell = {-1, -1},
			.reply_bell = {-1, -1},
			.process = -1,
			.input = -1,
		};
	for (uint32_t i = 0; result == 0 && i < count; i++)
		result = make_slot(worker, &worker->slots[i]);
	return result;
}

void ayrei_worker_free_slots(struct ayre_worker *worker)
{
	for (uint32_t i = 0; i < worker->slot_count; i++)
		close_slot(worker, &worker->slots[i]);
	free(worker->slots);
	worker->slots = NULL;
	worker->slot_count = 0;
}

/* --- what processes leave --- */

static bool is_empty(const struct ayrei_slot *slot)
{
	return slot->state == AYREI_PROCESS_NONE && slot->job == AYREI_JOB_NONE;
}

struct ayrei_slot *ayrei_slot_find_empty(struct ayre_worker *worker)
{
	struct ayrei_slot *littered = NULL;
	bool one_comes = false;

	for (uint32_t i = 0; i < worker->slot_count; i++) {
		struct ayrei_slot *slot = &worker->slots[i];

		one_comes |= slot->state == AYREI_PROCESS_ENDING || slot->is_doomed;
		if (!is_empty(slot))
			continue;
		if (!slot->is_large)
			return slot;
		littered = slot;
	}
	return one_comes ? NULL : littered;
}

void ayrei_slot_weigh(struct ayrei_slot *slot)
{
	struct stat status;

	slot->is_large = slot->is_dirty && ayrei_file_status(slot->replies_file, &status) == 0 &&
	                 (uint64_t)status.st_blocks * 512 > PART_BYTES;
}

static struct ayrei_slot *find_littered(const struct ayre_worker *worker)
{
	for (uint32_t i = 0; i < worker->slot_count; i++)
		if (worker->slots[i].is_large && is_empty(&worker->slots[i]))
			return &worker->slots[i];
	return NULL;
}

bool ayrei_slots_are_littered(const struct ayre_worker *worker)
{
	return find_littered(worker);
}

bool ayrei_slots_clear_some(struct ayre_worker *worker)
{
	struct ayrei_slot *slot = find_littered(worker);
	int result = slot ? ayrei_file_clear_part(slot->replies_file, PART_BYTES) : 0;

	if (!slot || result == 1)
		return slot;
	/* Where it fails, who starts a process here is told. */
	slot->is_large = false;
	slot->is_dirty = result < 0;
	(void)!ayrei_processes_stand_by(worker);
	return true;
}
