/*
 * What a pipeline is made of; how its files fit together:
 *
 *	pipeline.c  put together: stages, connections, redirections
 *	plan.c      who writes where: pipes made, stages wired
 *	redirect.c  files, memory and other descriptors instead
 *	begin.c     all stages started, or none
 *	drive.c     what happens while it runs: the one set that everything waits in
 *	memory.c    feeding from memory and capturing into it
 *	fan.c       one output to several inputs
 *	tree.c      its end, by force
 *	look.c      what it does and did, for those who ask
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/pipeline.h>

#include "process/launch.h"

#define AYREI_DEFAULT_PIPE_BYTES (256 * 1024)
#define AYREI_SECOND_NS          1000000000

/* What a function's child writes and reads before the function is called (begin.c). */
#define AYREI_READINESS_BYTES 8
#define AYREI_GATE_BYTES      1

/* What the set's tags say: one of these, and an index into its array. */
enum ayrei_party {
	AYREI_PARTY_STAGE,
	AYREI_PARTY_FEED,
	AYREI_PARTY_CAPTURE,
	AYREI_PARTY_FAN,
	AYREI_PARTY_STRAY,
	AYREI_PARTY_TIMER,
};

struct ayrei_stage {
	char *name;
	char **arguments; /* NULL: a function */
	int (*function)(void *context);
	void *context;
	struct ayre_process_options options;

	struct ayrei_launch launch; /* during the start */
	bool launched;
	size_t child;                /* its place among those that are started */
	int input_pipe, output_pipe; /* numbers of pipes; -1: none */
	/* Descriptions that we share with the stage, to see how far it came; -1. */
	int input_file, output_file;
	int64_t input_begin, output_begin;
	int feed;           /* number of the feed of its standard input; -1 */
	int output_capture; /* of the capture of its standard output; -1 */

	pid_t pid;
	int pidfd; /* -1: not started, or reaped */
	bool reaped, killed;
	bool present; /* its number is its own still (tree.c) */
	struct ayre_process_end end;
};

/* One pipe that stages share: all whose output it is, one whose input it is. */
struct ayrei_pipe {
	int from, to;
	bool many_writers;
	bool by_host; /* a fan writes it, or reads it; or nobody writes it */
	int fds[2];   /* ours, until the start is over; -1 */
	uint64_t asked_bytes, granted_bytes, inode;
	uint64_t moved; /* by_host: what a fan took from it, or put into it */
};

struct ayrei_feed {
	int fd; /* -1: done */
	const char *bytes;
	size_t left, written;
	size_t unread; /* what the pipe held when it was closed */
	int stage, stage_fd;
	int read_fd; /* the stage's end, until it is started */
};

struct ayrei_capture {
	int fd; /* -1: ended */
	int stage, stage_fd;
	int write_fd;
	size_t bound;
	enum ayre_at_bound at_bound;
	char *buffer;
	bool stopped; /* closed at the bound */
	size_t kept, room;
	size_t first; /* KEEP_LAST: where the oldest byte is, once it is full */
	uint64_t total;
	size_t unread; /* what the pipe held when it was closed */
};

/* One who gets a copy. What is his but has no room there yet waits in a pipe of his own. */
struct ayrei_sink {
	int fd;   /* -1: gone, or done */
	int pipe; /* number of the pipe that it writes; -1: another file */
	int queue[2];
	size_t queued; /* bytes in the queue that are his */
	size_t skip;   /* bytes of the source that he has already */
	bool waits;    /* in the set, for room */
	bool is_copy;  /* beside where the output goes anyway: ends when that ends */
	bool copies;   /* splice(2) does not take this file, or could wait for it */
	char *held;    /* copies: what came out of the queue and found no room */
	size_t held_begin, held_end;
};

struct ayrei_fan {
	int stage;
	int source;        /* -1: at its end */
	int write_fd;      /* the stage's end, until it is started */
	int pipe;          /* number of the pipe that is its source */
	bool watches;      /* the source is in the set */
	bool to_stage;     /* one of its sinks is, or was, a stage's input */
	bool cut;          /* nothing more is waited for */
	size_t left_bytes; /* cut: what was in the source then and is still to come */
	struct ayrei_sink *sinks;
	size_t sink_count;
};

struct ayrei_stray {
	pid_t pid;
	int pidfd;
	bool ended, killed;
	uint64_t start_ticks;
};

enum ayrei_ending {
	AYREI_GOES_ON,
	AYREI_TERMINATED, /* SIGTERM was sent */
	AYREI_KILLED,     /* SIGKILL was sent */
};

struct ayrei_redirection {
	struct ayre_redirection given;
	char *path;
};

struct ayrei_connection {
	int from, to;
};

