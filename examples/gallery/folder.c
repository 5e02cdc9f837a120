/*
 * The pictures of a folder: regular files that begin as pictures do, or that are named like some. A
 * file that is named like a picture and is none has its tile, too, which says so.
 *
 * Invariant: nothing here waits or follows what a file says; twelve bytes of it are looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gallery.h"

#define HEAD_BYTES 12

struct kind {
	const char *name;
	const char *other_names[2];
	/* What it begins with; a ? is any byte. */
	char head[HEAD_BYTES + 1];
	size_t head_bytes;
};

static const struct kind kinds[] = {
	{"png", {NULL}, "\x89PNG\r\n\x1a\n", 8},
	{"jpeg", {"jpg", "jpe"}, "\xff\xd8\xff", 3},
	{"webp", {NULL}, "RIFF????WEBP", 12},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

void folder_add_decoders(struct gallery *gallery)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		snprintf(gallery->decoders[i].name, sizeof(gallery->decoders[i].name), "%s",
		         kinds[i].name);
	gallery->decoder_count = KIND_COUNT;
}

static bool begins_as(const char *head, size_t bytes, const struct kind *kind)
{
	if (bytes < kind->head_bytes)
		return false;
	for (size_t i = 0; i < kind->head_bytes; i++)
		if (kind->head[i] != '?' && head[i] != kind->head[i])
			return false;
	return true;
}

static bool is_named_as(const char *extension, const struct kind *kind)
{
	bool is = strcasecmp(extension, kind->name) == 0;

	for (size_t i = 0; i < 2 && kind->other_names[i]; i++)
		is = is || strcasecmp(extension, kind->other_names[i]) == 0;
	return is;
}

/* The number of a file's decoder, or -1: no picture. */
static int decoder_of(const struct gallery *gallery, const char *name, int fd)
{
	const char *dot = strrchr(name, '.'), *extension = dot && dot != name ? dot + 1 : "";
	char head[HEAD_BYTES];
	ssize_t bytes = pread(fd, head, sizeof(head), 0);

	for (size_t i = KIND_COUNT; i < gallery->decoder_count; i++)
		if (strcasecmp(extension, gallery->decoders[i].name) == 0)
			return (int)i;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (bytes > 0 && begins_as(head, (size_t)bytes, &kinds[i]))
			return (int)i;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (is_named_as(extension, &kinds[i]))
			return (int)i;
	return -1;
}

static int open_file(int folder, const char *name, struct stat *ret_status)
{
	int fd;

	/* To open a named pipe would be an event for others. */
	if (fstatat(folder, name, ret_status, 0) == -1)
		return -errno;
	if (!S_ISREG(ret_status->st_mode))
		return -EMEDIUMTYPE;
	/* By now it may be one all the same. */
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return -errno;
	if (fstat(fd, ret_status) == -1 || !S_ISREG(ret_status->st_mode)) {
		close(fd);
		return -EMEDIUMTYPE;
	}
	return fd;
}

int folder_open_picture(const struct folder *folder, const struct picture *picture)
{
	struct stat status;

	return open_file(folder->fd, picture->name, &status);
}

static int add_picture(struct folder *folder, const char *name, size_t decoder)
{
	struct picture *pictures =
		reallocarray(folder->pictures, folder->count + 1, sizeof(*pictures));
	char *copy = strdup(name);

	if (pictures)
		folder->pictures = pictures;
	if (!pictures || !copy) {
		free(copy);
		return -ENOMEM;
	}
	folder->pictures[folder->count++] = (struct picture){.name = copy, .decoder = decoder};
	return 0;
}

/* A file that cannot be read is a picture if it is named so: its tile tells. */
static int look_at(struct gallery *gallery, const char *name, const struct stat *except)
{
	struct folder *folder = &gallery->folder;
	struct stat status;
	int fd = name[0] == '.' ? -ENOENT : open_file(folder->fd, name, &status), decoder = -1;

	if (fd >= 0 && status.st_dev == except->st_dev && status.st_ino == except->st_ino) {
		close(fd);
		return 0;
	}
	if (fd >= 0 || fd == -EACCES)
		decoder = decoder_of(gallery, name, fd);
	if (fd >= 0)
		close(fd);
	if (decoder >= 0)
		return add_picture(folder, name, (size_t)decoder);
	folder->other_count++;
	return 0;
}

/* img9 before img10. */
static int compare(const void *one, const void *other)
{
	return strverscmp(((const struct picture *)one)->name,
	                  ((const struct picture *)other)->name);
}

static int scan(struct gallery *gallery, DIR *directory, const struct stat *except)
{
	struct dirent *entry;
	int result = 0;

	while (result == 0 && (errno = 0, entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = look_at(gallery, entry->d_name, except);
	return result ? result : -errno;
}

int folder_scan(struct gallery *gallery, const char *except)
{
	struct folder *folder = &gallery->folder;
	struct stat status = {0};
	DIR *directory = NULL;
	int result, copy;

	if (stat(except, &status) == -1)
		status = (struct stat){0};
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy = folder->fd == -1 ? -1 : fcntl(folder->fd, F_DUPFD_CLOEXEC, 0);
	if (copy != -1)
		directory = fdopendir(copy);
	if (!directory) {
		result = -errno;
		if (copy != -1)
			close(copy);
		return result;
	}
	result = scan(gallery, directory, &status);
	closedir(directory);
	if (folder->count > 0)
		qsort(folder->pictures, folder->count, sizeof(*folder->pictures), compare);
	for (size_t i = 0; i < folder->count; i++)
		gallery->decoders[folder->pictures[i].decoder].count++;
	return result;
}

void folder_free(struct folder *folder)
{
	for (size_t i = 0; i < folder->count; i++)
		free(folder->pictures[i].name);
	free(folder->pictures);
	if (folder->fd >= 0)
		close(folder->fd);
}
