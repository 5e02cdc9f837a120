/*
 * Topics on a disk in tests.
 */
#include "topic/durable_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include "topic/directory.h"
#include "topic/durable.h"

bool is_in_memory(const char *path)
{
	struct statfs status;

	return statfs(path, &status) == 0 &&
	       (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

/* --- the topic --- */

const char *disk_file(const char *file, char path[static NAME_BYTES])
{
	snprintf(path, NAME_BYTES, "%.150s/t%s%s", test_directory(), *file ? "/" : "", file);
	return path;
}

const char *disk_topic(void)
{
	static char path[NAME_BYTES];

	return disk_file("", path);
}

const char *disk_half(void)
{
	static char path[PATH_MAX];
	struct ayrei_topic topic = AYREI_NO_TOPIC;
	char description[NAME_BYTES];
	int fd = open(disk_file("topic", description), O_RDONLY | O_CLOEXEC);
	int directory = open(disk_topic(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	require(fd >= 0 && directory >= 0);
	require(pread(fd, &topic.layout, sizeof(topic.layout), 0) == sizeof(topic.layout));
	require(ayrei_durable_path(&topic, directory, path) == 0);
	close(fd);
	close(directory);
	own_half(path);
	return path;
}

struct ayre_publisher *publish_on_disk(const struct ayre_publisher_options *options)
{
	struct ayre_publisher *publisher = publish(options, disk_topic());

	require(access(disk_half(), F_OK) == 0);
	return publisher;
}

struct ayre_subscriber *subscribe_on_disk(uint32_t from, int64_t from_value, uint32_t flags)
{
	return subscribe(SUBSCRIBER(DISK(), .from = from, .from_value = from_value, .flags = flags,
	                            .spin_ns = AYRE_SPIN_NONE),
	                 disk_topic());
}

void remove_disk_topic(void)
{
	const char *half = disk_half();

	remove_topic(disk_topic());
	require(access(half, F_OK) == -1 && access(disk_topic(), F_OK) == -1);
}

void reboot(void)
{
	const char *half = disk_half();
	DIR *directory = opendir(half);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			require(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
	if (directory)
		closedir(directory);
	require(rmdir(half) == 0 || errno == ENOENT);
}

/* --- its files --- */

const char *extent_file(uint64_t lane, uint64_t begin, char path[static NAME_BYTES])
{
	char file[64];

	snprintf(file, sizeof(file), "log.%016" PRIx64 ".%016" PRIx64, lane, begin);
	return disk_file(file, path);
}

static int compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

struct extent_list list_extents(uint64_t lane)
{
	struct extent_list list = {.count = 0};
	DIR *directory = opendir(disk_topic());
	const struct dirent *entry;
	char prefix[32];

	require(directory);
	snprintf(prefix, sizeof(prefix), "log.%016" PRIx64 ".", lane);
	while ((entry = readdir(directory)))
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
			require(list.count < (int)(sizeof(list.begins) / sizeof(*list.begins)));
			list.begins[list.count++] =
				strtoull(entry->d_name + strlen(prefix), NULL, 16);
		}
	closedir(directory);
	qsort(list.begins, (size_t)list.count, sizeof(*list.begins), compare);
	return list;
}

int count_disk_files(void)
{
	DIR *directory = opendir(disk_topic());
	const struct dirent *entry;
	int count = 0;

	require(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

struct ayrei_slot_layout read_slot(uint64_t lane)
{
	struct ayrei_slot_layout slots[2];
	char file[32], path[NAME_BYTES];
	int fd;

	snprintf(file, sizeof(file), "log.%016" PRIx64, lane);
	fd = open(disk_file(file, path), O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	for (int i = 0; i < 2; i++)
		require(pread(fd, &slots[i], sizeof(slots[i]), (off_t)i * AYREI_BLOCK) ==
		        sizeof(slots[i]));
	close(fd);
	return slots[slots[1].number > slots[0].number];
}

/* --- messages --- */

bool large_numbers;

size_t size_of_number(uint64_t number)
{
	if (large_numbers && number % 3 == 2)
		return 2000;
	return number * 37 % 400;
}

void send_numbers(struct ayre_publisher *publisher, uint64_t count)
{
	uint64_t number = info_of_publisher(publisher).messages;

	for (uint64_t end = number + count; number < end; number++)
		send_pattern(publisher, size_of_number(number), (uint32_t)number);
}

void send_until_extents(struct ayre_publisher *publisher, int count)
{
	uint64_t lane = info_of_publisher(publisher).id;

	while (list_extents(lane).count < count)
		send_numbers(publisher, 50);
}

static ssize_t receive_one(struct ayre_subscriber *subscriber, uint64_t number, int64_t deadline_ns)
{
	char buffer[2048];
	struct ayre_message message;
	ssize_t got =
		deadline_ns
			? ayre_subscriber_receive_until(subscriber, buffer, sizeof(buffer),
	                                                &message, deadline_ns)
			: ayre_subscriber_try_receive(subscriber, buffer, sizeof(buffer), &message);

	if (got < 0)
		return got;
	if (message.sequence != number)
		fprintf(stderr, "number %" PRIu64 ", not %" PRIu64 "\n", message.sequence, number);
	require(message.sequence == number && (ssize_t)message.bytes == got);
	require(is_message(&message, size_of_number(number), (uint32_t)number));
	return got;
}

int receive_numbers(struct ayre_subscriber *subscriber, uint64_t *next, int64_t deadline_ns)
{
	for (;; ++*next) {
		ssize_t got = receive_one(subscriber, *next, deadline_ns);

		if (got < 0)
			return (int)got;
	}
}

void await_numbers(struct ayre_subscriber *subscriber, uint64_t *next, uint64_t end)
{
	for (; *next < end; ++*next)
		require(receive_one(subscriber, *next, in_ms(10000)) >= 0);
	require(receive_numbers(subscriber, next, 0) == -EAGAIN && *next == end);
}

void has_numbers(uint64_t first, uint64_t end)
{
	struct ayre_subscriber *subscriber = subscribe_on_disk(AYRE_FROM_OLDEST, 0, 0);
	uint64_t next = first;

	require(receive_numbers(subscriber, &next, 0) == -EAGAIN);
	require(next == end);
	require(info_of_subscriber(subscriber).missed == 0);
	ayre_subscriber_close(subscriber);
}
