/*
 * Other users: who may subscribe and who may publish, who makes whom wait, and what a stranger can do
 * in a directory where everybody may make files. For root, who can become them.
 */
#include "topic/user_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

/* --- who may what --- */

struct rights {
	int publish, subscribe; /* what they get: 0, or an error */
};

static int try_rights(void *context)
{
	const struct rights *rights = context;

	if (rights->publish == 0)
		ayre_publisher_close(publish(NULL, shared_path()));
	else
		fails_to_publish(NULL, shared_path(), rights->publish);
	if (rights->subscribe == 0)
		ayre_subscriber_close(subscribe(NULL, shared_path()));
	else
		fails_to_subscribe(NULL, shared_path(), rights->subscribe);
	return 0;
}

TOPIC_TEST(modes_say_who_may_publish_and_who_may_subscribe)
{
	static struct {
		uint32_t mode;
		struct rights member, stranger;
	} modes[] = {
		{0600, {-EACCES, -EACCES}, {-EACCES, -EACCES}},
		{0640, {-EACCES, 0}, {-EACCES, -EACCES}},
		{0644, {-EACCES, 0}, {-EACCES, 0}},
		{0660, {0, 0}, {-EACCES, -EACCES}},
		{0664, {0, 0}, {-EACCES, 0}},
		{0666, {0, 0}, {0, 0}},
	};
	struct rights all = {0, 0};
	char last[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		make_topic_of(modes[i].mode);
		as(STRANGER, try_rights, &modes[i].stranger);
		as(MEMBER, try_rights, &modes[i].member);
		as(OWNER, try_rights, &all);
		as(0, try_rights, &all);
		/* Who failed has left nothing. */
		require(count_peers("shared/topic", "pub.", ".bell", last) == 0);
		require(count_peers("shared/topic", "sub.", "", last) == 0);
		require(count_peers("shared/topic", "pub.", "", last) ==
		        2 + (modes[i].member.publish == 0) + (modes[i].stranger.publish == 0));
		close_folder();
	}
	return 0;
}

/* --- between users --- */

struct meeting {
	atomic_uint ready, go;
	uint64_t sent, received, missed;
	bool waits; /* the publisher for the other user */
};

static int send_many(void *context)
{
	struct meeting *meeting = context;
	struct ayre_publisher *publisher = publish(NULL, shared_path());
	uint64_t count = 0;

	await(&meeting->ready, 1);
	require(ayre_publisher_wait_subscribers(publisher, 1, in_ms(10000)) == 1);
	send_pattern(publisher, 3000, 0);
	while (count < 2000 && try_send_number(publisher, count) == 0)
		count++;
	require(meeting->waits ? count < 256 : count == 2000);
	meeting->sent = count + 1;
	announce(&meeting->go, 1);
	ayre_publisher_close(publisher);
	return 0;
}

/* Reads nothing until all is sent. */
static int read_late(void *context)
{
	struct meeting *meeting = context;
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.flags = AYRE_SUBSCRIBER_UNTIL_CLOSED), shared_path());
	char bytes[4096];
	ssize_t got;

	announce(&meeting->ready, 1);
	await(&meeting->go, 1);
	while ((got = ayre_subscriber_receive_until(subscriber, bytes, sizeof(bytes), NULL,
	                                            in_ms(10000))) >= 0)
		require(got == 3000 || got == 8);
	require(got == -EPIPE);
	meeting->received = info_of_subscriber(subscriber).received;
	meeting->missed = info_of_subscriber(subscriber).missed;
	ayre_subscriber_close(subscriber);
	return 0;
}

static void meet(uint32_t mode, uid_t publisher, uid_t subscriber, bool waits)
{
	struct meeting *meeting = share_memory(sizeof(*meeting));
	pid_t sending, reading;

	make_topic_of(mode);
	meeting->waits = waits;
	reading = start_as(subscriber, read_late, meeting);
	sending = start_as(publisher, send_many, meeting);
	require(end_of(sending) == 0);
	require(end_of(reading) == 0);
	require(meeting->received + meeting->missed == meeting->sent);
	require(waits == (meeting->missed == 0));
	close_folder();
	unshare_memory(meeting, sizeof(*meeting));
}

TOPIC_TEST(nobody_waits_for_one_who_may_not_publish)
{
	SKIP_UNLESS_ROOT();
	meet(0644, OWNER, STRANGER, false);
	meet(0664, OWNER, STRANGER, false);
	meet(0664, MEMBER, STRANGER, false);
	meet(0640, OWNER, MEMBER, false);
	return 0;
}

TOPIC_TEST(one_who_may_publish_is_waited_for)
{
	SKIP_UNLESS_ROOT();
	meet(0666, OWNER, STRANGER, true);
	meet(0666, STRANGER, OWNER, true);
	meet(0660, OWNER, MEMBER, true);
	meet(0660, MEMBER, OWNER, true);
	meet(0600, OWNER, OWNER, true);
	meet(0644, OWNER, 0, true);
	return 0;
}

/* Each user has lanes of its own: nobody goes on in another's. */
static int come_and_go(void *context)
{
	struct ayre_publisher *publisher = publish(NULL, shared_path());

	*(uint64_t *)context = info_of_publisher(publisher).id;
	send_number(publisher, 1);
	ayre_publisher_close(publisher);
	return 0;
}

