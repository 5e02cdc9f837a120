/*
 * File systems that are full: an error from a call, never a signal later. Each test runs in a
 * child that has a tmpfs of 1 MiB to itself.
 */
#include "support/open.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MEBI (1u << 20)

/* Segment 0, as the child that has the disk knows it. */
struct full_disk {
	enum ayre_backing kind;
	int (*run)(const char *name, const char *path);
};

static int with_full_disk(void *context)
{
	const struct full_disk *disk = context;
	const char *directory = disk->kind == AYRE_BACKING_SHM ? "/dev/shm" : test_directory();
	char name[NAME_BYTES], path[NAME_BYTES];

	if (mount_private_tmpfs(directory, "1m") != 0)
		return CHILD_SKIPS;
	return disk->run(make_name(name, disk->kind, 0), make_path(path, disk->kind, 0));
}

static void on_full_disk(void **state, int (*run)(const char *name, const char *path))
{
	struct full_disk disk = {kind_of(state), run};
	int status = run_in_child(with_full_disk, &disk);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("this user may not mount a file system");
	assert_exited(status);
}

static int try_creating(const char *name, uint64_t size, const char *tag, uint32_t flags,
                        struct ayre_segment **ret_segment)
{
	struct ayre_error error = {0};
	int result = ayre_segment_open(
		OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags, .size_bytes = size, .tag = tag), name,
		ret_segment, &error);

	require(result >= 0 || error.code == result);
	return result;
}

static int create_on_full_disk(const char *name, const char *path)
{
	struct counts before = take_counts();
	struct counts after;
	struct ayre_segment *segment = NULL;

	(void)path;
	require(try_creating(name, 2 * MEBI, NULL, 0, &segment) == -ENOSPC);
	require(try_creating(name, 2 * MEBI, "tagged", 0, &segment) == -ENOSPC);
	require(try_creating(name, MEBI + 1, NULL, 0, &segment) == -ENOSPC);
	/* The header is one page more than fits. */
	require(try_creating(name, MEBI, "tagged", 0, &segment) == -ENOSPC);
	require(try_creating(name, 2 * MEBI, NULL, AYRE_SEGMENT_HUGE, &segment) == -ENOSPC);
	require(try_creating(name, 2 * MEBI, NULL, AYRE_SEGMENT_POPULATE, &segment) == -ENOSPC);
	require(segment == NULL);
	after = take_counts();
	require(memcmp(&before, &after, sizeof(before)) == 0);
	/* What fits fits to the last byte, and every byte can be touched. */
	require(try_creating(name, MEBI, NULL, 0, &segment) == 1);
	fill_pattern(ayre_segment_data(segment), MEBI, 1);
	ayre_segment_close(segment);
	return -ayre_segment_remove(name, NULL);
}

static void creating_on_a_full_disk_is_an_error(void **state)
{
	on_full_disk(state, create_on_full_disk);
}

static int grow_on_full_disk(const char *name, const char *path)
{
	struct ayre_segment *segment, *other;
	struct ayre_error error = {0};
	struct stat status;

	(void)path;
	require(try_creating(name, 8192, NULL, 0, &segment) == 1);
	fill_pattern(ayre_segment_data(segment), 8192, 4);
	require(ayre_segment_resize(segment, 2 * MEBI, &error) == -ENOSPC);
	require(error.code == -ENOSPC && error.detail[0]);
	require(ayre_segment_resize(segment, MEBI + 1, NULL) == -ENOSPC);
	require(ayre_segment_size(segment) == 8192);
	require(fstat(ayre_segment_fd(segment), &status) == 0 && status.st_size == 8192);
	require(ayre_segment_open(NULL, name, &other, NULL) == 0);
	require(ayre_segment_size(other) == 8192);
	ayre_segment_close(other);
	require(is_pattern(ayre_segment_data(segment), 8192, 4));
	require(ayre_segment_resize(segment, MEBI, NULL) >= 0);
	fill_pattern(ayre_segment_data(segment), MEBI, 5);
	ayre_segment_close(segment);
	return -ayre_segment_remove(name, NULL);
}

