/*
 * Other users in tests of topics: steps that one of them does in a child of his own, and a topic that is
 * in a folder like /tmp. For root, who can become them.
 */
#pragma once

#include "topic/topic_world.h"

#define OWNER    3100001u
#define MEMBER   3100002u /* of the owner's group */
#define STRANGER 3100003u
#define GROUP    3100009u

#define SKIP_UNLESS_ROOT() \
	do { \
		if (!is_root()) \
			return skipped("this user cannot become another one"); \
	} while (0)

/* The topic of the owner's, by its path; topic_path() has it as "shared/topic". */
const char *shared_path(void);
/* Makes it, of a ring of 4096 bytes, and its folder. */
void make_topic_of(uint32_t mode);
/* Removes both: nobody uses it. */
void close_folder(void);

/* A step of another user's, who ends with it, and has to succeed. */
void as(uid_t user, int (*run)(void *context), void *context);
pid_t start_as(uid_t user, int (*run)(void *context), void *context);