struct ayre_pipeline {
	struct ayre_pipeline_options options;
	struct ayre_error error; /* the first of those while it was put together; code 0: none */
	struct ayrei_stage *stages;
	size_t stage_count;
	struct ayrei_connection *connections;
	size_t connection_count;
	struct ayrei_redirection *redirections;
	size_t redirection_count;

	/* Files that were opened or made for the start. */
	struct ayrei_file *files;
	size_t file_count;

	struct ayrei_pipe *pipes;
	size_t pipe_count;
	struct ayrei_feed *feeds;
	size_t feed_count;
	struct ayrei_capture *captures;
	size_t capture_count;
	struct ayrei_fan *fans;
	size_t fan_count;
	struct ayrei_stray *strays;
	size_t stray_count;

	bool started, ended;
	bool ran; /* it could be started */
	int failed_stage;
	int set, timer, null_fd;
	int64_t timer_ns;  /* what it is set to */
	size_t running;    /* stages */
	size_t open_flows; /* feeds are not counted: nobody waits for them */
	pid_t group;       /* 0: none of its own */
	int64_t host_rss_bytes;
	int64_t started_ns, ended_ns, kill_ns, drain_ns;
	enum ayrei_ending ending;
	struct ayre_pipeline_result result;
	struct ayrei_meter *meter; /* NULL: never sampled */
};

/* An element at the end of an array, zeroed; the array may move. NULL: no memory. */
void *ayrei_grow(void *array, size_t *count, size_t element_bytes);
#define AYREI_APPEND(array, count) \
	({ \
		void *ayrei_grown = ayrei_grow(array, &(count), sizeof(*(array))); \
		if (ayrei_grown) \
			(array) = ayrei_grown; \
		ayrei_grown ? &(array)[(count)-1] : NULL; \
	})

uint64_t ayrei_tag(enum ayrei_party party, size_t index);

/* plan.c: launches are initialised, pipes made, files opened; in that order. */
int ayrei_pipeline_plan(struct ayre_pipeline *pipeline, struct ayre_error *error);
/* What the stages have now is let go of; undo: files that were made are removed. */
void ayrei_pipeline_close_plan(struct ayre_pipeline *pipeline, bool undo);
/* The outputs that are to be empty: the last step before the start. Are there any? */
bool ayrei_pipeline_truncates(const struct ayre_pipeline *pipeline);
int ayrei_pipeline_truncate(struct ayre_pipeline *pipeline, struct ayre_error *error);

/* begin.c */
int ayrei_pipeline_begin(struct ayre_pipeline *pipeline, struct ayre_error *error);
/* Kills and reaps all stages, and is as if none had been started. */
void ayrei_pipeline_abandon(struct ayre_pipeline *pipeline);

/* drive.c */
void ayrei_stage_reap(struct ayrei_stage *stage);
/* By its options: not the pipeline's. */
bool ayrei_stage_has_own_group(const struct ayrei_stage *stage);
/* SIGTERM, and from now on the grace runs; nothing if it is being ended already. */
void ayrei_pipeline_terminate(struct ayre_pipeline *pipeline);

/* memory.c: each goes on as far as it can without waiting. */
void ayrei_feed_process(struct ayre_pipeline *pipeline, struct ayrei_feed *feed);
void ayrei_feed_close(struct ayre_pipeline *pipeline, struct ayrei_feed *feed);
void ayrei_capture_process(struct ayre_pipeline *pipeline, struct ayrei_capture *capture);
/* Takes what is there, and waits for no more. */
void ayrei_capture_cut(struct ayre_pipeline *pipeline, struct ayrei_capture *capture);
void ayrei_capture_free(struct ayrei_capture *capture);

/* fan.c */
int ayrei_sink_open(struct ayrei_sink *sink, uint64_t capacity_bytes);
int ayrei_fan_watch(struct ayre_pipeline *pipeline, size_t index);
void ayrei_fan_process(struct ayre_pipeline *pipeline, size_t index);
/* Nothing more is waited for; in_haste: not even for outputs that have no room. */
void ayrei_fan_cut(struct ayre_pipeline *pipeline, size_t index, bool in_haste);
void ayrei_fan_free(struct ayrei_fan *fan);

/* tree.c */
void ayrei_tree_terminate(struct ayre_pipeline *pipeline);
/* SIGKILL, until nobody new turns up. */
void ayrei_tree_kill(struct ayre_pipeline *pipeline);
/* Those that have become the host's, and ended, leave no zombie. */
void ayrei_strays_reap(struct ayre_pipeline *pipeline);

/* The first error of the run counts. */
void ayrei_pipeline_note_error(struct ayre_pipeline *pipeline, int code);
