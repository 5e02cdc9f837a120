/*
 * Pictures for the tests, by the system's libraries: of two halves, left and right.
 *
 *   make_picture png|jpeg|webp WIDTH HEIGHT LEFT RIGHT [ORIENTATION] >FILE     colours as RRGGBBAA
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#define QUALITY     95
#define PIXEL_BYTES 4

struct drawing {
	unsigned int width, height;
	unsigned char *pixels; /* red, green, blue, alpha */
};

static void draw(struct drawing *drawing, unsigned long left, unsigned long right)
{
	unsigned char *to = drawing->pixels;

	for (unsigned int y = 0; y < drawing->height; y++)
		for (unsigned int x = 0; x < drawing->width; x++) {
			unsigned long colour = x < drawing->width / 2 ? left : right;

			for (int shift = 24; shift >= 0; shift -= 8)
				*to++ = (unsigned char)(colour >> shift);
		}
}

/* Exif of one tag, as a camera of the other byte order writes it. */
static void write_orientation(struct jpeg_compress_struct *jpeg, unsigned char orientation)
{
	unsigned char exif[] = {
		'E',  'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1,
		0x12, 0,   3,   0,   0, 0, 1,   0,   0, 0,  0, 0, 0, 0, 0, 0,
	};

	exif[25] = orientation;
	jpeg_write_marker(jpeg, JPEG_APP0 + 1, exif, sizeof(exif));
}

static int write_jpeg(const struct drawing *drawing, int orientation)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_stdio_dest(&jpeg, stdout);
	jpeg.image_width = drawing->width;
	jpeg.image_height = drawing->height;
	jpeg.input_components = PIXEL_BYTES;
	jpeg.in_color_space = JCS_EXT_RGBA;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, QUALITY, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	if (orientation)
		write_orientation(&jpeg, (unsigned char)orientation);
	while (jpeg.next_scanline < jpeg.image_height) {
		JSAMPROW row =
			drawing->pixels + (size_t)jpeg.next_scanline * drawing->width * PIXEL_BYTES;

		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return 0;
}

static int write_webp(const struct drawing *drawing)
{
	uint8_t *bytes = NULL;
	size_t count = WebPEncodeRGBA(drawing->pixels, (int)drawing->width, (int)drawing->height,
	                              (int)drawing->width * PIXEL_BYTES, QUALITY, &bytes);
	size_t written = fwrite(bytes, 1, count, stdout);

	WebPFree(bytes);
	return count == 0 || written < count;
}

static int write_png(const struct drawing *drawing)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = drawing->width,
		.height = drawing->height,
		.format = PNG_FORMAT_RGBA,
	};

	return !png_image_write_to_stdio(&image, stdout, 0, drawing->pixels, 0, NULL);
}

int main(int count, char **arguments)
{
	struct drawing drawing;
	int failed;

	if (count < 6)
		return 2;
	drawing.width = (unsigned int)strtoul(arguments[2], NULL, 10);
	drawing.height = (unsigned int)strtoul(arguments[3], NULL, 10);
	drawing.pixels = malloc((size_t)drawing.width * drawing.height * PIXEL_BYTES);
	if (!drawing.pixels)
		return 1;
	draw(&drawing, strtoul(arguments[4], NULL, 16), strtoul(arguments[5], NULL, 16));
	if (strcmp(arguments[1], "png") == 0)
		failed = write_png(&drawing);
	else if (strcmp(arguments[1], "jpeg") == 0)
		failed = write_jpeg(&drawing, count > 6 ? atoi(arguments[6]) : 0);
	else
		failed = write_webp(&drawing);
	free(drawing.pixels);
	return failed || fflush(stdout) != 0;
}
