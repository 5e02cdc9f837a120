/*
 * Segments between processes that do not trust each other: read-only handles, descriptors that
 * travel, seals.
 */
#include "support/open.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define DATA_BYTES 5000

static void read_only_pages_cannot_be_written(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	struct ayre_segment *writer, *reader;
	char name[NAME_BYTES];

	name_of(state, name);
	for (size_t i = 0; i < 2; i++) {
		struct ayre_segment_options create =
			*OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = DATA_BYTES,
		                 .tag = tags[i]);

		assert_int_equal(try_open(&create, name, &writer), 1);
		assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), name, &reader),
		                 0);
		assert_read_only(ayre_segment_data(reader));
		assert_exited(run_in_child(store_into, ayre_segment_data(writer)));
		assert_int_equal(*(char *)ayre_segment_data(reader), 'x');
		assert_int_equal(ayre_segment_write(reader, 0, "y", 1), -EACCES);
		ayre_segment_close(writer);
		ayre_segment_close(reader);
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
		/* Also in the hands of the one who made it. */
		create.flags |= AYRE_SEGMENT_READ_ONLY;
		assert_int_equal(try_open(&create, name, &writer), 1);
		assert_read_only(ayre_segment_data(writer));
		ayre_segment_close(writer);
		assert_int_equal(ayre_segment_remove(name, NULL), 0);
	}
}

static void read_only_descriptors_cannot_be_made_writable(void **state)
{
	struct ayre_segment *reader;
	char name[NAME_BYTES];

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = DATA_BYTES),
	                          name_of(state, name), NULL),
	                 1);
	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), name, &reader), 0);
	assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, ayre_segment_fd(reader), 0),
	                 MAP_FAILED);
	assert_int_equal(mprotect(ayre_segment_data(reader), 1, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(fcntl(ayre_segment_fd(reader), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ayre_segment_close(reader);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void system_v_has_no_descriptor(void **state)
{
	struct ayre_segment *segment;
	char name[NAME_BYTES];

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1),
	                          name_of(state, name), &segment),
	                 1);
	assert_int_equal(ayre_segment_fd(segment), -EOPNOTSUPP);
	ayre_segment_close(segment);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

static void send_descriptor(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 'd';
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	assert_int_equal(sendmsg(socket, &message, 0), 1);
}

static int receive_descriptor(int socket)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	int fd;

	require(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/*
 * A child that was there before the segment was, and gets its descriptor: run is the child's
 * part, options make the segment. Returns what the child's end was, and the handle.
 */
static int hand_over(const struct ayre_segment_options *options, int (*receive)(void *context),
                     struct ayre_segment **ret_segment)
{
	int ends[2], status;
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	child = start_child(receive, &ends[1]);
	assert_int_equal(try_open(options, NULL, ret_segment), 1);
	assert_int_equal(ayre_segment_backing(*ret_segment), AYRE_BACKING_MEMFD);
	fill_pattern(ayre_segment_data(*ret_segment), ayre_segment_size(*ret_segment), 1);
	send_descriptor(ends[0], ayre_segment_fd(*ret_segment));
	status = end_of(child);
	close(ends[0]);
	close(ends[1]);
	return status;
}

static int receive_and_answer(void *context)
{
	int fd = receive_descriptor(*(int *)context);
	struct ayre_segment *segment;

	require(ayre_segment_open_fd(OPTIONS(.tag = "handed over", .size_bytes = DATA_BYTES), fd,
	                             &segment, NULL) == 0);
	close(fd);
	require(ayre_segment_backing(segment) == AYRE_BACKING_MEMFD);
	require(ayre_segment_size(segment) == DATA_BYTES);
	require(is_pattern(ayre_segment_data(segment), DATA_BYTES, 1));
	fill_pattern(ayre_segment_data(segment), DATA_BYTES, 2);
	ayre_segment_close(segment);
	return 0;
}

static void anonymous_segments_travel(void **state)
{
	struct ayre_segment *segment;

	(void)state;
	assert_exited(hand_over(OPTIONS(.size_bytes = DATA_BYTES, .tag = "handed over"),
	                        receive_and_answer, &segment));
	assert_true(is_pattern(ayre_segment_data(segment), DATA_BYTES, 2));
	ayre_segment_close(segment);
}

/* Whoever has the descriptor can try; no seal can be taken back. */
static int receive_and_cut(void *context)
{
	int fd = receive_descriptor(*(int *)context);

	require(ftruncate(fd, 0) == -1 && errno == EPERM);
	require(ftruncate(fd, 1) == -1 && errno == EPERM);
	require(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	require((fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_SEAL)) ==
	        (F_SEAL_SHRINK | F_SEAL_SEAL));
	require(ftruncate(fd, 2 * DATA_BYTES) == 0);
	return 0;
}

static void anonymous_segments_cannot_be_cut(void **state)
{
	struct ayre_segment *segment;

	(void)state;
	assert_exited(hand_over(OPTIONS(.size_bytes = DATA_BYTES), receive_and_cut, &segment));
	assert_true(is_pattern(ayre_segment_data(segment), DATA_BYTES, 1));
	assert_int_equal(ayre_segment_check(segment), 0);
	ayre_segment_close(segment);
}

static int receive_and_try_to_write(void *context)
{
	int fd = receive_descriptor(*(int *)context), again;
	struct ayre_segment *segment;
	char path[64];
	char *data;

	require(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	require(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	require(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
	require(ftruncate(fd, 0) == -1 && errno == EPERM);
	require(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
	/* Nor by opening it anew, nor by making a map writable later. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	require(again < 0 || pwrite(again, "x", 1, 0) == -1);
	data = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	require(data != MAP_FAILED && mprotect(data, 1, PROT_READ | PROT_WRITE) == -1);
	require(ayre_segment_open_fd(NULL, fd, &segment, NULL) == -EPERM);
	require(ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), fd, &segment,
	                             NULL) == 0);
	require(is_pattern(ayre_segment_data(segment), DATA_BYTES, 1));
	require(ayre_segment_write(segment, 0, "x", 1) == -EACCES);
	return 0;
}

static void a_sole_writer_is_the_only_one(void **state)
{
	static const char *const tags[] = {NULL, "tagged"};
	struct ayre_segment *segment;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_exited(hand_over(OPTIONS(.flags = AYRE_SEGMENT_SOLE_WRITER,
		                                .size_bytes = DATA_BYTES, .tag = tags[i]),
		                        receive_and_try_to_write, &segment));
		/* Who made it goes on writing, also when it has grown and moved. */
		assert_true(is_pattern(ayre_segment_data(segment), DATA_BYTES, 1));
		assert_true(ayre_segment_resize(segment, 1 << 20, NULL) >= 0);
		fill_pattern(ayre_segment_data(segment), 1 << 20, 4);
		assert_int_equal(ayre_segment_write(segment, 0, "x", 1), 0);
		ayre_segment_close(segment);
	}
}

static void unsealed_memory_is_refused(void **state)
{
	struct ayre_segment *segment = NULL;
	struct ayre_error error = {0};
	int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(ftruncate(fd, DATA_BYTES), 0);
	assert_int_equal(ayre_segment_open_fd(NULL, fd, &segment, &error), -EPERM);
	assert_int_equal(error.code, -EPERM);
	assert_null(segment);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), fd, &segment, NULL),
		-EPERM);
	/* Other seals do not help. */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), fd, &segment, NULL),
		-EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_READ_ONLY), fd, &segment, NULL),
		0);
	ayre_segment_close(segment);
	close(fd);
}

