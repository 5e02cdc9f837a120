/*
 * The contact sheet: a grid of tiles, each with its caption. It is laid out before anything is
 * decoded, and each picture is drawn when it comes, so that no more pictures are in memory than the
 * sheet has.
 *
 * Invariant: what is drawn for one picture lies within its cell.
 */
#include <cairo.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caption.h"
#include "gallery.h"
#include "sheet_file.h"

#define SIDE_MAX 32767 /* cairo's */
#define ASPECT   1.5   /* of the whole, as near as can be */
#define FONT     "DejaVu Sans"
#define CHECKER  8 /* pixels */

/* Of the tiles together, pixels. */
#define WIDTH_MIN 300

#define SIGN_HEIGHT 0.76 /* of its width */
#define LINE_HEIGHT 1.3  /* of the font */

struct colour {
	double red, green, blue;
};

static const struct colour ground = {0.129, 0.137, 0.149}, mat = {0.176, 0.184, 0.200},
			   edge = {0.28, 0.29, 0.31}, bright = {0.91, 0.92, 0.93},
			   dim = {0.58, 0.60, 0.63}, light_square = {0.80, 0.80, 0.80},
			   dark_square = {0.62, 0.62, 0.62}, fault_mat = {0.255, 0.149, 0.149},
			   fault_edge = {0.545, 0.227, 0.220}, fault = {0.960, 0.560, 0.520};

struct sheet {
	cairo_surface_t *surface;
	cairo_t *cairo;
	uint32_t tile, columns, rows;
	uint32_t margin, gap, head, caption; /* pixels */
	double font;
};

static void use_colour(cairo_t *cairo, struct colour colour)
{
	cairo_set_source_rgb(cairo, colour.red, colour.green, colour.blue);
}

static void use_font(cairo_t *cairo, double size, bool is_bold)
{
	cairo_select_font_face(cairo, FONT, CAIRO_FONT_SLANT_NORMAL,
	                       is_bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(cairo, size);
}

static uint64_t width_of(const struct sheet *sheet)
{
	return 2 * (uint64_t)sheet->margin + sheet->columns * (uint64_t)(sheet->tile + sheet->gap) -
	       sheet->gap;
}

static uint64_t height_of(const struct sheet *sheet)
{
	uint64_t row = (uint64_t)sheet->tile + sheet->caption + sheet->gap;

	return 2 * (uint64_t)sheet->margin + sheet->head + sheet->rows * row - sheet->gap;
}

static int lay_out(struct sheet *sheet, uint32_t tile, size_t count)
{
	double cell_width, cell_height, columns;

	sheet->tile = tile;
	sheet->font = tile / 17.0 < 9 ? 9 : tile / 17.0 > 16 ? 16 : tile / 17.0;
	sheet->caption = (uint32_t)(sheet->font * 3.4);
	sheet->gap = tile / 10 < 10 ? 10 : tile / 10;
	sheet->margin = 2 * sheet->gap;
	sheet->head = (uint32_t)(sheet->font * 4.6);
	cell_width = tile + sheet->gap;
	cell_height = tile + sheet->gap + sheet->caption;
	columns = ceil(sqrt((double)count * ASPECT * cell_height / cell_width));
	/* Wide enough for the words above them. */
	columns = fmax(columns, ceil(WIDTH_MIN / cell_width));
	if (count == 0 || columns * cell_width > SIDE_MAX)
		return -EFBIG;
	sheet->columns = (uint32_t)columns;
	sheet->rows = (uint32_t)((count + sheet->columns - 1) / sheet->columns);
	return width_of(sheet) > SIDE_MAX || height_of(sheet) > SIDE_MAX ? -EFBIG : 0;
}

int sheet_open(uint32_t tile, size_t count, struct sheet **ret_sheet)
{
	struct sheet *sheet = calloc(1, sizeof(*sheet));
	int result = sheet ? lay_out(sheet, tile, count) : -ENOMEM;

	if (result < 0) {
		free(sheet);
		return result;
	}
	sheet->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width_of(sheet),
	                                            (int)height_of(sheet));
	sheet->cairo = cairo_create(sheet->surface);
	if (cairo_status(sheet->cairo) != CAIRO_STATUS_SUCCESS) {
		sheet_close(sheet);
		return -ENOMEM;
	}
	use_colour(sheet->cairo, ground);
	cairo_paint(sheet->cairo);
	cairo_set_line_width(sheet->cairo, 1);
	*ret_sheet = sheet;
	return 0;
}

