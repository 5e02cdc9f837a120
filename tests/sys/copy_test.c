/*
 * Copies of every length and at every place: what was to be copied is, and nothing beside it is read or
 * written.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/copy.h"
#include "topic/lane.h"

#define ROOM   (1u << 18)
#define MARK   0xA5
#define AROUND 64u /* bytes that are looked at on either side */
#define SPREAD 128u

/* Memory behind which none is to be touched. */
static unsigned char *fenced(void)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *memory =
		mmap(NULL, ROOM + 2 * (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory + page, ROOM, PROT_READ | PROT_WRITE), 0);
	return memory + page;
}

typedef void copy_function(void *to, const void *from, size_t bytes);

static void plain(void *to, const void *from, size_t bytes)
{
	ayrei_copy(to, from, bytes);
}

static void in_lane(void *to, const void *from, size_t bytes)
{
	ayrei_lane_copy(to, from, bytes);
}

static copy_function *const copies[] = {plain, in_lane};

static void check(copy_function *copy, unsigned char *to, const unsigned char *from, size_t bytes)
{
	memset(to - AROUND, MARK, bytes + 2 * AROUND);
	copy(to, from, bytes);
	assert_memory_equal(to, from, bytes);
	for (size_t i = 1; i <= AROUND; i++) {
		assert_int_equal(to[-(ptrdiff_t)i], MARK);
		assert_int_equal(to[bytes + i - 1], MARK);
	}
}

static void fill(unsigned char *memory)
{
	for (size_t i = 0; i < ROOM; i++)
		memory[i] = (unsigned char)(i * 131 + (i >> 8) * 7);
}

static void every_length_at_every_place(void **state)
{
	unsigned char *to = fenced(), *from = fenced();

	(void)state;
	fill(from);
	for (size_t i = 0; i < 2; i++)
		for (size_t bytes = 0; bytes <= 300; bytes++)
			for (size_t at = 0; at < 64; at += bytes < 80 ? 1 : 7)
				check(copies[i], to + SPREAD + at, from + (at * 5 + bytes) % 64,
				      bytes);
}

/* Around where another way of copying begins, and where destination and source alias in a page. */
static void long_ones_at_every_place(void **state)
{
	static const size_t lengths[] = {1023, 2047, 2048, 2049, 2111, 2112, 4095, 4096, 65537};
	unsigned char *to = fenced(), *from = fenced();

	(void)state;
	fill(from);
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++)
			for (size_t at = 0; at < 64; at++) {
				check(copies[i], to + SPREAD + at, from + 128, lengths[j]);
				check(copies[i], to + SPREAD, from + at, lengths[j]);
			}
}

/* A byte too far at either end is a fault. */
static void nothing_beyond_either_end_is_touched(void **state)
{
	unsigned char *to = fenced(), *from = fenced();

	(void)state;
	fill(from);
	for (size_t i = 0; i < 2; i++)
		for (size_t bytes = 0; bytes < 5000; bytes += bytes < 300 ? 1 : 61) {
			copies[i](to, from, bytes);
			assert_memory_equal(to, from, bytes);
			copies[i](to + ROOM - bytes, from + ROOM - bytes, bytes);
			assert_memory_equal(to + ROOM - bytes, from + ROOM - bytes, bytes);
			copies[i](to, from + ROOM - bytes, bytes);
			assert_memory_equal(to, from + ROOM - bytes, bytes);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_at_every_place),
		cmocka_unit_test(long_ones_at_every_place),
		cmocka_unit_test(nothing_beyond_either_end_is_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
