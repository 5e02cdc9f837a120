/*
 * Pictures are written by the libraries that the decoders read them with. For postcards.c and for the tests;
 * gallery itself has none of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct drawing {
	uint32_t width, height;
	uint8_t *pixels; /* four bytes each: red, green, blue, alpha; not premultiplied */
};

/* As png, jpeg or webp. A JPEG says of itself how the camera was held, if orientation is not 0. */
bool encode(const char *kind, const struct drawing *drawing, uint8_t orientation, FILE *to);
