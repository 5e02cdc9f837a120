/*
 * What the groups of `ayre bench file` share: the files, and the memory beside them.
 */
#pragma once

#include <ayre.h>

#include "command/bench.h"
#include "command/bench_memory.h"

#define FILE_PAGE_BYTES ((size_t)4096)
#define FILE_NAME_MAX   40

/* An open file without a name, which can be opened again all the same. */
struct bench_opened {
	int fd;                   /* -1: not there */
	char name[FILE_NAME_MAX]; /* "file:/proc/self/fd/N", as ayre takes it */
	const char *path;         /* the same without "file:" */
};

struct bench_small {
	struct bench_opened file;
	size_t size;
};

/* A file for durable writes, filled or to be filled page by page, round and round. */
struct bench_log {
	struct bench_opened file;
	struct ayre_segment *segment; /* all of it, mapped; NULL: the file grows */
	uint64_t page;                /* the next one */
};

enum bench_log_kind {
	LOG_SMALL,     /* zeros written 4 KiB at a time */
	LOG_LARGE,     /* zeros written 1 MiB at a time */
	LOG_ALLOCATED, /* space promised by ayre_segment_resize() */
	LOG_GROWING,   /* empty */
	LOG_COUNT,
};

struct file_bench {
	const char *directory;
	uint64_t size; /* of the warm file, of memory, of shared: a power of two */
	struct bench_memory memory;
	struct bench_opened file; /* the warm file: the pattern of file_salt */
	uint64_t file_salt;
	struct ayre_segment *kept;   /* its map that stays; NULL while there must be none */
	struct ayre_segment *shared; /* anonymous: the pattern of shared_salt */
	uint64_t shared_salt;
	struct bench_small small[2]; /* 4 KiB, 64 KiB */
	struct bench_opened records; /* appended to, and cut to nothing again */
	struct bench_log logs[LOG_COUNT];
	size_t log_bytes;
	uint64_t seed;
};

/* Each returns 0 or a negative errno. */
int bench_open_again(const struct bench_opened *file, uint32_t flags,
                     struct ayre_segment **ret_segment);
int bench_open_shared_again(const struct file_bench *bench, struct ayre_segment **ret_segment);
int bench_write_pattern(int fd, void *buffer, size_t buffer_bytes, uint64_t size, uint64_t salt);

/* Logs are made when they are wanted, since other groups do better without. */
int bench_logs_open(struct file_bench *bench);
void bench_logs_close(struct file_bench *bench);

/* Sequential. An operation is a pass. */
extern const struct bench_group bench_sequential_read_group, bench_sequential_write_group;
/* An operation is a read of 4 KiB, of 64 bytes. */
extern const struct bench_group bench_random_4k_group, bench_random_64_group;
/* An operation is a page of 4 KiB. */
extern const struct bench_group bench_touch_group;
/* An operation is a whole file. */
extern const struct bench_group bench_small_4k_group, bench_small_64k_group;
/* An operation is a read of 4 KiB. */
extern const struct bench_group bench_cold_group;
/* An operation is a record. */
extern const struct bench_group bench_append_group;
/* An operation is a durable page of 4 KiB. */
extern const struct bench_group bench_durable_group;
extern const struct bench_group bench_dirtied_group;
