/*
 * The names of segments: "sysv:PATH[:LETTER]", "sysv:0xKEY", "shm:NAME", "file:PATH".
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include <ayre/segment.h>

struct ayrei_segment_name {
	enum ayre_backing backing;
	const char *given;   /* as the caller wrote it; borrowed */
	char path[PATH_MAX]; /* shm and file: of the file; sysv: what the key is made from, or "" */
	int letter;          /* sysv with a path */
	key_t key;           /* sysv */
};

/*
 * Parses, and asks ftok(3) for a key. Returns 0, -EINVAL, -ENAMETOOLONG, or what ftok(3)
 * said of the path; error says what is wrong with the word.
 */
int ayrei_segment_name_parse(const char *text, struct ayrei_segment_name *ret_name,
                             struct ayre_error *error);
