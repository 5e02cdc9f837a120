/*
 * Names, keys and directories that no other process has.
 *
 * Invariant: each carries the id of the test program, whose children inherit it: two copies of
 * a program never meet, and what one of them leaves behind is known to be its own.
 */
#include "support/support.h"

#include <glob.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "support/own.h"

/* A process id has 22 bits at most (PID_MAX_LIMIT, proc(5)). */
#define KEY_BASE   0x40000000u
#define KEYS       256u
#define EXTRA_KEYS 8

const struct backing backings[] = {
	[AYRE_BACKING_SYSV - 1] = {"sysv", AYRE_BACKING_SYSV},
	[AYRE_BACKING_SHM - 1] = {"shm", AYRE_BACKING_SHM},
	[AYRE_BACKING_FILE - 1] = {"file", AYRE_BACKING_FILE},
	[AYRE_BACKING_MEMFD - 1] = {"memfd", AYRE_BACKING_MEMFD},
};

static char directory[PATH_MAX];
static char root[64];
/* Shared with children, whose topics these are of. */
static struct halves {
	char paths[16][64];
	size_t count;
} * halves;
static key_t extra_keys[EXTRA_KEYS];
static size_t extra_key_count;

static pid_t program(void)
{
	static pid_t id;

	/* Asked for first by the program itself, before it has children. */
	if (!id)
		id = getpid();
	return id;
}

const char *own_prefix(void)
{
	static char prefix[32];

	if (!prefix[0])
		snprintf(prefix, sizeof(prefix), "ayre-test-%d-", program());
	return prefix;
}

key_t make_key(unsigned int number)
{
	return (key_t)(KEY_BASE | (uint32_t)program() << 8 | number % KEYS);
}

void own_key(key_t key)
{
	if (extra_key_count < EXTRA_KEYS)
		extra_keys[extra_key_count++] = key;
}

key_t lock_key_of(key_t key)
{
	return (key_t)((uint32_t)key * 2654435761u ^ 0x65727961u);
}

static bool is_extra_key(key_t key)
{
	for (size_t i = 0; i < extra_key_count; i++)
		if (extra_keys[i] == key)
			return true;
	return false;
}

bool is_own_segment(key_t key)
{
	return ((uint32_t)key & ~(KEYS - 1)) == (uint32_t)make_key(0) || is_extra_key(key);
}

bool is_own_semaphore(key_t key)
{
	for (unsigned int i = 0; i < KEYS; i++)
		if (lock_key_of(make_key(i)) == key)
			return true;
	for (size_t i = 0; i < extra_key_count; i++)
		if (lock_key_of(extra_keys[i]) == key)
			return true;
	/* Or one that a program of the textbook's keeps beside its segment. */
	return is_own_segment(key);
}

const char *make_path(char path[static NAME_BYTES], enum ayre_backing kind, unsigned int number)
{
	if (kind == AYRE_BACKING_SHM)
		snprintf(path, NAME_BYTES, "/dev/shm/%s%u", own_prefix(), number);
	else
		snprintf(path, NAME_BYTES, "%.200s/%u", test_directory(), number);
	return path;
}

const char *make_name(char name[static NAME_BYTES], enum ayre_backing kind, unsigned int number)
{
	switch (kind) {
	case AYRE_BACKING_SYSV:
		snprintf(name, NAME_BYTES, "sysv:0x%x", (unsigned int)make_key(number));
		return name;
	case AYRE_BACKING_SHM:
		snprintf(name, NAME_BYTES, "shm:%s%u", own_prefix(), number);
		return name;
	case AYRE_BACKING_FILE:
		snprintf(name, NAME_BYTES, "file:%.200s/%u", test_directory(), number);
		return name;
	case AYRE_BACKING_MEMFD:
		break;
	}
	return NULL;
}

void make_test_directory(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/%sXXXXXX", parent ? parent : "/tmp",
	         own_prefix());
	if (!mkdtemp(directory))
		fail_msg("no directory %s: %s", directory, strerror(errno));
	/* Children that have become another user write here too. */
	chmod(directory, 0777);
}

void remove_test_directory(void)
{
	rmdir(directory);
	extra_key_count = 0;
}

const char *test_directory(void)
{
	return directory;
}

/* Not with own_prefix(): that is counted by itself. */
void use_topic_root(void)
{
	snprintf(root, sizeof(root), "/dev/shm/ayre-topics-%d", program());
	setenv("AYRE_DIR", root, 1);
}

const char *topic_root(void)
{
	return root[0] ? root : NULL;
}

void make_topic_root(void)
{
	if (!topic_root())
		return;
	/* One that a killed program with this id has left is swept, like a name. */
	if (mkdir(root, 0755) == -1 && errno != EEXIST)
		fail_msg("no directory %s: %s", root, strerror(errno));
}

void remove_topic_root(void)
{
	if (topic_root())
		rmdir(root);
}

void use_disk_topics(void)
{
	halves = share_memory(sizeof(*halves));
}

void own_half(const char *path)
{
	for (size_t i = 0; i < halves->count; i++)
		if (strcmp(halves->paths[i], path) == 0)
			return;
	if (halves->count < sizeof(halves->paths) / sizeof(*halves->paths))
		snprintf(halves->paths[halves->count++], sizeof(*halves->paths), "%s", path);
}

/*
 * A half, and what is left of it, or of one that was to be there, under a name that is hidden: calls for each path
 * that is there.
 */
static void visit_halves(void (*visit)(const char *path, void *context), void *context)
{
	char pattern[PATH_MAX];
	glob_t found;

	for (size_t i = 0; halves && i < halves->count; i++) {
		const char *path = halves->paths[i], *name = strrchr(path, '/') + 1;

		if (access(path, F_OK) == 0)
			visit(path, context);
		snprintf(pattern, sizeof(pattern), "%.*s.%s.ayre-creating.*", (int)(name - path),
		         path, name);
		if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++)
			visit(found.gl_pathv[j], context);
		globfree(&found);
	}
}

static void count_half(const char *path, void *context)
{
	(void)path;
	++*(int *)context;
}

int count_halves(void)
{
	int count = 0;

	visit_halves(count_half, &count);
	return count;
}

static void remove_half(const char *path, void *context)
{
	(void)context;
	remove_below(path);
	rmdir(path);
}

void sweep_halves(void)
{
	visit_halves(remove_half, NULL);
	if (halves)
		halves->count = 0;
}
