/*
 * Fuzzers of what ayre reads of other processes. Each has the entry that libFuzzer calls, and inputs to
 * begin with; fuzz_main.c is a driver for compilers without libFuzzer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ayre/topic.h>

#include "topic/layout.h"

#define FUZZ_RING  4096
#define LANE_BYTES (sizeof(struct ayrei_lane_layout) + FUZZ_RING)

/* The most bytes of an input that a fuzzer looks at. */
extern const size_t fuzz_most_bytes;
/* Writes the number-th input to begin with; returns its size, 0: there are no more. */
size_t fuzz_begin_with(unsigned int number, uint8_t *data);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What must hold whatever the input is. */
#define check(expression) ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, #expression))
void check_failed(const char *file, int line, const char *expression) __attribute__((noreturn));

/* --- a topic that lasts as long as the process --- */

/* Made at the first call, removed at the end. Its path, and its generation. */
const char *fuzz_topic(void);
const uint8_t *fuzz_generation(void);
/* "PATH/FILE" of a file in it. */
const char *fuzz_path(const char *file);
/* The input as a file, owned (locked) if wanted: a descriptor, to be closed. */
int fuzz_put_file(const char *file, const void *data, size_t bytes, bool owned);
/* Makes and holds a bell. A descriptor, to be closed. */
int fuzz_put_bell(const char *file);
/* Removes all but what belongs to the topic itself; of a topic in another directory. */
void fuzz_clear(void);
void fuzz_clear_in(const char *path);
/* The directory of a topic is removed as well, whole, at the end of the process; the path has to stay. */
void fuzz_own(const char *path);
/* However it ends: before it is killed by a signal, this is called. */
void fuzz_end(void);

/* --- images --- */

/* The first line of a lane or a cursor as this topic has it, so that the rest is looked at. */
void fuzz_mend_lane(struct ayrei_lane_layout *lane, uint64_t id);
void fuzz_mend_cursor(struct ayrei_cursor_layout *cursor, uint64_t id);
/* A lane with so many records of a kind of mixture. */
void fuzz_draw_lane(uint8_t data[LANE_BYTES], unsigned int mixture);
