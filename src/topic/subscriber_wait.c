/*
 * A subscriber that finds nothing: spins, sleeps, hears who came and who died.
 *
 * Invariant: it sleeps only after it drew a ticket, made everybody who publishes pass a fence, and
 * found nothing once more (the race is drawn in publisher.c). There is no timed second look: a wake
 * that could be lost would be lost. (One exception is stated where it is made: a process that is
 * forbidden to make others pass a fence.)
 *
 * For an event loop the bell itself is what is waited for. It is left ringing until an attempt finds
 * nothing; then it is drained, a new ticket is drawn, and one more attempt is made.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/options.h"
#include "sys/cpu.h"
#include "sys/event.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "topic/bell.h"
#include "topic/subscriber.h"

/* Who polls looks at the bell so often, and not in every attempt. */
#define NOTICE_NS 1000000

/* What is left in a store buffer for so long is in none. */
#define UNFENCED_NS 10000000

/* --- what there is to tell --- */

static bool has_something(const struct ayre_subscriber *subscriber,
                          const struct ayrei_source *source)
{
	if (source->state == AYREI_SOURCE_BROKEN)
		return false;
	if (subscriber->is_durable &&
	    (source->is_in_log || !ayrei_source_may_go_on(subscriber, source)))
		return source->is_in_log && ayrei_source_has_in_log(subscriber, source);
	return (ayrei_reader_header(&source->reader) != 0 ||
	        !ayrei_reader_is_intact(&source->reader, source->reader.position));
}

/* Has its last publisher died without closing? */
static bool is_lost(const struct ayre_subscriber *subscriber, const struct ayrei_source *source)
{
	return source->state == AYREI_SOURCE_LEFT && !ayrei_source_was_closed(source) &&
	       !has_something(subscriber, source);
}

/* 0, -EPIPE or -EOWNERDEAD: with UNTIL_CLOSED, and nothing is there to be read. */
static int find_end(const struct ayre_subscriber *subscriber)
{
	bool seen = false, lost = false;

	if (!(subscriber->options.flags & AYRE_SUBSCRIBER_UNTIL_CLOSED))
		return 0;
	for (size_t i = 0; i < subscriber->source_count; i++) {
		const struct ayrei_source *source = &subscriber->sources[i];

		if (!source->counts)
			continue;
		/*
		 * One that says it has closed may have left its lane to another: the kernel knows. A lane
		 * without a name is left to nobody.
		 */
		if (has_something(subscriber, source) ||
		    (source->state == AYREI_SOURCE_LIVE &&
		     (subscriber->topic.directory >= 0 || !ayrei_source_was_closed(source))))
			return 0;
		seen = true;
		lost |= is_lost(subscriber, source) || source->deaths > 0;
	}
	return !seen ? 0 : lost ? -EOWNERDEAD : -EPIPE;
}

/* Is there one that says it has closed, and is not known to have gone? Then that will be heard soon. */
static bool is_ending(const struct ayre_subscriber *subscriber)
{
	if (!(subscriber->options.flags & AYRE_SUBSCRIBER_UNTIL_CLOSED))
		return false;
	for (size_t i = 0; i < subscriber->source_count; i++)
		if (subscriber->sources[i].state == AYREI_SOURCE_LIVE &&
		    ayrei_source_was_closed(&subscriber->sources[i]))
			return true;
	return false;
}

void ayrei_subscriber_settle(struct ayre_subscriber *subscriber)
{
	subscriber->is_plain = subscriber->source_count == 1 && subscriber->trouble == 0 &&
	                       !subscriber->exported && !subscriber->is_durable &&
	                       !(subscriber->options.flags & AYRE_SUBSCRIBER_UNTIL_CLOSED);
}

