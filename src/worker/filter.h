/*
 * The system calls that a confined process may make, as programs for the kernel. filter_make.c has
 * the list, and makes them when ayre is built.
 */
#pragma once

#include <stddef.h>

#include <linux/filter.h>

/* Every other call ends the process. */
extern const struct sock_filter ayrei_filter_kill[];
extern const size_t ayrei_filter_kill_length;
/* Every other call raises SIGSYS, whose handler can say which one it was. */
extern const struct sock_filter ayrei_filter_report[];
extern const size_t ayrei_filter_report_length;
/* The same with what a zygote needs besides, until its end. */
extern const struct sock_filter ayrei_filter_zygote[];
extern const size_t ayrei_filter_zygote_length;

/* Of system calls, by number; NULL: there is none. */
extern const char *const ayrei_call_names[];
extern const size_t ayrei_call_names_count;
