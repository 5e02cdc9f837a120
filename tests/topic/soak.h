/*
 * Topics under everything at once, for long: publishers and subscribers in processes of their own, which
 * come, pause, leave and are killed at random, and one process that conducts them and looks from
 * outside whether anybody sleeps who should not.
 */
#pragma once

#include "topic/topic_world.h"

/*
 * A reliable one, a lossy one, and a reliable one whose one publisher sends and waits until all have
 * it: there a wake-up that is lost is not made up for by the next message.
 */
enum { SOAK_RELIABLE, SOAK_LOSSY, SOAK_CAREFUL, SOAK_TOPICS };
#define SOAK_LANES 128
#define SOAK_PEERS 32
#define SOAK_BATCH 8

#define SOAK_RING_BYTES 65536u
#define SOAK_NONE       UINT64_MAX

/* A lane as its publishers say it is: so many messages are certainly in it. */
struct soak_lane {
	_Atomic uint64_t id, sent;
	_Atomic uint64_t incarnation; /* of its last publisher */
};

/* One process, and what it says of itself. */
struct soak_peer {
	pid_t pid; /* 0: none */
	uint32_t seed;
	bool publishes, is_careful;
	unsigned int topic;
	_Atomic bool begun;
	_Atomic bool pauses;    /* on purpose */
	_Atomic uint64_t count; /* messages sent, or received and found right */
	_Atomic uint64_t missed;
	_Atomic uint64_t next[SOAK_LANES]; /* a subscriber's: expected; SOAK_NONE: has seen none */
	_Atomic uint64_t base[SOAK_LANES]; /* so many were there before it came */
	/* The conductor's: since when it has not moved. */
	uint64_t last_count;
	int64_t still_since_ns;
};

struct soak {
	atomic_bool stop;
	atomic_uint incarnations;
	struct soak_lane lanes[SOAK_TOPICS][SOAK_LANES];
	struct soak_peer peers[SOAK_PEERS];
	/* Of those that have ended. */
	_Atomic uint64_t sent, received, missed, sleeps, wakes, waits;
	_Atomic uint64_t large, checked_ends, careful;
	_Atomic uint64_t late; /* reliable ones that were overtaken where they began */
};
extern struct soak *soak;

/* What a process is for; returns its exit status. */
int soak_publish(struct soak_peer *peer);
int soak_subscribe(struct soak_peer *peer);

const char *soak_topic(unsigned int topic);
/* The place of a lane in the table; taken if it is new. */
unsigned int soak_lane_of(unsigned int topic, uint64_t id);
/* Has a subscriber read everything of this lane that it has to? */
bool soak_has_all(const struct soak_peer *peer, unsigned int lane);

struct soak_options {
	uint64_t messages; /* received and found right */
	uint64_t seconds;
	uint64_t publishers, subscribers;
	uint64_t kills_a_second;
	uint64_t seed;
	bool progress;
};
#define SOAK_DEFAULTS \
	{ \
		.messages = UINT64_MAX, .seconds = UINT64_MAX, .publishers = 4, .subscribers = 6, \
		.kills_a_second = 30, .seed = 1 \
	}
/* 0: nothing was wrong. */
int soak_run(const struct soak_options *options);