static void what_is_no_segment_is_refused(void **state)
{
	struct ayre_segment *segment = NULL;
	int ends[2], directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int path = open("/proc/self/exe", O_PATH | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(ayre_segment_open_fd(NULL, -1, &segment, NULL), -EBADF);
	assert_int_equal(ayre_segment_open_fd(NULL, 1 << 20, &segment, NULL), -EBADF);
	assert_int_equal(ayre_segment_open_fd(NULL, ends[0], &segment, NULL), -ENODEV);
	assert_int_equal(ayre_segment_open_fd(NULL, directory, &segment, NULL), -EISDIR);
	assert_true(ayre_segment_open_fd(NULL, path, &segment, NULL) < 0);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = 1),
	                             ends[0], &segment, NULL),
		-EINVAL);
	assert_null(segment);
	close(ends[0]);
	close(ends[1]);
	close(directory);
	close(path);
}

/* A handle has a descriptor of its own. */
static void descriptors_of_files_open(void **state)
{
	struct ayre_segment *first, *second;
	char name[NAME_BYTES];

	assert_int_equal(try_open(OPTIONS(.flags = AYRE_SEGMENT_CREATE, .size_bytes = DATA_BYTES,
	                                  .tag = "t"),
	                          name_of(state, name), &first),
	                 1);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.tag = "u"), ayre_segment_fd(first), &second, NULL),
		-EMEDIUMTYPE);
	assert_int_equal(
		ayre_segment_open_fd(OPTIONS(.tag = "t"), ayre_segment_fd(first), &second, NULL),
		0);
	ayre_segment_close(first);
	assert_int_equal(ayre_segment_backing(second), AYRE_BACKING_FILE);
	assert_int_equal(ayre_segment_write(second, 0, "x", 1), 0);
	assert_int_equal(*(char *)ayre_segment_data(second), 'x');
	ayre_segment_close(second);
	assert_int_equal(ayre_segment_remove(name, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		named_test(read_only_pages_cannot_be_written),
		file_test(read_only_descriptors_cannot_be_made_writable),
		backing_test(system_v_has_no_descriptor, SYSV),
		counted_test(anonymous_segments_travel),
		counted_test(anonymous_segments_cannot_be_cut),
		counted_test(a_sole_writer_is_the_only_one),
		counted_test(unsealed_memory_is_refused),
		counted_test(what_is_no_segment_is_refused),
		file_test(descriptors_of_files_open),
	};

	return run_counted("segment share", tests);
}
