/*
 * The files in a topic's directory: their names, whose they are, and whether their owners live.
 *
 * Invariant: what is opened here was put there by somebody else, and is a regular file or an error. Whether
 * its owner lives is asked of the kernel, by the lock on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/directory.h"
#include "sys/system.h"
#include "topic/bell.h"
#include "topic/directory.h"
#include "topic/shared.h"

/* --- names --- */

static void format_path(char path[AYREI_PEER_PATH_BYTES], const char *prefix,
                        enum ayrei_peer_kind kind, uint64_t id, const char *suffix)
{
	snprintf(path, AYREI_PEER_PATH_BYTES, "%s/%s.%016" PRIx64 "%s", prefix,
	         kind == AYREI_PEER_PUBLISHER ? "pub" : "sub", id, suffix);
}

const char *ayrei_peer_path(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id,
                            const char *suffix, char path[AYREI_PEER_PATH_BYTES])
{
	format_path(path, topic->prefix, kind, id, suffix);
	return path;
}

const char *ayrei_large_path(const struct ayrei_topic *topic, uint64_t id, uint64_t position,
                             char path[AYREI_PEER_PATH_BYTES])
{
	char suffix[24];

	snprintf(suffix, sizeof(suffix), ".%016" PRIx64, position);
	format_path(path, ayrei_topic_log_prefix(topic), AYREI_PEER_PUBLISHER, id, suffix);
	return path;
}

bool ayrei_peer_parse(const char *file, struct ayrei_peer_name *ret_name)
{
	static const char digits[] = "0123456789abcdef";
	bool publisher = strncmp(file, "pub.", 4) == 0;

	if (!publisher && strncmp(file, "sub.", 4) != 0)
		return false;
	if (strspn(file + 4, digits) != 16)
		return false;
	ret_name->kind = publisher ? AYREI_PEER_PUBLISHER : AYREI_PEER_SUBSCRIBER;
	ret_name->id = strtoull(file + 4, NULL, 16);
	ret_name->suffix = file + 20;
	return ret_name->id != 0 && (file[20] == '\0' || file[20] == '.');
}

/* --- its files --- */

bool ayrei_topic_may_publish(const struct ayrei_topic *topic, const struct stat *file)
{
	const struct ayrei_topic_layout *layout = &topic->layout;

	/* Only a member of a group can give a file to it. */
	return file->st_uid == layout->uid || file->st_uid == 0 || (layout->mode & 0002) ||
	       ((layout->mode & 0020) && file->st_gid == layout->gid);
}

int ayrei_topic_visit(const struct ayrei_topic *topic,
                      int (*visit)(const struct ayrei_peer_name *name, void *context),
                      void *context)
{
	const struct dirent *entry;
	DIR *directory;
	int result = ayrei_directory_open(topic->directory, ".", &directory);

	if (result < 0)
		return result;
	while ((result = ayrei_directory_next(directory, &entry)) == 1) {
		struct ayrei_peer_name name;

		if (!ayrei_peer_parse(entry->d_name, &name))
			continue;
		result = visit(&name, context);
		if (result < 0)
			break;
	}
	ayrei_directory_close(directory);
	return result;
}

/* What opening a file can fail with for reasons of our own; the rest its owner brought about. */
static bool is_our_own(int result)
{
	return result == -ENOENT || result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

int ayrei_topic_open_regular(const char *path, uint64_t least_bytes, struct stat *ret_status)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDONLY | O_NOFOLLOW, 0);
	int result;

	/* A link, a socket, a file with a lease or that we may not read. */
	if (fd < 0)
		return is_our_own(fd) ? fd : -EPROTO;
	result = ayrei_file_status(fd, ret_status);
	if (result < 0)
		return result;
	if (!S_ISREG(ret_status->st_mode) || (uint64_t)ret_status->st_size < least_bytes)
		return -EPROTO;
	return ayrei_take_fd(&fd);
}

int ayrei_peer_open(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id,
                    uint64_t least_bytes, struct stat *ret_status)
{
	char path[AYREI_PEER_PATH_BYTES];

	return ayrei_topic_open_regular(ayrei_peer_path(topic, kind, id, "", path), least_bytes,
	                                ret_status);
}

int ayrei_topic_take_file(const char *path)
{
	ayrei_auto_fd int fd = ayrei_file_open(path, O_RDWR | O_NOFOLLOW, 0);
	int result = fd < 0 ? fd : ayrei_file_try_own(fd);

	if (result == 0)
		result = ayrei_file_is_named(fd, path, false);
	if (result == 1)
		return ayrei_take_fd(&fd);
	return result == 0 ? -ENOENT : result;
}

