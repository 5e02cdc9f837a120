/*
 * Opening and creating segments: what is there, what is made, what is refused, over the three
 * backings that have names.
 */
#include "support/open.h"

#include <sys/stat.h>

/* From the table, which also tells of segments that their mode hides from their owner. */
static void look_up_table(uint64_t *ret_size, unsigned int *ret_mode)
{
	FILE *table = fopen("/proc/sysvipc/shm", "re");
	unsigned long long size;
	unsigned int mode;
	char line[512];
	int key, id, found = 0;

	while (fgets(line, sizeof(line), table))
		if (sscanf(line, "%d %d %o %llu", &key, &id, &mode, &size) == 4 &&
		    key == make_key(0)) {
			found++;
			*ret_size = size;
			*ret_mode = mode & 0777;
		}
	fclose(table);
	assert_int_equal(found, 1);
}

/* What the kernel says of the segment 0: bytes and mode. */
static void look(enum ayre_backing kind, uint64_t *ret_size, unsigned int *ret_mode)
{
	char path[NAME_BYTES];
	struct stat status;

	if (kind == AYRE_BACKING_SYSV) {
		look_up_table(ret_size, ret_mode);
		return;
	}
	assert_int_equal(stat(make_path(path, kind, 0), &status), 0);
	*ret_size = (uint64_t)status.st_size;
	*ret_mode = status.st_mode & 07777;
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
		named_test(removed_segments_live_on_in_their_users),
		named_test(closing_nothing_keeps_errno),
	};

	return run_counted("segment open", tests);
}
