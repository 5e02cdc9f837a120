/*
 * What a journal writes, and where: a stream in pieces that end where its file is aligned, and zeros ahead of what is
 * flushed little by little.
 *
 * Seen by standing between the journal and its file (--wrap). None of it changes what is received; that is looked at
 * as well.
 */
#include "topic/durable_world.h"

#include <sys/stat.h>

#include <ayre/topic_log.h>

#include "sys/file.h"
#include "topic/publisher.h"

/* --- what is written --- */

enum kind { RECORDS, ZEROS, FLUSH };

struct step {
	enum kind kind;
	uint64_t begin, end; /* in the extent's file */
};

#define MOST_STEPS 65536

/* Of one extent. The journal's thread writes this, and it is read after the thread has ended. */
static struct step steps[MOST_STEPS];
static size_t step_count;
static atomic_int watched;
static uint64_t header_bytes;

static void note(int fd, enum kind kind, uint64_t begin, uint64_t end)
{
	if (fd != atomic_load(&watched) || (kind == RECORDS && begin < header_bytes))
		return;
	require(step_count < MOST_STEPS);
	steps[step_count++] = (struct step){kind, begin, end};
}

int __real_ayrei_file_write_at(int fd, const void *buffer, size_t length, uint64_t offset);
int __real_ayrei_file_write_zeros(int fd, uint64_t length, uint64_t offset);
int __real_ayrei_file_sync_bytes(int fd);
int __wrap_ayrei_file_write_at(int fd, const void *buffer, size_t length, uint64_t offset);
int __wrap_ayrei_file_write_zeros(int fd, uint64_t length, uint64_t offset);
int __wrap_ayrei_file_sync_bytes(int fd);

int __wrap_ayrei_file_write_at(int fd, const void *buffer, size_t length, uint64_t offset)
{
	note(fd, RECORDS, offset, offset + length);
	return __real_ayrei_file_write_at(fd, buffer, length, offset);
}

int __wrap_ayrei_file_write_zeros(int fd, uint64_t length, uint64_t offset)
{
	note(fd, ZEROS, offset, offset + length);
	return __real_ayrei_file_write_zeros(fd, length, offset);
}

int __wrap_ayrei_file_sync_bytes(int fd)
{
	note(fd, FLUSH, 0, 0);
	return __real_ayrei_file_sync_bytes(fd);
}

static struct ayre_publisher *watch(uint64_t ring_bytes, uint64_t extent_bytes, uint32_t sync,
                                    uint32_t flags)
{
	struct ayre_publisher *publisher = publish_on_disk(
		PUBLISHER(.topic = TOPIC(.ring_bytes = ring_bytes, .extent_bytes = extent_bytes,
	                                 .sync = sync),
	                  .flags = flags));

	step_count = 0;
	header_bytes = ayrei_extent_header_bytes(extent_bytes);
	atomic_store(&watched, publisher->journal.extent);
	return publisher;
}

/* All of it is in the log. */
static void is_whole(uint64_t sent)
{
	has_numbers(0, sent);
	reboot();
	has_numbers(0, sent);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	remove_disk_topic();
}

/* --- in pieces --- */

/* The most that one of the numbers takes: a header, a check, 399 bytes, and what fills up a line of the cache. */
#define RECORD_MOST 448u

static bool has_more(size_t i)
{
	return i + 1 < step_count && steps[i + 1].kind == RECORDS;
}

/* A write that is followed by another ends where the next record would go beyond a multiple of the piece, or is that one. */
static void ends_aligned(uint64_t piece)
{
	uint64_t whole = 0, at = header_bytes;

	for (size_t i = 0; i < step_count; i++) {
		const struct step *step = &steps[i];
		uint64_t left = (piece - step->end % piece) % piece,
			 length = step->end - step->begin;

		if (step->kind != RECORDS)
			continue;
		require(step->begin == at);
		at = step->end;
		whole += length > RECORD_MOST;
		if (has_more(i) && left >= RECORD_MOST && length > RECORD_MOST)
			fprintf(stderr, "from %lu to %lu, %lu before the piece ends\n",
			        (unsigned long)step->begin, (unsigned long)step->end,
			        (unsigned long)left);
		require(length <= piece + RECORD_MOST);
		require(!has_more(i) || left < RECORD_MOST || length <= RECORD_MOST);
	}
	require(whole >= 8);
}

TOPIC_TEST(a_stream_is_written_in_aligned_pieces)
{
	const uint64_t ring_bytes = 256 << 10, sent = 9000;
	struct ayre_publisher *publisher;

	SKIP_UNLESS_ON_DISK();
	publisher = watch(ring_bytes, 4 << 20, AYRE_TOPIC_SYNC_NONE, 0);
	require(ayrei_journal_piece_bytes(&publisher->journal) == ring_bytes / 8);
	send_numbers(publisher, sent);
	ayre_publisher_close(publisher);
	ends_aligned(ring_bytes / 8);
	is_whole(sent);
	return 0;
}

