/*
 * What one who may only subscribe can do to files that are not his: write the word in `join`, cut it away,
 * and lock whatever he can read. For root, who can become other users.
 */
#include "topic/user_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <ayre/guard.h>
#include <ayre/service.h>
#include <ayre/topic_list.h>

static int cut_the_word(void *context)
{
	char path[NAME_BYTES];

	(void)context;
	return -truncate(topic_path("shared/topic", "join", path), 0);
}

static int publish_one(void *context)
{
	struct ayre_publisher *publisher = publish(NULL, shared_path());

	(void)context;
	send_number(publisher, 1);
	ayre_publisher_close(publisher);
	return 0;
}

static int receive_one(void *context)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), shared_path());

	(void)context;
	require(receive_number(subscriber) == 1);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(cutting_the_word_away_keeps_nobody_out)
{
	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	as(STRANGER, cut_the_word, NULL);
	as(OWNER, publish_one, NULL);
	as(STRANGER, cut_the_word, NULL);
	as(STRANGER, receive_one, NULL);
	as(STRANGER, cut_the_word, NULL);
	as(OWNER, receive_one, NULL);
	close_folder();
	return 0;
}

static int cut_on_and_on(void *context)
{
	char path[NAME_BYTES];

	topic_path("shared/topic", "join", path);
	announce((atomic_uint *)context, 1);
	for (;;)
		require(truncate(path, 0) == 0);
}

static int publish_often(void *context)
{
	require(ayre_guard_install() == 1);
	for (int i = 0; i < 500; i++)
		publish_one(context);
	return 0;
}

/* While he goes on with it. What he cuts away under a map is the guard's affair. */
TOPIC_TEST(cutting_it_away_all_the_time_keeps_nobody_out)
{
	atomic_uint *ready = share_memory(sizeof(*ready));
	pid_t stranger;

	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	stranger = start_as(STRANGER, cut_on_and_on, ready);
	await(ready, 1);
	as(OWNER, publish_often, NULL);
	kill(stranger, SIGKILL);
	end_of(stranger);
	close_folder();
	unshare_memory(ready, sizeof(*ready));
	return 0;
}

/* --- locks for reading --- */

struct locking {
	atomic_uint ready;
	char file[NAME_BYTES]; /* of the topic */
};

static int lock_to_read(void *context)
{
	struct locking *locking = context;
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char path[NAME_BYTES];
	int fd = open(topic_path("shared/topic", locking->file, path), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && fcntl(fd, F_OFD_SETLKW, &lock) == 0);
	announce(&locking->ready, 1);
	wait_to_be_killed();
}

static int serve_once(void *context)
{
	struct ayre_server *server = NULL;
	struct ayre_error error = {0};
	int result = ayre_server_open(context, shared_path(), &server, &error);

	require(result == 0);
	/* And nobody else does. */
	require(ayre_server_open(NULL, shared_path(), &server, &error) == -EBUSY);
	ayre_server_close(server);
	return 0;
}

static int serve_until_killed(void *context)
{
	struct ayre_server *server;

	require(ayre_server_open(NULL, shared_path(), &server, NULL) == 0);
	announce((atomic_uint *)context, 1);
	wait_to_be_killed();
}

#define STANDBY \
	(&(struct ayre_server_options){.size = sizeof(struct ayre_server_options), \
	                               .flags = AYRE_SERVER_STANDBY})

TOPIC_TEST(a_lock_for_reading_keeps_no_server_out)
{
	struct locking *locking = share_memory(sizeof(*locking));
	atomic_uint *serving = share_memory(sizeof(*serving));
	char last[NAME_BYTES];
	pid_t server, standby;

	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	as(OWNER, serve_once, NULL);
	strcpy(locking->file, "server");
	start_as(STRANGER, lock_to_read, locking);
	await(&locking->ready, 1);
	as(OWNER, serve_once, NULL);
	as(OWNER, serve_once, STANDBY);
	/* Likewise if he has it while somebody serves, for whose end another one waits. */
	server = start_as(OWNER, serve_until_killed, serving);
	await(serving, 1);
	await_sleep(start_as(STRANGER, lock_to_read, locking));
	standby = start_as(OWNER, serve_once, STANDBY);
	await_sleep(standby);
	kill(server, SIGKILL);
	end_of(server);
	require(end_of(standby) == 0);
	require(count_peers("shared/topic", "sub.", "", last) == 1);
	end_children();
	close_folder();
	unshare_memory(serving, sizeof(*serving));
	unshare_memory(locking, sizeof(*locking));
	return 0;
}

static int nobody_lives(void *context)
{
	struct ayre_topic_look *look;

	(void)context;
	require(ayre_topic_look_new(shared_path(), &look, NULL) == 0);
	require(ayre_topic_look_entry(look)->publishers_live == 0);
	ayre_topic_look_free(look);
	return 0;
}

/* Whoever publishes next takes another lane. */
TOPIC_TEST(a_lock_for_reading_makes_no_dead_publisher_live)
{
	struct locking *locking = share_memory(sizeof(*locking));
	char last[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	as(OWNER, publish_one, NULL);
	require(count_peers("shared/topic", "pub.", "", locking->file) == 1);
	start_as(STRANGER, lock_to_read, locking);
	await(&locking->ready, 1);
	as(OWNER, nobody_lives, NULL);
	as(OWNER, receive_one, NULL);
	as(OWNER, publish_one, NULL);
	require(count_peers("shared/topic", "pub.", "", last) == 2);
	end_children();
	close_folder();
	unshare_memory(locking, sizeof(*locking));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(cutting_the_word_away_keeps_nobody_out),
		counted_test(cutting_it_away_all_the_time_keeps_nobody_out),
		counted_test(a_lock_for_reading_keeps_no_server_out),
		counted_test(a_lock_for_reading_makes_no_dead_publisher_live),
	};

	use_topic_root();
	return run_counted("what subscribers spoil", tests);
}
