/*
 * A module of gallery: PNG, by the system's libpng and its simplified interface. It runs in a
 * process that has nothing but the picture, so what a damaged one does to libpng it does to that
 * process.
 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

#include "shrink.h"

__attribute__((visibility("default"))) int decode(const struct ayre_request *request,
                                                  struct ayre_reply *reply);

static int fail(const png_image *image, struct ayre_reply *reply)
{
	char text[128];

	snprintf(text, sizeof(text), "damaged PNG: %.64s", image->message);
	return shrink_fail(reply, text);
}

int decode(const struct ayre_request *request, struct ayre_reply *reply)
{
	struct tile_request room = shrink_room(request);
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct shrink shrink;
	const char *why;
	uint8_t *pixels;

	if (!request->input || request->input_bytes < 8 || png_sig_cmp(request->input, 0, 8) != 0)
		return shrink_fail(reply, "not a PNG");
	if (!png_image_begin_read_from_memory(&image, request->input, request->input_bytes))
		return fail(&image, reply);
	image.format = PNG_FORMAT_RGBA;
	why = shrink_begin(&shrink, image.width, image.height, room.width, room.height);
	if (why)
		return shrink_fail(reply, why);
	pixels = malloc((size_t)image.width * image.height * TILE_PIXEL_BYTES);
	if (!pixels)
		return shrink_fail(reply, "too large for the memory that a picture has");
	if (!png_image_finish_read(&image, NULL, pixels, 0, NULL))
		return fail(&image, reply);
	for (uint32_t y = 0; y < image.height; y++)
		shrink_row(&shrink, pixels + (size_t)y * image.width * TILE_PIXEL_BYTES);
	return shrink_finish(&shrink, 1, image.width, image.height, reply);
}