int ayrei_peer_is_live(const struct ayrei_topic *topic, enum ayrei_peer_kind kind, uint64_t id)
{
	struct stat status;
	ayrei_auto_fd int fd = ayrei_peer_open(topic, kind, id, 0, &status);

	return fd < 0 ? fd : ayrei_file_is_owned(fd);
}

#define PEER_MODE 0644

int ayrei_peer_make(const struct ayrei_topic *topic, uint64_t bytes, struct ayre_error *error)
{
	ayrei_auto_fd int fd = ayrei_file_open_unnamed(topic->prefix);
	int result = fd;

	if (result == -EACCES || result == -EPERM)
		return ayrei_fail(error, result, "create", topic->label,
		                  "this user may not come into the topic (its mode is %04" PRIo32
		                  ")",
		                  topic->layout.mode);
	if (result < 0)
		return ayrei_fail(error, result, "create", topic->label, NULL);
	result = ayrei_file_allocate_private(fd, bytes);
	if (result == -ENOSPC || result == -ENOMEM)
		return ayrei_fail(error, result, "allocate", topic->label,
		                  "%" PRIu64 " bytes asked for, %" PRIu64 " are free", bytes,
		                  ayrei_file_room(fd));
	if (result == 0)
		result = ayrei_file_set_mode(fd, PEER_MODE);
	/* A member of the topic's group shows by the file's group that he may publish; others cannot. */
	if (result == 0 && (topic->layout.mode & 0020))
		(void)!ayrei_file_set_group(fd, topic->layout.gid);
	if (result == 0)
		result = ayrei_file_try_own(fd);
	if (result < 0)
		return ayrei_fail(error, result, "create", topic->label, NULL);
	return ayrei_take_fd(&fd);
}

/* --- taking leave --- */

struct leave {
	const struct ayrei_topic *topic;
	enum ayrei_peer_kind kind;
};

static int tell_one(const struct ayrei_peer_name *name, void *context)
{
	const struct leave *leave = context;
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int bell = -1;

	if (name->kind != leave->kind || name->suffix[0])
		return 0;
	bell = ayrei_bell_open(ayrei_peer_path(leave->topic, name->kind, name->id, ".bell", path));
	ayrei_bell_ring(bell, AYREI_BELL_LEAVE);
	return 0;
}

void ayrei_topic_take_leave(const struct ayrei_topic *topic, enum ayrei_peer_kind kind)
{
	/* Whom we could not tell hears of it when the child has ended. */
	(void)!ayrei_topic_visit(topic, tell_one, &(struct leave){topic, kind});
}

/* --- the word in `join` --- */

/*
 * Whoever may subscribe may write `join`, and so can cut it short. What is as long again as it has to be
 * tells of newcomers as before.
 */
static int lengthen_join(int fd)
{
	struct stat status;
	int result = ayrei_file_status(fd, &status);

	if (result < 0)
		return result;
	if (!S_ISREG(status.st_mode))
		return -EPROTO;
	return status.st_size < (off_t)sizeof(struct ayrei_join_layout)
	               ? ayrei_file_truncate(fd, sizeof(struct ayrei_join_layout))
	               : 0;
}

/* So often may somebody cut it short again before it is mapped. */
#define ATTEMPTS 100

int ayrei_topic_map_join(const struct ayrei_topic *topic, struct ayrei_shared *shared,
                         const uint64_t **ret_word)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	int result = -ESTALE;

	snprintf(path, sizeof(path), "%s/join", topic->prefix);
	fd = ayrei_file_open(path, O_RDWR | O_NOFOLLOW, 0);
	/* Only its owner can take it away, or put something else in its place. */
	if (fd < 0)
		return is_our_own(fd) && fd != -ENOENT ? fd : -EPROTO;
	for (int i = 0; i < ATTEMPTS && result == -ESTALE; i++) {
		result = lengthen_join(fd);
		if (result == 0)
			result = ayrei_shared_map(shared, fd, sizeof(struct ayrei_join_layout), 0,
			                          false, false);
	}
	if (result == 0)
		*ret_word = &((const struct ayrei_join_layout *)shared->base)->nonce;
	/* Then newcomers are noticed by their bells alone, which is later. */
	return result == -ESTALE ? 0 : result;
}

int ayrei_topic_announce(const struct ayrei_topic *topic)
{
	char path[AYREI_PEER_PATH_BYTES];
	ayrei_auto_fd int fd = -1;
	struct ayrei_join_layout join;
	int result = ayrei_random(&join, sizeof(join));

	snprintf(path, sizeof(path), "%s/join", topic->prefix);
	if (result == 0)
		result = fd = ayrei_file_open(path, O_WRONLY | O_NOFOLLOW, 0);
	return result < 0 ? result : ayrei_file_write_at(fd, &join, sizeof(join), 0);
}
