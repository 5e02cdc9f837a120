/*
 * What the command says: results to standard output, everything else to standard error, an
 * error as one line, "ayre: segment create: shm:greeting: File exists".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <ayre/error.h>

/* Who speaks, from here on; borrowed. Either may be NULL. */
void output_name(const char *noun, const char *verb);

/* One line to standard error; control characters become '?'. Each returns its exit code. */
int output_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int output_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int output_missing(const char *synopsis);
int output_error(const struct ayre_error *error);
/* nearest: a word to suggest, or NULL. */
int output_unknown(const char *word, const char *nearest);
/* The same line, but nothing has failed. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* May how far something is be drawn to standard error again and again? For a person who waits. */
bool output_shows_progress(void);
/* May words on standard output have colours? */
bool output_shows_colour(void);

/* To standard output. EXIT_DONE, or EXIT_FAILED and the reason is printed. */
int output_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
int output_bytes(const void *bytes, size_t length);
int output_flush(void);
/* Nobody reads standard output any more: ends the process, as SIGPIPE would have. */
void output_reader_gone(void);
/* Prints a document and lets go of it. NULL means that there was no memory for it. */
int output_json(json_t *document);
/* A text, or null; each byte beyond ASCII is '?' in one that is not UTF-8, which JSON has to be. */
json_t *output_text_json(const char *text);
/* At the end: flushes, and turns what was lost into a failure. */
int output_finish(int exit_code);

/* "20", "64K", "1.5M": for people; four characters of number and a unit. */
const char *format_size(uint64_t bytes, char text[16]);
/* "2026-11-23 23:30:20", local time; "-" if negative. */
const char *format_time(int64_t realtime_ns, char text[32]);
/* The user's name, or the number. */
const char *format_user(uint32_t uid, char text[64]);
