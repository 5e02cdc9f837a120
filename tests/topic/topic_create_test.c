/*
 * Making topics: their names, modes, tags and sizes, and who makes one when many do at once.
 */
#include "topic/topic_world.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#define NAME  "making"
#define CROWD 100

/* --- one of many --- */

struct crowd {
	unsigned int round;
	atomic_uint ready, gate, made, found;
};

static struct crowd *crowd;

static const char *crowd_name(char name[static NAME_BYTES], char letter)
{
	snprintf(name, NAME_BYTES, "crowd-%u%c", crowd->round, letter);
	return name;
}

static void count_outcome(int result, int when_there)
{
	require(result == 1 || result == when_there);
	announce_one_more(result == 1 ? &crowd->made : &crowd->found);
}

/* Whoever made it: everybody finds it whole. */
static int create_with_the_crowd(void *context)
{
	char name[NAME_BYTES];

	(void)context;
	announce_one_more(&crowd->ready);
	await(&crowd->gate, 1);
	count_outcome(ayre_topic_create(TOPIC(.tag = "of the crowd", .flags = AYRE_TOPIC_EXCLUSIVE),
	                                crowd_name(name, 'a'), NULL),
	              -EEXIST);
	require(ayre_topic_create(TOPIC(.tag = "of the crowd"), name, NULL) == 0);
	count_outcome(ayre_topic_create(NULL, crowd_name(name, 'b'), NULL), 0);
	require(ayre_topic_create(TOPIC(.flags = AYRE_TOPIC_EXCLUSIVE), name, NULL) == -EEXIST);
	return 0;
}

static void let_the_crowd(int (*run)(void *context))
{
	pid_t children[CROWD];

	for (unsigned int i = 0; i < CROWD; i++)
		children[i] = start_child(run, (void *)(uintptr_t)i);
	await(&crowd->ready, CROWD);
	announce(&crowd->gate, 1);
	for (unsigned int i = 0; i < CROWD; i++)
		require(end_of(children[i]) == 0);
}

TOPIC_TEST(exactly_one_of_a_hundred_processes_makes_it)
{
	unsigned int rounds = long_form() ? 100 : 5;
	char name[NAME_BYTES];

	crowd = share_memory(sizeof(*crowd));
	for (unsigned int i = 0; i < rounds; i++) {
		*crowd = (struct crowd){.round = i};
		let_the_crowd(create_with_the_crowd);
		require(crowd->made == 2 && crowd->found == 2 * CROWD - 2);
		remove_topic(crowd_name(name, 'a'));
		remove_topic(crowd_name(name, 'b'));
	}
	unshare_memory(crowd, sizeof(*crowd));
	return 0;
}

#define HALF (CROWD / 2)

/* Half of them publish into what is not there, half subscribe to it. */
static int meet_with_the_crowd(void *context)
{
	uint64_t number = (uintptr_t)context;
	bool seen[HALF] = {false};

	announce_one_more(&crowd->ready);
	await(&crowd->gate, 1);
	if (number < HALF) {
		struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

		require(ayre_publisher_wait_subscribers(publisher, HALF, in_ms(60000)) == HALF);
		send_number(publisher, number);
		await(&crowd->made, HALF);
		ayre_publisher_close(publisher);
	} else {
		struct ayre_subscriber *subscriber =
			subscribe(SUBSCRIBER(RING(4096), .from = AYRE_FROM_OLDEST), NAME);

		for (unsigned int i = 0; i < HALF; i++) {
			number = receive_number(subscriber);
			require(number < HALF && !seen[number]);
			seen[number] = true;
		}
		announce_one_more(&crowd->made);
		ayre_subscriber_close(subscriber);
	}
	return 0;
}

TOPIC_TEST(those_who_come_at_once_find_each_other)
{
	crowd = share_memory(sizeof(*crowd));
	let_the_crowd(meet_with_the_crowd);
	unshare_memory(crowd, sizeof(*crowd));
	remove_topic(NAME);
	return 0;
}

/* --- names --- */

static const char *repeat(char letter, size_t count, char text[static NAME_BYTES])
{
	memset(text, letter, count);
	text[count] = '\0';
	return text;
}

