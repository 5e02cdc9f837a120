/*
 * Between the files of the support library: what carries this process's id.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* In the name of every POSIX segment of this test program, of its children too. */
const char *own_prefix(void);
bool is_own_segment(key_t key);
bool is_own_semaphore(key_t key);
void make_test_directory(void);
void remove_test_directory(void);
/* The same for topic_root(), where the program has one. */
void make_topic_root(void);
void remove_topic_root(void);
/* What is in memory of topics on a disk, of own_half(). */
int count_halves(void);
void sweep_halves(void);
/* Everything in a directory. */
void remove_below(const char *path);
/* Everything of this test program that is left. */
void clear_up(void);
