/*
 * What every test of ayre's C API stands on: names that no other process has, children that
 * die with their parent, memory that they share, and a count of everything that a test could
 * leave behind.
 *
 * A test that is declared with counted_test() fails if, after it, there are more (or fewer)
 * open descriptors, children, shared maps, files, System V segments or semaphores than before,
 * and dies if it takes longer than its deadline.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <ayre/segment.h>

/*
 * The backings, as a table to run a test over. A test reads which one it is to take from
 * *state, where cmocka has put it.
 */
struct backing {
	const char *title;
	enum ayre_backing kind;
};
extern const struct backing backings[]; /* by enum ayre_backing - 1 */

/* main() of a test program: runs them, with their counts, and returns what main() returns. */
#define run_counted(group, tests) run_counted_of(group, tests, sizeof(tests) / sizeof(*(tests)))
int run_counted_of(const char *group, const struct CMUnitTest *tests, size_t count);

#define test_of(function, title, initial) \
	{ \
		title, function, count_setup, count_teardown, (void *)(uintptr_t)(initial) \
	}
#define counted_test(function) test_of(function, #function, NULL)
#define backing_test(function, kind) \
	test_of(function, #function ", " #kind, &backings[AYRE_BACKING_##kind - 1])
/* Once for each backing that has names, and for each that has a descriptor and a name. */
#define named_test(function) \
	backing_test(function, SYSV), backing_test(function, SHM), backing_test(function, FILE)
#define file_test(function) backing_test(function, SHM), backing_test(function, FILE)

/* What there is of each now. */
struct counts {
	int descriptors;
	int shared_maps;
	int names;      /* in /dev/shm, with this process's prefix, and of own_half() */
	int files;      /* in test_directory() */
	int topics;     /* in topic_root(), directories and the files in them */
	int segments;   /* of System V, under this process's keys */
	int semaphores; /* likewise, also the locks beside segments */
	int children;   /* 1: there is at least one */
};
struct counts take_counts(void);
/* What there is now and was not before (or the other way round), as a line. NULL: nothing. */
const char *counts_differ(const struct counts *now, const struct counts *then);
/* Fails the test, saying what, if anything but `before` is there. */
void assert_counts(const struct counts *before);

int count_setup(void **state);
int count_teardown(void **state);
/* Instead of the usual 60 seconds from the beginning of the test; stretched as limit_time() does. */
void set_deadline(unsigned int seconds);
/* In a child: SIGALRM after that long on a quick machine; on others, and under sanitizers, it is longer. */
void limit_time(unsigned int seconds);
/*
 * Returns from the function, whose test counts as skipped. Not cmocka's skip(), which gives no
 * reason and, up to 1.1.5, makes "not ok" of it in TAP.
 */
#define skip_because(reason) \
	do { \
		note_skip(reason); \
		return; \
	} while (0)
void note_skip(const char *reason);

/*
 * The name of the number-th (0 to 255) segment of this test: no other process makes the same.
 * Names of the backing FILE are in test_directory().
 */
#define NAME_BYTES 256
const char *make_name(char name[static NAME_BYTES], enum ayre_backing kind, unsigned int number);
/* The same as a System V key, as the word behind "shm:", and as the path of its file. */
key_t make_key(unsigned int number);
const char *make_path(char path[static NAME_BYTES], enum ayre_backing kind, unsigned int number);
/* A key that the test made in another way (ftok): it is counted too. */
void own_key(key_t key);
/* The key of the semaphore beside a System V segment: part of ayre's format. */
key_t lock_key_of(key_t key);
/* An empty directory that is this test's own, until it ends. */
const char *test_directory(void);
/*
 * For a program about topics, first thing in its main(): AYRE_DIR is a directory of its own, which is
 * in memory and empty before each test. Its path; NULL: this program has none.
 */
void use_topic_root(void);
const char *topic_root(void);
/*
 * For a program about topics on a disk, first thing in its main(): their halves in memory are counted among
 * the names, once they are known, and swept.
 */
void use_disk_topics(void);
void own_half(const char *path);
/* Removes whatever the name or its creation left, whatever the library thinks of it. */
void sweep(void);

/* Forks; the child calls run, and ends with what it returns. It is killed if its parent dies. */
pid_t start_child(int (*run)(void *context), void *context);
/* Waits, and returns the wait status. */
int end_of(pid_t child);
/* Kills those that a failed test has not waited for. */
void end_children(void);
int run_in_child(int (*run)(void *context), void *context);
/* In a child, where cmocka's asserts would return into the parent's tests. */
#define require(expression) \
	((expression) ? (void)0 : require_failed(__FILE__, __LINE__, #expression))
void require_failed(const char *file, int line, const char *expression) __attribute__((noreturn));
/* The exit status of a child that cannot do here what its test is about. */
#define CHILD_SKIPS           77
#define assert_exited(status) assert_int_equal(status, 0)
#define assert_killed_by(status, number) \
	do { \
		int ended = (status); \
\
		assert_true(WIFSIGNALED(ended)); \
		assert_int_equal(WTERMSIG(ended), number); \
	} while (0)

/* Zeroed memory that is shared with all children forked from now on. */
void *share_memory(size_t bytes);
void unshare_memory(void *memory, size_t bytes);
/* Sleeps until another process (or thread) has set the word to at least this. */
void await(atomic_uint *word, unsigned int value);
/* Stores, or adds, and wakes whoever waits. */
void announce(atomic_uint *word, unsigned int value);
void announce_one_more(atomic_uint *word);

int64_t now_ns(void); /* CLOCK_MONOTONIC */
/* Seconds a test may take for what it repeats at random: more with AYRE_TEST_LONG=1. */
bool long_form(void);
/* What looks at every access makes all of it several times as slow. */
bool is_sanitized(void);
/* A small generator for each process: xorshift, seeded once. */
uint32_t random_below(uint32_t bound);
void random_seed(uint32_t seed);

/* size bytes that tell which of them are whose, and whether all are there. */
void fill_pattern(void *data, size_t size, uint32_t seed);
bool is_pattern(const void *data, size_t size, uint32_t seed);
bool is_zero(const void *data, size_t size);

/*
 * In a child: a tmpfs of this size over the directory that only it sees. 0, or CHILD_SKIPS if
 * this user cannot have one.
 */
int mount_private_tmpfs(const char *directory, const char *size);
/* Is it root, who is allowed whatever modes forbid? */
bool is_root(void);
