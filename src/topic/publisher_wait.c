/*
 * A publisher that has no room: looks at the cursors, spins, sleeps.
 *
 * The race of the sleeper is that of publisher.c with the roles changed: we store `waiting`, execute a
 * fence, and look at the cursors; a subscriber stores its cursor, executes a fence, and looks at
 * `waiting`. That is seldom on its way, so there it is always a real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "topic/bell.h"
#include "topic/publisher.h"

static bool has_name(const struct ayre_publisher *publisher)
{
	return publisher->topic.directory >= 0;
}

/*
 * Where a subscriber begins that has no entry for our lane. One that comes while we publish finds its
 * place by itself. One that was there before us has yet to find the lane, and will want all that is in
 * it: it may be new since it came, and an earlier publisher's messages with it.
 */
static uint64_t floor_of_newcomers(const struct ayre_publisher *publisher, bool is_first_look)
{
	struct ayrei_reader reader = {
		.ring = publisher->lane.ring,
		.mask = publisher->lane.mask,
		.layout = publisher->lane.layout,
	};

	return is_first_look && ayrei_reader_seek_oldest(&reader) == 0 ? reader.position
	                                                               : publisher->lane.position;
}

/* What we have mapped of it is lost, or could not be mapped: somebody cuts it short. */
static void mend_join(struct ayre_publisher *publisher)
{
	struct ayrei_shared map = {0};
	const uint64_t *word = NULL;

	if (ayrei_topic_map_join(&publisher->topic, &map, &word) < 0 || !word)
		return;
	ayrei_shared_unmap(&publisher->join_map);
	publisher->join_map = map;
	publisher->join = word;
}

int ayrei_publisher_look(struct ayre_publisher *publisher, bool ring)
{
	struct ayrei_lane_layout *layout = publisher->lane.layout;
	uint64_t join;
	int result;

	if (!has_name(publisher))
		return 0;
	if (!publisher->join_map.base || ayrei_shared_is_lost(&publisher->join_map))
		mend_join(publisher);
	/* Before: what comes after this is seen as another change. */
	join = ayrei_load_acquire(publisher->join);
	result = ayrei_members_look(&publisher->members, &publisher->topic,
	                            floor_of_newcomers(publisher, ring), ring);
	if (result < 0)
		return result;
	publisher->join_seen = join;
	ayrei_store_release(&layout->looks, layout->looks + 1);
	/* Who cannot make us pass a fence is served with one after each message, from here on. */
	if (ayrei_members_need_fence(&publisher->members)) {
		publisher->may_unfence = false;
		publisher->fenced = true;
		ayrei_publisher_settle(publisher);
		ayrei_store_release(&layout->fenced, 1);
		ayrei_fence_full();
	}
	return 0;
}

/*
 * In a durable lane it is the journal that has to have been there. It is carried further piece by piece,
 * while what it copies is still in a cache; in the end it makes all the room there can be.
 */
static int make_room_of_thread(struct ayre_publisher *publisher, uint64_t bytes)
{
	uint64_t carried = ayrei_load_acquire(&publisher->lane.layout->carried);
	int result = ayrei_lane_extend(&publisher->lane, bytes, carried), trouble;

	if (result != -EAGAIN)
		return result;
	/* Each attempt of ours is one of its. */
	ayrei_journal_thread_nudge(publisher->thread);
	trouble = ayrei_journal_thread_trouble(publisher->thread, &publisher->old_attempts);
	return trouble < 0 ? trouble : result;
}

static int make_durable_room(struct ayre_publisher *publisher, uint64_t bytes)
{
	struct ayrei_lane *lane = &publisher->lane;
	struct ayrei_journal *journal = &publisher->journal;
	uint64_t whole = ayrei_journal_piece_end(journal, lane->position) -
	                 ayrei_journal_piece_bytes(journal);
	int result = 0;

	if (whole > journal->carried.position)
		result = ayrei_journal_carry(journal, whole);
	if (result == 0)
		result = ayrei_lane_extend(lane, bytes, journal->carried.position);
	if (result != -EAGAIN)
		return result;
	result = ayrei_journal_carry(journal, lane->position);
	return result < 0 ? result : ayrei_lane_extend(lane, bytes, journal->carried.position);
}

int ayrei_publisher_make_room(struct ayre_publisher *publisher, uint64_t bytes)
{
	uint64_t floor = publisher->lossy
	                         ? UINT64_MAX
	                         : ayrei_members_floor(&publisher->members, &publisher->lane);

	if (publisher->checks)
		return publisher->thread ? make_room_of_thread(publisher, bytes)
		                         : make_durable_room(publisher, bytes);
	return ayrei_lane_extend(&publisher->lane, bytes, floor);
}

static void hear(struct ayre_publisher *publisher)
{
	struct ayrei_bell_news news = ayrei_bell_drain(publisher->bell);

	/* Those who came are looked for by the join word as well: whichever is first. */
	if (news.joined)
		publisher->look_error = ayrei_publisher_look(publisher, false);
	if (news.left)
		ayrei_members_part(&publisher->members,
		                   has_name(publisher) ? &publisher->topic : NULL);
}

