/*
 * The world that a list of segments is tested on: files and System V segments made by plain
 * system calls, under names of this process alone, and children that map them. What setup()
 * and the helpers make, teardown() takes away, also when a test has failed; then everything is
 * counted (support.h).
 */
#pragma once

#include "support/support.h"

#include <ayre/segment_list.h>

#define PAGE   4096
#define NOBODY 65534

#define SHM_DIRECTORY "/dev/shm"

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int setup(void **state);
int teardown(void **state);

extern char directory[64];             /* for files; of this process alone */
extern struct ayre_segment_list *list; /* what look() has found; teardown frees it */

/* A text, good for as long as a test needs it. */
char *word(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *shm_path(const char *name);
char *shm_name(const char *name);
char *file_path(const char *name);
/* A System V key that no other test of this machine has. */
key_t list_key(void);

void make_file(const char *path, size_t bytes);
int make_sysv(key_t key, size_t bytes);
/* One that somebody else made and that teardown shall remove. */
void own_sysv(int id);
void open_tagged(const char *name, struct ayre_segment **ret_segment);

/* What a child does before it sleeps until it is killed. */
struct task {
	bool (*run)(const struct task *task); /* false: could not */
	const char *path;
	int id;
	bool read_only;
	bool private;
};

bool map_fd(int fd, const struct task *task);
bool map_path(const struct task *task);
/* Three pages, of which one is mapped; read_only: the descriptor is closed then. */
bool map_memory_file(const struct task *task);
bool attach_id(const struct task *task);

/* Returns the child, which has done what it is for. */
pid_t start(const struct task *task);
/* 0: it could not. */
pid_t try_start(const struct task *task);
/* A child that was forked by hand: teardown kills it. */
void own_child(pid_t child);

/* Everything, or the backings of these bits, into `list`. */
void look(uint32_t wanted);
/* The one of this name. */
const struct ayre_segment_entry *look_at(const char *name);
/* The one of this name that has this user; user 0: any. NULL: there is none. */
const struct ayre_segment_entry *find(const char *name, pid_t user);
const struct ayre_segment_entry *must_find(const char *name);
/* How many segments this process is a user of. */
size_t count_of_user(pid_t pid);
