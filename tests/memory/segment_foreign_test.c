/*
 * What stands under a name without being ayre's: objects of the textbook's programs, which
 * are opened as they are, and whatever is no segment at all, which is refused at once.
 */
#include "support/open.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const uint32_t opens[] = {
	0,
	AYRE_SEGMENT_READ_ONLY,
	AYRE_SEGMENT_CREATE,
	AYRE_SEGMENT_CREATE | AYRE_SEGMENT_READ_ONLY,
};

/* Whatever stands at the name of segment 0 is refused by every way to open it. */
static void assert_refused(void **state, int result)
{
	struct counts before = take_counts();
	char name[NAME_BYTES];

	name_of(state, name);
	for (size_t i = 0; i < sizeof(opens) / sizeof(*opens); i++)
		assert_int_equal(try_open(OPTIONS(.flags = opens[i], .size_bytes = 1), name, NULL),
		                 result);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE | AYRE_SEGMENT_EXCLUSIVE,
	                                  .size_bytes = 1),
	                          name, NULL),
	                 -EEXIST);
	assert_counts(&before);
}

static const char *path_of(void **state, char path[NAME_BYTES])
{
	return make_path(path, kind_of(state), 0);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void empty_files_are_empty_segments(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES], byte;
	struct ayre_segment *segment;

	write_file(path_of(state, path), "", 0);
	assert_int_equal(try_open(NULL, name_of(state, name), &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 0);
	assert_null(ayre_segment_data(segment));
	assert_int_equal(ayre_segment_read(segment, 0, &byte, 0), 0);
	assert_int_equal(ayre_segment_read(segment, 0, &byte, 1), -ERANGE);
	assert_int_equal(ayre_segment_check(segment), 0);
	assert_true(ayre_segment_sync(segment, 0, 0, AYRE_SYNC_WAIT) >= 0);
	/* It is there, so it is not created; and it can grow. */
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1), name, NULL),
		-EMSGSIZE);
	assert_int_equal(try_open(OPTIONS(.tag = "t"), name, NULL), -EMEDIUMTYPE);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_MIRRORED), name, NULL), -EINVAL);
	assert_int_equal(ayre_segment_resize(segment, 10, NULL), 1);
	assert_true(is_zero(ayre_segment_data(segment), 10));
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void files_of_others_are_raw(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES];
	struct ayre_segment *segment;

	write_file(path_of(state, path), "hello", 5);
	assert_int_equal(try_open(NULL, name_of(state, name), &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 5);
	assert_memory_equal(ayre_segment_data(segment), "hello", 5);
	((char *)ayre_segment_data(segment))[0] = 'j';
	ayre_segment_close(segment);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), name, &segment), 0);
	assert_memory_equal(ayre_segment_data(segment), "jello", 5);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void directories_are_refused(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES];

	assert_int_equal(mkdir(path_of(state, path), 0755), 0);
	assert_refused(state, -EISDIR);
	assert_int_equal(ayre_segment_remove(name_of(state, name), NULL), -EINVAL);
	assert_int_equal(rmdir(path), 0);
}

/* Opening one for reading only would wait for a writer that never comes. */
static void fifos_are_refused_without_waiting(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES];

	assert_int_equal(mkfifo(path_of(state, path), 0666), 0);
	set_deadline(5);
	assert_refused(state, -ENODEV);
	assert_int_equal(ayre_segment_remove(name_of(state, name), NULL), -EINVAL);
	assert_int_equal(unlink(path), 0);
}

static void sockets_are_refused(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[NAME_BYTES], path[NAME_BYTES];
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	path_of(state, path);
	if (strlen(path) >= sizeof(address.sun_path)) {
		close(listener);
		skip_because("the directory's name is too long for a socket");
	}
	strcpy(address.sun_path, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_refused(state, -ENXIO);
	assert_int_equal(ayre_segment_remove(name_of(state, name), NULL), -EINVAL);
	close(listener);
	assert_int_equal(unlink(path), 0);
}

static void devices_are_refused(void **state)
{
	(void)state;
	assert_int_equal(try_open(NULL, "file:/dev/zero", NULL), -ENODEV);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), "file:/dev/null", NULL),
	                 -ENODEV);
	assert_int_equal(ayre_segment_remove("file:/dev/null", NULL), -EINVAL);
	assert_int_equal(access("/dev/null", F_OK), 0);
}