bool ayrei_subscriber_is_ready(struct ayre_subscriber *subscriber)
{
	if (subscriber->trouble)
		return true;
	for (size_t i = 0; i < subscriber->source_count; i++) {
		struct ayrei_source *source = &subscriber->sources[i];

		if (source->state != AYREI_SOURCE_BROKEN)
			ayrei_source_pass_closed(source, subscriber);
		if (has_something(subscriber, source))
			return true;
		if (ayrei_source_is_awaited(source))
			ayrei_source_publish(source, subscriber);
	}
	return find_end(subscriber) < 0;
}

/* --- hearing --- */

/* Puts another descriptor of the bell in the place of the one that is there. */
static int change_bell(struct ayre_subscriber *subscriber, bool alone)
{
	int fd = ayrei_bell_reopen(subscriber->bell, alone);
	int result =
		fd < 0 ? fd
		       : ayrei_set_add(subscriber->set, fd, AYREI_READABLE, AYREI_SUBSCRIBER_BELL);

	if (result < 0) {
		ayrei_file_close(fd);
		return result;
	}
	(void)!ayrei_set_remove(subscriber->set, subscriber->bell);
	ayrei_file_close(subscriber->bell);
	subscriber->bell = fd;
	subscriber->is_alone = alone;
	return 0;
}

/*
 * May a sleep be one read of the bell? The only publisher has rung it, and so keeps it from ending while
 * it lives; and nobody else can when it does not: a topic that is this user's alone, or none with a name.
 */
static bool can_be_alone(const struct ayre_subscriber *subscriber)
{
	return subscriber->source_count == 1 && subscriber->was_rung && !subscriber->exported &&
	       subscriber->sources[0].state == AYREI_SOURCE_LIVE &&
	       subscriber->sources[0].bell >= 0 &&
	       (subscriber->topic.directory < 0 || !(subscriber->topic.layout.mode & 077));
}

static void hear(struct ayre_subscriber *subscriber)
{
	struct ayrei_bell_news news = ayrei_bell_drain(subscriber->bell);
	int result = 0;

	if (news.joined)
		result = ayrei_subscriber_look(subscriber, false);
	subscriber->was_rung = (subscriber->was_rung || news.rung) && !news.ended;
	if (news.ended) {
		for (size_t i = 0; i < subscriber->source_count; i++)
			ayrei_source_check(subscriber, &subscriber->sources[i]);
		/* Without a name there is nobody else who could ever ring. */
		if (subscriber->topic.directory >= 0)
			result = change_bell(subscriber, false);
		else
			(void)!ayrei_set_remove(subscriber->set, subscriber->bell);
	}
	if (result < 0)
		subscriber->trouble = result;
	ayrei_subscriber_settle(subscriber);
}

/*
 * A look that failed, for want of a descriptor, say, is told once; but whom it did not find waits for us.
 * So it is tried again, before each sleep and now and then.
 */
static void look_again(struct ayre_subscriber *subscriber)
{
	if (!subscriber->looks_again || ayrei_subscriber_look(subscriber, false) < 0)
		return;
	subscriber->trouble = 0;
	ayrei_subscriber_settle(subscriber);
}

/* Waits for the descriptors, and does what they tell. Was there anything? */
static bool notice(struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	struct ayrei_event events[16];
	int count = ayrei_set_wait(subscriber->set, events, 16, deadline_ns);

	for (int i = 0; i < count; i++) {
		/* What was there may have been taken by somebody else meanwhile: never by a read that waits. */
		if (events[i].tag == AYREI_SUBSCRIBER_BELL && subscriber->is_alone &&
		    change_bell(subscriber, false) < 0)
			continue;
		if (events[i].tag == AYREI_SUBSCRIBER_BELL)
			hear(subscriber);
		else if (events[i].tag <= subscriber->source_count)
			ayrei_source_check(subscriber, &subscriber->sources[events[i].tag - 1]);
	}
	return count > 0;
}

void ayrei_subscriber_find_newcomers(struct ayre_subscriber *subscriber)
{
	int result = ayrei_subscriber_look(subscriber, false);

	if (result < 0)
		subscriber->trouble = result;
	ayrei_subscriber_settle(subscriber);
}

