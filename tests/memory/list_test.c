/*
 * The list of segments: System V, POSIX and anonymous ones, and whom it names as their users.
 * Every claim is made with real processes, and with segments as the programs of others make
 * them.
 */
#include "list_world.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>

/* --- System V --- */

static bool attach_named(const struct task *task)
{
	/* A bracket and a space, which /proc/PID/stat does not escape. */
	return prctl(PR_SET_NAME, "a) (b") == 0 && attach_id(task);
}

static void system_v_segments_come_with_their_users(void **state)
{
	int id = make_sysv(list_key(), 5000);
	int64_t before_ns = (int64_t)time(NULL) * 1000000000;
	pid_t writer = start(&(struct task){.run = attach_named, .id = id});
	pid_t reader = start(&(struct task){.run = attach_id, .id = id, .read_only = true});
	const struct ayre_segment_user *users;
	const struct ayre_segment_entry *entry;

	(void)state;
	look(0);
	entry = must_find(word("sysv:0x%08x", list_key()));
	assert_int_equal(entry->backing, AYRE_BACKING_SYSV);
	assert_false(entry->removed);
	assert_null(entry->tag);
	assert_int_equal(entry->size_bytes, 5000);
	assert_int_equal(entry->resident_bytes, 0);
	assert_int_equal(entry->mode, 0640);
	assert_int_equal(entry->uid, geteuid());
	assert_int_equal(entry->gid, getegid());
	assert_int_equal(entry->key, list_key());
	assert_int_equal(entry->id, id);
	assert_int_equal(entry->attached_count, 2);
	assert_true(entry->changed_ns >= before_ns);
	assert_int_equal(entry->user_count, 2);
	users = entry->users;
	assert_int_equal(users[0].pid, writer < reader ? writer : reader);
	assert_int_equal(users[1].pid, writer < reader ? reader : writer);
	assert_true(users[writer < reader ? 0 : 1].writable);
	assert_false(users[writer < reader ? 1 : 0].writable);
	users += writer < reader ? 0 : 1;
	assert_string_equal(users->command, "a) (b");
	assert_int_equal(users->uid, geteuid());
	assert_int_equal(users->mapped_bytes, 2 * PAGE);
	/* The kernel counts a start in ticks of 10 milliseconds. */
	assert_true(users->started_ns >= before_ns - 20000000);
	assert_true(users->started_ns <= (int64_t)(time(NULL) + 1) * 1000000000);
}

static void removed_system_v_segments_keep_their_names(void **state)
{
	int id = make_sysv(list_key(), PAGE);
	pid_t user = start(&(struct task){.run = attach_id, .id = id});
	const struct ayre_segment_entry *entry;

	(void)state;
	assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	look(0);
	entry = must_find(word("sysv:0x%08x", list_key()));
	assert_true(entry->removed);
	assert_int_equal(entry->id, id);
	assert_int_equal(entry->key, 0);
	assert_int_equal(entry->user_count, 1);
	assert_int_equal(entry->users[0].pid, user);
}

static void private_system_v_segments_are_told_apart_by_id(void **state)
{
	int first = make_sysv(IPC_PRIVATE, PAGE), second = make_sysv(IPC_PRIVATE, PAGE);
	const struct ayre_segment_entry *entry;
	int found = 0;

	(void)state;
	look(1u << AYRE_BACKING_SYSV);
	for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++)
		if (entry->id == first || entry->id == second) {
			assert_string_equal(entry->name, "sysv:0x00000000");
			assert_int_equal(entry->key, 0);
			assert_false(entry->removed);
			found++;
		}
	assert_int_equal(found, 2);
}

/* In an IPC namespace of its own, which goes with the process: attaches a segment of this id. */
static bool attach_in_new_namespace(int wanted)
{
	FILE *next;
	int id;

	if (unshare(CLONE_NEWIPC) == -1)
		return false;
	next = fopen("/proc/sys/kernel/shm_next_id", "we");
	if (!next)
		return false;
	fprintf(next, "%d", wanted);
	if (fclose(next) != 0)
		return false;
	id = shmget(list_key(), PAGE, IPC_CREAT | 0600);
	return id == wanted && shmat(id, NULL, 0) != (void *)-1;
}

static bool attach_elsewhere(const struct task *task)
{
	return attach_in_new_namespace(task->id);
}

