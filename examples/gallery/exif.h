/*
 * How a camera was held, as its pictures tell.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * bytes: an APP1 segment of a JPEG, which need not be Exif. Returns 1 to 8 as Exif counts; 1 if it
 * does not say.
 */
int exif_orientation(const uint8_t *bytes, size_t length);