static void growing_on_a_full_disk_changes_nothing(void **state)
{
	on_full_disk(state, grow_on_full_disk);
}

/* Somebody else's file with holes: a pointer cannot be saved from it, the call can. */
static int write_into_holes(const char *name, const char *path)
{
	static char block[MEBI / 2];
	struct ayre_segment *segment;
	FILE *file = fopen(path, "we");

	require(file && ftruncate(fileno(file), 4 * MEBI) == 0);
	fclose(file);
	require(ayre_segment_open(NULL, name, &segment, NULL) == 0);
	memset(block, 'x', sizeof(block));
	require(ayre_segment_write(segment, 0, block, sizeof(block)) == 0);
	require(ayre_segment_write(segment, MEBI, block, sizeof(block)) >= -ENOSPC);
	require(ayre_segment_write(segment, 2 * MEBI, block, sizeof(block)) == -ENOSPC);
	ayre_segment_close(segment);
	require(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_POPULATE), name, &segment, NULL) ==
	        -ENOSPC);
	return -ayre_segment_remove(name, NULL);
}

static void holes_on_a_full_disk_are_errors(void **state)
{
	on_full_disk(state, write_into_holes);
}

/* A name that is there is there, however full the disk is. */
static int open_on_full_disk(const char *name, const char *path)
{
	struct ayre_segment *segment;

	(void)path;
	require(try_creating(name, MEBI, NULL, 0, &segment) == 1);
	ayre_segment_close(segment);
	require(try_creating(name, MEBI, NULL, 0, &segment) == 0);
	ayre_segment_close(segment);
	require(try_creating(name, MEBI, NULL, AYRE_SEGMENT_EXCLUSIVE, &segment) == -EEXIST);
	require(try_creating(name, 100, NULL, AYRE_SEGMENT_EXCLUSIVE, &segment) == -EEXIST);
	return -ayre_segment_remove(name, NULL);
}

static void opening_on_a_full_disk_is_no_error(void **state)
{
	on_full_disk(state, open_on_full_disk);
}

/* Anonymous segments have no disk, and no limit but the machine's memory. */
#define TOO_MUCH (UINT64_C(1) << 45)

static int ask_for_too_much(void *context)
{
	/* Were it tried all the same, it would end here, and not where the machine's memory ends. */
	struct rlimit limit = {64u << 20, 64u << 20};
	struct ayre_segment *segment = NULL;
	struct counts before = take_counts(), after;

	(void)context;
	require(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
	require(try_creating(NULL, TOO_MUCH, NULL, 0, &segment) == -ENOMEM);
	require(try_creating(NULL, TOO_MUCH, "tagged", 0, &segment) == -ENOMEM);
	require(try_creating(NULL, TOO_MUCH, NULL, AYRE_SEGMENT_HUGE, &segment) == -ENOMEM);
	require(!segment);
	require(try_creating(NULL, MEBI, NULL, 0, &segment) == 1);
	require(ayre_segment_resize(segment, TOO_MUCH, NULL) == -ENOMEM);
	require(ayre_segment_size(segment) == MEBI);
	ayre_segment_close(segment);
	after = take_counts();
	require(!counts_differ(&after, &before));
	return 0;
}

static void memory_that_the_machine_has_not_is_refused(void **state)
{
	(void)state;
	if ((uint64_t)sysconf(_SC_PHYS_PAGES) >= UINT64_C(1) << 32)
		skip_because("this machine may have that much");
	assert_exited(run_in_child(ask_for_too_much, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(creating_on_a_full_disk_is_an_error),
		file_test(growing_on_a_full_disk_changes_nothing),
		file_test(holes_on_a_full_disk_are_errors),
		file_test(opening_on_a_full_disk_is_no_error),
		counted_test(memory_that_the_machine_has_not_is_refused),
	};

	return run_counted("full disk", tests);
}
