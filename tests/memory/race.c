/*
 * Many processes that open one name at once.
 *
 * The bytes of a segment say who made them, so that two creators, or one who came too early or
 * too late, would be seen.
 */
#include "memory/race.h"

#include <sched.h>

#include "support/fault.h"

static const struct manner manners[] = {
	{"raw", 5000, NULL, false, false, false, false, 200},
	{"typed", 5000, "race", true, false, false, false, 200},
	{"slowly", 5000, "race", true, true, false, false, 200},
	{"large", 4 << 20, "race", true, true, false, false, 200},
	{"renamed", 5000, "race", true, true, true, false, 50},
	{"linked and unlinked", 5000, "race", true, true, true, true, 50},
};
/* Every word, or of a large segment one in each page. */
static size_t stride_of(size_t size)
{
	return size > 1 << 20 ? 4096 / sizeof(uint32_t) : 1;
}

static int write_maker(void *data, size_t data_bytes, void *context)
{
	const struct arena *arena = context;
	size_t stride = stride_of(data_bytes), words = data_bytes / sizeof(uint32_t);
	uint32_t *word = data;

	for (size_t i = 0; i < words; i += stride) {
		if (word[i] != 0)
			return -EILSEQ;
		word[i] = (uint32_t)getpid();
		if (arena->manner->slowly && i % (words / 8) == 0)
			sched_yield();
	}
	atomic_fetch_add(&((struct arena *)context)->initialized, 1);
	return 0;
}

static struct ayre_segment_options options_of(struct arena *arena)
{
	const struct manner *manner = arena->manner;

	return *OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = manner->size_bytes,
	                .tag = manner->tag, .initialize = manner->initialized ? write_maker : NULL,
	                .context = arena);
}

static bool is_whole(const struct manner *manner, const struct ayre_segment *segment,
                     pid_t *ret_maker)
{
	size_t size = ayre_segment_size(segment), stride = stride_of(size);
	const uint32_t *word = ayre_segment_data(segment);

	if (size != manner->size_bytes)
		return false;
	*ret_maker = (pid_t)word[0];
	for (size_t i = 0; i < size / sizeof(*word); i += stride)
		if (word[i] != word[0])
			return false;
	return manner->initialized == (word[0] != 0);
}

struct outcome open_and_look(struct arena *arena)
{
	struct ayre_segment_options options = options_of(arena);
	struct outcome outcome = {0};
	struct ayre_segment *segment;

	outcome.result = ayre_segment_open(&options, arena->name, &segment, NULL);
	if (outcome.result < 0)
		return outcome;
	outcome.whole = is_whole(arena->manner, segment, &outcome.maker);
	ayre_segment_close(segment);
	return outcome;
}

void yield_sometimes(const char *symbol)
{
	(void)symbol;
	if (random_below(8) == 0)
		sched_yield();
}

struct arena *make_arena(void **state, unsigned int manner)
{
	struct arena *arena = share_memory(sizeof(*arena));

	arena->manner = &manners[manner];
	name_of(state, arena->name);
	fault_no_unnamed_files = arena->manner->no_unnamed_files;
	fault_no_rename_new = arena->manner->no_rename_new;
	return arena;
}

void drop_arena(struct arena *arena)
{
	fault_no_unnamed_files = false;
	fault_no_rename_new = false;
	unshare_memory(arena, sizeof(*arena));
}

int64_t end_of_budget(void)
{
	return now_ns() + (long_form() ? 30000 : 450) * 1000000ll;
}
