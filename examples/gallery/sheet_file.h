/*
 * A drawing becomes a file, whole or not at all.
 */
#pragma once

#include <cairo.h>
#include <stdbool.h>

/* As sheet_write(). */
int sheet_file_write(cairo_surface_t *surface, const char *path, bool (*should_stop)(void *),
                     void *context);
