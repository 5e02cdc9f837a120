/*
 * Messages beside the ring, and the files they leave.
 *
 * To make a file is dear: the kernel clears its pages, and both ends fault each of them in. So one that
 * everybody who counts has read keeps its pages and our map of them, as a spare, and the next message
 * that fits is written over what is there.
 *
 * Invariant: the file of a record's name has that record's message, whole, from before the record
 * exists until `beside` of the lane is behind it. What changes it comes after that word, and who has read
 * the file looks at the word after it. So a reader that finds no file, or finds itself before `beside`,
 * has been overtaken, and what it may have copied is none:
 *
 *     publisher                              reader of P
 *     store beside (P + 1)                   open the file of P
 *     store fence                            load bytes, or let the kernel copy them
 *     store bytes of another message         load fence
 *     rename it from P to the next Q         load beside: P + 1, missed
 *     store the header of Q
 *
 * Had it loaded one of the new bytes, it would load the new `beside` as well. Which of the two names the
 * file has matters to nobody but us: under P it is a spare, because P is before `beside`; under Q
 * it is a message once Q has a header, and until then what the next publisher removes. So there is no
 * instruction at which a death leaves a file that could be taken for a message, or that nobody removes.
 *
 * A file that ever had a name is never cut: somebody may have it mapped still, who was overtaken, and has
 * done nothing to deserve a SIGBUS. Pages that are not needed are punched out of it; who still looks at
 * them finds zeros there (or, in a file system that has no page left, is saved by the guard).
 */
#include "topic/large.h"

#include <errno.h>
#include <stdlib.h>

#include "sys/file.h"

/* So many stay mapped at the most; those that do not are removed where they would become spares. */
#define MAPPED_MAX 256u

/* Spares that were not needed in so many attempts are given up. */
#define IDLE_TAKES 64u

void ayrei_larges_fini(struct ayrei_larges *larges)
{
	for (size_t i = 0; i < larges->count; i++)
		ayrei_shared_unmap(&larges->files[larges->first + i].map);
	for (size_t i = 0; i < larges->spare_count; i++)
		ayrei_shared_unmap(&larges->spares[i].map);
	free(larges->files);
	*larges = (struct ayrei_larges){0};
}

/* Room for one more that has a message. */
static int make_place(struct ayrei_larges *larges)
{
	if (larges->first && larges->first + larges->count == larges->room) {
		memmove(larges->files, larges->files + larges->first,
		        larges->count * sizeof(*larges->files));
		larges->first = 0;
	}
	if (larges->count == larges->room) {
		size_t room = larges->room ? 2 * larges->room : 8;
		void *grown = reallocarray(larges->files, room, sizeof(*larges->files));

		if (!grown)
			return -ENOMEM;
		larges->files = grown;
		larges->room = room;
	}
	return 0;
}

static void add(struct ayrei_larges *larges, const struct ayrei_large_file *file)
{
	larges->files[larges->first + larges->count++] = *file;
	larges->bytes += file->bytes;
	larges->mapped += file->map.base != NULL;
}

/* What was taken out of both lists. */
static void leave(struct ayrei_larges *larges, const struct ayrei_large_file *file)
{
	larges->bytes -= file->bytes;
	larges->mapped -= file->map.base != NULL;
}

/* --- from message to spare --- */

/* The oldest is no message any more. */
static struct ayrei_large_file take_oldest(struct ayrei_larges *larges,
                                           const struct ayrei_large_place *place)
{
	struct ayrei_large_file *oldest = &larges->files[larges->first++];

	larges->count--;
	leave(larges, oldest);
	ayrei_store_release(&place->lane->beside, oldest->position + 1);
	return *oldest;
}

static void add_spare(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                      struct ayrei_large_file *file)
{
	if (!file->map.base || larges->spare_count == AYREI_SPARES) {
		ayrei_large_remove(file, place);
		return;
	}
	larges->spares[larges->spare_count++] = *file;
	larges->bytes += file->bytes;
	larges->mapped++;
}

static struct ayrei_large_file take_spare(struct ayrei_larges *larges, size_t index)
{
	struct ayrei_large_file spare = larges->spares[index];

	larges->spare_count--;
	memmove(larges->spares + index, larges->spares + index + 1,
	        (larges->spare_count - index) * sizeof(*larges->spares));
	leave(larges, &spare);
	return spare;
}

static void drop_spares(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                        size_t count)
{
	while (count-- > 0) {
		struct ayrei_large_file spare = take_spare(larges, 0);

		ayrei_large_remove(&spare, place);
	}
}

void ayrei_larges_drop_spares(struct ayrei_larges *larges, const struct ayrei_large_place *place)
{
	drop_spares(larges, place, larges->spare_count);
}

static bool has_before(const struct ayrei_larges *larges, uint64_t before)
{
	return larges->count && larges->files[larges->first].position < before;
}

void ayrei_larges_remove(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before)
{
	while (has_before(larges, before)) {
		struct ayrei_large_file oldest = take_oldest(larges, place);

		ayrei_large_remove(&oldest, place);
	}
}

void ayrei_larges_expire(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before)
{
	while (has_before(larges, before)) {
		struct ayrei_large_file oldest = take_oldest(larges, place);

		if (larges->spare_count)
			ayrei_large_remove(&oldest, place);
		else
			add_spare(larges, place, &oldest);
	}
}

static uint64_t spare_bytes(const struct ayrei_larges *larges)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < larges->spare_count; i++)
		bytes += larges->spares[i].bytes;
	return bytes;
}