/* The whole sleep. With one publisher and no deadline it is one system call. */
static void sleep_until(struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	subscriber->sleeps++;
	if (deadline_ns == AYRE_NO_DEADLINE && can_be_alone(subscriber) &&
	    (subscriber->is_alone || change_bell(subscriber, true) == 0))
		hear(subscriber);
	else
		notice(subscriber, deadline_ns);
}

/* --- sleeping --- */

/* Does somebody publish who executes no fence of its own? */
static bool has_unfenced(const struct ayre_subscriber *subscriber)
{
	for (size_t i = 0; i < subscriber->source_count; i++)
		/* Acquire: where it executes fences again, what it sent without is seen, too. */
		if (subscriber->sources[i].state == AYREI_SOURCE_LIVE &&
		    ayrei_load_acquire(&subscriber->sources[i].reader.layout->fenced) != 1)
			return true;
	return false;
}

static void say_how_far(struct ayre_subscriber *subscriber)
{
	for (size_t i = 0; i < subscriber->source_count; i++) {
		struct ayrei_source *source = &subscriber->sources[i];

		if (source->published != source->reader.position || ayrei_source_is_awaited(source))
			ayrei_source_publish(source, subscriber);
	}
}

/* The first half of going to sleep. */
static void draw_ticket(struct ayre_subscriber *subscriber)
{
	uint64_t *ticket = ayrei_cursor_ticket(subscriber->cursor, subscriber->id);

	say_how_far(subscriber);
	ayrei_store_release(ticket, (*ticket | 1) + (*ticket & 1 ? 2 : 0));
	ayrei_fence_full();
}

/* The second half: false, there is something after all. */
static bool may_sleep(struct ayre_subscriber *subscriber)
{
	return !ayrei_subscriber_is_ready(subscriber);
}

static void make_others_fence(const struct ayre_subscriber *subscriber)
{
	if (has_unfenced(subscriber) && !subscriber->no_barrier)
		(void)!ayrei_barrier_others();
}

static void be_awake(struct ayre_subscriber *subscriber)
{
	uint64_t *ticket = ayrei_cursor_ticket(subscriber->cursor, subscriber->id);

	if (*ticket & 1)
		ayrei_store(ticket, *ticket + 1);
}

/*
 * Where nothing makes others pass a fence, publishers are asked to execute their own, and do so
 * once they have looked. Until then a second look is due, after their stores have long been seen.
 */
static int64_t limit_deadline(const struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	int64_t soon;

	if (!subscriber->no_barrier || !has_unfenced(subscriber))
		return deadline_ns;
	soon = ayrei_monotonic_ns() + UNFENCED_NS;
	return soon < deadline_ns ? soon : deadline_ns;
}

static bool spin(struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	struct ayrei_spinning spinning = {0};

	while (ayrei_spin_turn(&subscriber->spin, &spinning, deadline_ns)) {
		if (ayrei_subscriber_is_ready(subscriber))
			return true;
		/* Who spins for long hears of newcomers all the same. */
		if (spinning.turns % 4096 == 0 && notice(subscriber, 0))
			return true;
	}
	return false;
}

/*
 * Lets messages gather where they stream in. Who would sleep at once lets them gather by that, and who spins
 * for ever wants each of them at once.
 */
static void gather(struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	const struct ayrei_gathering *gathering = &subscriber->gathering;
	uint64_t messages = 0, bytes = 0, ring = UINT64_MAX;

	if (subscriber->spin.budget_ns == AYRE_SPIN_FOREVER)
		return;
	for (size_t i = 0; i < subscriber->source_count; i++) {
		const struct ayrei_reader *reader = &subscriber->sources[i].reader;

		messages += reader->sequence;
		bytes += reader->position;
		ring = reader->mask < ring ? reader->mask + 1 : ring;
	}
	ayrei_gathering_learn(&subscriber->gathering, messages, bytes, ring);
	if (gathering->stay_ns > 0 && gathering->stay_ns < subscriber->spin.budget_ns)
		ayrei_gathering_stay(gathering, deadline_ns);
}

