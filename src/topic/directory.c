/*
 * The directory of a topic.
 *
 * Invariant: a directory that has a topic's name is a whole topic. It is made under another name, with
 * a lock by which others know that its maker lives, filled, and then renamed, which one of many
 * makers wins.
 *
 * Who may do what. Class by class, r of the topic's mode is rwx of the directory, because a
 * subscriber makes files; the sticky bit keeps everybody's files theirs. w is not a matter of the
 * directory: a lane counts only if the kernel says that its file belongs to somebody who may publish.
 */
#include "topic/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/options.h"
#include "sys/directory.h"
#include "sys/map.h"
#include "sys/system.h"

#define DEFAULT_RING ((uint64_t)1 << 20)
#define LEAST_RING   ((uint64_t)4096)
#define MOST_RING    ((uint64_t)1 << 40)
#define DEFAULT_MODE 0600u

#define ROOT_VARIABLE "AYRE_DIR"

#define NAME_BYTES_MAX 200

/* --- names --- */

int ayrei_topic_root(char *path, struct ayre_error *error)
{
	const char *given = secure_getenv(ROOT_VARIABLE);
	int length;

	if (given && *given)
		length = snprintf(path, PATH_MAX, "%s", given);
	else
		length = snprintf(path, PATH_MAX, "/dev/shm/ayre-%" PRIu32, ayrei_user());
	if (length >= PATH_MAX)
		return ayrei_fail(error, -ENAMETOOLONG, "name", ROOT_VARIABLE, NULL);
	return 0;
}

static bool is_word(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return name[0] && name[0] != '.' && name[strspn(name, letters)] == '\0';
}

int ayrei_topic_path(const char *name, char *path, char *parent, struct ayre_error *error)
{
	const char *slash = strrchr(name, '/');
	int result, length;

	if (slash) {
		if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
			return ayrei_fail(error, -EINVAL, "name", name,
			                  "a topic's path ends with its own name");
		length = snprintf(path, PATH_MAX, "%s", name);
		snprintf(parent, PATH_MAX, "%.*s", slash == name ? 1 : (int)(slash - name), name);
	} else {
		if (!is_word(name))
			return ayrei_fail(error, -EINVAL, "name", name,
			                  "a topic is a word of letters, digits and ._- that does "
			                  "not begin with a dot, or a path with a slash");
		result = ayrei_topic_root(parent, error);
		if (result < 0)
			return result;
		length = snprintf(path, PATH_MAX, "%s/%s", parent, name);
		slash = path + strlen(parent);
	}
	if (length >= PATH_MAX || strlen(slash + 1) > NAME_BYTES_MAX)
		return ayrei_fail(error, -ENAMETOOLONG, "name", name,
		                  "a topic's name has at most %d bytes", NAME_BYTES_MAX);
	return 0;
}

/*
 * The default root is in a directory where everybody may make something: what is there has to be
 * ours alone. What AYRE_DIR names is the user's own choice.
 */
static int make_root(const char *root, struct ayre_error *error)
{
	int result = ayrei_directory_make(root, 0700);

	if (result == 0)
		result = ayrei_path_set_mode(root, 0700);
	return result < 0 && result != -EEXIST ? ayrei_fail(error, result, "create", root, NULL)
	                                       : 0;
}

int ayrei_topic_check_root(const char *root, const char *label, struct ayre_error *error)
{
	struct stat status;
	const char *given = secure_getenv(ROOT_VARIABLE);
	int result = ayrei_path_status(root, false, &status);

	/* None at all does no harm: nothing will be found there. */
	if (result == -ENOENT || (given && *given))
		return 0;
	if (result < 0)
		return ayrei_fail(error, result, "open", root, NULL);
	if (!S_ISDIR(status.st_mode) || status.st_uid != ayrei_user() || (status.st_mode & 077))
		return ayrei_fail(
			error, -EPERM, "open", label,
			"%s is not a directory of this user alone (mode 0700): remove it, "
			"or set " ROOT_VARIABLE,
			root);
	return 0;
}

/* --- what it says of itself --- */

static uint64_t checksum(const struct ayrei_topic_layout *layout)
{
	const unsigned char *bytes = (const unsigned char *)layout;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct ayrei_topic_layout, checksum); i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static bool is_ring(uint64_t bytes)
{
	return bytes >= LEAST_RING && bytes <= MOST_RING && (bytes & (bytes - 1)) == 0;
}

