/*
 * Finds one number in what Exif is: a TIFF file without pictures, whose first directory is a list
 * of tags.
 *
 * Invariant: nothing is read that is not within the segment.
 */
#include "exif.h"

#include <stdbool.h>
#include <string.h>

#define TAG_ORIENTATION 0x0112
#define ENTRY_BYTES     12
#define MARK            "Exif\0"

struct tiff {
	const uint8_t *bytes;
	size_t length;
	bool is_big_endian;
};

/* A number of 2 or 4 bytes; 0 if it is not there. */
static uint32_t number_at(const struct tiff *tiff, size_t at, size_t width)
{
	uint32_t number = 0;

	if (at > tiff->length || tiff->length - at < width)
		return 0;
	for (size_t i = 0; i < width; i++) {
		size_t place = tiff->is_big_endian ? i : width - 1 - i;

		number = number << 8 | tiff->bytes[at + place];
	}
	return number;
}

int exif_orientation(const uint8_t *bytes, size_t length)
{
	struct tiff tiff;
	size_t directory;
	uint32_t count;

	if (length < sizeof(MARK) + 8 || memcmp(bytes, MARK, sizeof(MARK)) != 0)
		return 1;
	tiff = (struct tiff){bytes + sizeof(MARK), length - sizeof(MARK), false};
	tiff.is_big_endian = tiff.bytes[0] == 'M';
	directory = number_at(&tiff, 4, 4);
	count = number_at(&tiff, directory, 2);
	for (uint32_t i = 0; i < count; i++) {
		size_t entry = directory + 2 + i * ENTRY_BYTES;
		uint32_t value = number_at(&tiff, entry + 8, 2);

		if (number_at(&tiff, entry, 2) == TAG_ORIENTATION)
			return value >= 1 && value <= 8 ? (int)value : 1;
	}
	return 1;
}