int ayrei_subscriber_wait(struct ayre_subscriber *subscriber, int64_t deadline_ns)
{
	bool helped;

	gather(subscriber, deadline_ns);
	helped = spin(subscriber, deadline_ns);
	ayrei_spin_learn(&subscriber->spin, helped);
	if (helped)
		return 0;
	look_again(subscriber);
	draw_ticket(subscriber);
	make_others_fence(subscriber);
	if (may_sleep(subscriber)) {
		if (deadline_ns != AYRE_NO_DEADLINE && deadline_ns <= ayrei_monotonic_ns()) {
			be_awake(subscriber);
			return -ETIMEDOUT;
		}
		sleep_until(subscriber, limit_deadline(subscriber, deadline_ns));
	}
	be_awake(subscriber);
	return 0;
}

/* Is it time to look at the bell? It is a system call, and who polls does little else. */
static bool is_due(struct ayre_subscriber *subscriber)
{
	int64_t now;

	if (subscriber->exported || is_ending(subscriber))
		return true;
	if (subscriber->idle > 0 && --subscriber->idle > 0)
		return false;
	subscriber->idle = AYREI_IDLE;
	now = ayrei_monotonic_ns();
	if (now - subscriber->noticed_ns < NOTICE_NS)
		return false;
	subscriber->noticed_ns = now;
	return true;
}

int ayrei_subscriber_rest(struct ayre_subscriber *subscriber)
{
	bool news = false;
	int result = subscriber->trouble;

	subscriber->trouble = 0;
	ayrei_subscriber_settle(subscriber);
	/* Whatever else there is to hear: it is told once. */
	if (result < 0)
		return result;
	result = find_end(subscriber);
	/* Unless somebody has come meanwhile, who has rung before all else. */
	if (result < 0)
		return notice(subscriber, 0) ? 0 : result;
	if (is_due(subscriber)) {
		news = notice(subscriber, 0);
		look_again(subscriber);
	}
	if (!subscriber->exported)
		return news ? 0 : -EAGAIN;
	/* What rang for the last ticket has been heard: the next message needs another. */
	if (news || !(*ayrei_cursor_ticket(subscriber->cursor, subscriber->id) & 1)) {
		draw_ticket(subscriber);
		make_others_fence(subscriber);
		if (!may_sleep(subscriber))
			return 0;
	} else {
		/* The host is about to sleep by the ticket that there is. */
		say_how_far(subscriber);
	}
	return -EAGAIN;
}

static int ring_ourselves(struct ayre_subscriber *subscriber)
{
	int bell = ayrei_fifo_open(subscriber->bell, O_WRONLY);

	if (bell < 0)
		return bell;
	ayrei_bell_ring(bell, AYREI_BELL_MESSAGE);
	ayrei_file_close(bell);
	return 0;
}

int ayrei_subscriber_put_off(struct ayre_subscriber *subscriber)
{
	if (subscriber->exported)
		(void)!ring_ourselves(subscriber);
	return -EAGAIN;
}

/* --- several --- */

static int find_ready(struct ayre_subscriber *const *subscribers, size_t count, size_t first)
{
	for (size_t i = 0; i < count; i++) {
		size_t index = (first + i) % count;

		if (ayrei_subscriber_is_ready(subscribers[index]))
			return (int)index;
	}
	return -EAGAIN;
}

static void notice_all(struct ayre_subscriber *const *subscribers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		notice(subscribers[i], 0);
}

