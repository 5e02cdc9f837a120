/*
 * What dead processes left in topics, cleared away.
 *
 * Invariant: a directory is removed only while nobody can be, or become, its owner. What proves that:
 *
 *   reply.LANE.SESSION  nobody has the lock of the lane. Its client had it before it made that name
 *   .NAME.ayre-creating.X
 *                    the lock of the directory, taken by us. Its maker takes it next, and then finds that
 *                    it came too late, and begins again
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "sys/directory.h"
#include "topic/census_clear.h"
#include "topic/contents.h"
#include "topic/service.h"

int ayrei_clearing_tell(struct ayrei_clearing *clearing, enum ayre_leftover kind, const char *topic,
                        const char *path, uint64_t bytes, int code)
{
	struct ayre_topic_leftover leftover = {
		.kind = kind,
		.topic = topic,
		.path = path,
		.bytes = bytes,
		.code = code,
	};

	if (code == 0 && kind != AYRE_LEFTOVER_CONTENT)
		clearing->count++;
	if (clearing->options.visit)
		clearing->stopped = clearing->options.visit(&leftover, clearing->options.context);
	return clearing->stopped < 0 ? clearing->stopped : 0;
}

/* --- topics that nobody can open: not whole yet, or not any more --- */

static uint64_t bytes_of(const struct ayrei_topic *topic)
{
	struct ayrei_files files;
	uint64_t bytes = 0;

	if (ayrei_files_read(&files, topic) == 0) {
		bytes = files.bytes;
		ayrei_files_fini(&files);
	}
	return bytes;
}

int ayrei_check_removable(const struct ayrei_topic *topic, bool is_reply, const char *parent,
                          const char *path)
{
	char foreign[AYREI_FOREIGN_BYTES], inside[AYREI_SELF_BYTES + sizeof("/topic")];
	int result = ayrei_contents_check(topic, is_reply, foreign);

	if (result == 0)
		result = ayrei_path_may_remove(parent, path);
	snprintf(inside, sizeof(inside), "%s/topic", topic->prefix);
	if (result == 0)
		result = ayrei_path_may_remove(topic->prefix, inside);
	return result == -ENOENT ? 0 : result;
}

int ayrei_clear_unfinished(struct ayrei_clearing *clearing, const char *topic_name,
                           const char *path)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	char parent[2 * PATH_MAX];
	struct ayrei_topic topic = {.directory = fd, .log = -1};
	uint64_t bytes = 0;
	struct stat named, status;
	int result = fd < 0 ? fd : ayrei_file_try_lock(fd);

	/* Its maker lets go of the lock when it is whole and has another name: then it is not ours. */
	if (result == 0)
		result = ayrei_file_status(fd, &status);
	if (result == 0)
		result = ayrei_path_status(path, false, &named);
	if (result == 0 && (named.st_ino != status.st_ino || named.st_dev != status.st_dev))
		result = -ENOENT;
	/* Who makes or removes it lives, or it is gone. */
	if (result == -EWOULDBLOCK || result == -ENOENT)
		return 0;
	if (result == 0) {
		ayrei_self_path(fd, topic.prefix);
		bytes = bytes_of(&topic);
		snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
		result = ayrei_check_removable(&topic, false, parent, path);
		if (result == 0 && !clearing->options.dry_run)
			result = ayrei_topic_remove_all(&topic, path);
	}
	return result == -ENOENT ? 0
	                         : ayrei_clearing_tell(clearing, AYRE_LEFTOVER_TOPIC, topic_name,
	                                               path, bytes, result);
}

