/*
 * The mirrored map: the same pages twice in a row.
 */
#include "support/open.h"

#define DATA_BYTES 5000

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What is written over the end is at the beginning, and the header, if any, stays out of it. */
static void assert_mirrored(struct ayre_segment *segment, size_t size)
{
	char *data = ayre_segment_data(segment);

	assert_int_equal(ayre_segment_size(segment), size);
	fill_pattern(data, size, 21);
	assert_true(is_pattern(data + size, size, 21));
	memcpy(data + size - 3, "mirror", 6);
	assert_memory_equal(data, "ror", 3);
	memcpy(data + size, "MIR", 3);
	assert_memory_equal(data, "MIR", 3);
	assert_memory_equal(data + size - 3, "mir", 3);
}

static void mirrored_maps_go_on_at_the_beginning(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	enum ayre_backing kind = kind_of(state);
	struct ayre_segment *segment, *plain;
	size_t size = 3 * page_bytes();
	char buffer[NAME_BYTES];
	const char *name = make_name(buffer, kind, 0);

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(
			try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_MIRRORED,
		                         .size_bytes = size, .tag = tags[i]),
		                 name, &segment),
			1);
		assert_mirrored(segment, size);
		/* The segment itself has each byte once, and its header is whole. */
		assert_int_equal(ayre_segment_open_fd(OPTIONS(.tag = tags[i]),
		                                      ayre_segment_fd(segment), &plain, NULL),
		                 0);
		assert_int_equal(ayre_segment_size(plain), size);
		assert_memory_equal(ayre_segment_data(plain), ayre_segment_data(segment), size);
		ayre_segment_close(plain);
		ayre_segment_close(segment);
		if (name)
			assert_int_equal(ayre_segment_remove(name, NULL), 0);
	}
}

static void mirrored_readers_see_it_twice_and_cannot_write(void **state)
{
	struct ayre_segment *writer, *reader;
	size_t size = 2 * page_bytes();

	(void)state;
	assert_int_equal(try_open(OPTIONS(.size_bytes = size, .tag = "ring"), NULL, &writer), 1);
	fill_pattern(ayre_segment_data(writer), size, 8);
	assert_int_equal(ayre_segment_open_fd(
				 OPTIONS(.flags = AYRE_SEGMENT_MIRRORED | AYRE_SEGMENT_READ_ONLY,
	                                 .tag = "ring"),
				 ayre_segment_fd(writer), &reader, NULL),
	                 0);
	assert_true(is_pattern((char *)ayre_segment_data(reader), size, 8));
	assert_true(is_pattern((char *)ayre_segment_data(reader) + size, size, 8));
	assert_read_only(ayre_segment_data(reader));
	assert_read_only((char *)ayre_segment_data(reader) + size);
	ayre_segment_close(reader);
	ayre_segment_close(writer);
}

static void odd_sizes_cannot_be_mirrored(void **state)
{
	struct ayre_segment *odd, *mirrored;

	(void)state;
	assert_int_equal(try_open(OPTIONS(.size_bytes = DATA_BYTES), NULL, &odd), 1);
	assert_int_equal(ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_MIRRORED),
	                                      ayre_segment_fd(odd), &mirrored, NULL),
	                 -EINVAL);
	ayre_segment_close(odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(mirrored_maps_go_on_at_the_beginning),
		backing_test(mirrored_maps_go_on_at_the_beginning, MEMFD),
		counted_test(mirrored_readers_see_it_twice_and_cannot_write),
		counted_test(odd_sizes_cannot_be_mirrored),
	};

	return run_counted("segment mirror", tests);
}
