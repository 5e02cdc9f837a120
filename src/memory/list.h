/*
 * A list of segments from the inside, and what its files share.
 *
 *   list.c       the object: records that are found by what they are, sorted at the end
 *   list_find.c  the finding: the kernel's table and /dev/shm, then the processes
 *   list_maps.c  one process: what its maps tell of segments known and unknown
 *   list_look.c  one file: what stat(2) says of it, and its tag
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <ayre/segment_list.h>

#define AYREI_LIST_SHM "/dev/shm/"
/* As the kernel calls a memfd, with " (deleted)" behind its name. */
#define AYREI_LIST_MEMFD "/memfd:"

struct ayrei_processes;

/* What the maps of a process say of a segment; the same segment has the same everywhere. */
struct ayrei_list_identity {
	bool sysv;       /* then inode is its id, and device does not count */
	uint64_t device; /* a memfd's is the one that System V segments have */
	uint64_t inode;
};

struct ayrei_list_record {
	struct ayre_segment_entry entry; /* what the caller sees; what it points to is its own */
	struct ayrei_list_identity identity;
	struct ayrei_list_record *next; /* in its bucket */
	struct ayre_segment_user *users;
	size_t user_room;
	bool known;   /* stat(2) has told its size and owner */
	bool ignored; /* is no segment, and kept to know that */
	bool vague;   /* maps may tell another device: the path decides */
};

struct ayre_segment_list {
	struct ayrei_list_record **records;
	size_t count, room;
	struct ayrei_list_record **buckets; /* as many as there is room for records */
	size_t unseen;
};

/* A new record of an identity that has none. NULL: no memory. */
struct ayrei_list_record *ayrei_list_add(struct ayre_segment_list *list, enum ayre_backing backing,
                                         const struct ayrei_list_identity *identity);
/* NULL: there is none. path: where maps say that it is; may be NULL. */
struct ayrei_list_record *ayrei_list_find(const struct ayre_segment_list *list,
                                          const struct ayrei_list_identity *identity,
                                          const char *path);
/* Is this the path that the record's name stands for? path may be NULL. */
bool ayrei_list_is_at(const struct ayrei_list_record *record, const char *path);
/* The user's process, which is the latest to be added to any record. NULL: no memory. */
struct ayre_segment_user *ayrei_list_user(struct ayrei_list_record *record,
                                          const struct ayre_segment_user *user);
/* prefix and the first length bytes of text. 0 or -ENOMEM. */
int ayrei_list_set_name(struct ayrei_list_record *record, const char *prefix, const char *text,
                        size_t length);
/* Size, owner and the like. */
void ayrei_list_set_status(struct ayrei_list_record *record, const struct stat *status);
/* Drops what is ignored, and sorts. */
void ayrei_list_finish(struct ayre_segment_list *list);

/*
 * The files that this process has open. They are not opened to be looked at: closing any
 * descriptor of a file ends all locks of fcntl(2) that the process has on it.
 */
struct ayrei_own_files {
	struct ayrei_own_file *files; /* sorted; to be freed */
	size_t count, room;
};
int ayrei_own_files_read(struct ayrei_own_files *own, struct ayrei_processes *processes);

/* Opens a path without opening what is there (O_PATH). Returns the descriptor. */
int ayrei_look(const char *path, bool follow_link, struct stat *ret_status);
/* Did that fail for want of memory or descriptors? Then it says nothing about the file. */
bool ayrei_look_fell_short(int result);
/* Reads the tag of what ayrei_look() has opened, if it has one that this user may read. */
int ayrei_look_tag(struct ayrei_list_record *record, int fd, const struct stat *status,
                   const struct ayrei_own_files *own);
/* The same of a System V segment, by attaching it for a moment. */
int ayrei_look_tag_sysv(struct ayrei_list_record *record);

/* One call of ayre_segment_list_new(). */
struct ayrei_list_search {
	struct ayre_segment_list *list;
	struct ayrei_processes *processes;
	struct ayrei_own_files own;
	uint32_t backings;
	bool one_only;     /* the segment that was asked for is known: none is added */
	bool no_map_files; /* this user lacks the privilege */
	struct ayre_error *error;
	/* The process that is looked into. */
	pid_t pid;
	struct ayre_segment_user user; /* its pid is 0 until the rest is known */
	int shares_ipc;                /* -1: not asked yet */
	bool puzzled;                  /* it maps something that stat(2) has not told of */
};

/* Adds what the maps of a process tell. 0, also if it is gone or may not be looked into. */
int ayrei_list_look_into(struct ayrei_list_search *search, pid_t pid);