bool ayrei_publisher_notice(struct ayre_publisher *publisher, int64_t deadline_ns)
{
	struct ayrei_event events[16];
	int count = ayrei_set_wait(publisher->members.set, events, 16, deadline_ns);

	for (int i = 0; i < count; i++) {
		if (events[i].tag == AYREI_OWN_BELL) {
			hear(publisher);
			/* Only a bell that is no name ends: the one who could ring it is gone. */
			if (events[i].ready & AYREI_HANGUP)
				(void)!ayrei_set_remove(publisher->members.set, publisher->bell);
		} else {
			ayrei_members_bury(&publisher->members,
			                   has_name(publisher) ? &publisher->topic : NULL,
			                   events[i].tag);
		}
	}
	return count > 0;
}

/*
 * Where the slowest cursor has to be for us to be woken: as far as needed, and an eighth of the ring
 * further if there is so much, or each message read would wake us for one to be written.
 */
static uint64_t wanted(const struct ayrei_lane *lane, uint64_t bytes)
{
	uint64_t ring = lane->mask + 1;
	uint64_t least = ayrei_record_end(lane->position, bytes) + AYREI_LANE_SLACK - ring;
	uint64_t more = least + ring / 8;

	return more < lane->position ? more : least < lane->position ? lane->position : least;
}

/* Says that we wait, and looks once more. 0: there is room after all. */
static int arm(struct ayre_publisher *publisher, uint64_t bytes)
{
	ayrei_store(&publisher->lane.layout->waiting, wanted(&publisher->lane, bytes));
	ayrei_fence_full();
	/* A dead one is passed over at once; its hang-up may have come before we listened. */
	if (ayrei_publisher_make_room(publisher, bytes) == 0)
		return 0;
	if (ayrei_members_bury(&publisher->members, has_name(publisher) ? &publisher->topic : NULL,
	                       0))
		return ayrei_publisher_make_room(publisher, bytes);
	return -EAGAIN;
}

static void disarm(struct ayre_publisher *publisher)
{
	ayrei_store(&publisher->lane.layout->waiting, 0);
}

/* Without sleeping. For an event loop, the descriptor is made to tell when another attempt is due. */
static int try_room(struct ayre_publisher *publisher, uint64_t bytes)
{
	int result = ayrei_publisher_make_room(publisher, bytes);

	if (result != -EAGAIN)
		return result;
	if (!publisher->exported) {
		return ayrei_members_bury(&publisher->members,
		                          has_name(publisher) ? &publisher->topic : NULL, 0)
		               ? ayrei_publisher_make_room(publisher, bytes)
		               : result;
	}
	ayrei_publisher_notice(publisher, 0);
	result = arm(publisher, bytes);
	if (result == 0)
		disarm(publisher);
	return result;
}

static int spin(struct ayre_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
	struct ayrei_spinning spinning = {0};

	while (ayrei_spin_turn(&publisher->spin, &spinning, deadline_ns)) {
		if (ayrei_publisher_make_room(publisher, bytes) == 0)
			return 0;
		/* Who spins for long hears of the dead, and of newcomers, all the same. */
		if (spinning.turns % 4096 == 0)
			ayrei_publisher_notice(publisher, 0);
		if (publisher->look_error < 0)
			return publisher->look_error;
	}
	return -EAGAIN;
}

int ayrei_publisher_wait_room(struct ayre_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
	int result;

	if (publisher->look_error < 0 || ayrei_shared_is_lost(&publisher->join_map)) {
		publisher->look_error = ayrei_publisher_look(publisher, false);
		if (publisher->look_error < 0)
			return publisher->look_error;
	}
	/* Who does not wait is told of an old one, too, but once. */
	if (publisher->thread && deadline_ns >= 0)
		publisher->old_attempts = ayrei_journal_thread_old(publisher->thread);
	result = ayrei_publisher_make_room(publisher, bytes);
	if (result != -EAGAIN)
		return result;
	if (deadline_ns < 0)
		return try_room(publisher, bytes);
	result = spin(publisher, bytes, deadline_ns);
	ayrei_spin_learn(&publisher->spin, result == 0);
	while (result == -EAGAIN) {
		result = arm(publisher, bytes);
		if (result == -EAGAIN && deadline_ns <= ayrei_monotonic_ns())
			result = -ETIMEDOUT;
		if (result == -EAGAIN) {
			publisher->waits++;
			ayrei_publisher_notice(publisher, deadline_ns);
			result = publisher->look_error < 0
			                 ? publisher->look_error
			                 : ayrei_publisher_make_room(publisher, bytes);
		}
		disarm(publisher);
	}
	return result;
}

