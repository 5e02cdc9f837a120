/*
 * The ways of `ayre bench log`: which log each of them is, opened when it is wanted for the first time.
 *
 * Invariant: a log stays open, and its file where it is, until all is measured. To remove a large file is work that a
 * disk goes on with for a while, beside whatever is measured next.
 */
#include "command/bench_log.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#include "command/bench_worker.h"
#include "command/command.h"

struct way {
	const char *file;
	const struct log_store *store; /* NULL: a peer's */
	const char *peer;
	bool safe, grows, in_memory;
	unsigned int
		share; /* of a full one: so many times fewer messages than the plain one; 0: it is none */
};

static const struct way ways[LOG_WAY_COUNT] = {
	[LOG_PLAIN] = {.file = "plain", .store = &bench_log_plain, .safe = true},
	[LOG_GROWING] = {.file = "growing", .store = &bench_log_plain, .safe = true, .grows = true},
	[LOG_DIRECT] = {.file = "direct", .store = &bench_log_plain, .safe = true},
	[LOG_AYRE] = {.file = "ayre", .store = &bench_log_ayre, .safe = true},
	[LOG_AYRE_THREADED] = {.file = "ayre_threaded",
                               .store = &bench_log_ayre_threaded,
                               .safe = true},
	[LOG_AYRE_LAZY] = {.file = "ayre_lazy", .store = &bench_log_ayre_lazy},
	[LOG_AYRE_LAZY_THREADED] = {.file = "ayre_lazy_threaded",
                                    .store = &bench_log_ayre_lazy_threaded},
	[LOG_AYRE_FULL] = {.file = "ayre_full", .store = &bench_log_ayre_lazy, .share = 1},
	[LOG_LMDB] = {.file = "lmdb", .peer = "lmdb", .safe = true},
	[LOG_SQLITE] = {.file = "sqlite", .peer = "sqlite", .safe = true},
	[LOG_PLAIN_LAZY] = {.file = "plain_lazy", .store = &bench_log_plain},
	[LOG_LMDB_LAZY] = {.file = "lmdb_lazy", .peer = "lmdb"},
	[LOG_SQLITE_LAZY] = {.file = "sqlite_lazy", .peer = "sqlite"},
	[LOG_VOLATILE] = {.file = "volatile", .store = &bench_log_volatile, .in_memory = true},
	[LOG_PLAIN_FULL] = {.file = "plain_full", .store = &bench_log_plain, .share = 1},
	[LOG_LMDB_FULL] = {.file = "lmdb_full", .peer = "lmdb", .share = 4},
	[LOG_SQLITE_FULL] = {.file = "sqlite_full", .peer = "sqlite", .share = 4},
};

/* --- peers --- */

struct peer {
	const char *name, *not_built, *not_there;
	const struct log_store *store;
};

static struct peer peers[] = {
	{"lmdb", "not measured: liblmdb was not installed when ayre was built",
         "not measured: liblmdb is not installed", NULL},
	{"sqlite", "not measured: libsqlite3 was not installed when ayre was built",
         "not measured: libsqlite3 is not installed", NULL},
};

/* Beside the module of workers. It stays loaded. */
static const char *load(struct peer *peer)
{
	char path[4096], directory[4096];
	void *module;

	snprintf(directory, sizeof(directory), "%s", bench_worker_module());
	if (snprintf(path, sizeof(path), "%s/ayre-bench-%s.so", dirname(directory), peer->name) >=
	            (int)sizeof(path) ||
	    access(path, F_OK) == -1)
		return peer->not_built;
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module)
		peer->store = dlsym(module, LOG_STORE_SYMBOL);
	return peer->store ? NULL : peer->not_there;
}

const struct log_store *bench_log_peer(const char *name, const char **ret_why)
{
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		if (strcmp(peers[i].name, name) != 0)
			continue;
		*ret_why = peers[i].store ? NULL : load(&peers[i]);
		return peers[i].store;
	}
	return NULL;
}

const struct log_store *bench_log_store(enum log_way way)
{
	const char *why;

	return ways[way].store ? ways[way].store : bench_log_peer(ways[way].peer, &why);
}

/* --- open --- */

void bench_log_path(const struct log_bench *bench, enum log_way way, char path[4200])
{
	snprintf(path, 4200, "%s/%s", ways[way].in_memory ? bench->memory : bench->directory,
	         ways[way].file);
}

uint64_t bench_log_full_count(const struct log_bench *bench, enum log_way way)
{
	return bench->full_count / ways[way].share;
}

static int fill(struct log_bench *bench, enum log_way way)
{
	uint64_t left = bench_log_full_count(bench, way);
	int result = 0;

	while (result == 0 && left > 0) {
		size_t some = left < LOG_BATCH_MAX ? left : LOG_BATCH_MAX;

		result = bench_log_append(bench, way, some);
		left -= some;
	}
	return result;
}

int bench_log_open(struct log_bench *bench, enum log_way way, struct bench_sample *sample)
{
	char path[4200];
	struct log_store_options options = {.path = path, .safe = ways[way].safe};
	int result;

	if (bench->logs[way])
		return 0;
	if (!ways[way].store && !bench_log_peer(ways[way].peer, &sample->left_out))
		return BENCH_LEFT_OUT;
	if (!ways[way].share && !ways[way].grows)
		options.room_bytes = bench->room_bytes;
	bench_log_path(bench, way, path);
	/* A thread that it starts may run on any processor. */
	bench_machine_unbind(bench->machine);
	result = bench_log_store(way)->open(&options, &bench->logs[way]);
	bench_machine_bind(bench->machine);
	if (result == 0 && ways[way].share)
		result = fill(bench, way);
	return result;
}

void bench_log_close(struct log_bench *bench)
{
	for (enum log_way way = 0; way < LOG_WAY_COUNT; way++)
		if (bench->logs[way])
			bench_log_store(way)->close(bench->logs[way]);
}

/* --- appending --- */

int bench_log_append(struct log_bench *bench, enum log_way way, size_t count)
{
	uint64_t first = bench->next[way];

	for (size_t i = 0; i < count; i++)
		log_message_make(&bench->messages[i], first + i);
	bench->next[way] += count;
	return bench_log_store(way)->append(bench->logs[way], first, bench->messages, count);
}

int bench_log_settle(const struct log_bench *bench)
{
	return syncfs(bench->fd) == 0 ? 0 : -errno;
}

int64_t bench_log_device_bytes(const struct log_bench *bench)
{
	FILE *file = fopen(bench->device, "re");
	int64_t sectors = -1;

	/* The seventh: Documentation/block/stat.rst of the kernel. A sector here is always 512 bytes. */
	if (file && fscanf(file, "%*u %*u %*u %*u %*u %*u %" SCNd64, &sectors) != 1)
		sectors = -1;
	if (file)
		fclose(file);
	return sectors < 0 ? -1 : sectors * 512;
}
