/*
 * What may lie in the directory of a topic.
 *
 * Invariant: whatever is passed here goes with the topic: files go by unlink(2), and the only
 * directories are reply topics of a service, in which are nothing but files. So who removes a topic knows
 * before the first step that the last one can be taken.
 */
#include "topic/contents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/directory.h"
#include "topic/log.h"
#include "topic/service.h"

static bool is_file_of_topic(const char *file)
{
	struct ayrei_peer_name name;
	struct ayrei_log_name log;

	if (strcmp(file, "topic") == 0 || strcmp(file, "join") == 0 || ayrei_log_parse(file, &log))
		return true;
	if (!ayrei_peer_parse(file, &name))
		return false;
	return !name.suffix[0] || strcmp(name.suffix, ".bell") == 0 ||
	       (name.kind == AYREI_PEER_PUBLISHER && strlen(name.suffix) == 17 &&
	        strspn(name.suffix + 1, "0123456789abcdef") == 16);
}

struct place {
	const struct ayrei_topic *topic;
	const char *reply; /* its name in the service; NULL: it is the topic itself */
	char *foreign;
};

static int check_place(const struct place *place);

static int check_reply(const struct place *place, const char *name, const char *path)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct ayrei_topic reply = {.directory = fd, .log = -1};

	/* Gone meanwhile. */
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	ayrei_self_path(fd, reply.prefix);
	return check_place(&(struct place){&reply, name, place->foreign});
}

static int check_entry(const struct place *place, const char *name)
{
	char path[AYREI_SELF_BYTES + 258];
	struct stat status;
	bool is_ours;

	snprintf(path, sizeof(path), "%s/%s", place->topic->prefix, name);
	if (ayrei_path_status(path, false, &status) < 0)
		return 0;
	if (S_ISDIR(status.st_mode) && !place->reply && ayrei_reply_has_name(name))
		return check_reply(place, name, path);
	is_ours = is_file_of_topic(name) || (!place->reply && strcmp(name, "server") == 0) ||
	          (S_ISLNK(status.st_mode) && strcmp(name, AYREI_HOME) == 0);
	if (is_ours && !S_ISDIR(status.st_mode))
		return 0;
	snprintf(place->foreign, AYREI_FOREIGN_BYTES, "%s%s%.64s", place->reply ? place->reply : "",
	         place->reply ? "/" : "", name);
	return -ENOTEMPTY;
}

static int check_place(const struct place *place)
{
	const struct dirent *entry;
	DIR *directory;
	int result = ayrei_directory_open(place->topic->directory, ".", &directory);

	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		result = check_entry(place, entry->d_name);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}

int ayrei_contents_check(const struct ayrei_topic *topic, bool is_reply,
                         char foreign[static AYREI_FOREIGN_BYTES])
{
	return check_place(&(struct place){topic, is_reply ? "" : NULL, foreign});
}
