/*
 * What the groups of `ayre bench pipe` share.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ayre.h>

#include "command/bench.h"

struct pipe_bench {
	const struct bench_machine *machine;
	int file;      /* of zeros, all of it in the page cache */
	char path[64]; /* that children can open */
	uint64_t file_bytes, fan_bytes, memory_bytes;
	char *memory;  /* what is fed */
	char *ballast; /* NULL: the host is small */
	size_t ballast_bytes;
};

/* The others, by the name of their program. A row whose program is missing is left out. */
enum pipe_peer {
	PEER_DASH,
	PEER_BASH,
	PEER_PYTHON,
	PEER_PV,
	PEER_BWRAP,
	PEER_FIREJAIL,
};
const char *bench_peer_missing(enum pipe_peer peer);

/*
 * Runs a program with posix_spawn(3), and takes what it prints, up to text_bytes - 1. input: -1: none.
 * Returns its exit status or a negative errno.
 */
int bench_peer_run(const char *const *arguments, char *text, size_t text_bytes);

/* Does the text hold this number, and no other, count times? 0 or -EBADMSG. */
int bench_check_numbers(const char *text, uint64_t number, size_t count);

extern const struct bench_group bench_start_group, bench_start_long_group, bench_start_large_group;
extern const struct bench_group bench_copy_group, bench_meter_group, bench_fan_group,
	bench_feed_group;
