/*
 * The files of a topic, and the topics of a root.
 *
 * Invariant: what is told of a topic is copied: nothing of it changes, or goes, with the topic.
 */
#include "topic/census.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/directory.h"
#include "topic/log.h"

/* --- the files of a topic --- */

static bool parse_log(const char *file, struct ayrei_file_of_topic *ret)
{
	struct ayrei_log_name name;

	if (!ayrei_log_parse(file, &name))
		return false;
	*ret = (struct ayrei_file_of_topic){
		.kind = AYREI_PEER_PUBLISHER,
		.id = name.id,
		.part = name.is_extent ? AYREI_PART_EXTENT : AYREI_PART_LOG,
		.position = name.begin,
	};
	return true;
}

static bool parse(const char *file, struct ayrei_file_of_topic *ret)
{
	struct ayrei_peer_name name;
	char *end;

	if (!ayrei_peer_parse(file, &name))
		return false;
	*ret = (struct ayrei_file_of_topic){.kind = name.kind, .id = name.id};
	if (!name.suffix[0])
		return true;
	ret->part = AYREI_PART_BELL;
	if (strcmp(name.suffix, ".bell") == 0)
		return true;
	ret->part = AYREI_PART_BESIDE;
	ret->position = strtoull(name.suffix + 1, &end, 16);
	return name.kind == AYREI_PEER_PUBLISHER && strlen(name.suffix) == 17 && !*end;
}

static int add_file(struct ayrei_files *files, const struct ayrei_file_of_topic *file)
{
	if (files->count == files->room) {
		size_t room = files->room ? 2 * files->room : 16;
		void *grown = reallocarray(files->all, room, sizeof(*files->all));

		if (!grown)
			return -ENOMEM;
		files->all = grown;
		files->room = room;
	}
	files->all[files->count++] = *file;
	return 0;
}

static int compare_files(const void *left, const void *right)
{
	const struct ayrei_file_of_topic *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if (a->part != b->part)
		return a->part < b->part ? -1 : 1;
	return a->position < b->position ? -1 : a->position > b->position;
}

/* Of a durable topic each half has files of its own. */
static bool belongs(const struct ayrei_topic *topic, bool on_disk,
                    const struct ayrei_file_of_topic *file)
{
	return !ayrei_topic_is_durable(topic) || on_disk == (file->part >= AYREI_PART_BESIDE);
}

static int read_half(struct ayrei_files *files, const struct ayrei_topic *topic, bool on_disk,
                     DIR *directory)
{
	const char *prefix = on_disk ? topic->log_prefix : topic->prefix;
	const struct dirent *entry;
	int result;

	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		char path[AYREI_SELF_BYTES + 258];
		struct ayrei_file_of_topic file;
		struct stat status;
		uint64_t bytes;

		snprintf(path, sizeof(path), "%s/%s", prefix, entry->d_name);
		/* Gone meanwhile. */
		if (ayrei_path_status(path, false, &status) < 0)
			continue;
		bytes = (uint64_t)status.st_blocks * 512;
		*(on_disk ? &files->disk_bytes : &files->bytes) += bytes;
		if (!(parse(entry->d_name, &file) ||
		      (on_disk && parse_log(entry->d_name, &file))) ||
		    !belongs(topic, on_disk, &file))
			continue;
		file.bytes = bytes;
		result = add_file(files, &file);
		if (result < 0)
			break;
	}
	return result;
}

static int open_and_read(struct ayrei_files *files, const struct ayrei_topic *topic, bool on_disk)
{
	DIR *directory;
	int result = ayrei_directory_open(on_disk ? topic->log : topic->directory, ".", &directory);

	if (result < 0)
		return result;
	result = read_half(files, topic, on_disk, directory);
	ayrei_directory_close(directory);
	return result;
}

int ayrei_files_read(struct ayrei_files *files, const struct ayrei_topic *topic)
{
	int result = 0;

	*files = (struct ayrei_files){0};
	if (topic->directory >= 0)
		result = open_and_read(files, topic, false);
	if (result == 0 && ayrei_topic_is_durable(topic))
		result = open_and_read(files, topic, true);
	if (result < 0)
		ayrei_files_fini(files);
	else if (files->count)
		qsort(files->all, files->count, sizeof(*files->all), compare_files);
	return result;
}

void ayrei_files_fini(struct ayrei_files *files)
{
	free(files->all);
	*files = (struct ayrei_files){0};
}

size_t ayrei_files_next_peer(const struct ayrei_files *files, size_t index)
{
	const struct ayrei_file_of_topic *first = &files->all[index];

	while (index < files->count && files->all[index].kind == first->kind &&
	       files->all[index].id == first->id)
		index++;
	return index;
}

const char *ayrei_files_path(const struct ayrei_topic *topic,
                             const struct ayrei_file_of_topic *file,
                             char path[AYREI_PEER_PATH_BYTES])
{
	if (file->part == AYREI_PART_BESIDE)
		return ayrei_large_path(topic, file->id, file->position, path);
	if (file->part == AYREI_PART_LOG)
		return ayrei_log_path(topic, file->id, path);
	if (file->part == AYREI_PART_EXTENT)
		return ayrei_extent_path(topic, file->id, file->position, path);
	return ayrei_peer_path(topic, file->kind, file->id,
	                       file->part == AYREI_PART_BELL ? ".bell" : "", path);
}

