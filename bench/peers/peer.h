/*
 * What every peer of `ayre bench topic` does alike: two pinned processes or more, messages that are
 * checked, a warm-up, one line that says what it took. bench/topic_peers.sh runs them in turns.
 *
 * A peer is one program. It defines the functions that are declared below and includes this file
 * behind them, so that they are inlined into the loops here.
 *
 * usage: PEER MODE BYTES COUNT NEAR-CPU FAR-CPU [READERS]
 *
 *   round    there and back, both spinning      ns per round trip
 *   asleep   there and back, both sleeping      ns per round trip
 *   stream   one way, one by one                ns per message
 *   fan      one way to READERS processes       ns per message, until all have it
 *   open     make, open both ends, one message  ns; one process, COUNT is 1
 *
 * It prints a number, or "left out: " and why.
 */
#pragma once

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PEER_READERS_MAX 16
#define PEER_SECONDS     20 /* then it is killed */
/* A sample that another program has interrupted is taken again. */
#define PEER_TRIES 3

/* What all processes of a run share. */
struct peer_shared {
	uint32_t arrived __attribute__((aligned(128))); /* at the meetings, all in all */
	uint32_t done __attribute__((aligned(128)));    /* readers of a fan that have all of it */
	uint32_t over;
	int64_t switches[PEER_TRIES];
};

struct peer {
	const char *mode;
	size_t bytes; /* of a message: whole words of eight */
	uint64_t count;
	unsigned int readers;
	int near_cpu, far_cpu;
	bool sleeps; /* it waits in the kernel; else it spins, or yields if it has to share */
	bool yields; /* others need this processor */
	bool shares; /* so that being interrupted says nothing */
	bool is_near;
	unsigned int number; /* of a far one */
	unsigned int meetings;
	char run[32]; /* for names that nobody else has */
	uint64_t *message, *copy;
	uint64_t rest, sent, received;
	struct peer_shared *shared;
};

/* --- what a peer defines --- */

/* NULL: it can do this. Asked before anything is open. */
static const char *peer_left_out(const struct peer *peer);
/* Opens the ends by the names of their channels; NULL: not that one. Waits for the other side. */
static void peer_open(struct peer *peer, const char *sends, const char *receives);
static void peer_close(struct peer *peer);
/* Waits while there is no room, or no message. What was received is valid until it is released. */
static void peer_send(struct peer *peer, const void *data);
static const void *peer_receive(struct peer *peer);
static void peer_release(struct peer *peer);

/* --- for peers --- */

static inline __attribute__((noreturn)) void peer_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static inline void peer_turn(const struct peer *peer)
{
	if (peer->yields)
		sched_yield();
}

static inline int64_t peer_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void peer_bind(int cpu, int other)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CPU_SET(other, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == -1)
		peer_fail("sched_setaffinity");
}

/*
 * A library's own threads begin where the one does that starts them. Between true and false they may use both
 * processors, if it is faster with that.
 */
static inline void peer_set_free(const struct peer *peer, bool is_free)
{
	int cpu = peer->is_near ? peer->near_cpu : peer->far_cpu;

	peer_bind(is_free ? peer->near_cpu : cpu, is_free ? peer->far_cpu : cpu);
}

/* --- messages --- */

typedef uint64_t peer_vector __attribute__((vector_size(16), aligned(8), may_alias));

static inline uint64_t peer_sum(const uint64_t *words, size_t bytes)
{
	const peer_vector *at = (const peer_vector *)(const void *)words;
	size_t count = bytes / sizeof(*words), turns = count / 4;
	peer_vector a = {0}, b = {0};
	uint64_t sum = 0;

	for (size_t i = 0; i < turns; i++, at += 2) {
		a += at[0];
		b += at[1];
	}
	a += b;
	for (size_t i = turns * 4; i < count; i++)
		sum += words[i];
	return sum + a[0] + a[1];
}

static inline void peer_send_next(struct peer *peer)
{
	peer->message[0] = peer->sent++;
	peer_send(peer, peer->message);
}

