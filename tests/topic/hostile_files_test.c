/*
 * Single things that a hostile peer can do, each by itself: none of them may reach anybody else.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include <ayre/guard.h>

#include "topic/hostile_forge.h"

static char generation[AYREI_GENERATION_BYTES];

/* --- the honest --- */

static struct ayre_publisher *an_honest_publisher(void)
{
	struct ayre_publisher *publisher = publish(
		PUBLISHER(.topic = TOPIC(.ring_bytes = ARENA_RING), .spin_ns = AYRE_SPIN_NONE),
		ARENA);

	arena = arena ? arena : share_memory(sizeof(*arena));
	read_generation(generation);
	return publisher;
}

static struct ayre_subscriber *an_honest_subscriber(void)
{
	return subscribe(SUBSCRIBER(.spin_ns = AYRE_SPIN_NONE), ARENA);
}

static void done(struct ayre_publisher *publisher, struct ayre_subscriber *subscriber)
{
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	unshare_memory(arena, sizeof(*arena));
	arena = NULL;
	sweep();
}

/* A message that was sent arrives. */
static void talk(struct ayre_publisher *publisher, struct ayre_subscriber *subscriber)
{
	struct ayre_message message;
	char data[32];

	require(ayre_publisher_try_send(publisher, "all is well", 12) == 0);
	require(ayre_subscriber_receive_until(subscriber, data, sizeof(data), &message,
	                                      in_ms(5000)) == 12);
	require(strcmp(data, "all is well") == 0);
}

static int64_t processor_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * SECOND + used.tv_nsec;
}

/* --- names --- */

static void put_socket(const char *file)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[NAME_BYTES];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	topic_path(ARENA, file, path);
	require(fd >= 0 && strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	require(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	close(fd);
}

/* open(2) of a socket fails in a way of its own, and so does that of a file that has a lease. */
TOPIC_TEST(what_cannot_be_opened_is_nobody)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	char path[NAME_BYTES];
	int leased;

	/* To whoever has a lease, when somebody opens the file. */
	signal(SIGIO, SIG_IGN);
	put_socket("pub.00000000000000aa");
	put_socket("sub.00000000000000aa");
	leased = open(topic_path(ARENA, "sub.00000000000000bb", path), O_RDWR | O_CREAT | O_CLOEXEC,
	              0644);
	require(fcntl(leased, F_SETLEASE, F_WRLCK) == 0);
	change_join(1);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	talk(publisher, subscriber);
	talk(publisher, subscriber);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(subscriber);
	publisher = an_honest_publisher();
	subscriber = an_honest_subscriber();
	talk(publisher, subscriber);
	close(leased);
	done(publisher, subscriber);
	return 0;
}

/* A size costs nothing: neither a map, nor a search, may follow it. */
TOPIC_TEST(a_cursor_of_any_size_stops_nobody)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct forged cursor;

	forge_cursor(&cursor, generation);
	cursor.cursor->flags = 0;
	cursor.cursor->entry_count = UINT64_MAX;
	require(ftruncate(cursor.fd, (off_t)1 << 62) == 0);
	change_join(1);
	for (unsigned int i = 0; i < 20; i++)
		talk(publisher, subscriber);
	require(info_of_publisher(publisher).subscribers == 2);
	drop_forged(&cursor, true);
	done(publisher, subscriber);
	return 0;
}

/* Of a lane that was left, whose bell cannot be made: another one is taken. */
TOPIC_TEST(a_bell_that_is_taken_stops_nobody)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	uint64_t id = info_of_publisher(publisher).id;
	char file[64], path[NAME_BYTES];
	struct ayre_subscriber *subscriber;

	ayre_publisher_close(publisher);
	snprintf(file, sizeof(file), "pub.%016lx.bell", id);
	require(mkdir(topic_path(ARENA, file, path), 0700) == 0);
	publisher = publish(PUBLISHER(.flags = 0), ARENA);
	subscriber = an_honest_subscriber();
	require(info_of_publisher(publisher).id != id);
	talk(publisher, subscriber);
	done(publisher, subscriber);
	return 0;
}

/* --- messages beside the ring --- */

static void claim_large(struct forged *lane, uint64_t bytes)
{
	*lane_word(lane, lane->position + AYREI_RECORD_HEADER) = bytes;
	append_record(lane, sizeof(bytes), AYREI_RECORD_LARGE, 0);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
}

/*
 * A record says how large its message is, and there is no such file, or one that only has the size: who
 * asks for room for it is not to wait for ever in front of it.
 */
