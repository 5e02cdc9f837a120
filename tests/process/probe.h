/*
 * What a child sees of itself: the test program, executed again, writes it down.
 */
#pragma once

#include "support/support.h"

#include <ayre/process.h>

#define PROCESS_OPTIONS(...) \
	(&(struct ayre_process_options){.size = sizeof(struct ayre_process_options), __VA_ARGS__})
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define REPORT_BYTES 65536

/* In main(): returns only in the test program itself. */
void become_probe(int argc, char **argv);

/*
 * Starts a probe with these options (program and further arguments are the probe's), waits, and
 * gives what it wrote: lines such as "fd 3 INODE" or "blocked 0000000000000000".
 */
void probe(const struct ayre_process_options *options, char report[static REPORT_BYTES]);
/* Is the line there, whole? format: as printf. */
bool says(const char *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How many lines begin so? */
unsigned int count_lines(const char *report, const char *beginning);
/* The inode behind a descriptor. */
unsigned long inode_of(int fd);
/* A descriptor of a file of its own that no other test has; close-on-exec. */
int make_file_of_its_own(void);

/* Starts, which has to succeed. */
struct ayre_process *begin(const struct ayre_process_options *options,
                           const char *const *arguments);
/* Starts, waits, closes: how it ended. */
struct ayre_process_end run(const struct ayre_process_options *options,
                            const char *const *arguments);
/* Starts, which has to fail so: in this step, with the outputs untouched. */
void fails(const struct ayre_process_options *options, const char *const *arguments,
           const char *step, int code);
/* The text of the last such failure. */
extern _Thread_local char failure_text[640];
/* Gives up root's rights, in a child: for good. */
void become_nobody(void);

/*
 * A test whose body runs in a child, where it may change what it likes and require() what it
 * wants; there, too, nothing may be left behind.
 */
#define CHILD_TEST(name) \
	static int name##_inside(void *context); \
	static void name(void **state) \
	{ \
		(void)state; \
		run_counted_in_child(name##_inside); \
	} \
	static int name##_inside(void *context __attribute__((unused)))
void run_counted_in_child(int (*body)(void *context));
