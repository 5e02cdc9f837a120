/*
 * What planning a pipeline's connections (plan.c) and its redirections (redirect.c) share.
 */
#pragma once

#include "process/pipeline.h"

/* --- plan.c --- */

/* What was wired there before is not any more. source: -1: none. */
int ayrei_plan_wire(struct ayre_pipeline *pipeline, int stage, int fd, int source,
                    struct ayre_error *error);
/* A pipe of the stage's could not be had. Returns the code. */
int ayrei_plan_fail(const struct ayre_pipeline *pipeline, int stage, int code,
                    struct ayre_error *error);
/* NULL: its output goes one way only. */
struct ayrei_fan *ayrei_plan_find_fan(struct ayre_pipeline *pipeline, int stage);
/* One more way for it; fd is duplicated. pipe: the number of the pipe that fd is of; -1: none. */
int ayrei_plan_add_sink(struct ayre_pipeline *pipeline, struct ayrei_fan *fan, int fd, int pipe,
                        bool is_copy);
/* Does a later redirection of the same descriptor stand over this one? */
bool ayrei_plan_is_replaced(const struct ayre_pipeline *pipeline, size_t index);

/* --- redirect.c --- */

bool ayrei_redirect_is_tee(const struct ayrei_redirection *redirection);
int ayrei_plan_redirections(struct ayre_pipeline *pipeline, struct ayre_error *error);
/* undo: files that were made are removed. */
void ayrei_redirect_close(struct ayre_pipeline *pipeline, bool undo);
