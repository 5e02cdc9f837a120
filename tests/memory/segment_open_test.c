/*
 * Opening and creating segments: what is there, what is made, what is refused, over the three
 * backings that have names.
 */
#include "support/open.h"

#include <sys/shm.h>
#include <sys/stat.h>

/* What the kernel says of the segment 0: bytes and mode. */
static void look(enum ayre_backing kind, uint64_t *ret_size, unsigned int *ret_mode)
{
	char path[NAME_BYTES];
	struct shmid_ds segment;
	struct stat status;

	if (kind == AYRE_BACKING_SYSV) {
		assert_int_equal(shmctl(shmget(make_key(0), 0, 0), IPC_STAT, &segment), 0);
		*ret_size = segment.shm_segsz;
		*ret_mode = segment.shm_perm.mode & 0777;
	} else {
		assert_int_equal(stat(make_path(path, kind, 0), &status), 0);
		*ret_size = (uint64_t)status.st_size;
		*ret_mode = status.st_mode & 07777;
	}
}

static void missing_is_not_made_without_create(void **state)
{
	char name[NAME_BYTES];

	assert_int_equal(try_open(NULL, name_of(state, name), NULL), -ENOENT);
	assert_int_equal(try_open(OPTIONS(.size_bytes = 10), name, NULL), -ENOENT);
	assert_int_equal(try_open(OPTIONS(.tag = "t"), name, NULL), -ENOENT);
	assert_int_equal(ayre_segment_remove(name, NULL), -ENOENT);
}

static void created_once_then_opened(void **state)
{
	const struct ayre_segment_options *create =
		OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100);
	struct ayre_segment *first, *second;
	char name[NAME_BYTES];

	assert_int_equal(try_open(create, name_of(state, name), &first), 1);
	assert_int_equal(try_open(create, name, &second), 0);
	assert_int_equal(try_open(NULL, name, NULL), 0);
	assert_int_equal(ayre_segment_backing(first), kind_of(state));
	assert_true(is_zero(ayre_segment_data(first), 100));
	assert_null(ayre_segment_tag(first));
	/* Two handles, one memory. */
	assert_ptr_not_equal(ayre_segment_data(first), ayre_segment_data(second));
	fill_pattern(ayre_segment_data(first), 100, 7);
	assert_true(is_pattern(ayre_segment_data(second), 100, 7));
	ayre_segment_close(first);
	ayre_segment_close(second);
	/* The bytes stay when nobody has it open. */
	assert_int_equal(try_open(NULL, name, &first), 0);
	assert_true(is_pattern(ayre_segment_data(first), 100, 7));
	ayre_segment_close(first);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(try_open(NULL, name, NULL), -ENOENT);
}

/* A step that failed on the way to success is not the caller's business. */
static void success_leaves_no_error(void **state)
{
	struct ayre_error error = {0};
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	assert_int_equal(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 9),
	                                   name_of(state, name), &segment, &error),
	                 1);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(error.code, 0);
	assert_string_equal(error.step, "");
}

static int forbidden(void *data, size_t data_bytes, void *context)
{
	(void)data;
	(void)data_bytes;
	++*(int *)context;
	return 0;
}

static void exclusive_refuses_what_is_there(void **state)
{
	char name[NAME_BYTES];
	int calls = 0;
	uint32_t flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE;

	name_of(state, name);
	assert_int_equal(try_open(OPTIONS(.flags = flags, .size_bytes = 10), name, NULL), 1);
	assert_int_equal(try_open(OPTIONS(.flags = flags, .size_bytes = 10), name, NULL), -EEXIST);
	/* Only the process that creates the segment runs its initialiser. */
	assert_int_equal(try_open(OPTIONS(.flags = flags, .size_bytes = 10, .tag = "t",
	                                  .initialize = forbidden, .context = &calls),
	                          name, NULL),
	                 -EEXIST);
	assert_int_equal(try_open(OPTIONS(.flags = flags, .size_bytes = 4 << 20, .tag = "t",
	                                  .initialize = forbidden, .context = &calls),
	                          name, NULL),
	                 -EEXIST);
	assert_int_equal(calls, 0);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void sizes_are_exact(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t sizes[] = {1, 20, page - 1, page, page + 1, 10 * page, (1 << 20) + 1};
	char name[NAME_BYTES];
	struct ayre_segment *segment;
	unsigned int mode;
	uint64_t size;

	name_of(state, name);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(
			try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = sizes[i]),
		                 name, &segment),
			1);
		assert_int_equal(ayre_segment_size(segment), sizes[i]);
		look(kind_of(state), &size, &mode);
		assert_int_equal(size, sizes[i]);
		/* Every byte is there. */
		fill_pattern(ayre_segment_data(segment), sizes[i], 3);
		ayre_segment_close(segment);
		assert_int_equal(try_open(NULL, name, &segment), 0);
		assert_int_equal(ayre_segment_size(segment), sizes[i]);
		assert_true(is_pattern(ayre_segment_data(segment), sizes[i], 3));
		ayre_segment_close(segment);
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
	}
}

