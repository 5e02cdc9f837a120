/*
 * A disk as a file that lies in memory, served through FUSE, and beside it a file "marks" whose
 * every write(2) is a mark.
 *
 * One thread answers one request after the other, and puts it down before it answers. So the log
 * has one order; and what a program did after a call has returned stands behind what that call
 * has done to the disk. Nothing is cached by the kernel on the way (direct_io).
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "power/crash.h"

enum { DISK = FUSE_ROOT_ID + 1, MARKS };

static void put_down(struct server *server, enum event_kind kind, uint64_t offset, uint64_t length,
                     const char *bytes)
{
	struct event_log *log = server->log;
	struct event *event;

	if (!log)
		return;
	if (log->count == log->room) {
		log->room = log->room ? 2 * log->room : 1024;
		log->events = realloc(log->events, log->room * sizeof(*log->events));
		if (!log->events)
			abort();
	}
	event = &log->events[log->count++];
	*event = (struct event){.kind = kind, .offset = offset, .length = length};
	if (bytes) {
		event->bytes = malloc(length);
		if (!event->bytes)
			abort();
		memcpy(event->bytes, bytes, length);
	}
}

void event_log_clear(struct event_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		free(log->events[i].bytes);
	log->count = 0;
}

static struct stat attributes(const struct server *server, fuse_ino_t node)
{
	return (struct stat){
		.st_ino = node,
		.st_mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666,
		.st_nlink = 1,
		.st_size = node == DISK ? (off_t)server->size_bytes : 0,
	};
}

static void answer_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {.ino = strcmp(name, "disk") == 0    ? DISK
	                                        : strcmp(name, "marks") == 0 ? MARKS
	                                                                     : 0};

	(void)parent;
	if (!entry.ino) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.attr = attributes(fuse_req_userdata(request), entry.ino);
	fuse_reply_entry(request, &entry);
}

static void answer_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
	struct stat attribute = attributes(fuse_req_userdata(request), node);

	(void)file;
	fuse_reply_attr(request, &attribute, 0);
}

/* A shell's ">marks" truncates first. */
static void answer_setattr(fuse_req_t request, fuse_ino_t node, struct stat *attribute, int which,
                           struct fuse_file_info *file)
{
	(void)attribute;
	(void)which;
	answer_getattr(request, node, file);
}

static void answer_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
	(void)node;
	file->direct_io = 1;
	fuse_reply_open(request, file);
}

/* Whether it reaches beyond the disk, which no file system may do. */
static bool is_beyond(const struct server *server, off_t offset, uint64_t length)
{
	return offset < 0 || (uint64_t)offset > server->size_bytes ||
	       length > server->size_bytes - (uint64_t)offset;
}

static void answer_read(fuse_req_t request, fuse_ino_t node, size_t length, off_t offset,
                        struct fuse_file_info *file)
{
	struct server *server = fuse_req_userdata(request);
	char *bytes;

	(void)file;
	if (node != DISK || is_beyond(server, offset, length)) {
		fuse_reply_buf(request, NULL, 0);
		return;
	}
	bytes = malloc(length);
	if (!bytes)
		abort();
	pthread_mutex_lock(&server->lock);
	image_read(server->image, (uint64_t)offset, bytes, length);
	pthread_mutex_unlock(&server->lock);
	fuse_reply_buf(request, bytes, length);
	free(bytes);
}

static void answer_write(fuse_req_t request, fuse_ino_t node, const char *bytes, size_t length,
                         off_t offset, struct fuse_file_info *file)
{
	struct server *server = fuse_req_userdata(request);

	(void)file;
	if (node == DISK && is_beyond(server, offset, length)) {
		fuse_reply_err(request, EIO);
		return;
	}
	pthread_mutex_lock(&server->lock);
	if (node == DISK) {
		image_write(server->image, (uint64_t)offset, bytes, length);
		put_down(server, EVENT_WRITE, (uint64_t)offset, length, bytes);
	} else {
		put_down(server, EVENT_MARK, 0, length, bytes);
	}
	pthread_mutex_unlock(&server->lock);
	fuse_reply_write(request, length);
}

static void answer_fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset,
                             off_t length, struct fuse_file_info *file)
{
	struct server *server = fuse_req_userdata(request);

	(void)mode;
	(void)file;
	if (node != DISK || length < 0 || is_beyond(server, offset, (uint64_t)length)) {
		fuse_reply_err(request, EIO);
		return;
	}
	pthread_mutex_lock(&server->lock);
	image_write(server->image, (uint64_t)offset, NULL, (uint64_t)length);
	put_down(server, EVENT_ZERO, (uint64_t)offset, (uint64_t)length, NULL);
	pthread_mutex_unlock(&server->lock);
	fuse_reply_err(request, 0);
}

static void answer_fsync(fuse_req_t request, fuse_ino_t node, int data_only,
                         struct fuse_file_info *file)
{
	struct server *server = fuse_req_userdata(request);

	(void)data_only;
	(void)file;
	if (node == DISK) {
		pthread_mutex_lock(&server->lock);
		put_down(server, EVENT_FLUSH, 0, 0, NULL);
		pthread_mutex_unlock(&server->lock);
	}
	fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops answers = {
	.lookup = answer_lookup,
	.getattr = answer_getattr,
	.setattr = answer_setattr,
	.open = answer_open,
	.read = answer_read,
	.write = answer_write,
	.fallocate = answer_fallocate,
	.fsync = answer_fsync,
};

static void *serve(void *argument)
{
	struct server *server = argument;

	/* Memory that this one asks for must not be made by writing to the disk that it serves. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	fuse_session_loop(server->session);
	return NULL;
}

int server_start(struct server *server, const char *directory, uint64_t size_bytes)
{
	char name[] = "crash_points", *words[] = {name, NULL};
	struct fuse_args arguments = FUSE_ARGS_INIT(1, words);

	*server = (struct server){.lock = PTHREAD_MUTEX_INITIALIZER, .size_bytes = size_bytes};
	server->session = fuse_session_new(&arguments, &answers, sizeof(answers), server);
	fuse_opt_free_args(&arguments);
	if (!server->session || fuse_session_mount(server->session, directory) != 0)
		return -ENOSYS;
	return -pthread_create(&server->thread, NULL, serve, server);
}

void server_turn(struct server *server, struct image *image, struct event_log *log)
{
	pthread_mutex_lock(&server->lock);
	server->image = image;
	server->log = log;
	pthread_mutex_unlock(&server->lock);
}