/* --- an entry --- */

static char *copy_path(const struct ayrei_topic *topic, int directory)
{
	char path[PATH_MAX];

	/* A name that cannot be told is told as it was given. */
	if (ayrei_file_path(directory, path, sizeof(path)) < 0)
		return strdup(topic->label);
	return strdup(path);
}

static int copy_texts(struct ayre_topic_entry *entry, const struct ayrei_topic *topic,
                      const char *problem)
{
	bool has_tag = !problem && topic->layout.tag_bytes;
	bool has_half = ayrei_topic_is_durable(topic) && topic->directory >= 0;

	entry->name = strdup(topic->label);
	entry->path = copy_path(topic, ayrei_topic_log(topic));
	entry->memory_path = has_half ? copy_path(topic, topic->directory) : NULL;
	entry->problem = problem ? strdup(problem) : NULL;
	entry->tag = has_tag ? strdup(topic->layout.tag) : NULL;
	if (!entry->name || !entry->path || (problem && !entry->problem) ||
	    (has_tag && !entry->tag) || (has_half && !entry->memory_path)) {
		ayrei_entry_fini(entry);
		return -ENOMEM;
	}
	return 0;
}

/* A lane whose ring is not there is its log's. */
static bool stands_for_peer(const struct ayrei_files *files, size_t index)
{
	const struct ayrei_file_of_topic *file = &files->all[index];

	if (file->part == AYREI_PART_SELF)
		return true;
	if (file->part != AYREI_PART_LOG)
		return false;
	while (index > 0 && files->all[index - 1].id == file->id &&
	       files->all[index - 1].kind == file->kind)
		if (files->all[--index].part == AYREI_PART_SELF)
			return false;
	return true;
}

static bool is_live(const struct ayrei_topic *topic, const struct ayrei_file_of_topic *file)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	ayrei_auto_fd int fd =
		ayrei_topic_open_regular(ayrei_files_path(topic, file, path), 0, &status);

	return fd >= 0 && ayrei_file_is_owned(fd) == 1;
}

static void count_peers(struct ayre_topic_entry *entry, const struct ayrei_topic *topic,
                        const struct ayrei_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct ayrei_file_of_topic *file = &files->all[i];
		bool live;

		if (!stands_for_peer(files, i))
			continue;
		live = is_live(topic, file);
		if (file->kind == AYREI_PEER_PUBLISHER) {
			entry->publishers++;
			entry->publishers_live += live;
		} else {
			entry->subscribers++;
			entry->subscribers_live += live;
		}
	}
}

int ayrei_entry_fill(struct ayre_topic_entry *entry, const struct ayrei_topic *topic,
                     const struct ayrei_files *files, const char *problem)
{
	const struct ayrei_topic_layout *layout = &topic->layout;
	struct stat status;
	int result = ayrei_file_status(ayrei_topic_log(topic), &status);

	*entry = (struct ayre_topic_entry){0};
	if (result == 0)
		result = copy_texts(entry, topic, problem);
	if (result < 0)
		return result;
	entry->uid = status.st_uid;
	entry->gid = status.st_gid;
	entry->used_bytes = files->bytes;
	entry->disk_bytes = files->disk_bytes;
	count_peers(entry, topic, files);
	if (problem)
		return 0;
	entry->ring_bytes = layout->ring_bytes;
	entry->created_ns = layout->created_ns;
	entry->mode = layout->mode;
	entry->uid = layout->uid;
	entry->gid = layout->gid;
	entry->lossy = layout->policy & AYREI_POLICY_LOSSY;
	entry->durable = ayrei_topic_is_durable(topic);
	entry->sync = layout->sync;
	entry->extent_bytes = layout->extent_bytes;
	entry->retain_bytes = layout->retain_bytes;
	entry->retain_age_ns = layout->retain_age_ns;
	return 0;
}

void ayrei_entry_fini(struct ayre_topic_entry *entry)
{
	free((char *)entry->name);
	free((char *)entry->path);
	free((char *)entry->problem);
	free((char *)entry->tag);
	free((char *)entry->memory_path);
	*entry = (struct ayre_topic_entry){0};
}

/* --- the topics of a root --- */

static int find_root(const char *root, char path[PATH_MAX], struct ayre_error *error)
{
	int result;

	if (root) {
		if (snprintf(path, PATH_MAX, "%s", root) >= PATH_MAX)
			return ayrei_fail(error, -ENAMETOOLONG, "root", root, NULL);
		return 0;
	}
	result = ayrei_topic_root(path, error);
	return result < 0 ? result : ayrei_topic_check_root(path, path, error);
}

int ayrei_root_visit(const char *root, int (*visit)(const char *name, void *context), void *context,
                     struct ayre_error *error)
{
	char path[PATH_MAX], name[PATH_MAX];
	const struct dirent *entry;
	DIR *directory;
	int result = find_root(root, path, error);

	if (result < 0)
		return result;
	result = ayrei_directory_open(AT_FDCWD, path, &directory);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return ayrei_fail(error, result, "open", path, NULL);
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		struct stat status;

		if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= PATH_MAX ||
		    ayrei_path_status(name, false, &status) < 0 || !S_ISDIR(status.st_mode))
			continue;
		result = visit(root ? name : entry->d_name, context);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}
