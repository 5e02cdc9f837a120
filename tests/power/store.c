/*
 * The life of a program before a power cut, and the look at the disk after it.
 *
 *   store make NAME SEED             a segment with old bytes, brought to the disk without ayre
 *   store write LIFE NAME SEED SYNC  stores new bytes; prints what it may rely on
 *   store check PATH                 reads those lines, looks whether the bytes are there
 *   store bytes SEED LENGTH          the bytes of one piece
 *
 * "write" prints a line "OFFSET LENGTH SEED" for each piece of the file, and "tag TEXT" for a
 * typed segment. If it ends with 0, ayre has reported all of this as written. A control, which
 * does not sync, prints the same: these are the lines that have to turn out lost.
 *
 * Invariant: no new byte looks like an old one or like a hole, so one lost byte is seen; and no
 * byte is stored twice, so a line stays true. The low bits of SEED choose the kind of case, in
 * turn; all else is drawn from it, so that a failing seed can be run again.
 *
 * Exit: 0; 1 an error; 2 usage; 3 something is lost; 4 ayre says that it lives in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ayre.h>

#define TAG       "power/1"
#define OLD_BYTE  0x6f
#define PIECES    6
#define PAGE      4096
#define MAX_PAGES 128

enum { EXIT_ERROR = 1, EXIT_USAGE, EXIT_LOST, EXIT_MEMORY };

/* One case, as SEED draws it. */
struct plan {
	uint64_t random;
	bool typed;
	bool whole;      /* syncs everything at the end, not each piece at once */
	bool by_pointer; /* else by ayre_segment_write() */
	uint64_t size_bytes;
	int how;        /* enum ayre_sync; -1: never */
	bool mixed;     /* WAIT and INVALIDATE in turn */
	bool in_memory; /* what sync has answered */
};

/* Which part of whose segment a life stores into. */
struct life {
	const char *name;
	uint32_t flags;       /* of the handle that stores */
	bool grows;           /* doubles the segment and stores into the new half */
	bool initializes;     /* the bytes come from the initialiser of the creation */
	bool other_syncs;     /* the storing process has gone; another one syncs */
	uint32_t other_flags; /* of that one's handle */
};

static const struct life lives[] = {
	{.name = "new", .flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE},
	{.name = "created",
         .flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE,
         .initializes = true},
	{.name = "existing"},
	{.name = "grown", .grows = true},
	{.name = "other", .other_syncs = true},
	{.name = "reader", .other_syncs = true, .other_flags = AYRE_SEGMENT_READ_ONLY},
};

static _Noreturn void fail(const char *what, int code)
{
	fprintf(stderr, "store: %s: %s\n", what, strerror(code < 0 ? -code : code));
	exit(EXIT_ERROR);
}

/* splitmix64 */
static uint64_t draw(uint64_t *random, uint64_t below)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % below;
}

/* With the high bit set: neither OLD_BYTE nor a zero. */
static unsigned char new_byte(uint64_t seed, uint64_t index)
{
	uint64_t random = seed + index;

	return 0x80 | (unsigned char)draw(&random, 128);
}

static void fill(unsigned char *bytes, uint64_t length, uint64_t seed)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = new_byte(seed, i);
}

static struct plan make_plan(uint64_t seed)
{
	struct plan plan = {.random = seed};

	plan.typed = seed & 1;
	plan.whole = seed & 2;
	plan.by_pointer = seed & 4;
	/* Whole pages as well as an odd end. */
	plan.size_bytes = (PIECES + draw(&plan.random, MAX_PAGES)) * PAGE;
	plan.size_bytes += draw(&plan.random, 2) * draw(&plan.random, PAGE);
	return plan;
}

static struct ayre_segment *open_segment(const struct plan *plan, const char *name, uint32_t flags,
                                         int (*initialize)(void *, size_t, void *), void *context)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = flags,
		.size_bytes = (flags & AYRE_SEGMENT_CREATE) ? plan->size_bytes : 0,
		.tag = plan->typed ? TAG : NULL,
		.initialize = initialize,
		.context = context,
	};
	struct ayre_segment *segment;
	struct ayre_error error;
	char text[512];

	if (ayre_segment_open(&options, name, &segment, &error) >= 0)
		return segment;
	fprintf(stderr, "store: %s: %s\n", error.step, ayre_error_text(&error, text, sizeof(text)));
	exit(EXIT_ERROR);
}

