/*
 * A topic's directory, made.
 *
 * Invariant: a directory that has a topic's name is a whole topic. It is made under another name, with
 * a lock by which others know that its maker lives, filled, and then renamed, which one of many
 * makers wins.
 *
 * Who may do what. Class by class, r of the topic's mode is rwx of the directory, because a
 * subscriber makes files; the sticky bit keeps everybody's files theirs. w is not a matter of the
 * directory: a lane counts only if the kernel says that its file belongs to somebody who may publish.
 */
#include "topic/directory_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/directory.h"
#include "sys/map.h"
#include "sys/system.h"
#include "topic/durable.h"

#define DEFAULT_RING   ((uint64_t)1 << 20)
#define DEFAULT_EXTENT ((uint64_t)64 << 20)
#define DEFAULT_MODE   0600u

int ayrei_topic_check_options(const struct ayre_topic_options *options, const char *label,
                              struct ayre_error *error)
{
	uint32_t may_write = options->mode & 0222;

	const uint32_t known = AYRE_TOPIC_LOSSY | AYRE_TOPIC_EXCLUSIVE | AYRE_TOPIC_DURABLE;

	if (options->flags & ~known)
		return ayrei_fail(error, -EINVAL, "flags", label, "unknown bits");
	if (options->reserved)
		return ayrei_fail(error, -EINVAL, "reserved", label, "it is not 0");
	if (options->sync > AYRE_TOPIC_SYNC_EACH)
		return ayrei_fail(error, -EINVAL, "sync", label, "it is none of the three");
	if (options->extent_bytes > AYREI_MOST_EXTENT)
		return ayrei_fail(error, -EINVAL, "extent", label,
		                  "an extent has at most %" PRIu64 " bytes", AYREI_MOST_EXTENT);
	if (options->reserved || options->retain_bytes > INT64_MAX || options->retain_age_ns < 0)
		return ayrei_fail(error, -EINVAL, "retention", label, "it is out of range");
	if (options->mode & ~0666u)
		return ayrei_fail(error, -EINVAL, "mode", label, "read and write bits only");
	if (options->mode && (options->mode & 0600) != 0600)
		return ayrei_fail(error, -EINVAL, "mode", label,
		                  "its owner may always publish and subscribe");
	if ((may_write & (options->mode >> 1 & 0222)) != may_write)
		return ayrei_fail(error, -EINVAL, "mode", label, "who may publish may subscribe");
	if (options->ring_bytes > AYREI_MOST_RING)
		return ayrei_fail(error, -EINVAL, "size", label,
		                  "a ring has at most %" PRIu64 " bytes", AYREI_MOST_RING);
	if (options->tag && (!options->tag[0] || strlen(options->tag) > AYRE_TOPIC_TAG_MAX))
		return ayrei_fail(error, -EINVAL, "tag", label, "a tag has 1 to %d bytes",
		                  AYRE_TOPIC_TAG_MAX);
	return 0;
}

static uint64_t power_of_two_above(uint64_t bytes)
{
	uint64_t power =
		AYREI_LEAST_RING > ayrei_page_bytes() ? AYREI_LEAST_RING : ayrei_page_bytes();

	while (power < bytes)
		power *= 2;
	return power;
}

/* Whole pages, and room for what is in a ring. */
static uint64_t extent_bytes(const struct ayrei_topic_layout *layout, uint64_t wanted)
{
	uint64_t bytes = wanted ? wanted : DEFAULT_EXTENT, page = 4096;

	bytes = bytes > AYREI_LEAST_EXTENT ? bytes : AYREI_LEAST_EXTENT;
	bytes = bytes > layout->ring_bytes ? bytes : layout->ring_bytes;
	return (bytes + page - 1) / page * page;
}

static void describe_log(struct ayrei_topic_layout *layout,
                         const struct ayre_topic_options *options)
{
	layout->incompatible_features = AYREI_FEATURE_DURABLE;
	layout->sync = options->sync ? options->sync : AYRE_TOPIC_SYNC_GROUP;
	layout->extent_bytes = extent_bytes(layout, options->extent_bytes);
	layout->retain_bytes = options->retain_bytes;
	layout->retain_age_ns = options->retain_age_ns;
}