/* Replies to a client that is gone. It had its lane before it had them. */
static int clear_reply(struct ayrei_clearing *clearing, uint64_t lane, uint64_t session)
{
	char own[AYREI_PEER_PATH_BYTES], path[PATH_MAX + AYREI_PEER_PATH_BYTES];
	struct ayrei_topic topic = AYREI_NO_TOPIC;
	uint64_t bytes = 0;
	int result = ayrei_peer_is_live(clearing->topic, AYREI_PEER_PUBLISHER, lane);

	if (result != 0 && result != -ENOENT)
		return 0;
	ayrei_reply_path(clearing->topic, lane, session, own);
	topic.directory = ayrei_file_open(own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	result = topic.directory < 0 ? topic.directory : 0;
	if (result == 0) {
		ayrei_self_path(topic.directory, topic.prefix);
		bytes = bytes_of(&topic);
		result = ayrei_check_removable(&topic, true, clearing->topic->prefix, own);
		ayrei_file_close(topic.directory);
	}
	if (result == 0 && !clearing->options.dry_run)
		result = ayrei_reply_remove(clearing->topic, lane, session);
	if (result == -ENOENT)
		return 0;
	snprintf(path, sizeof(path), "%s%s", clearing->directory, strrchr(own, '/'));
	return ayrei_clearing_tell(clearing, AYRE_LEFTOVER_REPLIES, clearing->topic->label, path,
	                           bytes, result);
}

/* The directories in that of a topic. */
static int clear_directories(struct ayrei_clearing *clearing)
{
	const struct dirent *entry;
	DIR *directory;
	int result;

	/* A durable topic's half in memory, of which there is none. */
	if (clearing->topic->directory < 0)
		return 0;
	result = ayrei_directory_open(clearing->topic->directory, ".", &directory);
	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		char path[PATH_MAX + 258];
		uint64_t lane, session;

		snprintf(path, sizeof(path), "%s/%s", clearing->directory, entry->d_name);
		result = 0;
		if (ayrei_reply_parse(entry->d_name, &lane, &session))
			result = clear_reply(clearing, lane, session);
		else if (ayrei_topic_is_unfinished(entry->d_name))
			result = ayrei_clear_unfinished(clearing, clearing->topic->label, path);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}

/* --- topics --- */

static int clear_files(struct ayrei_clearing *clearing, const struct ayrei_files *files)
{
	int result = 0;

	for (size_t i = 0; result >= 0 && i < files->count;) {
		size_t next = ayrei_files_next_peer(files, i);

		result = files->all[i].kind == AYREI_PEER_PUBLISHER
		                 ? ayrei_clear_publisher(clearing, &files->all[i], next - i)
		                 : ayrei_clear_subscriber(clearing, &files->all[i], next - i);
		i = next;
	}
	return result;
}

int ayrei_clear_topic(struct ayrei_clearing *clearing, const char *name, struct ayre_error *error)
{
	struct ayrei_topic topic;
	struct ayrei_files files;
	int result = ayrei_topic_look(&topic, name, error);

	if (result < 0)
		return result;
	clearing->topic = &topic;
	if (ayrei_file_path(topic.directory, clearing->directory, sizeof(clearing->directory)) < 0)
		snprintf(clearing->directory, sizeof(clearing->directory), "%s", name);
	result = ayrei_files_read(&files, &topic);
	if (result == 0) {
		result = clear_files(clearing, &files);
		ayrei_files_fini(&files);
		if (result >= 0)
			result = clear_directories(clearing);
	}
	if (result < 0)
		ayrei_fail(error, result, "clear", name, NULL);
	ayrei_topic_close(&topic);
	return result;
}

/* --- all of a root --- */

static int visit(const char *name, void *context)
{
	struct ayrei_clearing *clearing = context;
	const char *file = strrchr(name, '/');
	char root[PATH_MAX], path[2 * PATH_MAX];
	int result;

	file = file ? file + 1 : name;
	if (!ayrei_topic_is_unfinished(file)) {
		result = ayrei_clear_topic(clearing, name, NULL);
		/* What is no topic, or a damaged one, or gone, is not ours to clear. */
		return clearing->stopped < 0 || result == -EMFILE || result == -ENFILE ||
		                       result == -ENOMEM
		               ? result
		               : 0;
	}
	if (clearing->options.root)
		return ayrei_clear_unfinished(clearing, file, name);
	result = ayrei_topic_root(root, NULL);
	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "%s/%s", root, name);
	return ayrei_clear_unfinished(clearing, file, path);
}

static int clear_named(struct ayrei_clearing *clearing, struct ayre_error *error)
{
	int result = ayrei_clear_half(clearing, clearing->options.name);

	return result != 0 ? result : ayrei_clear_topic(clearing, clearing->options.name, error);
}

static int clear_root(struct ayrei_clearing *clearing, struct ayre_error *error)
{
	char root[PATH_MAX];
	int result = ayrei_root_visit(clearing->options.root, visit, clearing, error);

	if (result < 0)
		return result;
	if (clearing->options.root)
		snprintf(root, sizeof(root), "%s", clearing->options.root);
	else
		result = ayrei_topic_root(root, error);
	if (result < 0)
		return result;
	return ayrei_clear_halves(
		clearing, clearing->options.root || !ayrei_topic_has_default_root() ? root : NULL);
}

int ayre_topic_clear(const struct ayre_topic_clear_options *options, struct ayre_error *error)
{
	struct ayrei_clearing clearing = {0};
	struct ayre_error own = {0};
	int result;

	if (ayrei_options_copy(&clearing.options, sizeof(clearing.options), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", "topics", "their size is not set");
	result = clearing.options.name ? clear_named(&clearing, &own) : clear_root(&clearing, &own);
	if (result >= 0)
		return clearing.count;
	if (own.code == 0)
		ayrei_fail(&own, result, "clear",
		           clearing.options.root ? clearing.options.root : "topics", NULL);
	if (error)
		*error = own;
	return result;
}
