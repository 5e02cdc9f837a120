/*
 * Lanes and cursors made by hand, for hostile ends: right to begin with, or nobody would look at them.
 */
#pragma once

#include "topic/hostile_world.h"
#include "topic/record.h"

struct forged {
	uint64_t id;
	char file[24], bell_file[32]; /* names in the topic */
	int fd;                       /* owned (locked) */
	int bell;                     /* both ends of it; -1: it has none */
	size_t bytes;
	union {
		void *base; /* mapped for writing */
		struct ayrei_lane_layout *lane;
		struct ayrei_cursor_layout *cursor;
	};
	char *ring;        /* of a lane, once */
	uint64_t position; /* where its chain of records ends */
};

void forge_lane(struct forged *lane, const char *generation);
void forge_cursor(struct forged *cursor, const char *generation);
/* Lets go of it; its names stay or go. */
void drop_forged(struct forged *forged, bool remove_names);
/* Of the topic: copied to where 16 bytes are. */
void read_generation(char *ret_generation);
void lock_forged(const struct forged *forged, bool taken);

/* Adds a record to the chain of a lane as its publisher would. */
void append_record(struct forged *lane, uint32_t bytes, unsigned int kind, unsigned int flags);
uint64_t *lane_word(const struct forged *lane, uint64_t position);

/* Rings the bells of all that have this prefix ("pub.", "sub."), so often. */
void ring_bells(const char *prefix, char what, unsigned int times);
/* The id of one of those, drawn at random; 0: there is none. */
uint64_t some_peer(const char *prefix);
/* Changes the word by which publishers notice newcomers, so often. */
void change_join(unsigned int times);

/* Values that break something: bounds of what there is, and their neighbours; now and then anything. */
uint64_t aimed_value(uint64_t around);
uint64_t aimed_header(void);
uint64_t random_word(void);

/* Things in the topic that have the names of peers, and are none. Removes those of before. */
void put_odd_names(const char *prefix);

/* Runs the acts of one life in turn, until the process is killed; a SIGBUS of our own doing ends a life. */
int live_and_die(void (*life)(const char *generation));
