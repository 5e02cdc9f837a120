/*
 * The list of segments: mapped files, the names they have, had or got late, and their tags.
 * Looking at them changes nothing.
 */
#include "list_world.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

/* --- files --- */

static void files_that_are_mapped_shared_are_segments(void **state)
{
	char *path = file_path("a b"), *name = word("file:%s", path);
	char *other = file_path("private");
	const struct ayre_segment_entry *entry;
	struct stat status;
	pid_t user;

	(void)state;
	make_file(path, 300);
	make_file(other, 300);
	look(0);
	assert_null(find(name, 0));
	assert_int_equal(look_at(name)->user_count, 0);
	user = start(&(struct task){.run = map_path, .path = path});
	start(&(struct task){.run = map_path, .path = other, .private = true});
	look(0);
	assert_null(find(word("file:%s", other), 0));
	entry = find(name, user);
	assert_non_null(entry);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(entry->backing, AYRE_BACKING_FILE);
	assert_false(entry->removed);
	assert_int_equal(entry->size_bytes, 300);
	assert_int_equal(entry->mode, 0640);
	assert_int_equal(entry->device, status.st_dev);
	assert_int_equal(entry->inode, status.st_ino);
	assert_int_equal(entry->user_count, 1);
	assert_int_equal(entry->users[0].mapped_bytes, PAGE);
	/* By another name for it, it is the same. */
	assert_int_equal(symlink(path, file_path("link")), 0);
	entry = look_at(file_path("link"));
	assert_string_equal(entry->name, name);
	assert_int_equal(entry->user_count, 1);
}

static void removed_files_keep_their_names(void **state)
{
	char *path = file_path("x"), *odd = file_path("y (deleted)");
	pid_t user, odd_user;

	(void)state;
	make_file(path, PAGE);
	make_file(odd, PAGE);
	user = start(&(struct task){.run = map_path, .path = path});
	odd_user = start(&(struct task){.run = map_path, .path = odd});
	unlink(path);
	look(0);
	assert_non_null(find(word("file:%s", path), user));
	assert_true(find(word("file:%s", path), user)->removed);
	assert_non_null(find(word("file:%s", odd), odd_user));
	assert_false(find(word("file:%s", odd), odd_user)->removed);
}

static void a_segment_goes_by_a_name_that_is_left(void **state)
{
	char *gone = file_path("gone"), *left = file_path("left");
	const struct ayre_segment_entry *entry;

	(void)state;
	make_file(gone, PAGE);
	assert_int_equal(link(gone, left), 0);
	start(&(struct task){.run = map_path, .path = gone});
	start(&(struct task){.run = map_path, .path = left});
	unlink(gone);
	look(0);
	assert_null(find(word("file:%s", gone), 0));
	entry = must_find(word("file:%s", left));
	assert_false(entry->removed);
	assert_int_equal(entry->user_count, 2);
}

/* As ayre and others make files that nobody sees half-done: unnamed first. */
static bool map_then_link(const struct task *task)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);

	return fd >= 0 && ftruncate(fd, PAGE) == 0 && map_fd(fd, task) &&
	       linkat(AT_FDCWD, word("/proc/self/fd/%d", fd), AT_FDCWD, task->path,
	              AT_SYMLINK_FOLLOW) == 0;
}

static void a_file_that_was_named_late_has_that_name(void **state)
{
	char *path = file_path("late");
	const struct ayre_segment_entry *entry;
	pid_t user = start(&(struct task){.run = map_then_link, .path = path});

	(void)state;
	look(0);
	entry = find(word("file:%s", path), user);
	assert_non_null(entry);
	assert_false(entry->removed);
	unlink(path);
	look(0);
	assert_null(find(word("file:%s", path), 0));
}

static bool map_twice(const struct task *task)
{
	struct task reading = *task;

	reading.read_only = true;
	return map_path(&reading) && map_path(task);
}

static void several_maps_of_a_process_are_one_user(void **state)
{
	char *path = file_path("x");
	const struct ayre_segment_entry *entry;

	(void)state;
	make_file(path, PAGE);
	start(&(struct task){.run = map_twice, .path = path});
	entry = look_at(path);
	assert_int_equal(entry->attached_count, 2);
	assert_int_equal(entry->user_count, 1);
	assert_true(entry->users[0].writable);
	assert_int_equal(entry->users[0].mapped_bytes, 2 * PAGE);
}

