/*
 * Opening modules of the tests, in one line.
 */
#pragma once

#include "worker/worker_world.h"

/* The options of a worker, with their size set. */
#define WORKER(...) \
	(&(struct ayre_worker_options){.size = sizeof(struct ayre_worker_options), __VA_ARGS__})

#define JOB(...) (&(struct ayre_worker_job){.size = sizeof(struct ayre_worker_job), __VA_ARGS__})

#define MILLISECOND_NS INT64_C(1000000)

/* The path of a module that was built beside the tests. */
const char *module_path(const char *name, char path[static 512]);
/* In a child, or in the test: opens it, or fails. */
struct ayre_worker *open_module(const struct ayre_worker_options *options, const char *name);
/* As ayre_worker_call(), with a text as request and room for a page. */
ssize_t call_text(struct ayre_worker *worker, const char *function, const char *text,
                  char reply[static 4096]);
/* What a function answers that answers a number. */
uint32_t call_number(struct ayre_worker *worker, const char *function);
/*
 * As ayre_worker_submit(), once there is a process for it: those that were ended take a while to go. Nothing else
 * may be under way.
 */
int submit_job(struct ayre_worker *worker, const struct ayre_worker_job *job, uint64_t *ret_call);
struct ayre_worker_end end_of_worker(const struct ayre_worker *worker);
struct ayre_worker_info info_of_worker(const struct ayre_worker *worker);
/* 0: there is none. Of a host that has no other it is the keeper, whose own is the zygote. */
pid_t first_child_of(pid_t parent);
pid_t zygote_of(pid_t host);
