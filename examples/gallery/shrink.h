/*
 * For the decoders: a picture comes row by row and goes into the reply as a tile. Part of each
 * module, and so run in its process.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ayre/module.h>

#include "tile.h"

/* Wider or higher pictures are refused, so that no sum of pixels can overflow. */
#define SHRINK_SIDE_MAX (1u << 20)

struct shrink {
	uint32_t width, height; /* of what comes */
	uint32_t tile_width, tile_height;
	uint32_t row;      /* the next that comes */
	uint64_t *line;    /* it, as wide as the tile */
	uint64_t *sums;    /* the tile's row that is being made */
	uint8_t *pixels;   /* of the tile, as far as it is made */
	uint32_t tile_row; /* the next there */
};

/* Returns NULL, or why it cannot be done. */
const char *shrink_begin(struct shrink *shrink, uint32_t width, uint32_t height,
                         uint32_t room_width, uint32_t room_height);

/* rgba: width pixels. */
void shrink_row(struct shrink *shrink, const uint8_t *rgba);

/*
 * Writes the tile into the reply. orientation: 1 to 8 as Exif has it, any other number is 1.
 * original_width and _height: of the picture, before it was turned. Returns what decode() does.
 */
int shrink_finish(struct shrink *shrink, int orientation, uint32_t original_width,
                  uint32_t original_height, struct ayre_reply *reply);

/* Answers with a text instead of a tile. Returns what decode() does. */
int shrink_fail(struct ayre_reply *reply, const char *text);

/* The room that the request tells of; 0 by 0 if it is none. */
struct tile_request shrink_room(const struct ayre_request *request);
