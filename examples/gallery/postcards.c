/*
 * A folder of pictures to try gallery on: nine views of an ayre, which is a strip of shingle between
 * two islands, and files that are no pictures, or that are meant to do harm.
 *
 *   postcards DIRECTORY
 *
 * What ends in .evil is for a decoder that was taken over (`gallery --module evil=...`); what it is
 * to do is the word in it.
 */
#include <cairo.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"

#define WIDTH       480
#define HEIGHT      320
#define HORIZON     190.0
#define PIXEL_BYTES 4
#define TORN_BYTES  6000

struct view {
	const char *name, *kind;
	uint32_t zenith, glow, sea, far, near, shingle; /* colours, RRGGBB */
	double light_x, light_y, light_radius;
	uint32_t light;
	int stars, rain;
};

static const struct view views[] = {
	{"1-dawn.png", "png", 0x2b3a67, 0xf7b267, 0x496a81, 0x6d597a, 0x355070, 0xd9c5a0, 120, 178,
         26, 0xffe8b0, 0, 0},
	{"2-morning.jpg", "jpeg", 0x6fb1e0, 0xe8f4fa, 0x3c8dae, 0x7d9f85, 0x4a7c59, 0xe6d5b0, 330,
         70, 22, 0xfff6d0, 0, 0},
	{"3-noon.webp", "webp", 0x2a86d1, 0xbfe3f5, 0x1f9ea8, 0x63a375, 0x3d7a4f, 0xf2e3bc, 240, 40,
         24, 0xfffbe6, 0, 0},
	{"4-rain.png", "png", 0x59656f, 0xa4b0b5, 0x52656b, 0x6b7a7c, 0x47565a, 0x9b9484, 400, 60,
         0, 0xffffff, 0, 260},
	{"5-evening.jpg", "jpeg", 0x54386b, 0xff8c5a, 0x7d4e6d, 0x713e5a, 0x42253b, 0xc98f70, 350,
         172, 30, 0xffd27a, 0, 0},
	{"6-dusk.webp", "webp", 0x1b2845, 0xb56576, 0x2f3e5e, 0x3d405b, 0x22263f, 0x8d7b86, 90, 110,
         12, 0xf4f1de, 60, 0},
	{"7-night.png", "png", 0x070b1a, 0x1d2d50, 0x0f1a30, 0x182338, 0x0b1220, 0x4a5261, 360, 66,
         20, 0xf1f3e0, 170, 0},
	{"8-winter.jpg", "jpeg", 0x9fb8cc, 0xf3ede6, 0x7c97a8, 0xdfe7ec, 0xf4f7f9, 0xcfc9bd, 150,
         120, 18, 0xffffff, 0, 0},
	{"9-spring.webp", "webp", 0x86c5da, 0xfdf0d5, 0x5aa9a3, 0x9cc08b, 0x76a65b, 0xecdcc0, 420,
         130, 20, 0xfff1c9, 0, 0},
};

/* 41 bytes that say they are a picture of 60000 x 60000 pixels, 10 gigabytes. */
static const uint8_t bomb[] = {
	0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
	0x44, 0x52, 0x00, 0x00, 0xea, 0x60, 0x00, 0x00, 0xea, 0x60, 0x08, 0x02, 0x00, 0x00,
	0x00, 0x0f, 0xb0, 0xe2, 0x15, 0x00, 0x00, 0x10, 0x00, 'I',  'D',  'A',  'T',
};

static const char letter[] = "Dear reader, this is no picture.\n";

static void use_colour(cairo_t *cairo, uint32_t colour, double alpha)
{
	cairo_set_source_rgba(cairo, (colour >> 16) / 255.0, (colour >> 8 & 255) / 255.0,
	                      (colour & 255) / 255.0, alpha);
}