static int damaged(const char *label, const char *problem, struct ayre_error *error)
{
	return ayrei_fail(error, -EPROTO, "topic", label, "%s", problem);
}

/* Judges a private copy. */
static int judge(const struct ayrei_topic_layout *copy, const struct stat *status,
                 const char *label, struct ayre_error *error)
{
	if (memcmp(copy->magic, AYREI_TOPIC_MAGIC, sizeof(copy->magic)) != 0)
		return damaged(label, "its file 'topic' is no description of a topic", error);
	if (copy->version != AYREI_TOPIC_VERSION || copy->incompatible_features != 0)
		return ayrei_fail(error, -EPROTONOSUPPORT, "topic", label,
		                  "it was made by a newer ayre (format %" PRIu32
		                  ", features 0x%" PRIx32 "); this one knows format %u",
		                  copy->version, copy->incompatible_features, AYREI_TOPIC_VERSION);
	if (copy->checksum != checksum(copy))
		return damaged(label, "its file 'topic' is damaged (checksum): remove the topic",
		               error);
	if (!is_ring(copy->ring_bytes) || copy->header_bytes < sizeof(struct ayrei_lane_layout) ||
	    copy->header_bytes % sizeof(struct ayrei_lane_layout) != 0 ||
	    copy->header_bytes > 1u << 20 || (copy->mode & ~0666u) ||
	    copy->tag_bytes > AYRE_TOPIC_TAG_MAX || copy->tag[copy->tag_bytes] != '\0' ||
	    copy->uid != status->st_uid)
		return damaged(label, "its file 'topic' says what cannot be: remove the topic",
		               error);
	if (copy->header_bytes % ayrei_page_bytes() != 0 ||
	    copy->ring_bytes % ayrei_page_bytes() != 0)
		return ayrei_fail(error, -EOPNOTSUPP, "topic", label,
		                  "it was made for smaller pages than this machine has");
	return 0;
}

static int read_layout(struct ayrei_topic *topic, struct ayre_error *error)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	struct stat status;
	ssize_t got;

	snprintf(path, sizeof(path), "%s/topic", topic->prefix);
	fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);
	if (fd == -ENOENT || fd == -ELOOP)
		return damaged(topic->label, "it is a directory, but no topic", error);
	got = fd < 0 ? fd : ayrei_file_status(fd, &status);
	if (got == 0 && !S_ISREG(status.st_mode))
		return damaged(topic->label, "its 'topic' is no file", error);
	if (got == 0)
		got = ayrei_file_read_at(fd, &topic->layout, sizeof(topic->layout), 0);
	if (got < 0)
		return ayrei_fail(error, (int)got, "open", topic->label, NULL);
	if ((size_t)got < sizeof(topic->layout))
		return damaged(topic->label, "its file 'topic' is cut short: remove the topic",
		               error);
	return judge(&topic->layout, &status, topic->label, error);
}

static int check_tag(const struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     struct ayre_error *error)
{
	if (!options->tag || strcmp(options->tag, topic->layout.tag) == 0)
		return 0;
	return ayrei_fail(error, -EMEDIUMTYPE, "tag", topic->label,
	                  topic->layout.tag_bytes ? "its tag is '%.*s'" : "it has no tag",
	                  AYRE_TOPIC_TAG_MAX, topic->layout.tag);
}

/* --- opening --- */

static int open_directory(struct ayrei_topic *topic, const char *path, bool is_named_by_word,
                          struct ayre_error *error)
{
	int result = ayrei_file_open(
		path, O_RDONLY | O_DIRECTORY | (is_named_by_word ? O_NOFOLLOW : 0), 0);

	if (result == -ENOENT)
		return result;
	if (result == -ENOTDIR || result == -ELOOP)
		return damaged(topic->label, "something else has that name", error);
	if (result < 0)
		return ayrei_fail(error, result, "open", topic->label, NULL);
	topic->directory = result;
	ayrei_self_path(topic->directory, topic->prefix);
	return 0;
}

static int check_memory(const struct ayrei_topic *topic, struct ayre_error *error)
{
	int result = ayrei_file_in_memory(topic->directory);

	if (result < 0)
		return ayrei_fail(error, result, "file system", topic->label, NULL);
	if (result == 0)
		return ayrei_fail(error, -EOPNOTSUPP, "file system", topic->label,
		                  "it is on a disk, and topics live in memory: a path under "
		                  "/dev/shm will do");
	return 0;
}

