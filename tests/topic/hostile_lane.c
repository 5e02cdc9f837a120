/*
 * A hostile publisher: it makes a lane, lets subscribers find it, and then does to it whatever its
 * owner can.
 */
#include "topic/hostile_ends.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "topic/hostile_forge.h"

#define ARENA_BYTES ((uint64_t)ARENA_RING)
#define FLAPS       3000

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* --- in memory --- */

static void be_honest(struct forged *lane)
{
	for (unsigned int i = random_below(100); i > 0; i--)
		append_record(lane, random_below(200) + 8, AYREI_RECORD_MESSAGE, random_below(2));
	if (random_below(4) == 0)
		append_record(lane, 0, AYREI_RECORD_CLOSED, 0);
}

static void spoil_header_page(struct forged *lane)
{
	uint64_t *words = lane->base;

	for (unsigned int i = random_below(20); i > 0; i--)
		store(&words[random_below(2) ? random_below(24) : random_below(512)],
		      aimed_value(lane->position));
}

static void spoil_ring(struct forged *lane)
{
	for (unsigned int i = random_below(50); i > 0; i--)
		store(lane_word(lane, random_below(ARENA_BYTES / 8) * 8),
		      random_below(4) ? aimed_header() : random_word());
}

/* Where its readers are: at the end of the chain. */
static void spoil_next(struct forged *lane)
{
	store(lane_word(lane, lane->position), aimed_header());
}

/* A header that is right whenever it is checked, it hopes, and wrong whenever it is used. */
static void flap_header(struct forged *lane)
{
	uint64_t *word = lane_word(lane, lane->position), bad = aimed_header();

	for (unsigned int i = 0; i < FLAPS; i++) {
		store(word, ayrei_record_pack(random_below(64), AYREI_RECORD_MESSAGE, 0));
		store(word, random_below(8) ? bad : 0);
	}
}

/* A header on every line, so that readers never come to an end, and each of them flaps. */
static void lead_on(struct forged *lane)
{
	for (uint64_t at = 0; at < ARENA_BYTES; at += AYREI_LINE)
		store(lane_word(lane, at), ayrei_record_pack(56, AYREI_RECORD_MESSAGE, 0));
	for (unsigned int i = 0; i < FLAPS; i++) {
		uint64_t *word =
			lane_word(lane, random_below(ARENA_BYTES / AYREI_LINE) * AYREI_LINE);

		store(word, aimed_header());
		store(word, ayrei_record_pack(56, AYREI_RECORD_MESSAGE, 0));
	}
	/* Back to where a chain ends, for what comes next. */
	memset(lane->ring, 0, ARENA_BYTES);
}

static void flap_limit(struct forged *lane)
{
	uint64_t high = lane->lane->limit + random_below(4) * ARENA_BYTES / 2;

	for (unsigned int i = 0; i < FLAPS; i++) {
		store(&lane->lane->limit, random_below(8) ? high : aimed_value(high));
		store(&lane->lane->limit, lane->position + AYREI_LANE_SLACK);
	}
}

/* Overtakes its readers for ever, and shows them where they could go on. */
static void run_ahead(struct forged *lane)
{
	uint64_t limit = lane->lane->limit;

	for (unsigned int i = 0; i < FLAPS; i++) {
		limit += ARENA_BYTES * random_below(3);
		store(&lane->lane->checkpoints[i % AYREI_CHECKPOINTS].position,
		      limit - ARENA_BYTES / 2 - random_below(ARENA_BYTES / 16) * 8);
		store(&lane->lane->checkpoints[i % AYREI_CHECKPOINTS].sequence,
		      random_below(4) ? limit : random_word());
		store(&lane->lane->limit, limit);
	}
}

