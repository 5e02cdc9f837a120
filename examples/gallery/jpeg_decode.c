/*
 * A module of gallery: JPEG, by the system's libjpeg-turbo, which makes it smaller on the way as
 * far as it can, so that a large photograph costs little. Turned as the camera was held.
 *
 * Invariant: libjpeg returns from an error by longjmp to decode(), and nowhere else.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "exif.h"
#include "shrink.h"

#define SCALE 8 /* libjpeg makes 1/8 to 8/8 of a picture */

struct decoding {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf failed;
	char message[JMSG_LENGTH_MAX + 32];
	struct shrink shrink;
	uint8_t *row;
	int orientation;
	struct tile_request room;
};

__attribute__((visibility("default"))) int decode(const struct ayre_request *request,
                                                  struct ayre_reply *reply);

static struct decoding *decoding_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

static _Noreturn void fail(j_common_ptr jpeg)
{
	struct decoding *decoding = decoding_of(jpeg);
	char text[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, text);
	snprintf(decoding->message, sizeof(decoding->message), "damaged JPEG: %s", text);
	longjmp(decoding->failed, 1);
}

static _Noreturn void refuse(struct decoding *decoding, const char *why)
{
	snprintf(decoding->message, sizeof(decoding->message), "%s", why);
	longjmp(decoding->failed, 1);
}

/* After some complaints libjpeg goes on with grey where the picture was. The rest has no weight. */
static void judge(j_common_ptr jpeg, int level)
{
	int code = jpeg->err->msg_code;

	if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
	                  code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE))
		fail(jpeg);
}

static void begin(struct decoding *decoding, const struct ayre_request *request)
{
	struct jpeg_decompress_struct *jpeg = &decoding->jpeg;

	decoding->room = shrink_room(request);
	jpeg->err = jpeg_std_error(&decoding->errors);
	jpeg->err->error_exit = fail;
	jpeg->err->emit_message = judge;
	jpeg->client_data = decoding;
	jpeg_create_decompress(jpeg);
	jpeg_mem_src(jpeg, request->input, request->input_bytes);
	jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(jpeg, TRUE);
}

static void find_orientation(struct decoding *decoding)
{
	jpeg_saved_marker_ptr marker = decoding->jpeg.marker_list;

	decoding->orientation = 1;
	for (; marker && decoding->orientation == 1; marker = marker->next)
		decoding->orientation = exif_orientation(marker->data, marker->data_length);
	/* The room is for what is seen, and the rows come as they were taken. */
	if (decoding->orientation >= 5)
		decoding->room = (struct tile_request){decoding->room.height, decoding->room.width};
}

/* The smallest that is no smaller than the tile. */
static void choose_scale(struct decoding *decoding)
{
	struct jpeg_decompress_struct *jpeg = &decoding->jpeg;

	jpeg->scale_denom = SCALE;
	for (jpeg->scale_num = 1; jpeg->scale_num < SCALE; jpeg->scale_num++) {
		jpeg_calc_output_dimensions(jpeg);
		if (jpeg->output_width >= decoding->room.width ||
		    jpeg->output_height >= decoding->room.height)
			return;
	}
}

/* Ink to light. Programs write the inverse of ink, as Adobe's did first. */
static void from_ink(uint8_t *row, uint32_t width)
{
	for (uint8_t *pixel = row; width > 0; width--, pixel += TILE_PIXEL_BYTES) {
		for (int i = 0; i < 3; i++)
			pixel[i] = (uint8_t)(pixel[i] * pixel[3] / 255);
		pixel[3] = 255;
	}
}

static void read_rows(struct decoding *decoding)
{
	struct jpeg_decompress_struct *jpeg = &decoding->jpeg;
	bool is_ink = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
	const char *why;

	jpeg->out_color_space = is_ink ? JCS_CMYK : JCS_EXT_RGBA;
	choose_scale(decoding);
	jpeg_start_decompress(jpeg);
	why = shrink_begin(&decoding->shrink, jpeg->output_width, jpeg->output_height,
	                   decoding->room.width, decoding->room.height);
	if (why)
		refuse(decoding, why);
	decoding->row = malloc((size_t)jpeg->output_width * TILE_PIXEL_BYTES);
	if (!decoding->row)
		refuse(decoding, "out of memory");
	while (jpeg->output_scanline < jpeg->output_height) {
		jpeg_read_scanlines(jpeg, &decoding->row, 1);
		if (is_ink)
			from_ink(decoding->row, jpeg->output_width);
		shrink_row(&decoding->shrink, decoding->row);
	}
	jpeg_finish_decompress(jpeg);
}

int decode(const struct ayre_request *request, struct ayre_reply *reply)
{
	static struct decoding decoding;

	if (request->input_bytes < 3 || memcmp(request->input, "\xff\xd8\xff", 3) != 0)
		return shrink_fail(reply, "not a JPEG");
	if (setjmp(decoding.failed))
		return shrink_fail(reply, decoding.message);
	begin(&decoding, request);
	find_orientation(&decoding);
	read_rows(&decoding);
	return shrink_finish(&decoding.shrink, decoding.orientation, decoding.jpeg.image_width,
	                     decoding.jpeg.image_height, reply);
}
