/*
 * What a service has in its directory besides what a topic has: who serves, and the reply topics.
 *
 * Invariant: of a directory whose name somebody else could have given, only files that a topic has are
 * removed, and nothing is followed out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "sys/directory.h"
#include "sys/system.h"
#include "topic/service.h"

#define REPLY "reply."

int ayrei_service_open(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                       const char *name, bool existing, struct ayre_error *error)
{
	struct ayre_topic_options copy;
	int result;

	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", name ? name : "service",
		                  "the topic's size is not set");
	copy.size = sizeof(copy);
	if (copy.ring_bytes == 0)
		copy.ring_bytes = AYREI_SERVICE_RING;
	result = ayrei_topic_open(topic, &copy, name, existing, error);
	if (result < 0)
		return result;
	if (ayrei_topic_is_durable(topic)) {
		ayrei_topic_close(topic);
		return ayrei_fail(
			error, -EOPNOTSUPP, "open", name,
			"it is on a disk, and calls are answered at once or never: a path "
			"under /dev/shm will do");
	}
	if (topic->layout.policy & AYREI_POLICY_LOSSY) {
		ayrei_topic_close(topic);
		return ayrei_fail(error, -EINVAL, "open", name,
		                  "a lossy topic is no service: a call could be lost");
	}
	return 0;
}

/* --- who serves --- */

static const char *server_path(const struct ayrei_topic *topic, char path[AYREI_PEER_PATH_BYTES])
{
	snprintf(path, AYREI_PEER_PATH_BYTES, "%s/server", topic->prefix);
	return path;
}

/* -ESTALE: what has the name counts for nothing. */
static int open_server_file(const struct ayrei_topic *topic, int flags)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd =
		ayrei_file_open(server_path(topic, path), flags | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat status;
	int result = fd < 0 ? fd : ayrei_file_status(fd, &status);

	if (result == -ELOOP || result == -EISDIR || result == -EACCES)
		return -ESTALE;
	if (result < 0)
		return result;
	if (!S_ISREG(status.st_mode) || !ayrei_service_trusts(topic, status.st_uid) ||
	    (uint64_t)status.st_size != sizeof(struct ayrei_server_layout))
		return -ESTALE;
	return ayrei_take_fd(&fd);
}

static int make_server_file(const struct ayrei_topic *topic, const char *path,
                            struct ayre_error *error)
{
	struct ayrei_server_layout layout = {.version = AYREI_TOPIC_VERSION};
	ayrei_auto_fd int fd = ayrei_peer_make(topic, sizeof(layout), error);
	int result;

	if (fd < 0)
		return fd;
	memcpy(layout.magic, AYREI_SERVER_MAGIC, sizeof(layout.magic));
	memcpy(layout.generation, topic->layout.generation, sizeof(layout.generation));
	result = ayrei_file_write_at(fd, &layout, sizeof(layout), 0);
	if (result == 0)
		result = ayrei_file_link_unnamed(fd, path);
	if (result == -EEXIST)
		return result;
	return result < 0 ? ayrei_fail(error, result, "server", topic->label, NULL)
	                  : ayrei_take_fd(&fd);
}

/* Is the name still that of the file? Somebody may have removed the service while we waited. */
static bool is_named(const struct ayrei_topic *topic, int fd)
{
	char path[AYREI_PEER_PATH_BYTES];

	return ayrei_file_is_named(fd, server_path(topic, path), false) == 1;
}

/* Nobody owns what has this name, and it cannot be opened either: -ENOENT. */
static int check_unowned(const char *path)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);
	int result = fd < 0 ? fd : ayrei_file_is_owned(fd);

	return result > 0 ? -EWOULDBLOCK : result;
}

/*
 * Whoever may read the file can have a lock on it for reading, and so keep the next server from owning it.
 * Then a new one takes its place. The lock can go at any time, and somebody own the old file:
 *
 *     A                                         B
 *     cannot own it; nobody does                owns it: it has its name
 *     gives its name to a new one, its own
 *     looks at the old one: it is owned
 *     gives the name back
 *
 * If B comes after A's exchange it finds that what it owns has lost its name, and begins again. So at
 * most one believes to own what has the name. Until the old file is removed it has the name of a
 * cursor, which it is none: if A dies it is cleared away as one. -EWOULDBLOCK: it has an owner.
 */