/* Says that we wait until the oldest file has been read by all, and looks once more. Has it been? */
static bool arm_large(struct ayre_publisher *publisher)
{
	const struct ayrei_larges *larges = &publisher->larges;
	uint64_t oldest = larges->files[larges->first].position;

	ayrei_store(&publisher->lane.layout->waiting, oldest + 1);
	ayrei_fence_full();
	return ayrei_members_floor(&publisher->members, &publisher->lane) > oldest ||
	       ayrei_members_bury(&publisher->members, &publisher->topic, 0);
}

/* Before this, everybody who counts has read. */
static uint64_t passed(struct ayre_publisher *publisher)
{
	return publisher->lossy ? UINT64_MAX
	                        : ayrei_members_floor(&publisher->members, &publisher->lane);
}

/* Sleeps until the oldest file may have been read. */
static int wait_for_oldest(struct ayre_publisher *publisher, int64_t deadline_ns)
{
	int result = 0;

	/* As in try_room(): what an event loop has not heard yet would tell for ever. */
	if (deadline_ns < 0 && publisher->exported)
		ayrei_publisher_notice(publisher, 0);
	if (!arm_large(publisher)) {
		if (deadline_ns < 0) {
			result = -EAGAIN;
		} else if (deadline_ns <= ayrei_monotonic_ns()) {
			result = -ETIMEDOUT;
		} else {
			publisher->waits++;
			ayrei_publisher_notice(publisher, deadline_ns);
			result = publisher->look_error;
		}
	}
	if (result != -EAGAIN || !publisher->exported)
		disarm(publisher);
	return result;
}

/*
 * What those who count have read is kept for newcomers, but only so much of it: fewer files that are used in
 * turn stay in the caches of both ends. Where nobody counts, newcomers are all there is.
 */
#define KEPT_SHARE 8

static void retire(struct ayre_publisher *publisher, const struct ayrei_large_place *place)
{
	const struct ayrei_lane *lane = &publisher->lane;
	uint64_t floor = passed(publisher);

	/* What the ring no longer tells of. */
	ayrei_larges_expire(&publisher->larges, place, lane->limit - (lane->mask + 1));
	if (floor != UINT64_MAX)
		ayrei_larges_retire(&publisher->larges, place, floor,
		                    publisher->large_bytes / KEPT_SHARE);
}

/*
 * A file that is there, or a new one within the bound, for which those of messages that everybody has read
 * go first. In a reliable topic those that somebody has yet to read are waited for; one message alone may
 * be of any size.
 */
int ayrei_publisher_wait_large(struct ayre_publisher *publisher, uint64_t bytes,
                               int64_t deadline_ns)
{
	struct ayrei_large_place place = ayrei_publisher_place(publisher);
	struct ayrei_larges *larges = &publisher->larges;
	uint64_t left = bytes < publisher->large_bytes ? publisher->large_bytes - bytes : 0;
	int result = 0;

	/* They stay, with the records that tell of them. */
	if (publisher->checks)
		return ayrei_large_create(&publisher->topic, bytes, &publisher->draft);
	retire(publisher, &place);
	while (!ayrei_larges_take(larges, &place, bytes, &publisher->draft)) {
		if (larges->bytes <= left) {
			result = ayrei_large_create(&publisher->topic, bytes, &publisher->draft);
			/* Room that we keep for later is not missing now. */
			if (larges->spare_count == 0 || (result != -ENOSPC && result != -ENOMEM))
				return result;
			ayrei_larges_drop_spares(larges, &place);
			continue;
		}
		if (ayrei_larges_give_way(larges, &place, passed(publisher)))
			continue;
		result = wait_for_oldest(publisher, deadline_ns);
		if (result < 0)
			return result;
	}
	return 0;
}

/* --- for the host --- */

int ayre_publisher_wait_subscribers(struct ayre_publisher *publisher, unsigned int count,
                                    int64_t deadline_ns)
{
	int result;

	ayrei_publisher_give_up(publisher);
	result = ayrei_publisher_look(publisher, false);
	while (result == 0 && publisher->members.count < count) {
		bool is_late = deadline_ns <= ayrei_monotonic_ns();

		/* Once more than it waits, so that the descriptor does not tell again what is known. */
		ayrei_publisher_notice(publisher, deadline_ns);
		result = publisher->look_error;
		if (result == 0 && is_late && publisher->members.count < count)
			return -ETIMEDOUT;
	}
	return result < 0 ? result : (int)publisher->members.count;
}

uint64_t ayre_publisher_message_max(const struct ayre_publisher *publisher)
{
	return has_name(publisher) ? SSIZE_MAX / 2 : publisher->message_max;
}

int ayre_publisher_fd(struct ayre_publisher *publisher)
{
	int bell;

	if (publisher->exported)
		return publisher->members.set;
	/* Ringing to begin with: an attempt that failed before this has not said that we wait. */
	bell = ayrei_fifo_open(publisher->bell, O_WRONLY);
	if (bell < 0)
		return bell;
	ayrei_bell_ring(bell, AYREI_BELL_MESSAGE);
	ayrei_file_close(bell);
	publisher->exported = true;
	return publisher->members.set;
}
