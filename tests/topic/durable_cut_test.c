/*
 * A log that is cut short, or of which a byte is another one, at every byte of its last two records, of an
 * extent's head and index, of log.ID and of the description.
 *
 * The ring is gone: the log is all there is. It opens; what is whole is received; what was safe and is not
 * there is told of, to a subscriber, by verify, and by leaving the log as it is.
 */
#include "topic/durable_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include <ayre/topic_log.h>

#include "topic/record.h"

/* A copy of a file, to be put back. */
struct original {
	char path[NAME_BYTES];
	char *bytes;
	size_t size;
};

static struct original keep(const char *path)
{
	struct original original;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && fstat(fd, &status) == 0);
	snprintf(original.path, sizeof(original.path), "%s", path);
	original.size = (size_t)status.st_size;
	original.bytes = malloc(original.size);
	require(read(fd, original.bytes, original.size) == (ssize_t)original.size);
	close(fd);
	return original;
}

/* The first part of it alone; of its size or no longer. */
static void put(const struct original *original, size_t bytes, bool cut)
{
	int fd = open(original->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	require(fd >= 0 && write(fd, original->bytes, bytes) == (ssize_t)bytes);
	require(cut || ftruncate(fd, (off_t)original->size) == 0);
	close(fd);
}

static void put_flipped(const struct original *original, size_t offset)
{
	int fd = open(original->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	char byte = (char)(original->bytes[offset] ^ (1 << offset % 8));

	require(fd >= 0);
	require(pwrite(fd, original->bytes, original->size, 0) == (ssize_t)original->size);
	require(ftruncate(fd, (off_t)original->size) == 0);
	require(pwrite(fd, &byte, 1, (off_t)offset) == 1);
	close(fd);
}

/* --- what is seen of it --- */

struct seen {
	uint64_t received, missed;
	int damaged; /* times that it was told so */
};

/* Whatever is received is what was sent. */
static struct seen receive_what_there_is(void)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	struct seen seen = {0};
	uint64_t next = 0;
	char buffer[1024];
	ssize_t got;

	do {
		struct ayre_message message;

		got = ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);
		require(got >= 0 || got == -EAGAIN || got == -EBADMSG);
		seen.damaged += got == -EBADMSG;
		require(seen.damaged < 10);
		if (got < 0)
			continue;
		require(message.sequence >= next);
		next = message.sequence + 1;
		require(is_message(&message, size_of_number(message.sequence),
		                   (uint32_t)message.sequence));
		seen.received++;
	} while (got != -EAGAIN);
	seen.missed = info_of_subscriber(subscriber).missed;
	ayre_subscriber_close(subscriber);
	return seen;
}

/* The next publisher goes on in that lane with this number; or in another one, and leaves it alone. */
static void publisher_goes_on(uint64_t lane, uint64_t count, bool in_lane)
{
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK()));
	struct ayre_publisher_info info = info_of_publisher(publisher);

	if ((info.id == lane) != in_lane || (in_lane && info.messages != count))
		fprintf(stderr, "in %s lane, at %" PRIu64 ", not %" PRIu64 "\n",
		        info.id == lane ? "that" : "another", info.messages, count);
	require((info.id == lane) == in_lane);
	require(!in_lane || info.messages == count);
	ayre_publisher_close(publisher);
}

/* --- the end --- */

#define MESSAGES 40u

struct log {
	uint32_t sync;
	uint64_t lane;
	struct original extent, slots;
	size_t records_begin, last_but_one, last, end; /* offsets in the extent's file */
};

static int send_and_die(void *context)
{
	struct log *log = context;
	struct ayre_publisher *publisher = publish_on_disk(PUBLISHER(DISK(.sync = log->sync)));

	log->lane = info_of_publisher(publisher).id;
	send_numbers(publisher, MESSAGES);
	require(ayre_publisher_sync(publisher) == 0);
	_exit(0);
}

/* Of a publisher that died, nothing says where it ended but its records; of one that closed, log.ID does. */
static struct log make_log(uint32_t sync, bool closes)
{
	struct log *log = share_memory(sizeof(*log)), made;
	char path[NAME_BYTES], slots[64];
	struct extent_list list;
	size_t at;

