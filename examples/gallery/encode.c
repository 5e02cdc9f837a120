/*
 * PNG, JPEG and WebP by the system's libraries; see encode.h.
 */
#include "encode.h"

#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#define QUALITY     95
#define PIXEL_BYTES 4

/* Exif of one tag, as a camera of the other byte order writes it. */
static void write_orientation(struct jpeg_compress_struct *jpeg, uint8_t orientation)
{
	unsigned char exif[] = {
		'E',  'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1,
		0x12, 0,   3,   0,   0, 0, 1,   0,   0, 0,  0, 0, 0, 0, 0, 0,
	};

	exif[25] = orientation;
	jpeg_write_marker(jpeg, JPEG_APP0 + 1, exif, sizeof(exif));
}

static bool write_jpeg(const struct drawing *drawing, uint8_t orientation, FILE *to)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_stdio_dest(&jpeg, to);
	jpeg.image_width = drawing->width;
	jpeg.image_height = drawing->height;
	jpeg.input_components = PIXEL_BYTES;
	jpeg.in_color_space = JCS_EXT_RGBA;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, QUALITY, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	if (orientation)
		write_orientation(&jpeg, orientation);
	while (jpeg.next_scanline < jpeg.image_height) {
		JSAMPROW row =
			drawing->pixels + (size_t)jpeg.next_scanline * drawing->width * PIXEL_BYTES;

		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return true;
}

static bool write_webp(const struct drawing *drawing, FILE *to)
{
	uint8_t *bytes = NULL;
	size_t count = WebPEncodeRGBA(drawing->pixels, (int)drawing->width, (int)drawing->height,
	                              (int)drawing->width * PIXEL_BYTES, QUALITY, &bytes);
	size_t written = fwrite(bytes, 1, count, to);

	WebPFree(bytes);
	return count > 0 && written == count;
}

static bool write_png(const struct drawing *drawing, FILE *to)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = drawing->width,
		.height = drawing->height,
		.format = PNG_FORMAT_RGBA,
	};

	return png_image_write_to_stdio(&image, to, 0, drawing->pixels, 0, NULL);
}

bool encode(const char *kind, const struct drawing *drawing, uint8_t orientation, FILE *to)
{
	bool is_written = strcmp(kind, "png") == 0    ? write_png(drawing, to)
	                  : strcmp(kind, "webp") == 0 ? write_webp(drawing, to)
	                                              : write_jpeg(drawing, orientation, to);

	return is_written && fflush(to) == 0;
}
