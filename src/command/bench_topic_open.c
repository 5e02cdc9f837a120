/*
 * To make a topic, open both ends and receive the first message; and what an idle topic takes.
 *
 * Invariant: what is timed ends with the message in hand; to close and to remove is done outside.
 */
#include "command/bench_topic.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/command.h"

#define RING_BYTES   MEBIBYTE
#define HEADER_BYTES 4096
#define MESSAGE      "the first message, of forty-eight bytes, no more"

struct topic_open {
	char path[160]; /* of the topic */
};

/* --- the bare calls: a directory, a ring, a cursor, each mapped by both sides --- */

struct bare {
	int directory, ring, cursor;
	char *written, *read, *cursor_written, *cursor_read;
};

/* A file of so many bytes that is there, by a name. */
static int make_file(int directory, const char *name, size_t bytes)
{
	char path[64];
	int fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (posix_fallocate(fd, 0, (off_t)bytes) != 0 ||
	    linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) == -1) {
		close(fd);
		return -errno;
	}
	return fd;
}

static char *map(int fd, size_t bytes, int protection)
{
	char *base = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

static int open_bare(const char *path, struct bare *bare)
{
	if (mkdir(path, 0700) == -1)
		return -errno;
	bare->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bare->ring = make_file(bare->directory, "ring", HEADER_BYTES + RING_BYTES);
	bare->cursor = make_file(bare->directory, "cursor", HEADER_BYTES);
	if (bare->directory < 0 || bare->ring < 0 || bare->cursor < 0)
		return -EIO;
	bare->written = map(bare->ring, HEADER_BYTES + RING_BYTES, PROT_READ | PROT_WRITE);
	bare->read = map(bare->ring, HEADER_BYTES + RING_BYTES, PROT_READ);
	bare->cursor_written = map(bare->cursor, HEADER_BYTES, PROT_READ | PROT_WRITE);
	bare->cursor_read = map(bare->cursor, HEADER_BYTES, PROT_READ);
	return bare->written && bare->read && bare->cursor_written && bare->cursor_read ? 0
	                                                                                : -ENOMEM;
}

static void close_bare(const char *path, const struct bare *bare)
{
	munmap(bare->written, HEADER_BYTES + RING_BYTES);
	munmap(bare->read, HEADER_BYTES + RING_BYTES);
	munmap(bare->cursor_written, HEADER_BYTES);
	munmap(bare->cursor_read, HEADER_BYTES);
	unlinkat(bare->directory, "ring", 0);
	unlinkat(bare->directory, "cursor", 0);
	close(bare->ring);
	close(bare->cursor);
	close(bare->directory);
	rmdir(path);
}

static int first_by_calls(const char *path, struct bench_sample *sample)
{
	struct bare bare = {0};
	int result;

	bench_begin(sample);
	result = open_bare(path, &bare);
	if (result == 0) {
		memcpy(bare.written + HEADER_BYTES, MESSAGE, sizeof(MESSAGE));
		result = memcmp(bare.read + HEADER_BYTES, MESSAGE, sizeof(MESSAGE)) == 0 ? 0
		                                                                         : -EBADMSG;
		__atomic_store_n(bare.cursor_written, 1, __ATOMIC_RELEASE);
	}
	bench_end(sample);
	if (result == 0)
		close_bare(path, &bare);
	return result;
}

/* --- ours --- */

struct both {
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
};

static int open_both(const char *path, struct both *both)
{
	int result = ayre_subscriber_open(NULL, path, &both->subscriber, NULL);

	if (result == 0)
		result = ayre_publisher_open(NULL, path, &both->publisher, NULL);
	return result;
}

static int first_by_ayre(const char *path, struct both *both)
{
	char buffer[sizeof(MESSAGE)];
	int result = open_both(path, both);
	ssize_t got;

	if (result == 0)
		result = ayre_publisher_send(both->publisher, MESSAGE, sizeof(MESSAGE));
	if (result < 0)
		return result;
	got = ayre_subscriber_receive(both->subscriber, buffer, sizeof(buffer), NULL);
	if (got < 0)
		return (int)got;
	return got == sizeof(buffer) && memcmp(buffer, MESSAGE, sizeof(buffer)) == 0 ? 0 : -EBADMSG;
}

static void close_both(const char *path, const struct both *both, bool remove)
{
	ayre_publisher_close(both->publisher);
	ayre_subscriber_close(both->subscriber);
	if (remove)
		(void)!ayre_topic_remove(path, true, NULL);
}

enum { OPEN_CALLS, OPEN_NEW, OPEN_THERE };

static int open_once(const char *path, uint64_t how, struct bench_sample *sample)
{
	struct both both = {0};
	int result = 0;

	if (how == OPEN_CALLS)
		return first_by_calls(path, sample);
	if (how == OPEN_THERE)
		result = ayre_topic_create(NULL, path, NULL);
	if (result < 0)
		return result;
	bench_begin(sample);
	result = first_by_ayre(path, &both);
	bench_end(sample);
	close_both(path, &both, true);
	return result;
}

static int measure_open(void *state, uint64_t argument, struct bench_sample *sample)
{
	const struct topic_open *open = state;
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < sample->operations; i++)
		result = open_once(open->path, argument, sample);
	return result;
}

