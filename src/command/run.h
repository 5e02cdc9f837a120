/*
 * What the files of `ayre run` share. run.c puts the pipeline together; run_watch.c drives it and
 * takes the signals; run_view.c takes down what is seen of it; run_draw.c makes text of that, with the words of
 * run_text.c; run_meter.c brings the text to a
 * terminal; run_report.c tells how it went.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ayre.h>
#include <ayre/pipeline.h>
#include <ayre/process.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

enum run_exit {
	RUN_EXIT_OURS = 125, /* not a stage's doing */
	RUN_EXIT_NOT_EXECUTABLE = 126,
	RUN_EXIT_NOT_FOUND = 127,
	RUN_EXIT_SIGNAL = 128, /* and the signal's number */
};

int64_t run_now_ns(void); /* CLOCK_MONOTONIC */

/* --- what is seen of a pipeline --- */

/* How fast a stage is: over the last second, or over its whole time once all has ended. */
struct run_pace {
	double processor;        /* 1: one whole processor; below 0: not known */
	double bytes_per_second; /* written; below 0: not known */
};

struct run_history;

struct run_view {
	int stage_count, pipe_count;
	struct ayre_stage_info *stages;
	struct ayre_pipe_info *pipes;
	struct run_pace *paces; /* of each stage */
	int bottleneck;         /* -1: none */
	int64_t wall_ns;        /* so far */
	bool ended;             /* then the figures are of the whole time */
	struct run_history *history;
};

/* false: no memory. */
bool run_view_init(struct run_view *view, const struct ayre_pipeline *pipeline);
void run_view_fini(struct run_view *view);
/* While it runs. */
void run_view_take(struct run_view *view, const struct ayre_pipeline *pipeline, int64_t started_ns,
                   int64_t now_ns);
/* After the end, or (started: false) when nothing of it could be started. */
void run_view_finish(struct run_view *view, const struct ayre_pipeline *pipeline, int64_t wall_ns,
                     bool started);

/* The shares that the view is about: recent ones, or those of the whole time. */
const struct ayre_stage_shares *run_view_shares(const struct run_view *view, int stage);

/* --- as text --- */

struct run_style {
	int columns, rows; /* rows: 0: as many as it takes */
	bool colour;
	bool utf8;
};

/* A table, a sentence below it; lines end with a newline. NULL: no memory; to be freed. */
char *run_draw(const struct run_view *view, const struct run_style *style);
/* "stage 2, gzip, holds the rest up: running 97 %; stage 1 blocked on output 93 %" */
void run_draw_bottleneck(FILE *stream, const struct run_view *view, bool utf8);

/*
 * A text, or a stage's words, in so many columns at the most, its end left out if need be; what does
 * not print is '?'. Returns the columns.
 */
int run_put_text(FILE *stream, const char *text, int columns, bool utf8);
int run_put_name(FILE *stream, const struct ayre_stage_info *stage, int columns, bool utf8);
/* How many columns the words would take. */
int run_name_columns(const struct ayre_stage_info *stage);
/* Lines, with what stands beyond the last column left out, but for colours. */
void run_put_clipped(FILE *stream, const char *text, int columns);
/* How many rows of a terminal as wide they take. */
int run_text_rows(const char *text, int columns);
/* "ended 0", "killed by SIGTERM", "not started" */
const char *run_outcome_words(const struct ayre_process_end *end, char text[48]);
/* "SIGTERM", "SIGRTMIN+3" */
const char *run_signal_name(int signal_number, char text[24]);
/* "12 us", "3.5 ms", "1.24 s", "245 s"; "-" below 0 */
const char *run_format_span(int64_t ns, char text[24]);
/* As format_size(); "-" below 0. */
const char *run_format_bytes(int64_t bytes, char text[16]);
/* Does this user's locale take UTF-8? */
bool run_locale_is_utf8(void);

/* --- on a terminal --- */

struct run_meter {
	bool live;  /* redrawn in place; else drawn once, at the end */
	char *last; /* the frame that stands there */
};

void run_meter_init(struct run_meter *meter);
void run_meter_fini(struct run_meter *meter);
/* Never waits: a terminal that takes nothing is passed over. */
void run_meter_show(struct run_meter *meter, const struct run_view *view);
/* The last one, which stays. */
void run_meter_end(struct run_meter *meter, const struct run_view *view);

/* --- while it runs --- */

struct run_watch {
	struct ayre_pipeline *pipeline;
	struct run_view *view;
	struct run_meter *meter; /* NULL: none */
	pid_t *pids;             /* of the stages; NULL: not listed yet */
	bool sampling;
	int signal_fd;
	int ended_by; /* the first signal that came; 0: none */
	int64_t started_ns;
	int64_t sample_ns, frame_ns; /* when the next is due */
	int64_t cancel_ns; /* when the patience with an interrupted pipeline ends; INT64_MAX */
};

/* From here on those signals that end us wait to be taken. A negative errno. */
int run_watch_init(struct run_watch *watch);
/* Until all of it has ended. 0, or a negative errno and it was cancelled in vain. */
int run_watch(struct run_watch *watch);
/* End by the signal, as if it had never been held back. */
void run_die_by(int signal_number);

/* --- the report --- */

enum run_report_format {
	RUN_REPORT_NONE,
	RUN_REPORT_TEXT,
	RUN_REPORT_JSON,
};

struct run_report {
	enum run_report_format format;
	int fd;           /* where to */
	const char *name; /* of that, for an error */
	const struct run_view *view;
	int exit_status;
	int strays_ended;
	const char *error; /* why it did not come to its end by itself; NULL: it did */
};

/* EXIT_DONE, or RUN_EXIT_OURS when not all of it could be written. */
int run_report_write(const struct run_report *report);
/* All of it, or a negative errno. */
int run_write_all(int fd, const char *text, size_t length);