/* Reads every byte; the first word is the message's number, so a lost one ends the run. */
static inline void peer_receive_next(struct peer *peer)
{
	const uint64_t *words = (const uint64_t *)peer_receive(peer);
	uint64_t number = peer->received++;

	if (words[0] != number || peer_sum(words, peer->bytes) != number + peer->rest) {
		fprintf(stderr, "message %llu came for %llu, or was spoilt\n",
		        (unsigned long long)words[0], (unsigned long long)number);
		exit(EXIT_FAILURE);
	}
	peer_release(peer);
}

static inline void peer_fill(struct peer *peer)
{
	size_t room = (peer->bytes + 63) & ~(size_t)63;

	peer->message = (uint64_t *)aligned_alloc(64, room);
	peer->copy = (uint64_t *)aligned_alloc(64, room);
	if (!peer->message || !peer->copy)
		peer_fail("memory");
	for (size_t i = 0; i < peer->bytes / sizeof(uint64_t); i++)
		peer->message[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	peer->rest = peer_sum(peer->message, peer->bytes) - peer->message[0];
	memset(peer->copy, 0, peer->bytes);
}

/* --- the processes --- */

/* Waits until all processes are here; first without sleeping, so that they go on together. */
static inline void peer_meet(struct peer *peer)
{
	uint32_t all = ++peer->meetings * (peer->readers + 1);

	__atomic_fetch_add(&peer->shared->arrived, 1, __ATOMIC_ACQ_REL);
	for (int i = 0; __atomic_load_n(&peer->shared->arrived, __ATOMIC_ACQUIRE) < all; i++) {
		if (i < 1000)
			sched_yield();
		else
			usleep(50);
	}
}

/* So often has this thread lost its processor while it could have gone on. */
static inline int64_t peer_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/* Everybody tells how often it was interrupted, and knows of all. true: once more. */
static inline bool peer_again(struct peer *peer, int try_number, int64_t switches)
{
	int64_t *all = &peer->shared->switches[try_number];

	/* Those who share a processor give it to each other, which the kernel counts too. */
	if (!peer->shares)
		__atomic_fetch_add(all, switches, __ATOMIC_ACQ_REL);
	peer_meet(peer);
	return try_number + 1 < PEER_TRIES && __atomic_load_n(all, __ATOMIC_ACQUIRE) > 0;
}

static inline void peer_do_far(struct peer *peer, uint64_t count)
{
	bool round = strcmp(peer->mode, "round") == 0 || strcmp(peer->mode, "asleep") == 0;
	bool fan = strcmp(peer->mode, "fan") == 0;

	for (uint64_t i = 0; i < count; i++) {
		if (round || fan)
			peer_receive_next(peer);
		if (!fan)
			peer_send_next(peer);
	}
	if (fan)
		__atomic_fetch_add(&peer->shared->done, 1, __ATOMIC_ACQ_REL);
}

static inline void peer_do_near(struct peer *peer, uint64_t count, uint32_t done)
{
	bool round = strcmp(peer->mode, "round") == 0 || strcmp(peer->mode, "asleep") == 0;
	bool fan = strcmp(peer->mode, "fan") == 0;

	for (uint64_t i = 0; i < count; i++) {
		if (round || fan)
			peer_send_next(peer);
		if (!fan)
			peer_receive_next(peer);
	}
	while (fan && __atomic_load_n(&peer->shared->done, __ATOMIC_ACQUIRE) < done)
		;
}

static inline void peer_open_ends(struct peer *peer)
{
	bool stream = strcmp(peer->mode, "stream") == 0, fan = strcmp(peer->mode, "fan") == 0;
	const char *sends = peer->is_near ? "there" : "back";
	const char *receives = peer->is_near ? "back" : "there";

	if (strcmp(peer->mode, "open") == 0)
		receives = sends;
	if (stream && peer->is_near)
		sends = NULL;
	if (stream && !peer->is_near)
		receives = NULL;
	if (fan && peer->is_near)
		receives = NULL;
	if (fan && !peer->is_near)
		sends = NULL;
	peer_open(peer, sends, receives);
}

static inline uint64_t peer_warm_up(const struct peer *peer)
{
	return peer->count / 4 + 1;
}

static inline void peer_run_far(struct peer *peer)
{
	peer_bind(peer->far_cpu, peer->far_cpu);
	alarm(PEER_SECONDS);
	peer_fill(peer);
	peer_open_ends(peer);
	peer_meet(peer);
	peer_do_far(peer, peer_warm_up(peer));
	for (int i = 0;; i++) {
		int64_t before;

		peer_meet(peer);
		before = peer_switches();
		peer_do_far(peer, peer->count);
		if (!peer_again(peer, i, peer_switches() - before))
			break;
	}
}

static inline double peer_run_near(struct peer *peer)
{
	int64_t ns = 0;

	peer_fill(peer);
	peer_open_ends(peer);
	peer_meet(peer);
	peer_do_near(peer, peer_warm_up(peer), peer->readers);
	for (uint32_t i = 0;; i++) {
		int64_t before;

		peer_meet(peer);
		before = peer_switches();
		ns = -peer_now_ns();
		peer_do_near(peer, peer->count, (i + 2) * peer->readers);
		ns += peer_now_ns();
		if (!peer_again(peer, (int)i, peer_switches() - before))
			break;
	}
	return (double)ns / (double)peer->count;
}

/* From nothing to the first message, both ends in this process. */
static inline double peer_run_open(struct peer *peer)
{
	int64_t begin;

	peer_fill(peer);
	begin = peer_now_ns();
	peer_open_ends(peer);
	peer_send_next(peer);
	peer_receive_next(peer);
	return (double)(peer_now_ns() - begin);
}

static inline void peer_fork_far(const struct peer *peer, unsigned int number)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	struct peer far = *peer;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	far.is_near = false;
	far.number = number;
	far.yields = peer->readers > 1;
	far.shares = far.yields || peer->shares;
	peer_run_far(&far);
	/* What is still on its way to the near one is not to be lost by closing. */
	while (!__atomic_load_n(&far.shared->over, __ATOMIC_ACQUIRE))
		usleep(1000);
	peer_close(&far);
	/* Not _exit(2): what a library has registered is to be undone. */
	exit(EXIT_SUCCESS);
}