static uint64_t header_bytes(const struct ayre_segment *segment)
{
	struct ayre_segment_info info = {.size = sizeof(info)};
	int result = ayre_segment_get_info(segment, &info);

	if (result < 0)
		fail("info", result);
	return info.header_bytes;
}

/* Stores piece number i of those that lie in [from, size), and says where. */
static void store_piece(struct plan *plan, struct ayre_segment *segment, uint64_t from, int i,
                        uint64_t *ret_offset, uint64_t *ret_length, uint64_t *ret_seed)
{
	static unsigned char bytes[(PIECES + MAX_PAGES) * PAGE];
	uint64_t stride = (ayre_segment_size(segment) - from) / PIECES;
	uint64_t skip = draw(&plan->random, stride);
	uint64_t offset = from + (uint64_t)i * stride + skip;
	uint64_t length = 1 + draw(&plan->random, stride - skip);
	uint64_t seed = draw(&plan->random, UINT32_MAX);
	int result;

	fill(bytes, length, seed);
	if (plan->by_pointer) {
		memcpy((char *)ayre_segment_data(segment) + offset, bytes, length);
	} else {
		result = ayre_segment_write(segment, offset, bytes, length);
		if (result < 0)
			fail("write", result);
	}
	*ret_offset = offset;
	*ret_length = length;
	*ret_seed = seed;
}

/* Returns only if ayre says that it is done, or if nobody asked it to. */
static void sync_segment(struct plan *plan, struct ayre_segment *segment, uint64_t offset,
                         uint64_t length)
{
	int how = plan->mixed ? (int)draw(&plan->random, 2) * AYRE_SYNC_INVALIDATE : plan->how;
	int result;

	if (how < 0)
		return;
	result = ayre_segment_sync(segment, offset, length, (enum ayre_sync)how);
	if (result < 0)
		fail("sync", result);
	plan->in_memory = result == 1;
}

/* Stores all pieces and prints each; with sync_now as soon as it is synced. */
static void store_pieces(struct plan *plan, struct ayre_segment *segment, uint64_t from,
                         bool sync_now)
{
	uint64_t header = header_bytes(segment), offset, length, seed;

	for (int i = 0; i < PIECES; i++) {
		store_piece(plan, segment, from, i, &offset, &length, &seed);
		if (sync_now)
			sync_segment(plan, segment, offset, length);
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", header + offset, length, seed);
	}
}

static int initialize(void *data, size_t data_bytes, void *context)
{
	const uint64_t *seed = context;

	fill(data, data_bytes, *seed);
	return 0;
}

/* Nothing is synced: the creation alone has to be whole, or not to have happened. */
static void create_initialized(struct plan *plan, const struct life *life, const char *name)
{
	uint64_t seed = draw(&plan->random, UINT32_MAX);
	struct ayre_segment *segment = open_segment(plan, name, life->flags, initialize, &seed);

	printf("%" PRIu64 " %zu %" PRIu64 "\n", header_bytes(segment), ayre_segment_size(segment),
	       seed);
	ayre_segment_close(segment);
}

static void store_and_sync(struct plan *plan, const struct life *life, const char *name)
{
	struct ayre_segment *segment = open_segment(plan, name, life->flags, NULL, NULL);
	uint64_t from = 0;

	if (life->grows) {
		from = ayre_segment_size(segment);
		if (ayre_segment_resize(segment, 2 * from, NULL) < 0)
			fail("resize", ENOSPC);
	}
	store_pieces(plan, segment, from, !plan->whole && !life->other_syncs);
	if (plan->whole && !life->other_syncs)
		sync_segment(plan, segment, 0, 0);
	ayre_segment_close(segment);
}