static void flap_words(struct forged *lane)
{
	struct ayrei_lane_layout *layout = lane->lane;

	for (unsigned int i = 0; i < FLAPS; i++) {
		store(&layout->waiting, random_below(2) ? lane->position : aimed_value(i));
		store(&layout->fenced, random_below(3));
		store(&layout->publishers, i);
		store(&layout->looks, random_word());
		store(&layout->beside, random_below(2) ? lane->position : aimed_value(i));
	}
}

/* --- files --- */

static const char *large_path(const struct forged *lane)
{
	static char path[NAME_BYTES];
	char file[64];

	snprintf(file, sizeof(file), "%.23s.%016lx", lane->file, lane->position);
	return topic_path(ARENA, file, path);
}

static void put_large_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, random_below(8) ? 0644 : 0);

	if (fd < 0)
		return;
	/* A size that is allocated, or only said. */
	if (bytes > 1u << 20 || posix_fallocate(fd, 0, (off_t)bytes) != 0)
		(void)!ftruncate(fd, (off_t)(bytes & INT64_MAX));
	close(fd);
}

static void put_large(const struct forged *lane, uint64_t bytes)
{
	const char *path = large_path(lane);

	switch (random_below(7)) {
	case 0:
		break;
	case 1:
		(void)!symlink("/etc/passwd", path);
		break;
	case 2:
		(void)!mkfifo(path, 0644);
		break;
	case 3:
		(void)!mkdir(path, 0755);
		break;
	case 4:
		put_large_file(path, bytes + random_below(5) - 2);
		break;
	default:
		put_large_file(path, bytes);
		break;
	}
}

/* Changed and cut short while it is read. */
static void spoil_large(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	for (unsigned int i = 0; fd >= 0 && i < 50 && bytes <= 1u << 20; i++) {
		(void)!pwrite(fd, &i, sizeof(i), random_below((uint32_t)bytes + 1));
		if (arena->guarded)
			(void)!ftruncate(fd, (off_t)(random_below(2) ? bytes : bytes / 2));
	}
	if (fd >= 0)
		close(fd);
}

static void send_large(struct forged *lane)
{
	uint64_t bytes = random_below(3) ? random_below(100000) : aimed_value(ARENA_BYTES);
	unsigned int flags = random_below(2);
	char path[NAME_BYTES];

	put_large(lane, bytes);
	snprintf(path, sizeof(path), "%s", large_path(lane));
	*lane_word(lane, lane->position + 8) = bytes;
	*lane_word(lane, lane->position + 16) = bytes;
	append_record(lane, flags ? 16 : 8, AYREI_RECORD_LARGE, flags);
	ring_bells("sub.", AYREI_BELL_MESSAGE, 1);
	spoil_large(path, bytes);
}

/* Only where honest ends have the guard. */
static void cut_short(struct forged *lane)
{
	static const off_t sizes[] = {
		0, 1, 63, 4095, 4096, 4097, 4096 + 4096, 4096 + ARENA_RING, (off_t)1 << 40};

	if (!arena->guarded)
		return;
	for (unsigned int i = random_below(20); i > 0; i--)
		(void)!ftruncate(lane->fd, sizes[random_below(9)]);
	if (random_below(2))
		(void)!fallocate(lane->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		                 4096 * (1 + (off_t)random_below(3)));
	if (random_below(2))
		(void)!ftruncate(lane->fd, (off_t)lane->bytes);
}

