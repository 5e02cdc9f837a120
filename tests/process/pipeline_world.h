/*
 * What the tests of pipelines share: pipelines in a line, stages that are functions of the test, and
 * a look at all processes that a pipeline has ever started.
 */
#pragma once

#include "support/support.h"

#include <ayre/pipeline.h>

#define MS ((int64_t)1000000)

/* What a test may be late by on a machine that has other things to do. */
#define LATE_NS (1500 * MS)

#define PIPELINE_OPTIONS(...) \
	(&(struct ayre_pipeline_options){.size = sizeof(struct ayre_pipeline_options), __VA_ARGS__})
#define STAGE_OPTIONS(...) \
	(&(struct ayre_process_options){.size = sizeof(struct ayre_process_options), __VA_ARGS__})

struct ayre_pipeline *new_pipeline(void);
struct ayre_pipeline *new_pipeline_with(const struct ayre_pipeline_options *options);

/* add_redirection(pipeline, .stage = 0, .fd = 2, .kind = AYRE_REDIRECT_NOTHING) */
#define add_redirection(pipeline, ...) \
	assert_int_equal(ayre_pipeline_redirect( \
				 pipeline, \
				 &(struct ayre_redirection){ \
					 .size = sizeof(struct ayre_redirection), __VA_ARGS__}), \
	                 0)
/* sh -c: returns the stage's number. */
int add_shell(struct ayre_pipeline *pipeline, const char *script);
/* Instead of the host's own standard input and output. */
void quiet_input(struct ayre_pipeline *pipeline);

/* Starts it and waits; it can be started. Returns what ayre_pipeline_run() returned. */
int run_all(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result);
/* The same, then frees it. */
int run_and_free(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result);
void start(struct ayre_pipeline *pipeline);
/* It cannot be started: checks what holds then, frees it, and returns why. */
int fail_to_start(struct ayre_pipeline *pipeline, struct ayre_error *ret_error);

void assert_captured(struct ayre_pipeline *pipeline, int stage, int fd, const char *text);
struct ayre_stage_info info_of(const struct ayre_pipeline *pipeline, int stage);
struct ayre_pipe_info pipe_of(const struct ayre_pipeline *pipeline, int pipe);

/* --- files of the test --- */

const char *path_of(char path[static NAME_BYTES], const char *name);
void write_file(const char *path, const char *text);
void assert_file(const char *path, const char *text);
bool exists(const char *path);
int64_t size_of(const char *path);

/* --- functions as stages --- */

/* Writes so many bytes, of which each tells where it stands. */
struct source {
	size_t total, piece;
	int pause_us;
};
int write_source(void *source);

/* Reads, and says in shared memory what it got. */
struct drain {
	size_t most;      /* 0: all */
	int pause_us;     /* after each read */
	bool never_reads; /* but waits for somebody to end it */
	bool intact;      /* out: what a source writes, from its beginning, without a gap */
	uint64_t total;   /* out */
};
int read_drain(void *drain);

/* --- who is left --- */

/* From now on what is started is marked, in its environment. */
void mark_processes(void);
/* How many of those marked since are alive; a process that is being ended has some time. */
int count_marked(void);
void assert_nobody_left(void);
void kill_marked(void);
