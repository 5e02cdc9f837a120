/*
 * A pair of which one end is hostile: whoever got the descriptors, or whoever made them and kept what
 * it had before they were sealed.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "topic/hostile_ends.h"
#include "topic/hostile_forge.h"
#include "topic/publisher.h"
#include "topic/subscriber.h"

#define LIFE_NS (30 * MILLISECOND)

/* By the other end's ayre_ends. */
enum { LANE, CURSOR, OWN_BELL, OTHER_BELL };

#define PAIR_OPTIONS .topic = TOPIC(.ring_bytes = ARENA_RING)

/* What a hostile end has of a pair. */
struct grip {
	struct forged memory; /* what it may write: the lane, or the cursor */
	bool is_lane;
	struct ayre_ends ends;
};

/* --- the hostile end --- */

static void grip_lane(struct grip *grip, void *base)
{
	grip->is_lane = true;
	grip->memory = (struct forged){.id = 1,
	                               .fd = -1,
	                               .bell = -1,
	                               .base = base,
	                               .ring = (char *)base + sizeof(struct ayrei_lane_layout),
	                               .position = ARENA_RING};
}

static void grip_cursor(struct grip *grip, void *base)
{
	grip->is_lane = false;
	grip->memory = (struct forged){.id = 1, .fd = -1, .bell = -1, .base = base};
}

/* Both bells: full, emptied, and with flags that are shared with whoever has the same descriptor. */
static void abuse_bells(const struct ayre_ends *ends)
{
	char rings[512];
	int flags = random_below(2) ? O_NONBLOCK : 0;

	memset(rings, random_below(2) ? AYREI_BELL_MESSAGE : AYREI_BELL_JOIN, sizeof(rings));
	fcntl(ends->fds[OWN_BELL], F_SETFL, O_NONBLOCK);
	fcntl(ends->fds[OTHER_BELL], F_SETFL, O_NONBLOCK);
	for (unsigned int i = random_below(200); i > 0; i--)
		if (write(ends->fds[OTHER_BELL], rings, sizeof(rings)) <= 0)
			break;
	for (unsigned int i = random_below(4); i > 0; i--)
		(void)!read(ends->fds[OWN_BELL], rings, sizeof(rings));
	fcntl(ends->fds[OWN_BELL], F_SETFL, flags);
	fcntl(ends->fds[OTHER_BELL], F_SETFL, flags);
}

static void abuse(struct grip *grip)
{
	for (;;) {
		if (grip->is_lane)
			spoil_lane_memory(&grip->memory);
		else
			spoil_cursor_memory(&grip->memory);
		if (random_below(2))
			abuse_bells(&grip->ends);
		pause_ns(random_below(200) * 1000);
	}
}

/* It dies with the honest one, and before. */
static pid_t let_loose(struct grip *grip, uint32_t seed)
{
	pid_t child = fork();

	require(child >= 0);
	if (child == 0) {
		limit_time(20);
		random_seed(seed);
		abuse(grip);
	}
	return child;
}

static void put_down(pid_t child)
{
	kill(child, SIGKILL);
	require(waitpid(child, NULL, 0) == child);
}

/* --- the honest end --- */

static void send_for_a_while(struct ayre_publisher *publisher, struct honest *me)
{
	int64_t end_ns = now_ns() + LIFE_NS;
	char data[ARENA_RING / 4];

	memset(data, 1, sizeof(data));
	while (now_ns() < end_ns) {
		int result =
			ayre_publisher_send_until(publisher, data, random_below(sizeof(data) + 1),
		                                  enter_call(me) - CALL_NS + 5 * MILLISECOND);

		leave_call(me);
		require(result == 0 || result == -ETIMEDOUT);
		atomic_fetch_add(&me->sent, result == 0);
	}
}

/* Nobody has to be waited for any more. */
static void send_to_nobody(struct ayre_publisher *publisher, struct honest *me)
{
	char data[ARENA_RING / 4] = {0};

	for (unsigned int i = 0; i < 20; i++) {
		require(ayre_publisher_send_until(publisher, data, sizeof(data), enter_call(me)) ==
		        0);
		leave_call(me);
	}
}

static bool receive_one(struct ayre_subscriber *subscriber, struct honest *me)
{
	struct ayre_message message = {0};
	size_t bytes = random_below(ARENA_RING / 4 + 1);
	char *buffer = malloc(bytes);
	ssize_t result;

	require(buffer || bytes == 0);
	result = ayre_subscriber_receive_until(subscriber, buffer, bytes, &message,
	                                       enter_call(me) - CALL_NS);
	leave_call(me);
	require(result < 0 || (size_t)result == message.bytes);
	require(result != -EMSGSIZE || message.bytes <= ARENA_RING / 4);
	require(result >= 0 || result == -EMSGSIZE || result == -ETIMEDOUT || result == -EPROTO ||
	        result == -EPIPE || result == -EOWNERDEAD);
	atomic_fetch_add(&me->others, result >= 0);
	free(buffer);
	return result >= 0 || result == -ETIMEDOUT || result == -EMSGSIZE;
}

static bool peek_one(struct ayre_subscriber *subscriber, struct honest *me)
{
	struct ayre_message message;
	int result = ayre_subscriber_peek_until(subscriber, &message, enter_call(me) - CALL_NS);

	for (size_t i = 0; result == 0 && i < message.bytes; i++)
		(void)((const volatile char *)message.data)[i];
	if (result == 0)
		(void)!ayre_subscriber_release(subscriber);
	leave_call(me);
	atomic_fetch_add(&me->others, result == 0);
	return result == 0 || result == -ETIMEDOUT;
}

