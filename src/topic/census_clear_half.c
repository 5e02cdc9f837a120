/*
 * Halves in memory of durable topics that are gone.
 *
 * Whoever takes a topic away by rm(1), or its whole disk, leaves its rings in /dev/shm. The link `home` says where it
 * was. That it is not there proves little: its directory may have another name by now, or its disk be unmounted. So a half is removed
 * only if nothing is lost by that: nobody lives in it, and all that was sent is in the log too, wherever that is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/directory.h"
#include "sys/system.h"
#include "topic/census_clear.h"
#include "topic/directory_make.h"
#include "topic/durable.h"

/* --- is its topic there? --- */

/* 1: it is there; 0: it is not; or why there is no telling. */
static int is_home(const char *half, const char *home)
{
	struct ayrei_topic topic = AYREI_NO_TOPIC;
	char path[PATH_MAX];
	int result;

	topic.label = (char *)(uintptr_t)home;
	result = ayrei_topic_open_directory(&topic, home, false, NULL);
	if (result == -ENOENT || result == -EPROTO)
		return 0;
	if (result < 0)
		return result;
	result = ayrei_topic_read_layout(&topic, NULL);
	if (result == 0)
		result = ayrei_durable_path(&topic, topic.directory, path);
	ayrei_file_close(topic.directory);
	/* Another directory, or another topic, or a damaged one, whose half this may be. */
	return result < 0 ? result : strcmp(path, half) == 0;
}

/* --- may it go? --- */

/* Is there something that is in no log, or somebody who lives? */
static int is_needed(const struct ayrei_topic *half, const struct ayrei_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct ayrei_file_of_topic *file = &files->all[i];
		struct ayrei_lane_place end;
		struct ayrei_lane_view view;
		int result;

		if (file->part != AYREI_PART_SELF)
			continue;
		result = ayrei_peer_is_live(half, file->kind, file->id);
		if (result != 0 || file->kind != AYREI_PEER_PUBLISHER) {
			if (result == 0 || result == -ENOENT)
				continue;
			return result < 0 ? result : 1;
		}
		result = ayrei_lane_view_open(&view, half, file->id);
		if (result == -ENOENT)
			continue;
		if (result < 0)
			return result;
		/* One that is damaged has nothing that anybody would take from it. */
		if (view.problem)
			continue;
		result = ayrei_lane_view_find(&view, AYREI_LANE_END, &end);
		if (result == 1)
			result = end.position > ayrei_load(&view.reader.layout->carried);
		ayrei_lane_view_close(&view);
		if (result == 1 || result == -EBUSY)
			return 1;
	}
	return 0;
}

static int remove_half(struct ayrei_clearing *clearing, const struct ayrei_topic *half,
                       const char *path, const char *home)
{
	struct ayrei_files files;
	int result = ayrei_files_read(&files, half);

	if (result < 0)
		return result;
	result = is_needed(half, &files);
	if (result == 0) {
		result = ayrei_check_removable(half, false, AYREI_HALVES, path);
		if (result == 0 && !clearing->options.dry_run)
			result = ayrei_topic_take_away(half);
		result = result == -ENOENT ? 0
		                           : ayrei_clearing_tell(clearing, AYRE_LEFTOVER_MEMORY,
		                                                 home, path, files.bytes, result);
	} else if (result == 1) {
		result = ayrei_clearing_tell(clearing, AYRE_LEFTOVER_CONTENT, path, path,
		                             files.bytes, 0);
	}
	ayrei_files_fini(&files);
	return result;
}

/* --- one --- */

/* Opens it, if it is one of this user, and reads where its topic was. 1, or 0: it is none. */
static int open_half(struct ayrei_topic *half, const char *path, char home[static PATH_MAX])
{
	char link[AYREI_PEER_PATH_BYTES];
	struct stat status;
	int result;

	*half = AYREI_NO_TOPIC;
	half->label = (char *)(uintptr_t)path;
	if (strncmp(path, AYREI_HALVES "/", strlen(AYREI_HALVES "/")) != 0)
		return 0;
	if (ayrei_topic_open_directory(half, path, true, NULL) < 0)
		return 0;
	result = ayrei_file_status(half->directory, &status);
	if (result == 0 && status.st_uid == ayrei_user())
		result = ayrei_topic_read_layout(half, NULL);
	snprintf(link, sizeof(link), "%s/" AYREI_HOME, half->prefix);
	if (result == 0 && half->layout.incompatible_features == AYREI_FEATURE_MEMORY &&
	    ayrei_link_read(link, home, PATH_MAX) == 0 && home[0] == '/')
		return 1;
	half->directory = ayrei_file_close(half->directory);
	return 0;
}

int ayrei_clear_half(struct ayrei_clearing *clearing, const char *name)
{
	char path[PATH_MAX], home[PATH_MAX];
	struct ayrei_topic half;
	int result = open_half(&half, name, home), there;

	if (result <= 0)
		return result;
	/* Without a detour, as it is computed from its topic. */
	there = ayrei_file_path(half.directory, path, sizeof(path));
	if (there == 0)
		there = is_home(path, home);
	if (there == 1)
		result = ayrei_clear_topic(clearing, home, NULL);
	else if (there == 0)
		result = remove_half(clearing, &half, path, home);
	ayrei_file_close(half.directory);
	/* What cannot be looked at stays. */
	return clearing->stopped < 0 ? clearing->stopped : result == -ENOMEM ? result : 1;
}

/* --- all of them --- */

/* Was its topic in this directory? */
static bool was_in(const char *path, const char *root)
{
	char home[PATH_MAX];
	struct ayrei_topic half;
	bool found;

	if (open_half(&half, path, home) <= 0)
		return false;
	ayrei_file_close(half.directory);
	*strrchr(home, '/') = '\0';
	found = strcmp(home, root) == 0;
	return found;
}

static int visit(struct ayrei_clearing *clearing, const char *file, const char *root)
{
	char path[PATH_MAX], prefix[32];
	int result;

	snprintf(prefix, sizeof(prefix), AYREI_HALF_PREFIX, ayrei_user());
	snprintf(path, sizeof(path), AYREI_HALVES "/%s", file);
	if (strncmp(file, prefix, strlen(prefix)) == 0) {
		result = root && !was_in(path, root) ? 0 : ayrei_clear_half(clearing, path);
		return result < 0 ? result : 0;
	}
	/* Whoever made it died before it was whole, or whoever removed it before it was gone. */
	if (!root && file[0] == '.' && strncmp(file + 1, prefix, strlen(prefix)) == 0 &&
	    ayrei_topic_is_unfinished(file))
		return ayrei_clear_unfinished(clearing, file, path);
	return 0;
}

int ayrei_clear_halves(struct ayrei_clearing *clearing, const char *root)
{
	char resolved[PATH_MAX];
	const struct dirent *entry;
	ayrei_auto_fd int fd = -1;
	DIR *directory;
	int result;

	/* As the kernel told it when the link was made. */
	if (root) {
		fd = ayrei_file_open(root, O_RDONLY | O_DIRECTORY, 0);
		if (fd >= 0 && ayrei_file_path(fd, resolved, sizeof(resolved)) == 0)
			root = resolved;
	}
	result = ayrei_directory_open(AT_FDCWD, AYREI_HALVES, &directory);
	if (result < 0)
		return result == -ENOENT ? 0 : result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		result = visit(clearing, entry->d_name, root);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}
