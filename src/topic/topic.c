/*
 * Topics as a whole: removing one.
 *
 * Invariant: nothing is removed from a directory unless all that lies in it is a topic's. What a damaged
 * topic still shows of itself is enough for that, because to remove it is how one gets rid of it. And
 * a name is that of a whole topic until it is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/directory.h"
#include "sys/event.h"
#include "sys/system.h"
#include "topic/contents.h"
#include "topic/directory.h"
#include "topic/directory_make.h"
#include "topic/durable.h"
#include "topic/log.h"
#include "topic/service.h"

/* --- is it one? --- */

static bool begins_as_topic(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES], magic[sizeof(topic->layout.magic)];
	ayrei_auto_fd int fd = -1;
	struct stat status;

	snprintf(path, sizeof(path), "%s/topic", topic->prefix);
	fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);
	return fd >= 0 && ayrei_file_status(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       ayrei_file_read_at(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       memcmp(magic, AYREI_TOPIC_MAGIC, sizeof(magic)) == 0;
}

static bool has_join(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	snprintf(path, sizeof(path), "%s/join", topic->prefix);
	return ayrei_path_status(path, false, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_size == sizeof(struct ayrei_join_layout);
}

/* Its description is there, in whatever state. */
static bool has_topic(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;

	snprintf(path, sizeof(path), "%s/topic", topic->prefix);
	return ayrei_path_status(path, false, &status) == 0;
}

/* -ENOTEMPTY: something else lies in it. */
static int look_through(const struct ayrei_topic *topic, struct ayre_error *error)
{
	char foreign[AYREI_FOREIGN_BYTES];
	int result = ayrei_contents_check(topic, false, foreign);

	if (result == -ENOTEMPTY)
		return ayrei_fail(error, result, "look", topic->label,
		                  "'%s' in it is not a topic's, and nothing was removed", foreign);
	return result < 0 ? ayrei_fail(error, result, "look", topic->label, NULL) : 0;
}

static int check_is_topic(const struct ayrei_topic *topic, struct ayre_error *error)
{
	bool is_topic = begins_as_topic(topic) || (has_topic(topic) && has_join(topic));
	int result = look_through(topic, error);

	/* That it is none says more than what else is in it. */
	if (is_topic || (result < 0 && result != -ENOTEMPTY))
		return result;
	return ayrei_fail(error, -EPROTO, "topic", topic->label, "it is a directory, but no topic");
}

/* --- is it in use? --- */

struct census {
	const struct ayrei_topic *topic;
	unsigned int live;
};

static int count_live(const struct ayrei_peer_name *name, void *context)
{
	struct census *census = context;

	if (!name->suffix[0] && ayrei_peer_is_live(census->topic, name->kind, name->id) == 1)
		census->live++;
	return 0;
}

/* Of a log, whatever has become of the half in memory. */
static int count_live_log(const struct ayrei_log_name *name, void *context)
{
	struct census *census = context;
	char path[AYREI_PEER_PATH_BYTES];
	struct stat status;
	ayrei_auto_fd int fd =
		name->is_extent
			? -1
			: ayrei_topic_open_regular(ayrei_log_path(census->topic, name->id, path), 0,
	                                           &status);

	if (fd >= 0 && ayrei_file_is_owned(fd) == 1)
		census->live++;
	return 0;
}

/* half: that in memory; its directory is -1 if there is none. */
static int check_is_unused(const struct ayrei_topic *topic, const struct ayrei_topic *half,
                           struct ayre_error *error)
{
	struct census census = {topic, 0}, other = {half, 0};
	int result = ayrei_topic_visit(topic, count_live, &census);

	if (result == 0 && half->directory >= 0)
		result = ayrei_topic_visit(half, count_live, &other);
	/* Its publishers have locks on both. */
	if (result == 0 && other.live == 0)
		result = ayrei_log_visit(topic, count_live_log, &census);
	census.live += other.live;
	if (result < 0)
		return ayrei_fail(error, result, "look", topic->label, NULL);
	if (census.live)
		return ayrei_fail(
			error, -EBUSY, "remove", topic->label, "%u publisher%s it", census.live,
			census.live == 1 ? " or subscriber uses" : "s and subscribers use");
	return 0;
}

/* --- away with it --- */

static int remove_peer(const struct ayrei_peer_name *name, void *context)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result = ayrei_file_unlink(
		ayrei_peer_path(context, name->kind, name->id, name->suffix, path));

	return result == -ENOENT ? 0 : result;
}

static int remove_log(const struct ayrei_log_name *name, void *context)
{
	char path[AYREI_PEER_PATH_BYTES], fresh[AYREI_PEER_PATH_BYTES + sizeof(AYREI_EXTENT_NEW)];
	int result;

	if (name->is_extent)
		ayrei_extent_path(context, name->id, name->begin, path);
	else
		ayrei_log_path(context, name->id, path);
	snprintf(fresh, sizeof(fresh), "%s%s", path, name->is_new ? AYREI_EXTENT_NEW : "");
	result = ayrei_file_unlink(fresh);
	return result == -ENOENT ? 0 : result;
}

static int remove_own(const struct ayrei_topic *topic, const char *name)
{
	char path[AYREI_PEER_PATH_BYTES];
	int result;

	snprintf(path, sizeof(path), "%s/%s", topic->prefix, name);
	result = ayrei_file_unlink(path);
	return result == -ENOENT ? 0 : result;
}

/* Those who opened it before it lost its name may make files in it still: a few. */
#define ATTEMPTS 100

int ayrei_topic_remove_all(const struct ayrei_topic *topic, const char *path)
{
	int result = -ENOTEMPTY;

	for (int i = 0; i < ATTEMPTS && result == -ENOTEMPTY; i++) {
		result = ayrei_topic_visit(topic, remove_peer, (void *)(uintptr_t)topic);
		if (result == 0)
			result = ayrei_log_visit(topic, remove_log, (void *)(uintptr_t)topic);
		if (result == 0)
			result = ayrei_replies_clear(topic, true);
		if (result >= 0)
			result = remove_own(topic, "server");
		if (result == 0)
			result = remove_own(topic, "join");
		if (result == 0)
			result = remove_own(topic, AYREI_HOME);
		if (result == 0)
			result = remove_own(topic, "topic");
		if (result == 0)
			result = ayrei_directory_remove(path);
	}
	return result;
}

/* 0, or -ENOENT: it is another one. */
static int check_same(const char *path, const struct stat *directory)
{
	struct stat status;
	int result = ayrei_path_status(path, false, &status);

	if (result == 0 &&
	    (status.st_ino != directory->st_ino || status.st_dev != directory->st_dev))
		return -ENOENT;
	return result;
}

/* Whoever makes one, or removes one, holds the lock for so long at the most. */
#define LOCK_ATTEMPTS 100
#define MILLISECOND   INT64_C(1000000)

/*
 * Of those who would take its name away, one may. So the name stays that of this topic between a look at
 * it and the rename: nobody else renames it, and who makes a new one never replaces it. A stranger who
 * only holds the lock keeps nobody: then two who remove it at once could take each other's successor.
 */
static void lock_name(const struct ayrei_topic *topic)
{
	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		if (ayrei_file_try_lock(topic->directory) != -EWOULDBLOCK)
			break;
		(void)!ayrei_wait_for_any(NULL, 0, ayrei_monotonic_ns() + MILLISECOND);
	}
}

