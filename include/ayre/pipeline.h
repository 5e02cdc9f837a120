/*
 * Pipelines: programs and functions of the host, joined by pipes, without a shell.
 *
 *	struct ayre_pipeline *pipeline = ayre_pipeline_new();
 *
 *	ayre_pipeline_command(pipeline, "ls", NULL);
 *	ayre_pipeline_command(pipeline, "wc", "-l", NULL);
 *	result = ayre_pipeline_run(pipeline, NULL, NULL);
 *	ayre_pipeline_free(pipeline);
 *
 * All stages start or none does: every program is found, every file opened and every
 * process made before the first of them runs. The end of each is told apart.
 *
 * A pipeline is put together (ayre_pipeline_command() and what follows it), started once, and
 * then driven: by ayre_pipeline_run(), or from an event loop with ayre_pipeline_fd() and
 * ayre_pipeline_process(). Between stages no byte passes through the host; what is
 * fed from memory, captured into memory, or fanned out is moved by those calls, by nobody else.
 *
 * What a stage is given, and what the host is spared, is as in ayre/process.h; but each
 * pipeline has a process group of its own, unless the options say otherwise.
 *
 * While a pipeline is put together a failing call makes it unusable: ayre_pipeline_start()
 * returns that first error. So the results on the way need no check of their own.
 *
 * A handle belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ayre/api.h>
#include <ayre/error.h>
#include <ayre/process.h>

AYRE_BEGIN_DECLARATIONS

struct ayre_pipeline;

enum ayre_pipeline_flags {
	/*
	 * The stages stay in the host's process group: for those who talk to the terminal
	 * that the host is on. Then only descendants are found when the tree is ended.
	 */
	AYRE_PIPELINE_SAME_GROUP = 1u << 0,
	/* A stage that SIGPIPE ended counts as failed even if its reader had simply had enough. */
	AYRE_PIPELINE_STRICT = 1u << 1,
	/*
	 * Ending the tree ends every descendant of the host. For a host that is a
	 * subreaper (PR_SET_CHILD_SUBREAPER), so that also those who changed session
	 * and lost their parents are found, and that has no other children.
	 */
	AYRE_PIPELINE_END_ORPHANS = 1u << 2,
	/* Each stage with AYRE_PROCESS_DIE_WITH_PARENT. */
	AYRE_PIPELINE_DIE_WITH_PARENT = 1u << 3,
};

struct ayre_pipeline_options {
	size_t size;
	/* Wanted for each pipe; 0: 256 KiB. What was granted: ayre_pipeline_pipe(). */
	uint64_t pipe_bytes;
	/* Absolute, CLOCK_MONOTONIC; 0: none. When it passes, the whole tree is ended. */
	int64_t deadline_ns;
	/* Between SIGTERM and SIGKILL; 0: one second. */
	int64_t grace_ns;
	/*
	 * After the last stage has ended, somebody else (a process that it left behind) may
	 * keep a captured or copied output open: how long to wait for more. 0: one second.
	 * Once the tree was killed nothing is waited for.
	 */
	int64_t drain_ns;
	uint32_t flags; /* enum ayre_pipeline_flags */
};

/** ayre_pipeline_new() - an empty pipeline; NULL: no memory. Since 0.1. */
struct ayre_pipeline *ayre_pipeline_new(void);

/**
 * ayre_pipeline_free() - let go of everything
 *
 * If it still runs, the whole tree is killed (SIGKILL) and its stages are waited for.
 * NULL does nothing. Since 0.1.
 */
void ayre_pipeline_free(struct ayre_pipeline *pipeline);

/** ayre_pipeline_set_options() - before the start. Returns 0 or -EINVAL. Since 0.1. */
int ayre_pipeline_set_options(struct ayre_pipeline *pipeline,
                              const struct ayre_pipeline_options *options);

/* --- stages: numbered from 0, in the order in which they are added --- */

/**
 * ayre_pipeline_command() - add a stage that is a program
 * @program: its name or path, and the first of its arguments
 * @...: the other arguments, const char *, and a NULL
 *
 * ayre_pipeline_arguments() takes them as a vector that ends with NULL. Everything is copied.
 *
 * The stage reads what the stage before it writes (standard output), unless
 * ayre_pipeline_connect() or ayre_pipeline_redirect() says otherwise. The first reads the host's
 * standard input, the last writes to the host's standard output.
 *
 * Returns the stage's number, -EINVAL without a program, -ENOMEM. Since 0.1.
 */
