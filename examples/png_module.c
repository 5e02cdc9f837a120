/*
 * A module for png_size.c and worker_pool.c: decodes PNG by libpng. Width and height, then the pixels, four
 * bytes each.
 *
 * Compiled by
 *
 *   cc -shared -fPIC -o png_module.so png_module.c $(pkg-config --cflags ayre) -lpng
 */
#include <ayre/module.h>
#include <png.h>
#include <stdint.h>

int decode(const struct ayre_request *request, struct ayre_reply *reply)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	const void *png = request->input ? request->input : request->data;
	size_t bytes = request->input ? request->input_bytes : request->bytes;
	uint32_t *size = reply->data;

	if (!png_image_begin_read_from_memory(&image, png, bytes))
		return 1;
	image.format = PNG_FORMAT_RGBA;
	if (PNG_IMAGE_SIZE(image) > reply->capacity - 2 * sizeof(*size))
		return 2;
	size[0] = image.width;
	size[1] = image.height;
	if (!png_image_finish_read(&image, NULL, size + 2, 0, NULL))
		return 3;
	reply->bytes = 2 * sizeof(*size) + PNG_IMAGE_SIZE(image);
	return 0;
}