TOPIC_TEST(a_size_that_is_only_said_is_no_message)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct ayre_message message;
	struct forged lanes[2];
	char data[32], file[64], path[NAME_BYTES];
	bool is_well = false;
	int fd;

	forge_lane(&lanes[0], generation);
	forge_lane(&lanes[1], generation);
	snprintf(file, sizeof(file), "%s.%016lx", lanes[1].file, lanes[1].position);
	fd = open(topic_path(ARENA, file, path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	require(fd >= 0 && ftruncate(fd, (off_t)1 << 60) == 0);
	close(fd);
	claim_large(&lanes[0], UINT64_MAX);
	claim_large(&lanes[1], (uint64_t)1 << 60);
	require(ayre_publisher_try_send(publisher, "all is well", 12) == 0);
	for (unsigned int asked = 0;; asked++) {
		ssize_t result = ayre_subscriber_receive_until(subscriber, data, sizeof(data),
		                                               &message, in_ms(50));

		require(asked <= 200);
		if (result == -ETIMEDOUT)
			break;
		require(result >= 0 || result == -EPROTO || result == -EMSGSIZE);
		is_well |= result == 12 && strcmp(data, "all is well") == 0;
		if (result == -EMSGSIZE) {
			require(message.bytes <= ARENA_RING / 4);
			require(ayre_subscriber_try_peek(subscriber, &message) == 0);
			require(ayre_subscriber_release(subscriber) == 0);
		}
	}
	require(is_well);
	drop_forged(&lanes[0], true);
	drop_forged(&lanes[1], true);
	done(publisher, subscriber);
	return 0;
}

/*
 * The same file again and again, with more of it said to be the message each time: more than was mapped
 * before. The file is as long as it has to be.
 */
TOPIC_TEST(a_file_that_is_known_is_measured_anew)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	char file[64], before[NAME_BYTES] = "", path[NAME_BYTES];
	struct ayre_message message;
	struct forged lane;
	uint64_t bytes = 5000;
	int fd;

	forge_lane(&lane, generation);
	while (bytes < 1u << 20) {
		snprintf(file, sizeof(file), "%s.%016lx", lane.file, lane.position);
		topic_path(ARENA, file, path);
		if (before[0])
			require(rename(before, path) == 0);
		memcpy(before, path, sizeof(before));
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		require(fd >= 0 && posix_fallocate(fd, 0, 1 << 20) == 0);
		require(pwrite(fd, "end", 3, (off_t)bytes - 3) == 3);
		close(fd);
		claim_large(&lane, bytes);
		/* Behind the short ones that a forged lane begins with. */
		do
			require(ayre_subscriber_peek_until(subscriber, &message, in_ms(2000)) == 0);
		while (message.bytes < 5000 && ayre_subscriber_release(subscriber) == 0);
		require(message.bytes == bytes);
		require(memcmp((const char *)message.data + bytes - 3, "end", 3) == 0);
		require(ayre_subscriber_release(subscriber) == 0);
		bytes *= 3;
	}
	drop_forged(&lane, true);
	done(publisher, subscriber);
	return 0;
}

/* --- ends that stay --- */

/* It holds its bell, and not its lock; then it lets go of the bell, which tells so from then on. */
TOPIC_TEST(a_hang_up_is_heard_once)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct forged lane;
	char data[512];
	int64_t before_ns;

	forge_lane(&lane, generation);
	lock_forged(&lane, false);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	while (ayre_subscriber_receive_until(subscriber, data, sizeof(data), NULL, in_ms(50)) >= 0)
		;
	close(lane.bell);
	lane.bell = -1;
	before_ns = processor_ns();
	require(ayre_subscriber_receive_until(subscriber, data, sizeof(data), NULL, in_ms(300)) ==
	        -ETIMEDOUT);
	require(processor_ns() - before_ns < 100 * MILLISECOND);
	talk(publisher, subscriber);
	drop_forged(&lane, true);
	done(publisher, subscriber);
	return 0;
}

/* Its cursor is cut short, and then it dies: that is no reason to be awake. */
TOPIC_TEST(a_cursor_that_was_cut_short_can_die)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct forged cursor;
	char data[ARENA_RING / 4] = {0};
	int64_t before_ns;

	require(ayre_guard_install() == 1);
	forge_cursor(&cursor, generation);
	change_join(1);
	talk(publisher, subscriber);
	require(info_of_publisher(publisher).subscribers == 2);
	require(ftruncate(cursor.fd, 0) == 0);
	cursor.bytes = 4096;
	while (ayre_publisher_try_send(publisher, data, sizeof(data)) == 0)
		;
	drop_forged(&cursor, true);
	before_ns = processor_ns();
	require(ayre_publisher_send_until(publisher, data, sizeof(data), in_ms(300)) == -ETIMEDOUT);
	require(processor_ns() - before_ns < 100 * MILLISECOND);
	require(info_of_publisher(publisher).subscribers == 1);
	require(ayre_guard_remove() == 0);
	done(publisher, subscriber);
	return 0;
}

