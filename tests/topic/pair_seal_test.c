/*
 * What the ends of a lane without a name are worth: what can be done with the descriptors, what cannot,
 * and ends that are not what they seem.
 */
#include "topic/pair_world.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* --- what an end cannot do --- */

static void cannot_write(int fd, size_t bytes)
{
	char path[64], byte = 'x';
	struct stat status;
	int again;

	require(fstat(fd, &status) == 0 && (size_t)status.st_size == bytes);
	require(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	require(mmap(NULL, bytes, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	require(pwrite(fd, &byte, 1, 0) == -1 && write(fd, &byte, 1) == -1);
	require(ftruncate(fd, 0) == -1 && ftruncate(fd, (off_t)bytes * 2) == -1);
	require(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
	require(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096) == -1);
	require(fcntl(fd, F_ADD_SEALS, 0) == -1);
	/* Nor by another descriptor of it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		require(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) ==
		        MAP_FAILED);
		require(pwrite(again, &byte, 1, 0) == -1 && ftruncate(again, 0) == -1);
		close(again);
	}
	again = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	require(again == -1);
}

/* A map that can be read cannot be made one that can be written. */
static void cannot_be_opened_up(int fd, size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	require(map != MAP_FAILED);
	require(mprotect(map, bytes, PROT_READ | PROT_WRITE) == -1);
	munmap(map, bytes);
}

TOPIC_TEST(the_subscribers_end_cannot_write_the_lane)
{
	struct ayre_ends ends;
	struct ayre_publisher *publisher = pair_to(&ends);

	send_number(publisher, 5);
	cannot_write(ends.fds[LANE], 8192);
	cannot_be_opened_up(ends.fds[LANE], 8192);
	/* Its own file is its own, but for the size. */
	require(ftruncate(ends.fds[CURSOR], 0) == -1 && ftruncate(ends.fds[CURSOR], 8192) == -1);
	{
		struct ayre_subscriber *subscriber = subscribe_ends(&ends, 0);

		require(receive_number(subscriber) == 5);
		ayre_subscriber_close(subscriber);
	}
	ayre_publisher_close(publisher);
	return 0;
}

TOPIC_TEST(the_publishers_end_cannot_write_the_cursor)
{
	struct ayre_ends ends;
	struct ayre_subscriber *subscriber = pair_from(&ends, 0);

	cannot_write(ends.fds[CURSOR], 4096);
	cannot_be_opened_up(ends.fds[CURSOR], 4096);
	require(ftruncate(ends.fds[LANE], 0) == -1 && ftruncate(ends.fds[LANE], 65536) == -1);
	{
		struct ayre_publisher *publisher = publish_ends(&ends);

		send_number(publisher, 6);
		require(receive_number(subscriber) == 6);
		ayre_publisher_close(publisher);
	}
	ayre_subscriber_close(subscriber);
	return 0;
}

/* --- ends that are not what they seem --- */

static void no_subscriber(const struct ayre_ends *ends, int code)
{
	struct ayre_subscriber *subscriber = (void *)&subscriber;
	struct ayre_error error = {0};

	require(ayre_subscriber_open_ends(NULL, ends, &subscriber, &error) == code);
	require(error.code == code && error.step[0] && subscriber == (void *)&subscriber);
	/* Left as they were. */
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		require(ends->fds[i] < 0 || fcntl(ends->fds[i], F_GETFD) >= 0);
}

static void no_publisher(const struct ayre_ends *ends, int code)
{
	struct ayre_publisher *publisher = (void *)&publisher;
	struct ayre_error error = {0};

	require(ayre_publisher_open_ends(NULL, ends, &publisher, &error) == code);
	require(error.code == code && error.step[0] && publisher == (void *)&publisher);
	for (int i = 0; i < AYRE_ENDS_COUNT; i++)
		require(ends->fds[i] < 0 || fcntl(ends->fds[i], F_GETFD) >= 0);
}

static int memory_of(size_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	require(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	require(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

static struct ayre_ends with(const struct ayre_ends *ends, int which, int fd)
{
	struct ayre_ends changed = *ends;

	require(fd >= 0);
	changed.fds[which] = fd;
	return changed;
}

/* One descriptor is another one, for either side. */
static void refuse(void (*no)(const struct ayre_ends *ends, int code), const struct ayre_ends *ends,
                   int which, int fd)
{
	struct ayre_ends changed = with(ends, which, fd);

	no(&changed, -EPROTO);
	close(fd);
}

static void refuse_all(void (*no)(const struct ayre_ends *ends, int code),
                       const struct ayre_ends *ends)
{
	static const int shrink = F_SEAL_SHRINK | F_SEAL_GROW;
	const int *fds = ends->fds;
	char path[NAME_BYTES];

	/* In a wrong order; none at all. */
	no(&(struct ayre_ends){{fds[1], fds[0], fds[2], fds[3]}}, -EPROTO);
	no(&(struct ayre_ends){{fds[2], fds[3], fds[0], fds[1]}}, -EPROTO);
	no(&(struct ayre_ends){{-1, -1, -1, -1}}, -EBADF);
	/* Not sealed, of a wrong size, no memory file. */
	refuse(no, ends, LANE, memory_of(8192, 0));
	refuse(no, ends, CURSOR, memory_of(4096, 0));
	refuse(no, ends, LANE, memory_of(8192, F_SEAL_GROW));
	refuse(no, ends, LANE, memory_of(0, shrink));
	refuse(no, ends, LANE, memory_of(4096, shrink));
	refuse(no, ends, LANE, memory_of(8191, shrink));
	refuse(no, ends, LANE, memory_of(4096 + 4097, shrink));
	refuse(no, ends, LANE, memory_of(4096 + 12288, shrink));
	refuse(no, ends, CURSOR, memory_of(4095, shrink));
	refuse(no, ends, CURSOR, memory_of(8192, shrink));
	refuse(no, ends, LANE, open("/dev/zero", O_RDWR | O_CLOEXEC));
	refuse(no, ends, LANE, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	snprintf(path, sizeof(path), "%s/file", topic_root());
	refuse(no, ends, LANE, open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	require(truncate(path, 8192) == 0);
	refuse(no, ends, LANE, open(path, O_RDWR | O_CLOEXEC));
	require(unlink(path) == 0);
	/* Right in everything but what is in them. */
	refuse(no, ends, LANE, memory_of(8192, shrink));
	refuse(no, ends, CURSOR, memory_of(4096, shrink));
}

TOPIC_TEST(ends_that_are_something_else_are_refused)
{
	struct ayre_ends ends;
	struct ayre_publisher *publisher = pair_to(&ends);
	struct ayre_subscriber *subscriber;

	refuse_all(no_subscriber, &ends);
	ayre_ends_close(&ends);
	ayre_ends_close(&ends);
	ayre_publisher_close(publisher);
	subscriber = pair_from(&ends, 0);
	refuse_all(no_publisher, &ends);
	ayre_ends_close(&ends);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* The ends of a subscriber are no good for publishing, and the other way round. */
TOPIC_TEST(the_ends_of_the_other_side_are_refused)
{
	struct ayre_ends ends;
	struct ayre_publisher *publisher = pair_to(&ends), *none;
	struct ayre_subscriber *subscriber, *nobody;

	require(ayre_publisher_open_ends(NULL, &ends, &none, NULL) < 0);
	ayre_ends_close(&ends);
	ayre_publisher_close(publisher);
	subscriber = pair_from(&ends, 0);
	require(ayre_subscriber_open_ends(NULL, &ends, &nobody, NULL) < 0);
	ayre_ends_close(&ends);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(bells_that_are_something_else_are_refused_or_silent)
{
	struct ayre_ends ends, wrong;
	struct ayre_publisher *publisher = pair_to(&ends);

	for (int i = OWN_BELL; i <= OTHER_BELL; i++) {
		struct ayre_subscriber *subscriber = (void *)&subscriber;
		int result;

		wrong = ends;
		wrong.fds[i] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		result = ayre_subscriber_open_ends(NULL, &wrong, &subscriber, NULL);
		require(result < 0 && subscriber == (void *)&subscriber);
		close(wrong.fds[i]);
	}
	ayre_ends_close(&ends);
	ayre_publisher_close(publisher);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(the_subscribers_end_cannot_write_the_lane),
		counted_test(the_publishers_end_cannot_write_the_cursor),
		counted_test(ends_that_are_something_else_are_refused),
		counted_test(the_ends_of_the_other_side_are_refused),
		counted_test(bells_that_are_something_else_are_refused_or_silent),
	};

	use_topic_root();
	return run_counted("ends of lanes", tests);
}
