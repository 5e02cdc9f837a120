/*
 * A log as plain as can be, right or wrong in a known way, for crash_points to prove itself on.
 *
 *   plain_log write VARIANT   recovers the log in $POWER_DISK, and appends to it
 *   plain_log check VARIANT   recovers it, and compares it with the marks on standard input
 *
 * VARIANT: right; or
 *   unflushed   never flushes what it appends
 *   early       acknowledges before it flushes
 *   unchecked   its checks leave the payload out
 *   unbound     its checks do not say which log and which place they belong to
 *
 * The log is a file of a fixed size, used before: it is full of the records of an older log. Records
 * begin where the one before ends. A record's check goes on from that of the record before, and the
 * first one's from the log's key: so what an older log, or an earlier life, has left at a place does
 * not fit. Recovery ends before the first that does not. The marks are those of marks.h.
 * Exit: 0; 1 something is lost, invented or damaged; 2 usage; 3 no result.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "power/marks.h"

#define MESSAGES     60 /* of one life */
#define LOG_BYTES    (1024 * 1024)
#define FIRST_RECORD 4096

struct record {
	uint64_t check;
	uint64_t length; /* of the payload */
	uint64_t sequence;
	uint64_t life;
	unsigned char payload[];
};

struct variant {
	const char *name;
	bool unflushed, early, unchecked, unbound;
};

static const struct variant variants[] = {
	{.name = "right"},
	{.name = "unflushed", .unflushed = true},
	{.name = "early", .early = true},
	{.name = "unchecked", .unchecked = true},
	{.name = "unbound", .unbound = true},
};

/* An open log, recovered up to its end. */
struct log {
	const struct variant *variant;
	int fd;
	unsigned char *bytes; /* what the file held when it was opened */
	uint64_t end, sequence, check, life;
};

/* The same whatever the life, so that old records begin where new ones do. Mostly small; and
 * some over several pages. */
static uint64_t payload_length(uint64_t sequence)
{
	uint64_t random = mix(sequence, 0);

	return random % 4 == 0 ? random / 4 % 16000 : random / 4 % 1500;
}

static uint64_t record_bytes(uint64_t length)
{
	return (sizeof(struct record) + length + 7) / 8 * 8;
}

/* FNV-1a of all but the check itself. */
static uint64_t check_of(const struct variant *variant, const struct record *record,
                         uint64_t before)
{
	const unsigned char *bytes = (const unsigned char *)record;
	uint64_t length = sizeof(*record) + (variant->unchecked ? 0 : record->length);
	uint64_t check = 0xcbf29ce484222325 ^ (variant->unbound ? 0 : mix(before, 0));

	for (uint64_t i = sizeof(record->check); i < length; i++)
		check = (check ^ bytes[i]) * 0x100000001b3;
	return check;
}

/* The whole record at the end of what has been recovered; NULL if there is none. */
static const struct record *whole_record(const struct log *log)
{
	const struct record *record = (const void *)(log->bytes + log->end);

	if (LOG_BYTES - log->end < sizeof(*record) ||
	    record->length > LOG_BYTES - log->end - sizeof(*record) ||
	    record->sequence != log->sequence ||
	    record->check != check_of(log->variant, record, log->check))
		return NULL;
	return record;
}

static void move_over(struct log *log, const struct record *record)
{
	log->check = record->check;
	log->end += record_bytes(record->length);
	log->sequence++;
}

/* Writes the next record, which is not safe yet; false if the log is full. */
static bool append(struct log *log)
{
	uint64_t length = payload_length(log->sequence), bytes = record_bytes(length);
	struct record *record;

	if (bytes > LOG_BYTES - log->end)
		return false;
	record = calloc(1, bytes);
	if (!record)
		fail("memory", errno);
	record->length = length;
	record->sequence = log->sequence;
	record->life = log->life;
	for (uint64_t i = 0; i < length; i++)
		record->payload[i] = payload_byte(record->sequence, record->life, i);
	record->check = check_of(log->variant, record, log->check);
	if (pwrite(log->fd, record, bytes, (off_t)log->end) != (ssize_t)bytes)
		fail("write", errno);
	move_over(log, record);
	free(record);
	return true;
}

