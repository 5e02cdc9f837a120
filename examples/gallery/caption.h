/*
 * Lines of text for sheet.c, in the font that the cairo context has. All text is clean
 * (text_clean()).
 */
#pragma once

#include <cairo.h>

/* One line with its centre at x and its foot at y, its middle left out if it is too wide. */
void caption_line(cairo_t *cairo, const char *text, double x, double y, double width);

/* The same in up to so many lines, broken between words, the first with its foot at y. */
void caption_lines(cairo_t *cairo, const char *text, double x, double y, double width,
                   double line_height, unsigned int lines);

/* How many lines these would be. */
unsigned int caption_count(cairo_t *cairo, const char *text, double width, unsigned int lines);