/* --- zeros ahead --- */

struct ahead {
	unsigned int flushes;
	unsigned int
		first; /* that were the first for some block: what they flush was not there as zeros */
	unsigned int zeros;
	uint64_t end; /* of the zeros */
};

/* Zeros are never where a record is, nor behind the extent. */
static struct ahead look_ahead(uint64_t extent_bytes)
{
	struct ahead ahead = {0};
	uint64_t records_end = header_bytes, known_end = 0;
	bool is_first = false;

	for (size_t i = 0; i < step_count; i++) {
		const struct step *step = &steps[i];

		switch (step->kind) {
		case RECORDS:
			records_end = step->end;
			is_first |= step->end > known_end;
			break;
		case ZEROS:
			require(step->begin >= records_end && step->end > step->begin);
			require(step->end <= header_bytes + extent_bytes);
			ahead.end = step->end;
			ahead.zeros++;
			break;
		case FLUSH:
			ahead.flushes++;
			ahead.first += is_first;
			is_first = false;
			known_end = ahead.end;
			break;
		}
	}
	return ahead;
}

#define LITTLE_RING   (64u << 10)
#define LITTLE_EXTENT (260u << 10) /* no multiple of a piece */

/* Each by itself, until the extent is all but full. */
static void flushes_little(uint32_t flags)
{
	const uint64_t piece = LITTLE_RING / 8;
	struct ayre_publisher *publisher =
		watch(LITTLE_RING, LITTLE_EXTENT, AYRE_TOPIC_SYNC_EACH, flags);
	const struct ayrei_journal *journal = &publisher->journal;
	uint64_t room = journal->begin + LITTLE_EXTENT;
	struct stat status;
	struct ahead ahead;
	uint64_t sent;

	while (publisher->lane.position + RECORD_MOST <= room)
		send_numbers(publisher, 1);
	require(fstat(journal->extent, &status) == 0);
	require((uint64_t)status.st_size == header_bytes + LITTLE_EXTENT);
	sent = info_of_publisher(publisher).messages;
	ahead = look_ahead(LITTLE_EXTENT);
	if (ahead.flushes < sent || ahead.first > LITTLE_EXTENT / piece)
		fprintf(stderr, "%u of %u flushes of %lu messages were the first, with %u zeros\n",
		        ahead.first, ahead.flushes, (unsigned long)sent, ahead.zeros);
	require(ahead.flushes >= sent);
	require(ahead.first >= 1 && ahead.first <= LITTLE_EXTENT / piece);
	require(ahead.zeros <= LITTLE_EXTENT / piece);
	require(ahead.end == header_bytes + LITTLE_EXTENT);
	ayre_publisher_close(publisher);
	is_whole(sent);
}

TOPIC_TEST(zeros_go_ahead_of_what_is_flushed_little_by_little)
{
	SKIP_UNLESS_ON_DISK();
	flushes_little(0);
	flushes_little(AYRE_PUBLISHER_THREAD);
	return 0;
}

/* The next publisher, whose ring is there, does not know how far it was. */
TOPIC_TEST(zeros_go_ahead_of_the_next_publisher)
{
	struct ayre_publisher *publisher;
	uint64_t sent = 0;

	SKIP_UNLESS_ON_DISK();
	for (int turn = 0; turn < 3; turn++, sent += 100) {
		struct ahead ahead;

		publisher = watch(LITTLE_RING, LITTLE_EXTENT, AYRE_TOPIC_SYNC_EACH, 0);
		require(info_of_publisher(publisher).messages == sent);
		send_numbers(publisher, 100);
		ahead = look_ahead(LITTLE_EXTENT);
		require(ahead.zeros >= 1 && ahead.first <= 100 * RECORD_MOST / (LITTLE_RING / 8));
		ayre_publisher_close(publisher);
	}
	is_whole(sent);
	return 0;
}

TOPIC_TEST(what_is_flushed_by_the_lot_is_written_once)
{
	struct ayre_publisher *publisher;
	struct ahead ahead;

	SKIP_UNLESS_ON_DISK();
	publisher = watch(1 << 20, 4 << 20, AYRE_TOPIC_SYNC_GROUP, 0);
	for (int turn = 0; turn < 5; turn++) {
		send_numbers(publisher, 2000);
		require(ayre_publisher_sync(publisher) == 0);
	}
	ahead = look_ahead(4 << 20);
	require(ahead.flushes == 5 && ahead.zeros == 0);
	ends_aligned(128 << 10);
	ayre_publisher_close(publisher);
	is_whole(10000);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_stream_is_written_in_aligned_pieces),
		counted_test(zeros_go_ahead_of_what_is_flushed_little_by_little),
		counted_test(zeros_go_ahead_of_the_next_publisher),
		counted_test(what_is_flushed_by_the_lot_is_written_once),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_carry", tests);
}
