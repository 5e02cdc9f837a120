/*
 * Directories: thin verbs over the system calls.
 */
#include "sys/directory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/result.h"

int ayrei_directory_make(const char *path, mode_t mode)
{
	return AYREI_RESULT(mkdir(path, mode));
}

int ayrei_directory_remove(const char *path)
{
	return AYREI_RESULT(rmdir(path));
}

int ayrei_directory_open(int parent, const char *path, DIR **ret_directory)
{
	int fd = AYREI_RESULT(openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	DIR *directory;

	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		int result = -errno;

		ayrei_file_close(fd);
		return result;
	}
	*ret_directory = directory;
	return 0;
}

int ayrei_directory_next(DIR *directory, const struct dirent **ret_entry)
{
	struct dirent *entry;

	do {
		/* The end and an error look alike, but for errno. */
		errno = 0;
		entry = readdir(directory);
		if (!entry)
			return -errno;
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	*ret_entry = entry;
	return 1;
}

DIR *ayrei_directory_close(DIR *directory)
{
	int saved = errno;

	if (directory)
		closedir(directory);
	errno = saved;
	return NULL;
}