/*
 * Takes its name away first: whoever opens it finds all of it or nothing. By its own path, which a
 * link may have led to. -ENOENT: somebody else was quicker.
 */
static int hide(const struct ayrei_topic *topic, char unseen[static PATH_MAX])
{
	char path[PATH_MAX];
	struct stat status;
	uint32_t random;
	char *name;
	int result;

	lock_name(topic);
	result = ayrei_file_status(topic->directory, &status);
	if (result == 0)
		result = ayrei_file_path(topic->directory, path, sizeof(path));
	if (result >= 0)
		result = ayrei_random(&random, sizeof(random));
	if (result < 0)
		return result;
	name = strrchr(path, '/') + 1;
	if (status.st_nlink == 0 || ayrei_topic_is_unfinished(name))
		return -ENOENT;
	if (snprintf(unseen, PATH_MAX, "%.*s.%s" AYREI_UNFINISHED "%08" PRIx32, (int)(name - path),
	             path, name, random) >= PATH_MAX)
		return -ENAMETOOLONG;
	result = check_same(path, &status);
	return result < 0 ? result : ayrei_file_rename_new(path, unseen);
}

int ayrei_topic_take_away(const struct ayrei_topic *topic)
{
	char unseen[PATH_MAX];
	int result = hide(topic, unseen);

	return result == 0 ? ayrei_topic_remove_all(topic, unseen) : result;
}

/* A durable one's half in memory; where there is none, nothing is opened. */
static void find_half(struct ayrei_topic *topic, struct ayrei_topic *half)
{
	char path[PATH_MAX];

	*half = AYREI_NO_TOPIC;
	half->label = topic->label;
	if (ayrei_file_in_memory(topic->directory) != 0 ||
	    ayrei_topic_read_layout(topic, NULL) < 0 ||
	    ayrei_durable_path(topic, topic->directory, path) < 0)
		return;
	(void)!ayrei_topic_open_directory(half, path, true, NULL);
}

int ayre_topic_remove(const char *name, bool force, struct ayre_error *error)
{
	struct ayrei_topic topic, half;
	int result;

	if (!name)
		return ayrei_fail(error, -EINVAL, "name", "topic", "there is no name");
	result = ayrei_topic_find(&topic, name, error);
	if (result < 0)
		return result;
	find_half(&topic, &half);
	result = check_is_topic(&topic, error);
	if (result == 0 && !force)
		result = check_is_unused(&topic, &half, error);
	if (result == 0) {
		result = ayrei_topic_take_away(&topic);
		/* Nobody finds it any more by the name that is gone. */
		if (result == 0 && half.directory >= 0)
			result = ayrei_topic_take_away(&half);
		if (result < 0)
			ayrei_fail(error, result, "remove", name, NULL);
	}
	ayrei_file_close(half.directory);
	ayrei_topic_close(&topic);
	return result;
}