TOPIC_TEST(nobody_takes_over_the_lane_of_another_user)
{
	uint64_t *ids = share_memory(6 * sizeof(*ids));
	char last[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	make_topic_of(0666);
	for (int i = 0; i < 6; i++)
		as(i % 2 ? OWNER : STRANGER, come_and_go, &ids[i]);
	require(ids[0] == ids[2] && ids[2] == ids[4] && ids[1] == ids[3] && ids[3] == ids[5]);
	require(ids[0] != ids[1]);
	require(count_peers("shared/topic", "pub.", "", last) == 2);
	close_folder();
	unshare_memory(ids, 6 * sizeof(*ids));
	return 0;
}

/* --- what a stranger can try --- */

/* A lane as good as the owner's, but for whose it is: held, locked, and with a bell. */
static int forge_a_lane(void *context)
{
	const char *lane = context;
	char from[NAME_BYTES], to[NAME_BYTES], bytes[8192];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	uint64_t id = UINT64_C(0x1234567812345678);
	int fd = open(topic_path("shared/topic", lane, from), O_RDONLY | O_CLOEXEC);

	require(fd >= 0 && read(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	close(fd);
	memcpy(bytes + 32, &id, sizeof(id));
	fd = open(topic_path("shared/topic", "pub.1234567812345678", to),
	          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	require(fd >= 0 && write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	require(fcntl(fd, F_OFD_SETLK, &lock) == 0);
	require(mkfifo(topic_path("shared/topic", "pub.1234567812345678.bell", to), 0622) == 0);
	return 0;
}

static int read_only_the_owners(void *context)
{
	struct ayre_subscriber *subscriber =
		subscribe(SUBSCRIBER(.from = AYRE_FROM_OLDEST), shared_path());

	(void)context;
	require(receive_number(subscriber) == 1);
	require(ayre_subscriber_receive_until(subscriber, NULL, 0, NULL, in_ms(20)) == -ETIMEDOUT);
	require(info_of_subscriber(subscriber).publishers == 1);
	ayre_subscriber_close(subscriber);
	return 0;
}

TOPIC_TEST(a_lane_of_a_stranger_is_not_read)
{
	uint64_t *id = share_memory(sizeof(*id));
	char lane[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	as(OWNER, come_and_go, id);
	require(count_peers("shared/topic", "pub.", "", lane) == 1);
	as(STRANGER, forge_a_lane, lane);
	require(count_peers("shared/topic", "pub.", "", lane) == 2);
	as(OWNER, read_only_the_owners, NULL);
	as(STRANGER, read_only_the_owners, NULL);
	/* The same file of the owner's would be: it is whose it is that counts. */
	require(chown(topic_path("shared/topic", "pub.1234567812345678", lane), OWNER, GROUP) == 0);
	close_folder();
	unshare_memory(id, sizeof(*id));
	return 0;
}

static int spoil_what_he_can(void *context)
{
	static const char *const files[] = {"topic", "join"};
	const char *lane = context;
	char name[NAME_BYTES], other[NAME_BYTES];
	int fd;

	for (size_t i = 0; i < 2; i++) {
		topic_path("shared/topic", files[i], name);
		require(unlink(name) == -1);
		require(rename(name, topic_path("shared/topic", "away", other)) == -1);
		require(chmod(name, 0666) == -1);
	}
	topic_path("shared/topic", lane, name);
	require(unlink(name) == -1 && truncate(name, 0) == -1);
	require(open(name, O_RDWR | O_CLOEXEC) == -1);
	require(rename(shared_path(), topic_path("shared/mine", "", other)) == -1);
	require(rmdir(shared_path()) == -1);
	require(ayre_topic_remove(shared_path(), true, NULL) < 0);
	require(ayre_topic_remove(shared_path(), false, NULL) < 0);
	/* A lock of his on the directory keeps nobody from anything. */
	fd = open(shared_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	return 0;
}

TOPIC_TEST(a_stranger_removes_and_changes_nothing)
{
	uint64_t *id = share_memory(sizeof(*id));
	char lane[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	for (uint32_t mode = 0644; mode <= 0666; mode += 022) {
		make_topic_of(mode);
		as(OWNER, come_and_go, id);
		require(count_peers("shared/topic", "pub.", "", lane) == 1);
		as(STRANGER, spoil_what_he_can, lane);
		as(OWNER, read_only_the_owners, NULL);
		as(STRANGER, read_only_the_owners, NULL);
		close_folder();
	}
	unshare_memory(id, sizeof(*id));
	return 0;
}

static int hold_the_directory(void *context)
{
	int fd = open(shared_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	require(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	announce((atomic_uint *)context, 1);
	wait_to_be_killed();
}

static int remove_own(void *context)
{
	(void)context;
	return -ayre_topic_remove(shared_path(), false, NULL);
}

TOPIC_TEST(a_stranger_who_locks_the_directory_keeps_nobody_from_removing_it)
{
	atomic_uint *ready = share_memory(sizeof(*ready));
	char folder[NAME_BYTES];

	SKIP_UNLESS_ROOT();
	make_topic_of(0644);
	start_as(STRANGER, hold_the_directory, ready);
	await(ready, 1);
	as(OWNER, remove_own, NULL);
	end_children();
	unshare_memory(ready, sizeof(*ready));
	return rmdir(topic_path("shared", "", folder));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(modes_say_who_may_publish_and_who_may_subscribe),
		counted_test(nobody_waits_for_one_who_may_not_publish),
		counted_test(one_who_may_publish_is_waited_for),
		counted_test(nobody_takes_over_the_lane_of_another_user),
		counted_test(a_lane_of_a_stranger_is_not_read),
		counted_test(a_stranger_removes_and_changes_nothing),
		counted_test(a_stranger_who_locks_the_directory_keeps_nobody_from_removing_it),
	};

	use_topic_root();
	return run_counted("other users", tests);
}
