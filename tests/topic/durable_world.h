/*
 * Topics on a disk in tests: one at a time, in test_directory(), and what is left of it when the machine starts
 * anew.
 */
#pragma once

#include "topic/topic_world.h"

#include "topic/log_layout.h"

/* The least there can be, so that there are many of each. */
#define DISK_RING   4096u
#define DISK_EXTENT 65536u

/* What a publisher of it is opened with: sync and retention in the words behind. */
#define DISK(...) \
	.topic = TOPIC(.flags = AYRE_TOPIC_DURABLE, .ring_bytes = DISK_RING, \
	               .extent_bytes = DISK_EXTENT, __VA_ARGS__)

#define SKIP_UNLESS_ON_DISK() \
	do { \
		if (is_in_memory(test_directory())) \
			return skipped("TMPDIR is in memory"); \
	} while (0)
bool is_in_memory(const char *path);

/* The topic, and a file in it. */
const char *disk_topic(void);
const char *disk_file(const char *file, char path[static NAME_BYTES]);
/* Where its half in memory is; it counts, and is swept, from then on. */
const char *disk_half(void);
struct ayre_publisher *publish_on_disk(const struct ayre_publisher_options *options);
struct ayre_subscriber *subscribe_on_disk(uint32_t from, int64_t from_value, uint32_t flags);
/* Removes it, both halves. */
void remove_disk_topic(void);
/* The machine starts anew: nobody uses it, and what was in memory is gone. */
void reboot(void);

/* The extents of the lane, by where they begin. */
struct extent_list {
	uint64_t begins[512];
	int count;
};
struct extent_list list_extents(uint64_t lane);
/* Files of the topic on the disk, and bytes of them. */
int count_disk_files(void);
const char *extent_file(uint64_t lane, uint64_t begin, char path[static NAME_BYTES]);
/* What log.ID says. */
struct ayrei_slot_layout read_slot(uint64_t lane);

/* --- messages, each told by its number --- */

size_t size_of_number(uint64_t number);
/* Every third is too large for the ring. */
extern bool large_numbers;
/* From its next number on: so many; or until the lane has so many extents. */
void send_numbers(struct ayre_publisher *publisher, uint64_t count);
void send_until_extents(struct ayre_publisher *publisher, int count);
/* Receives from *next on, whole, in order, without a gap, until it fails: how. */
int receive_numbers(struct ayre_subscriber *subscriber, uint64_t *next, int64_t deadline_ns);
/* The same, waiting until it has all before this one; there are no more then. */
void await_numbers(struct ayre_subscriber *subscriber, uint64_t *next, uint64_t end);
/* What one who comes now receives from the first to the last: these and no more. */
void has_numbers(uint64_t first, uint64_t end);