static void files_that_tell_no_size_are_empty(void **state)
{
	struct ayre_segment *segment;

	(void)state;
	/* /proc's files are regular and say that they have no bytes. */
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY),
	                          "file:/proc/self/status", &segment),
	                 0);
	assert_int_equal(ayre_segment_size(segment), 0);
	ayre_segment_close(segment);
}

static void links_to_nowhere_end(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES], link[NAME_BYTES + 8];

	path_of(state, path);
	snprintf(link, sizeof(link), "%s-nowhere", path);
	assert_int_equal(symlink(link, path), 0);
	set_deadline(5);
	name_of(state, name);
	/* What creating means for it has to be said, and not tried for ever. */
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1), name, NULL),
		-ELOOP);
	assert_int_equal(try_open(NULL, name, NULL),
	                 kind_of(state) == AYRE_BACKING_SHM ? -ELOOP : -ENOENT);
	assert_int_equal(access(link, F_OK), -1);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void links_in_a_circle_end(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES];

	path_of(state, path);
	assert_int_equal(symlink(path, path), 0);
	set_deadline(5);
	assert_refused(state, -ELOOP);
	assert_int_equal(ayre_segment_remove(name_of(state, name), NULL), 0);
}

/* /dev/shm is everybody's: a link there may lead to what another user wants to have damaged. */
static void posix_links_are_refused(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES], target[NAME_BYTES];

	make_path(target, AYRE_BACKING_FILE, 1);
	write_file(target, "victim", 6);
	assert_int_equal(symlink(target, path_of(state, path)), 0);
	assert_refused(state, -ELOOP);
	/* Removing takes the link, never what it leads to. */
	assert_int_equal(ayre_segment_remove(name_of(state, name), NULL), 0);
	assert_int_equal(access(target, F_OK), 0);
	assert_int_equal(unlink(target), 0);
}

static void file_links_are_followed(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES], target[NAME_BYTES];
	struct ayre_segment *segment;

	(void)state;
	make_path(target, AYRE_BACKING_FILE, 1);
	write_file(target, "target", 6);
	assert_int_equal(symlink(target, make_path(path, AYRE_BACKING_FILE, 0)), 0);
	assert_int_equal(try_open(NULL, make_name(name, AYRE_BACKING_FILE, 0), &segment), 0);
	assert_memory_equal(ayre_segment_data(segment), "target", 6);
	ayre_segment_close(segment);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(target), 0);
}

static void missing_directories_are_named(void **state)
{
	struct ayre_segment *segment;
	struct ayre_error error = {0};
	char name[NAME_BYTES + 16], path[NAME_BYTES];

	(void)state;
	make_path(path, AYRE_BACKING_FILE, 0);
	snprintf(name, sizeof(name), "file:%s/missing", path);
	set_deadline(5);
	assert_int_equal(ayre_segment_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1),
	                                   name, &segment, &error),
	                 -ENOENT);
	assert_non_null(strstr(error.detail, path));
}

static void forbidden_directories_are_refused(void **state)
{
	char name[NAME_BYTES + 16], path[NAME_BYTES];

	(void)state;
	if (is_root())
		skip_because("nothing is forbidden to root");
	make_path(path, AYRE_BACKING_FILE, 0);
	assert_int_equal(mkdir(path, 0500), 0);
	snprintf(name, sizeof(name), "file:%s/new", path);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1), name, NULL),
		-EACCES);
	assert_int_equal(rmdir(path), 0);
}