static void another_ipc_namespace_is_another_machine(void **state)
{
	int id = make_sysv(0x4b000000 | getpid(), PAGE);
	pid_t stranger = try_start(&(struct task){.run = attach_elsewhere, .id = id});

	(void)state;
	if (!stranger)
		skip_because("no IPC namespace for this user");
	look(0);
	assert_int_equal(count_of_user(stranger), 0);
	assert_int_equal(must_find(word("sysv:0x%08x", 0x4b000000 | getpid()))->user_count, 0);
}

/* Returns an exit status; 0: both were found, CHILD_SKIPS: this user cannot tell. */
static int look_at_twins(void)
{
	int fd = memfd_create("twin", MFD_CLOEXEC);
	const struct ayre_segment_entry *segment, *file;
	struct stat status;

	if (fd < 0 || ftruncate(fd, 2 * PAGE) != 0 || fstat(fd, &status) != 0 ||
	    !map_fd(fd, &(struct task){0}))
		return 1;
	if (!attach_in_new_namespace((int)status.st_ino))
		return CHILD_SKIPS;
	if (ayre_segment_list_new(NULL, &list, NULL) != 0)
		return 2;
	segment = find(word("sysv:0x%08x", list_key()), getpid());
	file = find("memfd:twin", getpid());
	if (!segment || !file || segment->id != (int64_t)file->inode)
		return 3;
	ayre_segment_list_free(list);
	return 0;
}

/* Both live in one file system of the kernel's, where a segment's inode is its id. */
static void an_id_is_not_an_inode(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(look_at_twins());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == CHILD_SKIPS)
		skip_because("no IPC namespace for this user");
	assert_int_equal(status, 0);
}

/* --- POSIX --- */

static void posix_segments_come_with_their_users(void **state)
{
	char *path = shm_path("a b\nc");
	pid_t writer, reader;
	const struct ayre_segment_entry *entry;
	struct stat status;

	(void)state;
	make_file(path, 5000);
	writer = start(&(struct task){.run = map_path, .path = path});
	reader = start(&(struct task){.run = map_path, .path = path, .read_only = true});
	start(&(struct task){.run = map_path, .path = path, .private = true});
	look(0);
	entry = must_find(shm_name("a b\nc"));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(entry->backing, AYRE_BACKING_SHM);
	assert_false(entry->removed);
	assert_int_equal(entry->size_bytes, 5000);
	assert_int_equal(entry->mode, 0640);
	assert_int_equal(entry->uid, geteuid());
	assert_int_equal(entry->device, status.st_dev);
	assert_int_equal(entry->inode, status.st_ino);
	assert_int_equal(entry->key, -1);
	assert_int_equal(entry->id, -1);
	assert_int_equal(entry->attached_count, 2);
	assert_int_equal(entry->user_count, 2);
	assert_ptr_equal(find(entry->name, writer), entry);
	assert_ptr_equal(find(entry->name, reader), entry);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(entry->users[i].writable, entry->users[i].pid == writer);
		assert_int_equal(entry->users[i].mapped_bytes, PAGE);
	}
}

static void only_files_of_dev_shm_itself_are_posix_segments(void **state)
{
	pid_t user;

	(void)state;
	assert_int_equal(mkfifo(shm_path("fifo"), 0600), 0);
	assert_int_equal(symlink("/etc/passwd", shm_path("link")), 0);
	assert_int_equal(mkdir(shm_path("folder"), 0700), 0);
	make_file(shm_path("folder/inside"), PAGE);
	make_file(shm_path("unmapped"), 0);
	user = start(&(struct task){.run = map_path, .path = shm_path("folder/inside")});
	look(0);
	assert_null(find(shm_name("fifo"), 0));
	assert_null(find(shm_name("link"), 0));
	assert_null(find(shm_name("folder"), 0));
	assert_null(find(shm_name("inside"), 0));
	assert_int_equal(must_find(shm_name("unmapped"))->user_count, 0);
	/* What is further down is a file like others. */
	assert_non_null(find(word("file:%s", shm_path("folder/inside")), user));
}

static void a_new_file_does_not_inherit_the_users_of_the_old(void **state)
{
	char *path = shm_path("x"), *name = shm_name("x");
	const struct ayre_segment_entry *entry;
	pid_t user;

	(void)state;
	make_file(path, 2 * PAGE);
	user = start(&(struct task){.run = map_path, .path = path});
	unlink(path);
	look(0);
	entry = must_find(name);
	assert_true(entry->removed);
	assert_int_equal(entry->user_count, 1);
	make_file(path, PAGE);
	look(0);
	entry = find(name, user);
	assert_non_null(entry);
	assert_true(entry->removed);
	/* Its file is closed: root sees its size, others as much as is mapped. */
	assert_int_equal(entry->size_bytes, geteuid() == 0 ? 2 * PAGE : PAGE);
	entry = look_at(name);
	assert_false(entry->removed);
	assert_int_equal(entry->user_count, 0);
	assert_int_equal(entry->size_bytes, PAGE);
}