int ayre_pipeline_command(struct ayre_pipeline *pipeline, const char *program, ...)
	__attribute__((sentinel));
int ayre_pipeline_arguments(struct ayre_pipeline *pipeline, const char *const *arguments);

/**
 * ayre_pipeline_function() - add a stage that is a function of the host
 * @name: for reports; copied
 * @run: called in a child process; what it returns is the stage's exit status (0 to 255)
 * @context: given to it
 *
 * The child is a fork of the host, at the price of a fork, with standard input, output and error as
 * wired, and none of the host's other descriptors. In a host with threads only
 * the calling one is there: the function may use what fork(2) allows it then. What it
 * writes by stdio is flushed after it; what the host has buffered is not its. The child ends
 * by _exit(2): nothing that the host has registered with atexit(3) runs.
 *
 * Returns the stage's number, -EINVAL, -ENOMEM. Since 0.1.
 */
int ayre_pipeline_function(struct ayre_pipeline *pipeline, const char *name,
                           int (*run)(void *context), void *context);

/**
 * ayre_pipeline_stage_options() - environment, directory, wires, limits, flags of a stage
 * @options: as for ayre_process_start(); what it points to must live until the start
 *
 * A wire here is in addition to what joins the stages, and stands over it. A function
 * takes directory, wires, limits and flags. Returns 0 or -EINVAL. Since 0.1.
 */
int ayre_pipeline_stage_options(struct ayre_pipeline *pipeline, int stage,
                                const struct ayre_process_options *options);

/**
 * ayre_pipeline_connect() - join an output to an input
 * @from: the stage whose standard output
 * @to: becomes the standard input of this one; a later stage, or an earlier
 *
 * Several @to for one @from: fan-out. Each gets everything, through tee(2); the slowest sets the
 * pace; one that ends early is passed over. Several @from for one @to: fan-in. They share
 * the pipe; writes of up to AYRE_PIPE_MESSAGE_MAX bytes stay whole.
 * The first connection of a stage's input replaces the stage before it as its source.
 *
 * Returns 0, or -EINVAL: no such stages, or the same. Since 0.1.
 */
int ayre_pipeline_connect(struct ayre_pipeline *pipeline, int from, int to);

enum ayre_redirect {
	AYRE_REDIRECT_READ = 1,    /* from the file @path */
	AYRE_REDIRECT_WRITE = 2,   /* to the file, emptied or made (0666, the umask applies) */
	AYRE_REDIRECT_APPEND = 3,  /* to the end of the file, made if it is missing */
	AYRE_REDIRECT_FD = 4,      /* the host's descriptor @host_fd, borrowed until the start */
	AYRE_REDIRECT_SAME = 5,    /* wherever the stage's descriptor @host_fd goes: 2>&1 */
	AYRE_REDIRECT_NOTHING = 6, /* /dev/null */
	AYRE_REDIRECT_FEED = 7,    /* from memory: @bytes, @byte_count, borrowed until the end */
	AYRE_REDIRECT_CAPTURE = 8, /* into memory, ayre_pipeline_captured() */
	AYRE_REDIRECT_TEE_WRITE =
		9, /* to where it goes anyway, and a copy to the file, emptied or made */
	AYRE_REDIRECT_TEE_APPEND = 10, /* likewise, to the end of the file */
};

/* What to do when more is captured than is wanted. */
enum ayre_at_bound {
	AYRE_AT_BOUND_FAIL = 0,       /* end the tree; the result is -EMSGSIZE */
	AYRE_AT_BOUND_STOP = 1,       /* close the pipe, as head(1) does: the writer gets SIGPIPE */
	AYRE_AT_BOUND_KEEP_FIRST = 2, /* read on, keep the first bytes, count the rest */
	AYRE_AT_BOUND_KEEP_LAST = 3,  /* read on, keep the last bytes, count the rest */
};