static void size_is_a_minimum_of_what_is_there(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	name_of(state, name);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 5000), name, NULL), 1);
	assert_int_equal(try_open(OPTIONS(.size_bytes = 5000), name, NULL), 0);
	assert_int_equal(try_open(OPTIONS(.size_bytes = 5001), name, NULL), -EMSGSIZE);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1 << 20), name, NULL),
		-EMSGSIZE);
	assert_int_equal(try_open(OPTIONS(.size_bytes = 1), name, &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 5000);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

/* Under this umask, and one of the ways to create. */
static void create_with_mode(void **state, uint32_t mode, uint32_t flags, const char *tag)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];
	unsigned int found;
	uint64_t size;

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags, .mode = mode,
	                                  .size_bytes = 64, .tag = tag),
	                          name_of(state, name), &segment),
	                 1);
	look(kind_of(state), &size, &found);
	assert_int_equal(found, mode ? mode : 0644);
	/* The creator has what it asked for, whatever the mode says. */
	assert_non_null(ayre_segment_data(segment));
	assert_int_equal(*(volatile char *)ayre_segment_data(segment), 0);
	if (!(flags & AYRE_SEGMENT_READ_ONLY))
		*(volatile char *)ayre_segment_data(segment) = 1;
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void modes_are_exact_whatever_the_umask(void **state)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	static const uint32_t modes[] = {0, 0600, 0660, 0666, 0644, 0444, 0400, 0200, 0002, 0060};
	mode_t before = umask(0);

	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		umask(masks[i]);
		for (size_t j = 0; j < sizeof(modes) / sizeof(*modes); j++) {
			create_with_mode(state, modes[j], 0, NULL);
			create_with_mode(state, modes[j], 0, "tagged");
			create_with_mode(state, modes[j], AYRE_SEGMENT_READ_ONLY, "tagged");
		}
	}
	umask(before);
}

struct initialization {
	int calls;
	int result;
	uint32_t seed;
};

static int initialize(void *data, size_t data_bytes, void *context)
{
	struct initialization *how = context;

	how->calls++;
	if (data_bytes != 5000 || !is_zero(data, data_bytes))
		return -EILSEQ;
	fill_pattern(data, data_bytes, how->seed);
	return how->result;
}

/* Options for each way to create: the initialiser runs in all of them. */
static void initialize_with(void **state, const char *tag, uint32_t flags)
{
	struct initialization first = {.seed = 11}, second = {.seed = 12};
	struct ayre_segment_options options =
		*OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags, .size_bytes = 5000, .tag = tag,
	                 .initialize = initialize, .context = &first);
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	assert_int_equal(try_open(&options, name_of(state, name), &segment), 1);
	assert_int_equal(first.calls, 1);
	assert_true(is_pattern(ayre_segment_data(segment), 5000, 11));
	ayre_segment_close(segment);
	options.context = &second;
	assert_int_equal(try_open(&options, name, NULL), 0);
	assert_int_equal(second.calls, 0);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void initialiser_runs_once_with_zeroed_data(void **state)
{
	initialize_with(state, NULL, 0);
	initialize_with(state, "tagged", 0);
	initialize_with(state, "tagged", AYRE_SEGMENT_READ_ONLY);
	initialize_with(state, NULL, AYRE_SEGMENT_POPULATE);
}

static void refused_initialisation_undoes_the_creation(void **state)
{
	struct initialization how = {.result = -EDOM};
	struct counts before = take_counts();
	char name[NAME_BYTES];

	name_of(state, name);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 5000,
		                                  .tag = i ? "tagged" : NULL,
		                                  .initialize = initialize, .context = &how),
		                          name, NULL),
		                 -EDOM);
		assert_counts(&before);
		assert_int_equal(try_open(NULL, name, NULL), -ENOENT);
	}
	assert_int_equal(how.calls, 2);
}

static void options_of_older_callers_are_enough(void **state)
{
	struct ayre_segment_options options =
		*OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100, .tag = "never seen",
	                 .reserve_bytes = 1, .initialize = initialize);
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	/* What lies behind the caller's struct counts as zero. */
	options.size = offsetof(struct ayre_segment_options, reserve_bytes);
	assert_int_equal(try_open(&options, name_of(state, name), &segment), 1);
	assert_null(ayre_segment_tag(segment));
	assert_int_equal(ayre_segment_size(segment), 100);
	ayre_segment_close(segment);
	options.size = sizeof(options.size);
	assert_int_equal(try_open(&options, name, NULL), 0);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	options.size = 0;
	assert_int_equal(try_open(&options, name, NULL), -EINVAL);
	options.size = sizeof(options.size) - 1;
	assert_int_equal(try_open(&options, name, NULL), -EINVAL);
}

