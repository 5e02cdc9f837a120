/*
 * Tracing a child (ptrace): from the edge of one system call to that of the next, or instruction
 * by instruction. No register is looked at: PTRACE_GET_SYSCALL_INFO is the same on every
 * architecture.
 */
#pragma once

#include "support/open.h"

#include <sys/ptrace.h>

/* A stop of the traced child at the edge of a system call, or (neither) between two. */
struct edge {
	bool entry;
	bool exit;
	uint64_t number; /* of the call; at its exit: as at the entry before */
	uint64_t arguments[6];
	uint64_t instruction; /* address of the next one */
};

/* PTRACE_SYSCALL: to the next edge; PTRACE_SINGLESTEP: by one instruction. false: it has ended. */
bool go_on(pid_t child, enum __ptrace_request how);
/* Where the child stands. */
void read_edge(pid_t child, struct edge *edge);
void kill_traced(pid_t child);
/* A step costs a tenth when tracer and child do not have to wake another processor. */
void stay_on_this_processor(void);