/* Full of old records, and then with a key of its own; under its name when all that is safe. */
static void create(const struct log *log, int directory, uint64_t key)
{
	struct log old = *log;
	int fd = openat(directory, "new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || ftruncate(fd, LOG_BYTES) == -1)
		fail("create", errno);
	old.fd = fd;
	old.end = FIRST_RECORD;
	old.check = key + 1;
	while (append(&old))
		;
	if (pwrite(fd, &key, sizeof(key), 0) != sizeof(key) || fsync(fd) == -1 ||
	    renameat(directory, "new", directory, "log") == -1 || fsync(directory) == -1)
		fail("create", errno);
	close(fd);
}

/* False if there is none, and none is to be made. */
static bool open_log(struct log *log, const struct variant *variant, bool make)
{
	const char *disk = getenv("POWER_DISK");
	int directory = open(disk ? disk : "", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory == -1)
		fail("POWER_DISK", errno);
	*log = (struct log){.variant = variant, .end = FIRST_RECORD};
	log->fd = openat(directory, "log", O_RDWR | O_CLOEXEC);
	if (log->fd == -1 && make) {
		create(log, directory, strtoull(getenv("AYRE_TEST_SEED"), NULL, 0));
		log->fd = openat(directory, "log", O_RDWR | O_CLOEXEC);
	}
	close(directory);
	if (log->fd == -1)
		return false;
	log->bytes = malloc(LOG_BYTES);
	if (!log->bytes || pread(log->fd, log->bytes, LOG_BYTES, 0) != LOG_BYTES)
		fail("read", errno);
	memcpy(&log->check, log->bytes, sizeof(log->check));
	return true;
}

static void close_log(struct log *log)
{
	close(log->fd);
	free(log->bytes);
}

/* --- write --- */

static void flush(const struct log *log)
{
	if (!log->variant->unflushed && fdatasync(log->fd) == -1)
		fail("flush", errno);
}

/* Some messages, and one flush for all of them. */
static bool append_some(struct log *log, int marks)
{
	uint64_t first = log->sequence, count = draw_count(log->sequence, log->life);
	bool room = true;

	for (uint64_t i = 0; room && i < count; i++) {
		mark(marks, "attempted", log->sequence, log->life);
		room = append(log);
	}
	if (!log->variant->early)
		flush(log);
	for (uint64_t i = first; i < log->sequence; i++)
		mark(marks, "acknowledged", i, log->life);
	if (log->variant->early)
		flush(log);
	return room;
}

static int run_write(const struct variant *variant)
{
	const struct record *record;
	struct log log;
	int marks = open_marks();
	uint64_t stop;

	if (!open_log(&log, variant, true))
		fail("log", errno);
	while ((record = whole_record(&log)))
		move_over(&log, record);
	log.life = this_life();
	stop = log.sequence + MESSAGES;
	while (log.sequence < stop && append_some(&log, marks))
		;
	close_log(&log);
	close(marks);
	return 0;
}

/* --- check --- */

static int judge(const struct record *record, uint64_t life_before)
{
	uint64_t sequence = record->sequence, life = record->life;
	int result = judge_mark(sequence, life, life_before);

	if (result != 0)
		return result;
	if (record->length != payload_length(sequence))
		return wrong("of another length", sequence, life);
	for (uint64_t i = 0; i < record->length; i++)
		if (record->payload[i] != payload_byte(sequence, life, i))
			return wrong("damaged", sequence, life);
	return 0;
}

/* All whole records up to the end, each judged. */
static int judge_all(struct log *log)
{
	const struct record *record;
	int result = 0;

	while (result == 0 && (record = whole_record(log))) {
		result = judge(record, log->life);
		log->life = record->life;
		move_over(log, record);
	}
	return result == 0 ? judge_missing(log->sequence) : result;
}

static int run_check(const struct variant *variant)
{
	struct log log;
	uint64_t sequence;
	int result;

	read_marks();
	if (!open_log(&log, variant, false))
		return was_attempted(0) ? wrong("no log, but", 0, 0) : 0;
	result = judge_all(&log);
	sequence = log.sequence;
	log.life = LAST_LIFE;
	/* It takes another message, and has it. */
	if (result == 0 && append(&log)) {
		mark_last(sequence);
		close_log(&log);
		if (!open_log(&log, variant, false))
			fail("log", errno);
		result = judge_all(&log);
	}
	close_log(&log);
	return result;
}

int main(int argc, char **argv)
{
	const struct variant *variant = variants;

	if (argc != 3)
		return EXIT_USAGE;
	while (variant < variants + sizeof(variants) / sizeof(*variants) &&
	       strcmp(variant->name, argv[2]) != 0)
		variant++;
	if (variant == variants + sizeof(variants) / sizeof(*variants))
		return EXIT_USAGE;
	if (strcmp(argv[1], "write") == 0)
		return run_write(variant);
	return strcmp(argv[1], "check") == 0 ? run_check(variant) : EXIT_USAGE;
}
