/*
 * Sending: the way of every message.
 *
 * Invariant: a message that was committed wakes everybody who slept when it was. The race is between
 * a sleeper that has looked at the lane for the last time, and us, who have looked at its ticket:
 *
 *     publisher                              subscriber
 *     store header                           store ticket (odd)
 *     [fence]                                [fence]
 *     load ticket: even, nobody sleeps       load header: 0, nothing there; sleeps
 *
 * Without both fences both loads may come before both stores, and the subscriber sleeps with a message
 * before it. The subscriber's is always executed. Ours costs as much as the rest of a message; so in a
 * stream we leave it out and say so (`fenced` is 0), and who goes to sleep then makes the kernel
 * execute one on our processor (membarrier). Where subscribers do sleep, ours is the cheaper one, and
 * we put it back. The change is safe by the same argument, with `fenced` in the place of the ticket: see
 * unfence().
 */
#include "topic/publisher.h"

#include <errno.h>
#include <limits.h>

#include "base/hash.h"
#include "sys/event.h"
#include "sys/system.h"

/* Messages without a sleeper until the fence is left out. */
#define QUIET_MESSAGES 64

/* --- after a message --- */

/*
 * A subscriber stores its ticket, executes a fence, and loads `fenced`. If it finds 1 it makes nobody
 * pass a fence, so we must see its ticket: either its store came before our fence here, and every later
 * load of ours sees it; or its load comes after, and finds 0.
 */
static void unfence(struct ayre_publisher *publisher)
{
	publisher->fenced = false;
	ayrei_publisher_settle(publisher);
	ayrei_store(&publisher->lane.layout->fenced, 0);
	ayrei_fence_full();
}

static void refence(struct ayre_publisher *publisher)
{
	publisher->quiet = 0;
	if (publisher->fenced)
		return;
	publisher->fenced = true;
	ayrei_publisher_settle(publisher);
	/* Release: who finds the 1 makes nobody pass a fence, and so has to find the messages before it. */
	ayrei_store_release(&publisher->lane.layout->fenced, 1);
	ayrei_fence_full();
}

void ayrei_publisher_settle(struct ayre_publisher *publisher)
{
	bool simple = !publisher->fenced && !publisher->stamps && !publisher->is_reserved &&
	              !publisher->was_closed && publisher->look_error == 0;

	publisher->is_plain = simple && !publisher->checks;
	publisher->is_plain_log =
		simple && publisher->checks && publisher->journal.sync != AYRE_TOPIC_SYNC_EACH;
}

void ayrei_publisher_attend(struct ayre_publisher *publisher)
{
	if (ayrei_load(publisher->join) != publisher->join_seen) {
		publisher->look_error = ayrei_publisher_look(publisher, false);
		ayrei_publisher_settle(publisher);
	}
	if (ayrei_members_wake(&publisher->members))
		refence(publisher);
}

static inline bool is_called(const struct ayre_publisher *publisher)
{
	return ayrei_load(publisher->join) != publisher->join_seen ||
	       ayrei_members_changed(&publisher->members);
}

static void after_message(struct ayre_publisher *publisher)
{
	if (publisher->fenced) {
		ayrei_fence_full();
		if (++publisher->quiet > QUIET_MESSAGES && publisher->may_unfence)
			unfence(publisher);
	} else {
		ayrei_fence_compiler();
	}
	if (__builtin_expect(is_called(publisher), false))
		ayrei_publisher_attend(publisher);
}

/* --- in the ring --- */

/* What stands between a header and its message: a check, a stamp. */
static inline uint64_t prefix_bytes(const struct ayre_publisher *publisher)
{
	return (publisher->checks ? sizeof(uint64_t) : 0) +
	       (publisher->stamps ? sizeof(int64_t) : 0);
}

/* What a call other than commit does with a reservation: it gives it up. */
void ayrei_publisher_give_up(struct ayre_publisher *publisher)
{
	publisher->is_reserved = false;
	if (ayrei_large_is_begun(&publisher->draft)) {
		struct ayrei_large_place place = ayrei_publisher_place(publisher);

		ayrei_larges_give_up(&publisher->larges, &place, &publisher->draft);
	}
	ayrei_publisher_settle(publisher);
}

static int room(struct ayre_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
	uint64_t end;
	int result = 0;

	if (publisher->is_reserved)
		ayrei_publisher_give_up(publisher);
	/* Nothing is sent into a log that cannot keep it. */
	if (publisher->checks && ayrei_publisher_failure(publisher) < 0)
		return ayrei_publisher_failure(publisher);
	if (publisher->look_error < 0 || !ayrei_lane_fits(&publisher->lane, bytes))
		result = ayrei_publisher_wait_room(publisher, bytes, deadline_ns);
	end = ayrei_record_end(publisher->lane.position, bytes);
	if (result < 0 || __builtin_expect(end <= publisher->disk_room, true))
		return result;
	return ayrei_publisher_make_disk_room(publisher, end);
}

