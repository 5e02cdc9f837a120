/*
 * Counting what a test could leave behind, before it and after it.
 *
 * Invariant: only what belongs to this process counts: names, keys and directories that carry
 * its process id. Two copies of a test, or any other program, can run at the same time.
 */
#include "support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "support/own.h"

#define DEADLINE_SECONDS 60

#define MOST_TESTS 256

static struct counts before;
/* Copies whose names can be changed: what is skipped says so there, as TAP wants it. */
static struct CMUnitTest copies[MOST_TESTS];
static char names[MOST_TESTS][160];
static size_t begun; /* how many of them */

/* part: in the name; NULL: any entry. */
static bool is_entry(const struct dirent *entry, const char *part)
{
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return false;
	return !part || strstr(entry->d_name, part);
}

static int count_entries(const char *path, const char *part)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int count = 0;

	while (directory && (entry = readdir(directory)))
		count += is_entry(entry, part);
	if (directory)
		closedir(directory);
	return count;
}

static int entries;

static int count_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)path, (void)status, (void)kind;
	entries += place->level > 0;
	return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)kind;
	if (place->level > 0)
		remove(path);
	return 0;
}

/* Everything below topic_root(). */
static int count_topics(void)
{
	entries = 0;
	if (topic_root())
		nftw(topic_root(), count_entry, 8, FTW_PHYS);
	return entries;
}

void remove_below(const char *path)
{
	nftw(path, remove_entry, 8, FTW_PHYS | FTW_DEPTH);
}

/* "a-b rw-s ...": a map that is shared. */
static int count_shared_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024], permissions[5];
	int count = 0;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%*x-%*x %4s", permissions) == 1)
			count += permissions[3] == 's';
	if (maps)
		fclose(maps);
	return count;
}

/* A table of the kernel's, whose second column is the id that remove takes. */
static int count_table(const char *path, bool (*is_own)(key_t key), void (*remove)(int id))
{
	FILE *table = fopen(path, "re");
	char line[512];
	int key, id, count = 0;

	while (table && fgets(line, sizeof(line), table)) {
		if (sscanf(line, "%d %d", &key, &id) != 2 || !is_own(key))
			continue;
		count++;
		if (remove)
			remove(id);
	}
	if (table)
		fclose(table);
	return count;
}

static void remove_segment(int id)
{
	shmctl(id, IPC_RMID, NULL);
}

static void remove_semaphore(int id)
{
	semctl(id, 0, IPC_RMID);
}

static int have_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

struct counts take_counts(void)
{
	return (struct counts){
		.descriptors = count_entries("/proc/self/fd", NULL),
		.shared_maps = count_shared_maps(),
		.names = count_entries("/dev/shm", own_prefix()) + count_halves(),
		.files = count_entries(test_directory(), NULL),
		.topics = count_topics(),
		.segments = count_table("/proc/sysvipc/shm", is_own_segment, NULL),
		.semaphores = count_table("/proc/sysvipc/sem", is_own_semaphore, NULL),
		.children = have_children(),
	};
}

const char *counts_differ(const struct counts *now, const struct counts *then)
{
	static char line[256];

	if (memcmp(now, then, sizeof(*now)) == 0)
		return NULL;
	snprintf(line, sizeof(line),
	         "left behind: %d descriptors, %d shared maps, %d names in /dev/shm, %d files, "
	         "%d in topics, %d System V segments, %d semaphores, %d children",
	         now->descriptors - then->descriptors, now->shared_maps - then->shared_maps,
	         now->names - then->names, now->files - then->files, now->topics - then->topics,
	         now->segments - then->segments, now->semaphores - then->semaphores,
	         now->children - then->children);
	return line;
}

void assert_counts(const struct counts *wanted)
{
	struct counts now = take_counts();
	const char *line = counts_differ(&now, wanted);

	if (line)
		fail_msg("%s", line);
}

static void sweep_directory(const char *path, const char *part)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (is_entry(entry, part) && unlinkat(dirfd(directory), entry->d_name, 0) == -1)
			unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
	if (directory)
		closedir(directory);
}

void sweep(void)
{
	sweep_directory("/dev/shm", own_prefix());
	sweep_halves();
	remove_below(test_directory());
	if (topic_root())
		remove_below(topic_root());
	count_table("/proc/sysvipc/shm", is_own_segment, remove_segment);
	count_table("/proc/sysvipc/sem", is_own_semaphore, remove_semaphore);
}

void clear_up(void)
{
	sweep();
	remove_test_directory();
	remove_topic_root();
}

int run_counted_of(const char *group, const struct CMUnitTest *tests, size_t count)
{
	if (count > MOST_TESTS)
		return 1;
	for (size_t i = 0; i < count; i++) {
		copies[i] = tests[i];
		copies[i].name = names[i];
		snprintf(names[i], sizeof(names[i]), "%s", tests[i].name);
	}
	return _cmocka_run_group_tests(group, copies, count, NULL, NULL);
}

void note_skip(const char *reason)
{
	char *name = names[begun - 1];
	size_t length = strlen(name);

	snprintf(name + length, sizeof(names[0]) - length, " # SKIP %s", reason);
}

int count_setup(void **state)
{
	(void)state;
	begun++;
	/* A test that dies of its deadline has said its name by then. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	make_test_directory();
	make_topic_root();
	sweep();
	set_deadline(DEADLINE_SECONDS);
	before = take_counts();
	return 0;
}

int count_teardown(void **state)
{
	struct counts after = take_counts();
	const char *line = counts_differ(&after, &before);

	(void)state;
	alarm(0);
	end_children();
	clear_up();
	if (line)
		print_error("%s\n", line);
	return line ? -1 : 0;
}
