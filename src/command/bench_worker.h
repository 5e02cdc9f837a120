/*
 * What the groups of `ayre bench worker` share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ayre.h>

#include "command/bench.h"
#include "command/bench_topic.h"

/* --- the module --- */

/* Its path: where it was installed, or AYRE_BENCH_MODULE. */
const char *bench_worker_module(void);

/* NULL: a worker can be had, with the bench's module; else why not. Asked once. */
const char *bench_worker_missing(void);

/*
 * Opens a worker. cpu: where the zygote, and all that it makes, is bound to; -1: where this
 * process is. 0 or a negative errno.
 */
int bench_worker_open(const struct ayre_worker_options *options, int cpu,
                      struct ayre_worker **ret_worker);

/* The first process of the worker that was opened last on a processor of its own; 0: there is none. */
pid_t bench_worker_bound(void);

/* One call of 64 bytes that come back as they went. 0 or a negative errno. */
int bench_worker_echo(struct ayre_worker *worker);

/* --- a process from its start to its first answer, or to its end --- */

enum worker_start {
	START_FORK,  /* a copy that ends */
	START_SPAWN, /* an empty program */
	START_BWRAP, /* the same in a jail of others' */
	START_FIREJAIL,
	START_AYRE,  /* without a spare */
	START_SPARE, /* with one that stands by: what passes in between is not counted */
	START_FLOW,  /* with one that is made meanwhile */
	START_COUNT,
};

/* So often, and what it took. workers: by their enum, opened when they are needed. */
int bench_worker_start(enum worker_start start, struct ayre_worker **workers,
                       struct bench_sample *sample);

/* --- the groups, in their order --- */

struct worker_bench {
	const struct bench_machine *machine;
	struct topic_quiet quiet;
	uint64_t host_bytes; /* resident, of the large host */
};

int bench_worker_run_fresh(struct bench_report *report, struct worker_bench *bench);
int bench_worker_run_host(struct bench_report *report, struct worker_bench *bench);
int bench_worker_run_calls(struct bench_report *report, struct worker_bench *bench);
int bench_worker_run_images(struct bench_report *report, struct worker_bench *bench);
int bench_worker_run_deaths(struct bench_report *report, struct worker_bench *bench);
