/*
 * What one who may only subscribe can do to files that are not his: write the word in `join`, cut it away,
 * and lock whatever he can read. For root, who can become other users.
 */
#include "topic/user_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <ayre/guard.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(cutting_the_word_away_keeps_nobody_out),
		counted_test(cutting_it_away_all_the_time_keeps_nobody_out),
	};

	use_topic_root();
	return run_counted("what subscribers spoil", tests);
}
