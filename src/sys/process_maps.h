/*
 * The shared maps of one process, from its open /proc/PID/maps. For src/sys/process.c alone.
 */
#pragma once

#include "sys/process.h"

#define AYREI_MAPS_BUFFER_BYTES (64 * 1024)

/* Kept from one process to the next; all zero to begin with. */
struct ayrei_maps_reader {
	bool text_only; /* the kernel has said that it does not answer queries */
	char buffer[AYREI_MAPS_BUFFER_BYTES];
};

/* As ayrei_process_shared_maps(). */
int ayrei_maps_visit(struct ayrei_maps_reader *reader, int fd,
                     int (*visit)(const struct ayrei_process_map *map, void *context),
                     void *context);
