/*
 * A publisher's log: taken with its lane, and how its messages become safe.
 *
 * The lock on log.ID comes first, and with it the lane is ours, whether its ring is there or not. A ring that is
 * there has what its publisher had sent when it died, whatever of it was carried. Without one, after the machine
 * has started anew, the log alone says how far it goes.
 */
#include <errno.h>

#include "base/error.h"
#include "sys/event.h"
#include "sys/file.h"
#include "topic/publisher.h"

/* --- taking --- */

/* With its ring, if that is there and agrees with it. 1: taken; 0: there is none; or a negative errno. */
static int go_on(struct ayre_publisher *publisher, struct ayre_error *error)
{
	struct ayrei_journal *journal = &publisher->journal;
	char path[AYREI_PEER_PATH_BYTES];
	int result = ayrei_publisher_try_lane(publisher, journal->id);

	/* It may have what is not in the log: it stays, for whoever can take it. */
	if (result < 0)
		return result;
	if (result == 1) {
		result = ayrei_journal_resume(journal, &publisher->lane);
		if (publisher->lane.time_ns < journal->time_ns)
			publisher->lane.time_ns = journal->time_ns;
		if (result == 0)
			result = ayrei_publisher_succeed(publisher, error);
		if (result == 0)
			return 1;
		ayrei_publisher_drop_lane(publisher);
		if (result != -ESTALE)
			return result;
	}
	/* Of another log, or damaged: whatever it had is in the log as far as that goes. */
	(void)!ayrei_file_unlink(
		ayrei_peer_path(&publisher->topic, AYREI_PEER_PUBLISHER, journal->id, "", path));
	return 0;
}

static int restart(struct ayre_publisher *publisher, void *context)
{
	const struct ayrei_log_place *end = context;

	return ayrei_journal_restart(&publisher->journal, &publisher->lane, end->closed);
}

static int begin_anew(struct ayre_publisher *publisher, struct ayre_error *error)
{
	struct ayrei_log_place end;
	struct ayrei_new_lane what = {
		.id = publisher->journal.id,
		.finish = restart,
		.context = &end,
	};
	int result = ayrei_journal_recover(&publisher->journal, &end);

	if (result < 0)
		return result;
	publisher->lane.time_ns = publisher->journal.time_ns;
	what.position = end.position;
	what.sequence = end.sequence;
	result = ayrei_publisher_make_lane(publisher, &what, error);
	if (result < 0)
		return result;
	publisher->was_closed = end.closed;
	return ayrei_publisher_succeed(publisher, error);
}

/* Somebody has it, or may have it alone, or has removed it. */
static bool is_anothers(int result)
{
	return result == -EWOULDBLOCK || result == -EPERM || result == -EACCES ||
	       result == -ENOENT || result == -ELOOP;
}

/* 1: taken; 0: it is another's, or damaged, and left as it is; or a negative errno. */
static int try_log(struct ayre_publisher *publisher, uint64_t id, struct ayre_error *error)
{
	int result = ayrei_journal_take(&publisher->journal, &publisher->topic, id);
	bool is_left = is_anothers(result);
	/* What is known nearer to where it failed says more. */
	struct ayre_error nearer = {.code = 0};

	if (result == 0)
		result = go_on(publisher, &nearer);
	if (result == 0) {
		result = begin_anew(publisher, &nearer);
		result = result == 0 ? 1 : result;
	}
	if (result == 1)
		return 1;
	ayrei_publisher_drop_lane(publisher);
	ayrei_journal_abandon(&publisher->journal);
	/* Its ring is looked at just now, or in the way of a stranger's file. */
	is_left |= result == -EBADMSG || result == -EWOULDBLOCK || result == -EBUSY;
	if (is_left)
		return 0;
	if (nearer.code == result && error)
		*error = nearer;
	else
		ayrei_fail(error, result, "log", publisher->topic.label, NULL);
	return result;
}

static int create(struct ayre_publisher *publisher, void *context)
{
	(void)context;
	return ayrei_journal_create(&publisher->journal, &publisher->topic, &publisher->lane);
}

struct search {
	struct ayre_publisher *publisher;
	struct ayre_error *error;
	bool is_taken, is_told;
};

static int try_next(const struct ayrei_log_name *name, void *context)
{
	struct search *search = context;
	int result;

	if (name->is_extent || search->is_taken)
		return 0;
	result = try_log(search->publisher, name->id, search->error);
	search->is_taken = result == 1;
	search->is_told |= result < 0;
	return result < 0 ? result : 0;
}

int ayrei_publisher_take_log(struct ayre_publisher *publisher, struct ayre_error *error)
{
	const struct ayrei_new_lane fresh = {.finish = create};
	struct search search = {publisher, error, false, false};
	int result;

	publisher->checks = true;
	result = ayrei_log_visit(&publisher->topic, try_next, &search);
	if (result < 0)
		return search.is_told
		               ? result
		               : ayrei_fail(error, result, "look", publisher->topic.label, NULL);
	if (search.is_taken)
		return 0;
	result = ayrei_publisher_make_lane(publisher, &fresh, error);
	publisher->was_closed = true;
	return result;
}

/* --- keeping --- */

