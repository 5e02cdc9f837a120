/*
 * What tests of the guard need: segments to cut, pages that raise SIGBUS, a host's handler.
 */
#pragma once

#include "support/open.h"

#include <signal.h>
#include <sys/mman.h>

#define PAGES 4

size_t page_bytes(void);
/* A segment of PAGES pages under this number, full of 'a' unless it is read-only. */
struct ayre_segment *open_numbered(unsigned int number, uint32_t flags);
/* Cuts its file to one page, as somebody else would. */
void cut_numbered(unsigned int number);
void remove_numbered(unsigned int number, struct ayre_segment *segment);
char touch(const void *data, size_t page);
/* A page that raises SIGBUS and is none of ayre's; hint and flags as for mmap(2). */
char *map_trap(void *hint, int flags);

/* The host's own handler: it leaves the place of the fault. */
void install_host_handler(bool with_address);
extern volatile sig_atomic_t faults; /* that it was told */
extern void *volatile fault_address; /* the last one, with_address */
void escape_with_address(int number, siginfo_t *info, void *context);
void escape_plainly(int number);
/* Did the host's handler run when the page was touched? */
bool is_host_told(const char *data);