static int fill_layout(struct ayrei_topic_layout *layout, const struct ayre_topic_options *options,
                       bool is_durable)
{
	size_t page = ayrei_page_bytes();

	memset(layout, 0, sizeof(*layout));
	memcpy(layout->magic, AYREI_TOPIC_MAGIC, sizeof(layout->magic));
	layout->version = AYREI_TOPIC_VERSION;
	layout->header_bytes = (uint32_t)(page > sizeof(struct ayrei_lane_layout)
	                                          ? page
	                                          : sizeof(struct ayrei_lane_layout));
	layout->created_ns = ayrei_realtime_ns();
	layout->ring_bytes =
		power_of_two_above(options->ring_bytes ? options->ring_bytes : DEFAULT_RING);
	layout->policy = options->flags & AYRE_TOPIC_LOSSY ? AYREI_POLICY_LOSSY : 0;
	layout->mode = options->mode ? options->mode : DEFAULT_MODE;
	layout->uid = ayrei_user();
	if (is_durable)
		describe_log(layout, options);
	if (options->tag) {
		layout->tag_bytes = (uint32_t)strlen(options->tag);
		memcpy(layout->tag, options->tag, layout->tag_bytes);
	}
	return ayrei_random(layout->generation, sizeof(layout->generation));
}

/* Classes that may read get all of the directory, and both ways of `join`. */
static mode_t widen(uint32_t mode, mode_t each)
{
	mode_t wide = 0;

	for (unsigned int shift = 0; shift <= 6; shift += 3)
		if (mode >> shift & 4)
			wide |= each << shift;
	return wide;
}

static int make_file(const struct ayrei_topic *topic, const char *name, const void *bytes,
                     size_t length, uint64_t total, mode_t mode)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	int result;

	snprintf(path, sizeof(path), "%s/%s", topic->prefix, name);
	fd = ayrei_file_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	result = ayrei_file_allocate_private(fd, total);
	if (result == 0)
		result = ayrei_file_write_at(fd, bytes, length, 0);
	return result == 0 ? ayrei_file_set_mode(fd, mode) : result;
}

static int describe(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                    const struct ayrei_topic *whole)
{
	struct stat status;
	int result = ayrei_file_status(topic->directory, &status), in_memory = 0;

	if (result == 0 && !whole)
		result = in_memory = ayrei_file_in_memory(topic->directory);
	if (result >= 0 && !whole)
		result = fill_layout(&topic->layout, options, !in_memory);
	if (result < 0)
		return result;
	if (whole) {
		topic->layout = whole->layout;
		topic->layout.incompatible_features = AYREI_FEATURE_MEMORY;
	} else {
		topic->layout.gid = status.st_gid;
	}
	topic->layout.checksum = ayrei_topic_checksum(&topic->layout);
	return 0;
}

/* What is not in memory is on the disk before it has its name. */
static int settle(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	int result;

	if (!(topic->layout.incompatible_features & AYREI_FEATURE_DURABLE))
		return 0;
	snprintf(path, sizeof(path), "%s/topic", topic->prefix);
	fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);
	result = fd < 0 ? fd : ayrei_file_sync(fd);
	return result < 0 ? result : ayrei_file_sync(topic->directory);
}

static int fill_directory(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                          const struct ayrei_topic *whole)
{
	struct ayrei_join_layout join = {0};
	int result = describe(topic, options, whole);

	if (result == 0)
		result = make_file(topic, "topic", &topic->layout, sizeof(topic->layout),
		                   sizeof(topic->layout), widen(topic->layout.mode, 4));
	if (result == 0 && !(topic->layout.incompatible_features & AYREI_FEATURE_DURABLE))
		result = make_file(topic, "join", &join, sizeof(join), sizeof(join),
		                   widen(topic->layout.mode, 6));
	if (result == 0 && whole)
		result = ayrei_durable_link_home(topic, whole);
	if (result == 0)
		result = settle(topic);
	/* Last: until then it is ours alone. */
	if (result == 0)
		result = ayrei_file_set_mode(topic->directory,
		                             widen(topic->layout.mode, 7) |
		                                     (topic->layout.mode & 077 ? 01000 : 0));
	return result == 0 && whole ? ayrei_durable_give(topic) : result;
}

static void clear_directory(const char *path)
{
	char file[PATH_MAX + 16];

	snprintf(file, sizeof(file), "%s/topic", path);
	(void)!ayrei_file_unlink(file);
	snprintf(file, sizeof(file), "%s/join", path);
	(void)!ayrei_file_unlink(file);
	snprintf(file, sizeof(file), "%s/" AYREI_HOME, path);
	(void)!ayrei_file_unlink(file);
	(void)!ayrei_directory_remove(path);
}

/* A topic none of whose publishers would find room is a promise that cannot be kept. */
static int check_room(const struct ayrei_topic *topic, const struct ayre_topic_options *options,
                      struct ayre_error *error)
{
	uint64_t ring = options->ring_bytes ? options->ring_bytes : DEFAULT_RING;
	uint64_t room = ayrei_file_room(topic->directory);

