/*
 * What gallery and its modules say to each other. A module has a function `decode`: the picture is
 * its input, the request is a struct tile_request. It answers 0 and a struct tile_header with the
 * pixels behind it, or another number and a line of text that says why not.
 *
 * Invariant: pixels are four bytes, red, green, blue and alpha, not premultiplied, so that any
 * bytes at all are some picture. Only the four numbers of the header can be wrong, and gallery
 * judges its own copy of them.
 */
#pragma once

#include <stdint.h>

#define TILE_PIXEL_BYTES 4

/* The room that there is: the picture is made smaller to fit, and never larger. */
struct tile_request {
	uint32_t width, height;
};

struct tile_header {
	uint32_t width, height;                   /* of the pixels that follow */
	uint32_t original_width, original_height; /* of the picture */
};