void sheet_close(struct sheet *sheet)
{
	if (!sheet)
		return;
	cairo_destroy(sheet->cairo);
	cairo_surface_destroy(sheet->surface);
	/* Fonts; what looks for leaks would find them. */
	cairo_debug_reset_static_data();
	free(sheet);
}

struct sheet_place sheet_place_of(const struct sheet *sheet, size_t number)
{
	uint32_t column = (uint32_t)(number % sheet->columns);
	uint32_t row = (uint32_t)(number / sheet->columns);

	return (struct sheet_place){
		.x = sheet->margin + column * (sheet->tile + sheet->gap),
		.y = sheet->margin + sheet->head +
	             row * (sheet->tile + sheet->caption + sheet->gap),
		.width = sheet->tile,
		.height = sheet->tile,
	};
}

/* --- one tile --- */

static void fill_box(cairo_t *cairo, const struct sheet_place *box, struct colour colour)
{
	cairo_rectangle(cairo, box->x, box->y, box->width, box->height);
	use_colour(cairo, colour);
	cairo_fill(cairo);
}

/* Just within, on whole pixels. */
static void draw_edge(cairo_t *cairo, const struct sheet_place *box, struct colour colour)
{
	cairo_rectangle(cairo, box->x + 0.5, box->y + 0.5, box->width - 1.0, box->height - 1.0);
	use_colour(cairo, colour);
	cairo_stroke(cairo);
}

static void draw_name(struct sheet *sheet, const struct sheet_place *box, const char *name,
                      const char *note, struct colour colour)
{
	double centre = box->x + box->width / 2.0, foot = box->y + box->height;

	use_font(sheet->cairo, sheet->font, false);
	use_colour(sheet->cairo, colour);
	caption_line(sheet->cairo, name, centre, foot + sheet->font * 1.5, box->width);
	use_font(sheet->cairo, sheet->font * 0.82, false);
	use_colour(sheet->cairo, dim);
	caption_line(sheet->cairo, note, centre, foot + sheet->font * 2.75, box->width);
}

static bool is_opaque(const uint8_t *pixels, size_t count)
{
	uint8_t all = 255;

	for (size_t i = 0; i < count; i++)
		all &= pixels[i * TILE_PIXEL_BYTES + 3];
	return all == 255;
}

/* Behind what can be seen through. */
static void draw_squares(cairo_t *cairo, const struct sheet_place *box)
{
	fill_box(cairo, box, light_square);
	for (uint32_t y = 0; y < box->height; y += CHECKER)
		for (uint32_t x = y / CHECKER % 2 * CHECKER; x < box->width; x += 2 * CHECKER)
			cairo_rectangle(cairo, box->x + x, box->y + y,
			                fmin(CHECKER, box->width - x),
			                fmin(CHECKER, box->height - y));
	use_colour(cairo, dark_square);
	cairo_fill(cairo);
}

/* cairo's pixels: one word each, colours multiplied by alpha. */
static void convert(const uint8_t *pixel, uint32_t *word)
{
	uint32_t alpha = pixel[3], red = (pixel[0] * alpha + 127) / 255;
	uint32_t green = (pixel[1] * alpha + 127) / 255, blue = (pixel[2] * alpha + 127) / 255;

	*word = alpha << 24 | red << 16 | green << 8 | blue;
}

static void draw_pixels(cairo_t *cairo, const struct sheet_place *box, const uint8_t *pixels)
{
	cairo_surface_t *image =
		cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)box->width, (int)box->height);
	size_t stride = (size_t)cairo_image_surface_get_stride(image);
	unsigned char *to = cairo_image_surface_get_data(image);

	for (size_t y = 0; to && y < box->height; y++)
		for (size_t x = 0; x < box->width; x++, pixels += TILE_PIXEL_BYTES) {
			uint32_t word;

			convert(pixels, &word);
			memcpy(to + y * stride + x * sizeof(word), &word, sizeof(word));
		}
	cairo_surface_mark_dirty(image);
	cairo_set_source_surface(cairo, image, box->x, box->y);
	cairo_paint(cairo);
	cairo_surface_destroy(image);
}

void sheet_show(struct sheet *sheet, size_t number, const char *name,
                const struct tile_header *header, const uint8_t *pixels)
{
	struct sheet_place box = sheet_place_of(sheet, number), inner = box;
	char note[64];

	inner.width = header->width;
	inner.height = header->height;
	inner.x += (box.width - inner.width) / 2;
	inner.y += (box.height - inner.height) / 2;
	fill_box(sheet->cairo, &box, mat);
	if (!is_opaque(pixels, (size_t)header->width * header->height))
		draw_squares(sheet->cairo, &inner);
	draw_pixels(sheet->cairo, &inner, pixels);
	draw_edge(sheet->cairo, &box, edge);
	snprintf(note, sizeof(note), "%u \xc3\x97 %u", header->original_width,
	         header->original_height);
	draw_name(sheet, &box, name, note, bright);
}

