/*
 * Copying in and out, the check, the sync, and what a handle tells of its segment.
 */
#include "support/open.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#define DATA_BYTES 5000

static struct ayre_segment *create(void **state, uint32_t flags, const char *tag)
{
	char buffer[NAME_BYTES];
	struct ayre_segment *segment;

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | flags,
	                                  .size_bytes = DATA_BYTES, .tag = tag),
	                          name_of(state, buffer), &segment),
	                 1);
	return segment;
}

static void done(void **state, struct ayre_segment *segment)
{
	char buffer[NAME_BYTES];
	const char *name = name_of(state, buffer);

	ayre_segment_close(segment);
	if (name)
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void what_is_written_is_read(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	char out[DATA_BYTES], in[DATA_BYTES];

	fill_pattern(out, sizeof(out), 2);
	for (size_t i = 0; i < 2; i++) {
		struct ayre_segment *segment = create(state, 0, tags[i]);

		assert_int_equal(ayre_segment_write(segment, 0, out, sizeof(out)), 0);
		assert_true(is_pattern(ayre_segment_data(segment), DATA_BYTES, 2));
		assert_int_equal(ayre_segment_read(segment, 0, in, sizeof(in)), 0);
		assert_memory_equal(in, out, sizeof(in));
		/* In the middle, up to the last byte, and not beyond what was asked for. */
		assert_int_equal(ayre_segment_write(segment, DATA_BYTES - 3, "end", 3), 0);
		memset(in, 0, sizeof(in));
		assert_int_equal(ayre_segment_read(segment, DATA_BYTES - 4, in, 4), 0);
		assert_memory_equal(in + 1, "end\0", 4);
		done(state, segment);
	}
}

static void ranges_are_checked(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
		int result;
	} cases[] = {
		{0, 0, 0},
		{DATA_BYTES, 0, 0},
		{DATA_BYTES - 1, 1, 0},
		{0, DATA_BYTES, 0},
		{DATA_BYTES + 1, 0, -ERANGE},
		{DATA_BYTES, 1, -ERANGE},
		{1, DATA_BYTES, -ERANGE},
		{0, DATA_BYTES + 1, -ERANGE},
		{UINT64_MAX, 1, -ERANGE},
		{UINT64_MAX, 0, -ERANGE},
		{1, SIZE_MAX, -ERANGE},
		{UINT64_MAX, SIZE_MAX, -ERANGE},
	};
	struct ayre_segment *segment = create(state, 0, "tagged");
	char bytes[DATA_BYTES + 1] = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t offset = cases[i].offset;
		size_t length = cases[i].length;

		assert_int_equal(ayre_segment_read(segment, offset, bytes, length),
		                 cases[i].result);
		assert_int_equal(ayre_segment_write(segment, offset, bytes, length),
		                 cases[i].result);
		if (cases[i].result < 0)
			assert_int_equal(ayre_segment_sync(segment, offset, length, AYRE_SYNC_WAIT),
			                 -ERANGE);
	}
	done(state, segment);
}

/* Without a signal: through the kernel. */
static void cut_files_are_stale(void **state)
{
	struct ayre_segment *segment = create(state, 0, "tagged");
	char bytes[DATA_BYTES], path[NAME_BYTES];
	struct stat status;

	make_path(path, kind_of(state), 0);
	assert_int_equal(ayre_segment_check(segment), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(truncate(path, status.st_size - 1), 0);
	assert_int_equal(ayre_segment_check(segment), -ESTALE);
	assert_int_equal(ayre_segment_read(segment, 0, bytes, DATA_BYTES), -ESTALE);
	assert_int_equal(ayre_segment_read(segment, 0, bytes, 10), 0);
	assert_int_equal(ayre_segment_write(segment, DATA_BYTES - 1, "x", 1), -ESTALE);
	assert_int_equal(ayre_segment_write(segment, 0, "x", 1), -ESTALE);
	/* What was cut was not made up by the write. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(ayre_segment_read(segment, 0, bytes, 1), -ESTALE);
	assert_int_equal(ayre_segment_write(segment, 0, "x", 1), -ESTALE);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 0);
	assert_int_equal(ayre_segment_refresh(segment), -ESTALE);
	assert_int_equal(ayre_segment_size(segment), DATA_BYTES);
	done(state, segment);
}

static void memory_has_no_disk_to_sync_to(void **state)
{
	struct ayre_segment *segment = create(state, 0, NULL);

	if (kind_of(state) != AYRE_BACKING_FILE) {
		assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_WAIT), 1);
		assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_ASYNC), 1);
		assert_int_equal(ayre_segment_sync(segment, 10, 10, AYRE_SYNC_INVALIDATE), 1);
	}
	assert_int_equal(ayre_segment_sync(segment, 0, 0, (enum ayre_sync)3), -EINVAL);
	done(state, segment);
}

/* A directory of ours that is on a disk. false: there is none. */
static bool find_disk(char directory[NAME_BYTES])
{
	static const char *const places[] = {"/var/tmp", "/tmp", "."};
	struct statfs status;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (statfs(places[i], &status) == -1 || status.f_type == TMPFS_MAGIC)
			continue;
		snprintf(directory, NAME_BYTES, "%s/ayre-disk-XXXXXX", places[i]);
		if (mkdtemp(directory))
			return true;
	}
	return false;
}

static void files_are_brought_to_their_disk(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	char directory[NAME_BYTES], name[NAME_BYTES + 16];
	struct ayre_segment *segment;

	(void)state;
	if (!find_disk(directory))
		skip_because("no directory here is on a disk");
	snprintf(name, sizeof(name), "file:%s/segment", directory);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE,
		                                  .size_bytes = 100000, .tag = tags[i]),
		                          name, &segment),
		                 1);
		fill_pattern(ayre_segment_data(segment), 100000, 1);
		assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_ASYNC), 0);
		assert_int_equal(ayre_segment_sync(segment, 5000, 1, AYRE_SYNC_WAIT), 0);
		assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_WAIT), 0);
		assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_INVALIDATE), 0);
		assert_int_equal(ayre_segment_sync(segment, 99999, 1, AYRE_SYNC_INVALIDATE), 0);
		assert_true(is_pattern(ayre_segment_data(segment), 100000, 1));
		ayre_segment_close(segment);
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
	}
	assert_int_equal(rmdir(directory), 0);
}

