/*
 * Lanes and cursors made by hand.
 *
 * Invariant: nothing of an honest end is touched. What is written here is what the role may write: its
 * own files, whatever bells ring, the word in `join`, and names that are nobody's.
 */
#include "topic/hostile_forge.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ARENA_BYTES ((uint64_t)ARENA_RING)

static sigjmp_buf end_of_life;

/* --- files --- */

static const char *path_of(const char *file)
{
	static char path[NAME_BYTES];

	return topic_path(ARENA, file, path);
}

void read_generation(char *ret_generation)
{
	int fd = open(path_of("topic"), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 &&
	        pread(fd, ret_generation, AYREI_GENERATION_BYTES, 32) == AYREI_GENERATION_BYTES);
	close(fd);
}

void lock_forged(const struct forged *forged, bool taken)
{
	struct flock lock = {.l_type = taken ? F_WRLCK : F_UNLCK,
	                     .l_whence = SEEK_SET,
	                     .l_start = 0,
	                     .l_len = 1};

	fcntl(forged->fd, F_OFD_SETLK, &lock);
}

static void make_bell(struct forged *forged)
{
	forged->bell = -1;
	if (mkfifo(path_of(forged->bell_file), 0622) == 0)
		forged->bell = open(path_of(forged->bell_file), O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

/* With all zeros, and a name that nobody looks at yet. */
static void begin_file(struct forged *forged, const char *prefix, size_t bytes)
{
	*forged = (struct forged){.id = random_word() | 1, .bytes = bytes, .position = ARENA_BYTES};
	snprintf(forged->file, sizeof(forged->file), "%s%016lx", prefix, forged->id);
	snprintf(forged->bell_file, sizeof(forged->bell_file), "%s.bell", forged->file);
	forged->fd = open(path_of("forged"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (forged->fd < 0) {
		unlink(path_of("forged"));
		siglongjmp(end_of_life, 1);
	}
	require(ftruncate(forged->fd, (off_t)bytes) == 0);
	forged->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, forged->fd, 0);
	require(forged->base != MAP_FAILED);
	atomic_fetch_add(&arena->hostile_lives, 1);
}

static void show_file(struct forged *forged)
{
	char from[NAME_BYTES];

	lock_forged(forged, true);
	make_bell(forged);
	topic_path(ARENA, "forged", from);
	if (rename(from, path_of(forged->file)) == -1)
		unlink(from);
}

void forge_lane(struct forged *lane, const char *generation)
{
	struct ayrei_lane_layout *layout;

	begin_file(lane, "pub.", sizeof(*layout) + ARENA_BYTES);
	layout = lane->lane;
	lane->ring = (char *)lane->base + sizeof(*layout);
	memcpy(layout->magic, AYREI_LANE_MAGIC, sizeof(layout->magic));
	layout->version = AYREI_TOPIC_VERSION;
	layout->header_bytes = sizeof(*layout);
	memcpy(layout->generation, generation, sizeof(layout->generation));
	layout->id = lane->id;
	layout->ring_bytes = ARENA_BYTES;
	layout->publishers = 1;
	layout->fenced = random_below(2);
	layout->limit = ARENA_BYTES + AYREI_LANE_SLACK;
	layout->checkpoints[0].position = ARENA_BYTES;
	for (unsigned int i = random_below(20); i > 0; i--)
		append_record(lane, random_below(300), AYREI_RECORD_MESSAGE, 0);
	show_file(lane);
}

void forge_cursor(struct forged *cursor, const char *generation)
{
	struct ayrei_cursor_layout *layout;

	begin_file(cursor, "sub.", sizeof(*layout));
	layout = cursor->cursor;
	memcpy(layout->magic, AYREI_CURSOR_MAGIC, sizeof(layout->magic));
	layout->version = AYREI_TOPIC_VERSION;
	layout->header_bytes = offsetof(struct ayrei_cursor_layout, entries);
	memcpy(layout->generation, generation, sizeof(layout->generation));
	layout->id = cursor->id;
	layout->flags = random_below(3);
	show_file(cursor);
}

static void remove_name(const char *file)
{
	if (unlink(path_of(file)) == -1)
		rmdir(path_of(file));
}

void drop_forged(struct forged *forged, bool remove_names)
{
	if (remove_names) {
		remove_name(forged->file);
		remove_name(forged->bell_file);
	}
	munmap(forged->base, forged->bytes);
	close(forged->fd);
	if (forged->bell >= 0)
		close(forged->bell);
}

/* --- records --- */

uint64_t *lane_word(const struct forged *lane, uint64_t position)
{
	return (uint64_t *)(void *)(lane->ring + position % ARENA_BYTES);
}

void append_record(struct forged *lane, uint32_t bytes, unsigned int kind, unsigned int flags)
{
	uint64_t end = ayrei_record_end(lane->position, bytes);

	if (lane->lane->limit < end + AYREI_LANE_SLACK)
		__atomic_store_n(&lane->lane->limit, end + ARENA_BYTES / 16, __ATOMIC_RELEASE);
	__atomic_store_n(lane_word(lane, end), 0, __ATOMIC_RELAXED);
	__atomic_store_n(lane_word(lane, lane->position), ayrei_record_pack(bytes, kind, flags),
	                 __ATOMIC_RELEASE);
	lane->position = end;
	lane->lane->checkpoints[end / (ARENA_BYTES / 16) % AYREI_CHECKPOINTS].position = end;
}

/* --- who else is there --- */

/* Those whose names begin and end so. */
static unsigned int visit_peers(const char *prefix, const char *suffix,
                                void (*visit)(const char *file, void *context), void *context)
{
	DIR *directory = opendir(path_of(""));
	struct dirent *entry;
	unsigned int count = 0;

	while (directory && (entry = readdir(directory)))
		if (strncmp(entry->d_name, prefix, 4) == 0 && strlen(entry->d_name) >= 20 &&
		    strcmp(entry->d_name + 20, suffix) == 0) {
			visit(entry->d_name, context);
			count++;
		}
	if (directory)
		closedir(directory);
	return count;
}

struct ringing {
	unsigned int times;
	char what;
};

static void ring_one(const char *file, void *context)
{
	const struct ringing *ringing = context;
	char rings[64];
	int fd = open(path_of(file), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	memset(rings, ringing->what, sizeof(rings));
	/* What has such a name may be anything by now. */
	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
		for (unsigned int left = ringing->times; left > 0;) {
			unsigned int part = left < sizeof(rings) ? left : sizeof(rings);

			if (write(fd, rings, part) <= 0)
				break;
			left -= part;
		}
	if (fd >= 0)
		close(fd);
}

void ring_bells(const char *prefix, char what, unsigned int times)
{
	struct ringing ringing = {times, what};

	visit_peers(prefix, ".bell", ring_one, &ringing);
}

struct choice {
	unsigned int seen;
	uint64_t id;
};

static void choose(const char *file, void *context)
{
	struct choice *choice = context;

	if (random_below(++choice->seen) == 0)
		choice->id = strtoull(file + 4, NULL, 16);
}

uint64_t some_peer(const char *prefix)
{
	struct choice choice = {0};

	visit_peers(prefix, "", choose, &choice);
	return choice.id;
}

void change_join(unsigned int times)
{
	int fd = open(path_of("join"), O_WRONLY | O_CLOEXEC);

	for (unsigned int i = 0; fd >= 0 && i < times; i++) {
		uint64_t word = random_word();

		if (pwrite(fd, &word, sizeof(word), 0) != sizeof(word))
			break;
	}
	if (fd >= 0)
		close(fd);
}

/* --- values --- */

uint64_t random_word(void)
{
	uint64_t high = random_below(UINT32_MAX);

	return high << 32 | random_below(UINT32_MAX);
}

uint64_t aimed_value(uint64_t around)
{
	static const uint64_t bounds[] = {0,
	                                  ARENA_BYTES / 4,
	                                  ARENA_BYTES / 2,
	                                  ARENA_BYTES,
	                                  2 * ARENA_BYTES,
	                                  3 * ARENA_BYTES,
	                                  1u << 31,
	                                  UINT32_MAX,
	                                  INT64_MAX,
	                                  UINT64_MAX - ARENA_BYTES,
	                                  UINT64_MAX,
	                                  UINT64_MAX / 2};
	uint64_t near = random_below(17);

	switch (random_below(4)) {
	case 0:
		return bounds[random_below(sizeof(bounds) / sizeof(*bounds))] + near - 8;
	case 1:
		return around + near - 8;
	case 2:
		return around + (uint64_t)random_below(4) * ARENA_BYTES - ARENA_BYTES +
		       (near - 8) * 8;
	default:
		return random_word();
	}
}

uint64_t aimed_header(void)
{
	static const uint32_t sizes[] = {0,
	                                 1,
	                                 7,
	                                 8,
	                                 9,
	                                 15,
	                                 16,
	                                 17,
	                                 ARENA_BYTES / 4,
	                                 ARENA_BYTES / 4 + 1,
	                                 ARENA_BYTES / 4 + 8,
	                                 ARENA_BYTES / 2,
	                                 ARENA_BYTES,
	                                 2 * ARENA_BYTES,
	                                 1u << 31,
	                                 UINT32_MAX};
	uint64_t bytes = sizes[random_below(sizeof(sizes) / sizeof(*sizes))];
	uint64_t kind = random_below(4) ? random_below(4) : random_below(256);
	uint64_t flags = random_below(4) ? 0 : random_below(4) ? 1 : random_below(256);

	if (random_below(16) == 0)
		return random_word();
	return bytes | kind << 32 | flags << 40 | (random_below(32) ? 0 : UINT64_C(1) << 48);
}

/* --- odd names --- */

static void put_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && strlen(path) < sizeof(address.sun_path)) {
		memcpy(address.sun_path, path, strlen(path));
		(void)!bind(fd, (const struct sockaddr *)&address, sizeof(address));
	}
	if (fd >= 0)
		close(fd);
}

static void put_file(const char *path, off_t bytes, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	if (fd < 0)
		return;
	(void)!ftruncate(fd, bytes);
	(void)!fchmod(fd, mode);
	/* Left open: it has an owner, as long as we live. */
	fcntl(fd, F_OFD_SETLK, &lock);
}

static void put_odd(const char *path, unsigned int kind)
{
	switch (kind) {
	case 0:
		put_socket(path);
		break;
	case 1:
		(void)!mkfifo(path, 0666);
		break;
	case 2:
		(void)!mkdir(path, 0700);
		break;
	case 3:
		(void)!symlink("/dev/zero", path);
		break;
	case 4:
		(void)!symlink(path, path);
		break;
	case 5:
		put_file(path, (off_t)1 << 62, 0644);
		break;
	case 6:
		put_file(path, (off_t)(sizeof(struct ayrei_lane_layout) + ARENA_BYTES), 0);
		break;
	default:
		put_file(path, (off_t)random_below(9000), 0644);
		break;
	}
}

#define ODD_NAMES 12

void put_odd_names(const char *prefix)
{
	static const char *const ends[] = {"0", ".bell", ".bell.bell", ".", ".0123456789abcdef"};
	static char names[ODD_NAMES][64];

	for (unsigned int i = 0; i < ODD_NAMES; i++) {
		const char *end = random_below(3) ? "" : ends[random_below(5)];

		if (names[i][0])
			remove_name(names[i]);
		snprintf(names[i], sizeof(names[i]), "%s%016lx%s", prefix, random_word() | 1, end);
		put_odd(path_of(names[i]), random_below(8));
	}
}

/* --- a life --- */

static void end_life(int number)
{
	(void)number;
	siglongjmp(end_of_life, 1);
}

int live_and_die(void (*life)(const char *generation))
{
	char generation[AYREI_GENERATION_BYTES];
	struct sigaction action = {.sa_handler = end_life, .sa_flags = SA_NODEFER};

	sigaction(SIGBUS, &action, NULL);
	random_seed(arena->hostile_seed);
	read_generation(generation);
	for (volatile unsigned int lives = 0;; lives++) {
		/* What it had open is lost until the process is killed, which is soon. */
		if (sigsetjmp(end_of_life, 1) == 0)
			life(generation);
	}
	return 0;
}