struct ayre_redirection {
	size_t size;
	int stage;
	int fd; /* of the stage */
	enum ayre_redirect kind;
	const char *path; /* copied */
	int host_fd;
	const void *bytes;
	size_t byte_count;
	size_t bound_bytes; /* CAPTURE; 0: 64 MiB */
	enum ayre_at_bound at_bound;
};

/**
 * ayre_pipeline_redirect() - send a descriptor of a stage elsewhere
 *
 * Files are opened at the start, before anything runs; one that cannot be is an error of
 * ayre_pipeline_start(). A directory is -EISDIR. Those to be emptied are when every process is
 * there. TEE is for standard output. Of several for one descriptor the last counts; copies
 * (TEE) add up. A stage that was to read an output that goes elsewhere is at its end at once.
 *
 * Returns 0, -EINVAL, -ENOMEM. Since 0.1.
 */
int ayre_pipeline_redirect(struct ayre_pipeline *pipeline,
                           const struct ayre_redirection *redirection);

/** ayre_pipeline_feed() - AYRE_REDIRECT_FEED into the standard input of the first stage */
int ayre_pipeline_feed(struct ayre_pipeline *pipeline, const void *bytes, size_t byte_count);

/** ayre_pipeline_capture() - AYRE_REDIRECT_CAPTURE of the standard output of the last stage so far */
int ayre_pipeline_capture(struct ayre_pipeline *pipeline, size_t bound_bytes,
                          enum ayre_at_bound at_bound);

/* --- running --- */

/* How it went as a whole. Set size; no field beyond it is touched. */
struct ayre_pipeline_result {
	size_t size;
	/*
	 * As a shell would have it: 0 if all stages did well; else the status of the rightmost
	 * that failed, 128 + N for signal N. A stage that SIGPIPE ended because another
	 * stage, or a bound, had enough of its output did well, unless STRICT. 124 if the deadline ended it.
	 */
	int exit_status;
	int failed_stage; /* the rightmost that failed; -1: none */
	/* 0; -ETIMEDOUT: the deadline; -ECANCELED: ayre_pipeline_cancel(); -EMSGSIZE: a bound; a tee's or a feed's error */
	int error;
	int64_t wall_ns;
	/* Processes that were not stages and had to be ended with the tree. */
	int strays_ended;
	bool drain_cut; /* a captured output was still held open after drain_ns */
};

/**
 * ayre_pipeline_run() - start it, and wait until all of it has ended
 * @ret_result: may be NULL
 *
 * Returns the exit status, 0 to 255, as in struct ayre_pipeline_result; or what
 * ayre_pipeline_start() returns, when nothing has run; or a negative errno as in its
 * field error, when it did. Since 0.1.
 */
int ayre_pipeline_run(struct ayre_pipeline *pipeline, struct ayre_pipeline_result *ret_result,
                      struct ayre_error *error) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_start() - start all of it
 *
 * Returns 0, or a negative errno as ayre_process_start(), with the stage's name as
 * the error's object; then nothing of it has run (but see CAVEATS in ayre_pipeline(3)
 * for the step "execute"), ayre_pipeline_failed_stage() says which stage it was, and
 * looking at it and ayre_pipeline_free() are left to do. Since 0.1.
 */
int ayre_pipeline_start(struct ayre_pipeline *pipeline, struct ayre_error *error) AYRE_MUST_CHECK;

/** ayre_pipeline_failed_stage() - the one that could not be started; -1: none, or not a stage's fault */
int ayre_pipeline_failed_stage(const struct ayre_pipeline *pipeline);

/**
 * ayre_pipeline_fd() - readable (POLLIN) when ayre_pipeline_process() has something to do
 *
 * Borrowed, close-on-exec; deadlines are in it. -EBADF before the start. Since 0.1.
 */
int ayre_pipeline_fd(const struct ayre_pipeline *pipeline) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_process() - do what there is to do; never blocks
 *
 * Returns 1 when all has ended, 0 if not yet. Since 0.1.
 */
int ayre_pipeline_process(struct ayre_pipeline *pipeline) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_wait_until() - process until all has ended, or the absolute time has come
 *
 * AYRE_NO_DEADLINE (INT64_MAX): however long it takes. Returns 0 or -ETIMEDOUT, and then it still runs. Since 0.1.
 */