static void receive_for_a_while(struct ayre_subscriber *subscriber, struct honest *me)
{
	int64_t end_ns = now_ns() + LIFE_NS;
	bool goes_on = true;

	while (goes_on && now_ns() < end_ns)
		goes_on = random_below(2) ? receive_one(subscriber, me) : peek_one(subscriber, me);
}

/* --- who has what --- */

/* By its descriptor, the end that only reads can by no means write. */
static void require_read_only(int fd, size_t bytes)
{
	char byte = 0;

	require(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	require(pwrite(fd, &byte, 1, 0) == -1 && errno == EPERM);
	require(ftruncate(fd, 0) == -1 && errno == EPERM);
}

static void *map_end(int fd, size_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	require(base != MAP_FAILED);
	return base;
}

#define LANE_BYTES (sizeof(struct ayrei_lane_layout) + ARENA_RING)

static void publish_to_a_taker(struct honest *me, uint32_t seed)
{
	struct ayre_publisher *publisher;
	struct grip grip;
	pid_t hostile;

	require(ayre_publisher_open_pair(PUBLISHER(PAIR_OPTIONS), &publisher, &grip.ends, NULL) ==
	        0);
	require_read_only(grip.ends.fds[LANE], LANE_BYTES);
	grip_cursor(&grip, map_end(grip.ends.fds[CURSOR], sizeof(struct ayrei_cursor_layout)));
	hostile = let_loose(&grip, seed);
	munmap(grip.memory.base, sizeof(struct ayrei_cursor_layout));
	ayre_ends_close(&grip.ends);
	send_for_a_while(publisher, me);
	put_down(hostile);
	send_to_nobody(publisher, me);
	ayre_publisher_close(publisher);
}

static void subscribe_to_a_taker(struct honest *me, uint32_t seed)
{
	struct ayre_subscriber *subscriber;
	struct grip grip;
	pid_t hostile;

	require(ayre_subscriber_open_pair(
			SUBSCRIBER(PAIR_OPTIONS, .flags = AYRE_SUBSCRIBER_UNTIL_CLOSED),
			&subscriber, &grip.ends, NULL) == 0);
	require_read_only(grip.ends.fds[CURSOR], sizeof(struct ayrei_cursor_layout));
	grip_lane(&grip, map_end(grip.ends.fds[LANE], LANE_BYTES));
	hostile = let_loose(&grip, seed);
	munmap(grip.memory.base, LANE_BYTES);
	ayre_ends_close(&grip.ends);
	receive_for_a_while(subscriber, me);
	put_down(hostile);
	ayre_subscriber_close(subscriber);
}

static void publish_to_a_maker(struct honest *me, uint32_t seed)
{
	struct ayre_subscriber *kept;
	struct ayre_publisher *publisher;
	struct grip grip;
	pid_t hostile;

	require(ayre_subscriber_open_pair(SUBSCRIBER(PAIR_OPTIONS), &kept, &grip.ends, NULL) == 0);
	grip_cursor(&grip, kept->cursor);
	hostile = let_loose(&grip, seed);
	ayre_subscriber_close(kept);
	enter_call(me);
	if (ayre_publisher_open_ends(NULL, &grip.ends, &publisher, NULL) == 0) {
		send_for_a_while(publisher, me);
		put_down(hostile);
		send_to_nobody(publisher, me);
		ayre_publisher_close(publisher);
	} else {
		put_down(hostile);
		ayre_ends_close(&grip.ends);
	}
	leave_call(me);
}

static void subscribe_to_a_maker(struct honest *me, uint32_t seed)
{
	struct ayre_publisher *kept;
	struct ayre_subscriber *subscriber;
	struct grip grip;
	pid_t hostile;

	require(ayre_publisher_open_pair(PUBLISHER(PAIR_OPTIONS), &kept, &grip.ends, NULL) == 0);
	grip_lane(&grip, kept->lane.layout);
	hostile = let_loose(&grip, seed);
	ayre_publisher_close(kept);
	enter_call(me);
	if (ayre_subscriber_open_ends(NULL, &grip.ends, &subscriber, NULL) == 0) {
		receive_for_a_while(subscriber, me);
		ayre_subscriber_close(subscriber);
	} else {
		ayre_ends_close(&grip.ends);
	}
	leave_call(me);
	put_down(hostile);
}

/* Descriptors of other things, in every place. */
static void open_odd_ends(struct honest *me)
{
	struct ayre_publisher *publisher;
	struct ayre_subscriber *subscriber;
	struct ayre_ends ends, odd;
	int others[4] = {open("/dev/null", O_RDWR | O_CLOEXEC), open("/", O_RDONLY | O_CLOEXEC),
	                 memfd_create("short", MFD_CLOEXEC), -1};

	require(ayre_publisher_open_pair(PUBLISHER(PAIR_OPTIONS), &publisher, &ends, NULL) == 0);
	for (unsigned int i = 0; i < 16; i++) {
		odd = ends;
		odd.fds[i % 4] = others[i / 4];
		enter_call(me);
		require(ayre_subscriber_open_ends(NULL, &odd, &subscriber, NULL) < 0);
		leave_call(me);
	}
	ayre_publisher_close(publisher);
	ayre_ends_close(&ends);
	for (unsigned int i = 0; i < 3; i++)
		close(others[i]);
}

int pair_honestly(void *number)
{
	static void (*const ways[])(struct honest *, uint32_t) = {
		publish_to_a_taker, subscribe_to_a_taker, publish_to_a_maker, subscribe_to_a_maker};
	unsigned int way = (unsigned int)(uintptr_t)number;
	struct honest *me = &arena->visitor;

	random_seed(arena->seed);
	open_odd_ends(me);
	for (uint32_t round = 0; atomic_load(&arena->phase) != ENDING; round++) {
		ways[way](me, arena->seed + round);
		atomic_fetch_add(&arena->hostile_lives, 1);
	}
	return 0;
}