static void options_of_newer_callers_are_cut(void **state)
{
	struct {
		struct ayre_segment_options known;
		uint64_t unknown;
	} newer = {.known = {.size = sizeof(newer), .flags = AYRE_SEGMENT_CREATE, .size_bytes = 9}};
	char name[NAME_BYTES];

	assert_int_equal(try_open(&newer.known, name_of(state, name), NULL), 1);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void impossible_options_are_refused(void **state)
{
	static const struct ayre_segment_options cases[] = {
		{.flags = 1u << 31},
		{.flags = 1u << 8},
		{.flags = AYRE_SEGMENT_CREATE},
		{.flags = AYRE_SEGMENT_EXCLUSIVE, .size_bytes = 1},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .mode = 0755},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .mode = 04644},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .mode = 0601},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = UINT64_MAX},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = INT64_MAX},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .reserve_bytes = UINT64_MAX},
		{.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .tag = ""},
		{.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_RAW, .size_bytes = 1, .tag = "t"},
		{.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_MIRRORED, .size_bytes = 100},
		{.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_MIRRORED,
	         .size_bytes = 65536,
	         .reserve_bytes = 131072},
		{.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_SOLE_WRITER, .size_bytes = 1},
	};
	char name[NAME_BYTES];

	name_of(state, name);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ayre_segment_options options = cases[i];

		options.size = sizeof(options);
		if (try_open(&options, name, NULL) != -EINVAL)
			fail_msg("case %zu is not refused", i);
	}
}

static void system_v_can_neither_grow_nor_mirror(void **state)
{
	char name[NAME_BYTES];

	(void)state;
	make_name(name, AYRE_BACKING_SYSV, 0);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_MIRRORED,
	                                  .size_bytes = 65536),
	                          name, NULL),
	                 -EOPNOTSUPP);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 4096,
	                                  .reserve_bytes = 8192),
	                          name, NULL),
	                 -EOPNOTSUPP);
}

static void wishes_are_accepted(void **state)
{
	static const uint32_t wishes[] = {
		AYRE_SEGMENT_POPULATE,
		AYRE_SEGMENT_HUGE,
		AYRE_SEGMENT_HUGE | AYRE_SEGMENT_POPULATE | AYRE_SEGMENT_READ_ONLY,
	};
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	name_of(state, name);
	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
		int result = try_open(
			OPTIONS(.flags = AYRE_SEGMENT_CREATE | wishes[i], .size_bytes = 4 << 20),
			name, &segment);

		/* On a disk there are no huge pages. */
		if (result == -EOPNOTSUPP && kind_of(state) == AYRE_BACKING_FILE)
			continue;
		assert_int_equal(result, 1);
		assert_true(is_zero(ayre_segment_data(segment), 4 << 20));
		ayre_segment_close(segment);
		assert_int_equal(try_open(OPTIONS(.flags = wishes[i]), name, NULL), 0);
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
	}
}

static void removed_segments_live_on_in_their_users(void **state)
{
	const struct ayre_segment_options *create =
		OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100);
	struct ayre_segment *old, *new;
	char name[NAME_BYTES];

	assert_int_equal(try_open(create, name_of(state, name), &old), 1);
	fill_pattern(ayre_segment_data(old), 100, 5);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(ayre_segment_remove(name, NULL), -ENOENT);
	assert_int_equal(try_open(create, name, &new), 1);
	assert_true(is_zero(ayre_segment_data(new), 100));
	assert_true(is_pattern(ayre_segment_data(old), 100, 5));
	ayre_segment_close(old);
	ayre_segment_close(new);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void closing_nothing_keeps_errno(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	errno = EDOM;
	ayre_segment_close(NULL);
	assert_int_equal(errno, EDOM);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1),
	                          name_of(state, name), &segment),
	                 1);
	errno = EDOM;
	ayre_segment_close(segment);
	assert_int_equal(errno, EDOM);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(missing_is_not_made_without_create),
		named_test(created_once_then_opened),
		named_test(success_leaves_no_error),
		named_test(exclusive_refuses_what_is_there),
		named_test(sizes_are_exact),
		named_test(size_is_a_minimum_of_what_is_there),
		named_test(modes_are_exact_whatever_the_umask),
		named_test(initialiser_runs_once_with_zeroed_data),
		named_test(refused_initialisation_undoes_the_creation),
		named_test(options_of_older_callers_are_enough),
		named_test(options_of_newer_callers_are_cut),
		named_test(impossible_options_are_refused),
		counted_test(system_v_can_neither_grow_nor_mirror),
		named_test(wishes_are_accepted),
		named_test(removed_segments_live_on_in_their_users),
		named_test(closing_nothing_keeps_errno),
	};

	return run_counted("segment open", tests);
}
