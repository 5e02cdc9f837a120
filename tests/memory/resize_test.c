/*
 * Growing and shrinking while other processes have the segment mapped.
 */
#include "support/open.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define MEBI       (1u << 20)
#define READERS    8
#define FIRST_SIZE MEBI
#define LAST_SIZE  (64u * MEBI)

#define PAGE 4096u

/* One word in each page says which page it is and in which step it was added. */
static void mark_pages(void *data, size_t from, size_t to, uint32_t step)
{
	uint32_t *words = data;

	for (size_t at = from; at < to; at += PAGE)
		words[at / sizeof(*words)] = (uint32_t)(at / PAGE) ^ step << 24;
}

static bool are_marked(const void *data, size_t from, size_t to, uint32_t step)
{
	const uint32_t *words = data;

	for (size_t at = from; at < to; at += PAGE)
		if (words[at / sizeof(*words)] != ((uint32_t)(at / PAGE) ^ step << 24))
			return false;
	return true;
}

/* What the grower and its readers share. */
struct growth {
	char buffer[NAME_BYTES];
	const char *name; /* NULL: anonymous, by descriptor */
	int fd;
	uint64_t reserve_bytes;
	atomic_uint step; /* how often it has grown */
	atomic_uint seen; /* readers that have seen the step */
};

static struct ayre_segment *open_reader(const struct growth *growth)
{
	struct ayre_segment *segment;
	const struct ayre_segment_options *options =
		OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY, .reserve_bytes = growth->reserve_bytes);

	if (growth->name)
		require(ayre_segment_open(options, growth->name, &segment, NULL) == 0);
	else
		require(ayre_segment_open_fd(options, growth->fd, &segment, NULL) == 0);
	return segment;
}

/* Checks after each step that the old bytes are still there and the new ones have come. */
static int read_along(void *context)
{
	struct growth *growth = context;
	struct ayre_segment *segment = open_reader(growth);
	const char *data = ayre_segment_data(segment);
	size_t size = FIRST_SIZE;

	require(ayre_segment_size(segment) == size);
	require(are_marked(data, 0, size, 0));
	for (uint32_t step = 1; size < LAST_SIZE; step++) {
		announce_one_more(&growth->seen);
		await(&growth->step, step);
		/* Not refreshed: nothing has changed for us. */
		require(ayre_segment_size(segment) == size);
		require(ayre_segment_refresh(segment) >= 0);
		require(ayre_segment_size(segment) == 2 * size);
		if (growth->reserve_bytes)
			require(ayre_segment_data(segment) == data);
		data = ayre_segment_data(segment);
		require(are_marked(data, size, 2 * size, step));
		require(are_marked(data, 0, FIRST_SIZE, 0));
		require(ayre_segment_check(segment) == 0);
		size *= 2;
	}
	ayre_segment_close(segment);
	return 0;
}

/* Doubles the segment until it has its last size, one step when all have seen the one before. */
static void grow_under(struct growth *growth, struct ayre_segment *segment)
{
	size_t size = FIRST_SIZE;
	void *data = ayre_segment_data(segment);

	for (uint32_t step = 1; size < LAST_SIZE; step++) {
		int moved;

		await(&growth->seen, step * READERS);
		moved = ayre_segment_resize(segment, 2 * size, NULL);
		assert_int_equal(moved, ayre_segment_data(segment) != data);
		if (growth->reserve_bytes)
			assert_int_equal(moved, 0);
		data = ayre_segment_data(segment);
		assert_int_equal(ayre_segment_size(segment), 2 * size);
		assert_true(are_marked(data, size / 2, size, step - 1));
		mark_pages(data, size, 2 * size, step);
		size *= 2;
		announce(&growth->step, step);
	}
}

static void grow_with_readers(void **state, uint64_t reserve_bytes)
{
	struct growth *growth = share_memory(sizeof(*growth));
	struct ayre_segment *segment;
	pid_t readers[READERS];

	growth->name = make_name(growth->buffer, kind_of(state), 0);
	growth->reserve_bytes = reserve_bytes;
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = FIRST_SIZE,
	                                  .reserve_bytes = reserve_bytes, .tag = "growing"),
	                          growth->name, &segment),
	                 1);
	mark_pages(ayre_segment_data(segment), 0, FIRST_SIZE, 0);
	growth->fd = ayre_segment_fd(segment);
	for (int i = 0; i < READERS; i++)
		readers[i] = start_child(read_along, growth);
	grow_under(growth, segment);
	for (int i = 0; i < READERS; i++)
		assert_exited(end_of(readers[i]));
	ayre_segment_close(segment);
	if (growth->name)
		assert_int_equal(ayre_segment_remove(growth->name, NULL), 0);
	unshare_memory(growth, sizeof(*growth));
}

