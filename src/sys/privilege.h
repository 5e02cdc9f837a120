/*
 * What a process gives up of itself, for good, as verbs. Every one returns zero or more, or a
 * negative errno.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sock_filter;

/* 1: this is the only thread; 0: there are others, which none of this would reach. */
int ayrei_thread_is_alone(void);

/* From now on exec gives nothing that the process does not have. */
int ayrei_privileges_no_new(void);
/* No other process of this user may look into its memory, trace it, or take its descriptors. */
int ayrei_process_hide(void);
/* All capabilities, in every set that can be written. */
int ayrei_capabilities_drop(void);
/* Memory that is or was writable never becomes executable (Linux 6.3). */
int ayrei_code_freeze(void);
/* Readable memory is not executable memory, which old programs can ask for. */
int ayrei_personality_reset(void);

/* Closes all descriptors but these, which have to be open: -EBADF. Any order, doubles allowed. */
int ayrei_descriptors_close_but(const int *kept, size_t count);

/* Of the calling process, soft and hard, and never more than it has. resource: RLIMIT_... */
int ayrei_limit_lower(int resource, uint64_t value);
/* Of processor time: SIGXCPU when it is used up, which says so, and SIGKILL a second later. */
int ayrei_limit_cpu(uint32_t seconds);
/* What is mapped now, as RLIMIT_AS counts. Needs /proc. */
int64_t ayrei_address_space_bytes(void);
/* The same in two steps, of which the second opens nothing: for a fork of the process, too. */
int ayrei_address_space_open(void);
int64_t ayrei_address_space_read(int fd);
/* The end of the parent, which was this, will be ours. -ESRCH: it has ended. */
int ayrei_die_with_parent(int32_t parent);

/* Has the kernel filters that can end a process? 0, or why not. */
int ayrei_filter_probe(void);
/* Every system call of this thread is judged by it from now on. Needs no_new_privs. */
int ayrei_filter_load(const struct sock_filter *program, size_t length);