	log->sync = sync;
	if (closes) {
		struct ayre_publisher *publisher =
			publish_on_disk(PUBLISHER(DISK(.sync = log->sync)));

		log->lane = info_of_publisher(publisher).id;
		send_numbers(publisher, MESSAGES);
		ayre_publisher_close(publisher);
	} else {
		require(run_in_child(send_and_die, log) == 0);
	}
	list = list_extents(log->lane);
	require(list.count == 1);
	log->extent = keep(extent_file(log->lane, list.begins[0], path));
	snprintf(slots, sizeof(slots), "log.%016" PRIx64, log->lane);
	log->slots = keep(disk_file(slots, path));
	log->records_begin = at = 2 * AYREI_BLOCK;
	for (;;) {
		uint64_t header;

		memcpy(&header, log->extent.bytes + at, sizeof(header));
		if (header == 0)
			break;
		log->last_but_one = log->last;
		log->last = at;
		at = ayrei_record_end(at, (uint32_t)header);
	}
	log->end = at;
	made = *log;
	unshare_memory(log, sizeof(*log));
	reboot();
	return made;
}

/* As it was, and alone. */
static void restore(const struct log *log)
{
	DIR *directory = opendir(disk_topic());
	const struct dirent *entry;

	require(directory);
	while ((entry = readdir(directory)))
		if (strncmp(entry->d_name, "log.", 4) == 0)
			require(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
	closedir(directory);
	put(&log->extent, log->extent.size, true);
	put(&log->slots, log->slots.size, true);
}

static void end_log(struct log *log)
{
	free(log->extent.bytes);
	free(log->slots.bytes);
	remove_disk_topic();
}

/* Records that are whole and before one that is not. */
static uint64_t count_before(const struct log *log, size_t offset)
{
	uint64_t count = 0;
	size_t at = log->records_begin, end;

	for (; at < log->end; at = end) {
		uint64_t header;

		memcpy(&header, log->extent.bytes + at, sizeof(header));
		end = ayrei_record_end(at, (uint32_t)header);
		/* What fills it up is no part of it. */
		if (offset < at + AYREI_RECORD_HEADER + (uint32_t)header)
			break;
		count += ayrei_record_unpack(header).kind != AYREI_RECORD_CLOSED;
	}
	return count;
}

static size_t bytes_of(const struct log *log, size_t at)
{
	uint64_t header;

	memcpy(&header, log->extent.bytes + at, sizeof(header));
	return AYREI_RECORD_HEADER + (uint32_t)header;
}

/* What has to be seen of it; and where its publisher goes on, UINT64_MAX: in another lane. */
struct wanted {
	struct seen seen;
	uint64_t next;
};

static bool is_seen(const struct seen *seen, const struct seen *wanted)
{
	return seen->received == wanted->received && seen->damaged == wanted->damaged &&
	       seen->missed == wanted->missed;
}

static void judge(const struct log *log, size_t offset, const struct wanted *wanted)
{
	int verified = ayre_topic_verify(disk_topic(), NULL, NULL, NULL);
	struct seen seen = receive_what_there_is();

	if (!is_seen(&seen, &wanted->seen))
		fprintf(stderr,
		        "at %zu of %zu, %zu, %zu: received %" PRIu64 ", missed %" PRIu64
		        ", told %d times\n",
		        offset, log->last_but_one, log->last, log->end, seen.received, seen.missed,
		        seen.damaged);
	require(is_seen(&seen, &wanted->seen));
	require(verified == (seen.damaged > 0));
	if (offset % 8 == 0 || long_form()) {
		publisher_goes_on(log->lane, wanted->next, wanted->next != UINT64_MAX);
		require(receive_what_there_is().received == wanted->seen.received);
	}
	reboot();
}

static void cut_everywhere(uint32_t sync, bool closes)
{
	struct log log = make_log(sync, closes);
	size_t last_byte = log.last + bytes_of(&log, log.last);

	for (size_t offset = log.last_but_one; offset < log.end; offset++)
		for (int cut = 0; cut < 2; cut++) {
			/* Files of logs end with whole words. */
			size_t left = cut ? offset / 8 * 8 : offset;
			struct wanted wanted = {.seen.received = count_before(&log, left)};

			wanted.seen.damaged = closes && left < last_byte;
			wanted.next = wanted.seen.received;
			/* What closed said how much there was. Going on behind it loses nothing. */
			if (wanted.seen.damaged)
				wanted.next = cut ? UINT64_MAX : MESSAGES;
			restore(&log);
			put(&log.extent, offset, cut);
			judge(&log, offset, &wanted);
		}
	end_log(&log);
}

TOPIC_TEST(cut_at_every_byte)
{
	SKIP_UNLESS_ON_DISK();
	cut_everywhere(AYRE_TOPIC_SYNC_GROUP, false);
	return 0;
}

TOPIC_TEST(cut_at_every_byte_each_of_them_safe)
{
	SKIP_UNLESS_ON_DISK();
	cut_everywhere(AYRE_TOPIC_SYNC_EACH, false);
	return 0;
}

TOPIC_TEST(cut_at_every_byte_after_it_was_closed)
{
	SKIP_UNLESS_ON_DISK();
	cut_everywhere(AYRE_TOPIC_SYNC_GROUP, true);
	return 0;
}

/*
 * The record behind a broken one proves that that one was safe, if each was made so by itself; else it was
 * perhaps never on the disk, and is given up with all behind it.
 */
static void flip_everywhere(uint32_t sync, bool closes)
{
	struct log log = make_log(sync, closes);

	for (size_t offset = log.last_but_one; offset < log.end; offset++) {
		size_t at = offset < log.last ? log.last_but_one : log.last;
		bool is_broken = offset < at + bytes_of(&log, at), is_last = at == log.last;
		struct wanted wanted = {.seen.received = MESSAGES, .next = MESSAGES};

		if (is_broken) {
			wanted.seen.damaged = closes || (sync == AYRE_TOPIC_SYNC_EACH && !is_last);
			wanted.seen.received = count_before(&log, offset);
			wanted.next = wanted.seen.received;
		}
		if (wanted.seen.damaged && !is_last) {
			/* The one behind it is found again. */
			wanted.seen.received = MESSAGES - 1;
			wanted.seen.missed = 1;
		}
		if (wanted.seen.damaged)
			wanted.next = closes ? MESSAGES : UINT64_MAX;
		restore(&log);
		put_flipped(&log.extent, offset);
		judge(&log, offset, &wanted);
	}
	end_log(&log);
}

TOPIC_TEST(flipped_at_every_byte)
{
	SKIP_UNLESS_ON_DISK();
	flip_everywhere(AYRE_TOPIC_SYNC_GROUP, false);
	return 0;
}

TOPIC_TEST(flipped_at_every_byte_each_of_them_safe)
{
	SKIP_UNLESS_ON_DISK();
	flip_everywhere(AYRE_TOPIC_SYNC_EACH, false);
	return 0;
}

TOPIC_TEST(flipped_at_every_byte_after_it_was_closed)
{
	SKIP_UNLESS_ON_DISK();
	flip_everywhere(AYRE_TOPIC_SYNC_GROUP, true);
	return 0;
}

/* --- beside the records --- */

TOPIC_TEST(flipped_in_the_head)
{
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log(AYRE_TOPIC_SYNC_GROUP, true);
	for (size_t offset = 0; offset < 2 * AYREI_BLOCK; offset += offset < 560 ? 1 : 61) {
		bool matters = offset < sizeof(struct ayrei_extent_layout);
		struct wanted wanted = {{matters ? 0 : MESSAGES, 0, matters},
		                        matters ? UINT64_MAX : MESSAGES};

		restore(&log);
		put_flipped(&log.extent, offset);
		judge(&log, offset, &wanted);
	}
	end_log(&log);
	return 0;
}

TOPIC_TEST(flipped_in_the_slots)
{
	struct log log;

	SKIP_UNLESS_ON_DISK();
	log = make_log(AYRE_TOPIC_SYNC_GROUP, true);
	for (size_t offset = 0; offset < sizeof(struct ayrei_slot_layout); offset++) {
		struct wanted wanted = {{MESSAGES, 0, 0}, MESSAGES};

		for (int slot = 0; slot < 2; slot++) {
			restore(&log);
			put_flipped(&log.slots, slot * AYREI_BLOCK + offset);
			judge(&log, offset, &wanted);
		}
	}
	/* Neither is whole: it is read all the same, and left alone. */
	restore(&log);
	log.slots.bytes[100] ^= 1;
	put_flipped(&log.slots, AYREI_BLOCK + 200);
	require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 1);
	require(receive_what_there_is().received == MESSAGES);
	publisher_goes_on(log.lane, 0, false);
	end_log(&log);
	return 0;
}

