/*
 * Finding a program: what execvp(3) would do, but before anything is started, in the child's
 * environment, and without a shell for files that are no programs.
 */
#include "process/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sys/program.h"

/* confstr(3), _CS_PATH: where the system's own programs are, if the environment does not say. */
#define DEFAULT_PATH "/bin:/usr/bin"

static const char *get_path(const char *const *environment)
{
	for (; *environment; environment++)
		if (strncmp(*environment, "PATH=", 5) == 0)
			return *environment + 5;
	return DEFAULT_PATH;
}

static int fail(int code, const char *name, struct ayre_error *error)
{
	switch (code) {
	case -ENOENT:
	case -ENOTDIR:
		return ayrei_fail(error, code, "find", name,
		                  strchr(name, '/') ? NULL : "not in any directory of PATH");
	case -EISDIR:
		return ayrei_fail(error, -EACCES, "find", name, "it is a directory");
	case -EACCES:
		return ayrei_fail(error, code, "find", name, "not executable for this user");
	case -ENOEXEC:
		return ayrei_fail(error, code, "find", name,
		                  "neither a program nor a script; a script begins with #!");
	case -ELIBBAD:
		return ayrei_fail(error, -ENOENT, "find", name,
		                  "the interpreter in its first line is missing or no program");
	default:
		return ayrei_fail(error, code, "find", name, NULL);
	}
}

static int check(int directory_fd, const char *path)
{
	int result = ayrei_program_may_execute(directory_fd, path);

	return result < 0 ? result : ayrei_program_check_format(directory_fd, path);
}

/* What execvp(3) passes over, and whatever else says that it is not there. */
static bool is_elsewhere(int code)
{
	switch (code) {
	case -ENOENT:
	case -ENOTDIR:
	case -EACCES:
	case -EISDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -ENODEV:
	case -ESTALE:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* Tries every directory. What may not be executed is passed over, but remembered. */
static int search(const char *name, const char *path, int directory_fd, char *candidate)
{
	size_t name_bytes = strlen(name) + 1;
	int result = -ENOENT;

	for (const char *next = path; next;) {
		size_t length = strcspn(next, ":");
		int found;

		/* An empty one is the working directory, as ever. */
		memcpy(candidate, next, length);
		if (length)
			candidate[length] = '/';
		memcpy(candidate + length + (length > 0), name, name_bytes);
		found = check(directory_fd, candidate);
		if (!is_elsewhere(found))
			return found;
		if (found == -EACCES || found == -EISDIR)
			result = -EACCES;
		next = next[length] ? next + length + 1 : NULL;
	}
	return result;
}

int ayrei_program_find(const char *name, const char *const *environment, int directory_fd,
                       char **ret_path, struct ayre_error *error)
{
	const char *path = get_path(environment);
	char *candidate;
	int result;

	if (!*name)
		return ayrei_fail(error, -ENOENT, "find", name, "the name is empty");
	candidate = malloc(strlen(path) + strlen(name) + 2);
	if (!candidate)
		return ayrei_fail(error, -ENOMEM, "find", name, NULL);
	if (strchr(name, '/')) {
		strcpy(candidate, name);
		result = check(directory_fd, name);
	} else {
		result = search(name, path, directory_fd, candidate);
	}
	if (result < 0) {
		free(candidate);
		return fail(result, name, error);
	}
	*ret_path = candidate;
	return 0;
}

/* Returns false if one string alone is too long. */
static bool add_strings(const char *const *strings, uint64_t *total)
{
	uint64_t most = ayrei_program_string_room();

	for (; *strings; strings++) {
		uint64_t bytes = strlen(*strings) + 1;

		if (bytes > most)
			return false;
		*total += bytes + sizeof(*strings);
	}
	return true;
}

int ayrei_program_check_arguments(const char *name, const char *const *arguments,
                                  const char *const *environment, uint64_t stack_bytes,
                                  struct ayre_error *error)
{
	uint64_t total = 0, room = ayrei_program_argument_room(stack_bytes);

	if (!add_strings(arguments, &total))
		return ayrei_fail(error, -E2BIG, "arguments", name,
		                  "one is longer than the kernel takes (%llu bytes)",
		                  (unsigned long long)ayrei_program_string_room());
	if (!add_strings(environment, &total))
		return ayrei_fail(error, -E2BIG, "arguments", name,
		                  "a variable of the environment is longer than the kernel takes");
	if (total > room)
		return ayrei_fail(error, -E2BIG, "arguments", name,
		                  "with the environment %llu bytes, and the kernel takes %llu",
		                  (unsigned long long)total, (unsigned long long)room);
	return 0;
}
