/*
 * Removing topics: those in use, those that dead processes left, damaged ones, and what is none.
 */
#include "topic/topic_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define NAME "removing"

static void fails_to_remove(const char *name, bool force, int code, const char *detail)
{
	struct ayre_error error = {0};

	require(ayre_topic_remove(name, force, &error) == code);
	require(error.code == code && error.step[0] && strstr(error.detail, detail));
	require(ayre_topic_remove(name, force, NULL) == code);
}

static bool is_there(void)
{
	char path[NAME_BYTES];
	struct stat status;

	return stat(topic_path(NAME, "", path), &status) == 0;
}

/* --- in use --- */

TOPIC_TEST(one_that_is_in_use_stays_unless_forced)
{
	struct ayre_publisher *publisher = publish(NULL, NAME);
	struct ayre_subscriber *subscriber;

	fails_to_remove(NAME, false, -EBUSY, "1 publisher");
	subscriber = subscribe(NULL, NAME);
	fails_to_remove(NAME, false, -EBUSY, "2 publishers and subscribers");
	ayre_publisher_close(publisher);
	fails_to_remove(NAME, false, -EBUSY, "1 ");
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	fails_to_remove(NAME, false, -ENOENT, "");
	fails_to_remove(NAME, true, -ENOENT, "");
	return 0;
}

static int be_both(void *context)
{
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME);

	subscribe(NULL, NAME);
	send_pattern(publisher, 10000, 1);
	announce((atomic_uint *)context, 1);
	wait_to_be_killed();
}

TOPIC_TEST(what_dead_processes_left_goes_with_it)
{
	atomic_uint *ready = share_memory(sizeof(*ready));
	pid_t victim = start_child(be_both, ready);

	await(ready, 1);
	kill(victim, SIGKILL);
	end_of(victim);
	unshare_memory(ready, sizeof(*ready));
	remove_topic(NAME);
	return 0;
}

struct apart {
	atomic_uint ready, removed, received;
};

static int go_on_unseen(void *context)
{
	struct apart *apart = context;
	struct ayre_subscriber *subscriber = subscribe(SUBSCRIBER(RING(4096)), NAME);

	announce(&apart->ready, 1);
	for (uint32_t i = 0; i < 100; i++)
		receive_pattern(subscriber, i, i);
	announce(&apart->received, 1);
	/* Asleep by the time that these are sent. */
	for (uint32_t i = 100; i < 110; i++)
		receive_pattern(subscriber, i, i);
	ayre_subscriber_close(subscriber);
	return 0;
}

/* Another topic of that name is another topic. */
TOPIC_TEST(those_who_use_it_go_on_among_themselves)
{
	struct apart *apart = share_memory(sizeof(*apart));
	struct ayre_publisher *publisher = publish(PUBLISHER(RING(4096)), NAME), *other;
	pid_t child = start_child(go_on_unseen, apart);
	struct ayre_subscriber *stranger;

	await(&apart->ready, 1);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(5000)) == 1);
	require(ayre_topic_remove(NAME, true, NULL) == 0);
	require(!is_there());
	stranger = subscribe(NULL, NAME);
	other = publish(NULL, NAME);
	send_number(other, 7);
	for (uint32_t i = 0; i < 100; i++)
		send_pattern(publisher, i, i);
	await(&apart->received, 1);
	for (uint32_t i = 100; i < 110; i++) {
		await_sleep(child);
		send_pattern(publisher, i, i);
	}
	require(receive_number(stranger) == 7);
	require(ayre_subscriber_try_receive(stranger, NULL, 0, NULL) == -EAGAIN);
	ayre_publisher_close(other);
	ayre_publisher_close(publisher);
	require(end_of(child) == 0);
	ayre_subscriber_close(stranger);
	remove_topic(NAME);
	unshare_memory(apart, sizeof(*apart));
	return 0;
}

/* --- what may be removed --- */