static const struct bench_row open_rows[] = {
	{"calls", "the bare calls", BENCH_FLOOR, measure_open, OPEN_CALLS},
	{"ayre", "ayre: a new topic", BENCH_AYRE, measure_open, OPEN_NEW},
	{"ayre_there", "ayre: one that is there", BENCH_AYRE, measure_open, OPEN_THERE},
};

static const struct bench_group open_group = {
	.name = "open",
	.title = "both ends opened in one process, to the first message received",
	.unit = BENCH_TIME,
	.rows = open_rows,
	.row_count = COUNT_OF(open_rows),
};

/* --- idle --- */

/* What its files take of the memory: whole pages, as the file system counts them. */
static int64_t count_bytes(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int64_t bytes = 0;

	while (directory && (entry = readdir(directory))) {
		struct stat status;

		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISDIR(status.st_mode))
			bytes += (int64_t)status.st_blocks * 512;
	}
	if (directory)
		closedir(directory);
	return directory ? bytes : -errno;
}

static int measure_ring(void *state, uint64_t argument, struct bench_sample *sample)
{
	(void)state;
	(void)argument;
	sample->dirtied_bytes = (int64_t)RING_BYTES;
	sample->operations = 1;
	return 0;
}

static int measure_idle(void *state, uint64_t argument, struct bench_sample *sample)
{
	const struct topic_open *open = state;
	struct both both = {0};
	int result = first_by_ayre(open->path, &both);

	(void)argument;
	if (result == 0)
		sample->dirtied_bytes = count_bytes(open->path);
	close_both(open->path, &both, true);
	sample->operations = 1;
	return result < 0 ? result : sample->dirtied_bytes < 0 ? (int)sample->dirtied_bytes : 0;
}

static const struct bench_row idle_rows[] = {
	{"ring", "the ring alone", BENCH_FLOOR, measure_ring, 0},
	{"ayre", "ayre: a publisher and a subscriber", BENCH_AYRE, measure_idle, 0},
};

static const struct bench_group idle_group = {
	.name = "idle_bytes",
	.title = "what an idle topic takes of the memory: its files, counted",
	.unit = BENCH_BYTES,
	.rows = idle_rows,
	.row_count = COUNT_OF(idle_rows),
	.most_operations = 1,
};

int bench_topic_run_open(struct bench_report *report, const char *directory)
{
	struct topic_open open;
	int result;

	snprintf(open.path, sizeof(open.path), "%s/topic", directory);
	result = bench_run_group(report, &open_group, &open, 0);
	if (result == EXIT_DONE)
		result = bench_run_group(report, &idle_group, &open, 0);
	return result;
}
