/*
 * A plain file as a log, by the bare calls: the floor of the others. Its records are as large as those of a topic's
 * log are for such messages, a length and the message in two lines of the cache.
 *
 * Invariant: a file that was given room is written all over before the first message, and its messages go round
 * and round in it; one that was not grows.
 */
#include "command/bench_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)
#define BUFFER_COUNT (BUFFER_BYTES / LOG_RECORD_BYTES)

struct plain_log {
	int fd;
	bool safe;
	uint64_t room; /* records; 0: it grows */
	struct log_record *buffer;
};

static int write_zeros(const struct plain_log *log)
{
	uint64_t size = log->room * LOG_RECORD_BYTES;

	memset(log->buffer, 0, BUFFER_BYTES);
	for (uint64_t done = 0; done < size; done += BUFFER_BYTES)
		if (pwrite(log->fd, log->buffer, BUFFER_BYTES, (off_t)done) !=
		    (ssize_t)BUFFER_BYTES)
			return errno ? -errno : -ENOSPC;
	return fsync(log->fd) == 0 ? 0 : -errno;
}

static void close_log(void *log)
{
	struct plain_log *plain = log;

	if (plain->fd >= 0)
		close(plain->fd);
	free(plain->buffer);
	free(plain);
}

static int open_log(const struct log_store_options *options, void **ret_log)
{
	struct plain_log *log = calloc(1, sizeof(*log));
	int result = 0;

	if (!log)
		return -ENOMEM;
	log->safe = options->safe;
	log->room = options->room_bytes / BUFFER_BYTES * BUFFER_COUNT;
	log->buffer = aligned_alloc(4096, BUFFER_BYTES);
	log->fd = open(options->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!log->buffer || log->fd < 0)
		result = log->buffer ? -errno : -ENOMEM;
	if (result == 0)
		result = write_zeros(log);
	if (result < 0)
		close_log(log);
	else
		*ret_log = log;
	return result;
}

static off_t offset_of(const struct plain_log *log, uint64_t number)
{
	return (off_t)((log->room ? number % log->room : number) * LOG_RECORD_BYTES);
}

/* Does not cross the end of its room, which is a whole number of buffers. */
static int write_some(struct plain_log *log, uint64_t first, const struct log_message *messages,
                      size_t count)
{
	size_t bytes = count * LOG_RECORD_BYTES;

	for (size_t i = 0; i < count; i++) {
		log->buffer[i].bytes = sizeof(messages[i]);
		log->buffer[i].message = messages[i];
	}
	if (pwrite(log->fd, log->buffer, bytes, offset_of(log, first)) != (ssize_t)bytes)
		return errno ? -errno : -ENOSPC;
	return 0;
}

static int append(void *log, uint64_t first, const struct log_message *messages, size_t count)
{
	struct plain_log *plain = log;
	int result = 0;

	while (result == 0 && count > 0) {
		size_t left = BUFFER_COUNT - first % BUFFER_COUNT;
		size_t some = count < left ? count : left;

		result = write_some(plain, first, messages, some);
		first += some;
		messages += some;
		count -= some;
	}
	if (result == 0 && plain->safe && fdatasync(plain->fd) == -1)
		result = -errno;
	return result;
}

static int scan(void *log, uint64_t count)
{
	struct plain_log *plain = log;
	int result = 0;

	for (uint64_t first = 0; result == 0 && first < count; first += BUFFER_COUNT) {
		uint64_t left = count - first;
		ssize_t got = pread(plain->fd, plain->buffer, BUFFER_BYTES,
		                    (off_t)(first * LOG_RECORD_BYTES));

		if (got != (ssize_t)BUFFER_BYTES)
			return got < 0 ? -errno : -EBADMSG;
		result = log_records_check(plain->buffer, first,
		                           left < BUFFER_COUNT ? left : BUFFER_COUNT);
	}
	return result;
}

static int find(void *log, uint64_t number)
{
	struct plain_log *plain = log;
	struct log_record record;

	if (pread(plain->fd, &record, sizeof(record), offset_of(plain, number)) !=
	    (ssize_t)sizeof(record))
		return -EBADMSG;
	return log_record_check(&record, number);
}

const struct log_store bench_log_plain = {
	.open = open_log,
	.close = close_log,
	.append = append,
	.scan = scan,
	.find = find,
};