/* In a mount namespace of its own, over /dev/shm: a file of the same path. */
static bool map_elsewhere(const struct task *task)
{
	int fd;

	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("ayre", SHM_DIRECTORY, "tmpfs", 0, "size=64k") == -1)
		return false;
	fd = open(task->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd >= 0 && ftruncate(fd, PAGE) == 0 && map_fd(fd, task);
}

static void another_mount_namespace_has_other_files(void **state)
{
	char *path = shm_path("x");
	const struct ayre_segment_entry *entry;
	pid_t one, other;

	(void)state;
	make_file(path, PAGE);
	/* Path and inode number are the same for these two. */
	one = try_start(&(struct task){.run = map_elsewhere, .path = path});
	other = try_start(&(struct task){.run = map_elsewhere, .path = path});
	if (!one || !other)
		skip_because("no mount namespace for this user");
	look(0);
	entry = find(shm_name("x"), one);
	assert_non_null(entry);
	/* Not from here. */
	assert_true(entry->removed);
	assert_int_equal(entry->user_count, 1);
	assert_non_null(find(shm_name("x"), other));
	assert_int_equal(find(shm_name("x"), other)->user_count, 1);
	assert_int_equal(look_at(shm_name("x"))->user_count, 0);
}

static void a_thousand_segments_are_all_found_in_order(void **state)
{
	const struct ayre_segment_entry *entry, *before = NULL;
	size_t found = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		make_file(shm_path(word("%04d", i)), 300);
	look(0);
	for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++) {
		if (before)
			assert_true(before->backing < entry->backing ||
			            (before->backing == entry->backing &&
			             strcmp(before->name, entry->name) <= 0));
		found += strncmp(entry->name, shm_name(""), strlen(shm_name(""))) == 0;
		before = entry;
	}
	assert_int_equal(found, 1000);
	assert_null(ayre_segment_list_entry(list, ayre_segment_list_count(list)));
}

/* --- memfd --- */

static void memory_files_are_known_by_their_inode(void **state)
{
	char *word_given = word("%d m\nm (deleted)", getpid());
	char *name = word("memfd:%s", word_given);
	pid_t one = start(&(struct task){.run = map_memory_file, .path = word_given});
	pid_t other = start(&(struct task){.run = map_memory_file, .path = word_given});
	const struct ayre_segment_entry *entry;

	(void)state;
	look(0);
	entry = find(name, one);
	assert_non_null(entry);
	assert_ptr_not_equal(find(name, other), entry);
	assert_int_equal(entry->backing, AYRE_BACKING_MEMFD);
	assert_false(entry->removed);
	assert_int_equal(entry->size_bytes, 3 * PAGE);
	assert_int_equal(entry->uid, geteuid());
	assert_true(entry->inode > 0);
	assert_int_equal(entry->attached_count, 1);
	assert_int_equal(entry->user_count, 1);
	assert_true(entry->users[0].writable);
}

static void a_closed_memory_file_has_the_size_that_can_be_known(void **state)
{
	char *path = word("%d closed", getpid());
	const struct ayre_segment_entry *entry;

	(void)state;
	start(&(struct task){.run = map_memory_file, .path = path, .read_only = true});
	look(0);
	entry = must_find(word("memfd:%s", path));
	assert_int_equal(entry->size_bytes, geteuid() == 0 ? 3 * PAGE : PAGE);
	assert_int_equal(entry->uid, geteuid() == 0 ? 0 : UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(system_v_segments_come_with_their_users),
		test(removed_system_v_segments_keep_their_names),
		test(private_system_v_segments_are_told_apart_by_id),
		test(another_ipc_namespace_is_another_machine),
		test(an_id_is_not_an_inode),
		test(posix_segments_come_with_their_users),
		test(only_files_of_dev_shm_itself_are_posix_segments),
		test(a_new_file_does_not_inherit_the_users_of_the_old),
		test(another_mount_namespace_has_other_files),
		test(a_thousand_segments_are_all_found_in_order),
		test(memory_files_are_known_by_their_inode),
		test(a_closed_memory_file_has_the_size_that_can_be_known),
	};

	return run_counted("list", tests);
}