	if (ring <= room)
		return 0;
	return ayrei_fail(error, -ENOSPC, "allocate", topic->label,
	                  "the ring of one publisher takes %" PRIu64 " bytes, %" PRIu64 " are free",
	                  ring, room);
}

static int check_backing(const struct ayrei_topic *topic, const struct ayre_topic_options *options,
                         struct ayre_error *error)
{
	int in_memory = ayrei_file_in_memory(topic->directory);

	if (in_memory < 0)
		return ayrei_fail(error, in_memory, "file system", topic->label, NULL);
	if (in_memory && options->flags & AYRE_TOPIC_DURABLE)
		return ayrei_fail(error, -EOPNOTSUPP, "file system", topic->label,
		                  "that is in memory: a durable topic is a path on a disk");
	if (in_memory && (options->sync || options->extent_bytes || options->retain_bytes ||
	                  options->retain_age_ns))
		return ayrei_fail(error, -EINVAL, "file system", topic->label,
		                  "that is in memory, and has no log to sync or retain: a durable "
		                  "topic is a path on a disk");
	if (!in_memory && options->flags & AYRE_TOPIC_LOSSY)
		return ayrei_fail(error, -EINVAL, "file system", topic->label,
		                  "that is on a disk: a durable topic loses nothing, and its "
		                  "publishers wait for no subscriber anyway");
	return 0;
}

/*
 * The lock tells who clears away what dead makers left that this one lives. -EEXIST: it came too late,
 * and the directory is gone, or about to be.
 */
static int take_unseen(const struct ayrei_topic *topic)
{
	struct stat status;
	int result = ayrei_file_try_lock(topic->directory);

	if (result == 0)
		result = ayrei_file_status(topic->directory, &status);
	if (result == -EWOULDBLOCK || (result == 0 && status.st_nlink == 0))
		return -EEXIST;
	return result;
}

/* Makes it under another name. -EEXIST: somebody cleared that away. */
static int make_unseen(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                       const char *path, const char *parent, const struct ayrei_topic *whole,
                       char *unseen, struct ayre_error *error)
{
	uint64_t random;
	int result = ayrei_random(&random, sizeof(random));

	if (result == 0 && snprintf(unseen, PATH_MAX, "%s/.%s" AYREI_UNFINISHED "%08" PRIx32,
	                            parent, strrchr(path, '/') + 1, (uint32_t)random) >= PATH_MAX)
		result = -ENAMETOOLONG;
	if (result == 0)
		result = ayrei_directory_make(unseen, 0700);
	if (result == -ENOENT)
		return ayrei_fail(error, result, "create", topic->label, "there is no directory %s",
		                  parent);
	if (result < 0)
		return ayrei_fail(error, result, "create", topic->label, NULL);
	/* Whatever the umask. */
	result = ayrei_path_set_mode(unseen, 0700);
	if (result < 0 && result != -ENOENT) {
		ayrei_fail(error, result, "create", topic->label, NULL);
		clear_directory(unseen);
		return result;
	}
	if (result == 0)
		result = ayrei_topic_open_directory(topic, unseen, true, error);
	if (result == -ENOENT)
		return -EEXIST;
	if (result == 0)
		result = check_backing(topic, options, error);
	if (result == 0)
		result = check_room(topic, options, error);
	if (result == 0) {
		result = take_unseen(topic);
		if (result == 0)
			result = fill_directory(topic, options, whole);
		if (result < 0 && result != -EEXIST)
			ayrei_fail(error, result, "create", topic->label, NULL);
	}
	if (result < 0) {
		clear_directory(unseen);
		topic->directory = ayrei_file_close(topic->directory);
	}
	return result;
}

int ayrei_topic_make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     const char *path, const char *parent, const struct ayrei_topic *whole,
                     struct ayre_error *error)
{
	char unseen[PATH_MAX];
	int result = make_unseen(topic, options, path, parent, whole, unseen, error);

	if (result < 0)
		return result;
	result = ayrei_file_rename_new(unseen, path);
	if (result == 0 && topic->layout.incompatible_features & AYREI_FEATURE_DURABLE)
		result = ayrei_durable_settle(parent);
	if (result == 0) {
		/* It is made; were it locked for a while longer, that would be no harm. */
		(void)!ayrei_file_unlock(topic->directory);
		return 1;
	}
	clear_directory(unseen);
	topic->directory = ayrei_file_close(topic->directory);
	return result == -EEXIST ? result : ayrei_fail(error, result, "create", topic->label, NULL);
}