static void add_stop(cairo_pattern_t *pattern, double place, uint32_t colour, double alpha)
{
	cairo_pattern_add_color_stop_rgba(pattern, place, (colour >> 16) / 255.0,
	                                  (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0,
	                                  alpha);
}

/* From one colour above to another below. */
static void fill_band(cairo_t *cairo, double top, double bottom, uint32_t above, uint32_t below)
{
	cairo_pattern_t *pattern = cairo_pattern_create_linear(0, top, 0, bottom);

	add_stop(pattern, 0, above, 1);
	add_stop(pattern, 1, below, 1);
	cairo_set_source(cairo, pattern);
	cairo_rectangle(cairo, 0, top, WIDTH, bottom - top);
	cairo_fill(cairo);
	cairo_pattern_destroy(pattern);
}

static void draw_light(cairo_t *cairo, const struct view *view)
{
	cairo_pattern_t *glow =
		cairo_pattern_create_radial(view->light_x, view->light_y, view->light_radius,
	                                    view->light_x, view->light_y, view->light_radius * 5);

	add_stop(glow, 0, view->light, 0.55);
	add_stop(glow, 1, view->light, 0);
	cairo_set_source(cairo, glow);
	cairo_rectangle(cairo, 0, 0, WIDTH, HORIZON);
	cairo_fill(cairo);
	cairo_pattern_destroy(glow);
	use_colour(cairo, view->light, 1);
	cairo_arc(cairo, view->light_x, view->light_y, view->light_radius, 0, 2 * M_PI);
	cairo_fill(cairo);
}

static void draw_stars(cairo_t *cairo, const struct view *view, unsigned short seed[3])
{
	for (int i = 0; i < view->stars; i++) {
		use_colour(cairo, 0xffffff, 0.3 + 0.6 * erand48(seed));
		cairo_arc(cairo, WIDTH * erand48(seed), HORIZON * 0.9 * erand48(seed),
		          0.5 + 0.8 * erand48(seed), 0, 2 * M_PI);
		cairo_fill(cairo);
	}
}

/* An island: a hill whose foot lies on a line. */
static void draw_hill(cairo_t *cairo, double left, double right, double foot, double height,
                      uint32_t colour)
{
	double width = right - left;

	cairo_move_to(cairo, left, foot);
	cairo_curve_to(cairo, left + width * 0.2, foot - height * 0.2, left + width * 0.3,
	               foot - height * 1.1, left + width * 0.45, foot - height);
	cairo_curve_to(cairo, left + width * 0.6, foot - height * 0.9, left + width * 0.75,
	               foot - height * 0.25, right, foot);
	cairo_close_path(cairo);
	use_colour(cairo, colour, 1);
	cairo_fill(cairo);
}

/* What the light leaves on the water. */
static void draw_glitter(cairo_t *cairo, const struct view *view, unsigned short seed[3])
{
	for (int i = 0; i < 70; i++) {
		double depth = erand48(seed), spread = 12 + 70 * depth;

		use_colour(cairo, view->light, 0.22 * (1 - depth) + 0.05);
		cairo_rectangle(cairo, view->light_x + spread * (erand48(seed) - 0.5),
		                HORIZON + 4 + (HEIGHT - HORIZON) * depth, 8 + 22 * depth, 1.2);
		cairo_fill(cairo);
	}
}

/* The strip itself: from the island in the distance to the one in front. */
static void draw_ayre(cairo_t *cairo, const struct view *view, unsigned short seed[3])
{
	cairo_move_to(cairo, 128, HORIZON + 10);
	cairo_curve_to(cairo, 220, HORIZON + 12, 330, HORIZON + 40, 392, HEIGHT);
	cairo_line_to(cairo, 300, HEIGHT);
	cairo_curve_to(cairo, 280, HORIZON + 60, 190, HORIZON + 20, 118, HORIZON + 13);
	cairo_close_path(cairo);
	use_colour(cairo, view->shingle, 1);
	cairo_fill_preserve(cairo);
	cairo_clip(cairo);
	for (int i = 0; i < 500; i++) {
		double depth = erand48(seed);

		use_colour(cairo, i % 2 ? view->near : 0xffffff, 0.25);
		cairo_arc(cairo, 110 + 290 * erand48(seed), HORIZON + (HEIGHT - HORIZON) * depth,
		          0.4 + 1.6 * depth, 0, 2 * M_PI);
		cairo_fill(cairo);
	}
	cairo_reset_clip(cairo);
}

static void draw_rain(cairo_t *cairo, const struct view *view, unsigned short seed[3])
{
	use_colour(cairo, 0xffffff, 0.25);
	cairo_set_line_width(cairo, 1);
	for (int i = 0; i < view->rain; i++) {
		cairo_move_to(cairo, WIDTH * erand48(seed), HEIGHT * erand48(seed));
		cairo_rel_line_to(cairo, -4, 16);
	}
	cairo_stroke(cairo);
}

static void draw_view(cairo_t *cairo, const struct view *view)
{
	/* The same picture each time. */
	unsigned short seed[3] = {1, 2, 3};

	fill_band(cairo, 0, HORIZON, view->zenith, view->glow);
	draw_stars(cairo, view, seed);
	if (view->light_radius > 0)
		draw_light(cairo, view);
	fill_band(cairo, HORIZON, HEIGHT, view->glow, view->sea);
	fill_band(cairo, HORIZON + 14, HEIGHT, view->sea, view->near);
	draw_glitter(cairo, view, seed);
	draw_hill(cairo, 20, 190, HORIZON + 12, 70, view->far);
	draw_ayre(cairo, view, seed);
	draw_hill(cairo, 250, WIDTH + 190, HEIGHT + 30, 120, view->near);
	draw_rain(cairo, view, seed);
}

/* Cairo's pixels, which have no alpha here, as encode.h wants them. */
static uint8_t *take_pixels(cairo_surface_t *surface)
{
	const uint8_t *from = cairo_image_surface_get_data(surface);
	size_t stride = (size_t)cairo_image_surface_get_stride(surface);
	uint8_t *pixels = malloc((size_t)WIDTH * HEIGHT * PIXEL_BYTES), *to = pixels;

	for (size_t y = 0; pixels && y < HEIGHT; y++)
		for (size_t x = 0; x < WIDTH; x++, to += PIXEL_BYTES) {
			uint32_t pixel;

			memcpy(&pixel, from + y * stride + x * sizeof(pixel), sizeof(pixel));
			to[0] = (uint8_t)(pixel >> 16);
			to[1] = (uint8_t)(pixel >> 8);
			to[2] = (uint8_t)pixel;
			to[3] = 255;
		}
	return pixels;
}

static bool close_written(FILE *file, const char *name, bool is_written)
{
	is_written = file && fclose(file) == 0 && is_written;
	if (!is_written)
		fprintf(stderr, "postcards: %s: %s\n", name, strerror(errno));
	return is_written;
}

static bool write_view(const struct view *view)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
	cairo_t *cairo = cairo_create(surface);
	struct drawing drawing = {WIDTH, HEIGHT, NULL};
	FILE *file = fopen(view->name, "we");
	bool is_written = false;

	draw_view(cairo, view);
	cairo_surface_flush(surface);
	if (file && cairo_status(cairo) == CAIRO_STATUS_SUCCESS)
		drawing.pixels = take_pixels(surface);
	if (drawing.pixels)
		is_written = encode(view->kind, &drawing, 0, file);
	free(drawing.pixels);
	cairo_destroy(cairo);
	cairo_surface_destroy(surface);
	return close_written(file, view->name, is_written);
}

