/*
 * The names of segments.
 *
 * Invariant: a name that parses says where the segment is and what kind it is; nothing
 * later looks at the text again.
 */
#include "memory/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sys/sysv.h"

#define SHM_DIRECTORY "/dev/shm/"

/* The textbook's letter. */
#define DEFAULT_LETTER 'R'

static int set_path(struct ayrei_segment_name *name, const char *prefix, const char *text,
                    size_t length, struct ayre_error *error)
{
	int total = snprintf(name->path, sizeof(name->path), "%s%.*s", prefix, (int)length, text);

	if (total < 0 || (size_t)total >= sizeof(name->path))
		return ayrei_fail(error, -ENAMETOOLONG, "name", name->given, NULL);
	return 0;
}

static int parse_shm(const char *text, struct ayrei_segment_name *name, struct ayre_error *error)
{
	/* shm_open(3) users write "/name"; it means the same. */
	if (*text == '/')
		text++;
	if (strchr(text, '/'))
		return ayrei_fail(error, -EINVAL, "name", name->given,
		                  "a POSIX name has no slash inside; a path is file:PATH");
	if (!*text)
		return ayrei_fail(error, -EINVAL, "name", name->given, "the name is empty");
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return ayrei_fail(error, -EINVAL, "name", name->given, "that is a directory");
	if (strlen(text) > NAME_MAX)
		return ayrei_fail(error, -ENAMETOOLONG, "name", name->given,
		                  "a POSIX name has at most %d bytes", NAME_MAX);
	name->backing = AYRE_BACKING_SHM;
	return set_path(name, SHM_DIRECTORY, text, strlen(text), error);
}

static int parse_file(const char *text, struct ayrei_segment_name *name, struct ayre_error *error)
{
	size_t length = strlen(text);

	if (length == 0)
		return ayrei_fail(error, -EINVAL, "name", name->given, "the path is empty");
	if (text[length - 1] == '/')
		return ayrei_fail(error, -EISDIR, "name", name->given, "a segment is a file");
	name->backing = AYRE_BACKING_FILE;
	return set_path(name, "", text, length, error);
}

static int parse_key(const char *text, struct ayrei_segment_name *name, struct ayre_error *error)
{
	size_t digits = strspn(text + 2, "0123456789abcdefABCDEF");

	if (digits == 0 || digits > 8 || text[2 + digits])
		return ayrei_fail(error, -EINVAL, "name", name->given,
		                  "a key is 0x and one to eight hexadecimal digits");
	name->key = (key_t)strtoul(text, NULL, 16);
	if (name->key == 0)
		return ayrei_fail(error, -EINVAL, "name", name->given,
		                  "key 0 is IPC_PRIVATE, which no other process can find");
	return 0;
}

static int parse_sysv(const char *text, struct ayrei_segment_name *name, struct ayre_error *error)
{
	size_t length = strlen(text);
	int result;

	name->backing = AYRE_BACKING_SYSV;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return parse_key(text, name, error);
	name->letter = DEFAULT_LETTER;
	if (length >= 2 && text[length - 2] == ':') {
		name->letter = (unsigned char)text[length - 1];
		length -= 2;
	}
	if (length == 0)
		return ayrei_fail(error, -EINVAL, "name", name->given,
		                  "sysv: takes a path, or a key such as 0x52000001");
	result = set_path(name, "", text, length, error);
	if (result < 0)
		return result;
	result = ayrei_sysv_key(name->path, name->letter, &name->key);
	if (result == -ENOENT)
		return ayrei_fail(error, result, "ftok", name->given,
		                  "a key is made from an existing file, and %s is not there",
		                  name->path);
	if (result < 0)
		return ayrei_fail(error, result, "ftok", name->given,
		                  "a key is made from the file %s", name->path);
	return 0;
}

static const char *after(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

int ayrei_segment_name_parse(const char *text, struct ayrei_segment_name *ret_name,
                             struct ayre_error *error)
{
	const char *rest;

	memset(ret_name, 0, sizeof(*ret_name));
	ret_name->given = text;
	if ((rest = after(text, "sysv:")))
		return parse_sysv(rest, ret_name, error);
	if ((rest = after(text, "shm:")))
		return parse_shm(rest, ret_name, error);
	if ((rest = after(text, "file:")))
		return parse_file(rest, ret_name, error);
	if (after(text, "memfd:"))
		return ayrei_fail(
			error, -EINVAL, "name", text,
			"an anonymous segment has no name; file:/proc/PID/fd/N reaches it");
	if (strchr(text, '/'))
		return parse_file(text, ret_name, error);
	return parse_shm(text, ret_name, error);
}
