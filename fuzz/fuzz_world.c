/*
 * What the fuzzers share: a topic, files in it, and images that are nearly right.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topic/lane.h"

static char topic_path[256];
static uint8_t generation[AYREI_GENERATION_BYTES];

/* What fuzz_end() removes. */
static const char *to_remove[4];
static size_t remove_count;

void check_failed(const char *file, int line, const char *expression)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, expression);
	/* libFuzzer ends without what stands in atexit(3). */
	fuzz_end();
	abort();
}

/* --- the topic --- */

void fuzz_clear_in(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "topic") != 0 &&
		    strcmp(entry->d_name, "join") != 0)
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
}

static void remove_file(const char *folder, const char *file)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	unlink(path);
}

void fuzz_own(const char *path)
{
	check(remove_count < sizeof(to_remove) / sizeof(*to_remove));
	if (remove_count == 0)
		atexit(fuzz_end);
	to_remove[remove_count++] = path;
}

void fuzz_end(void)
{
	while (remove_count > 0) {
		const char *path = to_remove[--remove_count];

		fuzz_clear_in(path);
		remove_file(path, "topic");
		remove_file(path, "join");
		rmdir(path);
	}
}

const char *fuzz_topic(void)
{
	struct ayre_topic_options options = {.size = sizeof(options), .ring_bytes = FUZZ_RING};
	const char *folder = getenv("AYRE_DIR");
	int fd;

	if (topic_path[0])
		return topic_path;
	snprintf(topic_path, sizeof(topic_path), "%s/ayre-fuzz-%d", folder ? folder : "/dev/shm",
	         getpid());
	check(ayre_topic_create(&options, topic_path, NULL) == 1);
	fuzz_own(topic_path);
	fd = open(fuzz_path("topic"), O_RDONLY | O_CLOEXEC);
	check(pread(fd, generation, sizeof(generation),
	            offsetof(struct ayrei_topic_layout, generation)) == sizeof(generation));
	close(fd);
	return topic_path;
}

const uint8_t *fuzz_generation(void)
{
	fuzz_topic();
	return generation;
}

const char *fuzz_path(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fuzz_topic(), file);
	return path;
}

int fuzz_put_file(const char *file, const void *data, size_t bytes, bool owned)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	int fd = open(fuzz_path(file), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	check(fd >= 0 && pwrite(fd, data, bytes, 0) == (ssize_t)bytes);
	check(!owned || fcntl(fd, F_OFD_SETLK, &lock) == 0);
	return fd;
}

int fuzz_put_bell(const char *file)
{
	int fd;

	(void)!mkfifo(fuzz_path(file), 0622);
	fd = open(fuzz_path(file), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	check(fd >= 0);
	return fd;
}

void fuzz_clear(void)
{
	fuzz_clear_in(fuzz_topic());
}

/* --- images --- */

void fuzz_mend_lane(struct ayrei_lane_layout *lane, uint64_t id)
{
	memcpy(lane->magic, AYREI_LANE_MAGIC, sizeof(lane->magic));
	lane->version = AYREI_TOPIC_VERSION;
	lane->header_bytes = sizeof(*lane);
	memcpy(lane->generation, fuzz_generation(), sizeof(lane->generation));
	lane->id = id;
	lane->ring_bytes = FUZZ_RING;
}

void fuzz_mend_cursor(struct ayrei_cursor_layout *cursor, uint64_t id)
{
	memcpy(cursor->magic, AYREI_CURSOR_MAGIC, sizeof(cursor->magic));
	cursor->version = AYREI_TOPIC_VERSION;
	cursor->header_bytes = offsetof(struct ayrei_cursor_layout, entries);
	memcpy(cursor->generation, fuzz_generation(), sizeof(cursor->generation));
	cursor->id = id;
}

/* As its writer writes it, in memory that is there only once. */
static void draw_record(struct ayrei_lane *lane, uint8_t *ring, uint64_t header)
{
	uint64_t end = ayrei_record_end(lane->position, (uint32_t)header), none = 0;

	if (ayrei_lane_extend(lane, (uint32_t)header, UINT64_MAX) < 0)
		return;
	memcpy(ring + end % FUZZ_RING, &none, sizeof(none));
	memcpy(ring + lane->position % FUZZ_RING, &header, sizeof(header));
	if (ayrei_record_unpack(header).kind != AYREI_RECORD_CLOSED)
		lane->sequence++;
	lane->position = end;
}

void fuzz_draw_lane(uint8_t data[LANE_BYTES], unsigned int mixture)
{
	static struct ayrei_lane_layout layout;
	uint8_t *ring = data + sizeof(layout);
	struct ayrei_lane lane = {.ring = (char *)ring, .mask = FUZZ_RING - 1, .layout = &layout};

	memset(data, 0, LANE_BYTES);
	memset(&layout, 0, sizeof(layout));
	fuzz_mend_lane(&layout, 1);
	layout.publishers = 1;
	ayrei_lane_begin(&lane, lane.mask + 1, 0);
	for (unsigned int i = 0; i < 7 * mixture; i++) {
		unsigned int flags = (i + mixture) % 3 == 0 ? AYREI_RECORD_STAMPED : 0;

		if (i % 11 == 10)
			draw_record(&lane, ring, ayrei_record_pack(0, AYREI_RECORD_CLOSED, 0));
		else if (i % 7 == 6)
			draw_record(&lane, ring, ayrei_record_pack(16, AYREI_RECORD_LARGE, flags));
		else
			draw_record(
				&lane, ring,
				ayrei_record_pack(8 + i * 37 % 900, AYREI_RECORD_MESSAGE, flags));
	}
	memcpy(data, &layout, sizeof(layout));
}
