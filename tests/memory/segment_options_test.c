/*
 * The options of a segment: of callers older and newer than the library, impossible ones, and
 * wishes.
 */
#include "support/open.h"

static int refuse(void *data, size_t data_bytes, void *context)
{
	(void)data;
	(void)data_bytes;
	(void)context;
	return -EILSEQ;
}

static void options_of_older_callers_are_enough(void **state)
{
	struct ayre_segment_options options =
		*OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 100, .tag = "never seen",
	                 .reserve_bytes = 1, .initialize = refuse);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(options_of_older_callers_are_enough),
		named_test(options_of_newer_callers_are_cut),
		named_test(impossible_options_are_refused),
		counted_test(system_v_can_neither_grow_nor_mirror),
		named_test(wishes_are_accepted),
	};

	return run_counted("segment options", tests);
}