static inline int64_t stamp_time(struct ayre_publisher *publisher)
{
	int64_t now_ns;

	if (!publisher->stamps)
		return 0;
	now_ns = ayrei_realtime_ns();
	publisher->lane.time_ns = ayrei_time_after(publisher->lane.time_ns, now_ns);
	return now_ns;
}

static inline void put_stamp(struct ayre_publisher *publisher, uint64_t position, int64_t time_ns)
{
	if (publisher->stamps)
		memcpy(ayrei_lane_bytes(&publisher->lane, position) +
		               (publisher->checks ? sizeof(uint64_t) : 0),
		       &time_ns, sizeof(time_ns));
}

/* What is at this position is written, but for its header, which is returned, and its check, which comes later. */
static inline uint64_t finish_record(const struct ayre_publisher *publisher, uint64_t position,
                                     size_t bytes, unsigned int kind)
{
	uint64_t header = ayrei_record_pack((uint32_t)(bytes + prefix_bytes(publisher)), kind,
	                                    publisher->stamps ? AYREI_RECORD_STAMPED : 0);

	return publisher->checks ? ayrei_publisher_mark(publisher, position, header) : header;
}

static void commit(struct ayre_publisher *publisher, size_t bytes, unsigned int kind)
{
	ayrei_lane_commit(&publisher->lane,
	                  finish_record(publisher, publisher->lane.position, bytes, kind));
	publisher->lane.sequence++;
	if (publisher->was_closed) {
		publisher->was_closed = false;
		ayrei_publisher_settle(publisher);
	}
}

/* A message was committed: whoever sleeps is woken, and then it is kept, if it is to be. */
static int after_commit(struct ayre_publisher *publisher)
{
	after_message(publisher);
	return publisher->checks ? ayrei_publisher_keep(publisher) : 0;
}

/* --- beside the ring --- */

/* Of a record that tells of a message beside the ring: its size, and where there are checks a hash. */
static inline uint64_t large_bytes(const struct ayre_publisher *publisher)
{
	return sizeof(uint64_t) * (publisher->checks ? 2 : 1) + prefix_bytes(publisher);
}

static int begin_large(struct ayre_publisher *publisher, size_t bytes, int64_t deadline_ns)
{
	int result;

	if (publisher->topic.directory < 0 || bytes > SSIZE_MAX / 2) {
		ayrei_publisher_give_up(publisher);
		return -EMSGSIZE;
	}
	result = room(publisher, large_bytes(publisher), deadline_ns);
	return result < 0 ? result : ayrei_publisher_wait_large(publisher, bytes, deadline_ns);
}

static int finish_large(struct ayre_publisher *publisher, size_t bytes)
{
	struct ayrei_large_place place = ayrei_publisher_place(publisher);
	uint64_t position = publisher->lane.position, told[2] = {bytes};
	size_t told_bytes = sizeof(*told) * (publisher->checks ? 2 : 1);
	int result;

	if (publisher->checks) {
		told[1] = ayrei_hash(publisher->draft.file.map.base, bytes);
		result = ayrei_large_name(&place, &publisher->draft, position, bytes);
		ayrei_larges_give_up(&publisher->larges, &place, &publisher->draft);
	} else {
		result = ayrei_larges_finish(&publisher->larges, &place, &publisher->draft,
		                             position, bytes);
	}
	if (result < 0)
		return result;
	put_stamp(publisher, position, stamp_time(publisher));
	memcpy(ayrei_lane_bytes(&publisher->lane, position) + prefix_bytes(publisher), told,
	       told_bytes);
	commit(publisher, told_bytes, AYREI_RECORD_LARGE);
	return after_commit(publisher);
}

static int send_large(struct ayre_publisher *publisher, const void *data, size_t bytes,
                      int64_t deadline_ns)
{
	int result = begin_large(publisher, bytes, deadline_ns);

	if (result < 0)
		return result;
	memcpy(publisher->draft.file.map.base, data, bytes);
	return finish_large(publisher, bytes);
}

/* --- sending --- */