/* The kernel refuses to invalidate what is locked; that says nothing about the bytes. */
static void locked_pages_are_busy_and_no_failure(void **state)
{
	char directory[NAME_BYTES], name[NAME_BYTES + 16];
	struct ayre_segment *segment;
	int result;

	(void)state;
	if (!find_disk(directory))
		skip_because("no directory here is on a disk");
	snprintf(name, sizeof(name), "file:%s/segment", directory);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 4096), name, &segment),
		1);
	/* Not mlock(3) and munlock(3), of which the address sanitizer makes nothing. */
	assert_int_equal(syscall(SYS_mlock, ayre_segment_data(segment), 4096), 0);
	result = ayre_segment_sync(segment, 0, 0, AYRE_SYNC_INVALIDATE);
	assert_int_equal(syscall(SYS_munlock, ayre_segment_data(segment), 4096), 0);
	assert_int_equal(result, -EBUSY);
	assert_int_equal(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_INVALIDATE), 0);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void assert_sysv_info(const struct ayre_segment_info *info)
{
	struct shmid_ds segment;

	assert_int_equal(info->key, (uint32_t)make_key(0));
	assert_int_equal(info->id, shmget(make_key(0), 0, 0));
	assert_int_equal(shmctl((int)info->id, IPC_STAT, &segment), 0);
	assert_int_equal(info->size_bytes + info->header_bytes, segment.shm_segsz);
	assert_int_equal(info->device, 0);
	assert_int_equal(info->inode, 0);
}

static void assert_file_info(const struct ayre_segment_info *info, int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(info->key, -1);
	assert_int_equal(info->id, -1);
	assert_int_equal(info->device, status.st_dev);
	assert_int_equal(info->inode, status.st_ino);
	assert_int_equal(info->size_bytes + info->header_bytes, status.st_size);
}

static void info_is_the_kernels(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	int64_t now = (int64_t)time(NULL) * 1000000000;

	for (size_t i = 0; i < 2; i++) {
		struct ayre_segment *segment = create(state, AYRE_SEGMENT_POPULATE, tags[i]);
		struct ayre_segment_info info = {.size = sizeof(info)};

		assert_int_equal(ayre_segment_get_info(segment, &info), 0);
		assert_int_equal(info.size, sizeof(info));
		assert_int_equal(info.backing, kind_of(state));
		assert_int_equal(info.typed, tags[i] != NULL);
		assert_int_equal(info.size_bytes, DATA_BYTES);
		assert_int_equal(info.header_bytes, tags[i] ? info.header_bytes / 4096 * 4096 : 0);
		assert_true(info.resident_bytes >= DATA_BYTES);
		assert_int_equal(info.mode, 0644);
		assert_int_equal(info.uid, geteuid());
		assert_int_equal(info.gid, getegid());
		assert_true(info.changed_ns >= now - 2000000000 &&
		            info.changed_ns < now + 60000000000);
		if (tags[i])
			assert_true(info.created_ns >= now && info.created_ns < now + 60000000000);
		else
			assert_int_equal(info.created_ns, -1);
		if (kind_of(state) == AYRE_BACKING_SYSV)
			assert_sysv_info(&info);
		else
			assert_file_info(&info, ayre_segment_fd(segment));
		done(state, segment);
	}
}

static void info_fits_older_callers(void **state)
{
	struct ayre_segment *segment = create(state, 0, NULL);
	struct ayre_segment_info info;

	memset(&info, 0x5a, sizeof(info));
	info.size = offsetof(struct ayre_segment_info, size_bytes);
	assert_int_equal(ayre_segment_get_info(segment, &info), 0);
	assert_int_equal(info.backing, kind_of(state));
	assert_int_equal(info.size_bytes, 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(info.created_ns, 0x5a5a5a5a5a5a5a5a);
	info.size = 0;
	assert_int_equal(ayre_segment_get_info(segment, &info), -EINVAL);
	done(state, segment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(what_is_written_is_read),
		backing_test(what_is_written_is_read, MEMFD),
		named_test(ranges_are_checked),
		backing_test(ranges_are_checked, MEMFD),
		file_test(cut_files_are_stale),
		named_test(memory_has_no_disk_to_sync_to),
		backing_test(memory_has_no_disk_to_sync_to, MEMFD),
		counted_test(files_are_brought_to_their_disk),
		counted_test(locked_pages_are_busy_and_no_failure),
		named_test(info_is_the_kernels),
		backing_test(info_is_the_kernels, MEMFD),
		named_test(info_fits_older_callers),
		backing_test(info_fits_older_callers, MEMFD),
	};

	return run_counted("segment io", tests);
}
