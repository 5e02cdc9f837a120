/*
 * What exec would say of a file, as far as that can be told without it.
 */
#include "sys/program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/directory.h"
#include "sys/file.h"
#include "sys/result.h"

/* linux/binfmts.h: what the kernel looks at to tell what a file is. */
#define HEAD_BYTES 256

/* fs/exec.c and linux/binfmts.h: a quarter of the stack's limit, within these. */
#define STACK_LEAST  ((uint64_t)128 * 1024)
#define STACK_MOST   ((uint64_t)6 * 1024 * 1024)
#define STRING_PAGES 32

static int at(int directory)
{
	return directory < 0 ? AT_FDCWD : directory;
}

int ayrei_program_may_execute(int directory, const char *path)
{
	struct stat status;
	int result = AYREI_RESULT(fstatat(at(directory), path, &status, 0));

	if (result < 0)
		return result;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return AYREI_RESULT(faccessat(at(directory), path, X_OK, AT_EACCESS));
}

/* Formats that were taught to the kernel at run time: then only exec knows. */
static bool knows_other_formats(void)
{
	char head[1];
	int fd = ayrei_file_open("/proc/sys/fs/binfmt_misc/status", O_RDONLY, 0);
	bool knows = fd >= 0 && ayrei_file_read(fd, head, sizeof(head)) == 1 && head[0] == 'e';

	ayrei_file_close(fd);
	return knows;
}

/* "#! /bin/sh -e": the word after the mark. */
static int check_interpreter(char *line)
{
	char *word = line + 2 + strspn(line + 2, " \t");

	word[strcspn(word, " \t\n")] = '\0';
	if (!*word)
		return -ENOEXEC;
	/* A relative one depends on a directory that we are not in. */
	if (*word == '/' && ayrei_program_may_execute(-1, word) < 0)
		return -ELIBBAD;
	return 0;
}

int ayrei_program_check_format(int directory, const char *path)
{
	char head[HEAD_BYTES + 1] = "";
	int fd = AYREI_RESULT(openat(at(directory), path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
	ssize_t length;

	if (fd < 0)
		return 0;
	length = ayrei_file_read(fd, head, HEAD_BYTES);
	ayrei_file_close(fd);
	if (length < 0)
		return 0;
	if (length >= 2 && memcmp(head, "#!", 2) == 0)
		return check_interpreter(head);
	if (length >= 4 && memcmp(head, "\177ELF", 4) == 0)
		return 0;
	return knows_other_formats() ? 0 : -ENOEXEC;
}

uint64_t ayrei_program_argument_room(uint64_t stack_bytes)
{
	struct rlimit stack;
	uint64_t room;

	if (stack_bytes == 0 && getrlimit(RLIMIT_STACK, &stack) == 0)
		stack_bytes = stack.rlim_cur;
	room = stack_bytes / 4 < STACK_MOST ? stack_bytes / 4 : STACK_MOST;
	return room < STACK_LEAST ? STACK_LEAST : room;
}

uint64_t ayrei_program_string_room(void)
{
	return STRING_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
}