static bool write_bytes(const char *name, const void *bytes, size_t count)
{
	FILE *file = fopen(name, "we");

	return close_written(file, name, file && fwrite(bytes, 1, count, file) == count);
}

int main(int count, char **arguments)
{
	static const char *const deeds[] = {"crash", "eat", "hang", "passwd", "socket", "stack"};
	struct view torn = views[4];
	bool is_written = true;
	char name[64], text[64];

	if (count != 2) {
		fprintf(stderr, "usage: postcards DIRECTORY\n");
		return 2;
	}
	if ((mkdir(arguments[1], 0777) == -1 && errno != EEXIST) || chdir(arguments[1]) == -1) {
		fprintf(stderr, "postcards: %s: %s\n", arguments[1], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(views) / sizeof(*views); i++)
		is_written = write_view(&views[i]) && is_written;
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		snprintf(name, sizeof(name), "%s.evil", deeds[i]);
		snprintf(text, sizeof(text), "%s\n", deeds[i]);
		is_written = write_bytes(name, text, strlen(text)) && is_written;
	}
	is_written = write_bytes("bomb.png", bomb, sizeof(bomb)) && is_written;
	is_written = write_bytes("letter.jpg", letter, strlen(letter)) && is_written;
	torn.name = "torn.jpg";
	is_written = write_view(&torn) && is_written;
	return !is_written || truncate(torn.name, TORN_BYTES) == -1;
}