static void overwrite(const char *file, const char *text)
{
	char path[NAME_BYTES];
	int fd;

	(void)!chmod(topic_path(NAME, file, path), 0600);
	fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
	require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

TOPIC_TEST(a_damaged_one_can_be_removed)
{
	char path[NAME_BYTES];

	ayre_publisher_close(publish(NULL, NAME));
	overwrite("topic", "nonsense");
	require(ayre_topic_remove(NAME, false, NULL) == 0);
	ayre_publisher_close(publish(NULL, NAME));
	require(unlink(topic_path(NAME, "join", path)) == 0);
	require(ayre_topic_remove(NAME, false, NULL) == 0);
	require(!is_there());
	return 0;
}

TOPIC_TEST(a_damaged_one_in_use_stays)
{
	struct ayre_publisher *publisher = publish(NULL, NAME);

	overwrite("topic", "nonsense");
	fails_to_remove(NAME, false, -EBUSY, "");
	ayre_publisher_close(publisher);
	require(ayre_topic_remove(NAME, false, NULL) == 0);
	return 0;
}

/* And nothing of it has gone. */
TOPIC_TEST(one_with_something_else_in_it_stays)
{
	static const char *const foreign[] = {"notes", ".hidden", "pub.short", "topic.bak",
	                                      "pub.0123456789abcdef.else"};
	struct ayre_publisher *publisher = publish(NULL, NAME);
	struct ayre_subscriber *subscriber;
	char path[NAME_BYTES];

	send_number(publisher, 3);
	ayre_publisher_close(publisher);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		overwrite(foreign[i], "mine");
		fails_to_remove(NAME, false, -ENOTEMPTY, foreign[i]);
		fails_to_remove(NAME, true, -ENOTEMPTY, foreign[i]);
		require(unlink(topic_path(NAME, foreign[i], path)) == 0);
	}
	require(mkdir(topic_path(NAME, "folder", path), 0700) == 0);
	fails_to_remove(NAME, true, -ENOTEMPTY, "folder");
	require(rmdir(path) == 0);
	subscriber = subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), NAME);
	require(receive_number(subscriber) == 3);
	ayre_subscriber_close(subscriber);
	remove_topic(NAME);
	return 0;
}

/* Names of a topic's files and of a service's, but directories, which are not removed as files are. */
TOPIC_TEST(one_with_a_directory_by_a_name_of_its_own_stays)
{
	static const char reply[] = "reply.0123456789abcdef.0000000000000001";
	static const char *const foreign[] = {
		"pub.0123456789abcdef",
		"pub.0123456789abcdef.bell",
		"pub.0123456789abcdef.0000000000000010",
		"sub.0123456789abcdef",
		"server",
		reply,
		".reply.0123456789abcdef.0000000000000001.ayre-creating.01234567",
	};
	char path[NAME_BYTES], inside[NAME_BYTES + 8];

	ayre_publisher_close(publish(NULL, NAME));
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
		require(mkdir(topic_path(NAME, foreign[i], path), 0700) == 0);
		snprintf(inside, sizeof(inside), "%s/topic", path);
		/* Of those in which files may be, something that is none. */
		require(mkdir(inside, 0700) == 0);
		fails_to_remove(NAME, false, -ENOTEMPTY, foreign[i]);
		fails_to_remove(NAME, true, -ENOTEMPTY, foreign[i]);
		require(rmdir(inside) == 0 && rmdir(path) == 0);
	}
	/* Nor is a file a reply topic. */
	overwrite(reply, "mine");
	fails_to_remove(NAME, true, -ENOTEMPTY, reply);
	require(unlink(topic_path(NAME, reply, path)) == 0);
	/* An empty one goes with it: its maker died before it was whole. */
	require(mkdir(topic_path(NAME, foreign[6], path), 0700) == 0);
	remove_topic(NAME);
	ayre_publisher_close(publish(NULL, NAME));
	require(unlink(topic_path(NAME, "join", path)) == 0 && mkdir(path, 0700) == 0);
	fails_to_remove(NAME, true, -ENOTEMPTY, "join");
	require(rmdir(path) == 0);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(a_directory_that_is_no_topic_is_left_alone)
{
	char path[NAME_BYTES];

	require(mkdir(topic_path(NAME, "", path), 0700) == 0);
	fails_to_remove(NAME, true, -EPROTO, "no topic");
	overwrite("notes", "mine");
	fails_to_remove(NAME, true, -EPROTO, "no topic");
	overwrite("join", "mine");
	overwrite("pub.0123456789abcdef", "mine");
	require(ayre_topic_remove(NAME, true, NULL) < 0);
	require(unlink(topic_path(NAME, "notes", path)) == 0);
	fails_to_remove(NAME, true, -EPROTO, "no topic");
	require(unlink(topic_path(NAME, "join", path)) == 0);
	require(unlink(topic_path(NAME, "pub.0123456789abcdef", path)) == 0);
	return rmdir(topic_path(NAME, "", path));
}