static void forbidden_segments_are_refused(void **state)
{
	char name[NAME_BYTES];

	if (is_root())
		skip_because("nothing is forbidden to root");
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1, .mode = 0444),
	                 name_of(state, name), NULL),
		1);
	assert_int_equal(try_open(NULL, name, NULL), -EACCES);
	assert_int_equal(
		try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1), name, NULL),
		-EACCES);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), name, NULL), 0);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void textbook_posix_segments_open(void **state)
{
	char name[NAME_BYTES], path[NAME_BYTES], posix[NAME_BYTES];
	struct ayre_segment *segment;
	char *theirs;
	int fd;

	(void)state;
	make_path(path, AYRE_BACKING_SHM, 0);
	snprintf(posix, sizeof(posix), "%s", strrchr(path, '/'));
	fd = shm_open(posix, O_CREAT | O_EXCL | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 1024), 0);
	theirs = mmap(NULL, 1024, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	strcpy(theirs, "from the textbook");
	assert_int_equal(try_open(OPTIONS(.size_bytes = 1024), make_name(name, AYRE_BACKING_SHM, 0),
	                          &segment),
	                 0);
	assert_int_equal(ayre_segment_size(segment), 1024);
	assert_string_equal(ayre_segment_data(segment), "from the textbook");
	strcpy(ayre_segment_data(segment), "from ayre");
	assert_string_equal(theirs, "from ayre");
	ayre_segment_close(segment);
	munmap(theirs, 1024);
	assert_int_equal(shm_unlink(posix), 0);
}

static void textbook_system_v_segments_open(void **state)
{
	char name[NAME_BYTES + 8], path[NAME_BYTES];
	struct ayre_segment *segment;
	char *theirs;
	int id;

	(void)state;
	write_file(make_path(path, AYRE_BACKING_FILE, 0), "", 0);
	own_key(ftok(path, 'R'));
	id = shmget(ftok(path, 'R'), 1024, IPC_CREAT | 0644);
	theirs = shmat(id, NULL, 0);
	strcpy(theirs, "from the textbook");
	snprintf(name, sizeof(name), "sysv:%s", path);
	assert_int_equal(try_open(OPTIONS(.size_bytes = 1024), name, &segment), 0);
	assert_int_equal(ayre_segment_size(segment), 1024);
	assert_string_equal(ayre_segment_data(segment), "from the textbook");
	strcpy(ayre_segment_data(segment), "from ayre");
	assert_string_equal(theirs, "from ayre");
	ayre_segment_close(segment);
	shmdt(theirs);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
	assert_int_equal(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), -1);
	unlink(path);
}

/* The other way round: what ayre makes raw is what a textbook's program expects. */
static void textbook_programs_open_raw_segments(void **state)
{
	char name[NAME_BYTES];
	char *theirs;
	int id;

	(void)state;
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1024),
	                          make_name(name, AYRE_BACKING_SYSV, 0), NULL),
	                 1);
	id = shmget(make_key(0), 1024, IPC_CREAT | 0644);
	assert_true(id >= 0);
	theirs = shmat(id, NULL, 0);
	assert_true(is_zero(theirs, 1024));
	shmdt(theirs);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(empty_files_are_empty_segments),
		file_test(files_of_others_are_raw),
		file_test(directories_are_refused),
		file_test(fifos_are_refused_without_waiting),
		file_test(sockets_are_refused),
		counted_test(devices_are_refused),
		counted_test(files_that_tell_no_size_are_empty),
		file_test(links_to_nowhere_end),
		file_test(links_in_a_circle_end),
		backing_test(posix_links_are_refused, SHM),
		counted_test(file_links_are_followed),
		counted_test(missing_directories_are_named),
		counted_test(forbidden_directories_are_refused),
		named_test(forbidden_segments_are_refused),
		counted_test(textbook_posix_segments_open),
		counted_test(textbook_system_v_segments_open),
		counted_test(textbook_programs_open_raw_segments),
	};

	return run_counted("segment foreign", tests);
}
