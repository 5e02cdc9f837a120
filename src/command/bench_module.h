/*
 * What the module of `ayre bench worker` is asked, and what it answers. Its functions have the type
 * of ayre/module.h; those of images are there if the module was built with libpng.
 */
#pragma once

#include <stdint.h>

#include <ayre/module.h>

#define BENCH_FUNCTION(name) \
	__attribute__((visibility("default"))) int name(const struct ayre_request *request, \
	                                                struct ayre_reply *reply)

/* Of the time that is told by a fault's address, ns: where no program has anything mapped. */
#define BENCH_DEATH_MASK ((UINT64_C(1) << 40) - 1)

/* Answers with what it was asked. */
BENCH_FUNCTION(bench_echo);

/* Has so much memory from now on, all of it dirty; the request: a uint64_t, bytes. */
BENCH_FUNCTION(bench_fill);

/*
 * Dies by writing to an address that says when: CLOCK_MONOTONIC just before, as much of it as
 * BENCH_DEATH_MASK has. The host finds it in the report of the end.
 */
BENCH_FUNCTION(bench_die);

/* Before the pixels. */
struct bench_image {
	uint32_t width, height;
};

/* From three bytes a pixel to a PNG; and from that to four bytes a pixel. */
BENCH_FUNCTION(bench_png_encode);
BENCH_FUNCTION(bench_png_decode);