static int open_whole(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                      const char *path, struct ayre_error *error)
{
	int result = open_directory(topic, path, strchr(topic->label, '/') == NULL, error);

	if (result == 0)
		result = check_memory(topic, error);
	if (result == 0)
		result = read_layout(topic, error);
	if (result == 0)
		result = check_tag(topic, options, error);
	return result;
}

/* Has it still that name? One that is being removed has none, and is whole no more. */
static bool is_named(const struct ayrei_topic *topic, const char *path)
{
	struct stat named, status;

	return ayrei_path_status(path, true, &named) == 0 &&
	       ayrei_file_status(topic->directory, &status) == 0 && named.st_ino == status.st_ino &&
	       named.st_dev == status.st_dev;
}

static int open_existing(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                         const char *path, struct ayre_error *error)
{
	struct ayre_error own = {0};
	int result = open_whole(topic, options, path, &own);

	if (result < 0 && topic->directory >= 0 && !is_named(topic, path)) {
		topic->directory = ayrei_file_close(topic->directory);
		return -ENOENT;
	}
	if (result < 0 && result != -ENOENT && error)
		*error = own;
	return result;
}

/* --- making --- */

static uint64_t power_of_two_above(uint64_t bytes)
{
	uint64_t power = LEAST_RING > ayrei_page_bytes() ? LEAST_RING : ayrei_page_bytes();

	while (power < bytes)
		power *= 2;
	return power;
}

static int fill_layout(struct ayrei_topic_layout *layout, const struct ayre_topic_options *options)
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

static int fill_directory(struct ayrei_topic *topic, const struct ayre_topic_options *options)
{
	struct stat status;
	struct ayrei_join_layout join = {0};
	int result = fill_layout(&topic->layout, options);

	if (result == 0)
		result = ayrei_file_status(topic->directory, &status);
	if (result < 0)
		return result;
	topic->layout.gid = status.st_gid;
	topic->layout.checksum = checksum(&topic->layout);
	result = make_file(topic, "topic", &topic->layout, sizeof(topic->layout),
	                   sizeof(topic->layout), widen(topic->layout.mode, 4));
	if (result == 0)
		result = make_file(topic, "join", &join, sizeof(join), sizeof(join),
		                   widen(topic->layout.mode, 6));
	/* Last: until then it is ours alone. */
	if (result == 0)
		result = ayrei_file_set_mode(topic->directory,
		                             widen(topic->layout.mode, 7) |
		                                     (topic->layout.mode & 077 ? 01000 : 0));
	return result;
}

static void clear_directory(const char *path)
{
	char file[PATH_MAX + 16];

	snprintf(file, sizeof(file), "%s/topic", path);
	(void)!ayrei_file_unlink(file);
	snprintf(file, sizeof(file), "%s/join", path);
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
                       const char *path, const char *parent, char *unseen, struct ayre_error *error)
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
		result = open_directory(topic, unseen, true, error);
	if (result == -ENOENT)
		return -EEXIST;
	if (result == 0)
		result = check_memory(topic, error);
	if (result == 0)
		result = check_room(topic, options, error);
	if (result == 0) {
		result = take_unseen(topic);
		if (result == 0)
			result = fill_directory(topic, options);
		if (result < 0 && result != -EEXIST)
			ayrei_fail(error, result, "create", topic->label, NULL);
	}
	if (result < 0) {
		clear_directory(unseen);
		topic->directory = ayrei_file_close(topic->directory);
	}
	return result;
}

/* 1, or -EEXIST: somebody was quicker, or it has to be tried again. */
static int make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                const char *path, const char *parent, struct ayre_error *error)
{
	char unseen[PATH_MAX];
	int result = make_unseen(topic, options, path, parent, unseen, error);

	if (result < 0)
		return result;
	result = ayrei_file_rename_new(unseen, path);
	if (result == 0) {
		/* It is made; were it locked for a while longer, that would be no harm. */
		(void)!ayrei_file_unlock(topic->directory);
		return 1;
	}
	clear_directory(unseen);
	topic->directory = ayrei_file_close(topic->directory);
	return result == -EEXIST ? result : ayrei_fail(error, result, "create", topic->label, NULL);
}