static void readers_see_growth_in_place(void **state)
{
	grow_with_readers(state, LAST_SIZE);
}

static void readers_see_growth_wherever_it_moves(void **state)
{
	grow_with_readers(state, 0);
}

/* Nothing may follow the map, so that it has to move. */
static void growth_that_moves_keeps_the_bytes(void **state)
{
	struct ayre_segment *segment;
	char buffer[NAME_BYTES];
	const char *name = make_name(buffer, kind_of(state), 0);
	char *data, *wall;

	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 8192), name, &segment),
		1);
	data = ayre_segment_data(segment);
	fill_pattern(data, 8192, 3);
	wall = mmap(data + 8192, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
	            -1, 0);
	assert_int_equal(ayre_segment_resize(segment, 64 * MEBI, NULL), 1);
	assert_ptr_not_equal(ayre_segment_data(segment), data);
	assert_true(is_pattern(ayre_segment_data(segment), 8192, 3));
	assert_true(is_zero((char *)ayre_segment_data(segment) + 8192, 64 * MEBI - 8192));
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
	ayre_segment_close(segment);
	if (name)
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void odd_sizes_grow(void **state)
{
	static const uint64_t sizes[] = {1, 2, 4095, 4096, 4097, 100000, 100001};
	struct ayre_segment *segment;
	char buffer[NAME_BYTES];
	const char *name = make_name(buffer, kind_of(state), 0);

	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .tag = "t"), name,
	                 &segment),
		1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct stat status;

		assert_true(ayre_segment_resize(segment, sizes[i], NULL) >= 0);
		assert_int_equal(ayre_segment_size(segment), sizes[i]);
		assert_int_equal(fstat(ayre_segment_fd(segment), &status), 0);
		assert_int_equal((uint64_t)status.st_size % 4096, sizes[i] % 4096);
		/* Paid for: every byte has its block. */
		assert_true((uint64_t)status.st_blocks * 512 >= (uint64_t)status.st_size);
		assert_true(is_pattern(ayre_segment_data(segment), i ? sizes[i - 1] : 0, 1));
		fill_pattern(ayre_segment_data(segment), sizes[i], 1);
	}
	ayre_segment_close(segment);
	if (name)
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

struct contest {
	char buffer[NAME_BYTES];
	atomic_uint round;
	atomic_uint ready;
	uint64_t sizes[2];
	atomic_int next;
};

static int grow_at_once(void *context)
{
	struct contest *contest = context;
	uint64_t size = contest->sizes[atomic_fetch_add(&contest->next, 1)];
	struct ayre_segment *segment;

	require(ayre_segment_open(NULL, contest->buffer, &segment, NULL) == 0);
	announce_one_more(&contest->ready);
	await(&contest->round, 1);
	require(ayre_segment_resize(segment, size, NULL) >= 0);
	/* At least what was asked for, also if the other had more. */
	require(ayre_segment_size(segment) >= size);
	memset((char *)ayre_segment_data(segment) + size - 1, 'x', 1);
	ayre_segment_close(segment);
	return 0;
}

static void the_larger_of_two_growths_stays(void **state)
{
	struct contest *contest = share_memory(sizeof(*contest));
	struct ayre_segment *segment;

	make_name(contest->buffer, kind_of(state), 0);
	for (int round = 0; round < 40; round++) {
		pid_t children[2];

		*contest = (struct contest){.sizes = {2 * MEBI, 3 * MEBI}};
		make_name(contest->buffer, kind_of(state), 0);
		assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = MEBI),
		                          contest->buffer, NULL),
		                 1);
		for (int i = 0; i < 2; i++)
			children[i] = start_child(grow_at_once, contest);
		await(&contest->ready, 2);
		announce(&contest->round, 1);
		for (int i = 0; i < 2; i++)
			assert_exited(end_of(children[i]));
		assert_int_equal(try_open(NULL, contest->buffer, &segment), 0);
		assert_int_equal(ayre_segment_size(segment), 3 * MEBI);
		ayre_segment_close(segment);
		assert_int_equal(ayre_segment_remove(contest->buffer, NULL), 0);
	}
	unshare_memory(contest, sizeof(*contest));
}

