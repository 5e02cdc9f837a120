/*
 * Lines of text that fit.
 *
 * Invariant: nothing is drawn that is wider than its room, and no character is cut into bytes.
 */
#include "caption.h"

#include <stdio.h>
#include <string.h>

#include "gallery.h"

#define LINE_MAX 1024
#define ELLIPSIS "\xe2\x80\xa6"

static double width_of(cairo_t *cairo, const char *text)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cairo, text, &extents);
	return extents.x_advance;
}

static size_t count_characters(const char *text)
{
	size_t count = 0;

	for (; *text; text = text_next(text))
		count++;
	return count;
}

static const char *skip_characters(const char *text, size_t count)
{
	while (count-- > 0)
		text = text_next(text);
	return text;
}

/* So many of its characters, from both ends; the end tells files apart. */
static void leave_out_middle(const char *text, size_t count, size_t keep, char line[LINE_MAX])
{
	size_t tail = keep / 2, head = keep - tail;

	snprintf(line, LINE_MAX, "%.*s" ELLIPSIS "%s", (int)(skip_characters(text, head) - text),
	         text, skip_characters(text, count - tail));
}

static void draw(cairo_t *cairo, const char *text, double x, double y)
{
	cairo_move_to(cairo, x - width_of(cairo, text) / 2, y);
	cairo_show_text(cairo, text);
}

void caption_line(cairo_t *cairo, const char *text, double x, double y, double width)
{
	size_t count = count_characters(text), fits = 0, too_many = count;
	char line[LINE_MAX];

	if (width_of(cairo, text) <= width) {
		draw(cairo, text, x, y);
		return;
	}
	while (too_many - fits > 1) {
		size_t keep = fits + (too_many - fits) / 2;

		leave_out_middle(text, count, keep, line);
		if (width_of(cairo, line) <= width)
			fits = keep;
		else
			too_many = keep;
	}
	leave_out_middle(text, count, fits, line);
	draw(cairo, line, x, y);
}

/* How many bytes of it go into a line: whole words, or of a long one what fits. */
static size_t bytes_of_line(cairo_t *cairo, const char *text, double width)
{
	size_t words = 0, bytes = 0;
	char line[LINE_MAX];

	for (const char *at = text; *at; at = text_next(at)) {
		bytes = (size_t)(text_next(at) - text);
		snprintf(line, sizeof(line), "%.*s", (int)bytes, text);
		if (*at == ' ')
			words = bytes;
		else if (width_of(cairo, line) > width)
			return words ? words : at == text ? bytes : (size_t)(at - text);
	}
	return bytes;
}

void caption_lines(cairo_t *cairo, const char *text, double x, double y, double width,
                   double line_height, unsigned int lines)
{
	char line[LINE_MAX];

	for (; *text && lines > 0; lines--, y += line_height) {
		size_t bytes = lines == 1 ? strlen(text) : bytes_of_line(cairo, text, width);
		size_t shown = bytes;

		while (shown > 0 && text[shown - 1] == ' ')
			shown--;
		snprintf(line, sizeof(line), "%.*s", (int)shown, text);
		caption_line(cairo, line, x, y, width);
		text += bytes;
	}
}

unsigned int caption_count(cairo_t *cairo, const char *text, double width, unsigned int lines)
{
	unsigned int count = 0;

	for (; *text && count < lines; count++)
		text += bytes_of_line(cairo, text, width);
	return count;
}