/* A frame, of a picture that is torn or that is not there. */
static void draw_sign(cairo_t *cairo, double x, double y, double size, bool is_torn)
{
	static const double crack[][2] = {{0.62, -0.1}, {0.42, 0.3}, {0.6, 0.5}, {0.38, 1.1}};

	use_colour(cairo, is_torn ? fault : dim);
	cairo_save(cairo);
	cairo_set_line_width(cairo, size / 11);
	cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
	cairo_rectangle(cairo, x - size / 2, y, size, size * SIGN_HEIGHT);
	cairo_new_sub_path(cairo);
	for (int i = 0; is_torn && i < 4; i++)
		cairo_line_to(cairo, x + (crack[i][0] - 0.5) * size,
		              y + crack[i][1] * size * SIGN_HEIGHT);
	cairo_stroke(cairo);
	cairo_restore(cairo);
}

/* The sign, what happened, and more of it below, all in the middle of the tile. */
static void draw_trouble(cairo_t *cairo, const struct sheet_place *box,
                         const struct trouble *trouble, bool is_failure)
{
	double font = fmin(fmax(box->width / 17.0, 8), 18), large = font * 1.12;
	double centre = box->x + box->width / 2.0, width = box->width * 0.9;
	double size = box->width * 0.2, height = size * SIGN_HEIGHT + large * 0.8, y;
	unsigned int what_lines, detail_lines;

	use_font(cairo, large, true);
	what_lines = caption_count(cairo, trouble->what, width, 2);
	height += what_lines * large * LINE_HEIGHT;
	use_font(cairo, font, false);
	detail_lines = (unsigned int)fmax(1, (box->height * 0.94 - height) / (font * LINE_HEIGHT));
	detail_lines = caption_count(cairo, trouble->detail, width, detail_lines);
	height += detail_lines * font * LINE_HEIGHT;
	y = box->y + (box->height - height) / 2;
	draw_sign(cairo, centre, y, size, is_failure);
	y += size * SIGN_HEIGHT + large * 0.8 + large;
	use_font(cairo, large, true);
	use_colour(cairo, is_failure ? fault : bright);
	caption_lines(cairo, trouble->what, centre, y, width, large * LINE_HEIGHT, what_lines);
	y += what_lines * large * LINE_HEIGHT;
	use_font(cairo, font, false);
	use_colour(cairo, is_failure ? bright : dim);
	caption_lines(cairo, trouble->detail, centre, y, width, font * LINE_HEIGHT, detail_lines);
}

void sheet_tell(struct sheet *sheet, size_t number, const char *name, const struct trouble *trouble,
                bool is_failure)
{
	struct sheet_place box = sheet_place_of(sheet, number);
	cairo_t *cairo = sheet->cairo;

	cairo_save(cairo);
	cairo_rectangle(cairo, box.x, box.y, box.width, box.height);
	cairo_clip(cairo);
	fill_box(cairo, &box, is_failure ? fault_mat : mat);
	draw_edge(cairo, &box, is_failure ? fault_edge : edge);
	draw_trouble(cairo, &box, trouble, is_failure);
	cairo_restore(cairo);
	draw_name(sheet, &box, name, "", bright);
}

void sheet_head(struct sheet *sheet, const char *title, const char *summary)
{
	double width = (double)(width_of(sheet) - 2 * sheet->margin);
	double centre = (double)width_of(sheet) / 2, y = sheet->margin + sheet->font * 1.2;

	use_font(sheet->cairo, sheet->font * 1.5, true);
	use_colour(sheet->cairo, bright);
	caption_line(sheet->cairo, title, centre, y, width);
	use_font(sheet->cairo, sheet->font, false);
	use_colour(sheet->cairo, dim);
	caption_line(sheet->cairo, summary, centre, y + sheet->font * 1.7, width);
}

int sheet_write(struct sheet *sheet, const char *path, bool (*should_stop)(void *), void *context)
{
	/* If something could not be drawn, for want of memory or a font, it is not all. */
	if (cairo_status(sheet->cairo) != CAIRO_STATUS_SUCCESS)
		return -ENOMEM;
	return sheet_file_write(sheet->surface, path, should_stop, context);
}