/* One wait for all of them: every ticket, one fence for all, one more look, one sleep. */
static int sleep_for_all(struct ayre_subscriber *const *subscribers, size_t count, size_t first,
                         int64_t deadline_ns)
{
	int fds[AYREI_WAIT_ANY_MAX] = {0}, result;
	bool unfenced = false;

	for (size_t i = 0; i < count; i++) {
		fds[i] = subscribers[i]->set;
		look_again(subscribers[i]);
		draw_ticket(subscribers[i]);
		unfenced |= has_unfenced(subscribers[i]);
		deadline_ns = limit_deadline(subscribers[i], deadline_ns);
	}
	/* For all of them: whether there is a barrier is a matter of the process. */
	if (unfenced && !subscribers[0]->no_barrier)
		(void)!ayrei_barrier_others();
	result = find_ready(subscribers, count, first);
	if (result == -EAGAIN) {
		for (size_t i = 0; i < count; i++)
			subscribers[i]->sleeps++;
		result = ayrei_wait_for_any(fds, (int)count, deadline_ns);
		if (result > 0)
			notice_all(subscribers, count);
	}
	for (size_t i = 0; i < count; i++)
		be_awake(subscribers[i]);
	return result < 0 ? result : 0;
}

int ayre_subscribers_wait(struct ayre_subscriber *const *subscribers, size_t count,
                          int64_t deadline_ns)
{
	size_t first;
	int result;

	if (count == 0 || count > AYREI_WAIT_ANY_MAX)
		return -EINVAL;
	/* Each time another one is asked first. */
	first = subscribers[0]->sleeps + subscribers[0]->rotation++;
	for (;;) {
		struct ayrei_spinning spinning = {0};
		struct ayrei_spin *spin = &subscribers[0]->spin;

		do {
			result = find_ready(subscribers, count, first);
			/* As in spin(). */
			if (spinning.turns % 4096 == 4095)
				notice_all(subscribers, count);
		} while (result == -EAGAIN && ayrei_spin_turn(spin, &spinning, deadline_ns));
		ayrei_spin_learn(spin, result >= 0);
		if (result != -EAGAIN)
			return result;
		if (deadline_ns <= ayrei_monotonic_ns())
			return -ETIMEDOUT;
		result = sleep_for_all(subscribers, count, first, deadline_ns);
		if (result < 0)
			return result;
	}
}

/* --- for the host --- */

int ayre_subscriber_fd(struct ayre_subscriber *subscriber)
{
	int result = 0;

	if (subscriber->exported)
		return subscriber->set;
	if (subscriber->is_alone)
		result = change_bell(subscriber, false);
	/* Ringing to begin with: the first attempt finds out what is there, and draws a ticket. */
	if (result == 0)
		result = ring_ourselves(subscriber);
	if (result < 0)
		return result;
	subscriber->exported = true;
	ayrei_subscriber_settle(subscriber);
	return subscriber->set;
}

int ayre_subscriber_get_info(const struct ayre_subscriber *subscriber,
                             struct ayre_subscriber_info *ret_info)
{
	struct ayre_subscriber_info info = {
		.id = subscriber->id,
		.missed = subscriber->missed,
		.publishers = (uint32_t)subscriber->source_count,
		.lost_publisher = UINT64_MAX,
		.lost_sequence = UINT64_MAX,
		.broken_publisher = subscriber->broken_publisher,
		.damaged_publisher = subscriber->damaged_publisher,
		.damaged_first = subscriber->damaged_first,
		.damaged_end = subscriber->damaged_end,
		.publishers_broken = (uint32_t)subscriber->refused_count,
		.sleeps = subscriber->sleeps,
		.waited_for = subscriber->waited_for,
	};

	for (size_t i = 0; i < subscriber->source_count; i++) {
		const struct ayrei_source *source = &subscriber->sources[i];

		info.received += ayrei_source_received(source);
		info.publishers_live += source->state == AYREI_SOURCE_LIVE;
		info.publishers_broken += source->state == AYREI_SOURCE_BROKEN;
		if (source->deaths) {
			info.publishers_lost += (uint32_t)source->deaths;
			info.lost_publisher = source->id;
			info.lost_sequence = source->lost_at - 1;
		}
		if (is_lost(subscriber, source)) {
			info.publishers_lost++;
			info.lost_publisher = source->id;
			info.lost_sequence = source->reader.sequence - 1;
		}
	}
	return ayrei_result_copy(ret_info, &info, sizeof(info));
}