static int send_any(struct ayre_publisher *publisher, const void *data, size_t bytes,
                    int64_t deadline_ns)
{
	int result;

	if (bytes > publisher->message_max)
		return send_large(publisher, data, bytes, deadline_ns);
	result = room(publisher, bytes + prefix_bytes(publisher), deadline_ns);
	if (result < 0)
		return result;
	put_stamp(publisher, publisher->lane.position, stamp_time(publisher));
	ayrei_lane_copy(ayrei_lane_bytes(&publisher->lane, publisher->lane.position) +
	                        prefix_bytes(publisher),
	                data, bytes);
	commit(publisher, bytes, AYREI_RECORD_MESSAGE);
	return after_commit(publisher);
}

static int attend_and_return(struct ayre_publisher *publisher)
{
	ayrei_publisher_attend(publisher);
	return 0;
}

/*
 * All lines of the ring are where the journal put its checks in: if that is a thread, on another processor. So far
 * ahead they are asked for, which takes as long as it takes to write some twenty short messages.
 */
#define LOG_AHEAD 2048

/*
 * The short way in a durable topic where nobody waits for each message to be safe: a place is left for the check, and
 * whoever carries it is looked at. It is for messages of any size in the ring.
 */
__attribute__((noinline)) static int send_in_log(struct ayre_publisher *publisher, const void *data,
                                                 size_t bytes, int64_t deadline_ns)
{
	const uint64_t prefix = sizeof(uint64_t);
	struct ayrei_lane *lane = &publisher->lane;
	uint64_t position = lane->position;
	char *to;

	if (__builtin_expect(!publisher->is_plain_log || bytes > publisher->message_max ||
	                             !ayrei_lane_fits(lane, bytes + prefix) ||
	                             ayrei_publisher_failure(publisher) < 0,
	                     false))
		return send_any(publisher, data, bytes, deadline_ns);
	to = ayrei_lane_bytes(lane, position);
	ayrei_prefetch_write(to + LOG_AHEAD);
	ayrei_prefetch_write(to + LOG_AHEAD + AYREI_LINE);
	ayrei_lane_copy(to + prefix, data, bytes);
	ayrei_lane_commit(lane, ayrei_publisher_mark(publisher, position,
	                                             ayrei_record_pack((uint32_t)(bytes + prefix),
	                                                               AYREI_RECORD_MESSAGE, 0)));
	lane->sequence++;
	ayrei_fence_compiler();
	if (__builtin_expect(is_called(publisher), false))
		ayrei_publisher_attend(publisher);
	if (publisher->thread)
		ayrei_journal_thread_nudge(publisher->thread);
	return 0;
}

/*
 * The shortest way, for short messages in a stream. What bounds it is not instructions but stores: each
 * line of the ring has to be taken from a reader's cache, and all that is stored meanwhile waits in the
 * store buffer, which has room for some four dozen. So there is no call on this way, no register is
 * saved, and nothing is counted that can be computed.
 */
static inline int send_one(struct ayre_publisher *publisher, const void *data, size_t bytes,
                           int64_t deadline_ns)
{
	struct ayrei_lane *lane = &publisher->lane;

	if (__builtin_expect(!publisher->is_plain || bytes > AYREI_COPY_SHORT_MAX ||
	                             !ayrei_lane_fits(lane, bytes),
	                     false))
		return publisher->checks ? send_in_log(publisher, data, bytes, deadline_ns)
		                         : send_any(publisher, data, bytes, deadline_ns);
	ayrei_copy_short(ayrei_lane_bytes(lane, lane->position), data, bytes);
	ayrei_lane_commit(lane, ayrei_record_pack((uint32_t)bytes, AYREI_RECORD_MESSAGE, 0));
	lane->sequence++;
	ayrei_fence_compiler();
	return __builtin_expect(is_called(publisher), false) ? attend_and_return(publisher) : 0;
}

/* A deadline that has passed: do not wait, and -EAGAIN says so. */
#define NOT_AT_ALL INT64_MIN

int ayre_publisher_send(struct ayre_publisher *publisher, const void *data, size_t bytes)
{
	return send_one(publisher, data, bytes, AYRE_NO_DEADLINE);
}

int ayre_publisher_try_send(struct ayre_publisher *publisher, const void *data, size_t bytes)
{
	return send_one(publisher, data, bytes, NOT_AT_ALL);
}

int ayre_publisher_send_until(struct ayre_publisher *publisher, const void *data, size_t bytes,
                              int64_t deadline_ns)
{
	return send_one(publisher, data, bytes, deadline_ns < 0 ? 0 : deadline_ns);
}

/* --- a batch --- */

/* All of it but its header. */
static inline void put_in_batch(struct ayre_publisher *publisher, uint64_t position,
                                const struct iovec *message, int64_t time_ns)
{
	put_stamp(publisher, position, time_ns);
	ayrei_lane_copy(ayrei_lane_bytes(&publisher->lane, position) + prefix_bytes(publisher),
	                message->iov_base, message->iov_len);
}