static void change_bell(struct forged *lane)
{
	char path[NAME_BYTES];

	topic_path(ARENA, lane->bell_file, path);
	if (random_below(2) && unlink(path) == -1)
		rmdir(path);
	if (random_below(2) && lane->bell >= 0) {
		close(lane->bell);
		lane->bell = -1;
	}
	switch (random_below(6)) {
	case 0:
		(void)!symlink("/dev/null", path);
		break;
	case 1:
		(void)!mkdir(path, 0755);
		break;
	case 2:
		close(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
		break;
	case 3:
		(void)!mkfifo(path, 0622);
		break;
	default:
		break;
	}
}

static void change_names(struct forged *lane)
{
	char from[NAME_BYTES], to[NAME_BYTES];

	topic_path(ARENA, lane->file, from);
	snprintf(lane->file, sizeof(lane->file), "pub.%016lx", random_word() | 1);
	topic_path(ARENA, lane->file, to);
	(void)!(random_below(2) ? rename(from, to) : link(from, to));
}

static void change_lock(struct forged *lane)
{
	for (unsigned int i = random_below(10); i > 0; i--) {
		lock_forged(lane, random_below(2));
		if (random_below(3) == 0)
			ring_bells("sub.", AYREI_BELL_JOIN, 1);
	}
}

static void flood_bells(struct forged *lane)
{
	(void)lane;
	ring_bells("sub.", random_below(2) ? AYREI_BELL_JOIN : AYREI_BELL_MESSAGE,
	           random_below(8) ? 64 : 100000);
}

static void put_names(struct forged *lane)
{
	(void)lane;
	put_odd_names("pub.");
}

static void (*const memory_acts[])(struct forged *) = {be_honest,  spoil_header_page, spoil_ring,
                                                       spoil_next, flap_header,       lead_on,
                                                       flap_limit, run_ahead,         flap_words};
static void (*const file_acts[])(struct forged *) = {
	send_large, cut_short, change_bell, change_names, change_lock, flood_bells, put_names};

void spoil_lane_memory(struct forged *lane)
{
	memory_acts[random_below(sizeof(memory_acts) / sizeof(*memory_acts))](lane);
}

static void do_something(struct forged *lane)
{
	if (random_below(2))
		spoil_lane_memory(lane);
	else
		file_acts[random_below(sizeof(file_acts) / sizeof(*file_acts))](lane);
}

static void live(const char *generation)
{
	struct forged lane;

	forge_lane(&lane, generation);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	pause_ns(random_below(1000) * 1000);
	for (unsigned int i = random_below(12); i > 0; i--) {
		do_something(&lane);
		if (random_below(2))
			ring_bells("sub.", AYREI_BELL_MESSAGE, 1);
		pause_ns(random_below(300) * 1000);
	}
	drop_forged(&lane, random_below(4));
}

/* --- with two faces --- */

/* Turns of a loop that does nothing: a moment. */
static void linger(unsigned int most)
{
	for (volatile unsigned int turns = random_below(most); turns > 0; turns--)
		;
}

/*
 * Publishes, and the header of each record is now right, now wrong. A reader that fetches it twice will at
 * last check the one face and use the other; one that fetches it once sees the wrong one, and leaves. The
 * wrong one is there for a moment, for readers that run at the same time; or for as long as the right
 * one, for those that are held up between two fetches because we run.
 */
static void show_two_faces(const char *generation)
{
	static const uint32_t sizes[] = {UINT32_MAX, 1u << 31, 1u << 20, ARENA_BYTES};
	uint64_t bad = ayrei_record_pack(sizes[random_below(4)], AYREI_RECORD_MESSAGE, 0);
	bool is_slow = random_below(2);
	struct forged lane;

	forge_lane(&lane, generation);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t *word = lane_word(&lane, lane.position), good;

		append_record(&lane, 72 + random_below(200), AYREI_RECORD_MESSAGE, 0);
		good = *word;
		if (i % 16 == 0)
			ring_bells("sub.", AYREI_BELL_MESSAGE, 1);
		for (unsigned int turn = 0; turn < (is_slow ? 1 : 10); turn++) {
			linger(is_slow ? 20000 : 1000);
			store(word, bad);
			linger(is_slow ? 20000 : 100);
			store(word, good);
		}
	}
	drop_forged(&lane, true);
}

int publish_with_two_faces(void *context)
{
	(void)context;
	return live_and_die(show_two_faces);
}

int publish_hostilely(void *context)
{
	(void)context;
	return live_and_die(live);
}
