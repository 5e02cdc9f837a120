/*
 * Makes pictures smaller: each pixel of a tile is the mean of the area that it covers, with pixels
 * on the edge counted as far as they lie in it.
 *
 * Invariant: the weights of one tile pixel sum up to width * height, exactly, so no rounding adds
 * up. Colours are weighted by their alpha: what cannot be seen has no colour to give.
 */
#include "shrink.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tile.h"

static uint32_t at_least_one(uint64_t number)
{
	return number < 1 ? 1 : (uint32_t)number;
}

static void fit(struct shrink *shrink, uint64_t room_width, uint64_t room_height)
{
	uint64_t width = shrink->width, height = shrink->height;

	shrink->tile_width = (uint32_t)width;
	shrink->tile_height = (uint32_t)height;
	if (width <= room_width && height <= room_height)
		return;
	if (width * room_height > height * room_width) {
		shrink->tile_width = (uint32_t)room_width;
		shrink->tile_height = at_least_one((height * room_width + width / 2) / width);
	} else {
		shrink->tile_width = at_least_one((width * room_height + height / 2) / height);
		shrink->tile_height = (uint32_t)room_height;
	}
}

const char *shrink_begin(struct shrink *shrink, uint32_t width, uint32_t height,
                         uint32_t room_width, uint32_t room_height)
{
	size_t sums;

	if (width == 0 || height == 0 || width > SHRINK_SIDE_MAX || height > SHRINK_SIDE_MAX)
		return "its width or height cannot be";
	if (room_width == 0 || room_height == 0)
		return "no room was given for it";
	*shrink = (struct shrink){.width = width, .height = height};
	fit(shrink, room_width, room_height);
	sums = (size_t)shrink->tile_width * TILE_PIXEL_BYTES;
	shrink->line = calloc(sums, sizeof(*shrink->line));
	shrink->sums = calloc(sums, sizeof(*shrink->sums));
	shrink->pixels = calloc(sums, shrink->tile_height);
	return shrink->line && shrink->sums && shrink->pixels ? NULL : "out of memory";
}

static void add_pixel(uint64_t *sum, const uint8_t *pixel, uint64_t weight)
{
	uint64_t alpha = weight * pixel[3];

	for (int i = 0; i < 3; i++)
		sum[i] += alpha * pixel[i];
	sum[3] += alpha;
}

/*
 * Where a pixel of the source is 1 unit of tile_width wide, one of the tile is width units: the
 * former lies in one of the latter, or in two.
 */
static void make_line(struct shrink *shrink, const uint8_t *rgba)
{
	uint64_t unit = shrink->tile_width, edge = shrink->width, begin = 0;
	uint64_t *sum = shrink->line;

	memset(sum, 0, unit * TILE_PIXEL_BYTES * sizeof(*sum));
	for (uint32_t x = 0; x < shrink->width; x++, begin += unit) {
		uint64_t inside = edge - begin;

		if (inside > unit) {
			add_pixel(sum, rgba + (size_t)x * TILE_PIXEL_BYTES, unit);
			continue;
		}
		add_pixel(sum, rgba + (size_t)x * TILE_PIXEL_BYTES, inside);
		sum += TILE_PIXEL_BYTES;
		edge += shrink->width;
		if (unit > inside)
			add_pixel(sum, rgba + (size_t)x * TILE_PIXEL_BYTES, unit - inside);
	}
}

static void add_line(struct shrink *shrink, uint64_t weight)
{
	for (size_t i = 0; i < (size_t)shrink->tile_width * TILE_PIXEL_BYTES; i++)
		shrink->sums[i] += shrink->line[i] * weight;
}

static void end_tile_row(struct shrink *shrink)
{
	uint64_t weight = (uint64_t)shrink->width * shrink->height;
	size_t bytes = (size_t)shrink->tile_width * TILE_PIXEL_BYTES;
	uint8_t *pixel = shrink->pixels + shrink->tile_row * bytes;

	for (size_t at = 0; at < bytes; at += TILE_PIXEL_BYTES) {
		const uint64_t *sum = shrink->sums + at;

		for (size_t i = 0; sum[3] && i < 3; i++)
			pixel[at + i] = (uint8_t)((sum[i] + sum[3] / 2) / sum[3]);
		pixel[at + 3] = (uint8_t)((sum[3] + weight / 2) / weight);
	}
	memset(shrink->sums, 0, bytes * sizeof(*shrink->sums));
	shrink->tile_row++;
}

/* As make_line() does, downwards. */
void shrink_row(struct shrink *shrink, const uint8_t *rgba)
{
	uint64_t unit = shrink->tile_height, begin = shrink->row * unit;
	uint64_t edge = (shrink->tile_row + UINT64_C(1)) * shrink->height;

	if (shrink->row >= shrink->height)
		return;
	make_line(shrink, rgba);
	shrink->row++;
	if (edge - begin > unit) {
		add_line(shrink, unit);
		return;
	}
	add_line(shrink, edge - begin);
	end_tile_row(shrink);
	if (begin + unit > edge)
		add_line(shrink, begin + unit - edge);
}

/* From where in the tile the pixel at x, y of the turned one is. */
static size_t source_of(const struct shrink *shrink, int orientation, uint32_t x, uint32_t y)
{
	uint32_t right = shrink->tile_width - 1, bottom = shrink->tile_height - 1;
	uint32_t from[9][2] = {
		{x, y},          {x, y}, {right - x, y},  {right - x, bottom - y},
		{x, bottom - y}, {y, x}, {y, bottom - x}, {right - y, bottom - x},
		{right - y, x},
	};

	return (size_t)from[orientation][1] * shrink->tile_width + from[orientation][0];
}

static void turn(const struct shrink *shrink, int orientation, const struct tile_header *header,
                 uint8_t *to)
{
	for (uint32_t y = 0; y < header->height; y++)
		for (uint32_t x = 0; x < header->width; x++, to += TILE_PIXEL_BYTES)
			memcpy(to,
			       shrink->pixels +
			               source_of(shrink, orientation, x, y) * TILE_PIXEL_BYTES,
			       TILE_PIXEL_BYTES);
}

int shrink_finish(struct shrink *shrink, int orientation, uint32_t original_width,
                  uint32_t original_height, struct ayre_reply *reply)
{
	bool is_on_its_side = orientation >= 5 && orientation <= 8;
	struct tile_header header = {shrink->tile_width, shrink->tile_height, original_width,
	                             original_height};
	size_t bytes = (size_t)header.width * header.height * TILE_PIXEL_BYTES;

	if (is_on_its_side)
		header = (struct tile_header){shrink->tile_height, shrink->tile_width,
		                              original_height, original_width};
	if (shrink->row < shrink->height)
		return shrink_fail(reply, "rows are missing");
	if (sizeof(header) + bytes > reply->capacity)
		return shrink_fail(reply, "no room was given for it");
	memcpy(reply->data, &header, sizeof(header));
	turn(shrink, orientation < 0 || orientation > 8 ? 1 : orientation, &header,
	     (uint8_t *)reply->data + sizeof(header));
	reply->bytes = sizeof(header) + bytes;
	return 0;
}

int shrink_fail(struct ayre_reply *reply, const char *text)
{
	size_t bytes = strlen(text);

	reply->bytes = bytes < reply->capacity ? bytes : reply->capacity;
	memcpy(reply->data, text, reply->bytes);
	return 1;
}

struct tile_request shrink_room(const struct ayre_request *request)
{
	struct tile_request room = {0, 0};

	if (request->bytes == sizeof(room))
		memcpy(&room, request->data, sizeof(room));
	return room;
}