static int check_options(const struct ayre_topic_options *options, const char *label,
                         struct ayre_error *error)
{
	uint32_t may_write = options->mode & 0222;

	if (options->flags & ~(uint32_t)(AYRE_TOPIC_LOSSY | AYRE_TOPIC_EXCLUSIVE))
		return ayrei_fail(error, -EINVAL, "flags", label, "unknown bits");
	if (options->mode & ~0666u)
		return ayrei_fail(error, -EINVAL, "mode", label, "read and write bits only");
	if (options->mode && (options->mode & 0600) != 0600)
		return ayrei_fail(error, -EINVAL, "mode", label,
		                  "its owner may always publish and subscribe");
	if ((may_write & (options->mode >> 1 & 0222)) != may_write)
		return ayrei_fail(error, -EINVAL, "mode", label, "who may publish may subscribe");
	if (options->ring_bytes > MOST_RING)
		return ayrei_fail(error, -EINVAL, "size", label,
		                  "a ring has at most %" PRIu64 " bytes", MOST_RING);
	if (options->tag && (!options->tag[0] || strlen(options->tag) > AYRE_TOPIC_TAG_MAX))
		return ayrei_fail(error, -EINVAL, "tag", label, "a tag has 1 to %d bytes",
		                  AYRE_TOPIC_TAG_MAX);
	return 0;
}

/* Somebody removes it and somebody makes it, again and again. */
#define ATTEMPTS 100

static int open_or_make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                        const char *name, bool existing, struct ayre_error *error)
{
	char path[PATH_MAX], parent[PATH_MAX];
	int result = check_options(options, name, error);

	if (result == 0)
		result = ayrei_topic_path(name, path, parent, error);
	if (result == 0 && !strchr(name, '/')) {
		result = existing ? 0 : make_root(parent, error);
		if (result == 0)
			result = ayrei_topic_check_root(parent, name, error);
	}
	if (result < 0)
		return result;
	for (int i = 0; i < ATTEMPTS; i++) {
		result = open_existing(topic, options, path, error);
		if (result == 0 && options->flags & AYRE_TOPIC_EXCLUSIVE)
			return ayrei_fail(error, -EEXIST, "create", name, NULL);
		if (result != -ENOENT)
			return result;
		if (existing)
			return ayrei_fail(error, result, "open", name, NULL);
		result = make(topic, options, path, parent, error);
		if (result != -EEXIST)
			return result;
	}
	return ayrei_fail(error, -EBUSY, "create", name, "others remove and make it all the time");
}

int ayrei_topic_open(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     const char *name, bool existing, struct ayre_error *error)
{
	struct ayre_topic_options copy;
	int result;

	*topic = (struct ayrei_topic){.directory = -1};
	if (!name)
		return ayrei_fail(error, -EINVAL, "name", "topic", "there is no name");
	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", name, "their size is not set");
	topic->label = strdup(name);
	if (!topic->label)
		return ayrei_fail(error, -ENOMEM, "handle", name, NULL);
	result = open_or_make(topic, &copy, name, existing, error);
	if (result < 0)
		ayrei_topic_close(topic);
	return result;
}

void ayrei_topic_close(struct ayrei_topic *topic)
{
	topic->directory = ayrei_file_close(topic->directory);
	free(ayrei_take_pointer(topic->label));
}

int ayre_topic_create(const struct ayre_topic_options *options, const char *name,
                      struct ayre_error *error)
{
	struct ayrei_topic topic;
	int result = ayrei_topic_open(&topic, options, name, false, error);

	if (result >= 0)
		ayrei_topic_close(&topic);
	return result;
}

int ayrei_topic_find(struct ayrei_topic *topic, const char *name, struct ayre_error *error)
{
	char path[PATH_MAX], parent[PATH_MAX];
	int result = ayrei_topic_path(name, path, parent, error);

	*topic = (struct ayrei_topic){.directory = -1};
	if (result < 0)
		return result;
	topic->label = strdup(name);
	if (!topic->label)
		return ayrei_fail(error, -ENOMEM, "handle", name, NULL);
	result = strchr(name, '/') ? 0 : ayrei_topic_check_root(parent, name, error);
	if (result == 0)
		result = open_directory(topic, path, !strchr(name, '/'), error);
	if (result == -ENOENT)
		ayrei_fail(error, result, "open", name, NULL);
	if (result < 0)
		ayrei_topic_close(topic);
	return result;
}
