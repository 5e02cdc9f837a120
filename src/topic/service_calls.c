/*
 * Calls that were sent, or taken, and are not yet answered.
 *
 * Invariant: their numbers ascend. So one is found by halving; and since they mostly end in the order
 * in which they began, to remove one mostly moves nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topic/service.h"

void ayrei_calls_fini(struct ayrei_calls *calls)
{
	for (size_t i = 0; i < calls->count; i++)
		free(calls->all[calls->first + i].data);
	free(calls->all);
	*calls = (struct ayrei_calls){0};
}

int ayrei_calls_reserve(struct ayrei_calls *calls)
{
	size_t room = calls->room ? 2 * calls->room : 8;
	void *grown;

	if (calls->first + calls->count < calls->room)
		return 0;
	/* At least half of it is free: to move the rest is less than was done since the last time. */
	if (calls->room && calls->first >= calls->room / 2) {
		memmove(calls->all, calls->all + calls->first, calls->count * sizeof(*calls->all));
		calls->first = 0;
		return 0;
	}
	grown = reallocarray(calls->all, room, sizeof(*calls->all));
	if (!grown)
		return -ENOMEM;
	calls->all = grown;
	calls->room = room;
	return 0;
}

void ayrei_calls_add(struct ayrei_calls *calls, const struct ayrei_outstanding *call)
{
	calls->all[calls->first + calls->count++] = *call;
}

struct ayrei_outstanding *ayrei_calls_find(const struct ayrei_calls *calls, uint64_t number)
{
	size_t low = calls->first, high = calls->first + calls->count;

	/* The oldest one, most of the time. */
	if (low < high && calls->all[low].number == number)
		return &calls->all[low];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (calls->all[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < calls->first + calls->count && calls->all[low].number == number
	               ? &calls->all[low]
	               : NULL;
}

void ayrei_calls_remove(struct ayrei_calls *calls, struct ayrei_outstanding *call)
{
	size_t before = (size_t)(call - calls->all) - calls->first;

	free(call->data);
	calls->count--;
	if (before == 0)
		calls->first = calls->count ? calls->first + 1 : 0;
	else
		memmove(call, call + 1, (calls->count - before) * sizeof(*call));
}