/* A process of its own stores and ends; this one only opens the segment and syncs. */
static void let_other_store(struct plan *plan, const struct life *life, const char *name)
{
	struct ayre_segment *segment;
	pid_t child = fork();
	int status;

	if (child == -1)
		fail("fork", errno);
	if (child == 0) {
		store_and_sync(plan, life, name);
		exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		fail("child", ECHILD);
	segment = open_segment(plan, name, life->other_flags, NULL, NULL);
	sync_segment(plan, segment, 0, 0);
	ayre_segment_close(segment);
}

static bool parse_sync(const char *word, struct plan *plan)
{
	static const char *const words[] = {
		[AYRE_SYNC_WAIT] = "wait",
		[AYRE_SYNC_ASYNC] = "async",
		[AYRE_SYNC_INVALIDATE] = "invalidate",
	};

	plan->how = -1;
	plan->mixed = strcmp(word, "mixed") == 0;
	if (plan->mixed || strcmp(word, "none") == 0)
		return true;
	for (plan->how = 0; plan->how < 3; plan->how++)
		if (strcmp(word, words[plan->how]) == 0)
			return true;
	return false;
}

static int run_write(char **arguments)
{
	const struct life *life = lives;
	struct plan plan = make_plan(strtoull(arguments[2], NULL, 0));

	while (life < lives + sizeof(lives) / sizeof(*lives) &&
	       strcmp(life->name, arguments[0]) != 0)
		life++;
	if (life == lives + sizeof(lives) / sizeof(*lives) || !parse_sync(arguments[3], &plan))
		return EXIT_USAGE;
	/* Nothing may stand in the buffer when a process is forked. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (plan.typed)
		printf("tag %s\n", TAG);
	if (life->initializes)
		create_initialized(&plan, life, arguments[1]);
	else if (life->other_syncs)
		let_other_store(&plan, life, arguments[1]);
	else
		store_and_sync(&plan, life, arguments[1]);
	return plan.in_memory ? EXIT_MEMORY : 0;
}

static int run_make(char **arguments)
{
	struct plan plan = make_plan(strtoull(arguments[1], NULL, 0));
	struct ayre_segment *segment = open_segment(
		&plan, arguments[0], AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE, NULL, NULL);

	memset(ayre_segment_data(segment), OLD_BYTE, ayre_segment_size(segment));
	if (syncfs(ayre_segment_fd(segment)) == -1)
		fail("syncfs", errno);
	ayre_segment_close(segment);
	return 0;
}

static bool is_there(int fd, uint64_t offset, uint64_t length, uint64_t seed)
{
	unsigned char *bytes = malloc(length), *expected = malloc(length);
	bool there;

	if (!bytes || !expected)
		fail("memory", ENOMEM);
	fill(expected, length, seed);
	there = pread(fd, bytes, length, (off_t)offset) == (ssize_t)length &&
	        memcmp(bytes, expected, length) == 0;
	free(bytes);
	free(expected);
	return there;
}

/* A typed segment whose header is lost is lost, whatever its bytes are. */
static bool has_tag(const char *path)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_READ_ONLY,
		.tag = TAG,
	};
	struct ayre_segment *segment;

	if (ayre_segment_open(&options, path, &segment, NULL) < 0)
		return false;
	ayre_segment_close(segment);
	return true;
}

static int run_check(char **arguments)
{
	const char *path = arguments[0];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int kept = 0, lost = 0;
	uint64_t offset, length, seed;
	char line[128];

	while (fgets(line, sizeof(line), stdin)) {
		bool there;

		if (strcmp(line, "tag " TAG "\n") == 0)
			there = has_tag(path);
		else if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &offset, &length,
		                &seed) == 3)
			there = is_there(fd, offset, length, seed);
		else
			return EXIT_USAGE;
		kept += there;
		lost += !there;
	}
	printf("kept %u lost %u\n", kept, lost);
	if (fd >= 0)
		close(fd);
	return lost ? EXIT_LOST : 0;
}

static int run_bytes(char **arguments)
{
	uint64_t seed = strtoull(arguments[0], NULL, 0), length = strtoull(arguments[1], NULL, 0);

	for (uint64_t i = 0; i < length; i++)
		putchar(new_byte(seed, i));
	return ferror(stdout) || fflush(stdout) != 0 ? EXIT_ERROR : 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		int (*run)(char **arguments);
	} verbs[] = {
		{"make", 2, run_make},
		{"write", 4, run_write},
		{"check", 1, run_check},
		{"bytes", 2, run_bytes},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == 2 + verbs[i].arguments)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "usage: store make|write|check|bytes ...\n");
	return EXIT_USAGE;
}
