/*
 * The images of `ayre bench worker`, by libpng: part of its module where there is one.
 */
#include "command/bench_module.h"

#include <png.h>

int bench_png_encode(const struct ayre_request *request, struct ayre_reply *reply)
{
	const struct bench_image *size = request->data;
	png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB};
	png_alloc_size_t bytes = reply->capacity;

	if (request->bytes < sizeof(*size))
		return 1;
	image.width = size->width;
	image.height = size->height;
	if (request->bytes - sizeof(*size) < PNG_IMAGE_SIZE(image))
		return 2;
	if (!png_image_write_to_memory(&image, reply->data, &bytes, 0, size + 1, 0, NULL))
		return 3;
	reply->bytes = bytes;
	return 0;
}

int bench_png_decode(const struct ayre_request *request, struct ayre_reply *reply)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct bench_image *size = reply->data;

	if (!png_image_begin_read_from_memory(&image, request->data, request->bytes))
		return 1;
	image.format = PNG_FORMAT_RGBA;
	if (reply->capacity < sizeof(*size) ||
	    PNG_IMAGE_SIZE(image) > reply->capacity - sizeof(*size)) {
		png_image_free(&image);
		return 2;
	}
	*size = (struct bench_image){.width = image.width, .height = image.height};
	if (!png_image_finish_read(&image, NULL, size + 1, 0, NULL))
		return 3;
	reply->bytes = sizeof(*size) + PNG_IMAGE_SIZE(image);
	return 0;
}
