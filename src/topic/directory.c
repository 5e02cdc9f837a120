/*
 * The directory of a topic: what it says of itself, and opening it, making it if it is missing.
 *
 * Invariant: what is opened is a whole topic: its description is read once, and every number in it judged.
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
#include "sys/map.h"
#include "topic/directory_make.h"
#include "topic/durable.h"

/* --- what it says of itself --- */

uint64_t ayrei_topic_checksum(const struct ayrei_topic_layout *layout)
{
	const unsigned char *bytes = (const unsigned char *)layout;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < offsetof(struct ayrei_topic_layout, checksum); i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static bool is_ring(uint64_t bytes)
{
	return bytes >= AYREI_LEAST_RING && bytes <= AYREI_MOST_RING && (bytes & (bytes - 1)) == 0;
}

/* What it says of its log, if it has one. */
static bool is_log(const struct ayrei_topic_layout *copy)
{
	if (!(copy->incompatible_features & (AYREI_FEATURE_DURABLE | AYREI_FEATURE_MEMORY)))
		return true;
	return copy->sync >= AYRE_TOPIC_SYNC_NONE && copy->sync <= AYRE_TOPIC_SYNC_EACH &&
	       copy->extent_bytes >= copy->ring_bytes && copy->extent_bytes >= AYREI_LEAST_EXTENT &&
	       copy->extent_bytes <= AYREI_MOST_EXTENT && copy->extent_bytes % 4096 == 0 &&
	       copy->retain_bytes <= INT64_MAX && copy->retain_age_ns >= 0;
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
	if (copy->version != AYREI_TOPIC_VERSION ||
	    copy->incompatible_features & ~(AYREI_FEATURE_DURABLE | AYREI_FEATURE_MEMORY))
		return ayrei_fail(error, -EPROTONOSUPPORT, "topic", label,
		                  "it was made by a newer ayre (format %" PRIu32
		                  ", features 0x%" PRIx32 "); this one knows format %u",
		                  copy->version, copy->incompatible_features, AYREI_TOPIC_VERSION);
	if (copy->checksum != ayrei_topic_checksum(copy))
		return damaged(label, "its file 'topic' is damaged (checksum): remove the topic",
		               error);
	if (!is_ring(copy->ring_bytes) || copy->header_bytes < sizeof(struct ayrei_lane_layout) ||
	    copy->header_bytes % sizeof(struct ayrei_lane_layout) != 0 ||
	    copy->header_bytes > 1u << 20 || (copy->mode & ~0666u) ||
	    (copy->policy & ~AYREI_POLICY_LOSSY) || copy->tag_bytes > AYRE_TOPIC_TAG_MAX ||
	    copy->tag[copy->tag_bytes] != '\0' || copy->uid != status->st_uid || !is_log(copy))
		return damaged(label, "its file 'topic' says what cannot be: remove the topic",
		               error);
	if (copy->header_bytes % ayrei_page_bytes() != 0 ||
	    copy->ring_bytes % ayrei_page_bytes() != 0)
		return ayrei_fail(error, -EOPNOTSUPP, "topic", label,
		                  "it was made for smaller pages than this machine has");
	return 0;
}

int ayrei_topic_read_layout(struct ayrei_topic *topic, struct ayre_error *error)
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

int ayrei_topic_open_directory(struct ayrei_topic *topic, const char *path, bool is_named_by_word,
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

/* What becomes of a topic that is not there, or of which there is one half. */
enum opening {
	OPEN_OR_MAKE,
	OPEN_EXISTING, /* it has to be there; its half in memory is made */
	OPEN_TO_LOOK,  /* nothing is made */
};

/* The backing decides, and what it says of itself has to agree. */
static int check_backing(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                         enum opening how, struct ayre_error *error)
{
	int in_memory = ayrei_file_in_memory(topic->directory);
	uint32_t features = topic->layout.incompatible_features;

	if (in_memory < 0)
		return ayrei_fail(error, in_memory, "file system", topic->label, NULL);
	if (features & AYREI_FEATURE_MEMORY)
		return ayrei_fail(
			error, -EOPNOTSUPP, "topic", topic->label,
			"it is the half in memory of a durable topic: use the topic by its "
			"path on the disk");
	if (in_memory && features)
		return ayrei_fail(
			error, -EOPNOTSUPP, "file system", topic->label,
			"it is durable, and lies in memory: a copy is of use on a disk only");
	if (!in_memory && !features)
		return ayrei_fail(error, -EOPNOTSUPP, "file system", topic->label,
		                  "it was made in memory, and lies on a disk: remove it");
	if (in_memory && options->flags & AYRE_TOPIC_DURABLE)
		return ayrei_fail(
			error, -EOPNOTSUPP, "file system", topic->label,
			"it is in memory, and so is not durable: a durable topic is a path on "
			"a disk");
	if (in_memory)
		return 0;
	return how == OPEN_TO_LOOK ? ayrei_durable_find(topic, error)
	                           : ayrei_durable_open(topic, error);
}

static int open_whole(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                      const char *path, enum opening how, struct ayre_error *error)
{
	int result =
		ayrei_topic_open_directory(topic, path, strchr(topic->label, '/') == NULL, error);

	if (result == 0)
		result = ayrei_topic_read_layout(topic, error);
	if (result == 0)
		result = check_tag(topic, options, error);
	if (result == 0)
		result = check_backing(topic, options, how, error);
	return result;
}

static int open_existing(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                         const char *path, enum opening how, struct ayre_error *error)
{
	struct ayre_error own = {0};
	int result = open_whole(topic, options, path, how, &own);

	/* Once it is open as a log, the half in memory is another matter. */
	if (result < 0 && topic->log < 0 && topic->directory >= 0 &&
	    ayrei_file_is_named(topic->directory, path, true) != 1) {
		topic->directory = ayrei_file_close(topic->directory);
		return -ENOENT;
	}
	if (result < 0 && result != -ENOENT && error)
		*error = own;
	return result;
}

/* 1, or -EEXIST as ayrei_topic_make(). */
static int make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                const char *path, const char *parent, struct ayre_error *error)
{
	int made = ayrei_topic_make(topic, options, path, parent, NULL, error), result = 0;

	if (made == 1 && topic->layout.incompatible_features & AYREI_FEATURE_DURABLE)
		result = ayrei_durable_open(topic, error);
	return result < 0 ? result : made;
}

/* Somebody removes it and somebody makes it, again and again. */
#define ATTEMPTS 100

static int open_or_make(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                        const char *name, enum opening how, struct ayre_error *error)
{
	char path[PATH_MAX], parent[PATH_MAX];
	int result = ayrei_topic_check_options(options, name, error);

	if (result == 0)
		result = ayrei_topic_path(name, path, parent, error);
	if (result == 0 && !strchr(name, '/')) {
		result = how == OPEN_OR_MAKE ? ayrei_topic_make_root(parent, error) : 0;
		if (result == 0)
			result = ayrei_topic_check_root(parent, name, error);
	}
	if (result < 0)
		return result;
	for (int i = 0; i < ATTEMPTS; i++) {
		result = open_existing(topic, options, path, how, error);
		if (result == 0 && options->flags & AYRE_TOPIC_EXCLUSIVE)
			return ayrei_fail(error, -EEXIST, "create", name, NULL);
		if (result != -ENOENT)
			return result;
		if (how != OPEN_OR_MAKE)
			return ayrei_fail(error, result, "open", name, NULL);
		result = make(topic, options, path, parent, error);
		if (result != -EEXIST)
			return result;
	}
	return ayrei_fail(error, -EBUSY, "create", name, "others remove and make it all the time");
}

static int open_topic(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                      const char *name, enum opening how, struct ayre_error *error)
{
	struct ayre_topic_options copy;
	int result;

	*topic = AYREI_NO_TOPIC;
	if (!name)
		return ayrei_fail(error, -EINVAL, "name", "topic", "there is no name");
	if (ayrei_options_copy(&copy, sizeof(copy), options) < 0)
		return ayrei_fail(error, -EINVAL, "options", name, "their size is not set");
	topic->label = strdup(name);
	if (!topic->label)
		return ayrei_fail(error, -ENOMEM, "handle", name, NULL);
	result = open_or_make(topic, &copy, name, how, error);
	if (result < 0)
		ayrei_topic_close(topic);
	return result;
}

int ayrei_topic_open(struct ayrei_topic *topic, const struct ayre_topic_options *options,
                     const char *name, bool existing, struct ayre_error *error)
{
	return open_topic(topic, options, name, existing ? OPEN_EXISTING : OPEN_OR_MAKE, error);
}

int ayrei_topic_look(struct ayrei_topic *topic, const char *name, struct ayre_error *error)
{
	return open_topic(topic, NULL, name, OPEN_TO_LOOK, error);
}

void ayrei_topic_close(struct ayrei_topic *topic)
{
	topic->directory = ayrei_file_close(topic->directory);
	topic->log = ayrei_file_close(topic->log);
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

	*topic = AYREI_NO_TOPIC;
	if (result < 0)
		return result;
	topic->label = strdup(name);
	if (!topic->label)
		return ayrei_fail(error, -ENOMEM, "handle", name, NULL);
	result = strchr(name, '/') ? 0 : ayrei_topic_check_root(parent, name, error);
	if (result == 0)
		result = ayrei_topic_open_directory(topic, path, !strchr(name, '/'), error);
	if (result == -ENOENT)
		ayrei_fail(error, result, "open", name, NULL);
	if (result < 0)
		ayrei_topic_close(topic);
	return result;
}