/* All that was sent. The thread says first that it is safe, for subscribers, and then how many messages that are. */
static bool is_all_safe(const struct ayre_publisher *publisher)
{
	return ayrei_load_acquire(&publisher->lane.layout->safe) >= publisher->lane.position &&
	       ayrei_load_acquire(&publisher->thread->safe_sequence) >= publisher->lane.sequence;
}

static int await_all_safe(struct ayre_publisher *publisher)
{
	struct ayrei_journal_thread *thread = publisher->thread;
	uint64_t old = ayrei_journal_thread_old(thread);
	int result;

	ayrei_journal_thread_want(thread, publisher->lane.position);
	while (!is_all_safe(publisher)) {
		result = ayrei_journal_thread_trouble(thread, &old);
		if (result < 0)
			return result;
		(void)ayrei_journal_thread_await(thread, AYRE_NO_DEADLINE);
	}
	return 0;
}

/* By our own hands. */
static int flush_all(struct ayre_publisher *publisher)
{
	uint64_t safe = publisher->journal.safe.position;
	int result = ayrei_journal_carry(&publisher->journal, publisher->lane.position);

	if (result == 0)
		result = ayrei_journal_flush(&publisher->journal);
	if (publisher->journal.safe.position == safe)
		return result;
	/* Against one who waits for what is safe, and looks a last time. */
	ayrei_fence_full();
	ayrei_publisher_attend(publisher);
	return result;
}

static int sync_all(struct ayre_publisher *publisher)
{
	return publisher->thread ? await_all_safe(publisher) : flush_all(publisher);
}

int ayrei_publisher_make_disk_room(struct ayre_publisher *publisher, uint64_t end)
{
	return ayrei_journal_make_room(&publisher->journal, end, &publisher->disk_room);
}

int ayrei_publisher_keep(struct ayre_publisher *publisher)
{
	if (publisher->journal.sync == AYRE_TOPIC_SYNC_EACH)
		return sync_all(publisher);
	if (publisher->thread)
		ayrei_journal_thread_nudge(publisher->thread);
	return 0;
}

int ayrei_publisher_begin_log(struct ayre_publisher *publisher)
{
	int result = 0;

	if (!publisher->checks)
		return 0;
	ayrei_journal_retain(&publisher->journal);
	/* The thread makes room by itself. */
	if (publisher->journal.sync == AYRE_TOPIC_SYNC_EACH && !publisher->wants_thread)
		publisher->disk_room = 0;
	if (publisher->wants_thread)
		publisher->thread = ayrei_journal_thread_start(
			&publisher->journal, &publisher->topic, publisher->bell, &result);
	return result < 0 ? result : 0;
}

void ayrei_publisher_end_log(struct ayre_publisher *publisher)
{
	ayrei_journal_thread_end(publisher->thread);
	publisher->thread = NULL;
	if (!ayrei_journal_is_open(&publisher->journal) || !publisher->journal.lane)
		return;
	/* What could not be carried stays in the ring, for whoever takes the lane next. */
	if (publisher->journal.sync == AYRE_TOPIC_SYNC_NONE)
		(void)!ayrei_journal_carry(&publisher->journal, publisher->lane.position);
	else
		(void)!flush_all(publisher);
	ayrei_journal_close(&publisher->journal);
}

/* --- for the host --- */

uint64_t ayrei_publisher_safe_sequence(const struct ayre_publisher *publisher)
{
	return publisher->thread ? ayrei_load_acquire(&publisher->thread->safe_sequence)
	                         : publisher->journal.safe.sequence;
}

int ayre_publisher_sync(struct ayre_publisher *publisher)
{
	return publisher->checks ? sync_all(publisher) : -EOPNOTSUPP;
}

int ayre_publisher_wait_safe(struct ayre_publisher *publisher, uint64_t sequence,
                             int64_t deadline_ns)
{
	struct ayrei_journal_thread *thread = publisher->thread;
	uint64_t old;
	int result = 0;

	if (!publisher->checks)
		return -EOPNOTSUPP;
	if (sequence >= publisher->lane.sequence)
		return -EINVAL;
	if (!thread)
		return sequence < publisher->journal.safe.sequence ? 0 : flush_all(publisher);
	old = ayrei_journal_thread_old(thread);
	while (sequence >= ayrei_load_acquire(&thread->safe_sequence)) {
		/* In which of them it is, only the journal knows: all that was sent by now. */
		if (publisher->journal.sync == AYRE_TOPIC_SYNC_NONE)
			ayrei_journal_thread_want(thread, publisher->lane.position);
		else
			ayrei_journal_thread_nudge(thread);
		result = ayrei_journal_thread_trouble(thread, &old);
		if (result < 0)
			return result;
		if (!ayrei_journal_thread_await(thread, deadline_ns))
			return sequence < ayrei_load_acquire(&thread->safe_sequence) ? 0
			                                                             : -ETIMEDOUT;
	}
	return 0;
}

int64_t ayre_publisher_safe_messages(struct ayre_publisher *publisher)
{
	int failure;

	if (!publisher->checks)
		return -EOPNOTSUPP;
	if (publisher->thread)
		(void)!ayrei_flag_clear(publisher->thread->moved);
	failure = ayrei_publisher_failure(publisher);
	return failure ? failure : (int64_t)ayrei_publisher_safe_sequence(publisher);
}

int ayre_publisher_safe_fd(struct ayre_publisher *publisher)
{
	return publisher->thread ? publisher->thread->moved : -EOPNOTSUPP;
}
