/*
 * A fresh jailed process, asked for by a host with much memory, beside one with little.
 *
 * Both hosts are children of the bench that differ in nothing else. They measure by themselves, and wait
 * in read(2) while it is the other's turn.
 *
 * Invariant: a host ends with the bench, however that ends.
 */
#include "command/bench_worker.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/command.h"
#include "command/output.h"

enum { SMALL, LARGE, HOST_COUNT };

struct host {
	pid_t pid; /* 0: there is none */
	int socket;
};

struct order {
	enum worker_start start;
	struct bench_sample sample;
};

struct answer {
	int code;
	struct bench_sample sample;
};

struct hosts {
	const struct worker_bench *bench;
	struct host hosts[HOST_COUNT];
};

/* --- the child --- */

static int fill(uint64_t bytes)
{
	void *memory;

	if (bytes == 0)
		return 0;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	/* Small pages, as in hosts that grew: each costs a fork a table's entry. */
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 'x', bytes);
	return 0;
}

static int reply(int socket, const struct answer *answer)
{
	return send(socket, answer, sizeof(*answer), MSG_NOSIGNAL) == sizeof(*answer) ? 0 : -EPIPE;
}

static __attribute__((noreturn)) void be_host(int socket, uint64_t bytes)
{
	struct ayre_worker *workers[START_COUNT] = {0};
	struct answer answer = {.code = fill(bytes)};
	struct order order;

	while (reply(socket, &answer) == 0 &&
	       read(socket, &order, sizeof(order)) == sizeof(order)) {
		answer.sample = order.sample;
		answer.code = bench_worker_start(order.start, workers, &answer.sample);
	}
	for (int start = 0; start < START_COUNT; start++)
		ayre_worker_close(workers[start]);
	_exit(0);
}

/* --- the bench --- */

static int hear(const struct host *host, struct bench_sample *ret_sample)
{
	struct answer answer;

	if (read(host->socket, &answer, sizeof(answer)) != sizeof(answer))
		return -EOWNERDEAD;
	*ret_sample = answer.sample;
	return answer.code;
}

static int start_host(struct hosts *hosts, int which, uint64_t bytes)
{
	struct host *host = &hosts->hosts[which];
	struct bench_sample none;
	pid_t parent = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return -errno;
	host->pid = fork();
	if (host->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		/* Or the earlier ones would not see the bench go. */
		for (int i = 0; i < which; i++)
			close(hosts->hosts[i].socket);
		close(ends[0]);
		be_host(ends[1], bytes);
	}
	close(ends[1]);
	host->socket = ends[0];
	return host->pid < 0 ? -errno : hear(host, &none);
}

static void end_host(const struct host *host)
{
	if (host->pid == 0)
		return;
	close(host->socket);
	if (host->pid > 0)
		waitpid(host->pid, NULL, 0);
}

static const char *prepare(void *state)
{
	struct hosts *hosts = state;
	const struct worker_bench *bench = hosts->bench;
	const char *missing = bench_worker_missing();

	if (missing)
		return missing;
	if (bench->machine->available_bytes / 2 < bench->host_bytes)
		return "there is no memory for it";
	if (start_host(hosts, SMALL, 0) < 0 || start_host(hosts, LARGE, bench->host_bytes) < 0)
		return "the hosts cannot be started";
	return NULL;
}

#define ARGUMENT(host, start) ((uint64_t)(host) << 8 | (start))

static int measure(void *state, uint64_t argument, struct bench_sample *sample)
{
	const struct hosts *hosts = state;
	const struct host *host = &hosts->hosts[argument >> 8];
	const struct order order = {.start = argument & 0xff, .sample = *sample};

	if (send(host->socket, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order))
		return -EOWNERDEAD;
	return hear(host, sample);
}

static const struct bench_row rows[] = {
	{"small_host", "ayre: from a small host", BENCH_FLOOR, measure,
         ARGUMENT(SMALL, START_AYRE)},
	{"posix_spawn", "posix_spawn of an empty program", BENCH_PEER, measure,
         ARGUMENT(LARGE, START_SPAWN)},
	{"fork", "fork and exit", BENCH_PEER, measure, ARGUMENT(LARGE, START_FORK)},
	{"ayre", "ayre: from the large host", BENCH_AYRE, measure, ARGUMENT(LARGE, START_AYRE)},
};

static const struct bench_group host_group = {
	.name = "fresh_large_host",
	.title = "a fresh jailed process, from a host with 1 GiB resident (64 MiB with --quick)",
	.unit = BENCH_TIME,
	.rows = rows,
	.row_count = COUNT_OF(rows),
	.unfit = prepare,
};

int bench_worker_run_host(struct bench_report *report, struct worker_bench *bench)
{
	struct hosts hosts = {.bench = bench};
	int result;

	bench_machine_unbind(bench->machine);
	result = bench_run_group(report, &host_group, &hosts, 0);
	for (int i = 0; i < HOST_COUNT; i++)
		end_host(&hosts.hosts[i]);
	bench_machine_bind(bench->machine);
	return result;
}
