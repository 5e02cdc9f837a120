/*
 * A drawing becomes a file, whole or not at all.
 */
#pragma once

#include <cairo.h>
#include <stdbool.h>

/*
 * Can there be a file of this name? To be known before there is much work in it. 0 or a negative errno: -EEXIST if
 * something else is there, a device, say, which is not replaced.
 */
int sheet_file_try(const char *path);

/* As sheet_write(). */
int sheet_file_write(cairo_surface_t *surface, const char *path, bool (*should_stop)(void *),
                     void *context);