/* The one word that everybody may write, and cut away. */
TOPIC_TEST(without_the_word_newcomers_are_noticed)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *first = an_honest_subscriber(), *second;
	char path[NAME_BYTES];

	require(ayre_guard_install() == 1);
	talk(publisher, first);
	require(truncate(topic_path(ARENA, "join", path), 0) == 0);
	talk(publisher, first);
	second = an_honest_subscriber();
	talk(publisher, first);
	require(info_of_publisher(publisher).subscribers == 2);
	require(ayre_guard_remove() == 0);
	ayre_subscriber_close(second);
	done(publisher, first);
	return 0;
}

/* --- rings --- */

/* A header on every line: one turn of it is all that its limit allows. */
TOPIC_TEST(a_ring_that_is_full_of_headers_ends)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct forged lane;
	char data[512];
	unsigned int count = 0;

	forge_lane(&lane, generation);
	append_record(&lane, AYREI_LINE, AYREI_RECORD_MESSAGE, 0);
	for (uint64_t at = 0; at < ARENA_RING; at += AYREI_LINE)
		*lane_word(&lane, lane.position + at) =
			ayrei_record_pack(AYREI_LINE - 8, AYREI_RECORD_MESSAGE, 0);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	while (ayre_subscriber_receive_until(subscriber, data, sizeof(data), NULL, in_ms(50)) >= 0)
		require(++count < 2 * ARENA_RING / AYREI_LINE);
	talk(publisher, subscriber);
	drop_forged(&lane, true);
	done(publisher, subscriber);
	return 0;
}

/* Where it was there are messages of a later turn, which look like the ones that it has missed. */
TOPIC_TEST(who_was_overtaken_goes_on)
{
	struct ayre_publisher *publisher = publish(
		PUBLISHER(.topic = TOPIC(.ring_bytes = 4096, .flags = AYRE_TOPIC_LOSSY)), ARENA);
	struct ayre_subscriber *receives = subscribe(NULL, ARENA), *peeks = subscribe(NULL, ARENA);
	struct ayre_message message;
	uint64_t data[6] = {0};

	for (; data[0] < 1000; data[0]++)
		require(ayre_publisher_send(publisher, data, sizeof(data)) == 0);
	require(ayre_subscriber_try_receive(receives, data, sizeof(data), &message) ==
	        sizeof(data));
	require(message.sequence > 900 && message.sequence == data[0]);
	require(info_of_subscriber(receives).missed == message.sequence);
	require(ayre_subscriber_try_peek(peeks, &message) == 0);
	require(message.sequence > 900 && memcmp(message.data, data, sizeof(data)) == 0);
	/* And while it looks. */
	for (data[0] = 1000; data[0] < 2000; data[0]++)
		require(ayre_publisher_send(publisher, data, sizeof(data)) == 0);
	require(ayre_subscriber_release(peeks) == -ESTALE);
	require(ayre_subscriber_try_peek(peeks, &message) == 0);
	require(message.sequence > 1900);
	require(ayre_subscriber_release(peeks) == 0);
	ayre_publisher_close(publisher);
	ayre_subscriber_close(receives);
	ayre_subscriber_close(peeks);
	sweep();
	return 0;
}

/* --- deadlines --- */

/* Its reader is overtaken whenever it looks, it hopes, and may go on where it was. */
static int flap(void *context)
{
	struct forged *lane = context;
	uint64_t *limit = &lane->lane->limit;

	/* Until it is killed. */
	while (lane->bytes) {
		__atomic_store_n(limit, lane->position + ARENA_RING + 8, __ATOMIC_RELEASE);
		__atomic_store_n(limit, lane->position + AYREI_LANE_SLACK, __ATOMIC_RELEASE);
	}
	return 0;
}

TOPIC_TEST(a_deadline_holds_whatever_flaps)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();

	for (unsigned int i = 0; i < 20; i++) {
		struct forged lane;
		char data[512];
		int64_t begun_ns;
		ssize_t result;
		pid_t child;

		forge_lane(&lane, generation);
		for (unsigned int j = 0; j < AYREI_CHECKPOINTS; j++)
			lane.lane->checkpoints[j] = (struct ayrei_checkpoint){
				.position = lane.position, .sequence = 1000};
		ring_bells("sub.", AYREI_BELL_JOIN, 1);
		child = start_child(flap, &lane);
		begun_ns = now_ns();
		do
			result = ayre_subscriber_receive_until(subscriber, data, sizeof(data), NULL,
			                                       begun_ns + 20 * MILLISECOND);
		while (result >= 0 || result == -EPROTO);
		require(result == -ETIMEDOUT && now_ns() - begun_ns < 5 * SECOND);
		kill(child, SIGKILL);
		end_of(child);
		drop_forged(&lane, true);
	}
	done(publisher, subscriber);
	return 0;
}