void ayrei_larges_retire(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                         uint64_t before, uint64_t bytes_left)
{
	uint64_t spare = spare_bytes(larges);

	while (has_before(larges, before) && larges->bytes - spare > bytes_left) {
		struct ayrei_large_file oldest = take_oldest(larges, place);

		add_spare(larges, place, &oldest);
		spare = spare_bytes(larges);
	}
}

/* --- from spare to message --- */

/* More than twice as large is for others. */
static bool fits(const struct ayrei_large_file *spare, uint64_t bytes)
{
	return bytes <= spare->bytes && spare->bytes / 2 <= bytes;
}

static void note_take(struct ayrei_larges *larges, const struct ayrei_large_place *place)
{
	if (larges->idle > larges->spare_count)
		larges->idle = larges->spare_count;
	if (++larges->takes < IDLE_TAKES)
		return;
	drop_spares(larges, place, larges->idle);
	larges->idle = larges->spare_count;
	larges->takes = 0;
}

bool ayrei_larges_take(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                       uint64_t bytes, struct ayrei_large_draft *ret_draft)
{
	size_t best = AYREI_SPARES;

	/* Of the smallest that fit, the one whose bytes are the likeliest to be in a cache. */
	for (size_t i = 0; i < larges->spare_count; i++)
		if (fits(&larges->spares[i], bytes) &&
		    (best == AYREI_SPARES || larges->spares[i].bytes <= larges->spares[best].bytes))
			best = i;
	if (best < AYREI_SPARES) {
		*ret_draft = (struct ayrei_large_draft){take_spare(larges, best), -1};
		/* Between `beside` and whatever will be written. */
		ayrei_fence_stores();
	}
	note_take(larges, place);
	return best < AYREI_SPARES;
}

/* --- fewer bytes --- */

static bool shorten_all(struct ayrei_larges *larges)
{
	bool is_shorter = false;

	for (size_t i = 0; i < larges->count; i++) {
		struct ayrei_large_file *file = &larges->files[larges->first + i];
		uint64_t before = file->bytes;

		is_shorter |= ayrei_large_shorten(file);
		larges->bytes -= before - file->bytes;
	}
	return is_shorter;
}

bool ayrei_larges_give_way(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                           uint64_t before)
{
	struct ayrei_large_file oldest;

	if (larges->spare_count) {
		drop_spares(larges, place, 1);
		return true;
	}
	if (!has_before(larges, before))
		return shorten_all(larges);
	oldest = take_oldest(larges, place);
	add_spare(larges, place, &oldest);
	return true;
}

/* --- after an earlier publisher --- */

struct recovery {
	struct ayrei_larges *larges;
	const struct ayrei_topic *topic;
	const struct ayrei_lane *lane;
	uint64_t beside;
};

static int visit(const struct ayrei_peer_name *name, void *context)
{
	const struct recovery *recovery = context;
	char path[AYREI_PEER_PATH_BYTES], *end;
	struct stat status;
	uint64_t position;
	int result;

	if (name->kind != AYREI_PEER_PUBLISHER || name->id != recovery->lane->layout->id ||
	    name->suffix[0] != '.' || strlen(name->suffix) != 17)
		return 0;
	position = strtoull(name->suffix + 1, &end, 16);
	if (*end)
		return 0;
	ayrei_large_path(recovery->topic, name->id, position, path);
	/* Its record was never written, or is gone, or it was a spare. */
	if (position >= recovery->lane->position || position < recovery->beside ||
	    position + recovery->lane->mask + 1 < recovery->lane->limit) {
		(void)!ayrei_file_unlink(path);
		return 0;
	}
	if (ayrei_path_status(path, false, &status) < 0)
		return 0;
	result = make_place(recovery->larges);
	if (result == 0)
		add(recovery->larges, &(struct ayrei_large_file){
					      .position = position,
					      .bytes = (uint64_t)status.st_size,
					      .used = (uint64_t)status.st_size,
				      });
	return result;
}

static int compare(const void *a, const void *b)
{
	const struct ayrei_large_file *one = a, *other = b;

	return one->position < other->position ? -1 : one->position > other->position;
}

int ayrei_larges_recover(struct ayrei_larges *larges, const struct ayrei_topic *topic,
                         const struct ayrei_lane *lane)
{
	struct recovery recovery = {larges, topic, lane, ayrei_load(&lane->layout->beside)};
	int result;

	/* It never is beyond the last record; and if it were, what we send would be no message. */
	if (recovery.beside > lane->position)
		ayrei_store(&lane->layout->beside, lane->position);
	result = ayrei_topic_visit(topic, visit, &recovery);
	if (larges->count)
		qsort(larges->files, larges->count, sizeof(*larges->files), compare);
	return result;
}

/* --- one --- */

void ayrei_larges_give_up(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                          struct ayrei_large_draft *draft)
{
	if (draft->fd < 0) {
		add_spare(larges, place, &draft->file);
	} else {
		ayrei_shared_unmap(&draft->file.map);
		ayrei_file_close(draft->fd);
	}
	*draft = (struct ayrei_large_draft){.fd = -1};
}

int ayrei_larges_finish(struct ayrei_larges *larges, const struct ayrei_large_place *place,
                        struct ayrei_large_draft *draft, uint64_t position, uint64_t used)
{
	int result = make_place(larges);

	if (result == 0)
		result = ayrei_large_name(place, draft, position, used);
	if (result < 0) {
		ayrei_larges_give_up(larges, place, draft);
		return result;
	}
	ayrei_file_close(draft->fd);
	draft->file.position = position;
	draft->file.used = used;
	if (larges->mapped == MAPPED_MAX) {
		ayrei_large_shorten(&draft->file);
		ayrei_shared_unmap(&draft->file.map);
	}
	add(larges, &draft->file);
	*draft = (struct ayrei_large_draft){.fd = -1};
	return 0;
}