int main(int argument_count, char **arguments)
{
	struct peer peer;
	bool failed = false;
	int status;
	double ns;

	if (argument_count < 6) {
		fprintf(stderr, "usage: %s MODE BYTES COUNT NEAR-CPU FAR-CPU [READERS]\n",
		        arguments[0]);
		return EXIT_FAILURE;
	}
	memset(&peer, 0, sizeof(peer));
	peer.mode = arguments[1];
	peer.bytes = strtoul(arguments[2], NULL, 10);
	peer.count = strtoull(arguments[3], NULL, 10);
	peer.near_cpu = atoi(arguments[4]);
	peer.far_cpu = atoi(arguments[5]);
	peer.readers = argument_count > 6 ? (unsigned int)atoi(arguments[6]) : 1;
	peer.sleeps = strcmp(peer.mode, "asleep") == 0;
	peer.shares = peer.near_cpu == peer.far_cpu;
	peer.is_near = true;
	/* PEER_RUN: by what the caller knows what is left of a run that was killed. */
	snprintf(peer.run, sizeof(peer.run), "%.12s-%d",
	         getenv("PEER_RUN") ? getenv("PEER_RUN") : "0", getpid());
	if (peer_left_out(&peer)) {
		printf("left out: %s\n", peer_left_out(&peer));
		return EXIT_SUCCESS;
	}
	peer.shared = (struct peer_shared *)mmap(NULL, sizeof(*peer.shared), PROT_READ | PROT_WRITE,
	                                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (peer.shared == MAP_FAILED)
		peer_fail("mmap");
	alarm(PEER_SECONDS);
	peer_bind(peer.near_cpu, peer.near_cpu);
	if (strcmp(peer.mode, "open") == 0) {
		ns = peer_run_open(&peer);
	} else {
		for (unsigned int i = 0; i < peer.readers; i++)
			peer_fork_far(&peer, i);
		ns = peer_run_near(&peer);
		__atomic_store_n(&peer.shared->over, 1, __ATOMIC_RELEASE);
		while (wait(&status) > 0)
			failed |= status != 0;
	}
	peer_close(&peer);
	if (failed)
		return EXIT_FAILURE;
	printf("%.1f\n", ns);
	return EXIT_SUCCESS;
}