/* --- lanes that are none --- */

static void spoil_nothing(struct forged *lane)
{
	(void)lane;
}

static void spoil_magic(struct forged *lane)
{
	lane->lane->magic[0] ^= 1;
}

static void spoil_limit(struct forged *lane)
{
	lane->lane->limit = UINT64_MAX;
}

static void spoil_checkpoints(struct forged *lane)
{
	memset(lane->lane->checkpoints, 0, sizeof(lane->lane->checkpoints));
}

static void spoil_size(struct forged *lane)
{
	require(ftruncate(lane->fd, 4096) == 0);
}

static void spoil_ring_size(struct forged *lane)
{
	lane->lane->ring_bytes *= 2;
}

/* Of somebody who may publish, so that its messages are missed: it is told, once, and the others go on. */
TOPIC_TEST(a_lane_that_is_none_is_told_of)
{
	static void (*const spoil[])(struct forged *) = {spoil_nothing, spoil_magic,
	                                                 spoil_limit,   spoil_checkpoints,
	                                                 spoil_size,    spoil_ring_size};

	for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
		struct ayre_publisher *publisher = an_honest_publisher();
		struct ayre_subscriber *subscriber;
		struct ayre_subscriber_info info;
		struct forged lane;
		uint64_t number;

		forge_lane(&lane, generation);
		spoil[i](&lane);
		subscriber = an_honest_subscriber();
		for (int j = 0; j < 3; j++) {
			ssize_t got = ayre_subscriber_try_receive(subscriber, &number, 8, NULL);

			require(got == (i > 0 && j == 0 ? -EPROTO : -EAGAIN));
			change_join(1);
			ring_bells("sub.", AYREI_BELL_JOIN, 1);
		}
		talk(publisher, subscriber);
		info = info_of_subscriber(subscriber);
		require(info.publishers_broken == (i > 0));
		require(info.broken_publisher == (i > 0 ? lane.id : UINT64_MAX));
		drop_forged(&lane, true);
		done(publisher, subscriber);
	}
	return 0;
}

/* What is left alone is left alone: nothing that it says later counts. */
TOPIC_TEST(a_broken_lane_has_no_last_word)
{
	struct ayre_publisher *publisher = an_honest_publisher();
	struct ayre_subscriber *subscriber = an_honest_subscriber();
	struct ayre_subscriber *const alone[] = {subscriber};
	struct ayre_subscriber_info info;
	struct forged lane;
	char data[512];
	ssize_t got;

	forge_lane(&lane, generation);
	__atomic_store_n(lane_word(&lane, lane.position), UINT64_C(9) << 32, __ATOMIC_RELEASE);
	change_join(1);
	ring_bells("sub.", AYREI_BELL_JOIN, 1);
	do
		got = ayre_subscriber_receive_until(subscriber, data, sizeof(data), NULL,
		                                    in_ms(5000));
	while (got >= 0);
	require(got == -EPROTO);
	__atomic_store_n(lane_word(&lane, lane.position),
	                 ayrei_record_pack(0, AYREI_RECORD_CLOSED, AYREI_RECORD_DIED),
	                 __ATOMIC_RELEASE);
	require(ayre_subscribers_wait(alone, 1, in_ms(20)) == -ETIMEDOUT);
	info = info_of_subscriber(subscriber);
	require(info.publishers_lost == 0 && info.publishers_broken == 1);
	talk(publisher, subscriber);
	drop_forged(&lane, true);
	done(publisher, subscriber);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted_test(what_cannot_be_opened_is_nobody),
		counted_test(a_lane_that_is_none_is_told_of),
		counted_test(a_broken_lane_has_no_last_word),
		counted_test(a_cursor_of_any_size_stops_nobody),
		counted_test(a_bell_that_is_taken_stops_nobody),
		counted_test(a_size_that_is_only_said_is_no_message),
		counted_test(a_file_that_is_known_is_measured_anew),
		counted_test(a_hang_up_is_heard_once),
		counted_test(a_cursor_that_was_cut_short_can_die),
		counted_test(without_the_word_newcomers_are_noticed),
		counted_test(a_ring_that_is_full_of_headers_ends),
		counted_test(who_was_overtaken_goes_on),
		counted_test(a_deadline_holds_whatever_flaps),
	};

	use_topic_root();
	return run_counted("hostile_files", tests);
}