TOPIC_TEST(flipped_in_the_description)
{
	struct original description;
	struct ayre_subscriber *subscriber;
	struct ayre_publisher *publisher;
	char path[NAME_BYTES];

	SKIP_UNLESS_ON_DISK();
	publisher = publish_on_disk(PUBLISHER(DISK()));
	send_numbers(publisher, MESSAGES);
	ayre_publisher_close(publisher);
	description = keep(disk_file("topic", path));
	for (size_t offset = 0; offset < description.size; offset++) {
		int result;

		put_flipped(&description, offset);
		result = ayre_subscriber_open(NULL, disk_topic(), &subscriber, NULL);
		require(result == -EPROTO || result == -EPROTONOSUPPORT);
		require(ayre_publisher_open(NULL, disk_topic(), &publisher, NULL) == result);
		require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == result);
	}
	put(&description, description.size, true);
	has_numbers(0, MESSAGES);
	free(description.bytes);
	remove_disk_topic();
	return 0;
}

/* A log of many entries, where each of them but one can be used. */
TOPIC_TEST(flipped_in_the_index)
{
	struct ayre_publisher *publisher;
	struct original extent;
	char path[NAME_BYTES];
	uint64_t sent, lane;

	SKIP_UNLESS_ON_DISK();
	publisher = publish(PUBLISHER(.topic = TOPIC(.ring_bytes = DISK_RING,
	                                             .extent_bytes = 8 * AYREI_INDEX_STEP,
	                                             .sync = AYRE_TOPIC_SYNC_NONE)),
	                    disk_topic());
	disk_half();
	lane = info_of_publisher(publisher).id;
	send_numbers(publisher, 1800);
	sent = info_of_publisher(publisher).messages;
	ayre_publisher_close(publisher);
	require(list_extents(lane).count == 1);
	extent = keep(extent_file(lane, DISK_RING, path));
	reboot();
	for (size_t offset = AYREI_BLOCK; offset < AYREI_BLOCK + 8 * 32; offset++) {
		put_flipped(&extent, offset);
		for (uint64_t from = offset % 100; from < sent; from += 411) {
			struct ayre_subscriber *subscriber =
				subscribe_on_disk(AYRE_FROM_SEQUENCE, (int64_t)from, 0);
			uint64_t next = from;

			require(receive_numbers(subscriber, &next, 0) == -EAGAIN && next == sent);
			ayre_subscriber_close(subscriber);
		}
		require(ayre_topic_verify(disk_topic(), NULL, NULL, NULL) == 0);
	}
	free(extent.bytes);
	remove_disk_topic();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(cut_at_every_byte),
		counted_test(cut_at_every_byte_each_of_them_safe),
		counted_test(cut_at_every_byte_after_it_was_closed),
		counted_test(flipped_at_every_byte),
		counted_test(flipped_at_every_byte_each_of_them_safe),
		counted_test(flipped_at_every_byte_after_it_was_closed),
		counted_test(flipped_in_the_head),
		counted_test(flipped_in_the_slots),
		counted_test(flipped_in_the_description),
		counted_test(flipped_in_the_index),
	};

	use_topic_root();
	use_disk_topics();
	return run_counted("durable_cut", tests);
}