TOPIC_TEST(names_that_can_never_be_right_are_refused)
{
	static const char *const wrong[] = {"",    ".",           "..", ".hidden", "a b",     "a\n",
	                                    "a:b", "caf\xc3\xa9", "a/", "a/.",     "/tmp/..", "/"};
	char long_name[NAME_BYTES];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		fails_to_create(NULL, wrong[i], -EINVAL);
		fails_to_publish(NULL, wrong[i], -EINVAL);
		fails_to_subscribe(NULL, wrong[i], -EINVAL);
		require(ayre_topic_remove(wrong[i], true, NULL) == -EINVAL);
	}
	fails_to_create(NULL, NULL, -EINVAL);
	fails_to_publish(NULL, NULL, -EINVAL);
	fails_to_subscribe(NULL, NULL, -EINVAL);
	fails_to_create(NULL, repeat('n', 201, long_name), -ENAMETOOLONG);
	return 0;
}

TOPIC_TEST(names_of_every_allowed_kind_work)
{
	char long_name[NAME_BYTES], path[NAME_BYTES], here[NAME_BYTES];
	const char *right[] = {
		"a",     "Z9",     "a.b_c-d", "_", "-", "topic", repeat('n', 200, long_name),
		"/path", "./here",
	};

	snprintf(path, sizeof(path), "%s/path", topic_root());
	require(chdir(topic_root()) == 0);
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		const char *name = strcmp(right[i], "/path") == 0 ? path : right[i];
		const char *last = strrchr(name, '/');
		struct stat status;

		require(ayre_topic_create(NULL, name, NULL) == 1);
		require(ayre_topic_create(NULL, name, NULL) == 0);
		/* A word is the last part of its path. */
		snprintf(here, sizeof(here), "%.220s", last ? last + 1 : name);
		require(stat(here, &status) == 0 && S_ISDIR(status.st_mode));
		require(ayre_topic_create(NULL, here, NULL) == 0);
		remove_topic(name);
		require(stat(here, &status) == -1);
	}
	return 0;
}

/* --- options --- */

static mode_t mode_of(const char *file)
{
	char path[NAME_BYTES];
	struct stat status;

	require(stat(topic_path(NAME, file, path), &status) == 0);
	return status.st_mode & 07777;
}

TOPIC_TEST(modes_are_as_asked_whatever_the_umask)
{
	static const struct {
		uint32_t asked;
		mode_t directory, topic, join;
	} modes[] = {
		{0, 0700, 0400, 0600},     {0600, 0700, 0400, 0600},  {0640, 01770, 0440, 0660},
		{0644, 01777, 0444, 0666}, {0666, 01777, 0444, 0666}, {0660, 01770, 0440, 0660},
		{0664, 01777, 0444, 0666},
	};
	static const uint32_t wrong[] = {0622, 0400, 0200,  0060, 0066,
	                                 0777, 0700, 01600, 0620, 0642};

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		umask(i % 2 ? 0 : 0777);
		require(ayre_topic_create(TOPIC(.mode = modes[i].asked), NAME, NULL) == 1);
		require(mode_of("") == modes[i].directory);
		require(mode_of("topic") == modes[i].topic && mode_of("join") == modes[i].join);
		remove_topic(NAME);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		fails_to_create(TOPIC(.mode = wrong[i]), NAME, -EINVAL);
	return 0;
}

TOPIC_TEST(a_tag_is_checked_where_one_is_given)
{
	char longest[NAME_BYTES], too_long[NAME_BYTES];

	repeat('t', AYRE_TOPIC_TAG_MAX, longest);
	repeat('t', AYRE_TOPIC_TAG_MAX + 1, too_long);
	fails_to_create(TOPIC(.tag = ""), NAME, -EINVAL);
	fails_to_create(TOPIC(.tag = too_long), NAME, -EINVAL);
	require(ayre_topic_create(TOPIC(.tag = longest), NAME, NULL) == 1);
	require(ayre_topic_create(TOPIC(.tag = longest), NAME, NULL) == 0);
	require(ayre_topic_create(NULL, NAME, NULL) == 0);
	fails_to_create(TOPIC(.tag = "t"), NAME, -EMEDIUMTYPE);
	fails_to_publish(PUBLISHER(.topic = TOPIC(.tag = "t")), NAME, -EMEDIUMTYPE);
	fails_to_subscribe(SUBSCRIBER(.topic = TOPIC(.tag = "t")), NAME, -EMEDIUMTYPE);
	ayre_publisher_close(publish(PUBLISHER(.topic = TOPIC(.tag = longest)), NAME));
	ayre_subscriber_close(subscribe(NULL, NAME));
	remove_topic(NAME);
	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	fails_to_subscribe(SUBSCRIBER(.topic = TOPIC(.tag = "t")), NAME, -EMEDIUMTYPE);
	remove_topic(NAME);
	return 0;
}

