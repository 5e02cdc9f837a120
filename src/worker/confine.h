/*
 * Confinement, for this floor: confine.c lays the layers in their order, confine_layers.c has
 * what each consists of, posture.c tries them, filter.h has the system calls.
 */
#pragma once

#include <stdint.h>

#include <ayre/worker.h>

/* One lock-down under way. */
struct ayrei_confinement {
	struct ayre_confine_options options;
	struct ayre_posture posture;
	int64_t mapped_bytes; /* at the beginning, or a negative errno */
};

/* Each lays one layer on the calling process: 0 or a negative errno. */
int ayrei_confine_no_new_privs(struct ayrei_confinement *confinement);
int ayrei_confine_undumpable(struct ayrei_confinement *confinement);
int ayrei_confine_capabilities(struct ayrei_confinement *confinement);
int ayrei_confine_descriptors(struct ayrei_confinement *confinement);
int ayrei_confine_landlock(struct ayrei_confinement *confinement);
int ayrei_confine_limits(struct ayrei_confinement *confinement);
int ayrei_confine_seccomp(struct ayrei_confinement *confinement);
int ayrei_confine_namespaces(struct ayrei_confinement *confinement);
int ayrei_confine_code(struct ayrei_confinement *confinement);
