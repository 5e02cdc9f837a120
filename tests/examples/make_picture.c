/*
 * Pictures for the tests, by the system's libraries: of two halves, left and right.
 *
 *   make_picture png|jpeg|webp WIDTH HEIGHT LEFT RIGHT [ORIENTATION] >FILE     colours as RRGGBBAA
 */
#include <stdlib.h>

#include "encode.h"

#define PIXEL_BYTES 4

static void draw(struct drawing *drawing, unsigned long left, unsigned long right)
{
	uint8_t *to = drawing->pixels;

	for (uint32_t y = 0; y < drawing->height; y++)
		for (uint32_t x = 0; x < drawing->width; x++) {
			unsigned long colour = x < drawing->width / 2 ? left : right;

			for (int shift = 24; shift >= 0; shift -= 8)
				*to++ = (uint8_t)(colour >> shift);
		}
}

int main(int count, char **arguments)
{
	struct drawing drawing;
	bool is_written;

	if (count < 6)
		return 2;
	drawing.width = (uint32_t)strtoul(arguments[2], NULL, 10);
	drawing.height = (uint32_t)strtoul(arguments[3], NULL, 10);
	drawing.pixels = malloc((size_t)drawing.width * drawing.height * PIXEL_BYTES);
	if (!drawing.pixels)
		return 1;
	draw(&drawing, strtoul(arguments[4], NULL, 16), strtoul(arguments[5], NULL, 16));
	is_written =
		encode(arguments[1], &drawing, count > 6 ? (uint8_t)atoi(arguments[6]) : 0, stdout);
	free(drawing.pixels);
	return !is_written;
}