/* What it was made with stays, whatever who comes later asks for. */
TOPIC_TEST(a_ring_has_the_size_that_was_asked_for_rounded_up)
{
	static const struct {
		uint64_t asked, got;
	} sizes[] = {
		{0, 1 << 20}, {1, 4096},          {4096, 4096},
		{4097, 8192}, {1 << 16, 1 << 16}, {100000, 1 << 17},
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct ayre_publisher *publisher = publish(PUBLISHER(RING(sizes[i].asked)), NAME);
		struct ayre_publisher *other = publish(PUBLISHER(RING(1 << 18)), NAME);

		require(info_of_publisher(publisher).ring_bytes == sizes[i].got);
		require(info_of_publisher(other).ring_bytes == sizes[i].got);
		ayre_publisher_close(other);
		ayre_publisher_close(publisher);
		remove_topic(NAME);
	}
	fails_to_create(TOPIC(.ring_bytes = (UINT64_C(1) << 40) + 1), NAME, -EINVAL);
	fails_to_create(TOPIC(.ring_bytes = UINT64_MAX), NAME, -EINVAL);
	return 0;
}

TOPIC_TEST(a_ring_that_is_larger_than_the_machine_is_an_error)
{
	struct statvfs room;

	require(statvfs(topic_root(), &room) == 0);
	if (room.f_blocks == 0 || room.f_blocks * room.f_frsize >= UINT64_C(1) << 40)
		return skipped("this file system has no bound below a tebibyte");
	fails_to_create(TOPIC(.ring_bytes = UINT64_C(1) << 40), NAME, -ENOSPC);
	fails_to_publish(PUBLISHER(RING(UINT64_C(1) << 40)), NAME, -ENOSPC);
	fails_to_subscribe(SUBSCRIBER(RING(UINT64_C(1) << 40)), NAME, -ENOSPC);
	return 0;
}

TOPIC_TEST(options_of_other_versions_are_understood)
{
	struct {
		struct ayre_topic_options known;
		char newer[64];
	} longer = {.known = {.size = sizeof(longer), .ring_bytes = 8192}};
	struct ayre_topic_options shorter = {
		.size = offsetof(struct ayre_topic_options, ring_bytes),
		.ring_bytes = UINT64_MAX,
	};

	require(ayre_topic_create(&longer.known, NAME, NULL) == 1);
	remove_topic(NAME);
	require(ayre_topic_create(&shorter, NAME, NULL) == 1);
	remove_topic(NAME);
	fails_to_create(&(struct ayre_topic_options){0}, NAME, -EINVAL);
	fails_to_create(TOPIC(.flags = 1u << 31), NAME, -EINVAL);
	fails_to_publish(&(struct ayre_publisher_options){0}, NAME, -EINVAL);
	fails_to_publish(PUBLISHER(.topic = &(struct ayre_topic_options){0}), NAME, -EINVAL);
	fails_to_subscribe(&(struct ayre_subscriber_options){0}, NAME, -EINVAL);
	fails_to_subscribe(SUBSCRIBER(.from = AYRE_FROM_TIME + 1), NAME, -EINVAL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(exactly_one_of_a_hundred_processes_makes_it),
		counted_test(those_who_come_at_once_find_each_other),
		counted_test(names_that_can_never_be_right_are_refused),
		counted_test(names_of_every_allowed_kind_work),
		counted_test(modes_are_as_asked_whatever_the_umask),
		counted_test(a_tag_is_checked_where_one_is_given),
		counted_test(a_ring_has_the_size_that_was_asked_for_rounded_up),
		counted_test(a_ring_that_is_larger_than_the_machine_is_an_error),
		counted_test(options_of_other_versions_are_understood),
	};

	use_topic_root();
	return run_counted("making topics", tests);
}