/* A disk has a path and can be mapped, and is not a file. Only for root, where there is one. */
static void map_disk(void)
{
	static const char *const disks[] = {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"};

	for (size_t i = 0; i < sizeof(disks) / sizeof(*disks); i++) {
		int fd = open(disks[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			map_fd(fd, &(struct task){.read_only = true});
	}
}

static bool map_no_segment(const struct task *task)
{
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

	map_disk();
	return map_fd(zero, task) && map_fd(zero, &(struct task){.private = true}) &&
	       mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static void memory_without_a_name_is_no_segment(void **state)
{
	/* A locale may have mapped a cache of its own already; a child has it from us. */
	size_t before;
	pid_t child;

	(void)state;
	look(0);
	before = count_of_user(getpid());
	child = start(&(struct task){.run = map_no_segment});
	look(0);
	assert_int_equal(count_of_user(child), before);
}

/* --- the tag --- */

static void tags_are_read_where_that_changes_nothing(void **state)
{
	char *name = word("sysv:0x%08x", list_key());
	struct ayre_segment *shm, *file, *sysv;

	(void)state;
	open_tagged(shm_name("t"), &shm);
	open_tagged(file_path("t"), &file);
	open_tagged(name, &sysv);
	own_sysv(shmget(list_key(), 0, 0));
	make_file(shm_path("raw"), PAGE);
	/* While this process has them open, and when nobody has. */
	for (int i = 0; i < 2; i++) {
		look(0);
		assert_string_equal(must_find(shm_name("t"))->tag, "numbers");
		assert_null(must_find(shm_name("raw"))->tag);
		assert_null(must_find(name)->tag);
		if (i == 0)
			assert_string_equal(must_find(word("file:%s", file_path("t")))->tag,
			                    "numbers");
		assert_string_equal(look_at(file_path("t"))->tag, "numbers");
		assert_string_equal(look_at(name)->tag, "numbers");
		if (i == 0) {
			ayre_segment_close(shm);
			ayre_segment_close(file);
			ayre_segment_close(sysv);
		}
	}
}

/* Returns an exit status; 0: the segment is still there, CHILD_SKIPS: this user cannot tell. */
static int look_at_forced(void)
{
	struct ayre_segment_list_options options = {.size = sizeof(options)};
	FILE *forced;
	int id;

	/* The setting is of the new namespace, and goes with this process. */
	if (unshare(CLONE_NEWIPC) == -1)
		return CHILD_SKIPS;
	forced = fopen("/proc/sys/kernel/shm_rmid_forced", "we");
	if (!forced || fputs("1", forced) < 0 || fclose(forced) != 0)
		return CHILD_SKIPS;
	id = shmget(list_key(), PAGE, IPC_CREAT | 0600);
	options.name = word("sysv:0x%08x", list_key());
	if (id < 0 || ayre_segment_list_new(&options, &list, NULL) != 0)
		return 1;
	ayre_segment_list_free(list);
	return shmget(list_key(), 0, 0) == id ? 0 : 2;
}

/* With kernel.shm_rmid_forced, a segment goes with whoever is the last to detach from it. */
static void looking_is_not_the_end_of_a_segment(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(look_at_forced());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("no IPC namespace for this user");
	assert_int_equal(status, 0);
}

/* Is the file's first byte locked by somebody else than the child that asks? */
static bool is_locked(const char *path)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
		int fd = open(path, O_RDWR | O_CLOEXEC);

		_exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/* Closing any descriptor of a file ends the process's locks on it (fcntl(2)). */
static void looking_keeps_the_locks_of_the_process(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
	char *path = shm_path("locked");
	int fd;

	(void)state;
	make_file(path, PAGE);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	assert_true(is_locked(path));
	look(0);
	look_at(shm_name("locked"));
	assert_true(is_locked(path));
	close(fd);
}

static void looking_changes_nothing(void **state)
{
	int id = make_sysv(list_key(), PAGE);
	char *path = shm_path("x");
	struct stat before, after;
	struct shmid_ds segment;

	(void)state;
	make_file(path, PAGE);
	assert_int_equal(stat(path, &before), 0);
	look(0);
	assert_int_equal(stat(path, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(shmctl(id, IPC_STAT, &segment), 0);
	assert_int_equal(segment.shm_atime, 0);
	assert_int_equal(segment.shm_lpid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(files_that_are_mapped_shared_are_segments),
		test(removed_files_keep_their_names),
		test(a_segment_goes_by_a_name_that_is_left),
		test(a_file_that_was_named_late_has_that_name),
		test(several_maps_of_a_process_are_one_user),
		test(memory_without_a_name_is_no_segment),
		test(tags_are_read_where_that_changes_nothing),
		test(looking_is_not_the_end_of_a_segment),
		test(looking_keeps_the_locks_of_the_process),
		test(looking_changes_nothing),
	};

	return run_counted("list of files", tests);
}