static void who_shrinks_makes_others_stale(void **state)
{
	struct ayre_segment *segment, *other;
	char name[NAME_BYTES], byte;

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 2 * MEBI),
	                          name_of(state, name), &segment),
	                 1);
	assert_int_equal(try_open(NULL, name, &other), 0);
	fill_pattern(ayre_segment_data(segment), 100, 6);
	assert_int_equal(ayre_segment_resize(segment, 100, NULL), 0);
	assert_int_equal(ayre_segment_size(segment), 100);
	assert_true(is_pattern(ayre_segment_data(segment), 100, 6));
	assert_int_equal(ayre_segment_check(segment), 0);
	assert_int_equal(ayre_segment_refresh(segment), 0);
	assert_int_equal(ayre_segment_refresh(other), -ESTALE);
	assert_int_equal(ayre_segment_check(other), -ESTALE);
	assert_int_equal(ayre_segment_read(other, MEBI, &byte, 1), -ESTALE);
	/* And back again: what grows anew is zero. */
	assert_true(ayre_segment_resize(segment, 5000, NULL) >= 0);
	assert_true(is_pattern(ayre_segment_data(segment), 100, 6));
	assert_true(is_zero((char *)ayre_segment_data(segment) + 100, 4900));
	ayre_segment_close(segment);
	ayre_segment_close(other);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void assert_cannot_resize(struct ayre_segment *segment, uint64_t size, int result)
{
	size_t before = ayre_segment_size(segment);
	struct ayre_error error = {0};

	assert_int_equal(ayre_segment_resize(segment, size, &error), result);
	assert_int_equal(error.code, result);
	assert_int_equal(ayre_segment_size(segment), before);
	*(volatile char *)ayre_segment_data(segment) = 1;
}

static void sealed_memory_cannot_shrink(void **state)
{
	struct ayre_segment *segment;

	(void)state;
	assert_int_equal(try_open(OPTIONS(.size_bytes = 8192), NULL, &segment), 1);
	assert_cannot_resize(segment, 8191, -EPERM);
	assert_cannot_resize(segment, 1, -EPERM);
	assert_cannot_resize(segment, 0, -EINVAL);
	assert_cannot_resize(segment, UINT64_MAX, -EINVAL);
	ayre_segment_close(segment);
}

static void some_segments_have_one_size_for_life(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	(void)state;
	make_name(name, AYRE_BACKING_SYSV, 0);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 8192), name, &segment),
		1);
	assert_cannot_resize(segment, 16384, -EOPNOTSUPP);
	assert_cannot_resize(segment, 4096, -EOPNOTSUPP);
	assert_int_equal(ayre_segment_refresh(segment), 0);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_MIRRORED, .size_bytes = 65536),
	                          NULL, &segment),
	                 1);
	assert_cannot_resize(segment, 131072, -EOPNOTSUPP);
	assert_int_equal(ayre_segment_refresh(segment), 0);
	ayre_segment_close(segment);
}

static void readers_cannot_resize(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_READ_ONLY,
	                                  .size_bytes = 8192),
	                          name_of(state, name), &segment),
	                 1);
	assert_int_equal(ayre_segment_resize(segment, 16384, NULL), -EACCES);
	assert_int_equal(ayre_segment_resize(segment, 4096, NULL), -EACCES);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(readers_see_growth_in_place),
		backing_test(readers_see_growth_in_place, MEMFD),
		file_test(readers_see_growth_wherever_it_moves),
		backing_test(readers_see_growth_wherever_it_moves, MEMFD),
		file_test(growth_that_moves_keeps_the_bytes),
		backing_test(growth_that_moves_keeps_the_bytes, MEMFD),
		file_test(odd_sizes_grow),
		backing_test(odd_sizes_grow, MEMFD),
		file_test(the_larger_of_two_growths_stays),
		file_test(who_shrinks_makes_others_stale),
		counted_test(sealed_memory_cannot_shrink),
		counted_test(some_segments_have_one_size_for_life),
		file_test(readers_cannot_resize),
	};

	return run_counted("resize", tests);
}
