/*
 * Opening segments in tests.
 */
#include "support/open.h"

#include <signal.h>

static struct ayre_segment *const untouched = (struct ayre_segment *)&untouched;

int try_open(const struct ayre_segment_options *options, const char *name,
             struct ayre_segment **ret_segment)
{
	struct ayre_segment *segment = untouched;
	struct ayre_error error = {0};
	int result = ayre_segment_open(options, name, &segment, &error);

	if (result < 0) {
		assert_int_equal(error.code, result);
		assert_ptr_equal(segment, untouched);
		assert_true(error.step[0]);
		return result;
	}
	assert_ptr_not_equal(segment, untouched);
	if (ret_segment)
		*ret_segment = segment;
	else
		ayre_segment_close(segment);
	return result;
}

const char *name_of(void **state, char name[static NAME_BYTES])
{
	return make_name(name, kind_of(state), 0);
}

enum ayre_backing kind_of(void **state)
{
	const struct backing *backing = *state;

	return backing->kind;
}

int store_into(void *context)
{
	*(volatile char *)context = 'x';
	return 0;
}

static int load_from(void *context)
{
	(void)*(volatile char *)context;
	return 0;
}

void assert_read_only(void *data)
{
	int status = run_in_child(load_from, data);

	assert_exited(status);
	status = run_in_child(store_into, data);
	assert_killed_by(status, SIGSEGV);
}