static int replace_server_file(const struct ayrei_topic *topic, struct ayre_error *error)
{
	char path[AYREI_PEER_PATH_BYTES], other[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	uint64_t id;
	int result = ayrei_random(&id, sizeof(id));

	if (result < 0)
		return ayrei_fail(error, result, "server", topic->label, NULL);
	ayrei_peer_path(topic, AYREI_PEER_SUBSCRIBER, id | 1, "", other);
	fd = make_server_file(topic, other, error);
	if (fd < 0)
		return fd;
	result = ayrei_file_exchange(other, server_path(topic, path));
	if (result == 0) {
		result = check_unowned(other);
		if (result < 0)
			(void)!ayrei_file_exchange(other, path);
	}
	(void)!ayrei_file_unlink(other);
	if (result < 0 && result != -EWOULDBLOCK && result != -ENOENT)
		return ayrei_fail(error, result, "server", topic->label, NULL);
	return result < 0 ? result : ayrei_take_fd(&fd);
}

/* The one that is there, or another in its place: -EWOULDBLOCK, -ENOENT. */
static int own_server_file(const struct ayrei_topic *topic, int take_fd, struct ayre_error *error)
{
	ayrei_auto_fd int fd = take_fd;
	int result = ayrei_file_try_own(fd);

	if (result == -EWOULDBLOCK && ayrei_file_is_owned(fd) == 0)
		return replace_server_file(topic, error);
	if (result < 0 && result != -EWOULDBLOCK)
		return ayrei_fail(error, result, "server", topic->label, NULL);
	return result < 0 ? result : ayrei_take_fd(&fd);
}

static int await_server_end(const struct ayrei_topic *topic, struct ayre_error *error)
{
	ayrei_auto_fd int fd = open_server_file(topic, O_RDWR);
	int result = fd == -ESTALE || fd == -ENOENT ? 0 : fd;

	if (fd >= 0)
		result = ayrei_file_await_unowned(fd);
	return result < 0 ? ayrei_fail(error, result, "server", topic->label, NULL) : 0;
}

/* Somebody removes it and somebody makes it, again and again. */
#define ATTEMPTS 100

int ayrei_server_file_take(const struct ayrei_topic *topic, bool wait, struct ayre_error *error)
{
	char path[AYREI_PEER_PATH_BYTES];

	if (!ayrei_service_trusts(topic, ayrei_user()))
		return ayrei_fail(error, -EACCES, "server", topic->label,
		                  "only the user who made it (%" PRIu32 ") and root can serve it",
		                  topic->layout.uid);
	for (int i = 0; i < ATTEMPTS; i++) {
		ayrei_auto_fd int fd = open_server_file(topic, O_RDWR);
		int result;

		if (fd == -ESTALE) {
			result = ayrei_file_unlink(server_path(topic, path));
			if (result == -EISDIR)
				return ayrei_fail(error, -EPROTO, "server", topic->label,
				                  "something else in it has the name 'server', a "
				                  "directory: remove that");
			if (result < 0 && result != -ENOENT)
				return ayrei_fail(error, result, "server", topic->label, NULL);
			continue;
		}
		if (fd == -ENOENT)
			fd = make_server_file(topic, server_path(topic, path), error);
		else if (fd >= 0)
			fd = own_server_file(topic, ayrei_take_fd(&fd), error);
		else
			return ayrei_fail(error, fd, "server", topic->label, NULL);
		if (fd == -EWOULDBLOCK && !wait)
			return ayrei_fail(error, -EBUSY, "server", topic->label,
			                  "another process serves it");
		if (fd == -EWOULDBLOCK) {
			result = await_server_end(topic, error);
			if (result < 0)
				return result;
			i = 0;
			continue;
		}
		if (fd < 0 && fd != -EEXIST && fd != -ENOENT)
			return fd;
		if (fd >= 0 && is_named(topic, fd))
			return ayrei_take_fd(&fd);
	}
	return ayrei_fail(error, -EBUSY, "server", topic->label,
	                  "others remove and make it all the time");
}

int ayrei_server_file_map(const struct ayrei_topic *topic, struct ayrei_shared *ret_shared)
{
	const struct ayrei_server_layout *layout;
	ayrei_auto_fd int fd = open_server_file(topic, O_RDONLY);
	int result =
		fd < 0 ? fd : ayrei_shared_map(ret_shared, fd, sizeof(*layout), 0, false, false);

	if (result == -ESTALE)
		return -ENOENT;
	if (result < 0)
		return result;
	layout = ret_shared->base;
	if (memcmp(layout->magic, AYREI_SERVER_MAGIC, sizeof(layout->magic)) == 0 &&
	    layout->version == AYREI_TOPIC_VERSION &&
	    memcmp(layout->generation, topic->layout.generation, sizeof(layout->generation)) == 0)
		return 0;
	ayrei_shared_unmap(ret_shared);
	return -ENOENT;
}

/* --- reply topics --- */

static void format_reply(char *name, size_t size, uint64_t lane, uint64_t session)
{
	snprintf(name, size, REPLY "%016" PRIx64 ".%016" PRIx64, lane, session);
}

const char *ayrei_reply_path(const struct ayrei_topic *topic, uint64_t lane, uint64_t session,
                             char path[AYREI_PEER_PATH_BYTES])
{
	char name[48];

	format_reply(name, sizeof(name), lane, session);
	snprintf(path, AYREI_PEER_PATH_BYTES, "%s/%s", topic->prefix, name);
	return path;
}

static void remove_file(const struct ayrei_topic *topic, const char *name)
{
	char path[AYREI_PEER_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", topic->prefix, name);
	(void)!ayrei_file_unlink(path);
}

static int remove_peer(const struct ayrei_peer_name *name, void *context)
{
	char path[AYREI_PEER_PATH_BYTES];

	(void)!ayrei_file_unlink(
		ayrei_peer_path(context, name->kind, name->id, name->suffix, path));
	return 0;
}

static int remove_directory(const char *path)
{
	struct ayrei_topic topic = {
		.directory = ayrei_file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)};
	int result = topic.directory;

	if (result < 0)
		return result;
	ayrei_self_path(topic.directory, topic.prefix);
	result = ayrei_topic_visit(&topic, remove_peer, &topic);
	remove_file(&topic, "join");
	remove_file(&topic, "topic");
	ayrei_file_close(topic.directory);
	return result < 0 ? result : ayrei_directory_remove(path);
}

int ayrei_reply_remove(const struct ayrei_topic *topic, uint64_t lane, uint64_t session)
{
	char path[AYREI_PEER_PATH_BYTES];

	return remove_directory(ayrei_reply_path(topic, lane, session, path));
}

bool ayrei_reply_parse(const char *name, uint64_t *ret_lane, uint64_t *ret_session)
{
	static const char digits[] = "0123456789abcdef";
	const size_t word = strlen(REPLY);

	if (strncmp(name, REPLY, word) != 0 || strspn(name + word, digits) != 16 ||
	    name[word + 16] != '.' || strspn(name + word + 17, digits) != 16 ||
	    name[word + 33] != '\0')
		return false;
	*ret_lane = strtoull(name + word, NULL, 16);
	*ret_session = strtoull(name + word + 17, NULL, 16);
	return true;
}

/* What one that is being made is called until it is whole. */
static bool is_unseen(const char *name)
{
	return strncmp(name, "." REPLY, strlen("." REPLY)) == 0 && ayrei_topic_is_unfinished(name);
}

bool ayrei_reply_has_name(const char *file)
{
	uint64_t lane, session;

	return is_unseen(file) || ayrei_reply_parse(file, &lane, &session);
}

/* Which to remove. */
struct sweep {
	const struct ayrei_topic *topic;
	bool all;
	uint64_t lane; /* 0: whichever has no owner */
};

static bool is_wanted(const struct sweep *sweep, const char *name)
{
	uint64_t lane, session;

	if (!ayrei_reply_parse(name, &lane, &session))
		return sweep->all && is_unseen(name);
	if (sweep->all || sweep->lane)
		return sweep->all || lane == sweep->lane;
	return ayrei_peer_is_live(sweep->topic, AYREI_PEER_PUBLISHER, lane) != 1;
}

static int clear(const struct sweep *sweep)
{
	const struct dirent *entry;
	DIR *directory;
	int result = ayrei_directory_open(sweep->topic->directory, ".", &directory), count = 0;

	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		char path[AYREI_SELF_BYTES + 1 + sizeof(entry->d_name)];

		if (!is_wanted(sweep, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", sweep->topic->prefix, entry->d_name);
		count += remove_directory(path) == 0;
	}
	ayrei_directory_close(directory);
	return result < 0 ? result : count;
}

int ayrei_replies_clear(const struct ayrei_topic *topic, bool all)
{
	return clear(&(struct sweep){.topic = topic, .all = all});
}

int ayrei_replies_clear_lane(const struct ayrei_topic *topic, uint64_t lane)
{
	return clear(&(struct sweep){.topic = topic, .lane = lane});
}
