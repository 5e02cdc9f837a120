/*
 * The two halves of a durable topic.
 *
 * Invariant: the half in memory says the same of itself as the half on the disk, and belongs to the topic's
 * owner. Everybody may make something in /dev/shm, so what has its name there is believed in nothing before.
 */
#include "topic/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/hash.h"
#include "sys/directory.h"
#include "sys/system.h"
#include "topic/directory_make.h"

int ayrei_durable_path(const struct ayrei_topic *topic, int log, char path[static PATH_MAX])
{
	struct stat status;
	int result = ayrei_file_status(log, &status);
	struct {
		uint8_t generation[AYREI_GENERATION_BYTES];
		uint64_t device, inode;
	} which = {.device = status.st_dev, .inode = status.st_ino};

	if (result < 0)
		return result;
	memcpy(which.generation, topic->layout.generation, sizeof(which.generation));
	snprintf(path, PATH_MAX, AYREI_HALVES "/" AYREI_HALF_PREFIX "%016" PRIx64,
	         topic->layout.uid, ayrei_hash(&which, sizeof(which)));
	return 0;
}

static bool is_other_half(const struct ayrei_topic *topic, const struct ayrei_topic *half)
{
	const struct ayrei_topic_layout *one = &topic->layout, *other = &half->layout;

	return other->incompatible_features == AYREI_FEATURE_MEMORY && one->uid == other->uid &&
	       memcmp(one->generation, other->generation, sizeof(one->generation)) == 0 &&
	       one->ring_bytes == other->ring_bytes && one->header_bytes == other->header_bytes &&
	       one->mode == other->mode;
}

static int open_half(const struct ayrei_topic *topic, struct ayrei_topic *half, const char *path,
                     struct ayre_error *error)
{
	struct ayre_error own = {0};
	int result = ayrei_topic_open_directory(half, path, true, &own);

	if (result == 0)
		result = ayrei_topic_read_layout(half, &own);
	if (result == 0 && !is_other_half(topic, half))
		result = ayrei_fail(&own, -EPROTO, "memory", topic->label,
		                    "%s is not its half in memory: remove it", path);
	if (result < 0 && half->directory >= 0 &&
	    ayrei_file_is_named(half->directory, path, true) != 1)
		result = -ENOENT;
	if (result < 0)
		half->directory = ayrei_file_close(half->directory);
	if (result < 0 && result != -ENOENT && error)
		*error = own;
	return result;
}

static int make_half(const struct ayrei_topic *topic, struct ayrei_topic *half, const char *path,
                     struct ayre_error *error)
{
	static const struct ayre_topic_options none = {.size = sizeof(none)};
	struct ayre_topic_options options = none;

	if (ayrei_user() != topic->layout.uid && ayrei_user() != 0)
		return ayrei_fail(error, -EACCES, "memory", topic->label,
		                  "its owner (user %" PRIu32
		                  ") has to use it first, each time that the machine has started",
		                  topic->layout.uid);
	options.ring_bytes = topic->layout.ring_bytes;
	return ayrei_topic_make(half, &options, path, AYREI_HALVES, topic, error);
}

/* Somebody removes it and somebody makes it, again and again. */
#define ATTEMPTS 100

/* Two directories from here on. half: its directory is -1 if there is none. */
static void join_halves(struct ayrei_topic *topic, const struct ayrei_topic *half)
{
	topic->log = topic->directory;
	memcpy(topic->log_prefix, topic->prefix, sizeof(topic->log_prefix));
	topic->directory = half->directory;
	/* Of one that is not there, a path to nothing. */
	ayrei_self_path(half->directory, topic->prefix);
}

/* Where it is, and nothing opened yet. */
static int prepare_half(const struct ayrei_topic *topic, struct ayrei_topic *half,
                        char path[static PATH_MAX], struct ayre_error *error)
{
	int result = ayrei_durable_path(topic, topic->directory, path);

	*half = AYREI_NO_TOPIC;
	half->label = topic->label;
	return result < 0 ? ayrei_fail(error, result, "memory", topic->label, NULL) : 0;
}

int ayrei_durable_find(struct ayrei_topic *topic, struct ayre_error *error)
{
	struct ayrei_topic half;
	char path[PATH_MAX];
	int result = prepare_half(topic, &half, path, error);

	if (result == 0)
		result = open_half(topic, &half, path, error);
	if (result < 0 && result != -ENOENT)
		return result;
	join_halves(topic, &half);
	return 0;
}

/* A directory may be renamed, and the topic in it stays the same. */
static void mend_home(const struct ayrei_topic *half, const struct ayrei_topic *whole)
{
	char path[AYREI_PEER_PATH_BYTES], told[PATH_MAX], home[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" AYREI_HOME, half->prefix);
	if (ayrei_user() != whole->layout.uid ||
	    ayrei_file_path(whole->directory, home, sizeof(home)) < 0 ||
	    (ayrei_link_read(path, told, sizeof(told)) == 0 && strcmp(told, home) == 0))
		return;
	(void)!ayrei_file_unlink(path);
	(void)!ayrei_link_make(home, path);
}

int ayrei_durable_open(struct ayrei_topic *topic, struct ayre_error *error)
{
	struct ayrei_topic half;
	char path[PATH_MAX];
	int result = prepare_half(topic, &half, path, error);

	if (result < 0)
		return result;
	result = -EEXIST;
	for (int i = 0; i < ATTEMPTS && result == -EEXIST; i++) {
		result = open_half(topic, &half, path, error);
		if (result == -ENOENT)
			result = make_half(topic, &half, path, error);
	}
	if (result == -EEXIST)
		return ayrei_fail(error, -EBUSY, "memory", topic->label,
		                  "others remove and make it all the time");
	if (result < 0)
		return result;
	mend_home(&half, topic);
	join_halves(topic, &half);
	return 0;
}

int ayrei_durable_link_home(const struct ayrei_topic *half, const struct ayrei_topic *whole)
{
	char path[AYREI_PEER_PATH_BYTES], home[PATH_MAX];
	int result = ayrei_file_path(whole->directory, home, sizeof(home));

	snprintf(path, sizeof(path), "%s/" AYREI_HOME, half->prefix);
	return result < 0 ? result : ayrei_link_make(home, path);
}

static int give_file(const struct ayrei_topic *half, const char *name)
{
	char path[AYREI_PEER_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", half->prefix, name);
	return ayrei_path_set_owner(path, half->layout.uid, half->layout.gid);
}

int ayrei_durable_give(const struct ayrei_topic *half)
{
	int result = 0;

	if (ayrei_user() == half->layout.uid)
		return 0;
	result = give_file(half, "topic");
	if (result == 0)
		result = give_file(half, "join");
	if (result == 0)
		result = give_file(half, AYREI_HOME);
	return result == 0 ? give_file(half, ".") : result;
}

int ayrei_durable_settle(const char *folder)
{
	ayrei_auto_fd int fd = ayrei_file_open(folder, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? fd : ayrei_file_sync(fd);
}
