/*
 * Confinement, for this floor: confine.c lays the layers in their order, confine_layers.c has
 * what each consists of, posture.c tries them, filter.h has the system calls.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ayre/worker.h>

/* One lock-down under way. */
struct ayrei_confinement {
	struct ayre_confine_options options;
	struct ayre_posture posture;
	int64_t mapped_bytes; /* at the beginning, or a negative errno */
	bool tries_all;       /* also what the options do without */
	/* Called before each layer; NULL: nobody wants to know. */
	void (*begin)(const struct ayrei_confinement *confinement, uint32_t layer);
	int begin_fd; /* for its use */
};

struct ayrei_confine_step {
	enum ayre_layer layer;
	int (*lay)(struct ayrei_confinement *confinement);
};

/*
 * Lays these layers, in this order, but for those that the options do without; a failure ends it if the layer has to
 * hold by the options.
 */
int ayrei_confine_lay(struct ayrei_confinement *confinement,
                      const struct ayrei_confine_step *layers, size_t count,
                      struct ayre_error *error);
/* All of ayre_confine()'s, for a process that is known to be alone, with mapped_bytes set. */
int ayrei_confine_all(struct ayrei_confinement *confinement, struct ayre_error *error);
/* The same for one that is not known to be, and that has not looked how much is mapped. */
int ayrei_confine_alone(struct ayrei_confinement *confinement, struct ayre_error *error);

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