/* Those behind the first, as many as there is room for. Returns how many there are with it. */
static size_t put_others(struct ayre_publisher *publisher, const struct iovec *messages,
                         size_t count, int64_t time_ns)
{
	struct ayrei_lane *lane = &publisher->lane;
	uint64_t prefix = prefix_bytes(publisher);
	size_t done = 0;

	for (; done < count; done++) {
		size_t bytes = messages[done].iov_len;
		uint64_t end = ayrei_record_end(lane->position, bytes + prefix);

		/* By the limit as it is: to move it can write a checkpoint, at what nobody can see yet. */
		if (bytes > publisher->message_max || !ayrei_lane_fits(lane, bytes + prefix) ||
		    end > publisher->disk_room)
			break;
		ayrei_store(ayrei_lane_word(lane, end), 0);
		if (done) {
			put_in_batch(publisher, lane->position, &messages[done], time_ns);
			ayrei_store(ayrei_lane_word(lane, lane->position),
			            finish_record(publisher, lane->position, bytes,
			                          AYREI_RECORD_MESSAGE));
		}
		lane->position = end;
		lane->sequence++;
	}
	return done;
}

/*
 * All but the first are written with their headers, behind a header that is still 0; the first comes
 * last, as does its line (see ayrei_lane_copy()), and all of them appear.
 */
ssize_t ayre_publisher_send_batch(struct ayre_publisher *publisher, const struct iovec *messages,
                                  size_t count)
{
	struct ayrei_lane *lane = &publisher->lane;
	uint64_t start;
	int64_t time_ns;
	size_t done;
	int result;

	if (count == 0)
		return 0;
	if (messages[0].iov_len > publisher->message_max) {
		result = ayre_publisher_send(publisher, messages[0].iov_base, messages[0].iov_len);
		return result < 0 ? result : 1;
	}
	result = room(publisher, messages[0].iov_len + prefix_bytes(publisher), AYRE_NO_DEADLINE);
	if (result < 0)
		return result;
	start = lane->position;
	/* They appear at once. */
	time_ns = stamp_time(publisher);
	done = put_others(publisher, messages, count, time_ns);
	put_in_batch(publisher, start, &messages[0], time_ns);
	ayrei_store_release(
		ayrei_lane_word(lane, start),
		finish_record(publisher, start, messages[0].iov_len, AYREI_RECORD_MESSAGE));
	publisher->was_closed = false;
	ayrei_publisher_settle(publisher);
	result = after_commit(publisher);
	return result < 0 ? result : (ssize_t)done;
}

/* --- in place --- */

static int reserve(struct ayre_publisher *publisher, size_t bytes, void **ret_data,
                   int64_t deadline_ns)
{
	uint64_t prefix = prefix_bytes(publisher);
	int result;

	if (bytes > publisher->message_max) {
		result = begin_large(publisher, bytes, deadline_ns);
		if (result == 0)
			*ret_data = publisher->draft.file.map.base;
	} else {
		result = room(publisher, bytes + prefix, deadline_ns);
		if (result == 0)
			*ret_data = ayrei_lane_bytes(&publisher->lane, publisher->lane.position) +
			            prefix;
	}
	publisher->reserved_bytes = result == 0 ? bytes : 0;
	publisher->is_reserved = result == 0;
	ayrei_publisher_settle(publisher);
	return result;
}

int ayre_publisher_reserve(struct ayre_publisher *publisher, size_t bytes, void **ret_data)
{
	return reserve(publisher, bytes, ret_data, AYRE_NO_DEADLINE);
}

int ayre_publisher_try_reserve(struct ayre_publisher *publisher, size_t bytes, void **ret_data)
{
	return reserve(publisher, bytes, ret_data, NOT_AT_ALL);
}

int ayre_publisher_reserve_until(struct ayre_publisher *publisher, size_t bytes, void **ret_data,
                                 int64_t deadline_ns)
{
	return reserve(publisher, bytes, ret_data, deadline_ns < 0 ? 0 : deadline_ns);
}

int ayre_publisher_commit(struct ayre_publisher *publisher, size_t bytes)
{
	if (!publisher->is_reserved || bytes > publisher->reserved_bytes)
		return -EINVAL;
	publisher->is_reserved = false;
	ayrei_publisher_settle(publisher);
	if (ayrei_large_is_begun(&publisher->draft))
		return finish_large(publisher, bytes);
	put_stamp(publisher, publisher->lane.position, stamp_time(publisher));
	commit(publisher, bytes, AYREI_RECORD_MESSAGE);
	return after_commit(publisher);
}