int ayre_pipeline_wait_until(struct ayre_pipeline *pipeline, int64_t deadline_ns) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_cancel() - end the whole tree: SIGTERM, and after the grace SIGKILL
 *
 * Returns at once; process until it has ended. Calling it again kills at once. What a stage
 * left behind in the group, or below it, is ended and waited for too. Since 0.1.
 */
void ayre_pipeline_cancel(struct ayre_pipeline *pipeline);

/** ayre_pipeline_get_result() - after the end: 0; -EAGAIN: it runs; -EINVAL: it never did, or no size */
int ayre_pipeline_get_result(const struct ayre_pipeline *pipeline,
                             struct ayre_pipeline_result *ret_result) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_captured() - what was captured of a stage's descriptor
 * @ret_bytes: borrowed until the pipeline is freed, or given more by process
 * @ret_total: how many bytes came in all, kept or not; may be NULL
 *
 * Returns how many bytes were kept, or -EINVAL: nothing is captured there. Since 0.1.
 */
ssize_t ayre_pipeline_captured(struct ayre_pipeline *pipeline, int stage, int fd,
                               const char **ret_bytes, uint64_t *ret_total) AYRE_MUST_CHECK;

/* --- looking at it, while it runs and after --- */

/* What a stage was seen doing, in thousandths of the time sampled; all 0: never sampled. */
struct ayre_stage_shares {
	uint16_t running; /* on a processor, or waiting for one */
	uint16_t input;   /* waiting for its input pipe to have something */
	uint16_t output;  /* waiting for its output pipe to have room */
	uint16_t other;   /* asleep, on a disk or network, stopped */
};

struct ayre_stage_info {
	size_t size;
	const char *name; /* the program as it was given, or the function's name; borrowed */
	const char *const *arguments; /* NULL for a function; borrowed */
	pid_t pid;                    /* 0: never started */
	struct ayre_process_end end;  /* while it runs, what it used is -1 */
	/*
	 * Through standard input and output, as well as that can be known from outside
	 * (its page in section 3 says how); -1: not.
	 */
	int64_t read_bytes;
	int64_t written_bytes;
	struct ayre_stage_shares recent; /* of the last second */
	struct ayre_stage_shares total;
	char state; /* when last sampled: R running, S asleep, D on a disk, T stopped, Z ended; 0 */
};

struct ayre_pipe_info {
	size_t size;
	int from; /* stage; the first of several */
	int to; /* stage; the first of several; -1: a fan's source whose copies go to files only */
	uint64_t asked_bytes;
	uint64_t granted_bytes;
	int64_t fill_bytes;   /* when last sampled; -1: could not be */
	int64_t passed_bytes; /* through it, as far as is known; -1: not */
	double mean_fill;     /* 0 to 1, of granted_bytes; below 0: never sampled */
};

/**
 * ayre_pipeline_sample() - look at what the stages and pipes are doing
 *
 * From outside: /proc is read, and each pipe's fill is asked for; no byte is touched. Costs some
 * twenty microseconds a stage. Call it as often as the figures are to be fresh,
 * ten or twenty times a second; without it there is no fill and no bottleneck.
 * Does nothing before the start and after the end. Since 0.1.
 */
void ayre_pipeline_sample(struct ayre_pipeline *pipeline);

int ayre_pipeline_stage_count(const struct ayre_pipeline *pipeline);
int ayre_pipeline_pipe_count(const struct ayre_pipeline *pipeline);

/** ayre_pipeline_stage(), ayre_pipeline_pipe() - what is known of one; 0 or -EINVAL. Since 0.1. */
int ayre_pipeline_stage(const struct ayre_pipeline *pipeline, int stage,
                        struct ayre_stage_info *ret_info) AYRE_MUST_CHECK;
int ayre_pipeline_pipe(const struct ayre_pipeline *pipeline, int pipe,
                       struct ayre_pipe_info *ret_info) AYRE_MUST_CHECK;

/**
 * ayre_pipeline_bottleneck() - the stage that holds the rest up
 * @recent: of the last second, else of the whole time
 *
 * Returns its number, or -1: none does alone, or there are too few samples. Since 0.1.
 */
int ayre_pipeline_bottleneck(const struct ayre_pipeline *pipeline, bool recent);

AYRE_END_DECLARATIONS
