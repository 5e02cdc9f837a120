/*
 * The world that a list of segments is tested on.
 */
#include "list_world.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>

/* --- what a test makes, and what its teardown takes away --- */

char directory[64];
static char prefix[32]; /* of everything in /dev/shm */
static pid_t children[16];
static size_t child_count;
static int segments[8]; /* System V ids */
static size_t segment_count;
struct ayre_segment_list *list;

int setup(void **state)
{
	if (count_setup(state) != 0)
		return -1;
	snprintf(prefix, sizeof(prefix), "ayre-list %d ", getpid());
	snprintf(directory, sizeof(directory), "/tmp/ayre-list-%d", getpid());
	child_count = segment_count = 0;
	list = NULL;
	return mkdir(directory, 0755);
}

static int remove_ours(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	const char *shm = shm_path("");

	(void)status;
	(void)kind;
	(void)place;
	if (strncmp(path, directory, strlen(directory)) == 0 ||
	    strncmp(path, shm, strlen(shm)) == 0)
		remove(path);
	return 0;
}

int teardown(void **state)
{
	ayre_segment_list_free(list);
	for (size_t i = 0; i < child_count; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	for (size_t i = 0; i < segment_count; i++)
		shmctl(segments[i], IPC_RMID, NULL);
	nftw(SHM_DIRECTORY, remove_ours, 8, FTW_DEPTH | FTW_PHYS);
	nftw(directory, remove_ours, 8, FTW_DEPTH | FTW_PHYS);
	return count_teardown(state);
}

char *word(const char *format, ...)
{
	static char words[64][256];
	static unsigned int next;
	char *text = words[next++ % 64];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(words[0]), format, arguments);
	va_end(arguments);
	return text;
}

char *shm_path(const char *name)
{
	return word("%s/%s%s", SHM_DIRECTORY, prefix, name);
}

char *shm_name(const char *name)
{
	return word("shm:%s%s", prefix, name);
}

char *file_path(const char *name)
{
	return word("%s/%s", directory, name);
}

key_t list_key(void)
{
	return (key_t)(0x4c000000u | (unsigned int)getpid());
}

void make_file(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

int make_sysv(key_t key, size_t bytes)
{
	int id = shmget(key, bytes, IPC_CREAT | IPC_EXCL | 0640);

	assert_true(id >= 0);
	own_sysv(id);
	return id;
}

void own_sysv(int id)
{
	segments[segment_count++] = id;
}

void open_tagged(const char *name, struct ayre_segment **ret_segment)
{
	struct ayre_segment_options options = {
		.size = sizeof(options),
		.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE,
		.size_bytes = PAGE,
		.tag = "numbers",
	};

	assert_int_equal(ayre_segment_open(&options, name, ret_segment, NULL), 1);
}

/* --- children --- */

bool map_fd(int fd, const struct task *task)
{
	void *address = mmap(NULL, PAGE, PROT_READ | (task->read_only ? 0 : PROT_WRITE),
	                     task->private ? MAP_PRIVATE : MAP_SHARED, fd, 0);

	return address != MAP_FAILED;
}

bool map_path(const struct task *task)
{
	int fd = open(task->path, (task->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	bool mapped = fd >= 0 && map_fd(fd, task);

	close(fd);
	return mapped;
}

bool attach_id(const struct task *task)
{
	return shmat(task->id, NULL, task->read_only ? SHM_RDONLY : 0) != (void *)-1;
}

bool map_memory_file(const struct task *task)
{
	int fd = memfd_create(task->path, MFD_CLOEXEC);
	bool mapped = fd >= 0 && ftruncate(fd, 3 * PAGE) == 0 && map_fd(fd, task);

	if (task->read_only)
		close(fd);
	return mapped;
}

void own_child(pid_t child)
{
	children[child_count++] = child;
}

pid_t try_start(const struct task *task)
{
	char done = 0;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		done = task->run(task);
		if (write(ends[1], &done, 1) != 1)
			_exit(1);
		close(ends[1]);
		for (;;)
			pause();
	}
	own_child(child);
	close(ends[1]);
	if (read(ends[0], &done, 1) != 1)
		done = 0;
	close(ends[0]);
	return done ? child : 0;
}

pid_t start(const struct task *task)
{
	pid_t child = try_start(task);

	assert_true(child > 0);
	return child;
}

/* --- looking --- */

void look(uint32_t wanted)
{
	struct ayre_segment_list_options options = {.size = sizeof(options), .backings = wanted};
	struct ayre_error error = {0};

	ayre_segment_list_free(list);
	list = NULL;
	if (ayre_segment_list_new(&options, &list, &error) != 0)
		fail_msg("%s: %s: %d %s", error.step, error.object, error.code, error.detail);
}

const struct ayre_segment_entry *look_at(const char *name)
{
	struct ayre_segment_list_options options = {.size = sizeof(options), .name = name};

	ayre_segment_list_free(list);
	list = NULL;
	assert_int_equal(ayre_segment_list_new(&options, &list, NULL), 0);
	assert_int_equal(ayre_segment_list_count(list), 1);
	return ayre_segment_list_entry(list, 0);
}

const struct ayre_segment_entry *find(const char *name, pid_t user)
{
	const struct ayre_segment_entry *entry;

	for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++) {
		bool found = user == 0;

		if (strcmp(entry->name, name) != 0)
			continue;
		for (size_t j = 0; j < entry->user_count; j++)
			found = found || entry->users[j].pid == user;
		if (found)
			return entry;
	}
	return NULL;
}

const struct ayre_segment_entry *must_find(const char *name)
{
	const struct ayre_segment_entry *entry = find(name, 0);

	if (!entry)
		fail_msg("%s is not in the list", name);
	return entry;
}

size_t count_of_user(pid_t pid)
{
	const struct ayre_segment_entry *entry;
	size_t count = 0;

	for (size_t i = 0; (entry = ayre_segment_list_entry(list, i)); i++)
		for (size_t j = 0; j < entry->user_count; j++)
			count += entry->users[j].pid == pid;
	return count;
}
