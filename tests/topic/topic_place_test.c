/*
 * Where topics are made: the default root, which has to be this user's alone, folders that are missing,
 * disks, and names that something else has.
 */
#include "topic/topic_world.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ayre/topic_list.h>

#define NAME "placed"

/* --- the place --- */
TOPIC_TEST(a_folder_that_is_missing_is_an_error_but_the_root_is_made)
{
	char path[NAME_BYTES];
	struct stat status;

	fails_to_create(NULL, topic_path("nowhere/deep", "", path), -ENOENT);
	fails_to_publish(PUBLISHER(.flags = AYRE_PUBLISHER_EXISTING), NAME, -ENOENT);
	fails_to_subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_EXISTING), NAME, -ENOENT);
	require(ayre_topic_remove(NAME, false, NULL) == -ENOENT);
	topic_path("root", "", path);
	setenv("AYRE_DIR", path, 1);
	/* To ask for what has to be there makes nothing. */
	fails_to_publish(PUBLISHER(.flags = AYRE_PUBLISHER_EXISTING), NAME, -ENOENT);
	require(stat(path, &status) == -1);
	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	require(stat(path, &status) == 0 && (status.st_mode & 07777) == 0700);
	remove_topic(NAME);
	return rmdir(path);
}

/* Which of the two a topic is, is not its name's to say. */
TOPIC_TEST(memory_is_not_durable)
{
	struct ayre_topic_options durable = {.size = sizeof(durable), .flags = AYRE_TOPIC_DURABLE};
	struct ayre_topic_options retaining = {.size = sizeof(retaining), .retain_bytes = 1};

	fails_to_create(&durable, NAME, -EOPNOTSUPP);
	fails_to_create(&retaining, NAME, -EINVAL);
	require(ayre_topic_create(NULL, NAME, NULL) == 1);
	fails_to_create(&durable, NAME, -EOPNOTSUPP);
	remove_topic(NAME);
	return 0;
}

TOPIC_TEST(what_else_has_the_name_is_left_alone)
{
	char path[NAME_BYTES], other[NAME_BYTES];
	int fd = open(topic_path(NAME, "", path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	require(fd >= 0 && close(fd) == 0);
	fails_to_create(NULL, NAME, -EPROTO);
	fails_to_publish(NULL, NAME, -EPROTO);
	require(ayre_topic_remove(NAME, true, NULL) == -EPROTO);
	require(unlink(path) == 0 && mkdir(path, 0700) == 0);
	fails_to_create(NULL, NAME, -EPROTO);
	fails_to_subscribe(NULL, NAME, -EPROTO);
	require(ayre_topic_remove(NAME, true, NULL) == -EPROTO);
	require(rmdir(path) == 0);
	/* A word is no link to somewhere else; a path may be one. */
	require(ayre_topic_create(NULL, "other", NULL) == 1);
	require(symlink(topic_path("other", "", other), path) == 0);
	fails_to_create(NULL, NAME, -EPROTO);
	require(ayre_topic_create(NULL, path, NULL) == 0);
	require(unlink(path) == 0);
	remove_topic("other");
	return 0;
}

/* --- the default root, which has to be this user's alone --- */

/* A user that no other test is. */
static uid_t somebody(void)
{
	return 3000000 + (uid_t)getppid();
}

static int work_in_default_root(void *context)
{
	const char *root = context;
	bool right = root[0] == '+';
	struct ayre_error error = {0};
	int result;

	unsetenv("AYRE_DIR");
	become(somebody(), somebody());
	result = ayre_topic_create(NULL, NAME, &error);
	if (!right) {
		struct ayre_topic_list *list;

		require(result == -EPERM && strstr(error.detail, root + 1));
		/* What has its name as the object of the error does not say it again. */
		require(ayre_topic_list_new(NULL, &list, &error) == -EPERM);
		require(strcmp(error.object, root + 1) == 0 && !strstr(error.detail, root + 1));
		return 0;
	}
	require(result == 1);
	return -ayre_topic_remove(NAME, false, NULL);
}

static void try_default_root(const char *path, bool right)
{
	char context[NAME_BYTES];

	snprintf(context, sizeof(context), "%c%.200s", right ? '+' : '-', path);
	require(run_in_child(work_in_default_root, context) == 0);
}

TOPIC_TEST(the_default_root_is_trusted_only_if_it_is_this_users_alone)
{
	uid_t user = 3000000 + (uid_t)getpid();
	char path[NAME_BYTES];
	struct stat status;

	if (!is_root())
		return skipped("this user cannot become another one");
	snprintf(path, sizeof(path), "/dev/shm/ayre-%u", user);
	require(mkdir(path, 0700) == 0); /* of root's */
	try_default_root(path, false);
	require(chown(path, user, user) == 0 && chmod(path, 0750) == 0);
	try_default_root(path, false);
	require(chmod(path, 0701) == 0);
	try_default_root(path, false);
	require(chmod(path, 0700) == 0);
	try_default_root(path, true);
	require(rmdir(path) == 0 && symlink(topic_root(), path) == 0);
	require(lchown(path, user, user) == 0);
	try_default_root(path, false);
	require(unlink(path) == 0);
	try_default_root(path, true);
	require(stat(path, &status) == 0 && status.st_uid == user &&
	        (status.st_mode & 07777) == 0700);
	return rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(a_folder_that_is_missing_is_an_error_but_the_root_is_made),
		counted_test(memory_is_not_durable),
		counted_test(what_else_has_the_name_is_left_alone),
		counted_test(the_default_root_is_trusted_only_if_it_is_this_users_alone),
	};

	use_topic_root();
	return run_counted("where topics are", tests);
}
