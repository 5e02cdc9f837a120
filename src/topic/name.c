/*
 * What the name of a topic means: a word under the user's root, or a path.
 *
 * Invariant: the default root is trusted only if it is this user's, and nobody else can write there.
 */
#include "topic/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/directory.h"
#include "sys/system.h"

#define ROOT_VARIABLE "AYRE_DIR"

#define NAME_BYTES_MAX 200

int ayrei_topic_root(char *path, struct ayre_error *error)
{
	const char *given = secure_getenv(ROOT_VARIABLE);
	int length;

	if (given && *given)
		length = snprintf(path, PATH_MAX, "%s", given);
	else
		length = snprintf(path, PATH_MAX, "/dev/shm/ayre-%" PRIu32, ayrei_user());
	if (length >= PATH_MAX)
		return ayrei_fail(error, -ENAMETOOLONG, "name", ROOT_VARIABLE, NULL);
	return 0;
}

bool ayrei_topic_has_default_root(void)
{
	const char *given = secure_getenv(ROOT_VARIABLE);

	return !given || !*given;
}

static bool is_word(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return name[0] && name[0] != '.' && name[strspn(name, letters)] == '\0';
}

bool ayrei_topic_is_unfinished(const char *file)
{
	size_t length = strlen(file), tail = strlen(AYREI_UNFINISHED) + AYREI_UNFINISHED_DIGITS;
	const char *end = length > tail ? file + length - tail : file;

	return file[0] == '.' && length > tail + 1 &&
	       strncmp(end, AYREI_UNFINISHED, strlen(AYREI_UNFINISHED)) == 0 &&
	       strspn(end + strlen(AYREI_UNFINISHED), "0123456789abcdef") ==
	               AYREI_UNFINISHED_DIGITS;
}

int ayrei_topic_path(const char *name, char *path, char *parent, struct ayre_error *error)
{
	const char *slash = strrchr(name, '/');
	int result, length;

	if (slash) {
		if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
			return ayrei_fail(error, -EINVAL, "name", name,
			                  "a topic's path ends with its own name");
		length = snprintf(path, PATH_MAX, "%s", name);
		snprintf(parent, PATH_MAX, "%.*s", slash == name ? 1 : (int)(slash - name), name);
	} else {
		if (!is_word(name))
			return ayrei_fail(error, -EINVAL, "name", name,
			                  "a topic is a word of letters, digits and ._- that does "
			                  "not begin with a dot, or a path with a slash");
		result = ayrei_topic_root(parent, error);
		if (result < 0)
			return result;
		length = snprintf(path, PATH_MAX, "%s/%s", parent, name);
		slash = path + strlen(parent);
	}
	if (length >= PATH_MAX || strlen(slash + 1) > NAME_BYTES_MAX)
		return ayrei_fail(error, -ENAMETOOLONG, "name", name,
		                  "a topic's name has at most %d bytes", NAME_BYTES_MAX);
	return 0;
}

int ayrei_topic_make_root(const char *root, struct ayre_error *error)
{
	struct stat status;
	int result = ayrei_path_status(root, true, &status);

	if (result == 0)
		return 0;
	result = ayrei_directory_make(root, 0700);
	if (result == 0)
		result = ayrei_path_set_mode(root, 0700);
	return result < 0 && result != -EEXIST ? ayrei_fail(error, result, "create", root, NULL)
	                                       : 0;
}

/*
 * The default root is in a directory where everybody may make something: what is there has to be
 * ours alone. What AYRE_DIR names is the user's own choice.
 */
int ayrei_topic_check_root(const char *root, const char *label, struct ayre_error *error)
{
	struct stat status;
	const char *given = secure_getenv(ROOT_VARIABLE);
	int result = ayrei_path_status(root, false, &status);

	/* None at all does no harm: nothing will be found there. */
	if (result == -ENOENT || (given && *given))
		return 0;
	if (result < 0)
		return ayrei_fail(error, result, "open", root, NULL);
	if (!S_ISDIR(status.st_mode) || status.st_uid != ayrei_user() || (status.st_mode & 077))
		return ayrei_fail(
			error, -EPERM, "open", label,
			"%s is not a directory of this user alone (mode 0700): remove it, "
			"or set " ROOT_VARIABLE,
			root == label ? "it" : root);
	return 0;
}