/* --- many at once --- */

struct race {
	atomic_uint over;
	atomic_uint removed, used, failed;
};

/* What somebody is told under whom it was removed. */
static bool is_removal(int result)
{
	return result == -ENOENT || result == -EPROTO || result == -EBUSY;
}

static int use_it(void *context)
{
	struct race *race = context;

	while (!atomic_load(&race->over)) {
		struct ayre_publisher *publisher = NULL;
		struct ayre_subscriber *subscriber = NULL;
		int result = ayre_publisher_open(PUBLISHER(RING(4096)), NAME, &publisher, NULL);

		if (result == 0) {
			send_number(publisher, 1);
			result = ayre_subscriber_open(SUBSCRIBER(RING(4096)), NAME, &subscriber,
			                              NULL);
			send_number(publisher, 2);
		}
		require(result == 0 || is_removal(result));
		atomic_fetch_add(result == 0 ? &race->used : &race->failed, 1);
		ayre_subscriber_close(subscriber);
		ayre_publisher_close(publisher);
	}
	return 0;
}

static int remove_it(void *context)
{
	struct race *race = context;
	bool force = false;

	while (!atomic_load(&race->over)) {
		int result = ayre_topic_remove(NAME, force, NULL);

		require(result == 0 || is_removal(result) || result == -ENOTEMPTY);
		atomic_fetch_add(&race->removed, result == 0);
		force = !force;
	}
	return 0;
}

/* Whoever opens finds a whole one, makes it, or is told; what is left in the end is a topic or nothing. */
TOPIC_TEST(removing_and_opening_at_once_leave_a_topic_or_nothing)
{
	struct race *race = share_memory(sizeof(*race));
	pid_t children[4];

	for (int i = 0; i < 4; i++)
		children[i] = start_child(i < 2 ? use_it : remove_it, race);
	pause_ns(long_form() ? 60 * SECOND : 2 * SECOND);
	atomic_store(&race->over, 1);
	for (int i = 0; i < 4; i++)
		require(end_of(children[i]) == 0);
	print_message("# used %u times, removed %u times, removed under an opener %u times\n",
	              race->used, race->removed, race->failed);
	require(race->used > 20 && race->removed > 20);
	unshare_memory(race, sizeof(*race));
	ayre_publisher_close(publish(PUBLISHER(RING(4096)), NAME));
	remove_topic(NAME);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(one_that_is_in_use_stays_unless_forced),
		counted_test(what_dead_processes_left_goes_with_it),
		counted_test(those_who_use_it_go_on_among_themselves),
		counted_test(a_damaged_one_can_be_removed),
		counted_test(a_damaged_one_in_use_stays),
		counted_test(one_with_something_else_in_it_stays),
		counted_test(one_with_a_directory_by_a_name_of_its_own_stays),
		counted_test(a_directory_that_is_no_topic_is_left_alone),
		counted_test(removing_and_opening_at_once_leave_a_topic_or_nothing),
	};

	use_topic_root();
	return run_counted("removing topics", tests);
}
