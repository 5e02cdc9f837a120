/*
 * What the files of gallery share. From the ground up: text (file names and what to say), folder
 * (the pictures), sheet (what is drawn), control (named pipes), decoder (workers), work (the loop),
 * gallery (main).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ayre.h>

#include "tile.h"

#define DECODERS_MAX     16
#define DECODER_NAME_MAX 15
#define WORD_MAX         4096 /* of a line to a control pipe */
#define NO_PICTURE       SIZE_MAX

/* Why a picture cannot be seen: two lines for people. */
struct trouble {
	char what[64];
	char detail[192];
};

enum picture_state {
	PICTURE_WAITING,
	PICTURE_UNDER_WAY,
	PICTURE_SHOWN,
	PICTURE_FAILED,
	PICTURE_SKIPPED, /* somebody wanted that */
};

struct picture {
	char *name;     /* in the folder: any bytes but a slash and NUL */
	size_t decoder; /* whose it is */
	enum picture_state state;
	uint64_t call; /* while it is under way */
	struct trouble trouble;
};

struct folder {
	const char *path;
	int fd;
	struct picture *pictures; /* in the order in which people count */
	size_t count;
	size_t other_count; /* files that are no pictures, and directories */
};

/* A kind of picture: the module for it, its worker, and the named pipe of that. */
struct decoder {
	char name[DECODER_NAME_MAX + 1];
	char *module;
	bool is_given; /* on the command line: then the files' names say whose they are */
	struct ayre_worker *worker;
	struct ayre_pipe *control;
	bool has_name; /* the pipe has, which is to be removed */
	char line[WORD_MAX];
	size_t line_bytes;
	bool is_line_too_long;
	bool is_paused, is_stopped;
	bool is_full; /* no process can take a picture now; its descriptor will tell */
	size_t next;  /* no picture of it before this one is waiting */
	size_t count, done_count, failed_count, under_way;
};

struct options {
	const char *folder, *sheet;
	const char *control; /* NULL: a temporary directory */
	uint32_t processes;  /* for all decoders together */
	uint32_t tile;       /* pixels, both ways */
	int64_t timeout_ns;  /* of a picture */
	bool is_verbose;
};

struct gallery {
	struct options options;
	struct folder folder;
	struct decoder decoders[DECODERS_MAX];
	size_t decoder_count;
	struct sheet *sheet;
	char *control_directory;
	bool has_control_directory; /* made here, and to be removed */
	int signals;                /* signalfd(2) */
	int signal;                 /* that came; 0: none */
	bool is_terminal;           /* standard error is */
	bool has_progress_line;
	uint8_t *reply; /* our own copy of what a process answered */
	size_t reply_bytes;
};

/* --- text.c --- */

/* As what any terminal and any font can be given: UTF-8 without control characters, and a NUL. */
void text_clean(const char *bytes, size_t length, char *clean, size_t clean_bytes);

/* The start of the character behind the one at @text, which is clean. */
const char *text_next(const char *text);

/* "gallery: WORDS" on standard error, with the progress out of the way. */
void text_say(struct gallery *gallery, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- folder.c --- */

/* The decoders that gallery brings; they are in @decoders already. */
void folder_add_decoders(struct gallery *gallery);

/* Returns 0 or a negative errno. except: a file that does not count, and need not exist. */
int folder_scan(struct gallery *gallery, const char *except);
void folder_free(struct folder *folder);

/* A picture to read, or a negative errno. Never waits, whatever has its name now. */
int folder_open_picture(const struct folder *folder, const struct picture *picture);

/* --- sheet.c --- */

/* -EFBIG: too many for one sheet. */
int sheet_open(uint32_t tile, size_t count, struct sheet **ret_sheet);
void sheet_close(struct sheet *sheet);

/* pixels: as tile.h says, width x height of them, no more than the tile has room for. */
void sheet_show(struct sheet *sheet, size_t number, const char *name,
                const struct tile_header *header, const uint8_t *pixels);
void sheet_tell(struct sheet *sheet, size_t number, const char *name, const struct trouble *trouble,
                bool is_failure);
void sheet_head(struct sheet *sheet, const char *title, const char *summary);

/*
 * As PNG, under its name when it is whole and not before. should_stop: asked now and then. Returns
 * 0 or a negative errno: -EINTR if it was stopped.
 */
int sheet_write(struct sheet *sheet, const char *path, bool (*should_stop)(void *), void *context);

struct sheet_place {
	uint32_t x, y, width, height;
};

/* Where a picture's tile is. */
struct sheet_place sheet_place_of(const struct sheet *sheet, size_t number);

/* --- control.c --- */

int control_open(struct gallery *gallery);
void control_close(struct gallery *gallery);

/* What came through a decoder's pipe. Never waits. */
void control_listen(struct gallery *gallery, struct decoder *decoder);

/* --- decoder.c --- */

int decoder_open_all(struct gallery *gallery);
void decoder_close_all(struct gallery *gallery);
void decoder_begin(struct gallery *gallery, struct decoder *decoder);
void decoder_collect(struct gallery *gallery, struct decoder *decoder);

/* Ends it with a tile that tells. */
void decoder_give_up(struct gallery *gallery, struct picture *picture, enum picture_state state,
                     const struct trouble *trouble);

/* All that are left. */
void decoder_give_up_all(struct gallery *gallery, struct decoder *decoder, enum picture_state state,
                         const struct trouble *trouble);

/* The first that waits, from decoder->next on; NO_PICTURE: none. */
size_t decoder_next(struct gallery *gallery, struct decoder *decoder);

/* --- work.c --- */

/* Has all pictures decoded, until a signal comes. Returns 0 or a negative errno. */
int work_run(struct gallery *gallery);

/* Has a signal come that ends the program? */
bool work_should_stop(void *gallery);
