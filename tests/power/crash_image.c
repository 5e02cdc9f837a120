/*
 * A disk's content in layers of pages.
 *
 * Invariant: a page of a layer, once there, is the layer's own (or zero_page, which nobody writes);
 * what lies below is never changed through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "power/crash.h"

static unsigned char zero_page[CRASH_PAGE];

static void *allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count, bytes);

	if (!memory)
		abort();
	return memory;
}

void image_init(struct image *image, const struct image *below, uint64_t size_bytes)
{
	size_t pages = size_bytes / CRASH_PAGE;

	*image = (struct image){
		.below = below,
		.size_bytes = size_bytes,
		.pages = allocate(pages, sizeof(*image->pages)),
		.touched = allocate(pages, sizeof(*image->touched)),
	};
}

static void drop(struct image *image, size_t page)
{
	if (image->pages[page] != zero_page)
		free(image->pages[page]);
	image->pages[page] = NULL;
}

void image_reset(struct image *image)
{
	for (size_t i = 0; i < image->touched_count; i++)
		drop(image, image->touched[i]);
	image->touched_count = 0;
}

static const unsigned char *look(const struct image *image, size_t page)
{
	for (; image; image = image->below)
		if (image->pages[page])
			return image->pages[page];
	return zero_page;
}

void image_read(const struct image *image, uint64_t offset, void *bytes, size_t length)
{
	unsigned char *to = bytes;

	while (length > 0) {
		size_t within = offset % CRASH_PAGE, part = CRASH_PAGE - within;

		part = part < length ? part : length;
		memcpy(to, look(image, offset / CRASH_PAGE) + within, part);
		to += part;
		offset += part;
		length -= part;
	}
}

static void set(struct image *image, size_t page, unsigned char *bytes)
{
	if (image->pages[page])
		drop(image, page);
	else
		image->touched[image->touched_count++] = page;
	image->pages[page] = bytes;
}

/* A page that may be written into; unless all of it will be, with what it has held. */
static unsigned char *own(struct image *image, size_t page, bool all)
{
	unsigned char *bytes = image->pages[page];

	if (bytes && bytes != zero_page)
		return bytes;
	bytes = malloc(CRASH_PAGE);
	if (!bytes)
		abort();
	if (!all)
		memcpy(bytes, look(image, page), CRASH_PAGE);
	set(image, page, bytes);
	return bytes;
}

void image_write(struct image *image, uint64_t offset, const void *bytes, uint64_t length)
{
	const unsigned char *from = bytes;

	while (length > 0) {
		size_t page = offset / CRASH_PAGE, within = offset % CRASH_PAGE;
		size_t part = CRASH_PAGE - within;

		part = part < length ? part : length;
		if (part == CRASH_PAGE && (!from || memcmp(from, zero_page, CRASH_PAGE) == 0))
			set(image, page, zero_page);
		else if (from)
			memcpy(own(image, page, part == CRASH_PAGE) + within, from, part);
		else
			memset(own(image, page, false) + within, 0, part);
		from = from ? from + part : NULL;
		offset += part;
		length -= part;
	}
}

void image_flatten(const struct image *image, struct image *to)
{
	for (size_t page = 0; page < image->size_bytes / CRASH_PAGE; page++) {
		const unsigned char *bytes = look(image, page);

		if (bytes != look(to, page))
			image_write(to, page * CRASH_PAGE, bytes, CRASH_PAGE);
	}
}

int image_save(const struct image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int result = fd == -1 || ftruncate(fd, (off_t)image->size_bytes) == -1 ? -errno : 0;

	for (size_t page = 0; result == 0 && page < image->size_bytes / CRASH_PAGE; page++) {
		const unsigned char *bytes = look(image, page);

		if (bytes != zero_page &&
		    pwrite(fd, bytes, CRASH_PAGE, (off_t)(page * CRASH_PAGE)) != CRASH_PAGE)
			result = -EIO;
	}
	if (fd != -1)
		close(fd);
	return result;
}
